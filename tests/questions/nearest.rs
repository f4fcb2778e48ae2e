//! `explain` for a flow that is denied: the rule that comes nearest, by hand and against a search over all changes.

use std::sync::Arc;

use nicfw::policy::{Document, Field, FlowText, PortPair, Proto, Rule, RulePlace};
use nicfw::terms::{AddrSet, Flow, PortSet, Verdict};
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::documents::{document, flow};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::corners::Corners;

const SHOP: &str = r#"nicfw: 1
unbound: allow
multicast: deny
groups:
  office: [10.20.0.0/16, 10.22.0.0/16]
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443], remote: office}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53}
    - {deny: out, proto: tcp, remote: 10.99.0.0/16}
    - {allow: out, proto: tcp, remote: 0.0.0.0/0, remote_ports: 443}
    - {allow: out, proto: icmp, remote: [10.0.0.1, 224.0.0.1], replies: no}
    - {allow: in, proto: 47, local: 10.30.1.18}
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, vlan: 7, physical_ports: [0, 1], policy: web}
"#;

fn nearest(flow: &str) -> Option<String> {
    let document = Document::parse(SHOP, "web.yaml").unwrap();
    let flow: FlowText = format!("{flow} vlan=7").parse().unwrap();
    document.nearest(&flow.judgements(&document).unwrap()[0]).map(|nearest| nearest.to_string())
}

#[test]
fn the_field_that_differs_is_named() {
    for (flow, expected) in [
        (
            "tcp 10.9.0.1:51000 > 10.30.1.17:443",
            "policy web, rule 1 (web.yaml:8): remote 10.9.0.1 is not in office (10.20.0.0/16, 10.22.0.0/16)",
        ),
        ("tcp 10.20.0.1:51000 > 10.30.1.17:8443", "policy web, rule 1 (web.yaml:8): local port 8443 is not 80, 443"),
        (
            "tcp 10.20.0.1 > 10.30.1.17 fragment",
            "policy web, rule 1 (web.yaml:8): it shows no ports, and the rule names some",
        ),
        ("udp 10.20.0.1:51000 > 10.30.1.17:443", "policy web, rule 1 (web.yaml:8): protocol udp is not tcp"),
        ("udp 10.30.1.17:40000 > 10.0.0.53:54", "policy web, rule 2 (web.yaml:9): remote port 54 is not 53"),
        ("47 10.9.0.1 > 10.30.1.17", "policy web, rule 6 (web.yaml:13): local 10.30.1.17 is not in 10.30.1.18/32"),
    ] {
        assert_eq!(nearest(flow).as_deref(), Some(expected), "{flow}");
    }
}

#[test]
fn a_reply_can_be_nearest() {
    for (flow, expected) in [
        (
            "udp 10.0.0.54:53 > 10.30.1.17:40000",
            "reply to policy web, rule 2 (web.yaml:9): remote 10.0.0.54 is not in 10.0.0.53",
        ),
        (
            "udp 10.0.0.53:53 > 10.30.1.17:1000",
            "reply to policy web, rule 2 (web.yaml:9): local port 1000 is not 32768-60999, where replies go",
        ),
        ("icmp 10.0.0.1 > 10.30.1.17", "reply to policy web, rule 5 (web.yaml:12): the rule says replies: no"),
        (
            "tcp 10.99.0.1:443 > 10.30.1.17:40000",
            "reply to policy web, rule 4 (web.yaml:11): rule 3 (web.yaml:10) decides before about what it would reply to",
        ),
    ] {
        assert_eq!(nearest(flow).as_deref(), Some(expected), "{flow}");
    }
}

#[test]
fn a_deny_in_front_of_an_allow_is_named() {
    assert_eq!(
        nearest("tcp 10.30.1.17:40000 > 10.99.0.1:443").as_deref(),
        Some("policy web, rule 4 (web.yaml:11): rule 3 (web.yaml:10) denies it before")
    );
}

#[test]
fn the_link_and_groups_are_named() {
    assert_eq!(
        nearest("tcp 10.20.0.1:51000 > 10.30.1.17:443 dst-mac=02:00:00:00:00:09 physical-port=2").as_deref(),
        Some(
            "policy web, rule 1 (web.yaml:8): MAC 02:00:00:00:00:09 is not shop-1's 02:00:0a:1e:01:11; \
             physical port 2 is not shop-1's 0, 1"
        )
    );
    assert_eq!(
        nearest("icmp 10.30.1.17 > 224.0.0.1").as_deref(),
        Some("policy web, rule 5 (web.yaml:12): remote 224.0.0.1 is a group, and multicast is denied")
    );
    assert_eq!(nearest("tcp 10.20.0.1:51000 > 10.30.1.17:443"), None, "it passes");
}

const FIELDS: [Field; 8] = [
    Field::Protocol,
    Field::Remote,
    Field::Ports,
    Field::RemotePort,
    Field::LocalPort,
    Field::Local,
    Field::Replies,
    Field::Ephemeral,
];

/// The rule with one field as wide as the flow needs it.
fn widened(rule: &Rule, field: Field, flow: &Flow) -> Rule {
    let mut rule = rule.clone();
    let ip = flow.ip.unwrap();
    let pair = rule.ports.clone();
    match (field, pair, ip.ports) {
        (Field::Protocol, ..) => rule.proto = ip.proto.map_or(Proto::Any, Proto::Is),
        (Field::Remote, ..) => rule.remote.set = rule.remote.set.union(&AddrSet::from(ip.remote)),
        (Field::Ports, ..) => rule.ports = ip.ports.and(rule.ports),
        (Field::RemotePort, Some(pair), Some(ports)) => {
            rule.ports = Some(PortPair { remote: pair.remote.union(&PortSet::point(ports.remote)), ..pair });
        }
        (Field::LocalPort, Some(pair), Some(ports)) => {
            rule.ports = Some(PortPair { local: pair.local.union(&PortSet::point(ports.local)), ..pair });
        }
        (Field::Local, ..) => rule.local = rule.local.map(|local| local.union(&AddrSet::from(ip.local))),
        (Field::Replies, ..) => rule.replies = true,
        (Field::Ephemeral, ..) => rule.names_local_ports = true,
        _ => {}
    }
    rule
}

/// Whether the flow passes if some fields of one rule are as wide as it needs them.
fn passes(document: &Document, place: RulePlace, fields: &[Field], flow: &Flow) -> bool {
    let mut document = document.clone();
    let rule = match place {
        RulePlace::Management(at) => &mut document.management[at].rule,
        RulePlace::Policy(policy, at) => &mut Arc::make_mut(&mut document.policies[policy]).rules[at],
    };
    *rule = fields.iter().fold(rule.clone(), |rule, field| widened(&rule, *field, flow));
    document.decide(flow).verdict == Verdict::Allow
}

fn allows(document: &Document, flow: &Flow) -> Vec<RulePlace> {
    let of = document.binding_of(flow.ip.unwrap().local).map(|(_, binding)| binding.policy);
    let management = (0..document.management.len()).map(RulePlace::Management);
    let policy =
        of.into_iter().flat_map(|p| (0..document.policies[p].rules.len()).map(move |i| RulePlace::Policy(p, i)));
    let is_allow = |place: &RulePlace| document.rule(*place).unwrap().action == Verdict::Allow;
    management.chain(policy).filter(is_allow).collect()
}

proptest! {
    #![proptest_config(Config { cases: 120, ..Config::default() })]

    /// Where fields alone are in the way, changing them lets the flow through, and no change of fewer fields does.
    #[test]
    fn nothing_is_nearer(document in document(4), flows in prop::collection::vec(flow(), 50), seed in any::<u64>()) {
        let mut flows = flows;
        flows.extend(Corners::of(&[&document]).flows(&mut Dice::new(seed), 100));
        for flow in flows.iter().filter(|flow| flow.ip.is_some_and(|ip| document.binding_of(ip.local).is_some())) {
            let nearest = document.nearest(flow);
            if document.decide(flow).verdict == Verdict::Allow {
                prop_assert_eq!(nearest, None);
                continue;
            }
            let places = allows(&document, flow);
            prop_assert_eq!(nearest.is_none(), places.is_empty());
            let Some(nearest) = nearest else { continue };
            prop_assert!(!nearest.obstacles.is_empty());
            prop_assert_eq!(nearest.reply, document.rule(nearest.place).unwrap().direction != flow.direction);
            let fields: Vec<Field> = nearest.obstacles.iter().map(|obstacle| obstacle.field).collect();
            if fields.iter().all(|field| FIELDS.contains(field)) {
                prop_assert!(passes(&document, nearest.place, &fields, flow), "{} {:?}", nearest, flow);
            }
            for place in places {
                for some in (0..1u32 << FIELDS.len()).filter(|some| (some.count_ones() as usize) < fields.len()) {
                    let some: Vec<Field> = (0..FIELDS.len()).filter(|i| some >> i & 1 == 1).map(|i| FIELDS[i]).collect();
                    prop_assert!(!passes(&document, place, &some, flow), "{:?} of {:?} is nearer: {}", some, place, nearest);
                }
            }
        }
    }
}
