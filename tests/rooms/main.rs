//! The house stays easy to see: imports run one way, files do not use each other in circles and stay short, and `unsafe` stays
//! where it is licensed.

mod paths;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, each with those that it may use beside itself. Two ways lead to `adapter`: the pure one from the words of the
/// language to the content of the tables, and the device's from mapped registers to commands.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("clock", &["error"]),
    ("text", &[]),
    ("file", &["text"]),
    ("terms", &["text"]),
    ("policy", &["terms", "text", "clock"]),
    ("tables", &["policy", "terms", "text"]),
    ("bar", &["error"]),
    ("dma", &["error"]),
    ("device", &["bar", "dma", "error"]),
    ("regs", &["bar", "device", "dma", "error"]),
    ("mcdi", &["regs", "bar", "device", "dma", "error", "clock"]),
    ("adapter", &["tables", "terms", "mcdi", "device", "error", "clock"]),
    ("journal", &["adapter", "tables", "policy", "terms", "clock", "text", "file", "error"]),
    ("firewall", &["journal", "adapter", "tables", "policy", "terms", "clock", "text", "file", "error"]),
];

/// The files that may contain `unsafe`, each with its reason at the top.
const LICENSED_UNSAFE: &[&str] = &[
    "src/bar/mapped.rs",
    "src/dma/mapped.rs",
    "src/device/vfio.rs",
    // The C library: what C points to is reached in `memory` alone, the others export functions (and call those of C).
    "ffi/src/memory.rs",
    "ffi/src/adapter.rs",
    "ffi/src/builder.rs",
    "ffi/src/change.rs",
    "ffi/src/codes.rs",
    "ffi/src/compiled.rs",
    "ffi/src/inject.rs",
    "ffi/src/list.rs",
    "ffi/src/log.rs",
    "ffi/src/policy.rs",
    "ffi/src/probe.rs",
    // A page that the kernel empties in a forked child.
    "ffi/src/process.rs",
    // A callback of C.
    "ffi/src/progress.rs",
    "ffi/src/version.rs",
    "ffi/benches/boundary.rs",
    "ffi/tests/counters.rs",
    "ffi/tests/sequences/world.rs",
    "fuzz/src/targets/c_calls.rs",
];

const LONGEST_FILE: usize = 650;

/// Roots of the crates in which no file uses another in a circle, with the files and the uses that the scan finds at least.
const WITHOUT_CIRCLES: &[(&str, usize, usize)] = &[
    ("src/lib.rs", 200, 1000),
    ("firmware-model/src/lib.rs", 70, 250),
    ("cli/src/lib.rs", 60, 200),
    ("ffi/src/lib.rs", 20, 80),
];

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![root.join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    assert!(!found.is_empty(), "no Rust files below {dir}");
    found.sort();
    found
}

fn code_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or("").to_owned()).collect()
}

fn room_of(path: &Path) -> Option<String> {
    let first = path.components().nth(1)?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in rust_files("src") {
        let room = room_of(&path).unwrap();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert_eq!(room, "lib", "{} stands in no room", path.display());
            continue;
        };
        for (i, line) in code_lines(&path).iter().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                seen += 1;
                let is_room = ROOMS.iter().any(|(name, _)| *name == used);
                if is_room && used != room && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{}:{}: {room} uses {used}", path.display(), i + 1));
                }
            }
        }
    }
    assert!(seen > 20, "the scan finds the imports ({seen} seen)");
    assert!(wrong.is_empty(), "imports against the order of the rooms:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_uses_another_in_a_circle() {
    for (root, least_files, least_uses) in WITHOUT_CIRCLES {
        let uses = paths::Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root)).uses();
        let edges: usize = uses.values().map(BTreeSet::len).sum();
        assert!(uses.len() >= *least_files && edges >= *least_uses, "{root}: {} files and {edges} uses", uses.len());
        let circles = paths::circles(&uses);
        assert!(circles.is_empty(), "{root}: files that use each other: {circles:#?}");
        println!("{root}: {} files, {edges} uses, no circle", uses.len());
    }
}

#[test]
fn a_circle_is_found_by_every_kind_of_path() {
    // Through a re-export, a glob, an inline path, a macro, and a module of the same file.
    for planted in [
        "use super::B; pub struct A(B);",
        "use super::*; pub struct A(B);",
        "pub struct A(super::b::B);",
        "pub struct A; pub fn f() { println!(\"{}\", super::b::NUMBER); }",
        "pub struct A; mod inner { use crate::b::B; pub fn f(_: B) {} }",
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lib.rs"), "mod a; mod b; pub use a::A; pub use b::B;").unwrap();
        fs::write(folder.path().join("a.rs"), planted).unwrap();
        fs::write(folder.path().join("b.rs"), "use super::A; pub const NUMBER: u8 = 1; pub struct B(Option<Box<A>>);")
            .unwrap();
        let circles = paths::circles(&paths::Crate::read(&folder.path().join("lib.rs")).uses());
        assert_eq!(circles.iter().map(Vec::len).collect::<Vec<_>>(), [2], "{planted}");
        // Who may see an item, in a macro too, is nobody's use.
        let apart =
            "macro_rules! m { () => { pub(crate) const C: u8 = 2; } } pub const NUMBER: u8 = 1; pub struct B(u8);";
        fs::write(folder.path().join("b.rs"), apart).unwrap();
        let circles = paths::circles(&paths::Crate::read(&folder.path().join("lib.rs")).uses());
        assert!(circles.is_empty(), "{planted}: {circles:?}");
    }
}

#[test]
fn files_stay_short() {
    let long: Vec<_> = ["src", "firmware-model/src", "cli/src", "ffi/src", "ffi/tests", "ffi/benches", "tests", "fuzz"]
        .iter()
        .flat_map(|dir| rust_files(dir))
        .map(|path| (code_lines(&path).len(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "files past {LONGEST_FILE} lines, move a wall: {long:?}");
}

#[test]
fn unsafe_stays_in_the_licensed_files() {
    for dir in ["src", "firmware-model/src", "cli/src", "ffi/src", "ffi/tests", "ffi/benches", "fuzz"] {
        for path in rust_files(dir) {
            let licensed = LICENSED_UNSAFE.iter().any(|file| Path::new(file) == path);
            let uses = code_lines(&path).iter().any(|line| {
                let word = |w: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == w);
                word("unsafe") && !line.contains("unsafe_code")
            });
            assert!(licensed || !uses, "{} uses unsafe without a licence", path.display());
        }
    }
}

#[test]
fn every_unsafe_block_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut blocks = 0;
    for file in LICENSED_UNSAFE {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains("#![expect(unsafe_code, reason = "), "{file} does not say what it needs unsafe for");
        let lines: Vec<&str> = text.lines().collect();
        let is_block = |line: &str| {
            let code = line.split("//").next().unwrap_or("");
            code.contains("unsafe {") || code.contains("unsafe impl")
        };
        let found: Vec<usize> = (0..lines.len()).filter(|at| is_block(lines[*at])).collect();
        for at in &found {
            let above = lines[..*at].iter().rev().take(4).any(|line| line.contains("// SAFETY:"));
            assert!(above, "{file}:{}: unsafe without a SAFETY line", at + 1);
        }
        println!("{:4} unsafe blocks in {file}", found.len());
        blocks += found.len();
    }
    println!("{blocks:4} unsafe blocks, each with its SAFETY line");
}

/// The crates that handle what comes from a device, a file, a socket or a driver: no unwrap, no expect, no panic, no
/// unchecked index. A cast that cuts is denied in every crate. Tests may panic: `clippy.toml`.
const GUARDED: &[&str] = &["src", "firmware-model/src", "ffi/src", "cli/src"];

const LINTS: &[&str] = &["unwrap_used", "expect_used", "panic", "indexing_slicing"];
const LINT_EVERYWHERE: &str = "cast_possible_truncation";

/// Files that take one lint back, each with its reason at the attribute: no index or panic there comes from outside.
const TAKES_BACK: &[(&str, &str)] = &[
    ("firmware-model/src/engines/batch/frames.rs", "indexing_slicing"),
    ("firmware-model/src/engines/batch/heads.rs", "indexing_slicing"),
    ("firmware-model/src/engines/rules/index.rs", "indexing_slicing"),
    ("firmware-model/src/engines/batch/packed.rs", "indexing_slicing"),
    ("firmware-model/src/engines/rules/row.rs", "indexing_slicing"),
    ("firmware-model/src/engines/rules/values.rs", "indexing_slicing"),
    ("src/policy/regions/mod.rs", "indexing_slicing"),
    ("src/tables/arrange/mod.rs", "indexing_slicing"),
    ("src/tables/compile/mod.rs", "indexing_slicing"),
    ("src/tables/naming/mod.rs", "indexing_slicing"),
    ("src/tables/pages.rs", "indexing_slicing"),
    ("src/tables/rules.rs", "indexing_slicing"),
    ("src/tables/rules.rs", "expect_used"),
    ("src/tables/units/mod.rs", "indexing_slicing"),
    ("ffi/src/inject.rs", "panic"),
];

/// The lints that an attribute of a file turns down, on however many lines it stands.
fn taken_back(code: &str) -> Vec<&'static str> {
    let attributes = code.split("#[").flat_map(|part| part.split("#![")).skip(1);
    let weaker = attributes.map(|attribute| attribute.split(']').next().unwrap_or(attribute)).filter(|attribute| {
        let word = |word: &str| attribute.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word);
        word("allow") || word("expect") || word("warn")
    });
    let names = |attribute: &str, lint: &str| {
        attribute
            .split(|c: char| !c.is_alphanumeric() && !"_:".contains(c))
            .any(|part| part == format!("clippy::{lint}"))
    };
    weaker
        .flat_map(|attribute| LINTS.iter().chain([&LINT_EVERYWHERE]).filter(move |lint| names(attribute, lint)))
        .copied()
        .collect()
}

#[test]
fn crates_that_meet_foreign_bytes_deny_what_can_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let denied = cargo.split("[workspace.lints.clippy]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    assert!(denied.contains(&format!("{LINT_EVERYWHERE} = \"deny\"")), "the workspace allows {LINT_EVERYWHERE}");
    let everything = LINTS.iter().map(|lint| format!("clippy::{lint}")).collect::<Vec<_>>().join(", ");
    for dir in GUARDED {
        let manifest = fs::read_to_string(root.join(dir).parent().unwrap().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{dir} does not take the workspace's lints");
        let code = code_lines(&Path::new(dir).join("lib.rs"));
        assert!(code.contains(&format!("#![deny({everything})]")), "{dir}/lib.rs does not deny {everything}");
        for file in rust_files(dir) {
            for lint in taken_back(&code_lines(&file).join("\n")) {
                let is_known = TAKES_BACK.iter().any(|(known, back)| file == Path::new(known) && *back == lint);
                assert!(is_known, "{} takes back clippy::{lint}", file.display());
            }
        }
    }
}

#[test]
fn an_attribute_that_takes_a_lint_back_is_found() {
    assert_eq!(taken_back("#![expect(\n    clippy::panic,\n    reason = \"no\"\n)]\nmod a;"), ["panic"]);
    assert_eq!(taken_back("#[cfg_attr(all(), allow(clippy::unwrap_used))]\nfn a() {}"), ["unwrap_used"]);
    assert!(taken_back("#![deny(clippy::panic)]\n#[expect(clippy::panic_in_result_fn)]\nfn allow() {}").is_empty());
}
