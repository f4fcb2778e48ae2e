//! The codes that the program ends with, the documents' table of them, and its own help.

use std::fs;
use std::path::{Path, PathBuf};

use nicfw_cli::failure::Exit;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The one with the next number; none is forgotten.
fn next(exit: Exit) -> Option<Exit> {
    match exit {
        Exit::Done => Some(Exit::Usage),
        Exit::Usage => Some(Exit::Differs),
        Exit::Differs => Some(Exit::DoesNotFit),
        Exit::DoesNotFit => Some(Exit::Drift),
        Exit::Drift => Some(Exit::PutRight),
        Exit::PutRight => None,
    }
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The documents' table and the program's own help have the codes that it ends with, each in its own words.
#[test]
fn every_exit_code_is_documented_and_no_other() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/commands.md")).unwrap();
    let behind = page.lines().skip_while(|line| *line != "## Exit codes").skip(1);
    let rows = behind.take_while(|line| !line.starts_with("## ")).filter_map(|line| {
        let (number, means) = line.strip_prefix("| ")?.split_once(" | ")?;
        Some((number.parse::<u8>().ok()?, means.replace(',', "")))
    });
    let rows: Vec<_> = rows.collect();
    let help = nicfw_cli::programs()[0].clone().render_help().to_string();
    let help = help.split("Exit codes: ").nth(1).unwrap().replace('\n', " ");
    let numbered = |text: &str| text.split_once(' ').and_then(|(number, _)| number.parse::<u8>().ok());
    let in_help: Vec<_> = help.split(", ").filter_map(numbered).collect();
    let all: Vec<_> = std::iter::successors(Some(Exit::Done), |exit| next(*exit)).collect();
    let numbers: Vec<_> = all.iter().map(|exit| exit.number()).collect();
    assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), numbers);
    assert_eq!(in_help, numbers, "{help}");
    for (exit, (_, means)) in all.iter().zip(&rows) {
        let words: Vec<_> = means.split([' ', ';', ':']).collect();
        let named = exit.word().split('-').all(|word| words.contains(&word));
        assert!(named, "{}: {means}", exit.word());
    }
}

/// Whatever ends the program goes through [`Exit`].
#[test]
fn nothing_else_ends_the_program() {
    let mut found = Vec::new();
    for path in sources(&Path::new(ROOT).join("cli/src")) {
        let name = path.strip_prefix(Path::new(ROOT).join("cli/src")).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let ends = ["process::exit", "process::abort", "ExitCode::from(", "ExitCode::SUCCESS", "ExitCode::FAILURE"];
        if !name.starts_with("bin/nicfw-model/") && name != "failure.rs" && ends.iter().any(|end| text.contains(end)) {
            found.push(name);
        }
    }
    assert_eq!(found, [""; 0]);
}
