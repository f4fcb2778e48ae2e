//! Cells and regions against the reference evaluator, point by point, and what looking at them costs.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::classes::Mask;
use super::cutter::regions_within;
use super::*;
use crate::policy::{Document, Rule, RulePlace, Why};
use crate::terms::{Direction, Flow, IpFlow, Ports, Verdict};

/// A document whose bindings have 10.9.0.1 and 2001:db8::1.
fn document(multicast: &str, management: &str, rules: &str) -> Document {
    let text = format!(
        "nicfw: 1\nunbound: allow\nmulticast: {multicast}\nephemeral: [40000-50000]\nmanagement: [{management}]\n\
         policies:\n  web:\n{rules}bindings:\n  - {{container: a, ip: [10.9.0.1, \"2001:db8::1\"], \
         mac: \"02:00:00:00:00:01\", attach: sriov, nd: open-icmpv6, policy: web}}\n"
    );
    Document::parse(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const RULES: [&str; 4] = [
    "    - {allow: out, proto: tcp, remote_ports: 53}
    - {deny: in, proto: tcp, remote: [10.1.0.0/16, 224.0.0.0/8], local_ports: 22}
    - {allow: in, proto: any, remote: 10.0.0.0/8, replies: no}
    - {deny: out, proto: tcp}
    - {allow: in, proto: tcp, remote: 10.2.0.0/16, local_ports: [80, 443], remote_ports: 1000-2000}
",
    "    - {deny: in, proto: udp, remote: 10.1.0.0/16}
    - {allow: out, proto: udp, remote: 10.0.0.0/8}
    - {allow: out, proto: udp, remote: [10.0.0.0/8, 224.0.0.5], local_ports: 5000}
    - {allow: in, proto: 47, remote: 10.1.0.0/16}
",
    "    - {allow: out, proto: any, remote: any}
    - {allow: in, proto: sctp, remote_ports: 7, replies: no}
    - {deny: in, proto: icmp}
",
    "    - {allow: in, proto: tcp, remote: [\"2001:db8:1::7\", 10.1.0.7], local_ports: 22}
    - {allow: out, proto: tcp, remote: [\"2001:db8:1::/48\", 10.1.0.0/16, \"ff02::5\"]}
    - {deny: in, proto: any}
    - {allow: out, proto: icmp}
",
];

fn documents() -> Vec<Document> {
    let managed = "{allow: in, proto: tcp, local_ports: 22, remote: 10.1.0.7}";
    let all = |multicast: &'static str, management: &'static str| {
        RULES.iter().map(move |rules| document(multicast, management, rules))
    };
    all("allow", "").chain(all("deny", managed)).collect()
}

/// Points on both sides of each end of the sets of these rules.
fn addresses(rules: &[&Rule], v6: bool) -> BTreeSet<IpAddr> {
    let mut out = BTreeSet::new();
    for set in rules.iter().map(|rule| rule.remote.set.clone()).chain([crate::terms::AddrSet::groups()]) {
        if v6 {
            for i in set.v6.intervals() {
                let all = [i.first.wrapping_sub(1), i.first, i.last, i.last.wrapping_add(1)];
                out.extend(all.map(|at| IpAddr::from(Ipv6Addr::from_bits(at))));
            }
        } else {
            for i in set.v4.intervals() {
                let all = [i.first.wrapping_sub(1), i.first, i.last, i.last.wrapping_add(1)];
                out.extend(all.map(|at| IpAddr::from(Ipv4Addr::from_bits(at))));
            }
        }
    }
    out
}

fn ports(rules: &[&Rule], document: &Document) -> BTreeSet<u16> {
    let named = rules.iter().filter_map(|rule| rule.ports.as_ref());
    let sets = named.flat_map(|pair| [&pair.remote, &pair.local]).chain([&document.ephemeral]);
    let ends = sets.flat_map(|set| set.intervals()).flat_map(|i| [i.first, i.last]);
    ends.flat_map(|at| [at.wrapping_sub(1), at, at.wrapping_add(1)]).collect()
}

/// All judgements of a binding's address that differ in what rules look at, once each.
fn flows(document: &Document, ip: IpAddr) -> Vec<Flow> {
    let rules: Vec<&Rule> = document.management.iter().map(|m| &m.rule).chain(&document.policies[0].rules).collect();
    let (addresses, ports) = (addresses(&rules, ip.is_ipv6()), ports(&rules, document));
    let pairs = || ports.iter().flat_map(|local| ports.iter().map(|remote| Ports { local: *local, remote: *remote }));
    let mut out = Vec::new();
    for direction in DIRECTIONS {
        for remote in &addresses {
            for proto in [Some(1), Some(6), Some(17), Some(47), Some(58), Some(132), Some(99), None] {
                let with = matches!(proto, Some(6 | 17 | 132)).then(pairs).into_iter().flatten().map(Some);
                out.extend(with.chain([None]).map(|ports| Flow {
                    direction,
                    physical_port: 0,
                    local_mac: document.bindings[0].mac,
                    remote_mac: "02:00:00:00:00:99".parse().unwrap(),
                    outer_vlan: None,
                    inner_vlan: None,
                    ether_type: if ip.is_ipv4() { 0x0800 } else { 0x86dd },
                    ip: Some(IpFlow { local: ip, remote: *remote, proto, ports }),
                }));
            }
        }
    }
    out
}

fn matches(rule: &Rule, ip: &IpFlow) -> bool {
    let ports = match (&rule.ports, ip.ports) {
        (None, _) => true,
        (Some(pair), Some(ports)) => pair.remote.contains(ports.remote) && pair.local.contains(ports.local),
        (Some(_), None) => false,
    };
    let proto = match rule.proto {
        crate::policy::Proto::Any => true,
        crate::policy::Proto::Is(number) => ip.proto == Some(number),
    };
    ports && proto && rule.remote.set.contains(ip.remote)
}

fn cause(why: Why) -> Cause {
    match why {
        Why::Rule { place, reply, .. } => Cause::Rule { place, reply },
        Why::Multicast { .. } => Cause::Multicast,
        Why::NeighbourDiscovery { .. } => Cause::NeighbourDiscovery,
        _ => Cause::NoRule,
    }
}

/// Direction, matching rules, groups or not, what decides, and the verdicts without each of the matching rules.
type Seen = (Direction, Vec<usize>, bool, Verdict, Cause, Vec<Verdict>);

fn without(document: &Document, place: RulePlace) -> Document {
    let mut out = document.clone();
    match place {
        RulePlace::Management(at) => drop(out.management.remove(at)),
        RulePlace::Policy(policy, at) => drop(Arc::make_mut(&mut out.policies[policy]).rules.remove(at)),
    }
    out
}

#[test]
fn cells_are_what_the_evaluator_says_of_every_point() {
    let mut all = 0;
    for document in documents() {
        let binding = &document.bindings[0];
        for ip in &binding.ips {
            let shape = Shape::bound(&document, binding, *ip);
            let fewer: Vec<Document> = shape.rules.iter().map(|place| without(&document, *place)).collect();
            let groups = crate::terms::AddrSet::groups();
            let expected: BTreeSet<Seen> = flows(&document, *ip)
                .iter()
                .map(|flow| {
                    let seen = flow.ip.unwrap();
                    let rule = |at: &usize| matches(document.rule(shape.rules[*at]).unwrap(), &seen);
                    let matching: Vec<usize> = (0..shape.rules.len()).filter(rule).collect();
                    let decision = document.decide(flow);
                    let alone = matching.iter().map(|at| fewer[*at].decide(flow).verdict).collect();
                    let of_groups = groups.contains(seen.remote);
                    (flow.direction, matching, of_groups, decision.verdict, cause(decision.why), alone)
                })
                .collect();
            let (budget, mut shown) = (Budget::of(1 << 30), BTreeSet::new());
            each_cell(&document, &shape, &budget, &mut |cell| {
                let matching: Vec<usize> = cell.matching().collect();
                let mask = |at: usize| Mask::of_places(shape.rules.len() + 1, [at].into_iter());
                let alone = matching.iter().map(|at| cell.decide_without(&mask(*at)).0).collect();
                let (verdict, cause) = cell.decide();
                shown.insert((cell.direction, matching, cell.is_of_groups(), verdict, cause, alone));
            })
            .unwrap();
            assert_eq!(shown, expected);
            all += shown.len();
        }
    }
    assert!(all > 250, "{all} cells");
}

#[test]
fn regions_are_what_the_evaluator_says_of_every_point() {
    for document in documents() {
        let binding = &document.bindings[0];
        for ip in &binding.ips {
            let shape = Shape::bound(&document, binding, *ip);
            let protocols = shape.protocols(&document);
            let all = regions(&document, &shape, &protocols);
            let wanted = regions_within(&document, &shape, &protocols, Wanted::Allowed, &Budget::of(1 << 30)).unwrap();
            let holds = |region: &Region, flow: &Flow| {
                let ip = flow.ip.unwrap();
                let proto = ip.proto.filter(|number| protocols.contains(number));
                let ported = ip.proto.is_some_and(crate::policy::Proto::has_ports);
                let ports = match (&region.ports, ip.ports) {
                    (Some(pair), Some(ports)) => pair.remote.contains(ports.remote) && pair.local.contains(ports.local),
                    (None, None) => true,
                    // Where a protocol is not told apart its ports are not looked at.
                    (None, Some(_)) => proto.is_none() || !ported,
                    (Some(_), None) => false,
                };
                region.direction == flow.direction
                    && region.proto == proto
                    && ports
                    && region.remote.contains(ip.remote)
            };
            for flow in flows(&document, *ip) {
                let decision = document.decide(&flow);
                let expected = (decision.verdict, cause(decision.why));
                let found: Vec<_> = all.iter().filter(|region| holds(region, &flow)).collect();
                let [one] = found[..] else { panic!("{} regions hold {flow:?}", found.len()) };
                assert_eq!((one.verdict, one.cause), expected, "{flow:?}");
                let allowed: Vec<_> = wanted.iter().filter(|region| holds(region, &flow)).collect();
                assert!(allowed.len() <= 1 && allowed.iter().all(|region| (region.verdict, region.cause) == expected));
                assert!(expected.0 == Verdict::Deny || allowed.len() == 1, "{flow:?}");
            }
        }
    }
}

/// What is allowed alone is asked for where it suffices: no denies where all allows name ports, nothing without an allow.
#[test]
fn where_no_entry_can_be_too_wide_denies_are_not_looked_for() {
    let denied = |rules: &str, direction: Direction| {
        let document = document("allow", "", rules);
        let shape = Shape::bound(&document, &document.bindings[0], document.bindings[0].ips[0]);
        let protocols = shape.protocols(&document);
        let found = regions_within(&document, &shape, &protocols, Wanted::Allowed, &Budget::of(1 << 30)).unwrap();
        let here = found.iter().filter(|region| region.direction == direction);
        let (allows, denies): (Vec<_>, Vec<_>) = here.partition(|region| region.verdict == Verdict::Allow);
        (allows.len(), denies.len())
    };
    let ported = "    - {allow: in, proto: tcp, local_ports: 80, replies: no}\n";
    assert_eq!(denied(ported, Direction::Rx), (1, 0));
    assert_eq!(denied(ported, Direction::Tx), (0, 0), "nothing allows there");
    let whole = "    - {allow: in, proto: tcp, replies: no}\n";
    // With and without ports; all other protocols are denied.
    assert_eq!(denied(whole, Direction::Rx), (2, 1));
    assert_eq!(denied(whole, Direction::Tx), (0, 0));
}

fn steps(rules: &str, wanted: Option<Wanted>) -> (u64, usize) {
    let document = document("allow", "", rules);
    let shape = Shape::bound(&document, &document.bindings[0], document.bindings[0].ips[0]);
    let budget = Budget::of(1 << 30);
    let mut found = 0;
    match wanted {
        None => each_cell(&document, &shape, &budget, &mut |_| found += 1).unwrap(),
        Some(wanted) => {
            let protocols = shape.protocols(&document);
            found = regions_within(&document, &shape, &protocols, wanted, &budget).unwrap().len();
        }
    }
    (budget.spent(), found)
}

/// Masks of up to 63 rules are a word, so whatever is looked at costs 1 + 16 steps: each class of remote addresses, each of
/// ports, and each combination. The groups are a class of their own.
#[test]
fn steps_are_counted_for_all_that_is_looked_at() {
    let one_port = "    - {allow: in, proto: tcp, local_ports: 80}\n";
    // Two directions of two classes of addresses: without ports for TCP and for all else, and three classes of local ports
    // (80, the ephemeral ones, the rest) by one of remote ports.
    assert_eq!(steps(one_port, None), (2 * 2 * (17 + 17 + (3 + 1) * 17 + 3 * 17), 2 * 2 * (1 + 1 + 3)));
    // Both directions at once, without the ephemeral ports, which make no difference: the pieces before, at, and behind 80.
    let (first, strip) = (2 * 17, 2 * (17 + (1 + 2 * 3) * 17));
    assert_eq!(steps(one_port, Some(Wanted::All)).0, first + strip + first + 2 * 17);
    assert_eq!(steps(one_port, Some(Wanted::Allowed)).0, first + strip, "other protocols are not looked at");
    let two_ports = "    - {allow: in, proto: tcp, local_ports: 80, remote_ports: 53}\n";
    assert_eq!(steps(two_ports, None), (2 * 2 * (17 + 17 + (3 + 2) * 17 + 3 * 2 * 17), 2 * 2 * (1 + 1 + 6)));
    assert_eq!(steps(two_ports, Some(Wanted::Allowed)).0, first + 2 * (17 + (3 + 2) * 17 + 3 * 2 * 17));
}

/// What is not enough by one step is not enough.
#[test]
fn cells_are_shown_within_the_budget_alone() {
    let rules = "    - {allow: in, proto: tcp, local_ports: 80, remote_ports: 53}\n";
    let document = document("allow", "", rules);
    let shape = Shape::bound(&document, &document.bindings[0], document.bindings[0].ips[0]);
    let (needed, all) = steps(rules, None);
    for steps in [0, 16, 17, needed / 2, needed - 1, needed] {
        let (budget, mut shown) = (Budget::of(steps), 0);
        let whole = each_cell(&document, &shape, &budget, &mut |_| shown += 1);
        assert_eq!((whole.is_some(), shown == all), (steps == needed, steps == needed), "{steps}");
        assert!(budget.spent() <= steps && 17 * shown as u64 <= budget.spent(), "{steps}: {shown} cells");
    }
}

/// Port combinations are put together by remote ports or by local ones, whichever gives fewer boxes; by remote ports where
/// both give as many.
#[test]
fn boxes_are_as_few_as_one_side_makes_them() {
    let boxes = |rules: [&str; 3]| {
        let rules = rules.map(|rule| format!("    - {{{rule}}}\n")).concat();
        let document = document("allow", "", &rules);
        let shape = Shape::bound(&document, &document.bindings[0], document.bindings[0].ips[0]);
        let all = regions(&document, &shape, &[6]);
        let allowed = all.iter().filter(|region| region.direction == Direction::Rx && region.verdict == Verdict::Allow);
        let pairs = allowed.filter_map(|region| region.ports.as_ref());
        let mut words: Vec<String> = pairs.map(|pair| format!("{} > {}", pair.remote, pair.local)).collect();
        words.sort();
        words
    };
    // Of local port 5 there are remote ports 1 and 3, of 6 there are 2 and 3; three remote ports have three kinds of local
    // ones.
    let by_local = [
        "deny: in, proto: tcp, remote_ports: 1, local_ports: 6",
        "deny: in, proto: tcp, remote_ports: 2, local_ports: 5",
        "allow: in, proto: tcp, remote_ports: 1-3, local_ports: 5-6, replies: no",
    ];
    assert_eq!(boxes(by_local), ["1,3 > 5", "2-3 > 6"]);
    // The same the other way round.
    let by_remote = [
        "deny: in, proto: tcp, remote_ports: 6, local_ports: 1",
        "deny: in, proto: tcp, remote_ports: 5, local_ports: 2",
        "allow: in, proto: tcp, remote_ports: 5-6, local_ports: 1-3, replies: no",
    ];
    assert_eq!(boxes(by_remote), ["5 > 1,3", "6 > 2-3"]);
    let either = [
        "deny: in, proto: tcp, remote_ports: 1, local_ports: 5",
        "deny: in, proto: tcp, remote_ports: 2, local_ports: 5",
        "allow: in, proto: tcp, local_ports: 5-6, replies: no",
    ];
    assert_eq!(boxes(either), ["0,3-65535 > 5-6", "1-2 > 6"]);
}
