//! `words.dict`, libFuzzer's dictionary: the words of every text format, and the codes of the firmware's commands. It is
//! made from the sources; `NICFW_BLESS=1 cargo test -p nicfw-fuzz` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use nicfw::mcdi::wire::Cmd;

/// Where words stand as string literals.
const SOURCES: &[&str] = &[
    "src/policy/text/parse",
    "src/policy/import",
    "src/policy/document/check",
    "src/policy/text/flow_text.rs",
    "src/device/vfio_user/capabilities.rs",
];

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| rust_files(&path)).collect()
}

/// String literals that could be words: no blank, no format, no escape.
fn words(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    literals.filter(|text| {
        (2..=24).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:./=".contains(&byte))
    })
}

#[test]
fn the_dictionary_has_all_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for source in SOURCES {
        for file in rust_files(&root.join(source)) {
            found.extend(words(&fs::read_to_string(file).unwrap()).map(str::to_owned));
        }
    }
    let mut text = "# Made by tests/dictionary.rs.\n".to_owned();
    for word in &found {
        writeln!(text, "\"{word}\"").unwrap();
    }
    for cmd in (0..0x200).map(Cmd) {
        if let Some(name) = cmd.name() {
            let [low, high] = cmd.0.to_le_bytes();
            writeln!(text, "{name}=\"\\x{low:02x}\\x{high:02x}\"").unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("words.dict");
    if std::env::var_os("NICFW_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(found.len() > 100, "{} words", found.len());
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "run NICFW_BLESS=1 cargo test -p nicfw-fuzz");
}
