//! `nicfw import`: the policy on stdout, what it does not say on stderr, and the exit code.

mod common;

use common::{Ran, golden, nicfw};
use serde_json::Value;

fn import(format: &str, file: &str, more: &[&str]) -> Ran {
    let file = format!("cli/tests/imports/{file}");
    let bound = ["--container", "shop-1", "--ip", "10.30.1.17", "--mac", "02:00:0a:1e:01:11"];
    nicfw(&[&["import", "--format", format, &file], &bound[..], more].concat())
}

/// What is printed is golden, and `nicfw check` takes the policy.
#[track_caller]
fn says(format: &str, file: &str, code: i32) {
    let ran = import(format, file, &[]);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    golden(&format!("import-{format}"), &format!("{}--- stderr\n{}", ran.stdout, ran.stderr));
    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), &ran.stdout).unwrap();
    let checked = nicfw(&["check", policy.path().to_str().unwrap()]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    let json = import(format, file, &["--json"]);
    assert_eq!((json.code, json.stderr.as_str()), (code, ""));
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["policy"], ran.stdout);
    assert_eq!(json["not_carried"].as_array().unwrap().is_empty(), code == 0);
}

#[test]
fn all_carried_exits_0() {
    says("classbench", "filters.rules", 0);
}

#[test]
fn lines_that_cannot_be_said_exit_3() {
    says("iptables", "rules.v4", 3);
    says("nft", "ruleset.json", 3);
}

#[test]
fn what_is_no_rules_file_has_a_line_a_reason_and_no_output() {
    let ran = import("iptables", "filters.rules", &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr.starts_with("cli/tests/imports/filters.rules:1: a line outside of a table; expected"),
        "{}",
        ran.stderr
    );
    let ran = import("nft", "no-such-file", &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
}
