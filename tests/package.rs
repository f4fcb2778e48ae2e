//! What goes to the registry: sources, documents and licences of each package, and nothing else, in an order in which it can.
//! packaging/crates builds it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Packages in the order in which they are published, and what they may hold beside what every package holds.
const PACKAGES: &[(&str, &[&str])] = &[
    ("nicfw", &["src/", "docs/policy.md"]),
    ("nicfw-model", &["src/"]),
    ("nicfw-cli", &["src/", "demo/", "examples/manuals.rs"]),
];

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
const SOURCES: &[&str] = &["rs", "svg", "yaml", "c", "md", "txt"];

/// Directories of the other packages of the workspace.
const NOT_PUBLISHED: &[&str] = &["ffi", "fuzz", "tests/kit", "tests/mutants"];

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

/// The packages of the workspace that a packed manifest depends on, for whatever kind of build.
fn asked_for(manifest: &str) -> Vec<&str> {
    let tables = manifest.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let dependencies = tables.filter_map(|table| table.rsplit_once("dependencies.").map(|(_, name)| name));
    dependencies.filter(|name| PACKAGES.iter().any(|(package, _)| package == name)).collect()
}

#[test]
fn packages_can_be_packed_and_published_in_their_order() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--no-verify", "--allow-dirty", "--offline", "--locked"]).arg("--target-dir").arg(&target);
    cargo.args(PACKAGES.iter().flat_map(|(package, _)| ["-p", package]));
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (at, (package, _)) in PACKAGES.iter().enumerate() {
        let name = format!("{package}-{}", env!("CARGO_PKG_VERSION"));
        let packed = target.join("package").join(format!("{name}.crate"));
        let unpacked = Command::new("tar").arg("-xzOf").arg(packed).arg(format!("{name}/Cargo.toml")).output().unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        let manifest = String::from_utf8(unpacked.stdout).unwrap();
        let too_late: Vec<_> = asked_for(&manifest)
            .into_iter()
            .filter(|name| !PACKAGES[..at].iter().any(|(one, _)| one == name))
            .collect();
        assert!(too_late.is_empty(), "{package} depends on {too_late:?}, which is published after it");
        assert_eq!(asked_for(&manifest).is_empty(), at == 0, "the manifest is read: {manifest}");
    }
}

/// Packages that the library asks for, itself among them, with all features and with none (seven of them are serde_json's, which
/// reads what `nft -j` writes).
const PACKAGES_BELOW: (usize, usize) = (52, 21);

/// Those beyond that number, each with what it saves.
const NEWCOMERS: &[(&str, &str)] =
    &[("cmov", "came with hmac 0.13, whose comparison in constant time it is: the release before is no longer mended")];

/// The packages below the library, without those for building and testing.
fn below(features: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "-p", "nicfw", "-e", "normal", features, "--prefix", "none", "--offline", "--locked"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| !line.is_empty()).map(name).collect()
}

#[test]
fn the_library_asks_for_few_packages() {
    let (all, pure) = (below("--all-features"), below("--no-default-features"));
    assert_eq!(all.len(), PACKAGES_BELOW.0 + NEWCOMERS.len(), "say in NEWCOMERS what each new one saves: {all:#?}");
    for (name, saves) in NEWCOMERS {
        assert!(all.iter().any(|package| package.starts_with(&format!("{name} "))) && !saves.is_empty(), "{name}");
    }
    assert_eq!(pure.len(), PACKAGES_BELOW.1, "{pure:#?}");
    let device = ["memmap2", "rustix", "vfio-ioctls", "vmm-sys-util", "volatile-register", "zerocopy"];
    assert!(!pure.iter().any(|package| device.iter().any(|name| package.starts_with(name))), "{pure:#?}");
}
