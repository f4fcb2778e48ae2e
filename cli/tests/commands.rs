//! Every command on files of this repository: what it prints, its JSON, its exit code.

mod common;

use common::{golden, nicfw, root};
use serde_json::Value;

const SHOP: &str = "cli/demo/shop.yaml";
const CAPTURES: &str = "cli/tests/policies/captures.yaml";

/// Runs a command for people and for programs: the first is golden, the second valid JSON, one object a line.
#[track_caller]
fn both(name: &str, arguments: &[&str], code: i32) -> Vec<Value> {
    let ran = nicfw(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{}", ran.stdout);
    golden(name, &ran.stdout);
    let ran = nicfw(&[arguments, &["--json"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{}", ran.stdout);
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn captures() -> Vec<String> {
    let files = std::fs::read_dir(root().join("tests/pcap")).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".pcap"));
    names.sort();
    names
}

#[test]
fn check() {
    let json = both("check", &["check", SHOP], 0);
    assert_eq!((&json[0]["rules"], &json[0]["bindings"]), (&Value::from(9), &Value::from(2)));
}

#[test]
fn check_prints_the_canonical_form() {
    let ran = nicfw(&["check", SHOP, "--canonical"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    golden("check-canonical", &ran.stdout);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &ran.stdout).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(nicfw(&["check", path, "--canonical"]).stdout, ran.stdout, "its own canonical form");
    assert_eq!(nicfw(&["diff", SHOP, path]).code, 0, "it means the same");
}

#[test]
fn plan_counts_the_commands_of_a_change() {
    both("plan", &["plan", SHOP], 0);
    let json = both("plan-change", &["plan", "cli/tests/policies/shop-changed.yaml", "--from", SHOP], 0);
    assert_eq!(json[0]["change"]["closed_meanwhile"], serde_json::json!([]));
    let change = &json[0]["change"];
    assert_eq!(change["by_phase"], serde_json::json!({"tighten": 1, "loosen": 1}));
    let peaks = [("rules", 22), ("combinations of match fields", 12)];
    let peaks = peaks.map(|(table, used)| serde_json::json!({"table": table, "used": used}));
    assert_eq!(change["peaks"], serde_json::json!(peaks));
    let same = nicfw(&["plan", SHOP, "--from", SHOP, "--json"]);
    let same: Value = serde_json::from_str(&same.stdout).unwrap();
    assert_eq!(same["change"]["commands"], 0);
}

#[test]
fn plan_estimates_the_time_at_a_latency() {
    let changed = ["plan", "cli/tests/policies/shop-changed.yaml", "--from", SHOP, "--latency", "50us"];
    let json = both("plan-latency", &changed, 0);
    // Two commands of 50 us, and between tightening and loosening 10 ms.
    assert_eq!(json[0]["change"]["estimate"]["total_ns"], 2 * 50_000 + 10_000_000);
}

#[test]
fn plan_says_how_many_more_fit() {
    let json = both("plan-more", &["plan", SHOP, "--how-many-more", "db-1"], 0);
    let more = &json[0]["how_many_more"];
    // Of 8,192 entries 22 are used, 5 of them by db-1 as `plan` itself lists.
    assert_eq!((&more["more"], &more["table"]), (&Value::from((8192 - 22) / 5), &Value::from("rules")));
    let ran = nicfw(&["plan", SHOP, "--how-many-more", "db-2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    golden("plan-more-nobody", &ran.stderr);
}

#[test]
fn plan_says_who_fills_a_table_that_is_too_small() {
    let json = both("plan-too-large", &["plan", "cli/tests/policies/too-large.yaml", "--by", "binding"], 3);
    let rules = &json[0]["tables"][0];
    assert_eq!((&rules["missing"], &json[0]["fits"]), (&Value::from(3988), &Value::from(false)));
}

#[test]
fn apply_reads_the_tables_back() {
    let json = both("apply", &["apply", SHOP], 0);
    assert_eq!(json[0]["drift"], serde_json::json!([]));
}

#[test]
fn show() {
    let json = both("show", &["show", SHOP], 0);
    let entries = json[0]["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| !entry["origins"].as_array().unwrap().is_empty()), "every entry has an origin");
    let deny = entries.iter().find(|entry| entry["entry"]["text"] == "local 10.30.1.17").unwrap();
    assert_eq!(deny["entry"]["fields"], serde_json::json!({"local_ip": "10.30.1.17"}));
}

#[test]
fn info() {
    let json = both("info", &["info"], 0);
    assert_eq!((&json[0]["emulated"], &json[0]["family"]), (&Value::from(true), &Value::from("rules")));
    let size = |name: &str| {
        let sizes = json[0]["sizes"].as_array().unwrap().iter();
        sizes.filter(|size| size["name"] == name).map(|size| size["value"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((size("rules"), size("entries_per_node")), (vec![8192], vec![16]));
    // What would refute an assumption is said in the words of the documents.
    let table = include_str!("../../docs/assumptions.md");
    let assumptions = json[0]["assumptions"].as_array().unwrap();
    assert_eq!(assumptions.len(), 14);
    for line in assumptions {
        let number = line["assumption"].as_str().unwrap().split(' ').next().unwrap();
        let cell = format!("| {} |", line["refuted_by"].as_str().unwrap());
        let row = table.lines().find(|row| row.starts_with(&format!("| {number} |"))).unwrap();
        assert!(row.ends_with(&cell), "the row of {number} is to end with {cell}");
    }
}

#[test]
fn explain_names_verdict_rule_ticket_and_entry() {
    let json = both("explain-in", &["explain", SHOP, "tcp 10.20.3.4:51000 > 10.30.1.17:443"], 0);
    let judgement = &json[0]["judgements"][0];
    assert_eq!((&json[0]["verdict"], &judgement["ticket"]), (&Value::from("allow"), &Value::from("CHG-1042")));
    assert_eq!(judgement["origin"], "cli/demo/shop.yaml:12");
    both("explain-words", &["explain", SHOP, "udp", "10.99.0.66:53", ">", "10.30.1.17:40000"], 0);
    both("explain-arp", &["explain", SHOP, "arp 02:00:0a:1e:01:11 > ff:ff:ff:ff:ff:ff out"], 0);
}

#[test]
fn explain_names_the_nearest_rule_of_a_denied_flow() {
    let json = both("explain-nearest", &["explain", SHOP, "tcp 10.9.0.1:51000 > 10.30.1.17:8443"], 0);
    let nearest = &json[0]["judgements"][0]["nearest"];
    let fields: Vec<_> = nearest["obstacles"].as_array().unwrap().iter().map(|one| one["field"].as_str()).collect();
    assert_eq!(
        (nearest["origin"].as_str(), fields),
        (Some("cli/demo/shop.yaml:12"), vec![Some("remote"), Some("local-port")])
    );
    let json = both("explain-before", &["explain", SHOP, "tcp 10.30.1.17:40000 > 10.99.0.1:443"], 0);
    assert_eq!(json[0]["judgements"][0]["nearest"]["obstacles"][0]["field"], "order");
}

#[test]
fn explain_gives_two_verdicts_between_two_bindings() {
    let json = both("explain-both", &["explain", SHOP, "tcp 10.30.1.17:40000 > 10.30.1.18:443"], 0);
    let verdicts = json[0]["judgements"].as_array().unwrap().iter().map(|j| (&j["direction"], &j["verdict"]));
    let expected = [("tx", "allow"), ("rx", "deny")].map(|(side, verdict)| (Value::from(side), Value::from(verdict)));
    assert!(verdicts.eq(expected.iter().map(|(side, verdict)| (side, verdict))), "{json:?}");
    assert_eq!(json[0]["verdict"], "deny");
}

#[test]
fn diff_exits_2_for_other_verdicts_and_0_for_the_same() {
    let json = both("diff", &["diff", SHOP, "cli/tests/policies/shop-changed.yaml"], 2);
    assert_eq!((&json[0]["newly_allowed"], &json[0]["newly_denied"]), (&Value::from(2), &Value::from(2)));
    let json = both("diff-same", &["diff", SHOP, SHOP], 0);
    assert_eq!(json[0]["same"], true);
}

#[test]
fn lint_exits_2_for_findings_and_0_for_none() {
    let json = both("lint", &["lint", "cli/tests/policies/lint.yaml", "--today", "2026-11-23"], 2);
    let findings = json[0]["findings"].as_array().unwrap();
    let of =
        |name: &str| findings.iter().find(|finding| finding["lint"] == name).unwrap_or_else(|| panic!("no {name}"));
    let hidden = of("never-matches");
    assert_eq!(hidden["place"], "cli/tests/policies/lint.yaml:16");
    assert_eq!(hidden["refers_to"].as_array().unwrap().len(), 2);
    // All IPv4 addresses but 2^28 groups and the broadcast, and the ports 32768 to 60999.
    assert_eq!(of("replies-open-much")["pairs"], ((1u64 << 32) - (1 << 28) - 1) * 28_232);
    for name in ["duplicate", "could-be-one", "no-reason", "expired", "no-path-mtu", "unused-policy", "unused-group"] {
        of(name);
    }
    // The lines of policy mail.
    for (name, line) in [("dead-deny", 29), ("unseen-protocol", 30), ("idle-exception", 31)] {
        assert_eq!(of(name)["place"], format!("cli/tests/policies/lint.yaml:{line}"), "{name}");
    }
    let json = both("lint-clean", &["lint", "cli/tests/policies/lint-clean.yaml", "--today", "2026-11-23"], 0);
    assert_eq!((&json[0]["today"], &json[0]["findings"]), (&Value::from("2026-11-23"), &serde_json::json!([])));
    let json = both("lint-expired", &["lint", "cli/tests/policies/lint-clean.yaml", "--today", "2026-11-24"], 2);
    assert_eq!(json[0]["findings"][0]["lint"], "expired");
}

#[test]
fn every_capture_is_replayed_and_the_adapter_agrees() {
    assert_eq!(captures().len(), 8);
    for capture in captures() {
        let pcap = format!("tests/pcap/{capture}");
        let name = format!("replay-{}", capture.trim_end_matches(".pcap"));
        let frames = both(&name, &["replay", "--policy", CAPTURES, "--pcap", &pcap], 0);
        for (frame, number) in frames.iter().zip(1u64..) {
            assert_eq!((frame["frame"].as_u64(), &frame["agrees"]), (Some(number), &Value::from(true)), "{capture}");
        }
    }
}

/// Verdicts by hand, from the captures and the policy: the sender's side first.
#[test]
fn replay_judges_as_read_by_hand() {
    const DENY: &[&str] = &["deny"];
    let cases: [(&str, &[&[&str]]); 5] = [
        // Inbound port 80 is open; replies are off.
        ("accecn_handshake", &[&["allow"], &["deny"], &["allow"], &["allow"], &["deny"], &["deny"]]),
        ("dns_udp", &[&["allow"], &["allow"]]),
        ("dns_tcp", &[DENY; 11]),
        // Nobody bound the addresses of frames 1 and 3, but the MAC of the receiver is a container's alone. Frames 2 and 4
        // are for a container with an empty policy: behind its routing header frame 2 is icmpv6, which is open.
        ("ipv6-routing-header", &[DENY, &["allow"], DENY, DENY]),
        // From tunnel-b, whose policy is empty, to tunnel-a; then back, where frame 4's local port is denied.
        ("vxlan", &[&["deny", "allow"], &["allow", "deny"], &["deny", "allow"], &["deny", "deny"]]),
    ];
    for (capture, expected) in cases {
        let pcap = format!("tests/pcap/{capture}.pcap");
        let ran = nicfw(&["replay", "--json", "--policy", CAPTURES, "--pcap", &pcap]);
        assert!(ran.stdout.lines().count() >= expected.len(), "{capture}: {}", ran.stderr);
        for (line, expected) in ran.stdout.lines().zip(expected) {
            let frame: Value = serde_json::from_str(line).unwrap();
            let verdicts: Vec<_> =
                frame["judgements"].as_array().unwrap().iter().map(|j| j["verdict"].as_str().unwrap()).collect();
            assert_eq!(verdicts, *expected, "{capture}, frame {}", frame["frame"]);
        }
    }
}

#[test]
fn counters_count_each_frame_once() {
    let json = both("counters", &["counters", "--policy", CAPTURES, "--pcap", "tests/pcap/dns_udp.pcap"], 0);
    let counters = json[0]["counters"].as_array().unwrap();
    let sum = |side: &str| counters.iter().map(|counter| counter[side].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("rx"), sum("tx")), (1, 1), "one question out, one answer in");
}

#[test]
fn what_does_not_fit_exits_3() {
    let ran = nicfw(&["check", "cli/tests/policies/too-large.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
    golden("too-large", &ran.stderr);
    let ran = nicfw(&["apply", "cli/tests/policies/inexpressible.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
    golden("inexpressible", &ran.stderr);
}
