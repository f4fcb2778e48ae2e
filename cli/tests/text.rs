//! Text from outside: refused at every way in, shown escaped at every way out.

#[expect(dead_code, reason = "nothing here is golden")]
mod common;

use common::nicfw;
use nicfw::text::disturbs;
use serde_json::Value;

/// As `tests/data/journal/foreign_text.py` puts it behind every `who`.
const FORGED: &str = "ann\n2       2026-11-23T08:30:00Z   apply   root: forged";
const JOURNAL: &str = "tests/data/journal/foreign-text";

fn json(arguments: &[&str], code: i32) -> Value {
    let ran = nicfw(arguments);
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
}

#[test]
fn a_journal_of_before_forges_no_line_and_moves_no_cursor() {
    let plain = nicfw(&["journal", "tests/data/journal/format2", "history"]);
    let foreign = nicfw(&["journal", JOURNAL, "history"]);
    assert_eq!((foreign.code, foreign.stderr.as_str()), (0, ""));
    let rows = |text: &str| text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
    assert_eq!(rows(&foreign.stdout), rows(&plain.stdout), "{}", foreign.stdout);
    assert!(foreign.stdout.contains("\\u{a}") && foreign.stdout.contains("\\u{1b}"), "{}", foreign.stdout);
    for question in [&["show"][..], &["history"], &["entry", "10.30.1.17"], &["between", "1", "now"], &["plot"]] {
        let ran = nicfw(&[&["journal", JOURNAL], question].concat());
        assert_eq!(ran.code, 0, "{question:?}: {}", ran.stderr);
        assert!(!ran.stdout.contains(|c| c != '\n' && disturbs(c)), "{question:?}: {:?}", ran.stdout);
        assert!(!ran.stdout.lines().any(|line| line.starts_with("2       2026-11-23T08:30:00Z   apply   root")));
    }
}

#[test]
fn json_has_the_text_as_it_is_and_nothing_that_disturbs() {
    let ran = nicfw(&["journal", JOURNAL, "history", "--json"]);
    assert!(!ran.stdout.contains(|c| c != '\n' && disturbs(c)), "{:?}", ran.stdout);
    let first: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert!(first["who"].as_str().unwrap().ends_with(FORGED), "{first}");
    let export = nicfw(&["journal", JOURNAL, "export"]);
    assert!(!export.stdout.contains(|c| c != '\n' && disturbs(c)));
}

#[test]
fn a_failure_is_an_object_where_json_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yaml");
    std::fs::write(&path, "nicfw: 1\nunbound: maybe\npolicies:\n  web:\n    - {allow: in, proto: tpc}\n").unwrap();
    let path = path.to_str().unwrap();
    let error = &json(&["check", path, "--json"], 1)["error"];
    assert_eq!((&error["exit"], &error["code"]), (&Value::from(1), &Value::from("usage")));
    let places = error["places"].as_array().unwrap();
    let place = |n: usize| (places[n]["line"].as_u64(), places[n]["column"].as_u64(), places[n]["file"].as_str());
    assert_eq!(place(1), (Some(2), Some(10), Some(path)), "{error}");
    assert_eq!(place(2), (Some(5), Some(26), Some(path)), "{error}");
    assert_eq!(nicfw(&["check", path, "--json"]).stderr, nicfw(&["check", path]).stderr, "people read on");
    assert_eq!(nicfw(&["check", path]).stdout, "");

    let error = &json(&["check", "cli/tests/policies/too-large.yaml", "--json"], 3)["error"];
    assert_eq!(
        (&error["code"], &error["places"][0]["file"]),
        (&Value::from("does-not-fit"), &Value::from("cli/tests/policies/too-large.yaml"))
    );
    let error = &json(&["chek", "--json"], 1)["error"];
    assert_eq!((&error["code"], &error["places"]), (&Value::from("usage"), &serde_json::json!([])));
    let error = &json(&["journal", "cli/Cargo.toml", "show", "--json"], 1)["error"];
    assert_eq!(error["places"][0]["file"], "cli/Cargo.toml");
    assert_eq!(nicfw(&["check", "--", "--json"]).stdout, "", "behind -- it is a file");
}

/// Every flow of the openings and of a difference, in fields: nothing is cut off.
#[test]
fn openings_and_flows_have_fields() {
    let check = &json(&["check", "cli/demo/shop.yaml", "--json"], 0);
    let openings = check["openings"].as_array().unwrap();
    assert!(openings.iter().any(|opening| opening["flows"].is_object()), "{check}");
    for opening in openings {
        let listed = &opening["flows"];
        assert!(listed.is_null() || listed["remote"].is_array(), "{opening}");
        assert!(!opening.to_string().contains(" more"), "{opening}");
    }
    let diff = nicfw(&["diff", "cli/demo/shop.yaml", "cli/tests/policies/shop-changed.yaml", "--json"]);
    assert_eq!(diff.code, 2);
    let diff: Value = serde_json::from_str(&diff.stdout).unwrap();
    let flows = &diff["differences"][0]["flows"];
    assert_eq!(flows["local"]["frames"], "address", "{diff}");
    assert!(flows["remote"].is_array() && flows["local"]["ip"].is_string(), "{diff}");
}

/// Each line with what it says now.
#[test]
fn messages_name_the_right_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let policy = |what: &str, instead: &str| {
        let text = "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n    - {allow: in, proto: tcp, local_ports: 443}\n\
                    bindings:\n  - {container: c1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}\n";
        assert!(text.contains(what));
        let path = dir.path().join("p.yaml");
        std::fs::write(&path, text.replacen(what, instead, 1)).unwrap();
        let ran = nicfw(&["check", path.to_str().unwrap()]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        ran.stderr
    };
    let bad_ip = policy("ip: 10.30.1.17", "ip: 10.30.1.300");
    assert!(
        bad_ip.contains("\"10.30.1.300\" is not an IP address") && !bad_ip.contains("without an address"),
        "{bad_ip}"
    );
    assert!(policy("proto: tcp", "proto: TCP").contains("did you mean tcp?"));
    assert!(policy("proto: tcp", "proto: igmp").contains("igmp is protocol 2: write 2"));
    let see = |line: &[&str]| nicfw(line).stderr;
    assert!(see(&["replay", "--pcap", "x"]).ends_with("; see: nicfw replay --help\n"));
    assert!(
        see(&["journal", "x", "shw"]).ends_with("; see: nicfw journal --help\n"),
        "{}",
        see(&["journal", "x", "shw"])
    );
    assert!(see(&["journal", "x", "between", "y"]).ends_with("; see: nicfw journal between --help\n"));
    assert!(see(&["chek"]).ends_with("; see: nicfw --help\n"));
    let audit = see(&["audit", "--device", "vfio-user:/no/socket", "--every", "0s"]);
    assert!(audit.contains("expected a time above 0"), "{audit}");
    let help = nicfw(&["replay", "--help"]).stdout;
    assert!(help.contains("pcapng") && help.contains("loopback"), "{help}");
}
