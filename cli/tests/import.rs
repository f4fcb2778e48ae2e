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

const AGAIN: [&str; 7] =
    ["import", "--format", "iptables", "--uplink", "eth0", "--again", "cli/tests/imports/behind-target-e922d4a.yaml"];

/// nicfw e922d4a read `-A INPUT -j ACCEPT -s 10.0.0.9` without what stands behind the target, and let everybody in.
#[test]
fn what_an_older_version_imported_too_openly_is_found() {
    let ran = nicfw(&AGAIN);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""), "{}", ran.stdout);
    let first = "opens in: c1 10.30.1.17 by 02:00:0a:1e:01:11, tcp, remote 0.0.0.0/0 but 10.0.0.9/32, without ports\n";
    assert!(ran.stdout.starts_with(first), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n    by: "), "{}", ran.stdout);
    let last = "cli/tests/imports/behind-target-e922d4a.yaml: container c1 gets more than tests/data/import/condition-behind-target.save, \
                imported again, admits: ";
    assert!(ran.stdout.lines().last().unwrap().starts_with(last), "{}", ran.stdout);
    // What goes out was read rightly.
    assert!(!ran.stdout.contains("opens out"), "{}", ran.stdout);
}

#[test]
fn what_it_opens_is_one_json_object() {
    let ran = nicfw(&[&AGAIN[..], &["--json"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["source"], "tests/data/import/condition-behind-target.save");
    assert_eq!(json["container"], "c1");
    let opens = json["opens"].as_array().unwrap();
    assert!(!opens.is_empty() && opens.iter().all(|it| it["direction"] == "rx"), "{}", ran.stdout);
}

#[test]
fn an_import_of_today_opens_nothing_beyond_its_source() {
    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), import("iptables", "rules.v4", &[]).stdout).unwrap();
    let again = |more: &[&str]| {
        nicfw(&[&["import", "--format", "iptables", "--again", policy.path().to_str().unwrap()], more].concat())
    };
    // The rules' reasons name the source; it can also be named.
    for more in [&[][..], &["cli/tests/imports/rules.v4"], &["--container", "shop-1"]] {
        let ran = again(more);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        assert!(ran.stdout.contains("container shop-1 gets nothing that cli/tests/imports/rules.v4"), "{}", ran.stdout);
    }
    let ran = again(&["--container", "shop-2"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("it does not bind the container"), "{}", ran.stderr);
    let ran = again(&["--mac", "02:00:0a:1e:01:11"]);
    assert_eq!(ran.code, 1, "what the policy says cannot be said otherwise");
}

#[test]
fn a_policy_that_names_no_source_asks_for_it() {
    let policy = "cli/tests/policies/lint-clean.yaml";
    let ran = nicfw(&["import", "--format", "iptables", "--container", "shop-1", "--again", policy]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr.contains("no rule says from which file it was imported; name the file behind --again"),
        "{}",
        ran.stderr
    );
}
