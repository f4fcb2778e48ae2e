//! The cheapest rewriting of documents that are refused: its words, and that what it says is true.

use std::fs;

use nicfw::policy::Document;
use nicfw::tables::{Compiled, Table, Target};
use nicfw::terms::Verdict;
use nicfw_test_kit::documents::{document, flow};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::{is_sound, tiny};

const GOLDEN: &str = "tests/golden/rewritings.txt";

fn parse(rules: &str) -> Document {
    let rules: String = rules.lines().map(|rule| format!("    - {{{rule}}}\n")).collect();
    let binding = |at: usize, ip: &str| {
        format!(
            "  - {{container: shop-{at}, mac: \"02:00:0a:1e:01:0{at}\", attach: sriov, policy: web, ip: {ip}, nd: open-icmpv6}}\n"
        )
    };
    let v6 = rules.contains("::");
    let ips = if v6 { ["2001:db8::11", "2001:db8::12"] } else { ["10.30.1.17", "10.30.1.18"] };
    let mut bindings: String = ips.iter().zip(1..).map(|(ip, at)| binding(at, &format!("\"{ip}\""))).collect();
    if !v6 {
        bindings = bindings.replace(", nd: open-icmpv6", "");
    }
    let text = format!("nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n{rules}bindings:\n{bindings}");
    Document::parse(&text, "web.yaml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn target(title: &str) -> Target {
    let mut target = Target::profile0();
    for (name, size) in title.split(", ").filter_map(|word| word.split_once('=')) {
        let size: u32 = size.parse().unwrap();
        match name {
            "rules" => target.profile.rules = size,
            "subnet_ids" => target.sizes.subnet_id_max = target.sizes.subnet_id_min + size - 1,
            "subnet_nodes" => target.sizes.subnet_nodes = size,
            "port_ids" => target.sizes.portrange_id_max = target.sizes.portrange_id_min + size - 1,
            _ => panic!("{title}: no size {name}"),
        }
    }
    target
}

#[test]
fn refusals_name_the_cheapest_rewriting() {
    let text = fs::read_to_string(GOLDEN).unwrap();
    let mut cases = text.split("=== ");
    let mut found = cases.next().unwrap().to_owned();
    for case in cases {
        let (title, rest) = case.split_once('\n').unwrap();
        let (rules, _) = rest.split_once("\n~~~").unwrap();
        let (document, target) = (parse(rules), target(title));
        let refusal = Compiled::new(&document, &target, None).map(|_| ()).expect_err(title);
        let rewriting = refusal.rewriting(&document, &target);
        let words = rewriting.map_or_else(|| "no rewriting was found".to_owned(), |rewriting| rewriting.to_string());
        found += &format!("=== {title}\n{rules}\n~~~\n{refusal}\n{words}\n\n");
    }
    let found = format!("{}\n", found.trim_end());
    if std::env::var_os("NICFW_BLESS").is_some() {
        fs::write(GOLDEN, &found).unwrap();
    }
    for (at, (expected, found)) in text.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{GOLDEN}:{}", at + 1);
    }
    assert_eq!(text, found, "{GOLDEN}");
}

proptest! {
    #![proptest_config(Config { cases: 60, ..Config::default() })]

    /// It compiles, and where it judges a flow otherwise it says that it allows or denies something.
    #[test]
    fn a_rewriting_fits_and_says_all_that_it_changes(
        document in document(3),
        flows in prop::collection::vec(flow(), 60),
        small in any::<bool>(),
    ) {
        let target = if small { tiny() } else { Target::profile0() };
        let Err(refusal) = Compiled::new(&document, &target, None) else { return Ok(()) };
        prop_assert!(is_sound(&refusal));
        let Some(rewriting) = refusal.rewriting(&document, &target) else { return Ok(()) };
        let after = Compiled::new(&rewriting.document, &target, None);
        prop_assert!(after.is_ok(), "{rewriting}");
        prop_assert!(!rewriting.edits.is_empty());
        prop_assert_eq!(document.bindings.len(), rewriting.document.bindings.len());
        let least = rewriting.usage.iter().filter(|usage| usage.table != Table::Counters).map(|usage| usage.missing()).sum::<u64>();
        prop_assert_eq!(least, 0);
        for flow in &flows {
            let (was, is) = (document.decide(flow).verdict, rewriting.document.decide(flow).verdict);
            if was != is {
                let said = if is == Verdict::Allow { rewriting.allowed().next() } else { rewriting.denied().next() };
                prop_assert!(said.is_some(), "{flow:?} is judged otherwise: {rewriting}");
            }
        }
    }
}

/// The document of the case that was found: what was tried, and is sound, is what is said.
#[test]
fn edits_say_what_was_tried_in_the_words_of_a_policy_file() {
    let text = r#"
nicfw: 1
unbound: deny
multicast: deny
policies:
  web:
    - {allow: in, proto: tcp, local_ports: 443, remote: any, reason: r}
    - {allow: out, proto: tcp, remote: any, reason: r}
bindings:
  - {container: c1, ip: "2001:db8::17", mac: "02:00:0a:1e:01:11", attach: sriov, policy: web, nd: open-icmpv6}
"#;
    let document = Document::parse(text, "web.yaml").unwrap();
    let refusal = Compiled::new(&document, &Target::profile0(), None).unwrap_err();
    let rewriting = refusal.rewriting(&document, &Target::profile0()).expect("one fits");
    let edits: Vec<String> = rewriting.edits.iter().map(|edit| format!("{} {}", edit.origin, edit.text)).collect();
    assert_eq!(edits, ["web.yaml:8 say remote: 0.0.0.0/0 instead of any", "web.yaml:7 say replies: no"]);
}

/// The values that an edit says, as `key: value` of a rule.
fn said(text: &str) -> Option<(&str, &str)> {
    let (said, _) = text.strip_prefix("say ")?.split_once(" instead of ")?;
    said.split_once(": ")
}

proptest! {
    #![proptest_config(Config { cases: 150, ..Config::default() })]

    /// What stands in an edit can be put into the rule as it stands: then it is the rule that was tried.
    #[test]
    fn edits_can_be_written_as_they_stand(document in document(4)) {
        for target in [tiny(), Target::profile0()] {
            let Err(refusal) = Compiled::new(&document, &target, None) else { continue };
            let Some(rewriting) = refusal.rewriting(&document, &target) else { continue };
            for (at, edit) in rewriting.edits.iter().enumerate() {
                // A rule may be edited twice: the document that was tried has the last edit.
                let is_last = rewriting.edits[at + 1..].iter().all(|later| later.origin != edit.origin);
                let Some((key, value)) = said(&edit.text).filter(|_| is_last) else { continue };
                let ports = if key == "remote" { "" } else { ", proto: tcp" };
                let text = format!(
                    "nicfw: 1\nunbound: deny\nmulticast: deny\npolicies: {{p: [{{allow: in{ports}, {key}: {value}}}]}}\nbindings: []\n"
                );
                let parsed = Document::parse(&text, "edit.yaml");
                prop_assert!(parsed.is_ok(), "{}: {}", edit.text, parsed.err().map_or_else(String::new, |e| e.to_string()));
                let rule = parsed.unwrap().policies[0].rules[0].clone();
                let tried = rewriting.document.policies.iter().flat_map(|policy| &policy.rules);
                let is_it = |tried: &nicfw::policy::Rule| match (key, &tried.ports, &rule.ports) {
                    ("remote", ..) => tried.remote.set == rule.remote.set,
                    ("local_ports", Some(a), Some(b)) => a.local == b.local,
                    ("remote_ports", Some(a), Some(b)) => a.remote == b.remote,
                    _ => false,
                };
                prop_assert!(tried.into_iter().any(is_it), "{} is not what was tried", edit.text);
            }
        }
    }
}
