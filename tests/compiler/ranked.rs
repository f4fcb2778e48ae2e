//! Ranked lookup orders: what is compiled for one decides as the evaluator does, or it is refused.

use nicfw::policy::{Document, Why};
use nicfw::tables::{Action, CompileError, Compiled, RuleKey, Target};
use nicfw::terms::Flow;
use nicfw_test_kit::documents::{document, flow};
use nicfw_test_kit::orders::{locals, ranked, shuffled, specific_first, target};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::{agree, is_sound};

/// The entry that decides above the base carries the rule that decides.
fn names_the_rule(compiled: &Compiled, flow: &Flow) -> Result<(), TestCaseError> {
    let explained = compiled.explain(flow);
    let Some(entry) = explained.entry.filter(|entry| !entry.key.is_base()) else { return Ok(()) };
    let Why::Rule { place, .. } = explained.decision.why else { return Ok(()) };
    let rules = entry.origins.iter().filter_map(|id| compiled.origin(*id)?.rule).collect::<Vec<_>>();
    prop_assert!(rules.contains(&place), "{:?}: {} is for {:?}, not for {:?}", flow, entry.key, rules, place);
    Ok(())
}

fn check(document: &Document, target: &Target, flows: &[Flow]) -> Result<bool, TestCaseError> {
    match Compiled::new(document, target, None) {
        Ok(compiled) => {
            agree(document, &compiled, flows, 0)?;
            flows.iter().try_for_each(|flow| names_the_rule(&compiled, flow))?;
            Ok(true)
        }
        Err(error) => {
            prop_assert!(is_sound(&error), "{error:?}");
            Ok(false)
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 200, ..Config::default() })]

    #[test]
    fn any_order_agrees_or_refuses(
        document in document(4),
        flows in prop::collection::vec(flow(), 200),
        seed in any::<u64>(),
        specific in any::<bool>(),
    ) {
        let tails = if specific { specific_first(seed) } else { shuffled(seed) };
        check(&document, &target(ranked(&tails, &locals())), &flows)?;
    }
}

/// What an unordered table cannot say, and what no order helps with: IPv6 prefixes, because the subnet map has none.
#[test]
fn with_the_more_specific_first_all_of_ipv4_can_be_said() {
    let mut runner = TestRunner::deterministic();
    let strategy = document(4);
    let mut all = 0;
    let target = target(ranked(&specific_first(1), &locals()));
    while all < 150 {
        let mut document = strategy.new_tree(&mut runner).unwrap().current();
        document.bindings.retain(|binding| binding.ips.iter().all(|ip| ip.is_ipv4()));
        if document.bindings.is_empty() {
            continue;
        }
        all += 1;
        if let Err(error) = Compiled::new(&document, &target, None) {
            panic!("{error}");
        }
    }
}

fn text(rules: &str) -> Document {
    let binding = "{container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}";
    let text =
        format!("nicfw: 1\nunbound: allow\nmulticast: allow\npolicies:\n  web:\n{rules}bindings:\n  - {binding}\n");
    Document::parse(&text, "web.yaml").unwrap()
}

/// Keys above the base, without the local side and ARP, with what they do to received frames.
fn entries(compiled: &Compiled) -> Vec<String> {
    let above = compiled.image().rules.iter().filter(|(key, _)| key.ip_proto.is_some() || key.remote_ip.is_some());
    let tail = |key: &RuleKey| RuleKey { local_ip: None, local_mac: None, ether_type: None, ..*key };
    above.map(|(key, entry)| format!("{}: {:?}", tail(key), entry.rx.action.verdict())).collect()
}

#[test]
fn a_denied_port_inside_a_wide_allow_is_one_entry_more() {
    let rules = "    - {deny: in, proto: tcp, local_ports: 22}\n    - {allow: in, proto: tcp, replies: no}\n";
    let target = target(ranked(&specific_first(0), &locals()));
    let compiled = Compiled::new(&text(rules), &target, None).unwrap();
    assert_eq!(entries(&compiled), ["ip_proto=6: Some(Allow)", "ip_proto=6 local_port=22: Some(Deny)"]);
    let flow = "tcp 192.0.2.1:50000 > 10.30.1.17:22".parse::<nicfw::policy::FlowText>().unwrap();
    let explained = compiled.explain(&flow.judgements(compiled.document()).unwrap()[0]);
    assert_eq!(explained.origin.unwrap().line, 6);
    let entry = explained.entry.unwrap();
    let lines: Vec<u32> = entry.origins.iter().map(|id| compiled.origin(*id).unwrap().origin.line).collect();
    assert_eq!(lines, [6], "the deny rule asked for the entry");
}

#[test]
fn a_sampled_deny_is_an_entry() {
    let rules = "    - {deny: in, proto: tcp, local_ports: 22, sample: true}\n    - {allow: in, proto: tcp, local_ports: 80, replies: no}\n";
    let target = target(ranked(&specific_first(0), &locals()));
    let compiled = Compiled::new(&text(rules), &target, None).unwrap();
    let sampled = compiled.image().rules.values().filter(|entry| entry.rx.action == Action::Deny { sample: true });
    assert_eq!(sampled.count(), 1);
    let refused = Compiled::new(&text(rules), &Target::profile0(), None).unwrap_err();
    assert!(matches!(refused, CompileError::SampledDeny { .. }), "{refused}");
}

#[test]
fn what_the_order_cannot_say_is_refused_with_rule_and_way_out() {
    use nicfw::tables::MatchFields as F;
    let rules = "    - {deny: in, proto: tcp, remote: 10.1.0.0/16}\n    - {allow: in, proto: tcp, local_ports: 80, replies: no}\n";
    // Remote addresses are not looked up at all.
    let tails = [F::IP_PROTO | F::LOCAL_PORT, F::IP_PROTO | F::LOCAL_PORTRANGE_ID, F::IP_PROTO];
    let refused = Compiled::new(&text(rules), &target(ranked(&tails, &locals())), None).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "web.yaml:7: this needs entries of the rule table that name local ip, local mac, local port, ether type, ip proto, \
         remote subnet id, and the adapter does not look those up above its base entries. Say it with other fields. \
         Nothing was sent"
    );
    // The wide lookup comes before the narrow one that would make the exception.
    let rules = "    - {deny: in, proto: tcp, local_ports: 22}\n    - {allow: in, proto: tcp, replies: no}\n";
    let tails = [F::IP_PROTO, F::IP_PROTO | F::LOCAL_PORT, F::IP_PROTO | F::LOCAL_PORTRANGE_ID];
    let refused = Compiled::new(&text(rules), &target(ranked(&tails, &locals())), None).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "web.yaml:7: tcp frames without ports (later fragments) are allowed here, but with local ports 22 they are denied \
         by web.yaml:6; an entry without ports would allow both. Name ports in this rule. Nothing was sent"
    );
}
