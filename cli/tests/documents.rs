//! What the documents say of the program is what it does: its commands and options, and the front page's lines of the demo.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The commands below one, each with the words that call it, and the long options that are shown.
fn options(command: &clap::Command, words: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let long = shown.filter_map(|argument| argument.get_long()).filter(|long| !["help", "version"].contains(long));
    found.push((words.trim().to_owned(), long.map(str::to_owned).collect()));
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        options(below, &format!("{words} {}", below.get_name()), found);
    }
}

fn all() -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    let [program, _] = nicfw_cli::programs();
    options(&program, "", &mut found);
    found
}

#[test]
fn every_command_and_option_is_described() {
    let page = read("docs/commands.md");
    let is_word = |c: char| c.is_alphanumeric() || c == '-';
    let words: BTreeSet<&str> = page.split(|c| !is_word(c)).collect();
    let mut seen = 0;
    for (command, options) in all() {
        let last = command.split(' ').next_back().unwrap();
        assert!(last.is_empty() || words.contains(last), "docs/commands.md does not describe {command}");
        for option in options {
            seen += 1;
            assert!(
                words.contains(format!("--{option}").as_str()),
                "docs/commands.md does not describe {command} --{option}"
            );
        }
    }
    assert!(seen > 80, "{seen} options");
}

#[test]
fn the_documents_name_no_option_that_the_programs_do_not_have() {
    let mut known: BTreeSet<String> = all().into_iter().flat_map(|(_, options)| options).collect();
    let mut found = Vec::new();
    let [_, model] = nicfw_cli::programs();
    options(&model, "", &mut found);
    known.extend(found.into_iter().flat_map(|(_, options)| options));
    // Of cargo, tests/run, packaging and pkg-config.
    let others = [
        "release", "bin", "no-qemu", "no-c", "example", "no-deps", "open", "prefix", "cflags", "libs", "version",
        "help",
    ];
    for file in
        ["README.md", "docs/commands.md", "docs/changes.md", "docs/policy.md", "docs/limits.md", "docs/embedding.md"]
    {
        let page = read(file);
        for word in page.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let Some(option) =
                word.strip_prefix("--").filter(|option| option.starts_with(|c: char| c.is_ascii_lowercase()))
            else {
                continue;
            };
            assert!(known.contains(option) || others.contains(&option), "{file}: --{option} is an option of nothing");
        }
    }
}

#[test]
fn a_failure_is_json_too() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_nicfw"));
    let ran = program.args(["check", "no/such/file.yaml", "--json"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let object: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let keys: Vec<_> = object["error"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "exit", "message", "places"]);
    let page = read("docs/commands.md");
    assert!(keys.iter().all(|key| page.contains(&format!("\"{key}\""))), "docs/commands.md says what a failure is");
}

/// The frames that real TCP takes are not those of frames in memory: what counted them is left out.
#[test]
fn the_front_page_shows_lines_of_the_demo() {
    let page = read("README.md");
    let (_, shown) = page.split_once("```text\n#    what is tried").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let demo = read("cli/tests/golden/demo-in-process.txt");
    let decided = |line: &str| line.chars().take(103).collect::<String>().trim_end().to_owned();
    let known: BTreeSet<String> = demo.lines().map(decided).collect();
    let mut seen = 0;
    for line in shown.lines().skip(1).filter(|line| *line != "...") {
        assert!(known.contains(&decided(line)), "the demo does not print {line:?}");
        seen += 1;
    }
    assert!(seen >= 9, "{seen} lines");
}
