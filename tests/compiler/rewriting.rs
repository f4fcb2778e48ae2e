//! The cheapest rewriting of documents that are refused: its words, and that what it says is true.

use std::fs;

use nicfw::policy::{Compiled, Document, Table};
use nicfw::tables::{Target, Verdict};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::documents::{document, flow};
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
