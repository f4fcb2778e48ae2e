//! No way in without a fuzz target: the sources are searched for public functions that take foreign bytes, foreign text or a device.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nicfw_fuzz::TARGETS;

const ROOMS: &[&str] = &["src", "firmware-model/src", "cli/src/capture.rs"];

/// Text is foreign where a function of one of these names takes it; elsewhere it is the caller's own words.
const READERS: &[&str] = &["parse", "decode", "import"];

/// Functions that take bytes of the caller's own, or of somebody whom the driver has checked.
const OWN_BYTES: &[(&str, &str)] = &[
    ("src/mcdi/channel.rs call", "a request of the driver"),
    ("src/mcdi/cmd/ruleset.rs from_bytes", "any bytes are a hash"),
    ("src/dma/mapped.rs write", "bytes to be copied"),
    ("src/dma/shared.rs write", "bytes to be copied"),
    ("src/device/vfio_user/socket.rs send", "bytes to be sent"),
    ("src/device/vfio_user/socket.rs new", "what it receives is read by the two sides"),
    ("src/journal/hash.rs of", "any bytes have a hash"),
    ("firmware-model/src/mc/message.rs bytes", "bytes of an answer"),
    ("firmware-model/src/ports.rs put", "a frame for Model::carry"),
    ("firmware-model/src/ports.rs round", "frames that are shown"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let wanted = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|ext| ext == "rs");
    entries.filter(wanted).flat_map(|path| rust_files(&path)).collect()
}

/// Files that only tests compile.
fn is_for_tests(path: &str) -> bool {
    ["tests", "fake"].iter().any(|word| path.trim_end_matches(".rs").ends_with(word)) || path.contains("/tests/")
}

/// The code in front of a file's tests, without comments, in one line.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().take_while(|line| line.trim() != "mod tests {");
    lines.map(|line| line.split("//").next().unwrap_or_default().trim()).collect::<Vec<_>>().join(" ")
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Names of what takes foreign bytes or text in a piece of code.
fn entries(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tail in code.split("FromStr for ").skip(1) {
        found.push(word(tail).to_owned());
    }
    for tail in code.split("pub fn ").skip(1) {
        let name = word(tail);
        let signature = tail.split(" {").next().unwrap_or_default();
        let arguments = signature.split(" -> ").next().unwrap_or_default();
        let foreign = ["&[u8]", "UnixStream", "impl Read", "dyn Device"].iter().any(|kind| arguments.contains(kind))
            || arguments.contains("&str") && READERS.contains(&name);
        if foreign {
            found.push(name.to_owned());
        }
    }
    found
}

/// `FILE NAME` of each way in.
fn ways_in() -> BTreeSet<String> {
    let root = root();
    let mut found = BTreeSet::new();
    for file in ROOMS.iter().flat_map(|room| rust_files(&root.join(room))) {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if !is_for_tests(&path) {
            found.extend(entries(&code(&file)).into_iter().map(|name| format!("{path} {name}")));
        }
    }
    found
}

#[test]
fn every_way_in_has_a_target() {
    let ways = ways_in();
    let fuzzed: BTreeSet<_> = TARGETS.iter().flat_map(|target| target.ways_in).map(|way| (*way).to_owned()).collect();
    let own: BTreeSet<_> = OWN_BYTES.iter().map(|(way, _)| (*way).to_owned()).collect();
    let open: Vec<_> = ways.iter().filter(|way| !fuzzed.contains(*way) && !own.contains(*way)).collect();
    assert!(open.is_empty(), "no fuzz target reaches {open:#?}");
    let gone: Vec<_> = fuzzed.union(&own).filter(|way| !ways.contains(*way)).collect();
    assert!(gone.is_empty(), "these are no ways in (any more): {gone:#?}");
    eprintln!("{} ways in, {} targets", ways.len() - own.len(), TARGETS.len());
}

#[test]
fn the_search_finds_each_kind() {
    let source = "pub fn parse(text: &str) -> u8 { } impl FromStr for Mac { } pub fn name(text: &str) { } \
                  pub fn take( bytes: &[u8], n: u8, ) -> Option<()> { } pub fn shown() -> &[u8] { }";
    assert_eq!(entries(source), ["Mac", "parse", "take"]);
}

/// Functions of the C library that the target `c_calls` leaves to others.
const NOT_CALLED: &[(&str, &str)] = &[
    ("nicfw_probe", "reads this machine"),
    ("nicfw_policy_load", "nicfw_policy_parse behind a file"),
    ("nicfw_set_log", "one for the process"),
    ("nicfw_compiled_count_more", "compiles policies that fill the tables: too slow for a loop"),
    ("nicfw_abi_version", "takes nothing"),
    ("nicfw_version", "takes nothing"),
];

#[test]
fn every_c_function_is_called() {
    let header = fs::read_to_string(root().join("include/libnicfw.h")).unwrap();
    let target = fs::read_to_string(root().join("fuzz/src/targets/c_calls.rs")).unwrap();
    let declared =
        header.lines().filter(|line| !line.starts_with([' ', '/', '#', '}']) && !line.starts_with("typedef"));
    let names = declared.filter_map(|line| line.split_once('(')).map(|(start, _)| start);
    let names: BTreeSet<&str> = names.filter_map(|start| start.split([' ', '*']).next_back()).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let called = target.contains(&format!("{name}("));
        let left = NOT_CALLED.iter().any(|(other, _)| *other == name);
        assert!(called != left, "{name} is {}", if called { "called after all" } else { "called by no target" });
    }
}
