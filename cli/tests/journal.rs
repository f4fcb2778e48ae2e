//! `nicfw journal` on journals that the library has written.

mod common;

use std::fs;
use std::path::Path;

use common::{golden, nicfw, root};
use serde_json::Value;
use tempfile::TempDir;

/// Every event in it once; `tests/data/journal/README.md` tells more.
const FILE: &str = "tests/data/journal/format2";
const HEAD: &str = "21:";

#[track_caller]
fn both(name: &str, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["journal", FILE], arguments].concat();
    let ran = nicfw(&arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    golden(name, &ran.stdout);
    let ran = nicfw(&[&arguments[..], &["--json"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn show() {
    let json = both("journal-show", &["show"]);
    assert_eq!((&json[0]["records"], &json[0]["change"]), (&21.into(), &20.into()));
}

#[test]
fn history_of_all_of_a_container_and_of_a_rule() {
    let all = both("journal-history", &["history"]);
    assert_eq!(all.len(), 8);
    let shop = both("journal-history-container", &["history", "shop-1"]);
    assert_eq!(shop.iter().map(|change| change["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 4, 7, 11, 15]);
    let rule = both("journal-history-rule", &["history", "--rule", "CHG-1090"]);
    assert_eq!((rule.len(), &rule[0]["approval"]), (4, &"bob".into()));
}

#[test]
fn an_entry_tells_its_origin() {
    let json = both("journal-entry", &["entry", "10.30.1.18", "udp", "--at", "2026-11-23T00:06:30Z"]);
    let origins: Vec<_> = json.iter().flat_map(|entry| entry["origins"].as_array().unwrap()).collect();
    assert!(origins.iter().any(|origin| origin["ticket"] == "CHG-1061"), "{origins:?}");
    let none = nicfw(&["journal", FILE, "entry", "10.30.1.200"]);
    assert_eq!((none.code, none.stdout), (0, format!("{FILE}: 0 entries after record 21\n")));
}

#[test]
fn between_two_moments() {
    let json = both("journal-between", &["between", "3", "6"]);
    let by_date = nicfw(&["journal", FILE, "between", "2026-11-23T00:03:00Z", "2026-11-23T00:06:59Z", "--json"]);
    assert_eq!(json[0], serde_json::from_str::<Value>(&by_date.stdout).unwrap());
    let refused = nicfw(&["journal", FILE, "between", "yesterday", "now"]);
    assert!(refused.code == 1 && refused.stderr.contains("expected now"), "{}", refused.stderr);
    let refused = nicfw(&["journal", FILE, "between", "0", "22"]);
    assert_eq!(refused.stderr, format!("{FILE}: the journal has no record 22: its last record is 21\n"));
}

#[test]
fn plot_is_a_picture() {
    let json = both("journal-plot", &["plot"]);
    assert_eq!(json[0].as_array().unwrap().len(), 8);
}

#[test]
fn export_and_anchor() {
    let ran = nicfw(&["journal", FILE, "export"]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, lines.len(), &lines[20]["number"]), (0, 21, &21.into()));
    let head = nicfw(&["journal", FILE, "export", "--anchor"]).stdout;
    assert_eq!(head.trim_end(), format!("{HEAD}{}", lines[20]["hash"].as_str().unwrap()));
    both("journal-verify", &["verify"]);
    let json = both("journal-verify-anchor", &["verify", "--anchor", head.trim_end()]);
    assert_eq!(json[0]["anchored"], true);
    let older = format!("3:{}", lines[2]["hash"].as_str().unwrap());
    assert_eq!(nicfw(&["journal", FILE, "verify", "--anchor", &older]).code, 0);
    let other = format!("3:{}", lines[3]["hash"].as_str().unwrap());
    let rewritten = nicfw(&["journal", FILE, "verify", "--anchor", &other]);
    assert_eq!((rewritten.code, rewritten.stdout.as_str()), (4, ""));
    golden("journal-rewritten", &rewritten.stderr);
    let cut = nicfw(&["journal", FILE, "verify", "--anchor", &older.replace("3:", "30:")]);
    assert!(cut.code == 4 && cut.stderr.contains("it ends before record 30"), "{}", cut.stderr);
}

#[test]
fn damage_exits_with_4_and_what_is_no_journal_with_1() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("j");
    let mut bytes = fs::read(root().join(FILE)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let run = |path: &Path| nicfw(&["journal", path.to_str().unwrap(), "verify"]);
    let damaged = run(&path);
    assert!(damaged.code == 4 && damaged.stderr.contains("damaged at record"), "{}", damaged.stderr);
    let policy = nicfw(&["journal", "cli/demo/shop.yaml", "verify"]);
    let text = "cli/demo/shop.yaml: not a journal: it does not begin as one; check the path\n";
    assert_eq!((policy.code, policy.stderr.as_str()), (1, text));
    let none = run(&dir.path().join("none"));
    assert!(none.code == 1 && none.stderr.contains("No such file"), "{}", none.stderr);
}

#[test]
fn an_older_journal_is_migrated_and_a_key_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let (path, key) = (dir.path().join("j"), dir.path().join("key"));
    fs::copy(root().join("tests/data/journal/format1-keyed"), &path).unwrap();
    fs::write(&key, "a key of this test's own").unwrap();
    let (path, key) = (path.to_str().unwrap(), key.to_str().unwrap());
    let older = nicfw(&["journal", path, "--key", key, "show"]);
    assert!(older.code == 1 && older.stderr.contains("journal FILE migrate"), "{}", older.stderr);
    let missing = nicfw(&["journal", path, "migrate"]);
    assert_eq!(missing.stderr, format!("{path}: the journal was written with a key: give it\n"));
    let done = nicfw(&["journal", path, "--key", key, "migrate", "--json"]);
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &json["records"], &json["from_format"]), (0, &21.into(), &1.into()));
    let again = nicfw(&["journal", path, "--key", key, "migrate"]);
    assert_eq!(again.stdout, format!("{path}: it has the format of this nicfw; nothing was done\n"));
    let verified = nicfw(&["journal", path, "--key", key, "verify"]);
    assert!(verified.code == 0 && verified.stdout.contains("nobody without the key"), "{}", verified.stdout);
}
