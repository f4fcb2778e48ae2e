//! Files, benches, tests and examples that the documents name are there.

use std::collections::BTreeSet;

use crate::pages::{Page, files, pages, read, root};

/// Folders of the repository; code that begins with one of them is a path in it.
const FOLDERS: &[&str] = &[
    "tests/",
    "docs/",
    "cli/",
    "ffi/",
    "packaging/",
    "src/",
    "include/",
    "firmware-model/",
    "fuzz/",
    "examples/",
    ".github/",
];

/// The first word of a piece of code, if it is a path of the repository.
fn path(code: &str) -> Option<&str> {
    let word = code.split_whitespace().next()?;
    let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '{']);
    is_path.then_some(word)
}

/// What stands behind an option in a piece of code, such as `figures` behind `--bench`.
fn behind<'a>(code: &'a str, option: &str) -> Option<&'a str> {
    let mut words = code.split_whitespace().skip_while(|word| *word != option);
    words.next()?;
    words.next().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The targets of a kind that cargo finds: by their manifests, and by their files in these folders.
fn targets(kind: &str, folders: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for manifest in ["Cargo.toml", "cli/Cargo.toml", "ffi/Cargo.toml"] {
        let text = read(manifest);
        let head = format!("[[{kind}]]\nname = \"");
        let named = text.split(&head).skip(1);
        found.extend(named.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    for file in files() {
        let Some(folder) = folders.iter().find(|folder| file.starts_with(folder)) else { continue };
        let parts: Vec<_> = file.strip_prefix(folder).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
        match parts[..] {
            [name] => found.extend(name.strip_suffix(".rs").map(str::to_owned)),
            [name, "main.rs"] => _ = found.insert(name.to_owned()),
            _ => {}
        }
    }
    found
}

#[test]
fn files_and_targets_that_documents_name_are_there() {
    let kinds = [
        ("--bench", targets("bench", &["ffi/benches"])),
        ("--test", targets("test", &["tests", "cli/tests", "ffi/tests"])),
        ("--example", targets("example", &["examples", "cli/examples"])),
        ("--bin", ["nicfw", "nicfw-model"].map(str::to_owned).into()),
    ];
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in pages().into_iter().filter(|file| !file.starts_with("tests/data") && !file.starts_with("fuzz")) {
        let page = Page::parse(&read(&file));
        let lines = page.snippets.iter().filter(|snippet| snippet.info == "sh").flat_map(|snippet| {
            snippet.text.lines().map(|line| (line.split('#').next().unwrap_or("").to_owned(), snippet.line))
        });
        for (code, line) in page.code.iter().cloned().chain(lines) {
            let is_lost = |path: &str| !root().join(path).exists() && !root().join(path.trim_end_matches('/')).exists();
            if let Some(path) = path(&code) {
                seen += 1;
                if is_lost(path) {
                    wrong.push(format!("{}:{line}: there is no {path}", file.display()));
                }
            }
            for (option, known) in &kinds {
                if let Some(name) = behind(&code, option) {
                    seen += 1;
                    if !known.contains(name) {
                        wrong.push(format!("{}:{line}: {option} {name} is not there", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "{seen} files and targets");
}

#[test]
fn what_code_names_is_read() {
    assert_eq!(path("tests/long/fuzz 60"), Some("tests/long/fuzz"));
    assert_eq!((path("cargo test"), path("drivers/net/sfc/*")), (None, None));
    assert_eq!(behind("cargo bench --bench compile -- groups", "--bench"), Some("compile"));
    assert_eq!(behind("cargo test --test NAME", "--test"), None);
    assert!(targets("bench", &[]).contains("figures") && !targets("test", &["tests"]).contains("run"));
}
