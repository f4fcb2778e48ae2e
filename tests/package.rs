//! What goes to the registry: sources, documents and licences of each package, and nothing else.

use std::path::Path;
use std::process::Command;

/// Packages, and what they may hold beside what every package holds.
const PACKAGES: &[(&str, &[&str])] =
    &[("nicfw", &["src/"]), ("nicfw-model", &["src/"]), ("nicfw-cli", &["src/", "demo/", "examples/manuals.rs"])];

/// What every package holds; the last three are cargo's own.
const EVERYWHERE: &[&str] = &[
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "Cargo.lock",
    "Cargo.toml.orig",
    ".cargo_vcs_info.json",
];

/// Kinds of files that are sources.
const SOURCES: &[&str] = &["rs", "svg", "yaml", "c", "md"];

/// Directories of the other packages of the workspace.
const NOT_PUBLISHED: &[&str] = &["ffi", "fuzz", "tests/mutants"];

fn contents(package: &str) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty", "--offline", "--locked", "-p", package]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn is_source(file: &str, folders: &[&str]) -> bool {
    let kind = Path::new(file).extension().and_then(|kind| kind.to_str());
    folders.iter().any(|folder| file.starts_with(folder)) && kind.is_some_and(|kind| SOURCES.contains(&kind))
}

#[test]
fn what_is_not_published_says_so() {
    for folder in NOT_PUBLISHED {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        assert!(text.contains("\npublish = false\n"), "{folder} would be published");
    }
    let root = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let members = root.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    assert_eq!(members.split(',').count(), PACKAGES.len() + NOT_PUBLISHED.len(), "a member is neither: {members}");
}

#[test]
fn packages_hold_sources_documents_and_licences_only() {
    for (package, folders) in PACKAGES {
        let files = contents(package);
        let stray: Vec<_> =
            files.iter().filter(|file| !EVERYWHERE.contains(&file.as_str()) && !is_source(file, folders)).collect();
        assert!(stray.is_empty(), "{package} would publish {stray:?}");
        let missing: Vec<_> = EVERYWHERE[..4].iter().filter(|file| !files.iter().any(|held| held == *file)).collect();
        assert!(missing.is_empty(), "{package} would lack {missing:?}");
        assert!(files.iter().any(|file| file == "src/lib.rs"), "{package} would be empty");
    }
}
