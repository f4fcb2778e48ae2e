//! Pieces for all kinds of orders: each is asked for by what it decides.

use std::collections::BTreeSet;

use super::input::{BASE, MOST_OUTCOMES, common};
use super::*;
use crate::policy::Document;
use crate::policy::regions::{Budget, Cause, DIRECTIONS, Shape, regions};
use crate::tables::arrange::lookups::{Lookups, Strategy};
use crate::tables::{CompileError, LookupOrder, MatchFields, Target};
use crate::terms::{AddrSet, PortSet, Verdict};

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn document(random: &mut Random) -> Document {
    let mut rules = String::new();
    for _ in 0..1 + random.below(4) {
        let action = random.one(&[
            "allow: in",
            "allow: out",
            "allow: in, replies: no",
            "deny: in",
            "deny: in, sample: yes",
            "deny: out",
        ]);
        let proto = random.one(&["tcp", "tcp", "udp", "any", "icmp"]);
        let remote = random.one(&["any", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.7", "[10.1.0.7, 10.2.0.0/16]"]);
        let ported = proto == "tcp" || proto == "udp";
        let local = random.one(&["", "", ", local_ports: 22", ", local_ports: 20-30", ", local_ports: [22, 80]"]);
        let far = random.one(&["", "", ", remote_ports: 53", ", remote_ports: 50-60"]);
        let ports = if ported { [local, far].concat() } else { String::new() };
        rules += &format!("  - {{{action}, proto: {proto}, remote: {remote}{ports}}}\n");
    }
    parse(&rules)
}

fn parse(rules: &str) -> Document {
    let text = format!(
        "nicfw: 1\nunbound: allow\nmulticast: allow\npolicies:\n  web:\n{rules}bindings:\n\
         - {{container: a, ip: 10.30.1.1, mac: \"02:00:00:00:00:01\", attach: sriov, policy: web}}\n"
    );
    Document::parse(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const LOCAL: MatchFields = MatchFields::LOCAL_IP.union(MatchFields::LOCAL_MAC).union(MatchFields::ETHER_TYPE);

/// All tails of entries, shuffled; where `specific`, those that name more come first.
fn order(random: &mut Random, specific: bool) -> Vec<MatchFields> {
    use MatchFields as F;
    let nothing = F::empty();
    let mut out = Vec::new();
    for proto in [nothing, F::IP_PROTO] {
        for remote in [nothing, F::REMOTE_IP, F::REMOTE_SUBNET_ID] {
            for far in [nothing, F::REMOTE_PORT, F::REMOTE_PORTRANGE_ID] {
                for local in [nothing, F::LOCAL_PORT, F::LOCAL_PORTRANGE_ID] {
                    out.push(LOCAL | proto | remote | far | local);
                }
            }
        }
    }
    for at in (1..out.len()).rev() {
        out.swap(at, random.below(at + 1));
    }
    if specific {
        out.sort_by_key(|fields| std::cmp::Reverse(fields.bits().count_ones()));
    }
    out.extend([F::LOCAL_MAC | F::ETHER_TYPE, F::LOCAL_IP, F::LOCAL_MAC]);
    out
}

/// Each piece is asked for, by causes in order and once each; what a rule allows is allowed for it alone where rules stay
/// apart, and what decides above the base is among its causes.
#[test]
fn pieces_are_made_for_what_they_decide() {
    let mut random = Random(7);
    let (mut made, mut refused) = (0, 0);
    for at in 0..400 {
        let document = document(&mut random);
        let mut target = Target::profile0();
        target.profile.order = LookupOrder::Ranked(order(&mut random, at % 3 > 0));
        let lookups = Lookups::of(&document, &target).unwrap().unwrap();
        let shape = Shape::bound(&document, &document.bindings[0], document.bindings[0].ips[0]);
        for strategy in Strategy::ALL {
            let Strategy::Covered { limits, by_rule } = strategy else { continue };
            let budget = Budget::of(1 << 30);
            let input = Input {
                document: &document,
                shape: &shape,
                names: LOCAL,
                lookups: &lookups,
                limits,
                by_rule,
                budget: &budget,
            };
            let pieces = match input.pieces() {
                Ok(pieces) => pieces,
                Err(refusal) => {
                    assert!(matches!(refusal, CompileError::Order { .. }), "{refusal}");
                    refused += 1;
                    continue;
                }
            };
            made += 1;
            for piece in &pieces {
                assert!(!piece.causes.is_empty() && !piece.remote.is_empty(), "{piece:?}");
                assert!(piece.causes.is_sorted_by(|a, b| a < b), "{piece:?}");
                assert!(!by_rule || piece.verdict == Verdict::Deny || piece.causes.len() == 1, "{piece:?}");
            }
            // Whatever a rule allows is a cause of a piece.
            let protocols = shape.protocols(&document);
            let all = regions(&document, &shape, &protocols);
            for direction in DIRECTIONS {
                let of = |verdict: Verdict| {
                    let here =
                        pieces.iter().filter(move |piece| piece.direction == direction && piece.verdict == verdict);
                    here.flat_map(|piece| piece.causes.iter().copied()).collect::<BTreeSet<Cause>>()
                };
                let regions =
                    all.iter().filter(|region| region.direction == direction && region.verdict == Verdict::Allow);
                assert_eq!(of(Verdict::Allow), regions.map(|region| region.cause).collect());
            }
        }
    }
    assert!(made > 1000 && refused > 20, "{made} made, {refused} refused");
}

#[test]
fn the_most_frequent_come_first_and_the_least_among_equals() {
    assert_eq!(common([3, 1, 2, 1, 2, 9].into_iter()), [1, 2, 3, 9]);
    assert_eq!(common([5, 5, 4, 4, 3, 3, 2, 1, 1, 1].into_iter()), [1, 3, 4, 5]);
    assert_eq!(common([].into_iter()), [0; 0]);
    assert_eq!((MOST_OUTCOMES, BASE), (4, 0));
}

/// Sets by value up to the limit, and IPv6 addresses always.
#[test]
fn remote_addresses_are_named_by_value_up_to_the_limit() {
    use MatchFields as F;
    let mut random = Random(1);
    let document = document(&mut random);
    let mut target = Target::profile0();
    target.profile.order = LookupOrder::Ranked(order(&mut random, true));
    let lookups = Lookups::of(&document, &target).unwrap().unwrap();
    let budget = Budget::of(1 << 30);
    let set = |first: u8, count: u8| {
        (first..first + count).map(|at| std::net::IpAddr::from([10, 0, 0, at])).collect::<AddrSet>()
    };
    let six = |count: u16| {
        (0..count).map(|at| std::net::IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, at])).collect::<AddrSet>()
    };
    for (v6, limit, set, expected) in [
        (false, 1, AddrSet { v4: crate::terms::IntervalSet::full(), ..AddrSet::empty() }, Some((F::empty(), 1))),
        (false, 1, set(7, 1), Some((F::REMOTE_IP, 1))),
        (false, 1, set(7, 2), Some((F::REMOTE_SUBNET_ID, 1))),
        (false, 2, set(7, 2), Some((F::REMOTE_IP, 2))),
        (false, 0, set(7, 1), Some((F::REMOTE_SUBNET_ID, 1))),
        (true, 0, six(3), Some((F::REMOTE_IP, 3))),
        (true, 0, six(4096), Some((F::REMOTE_IP, 4096))),
        (true, 0, six(4097), None),
        (true, 0, AddrSet { v6: crate::terms::IntervalSet::full(), ..AddrSet::empty() }, Some((F::empty(), 1))),
    ] {
        let shape = Shape { v6, ..Shape::least() };
        let (limits, by_rule) = ([limit, 0, 0], true);
        let input = Input {
            document: &document,
            shape: &shape,
            names: LOCAL,
            lookups: &lookups,
            limits,
            by_rule,
            budget: &budget,
        };
        assert_eq!(input.remote(&set), expected, "{v6} {limit} {set:?}");
    }
}

/// What names the ports of a refused rule.
#[test]
fn ports_are_named_as_entries_would() {
    use MatchFields as F;
    let mut random = Random(1);
    let document = document(&mut random);
    let mut target = Target::profile0();
    target.profile.order = LookupOrder::Ranked(order(&mut random, true));
    let lookups = Lookups::of(&document, &target).unwrap().unwrap();
    let (budget, shape, full) = (Budget::of(1 << 30), Shape::least(), PortSet::full());
    let (limits, by_rule) = ([1, 1, 1], true);
    let input =
        Input { document: &document, shape: &shape, names: LOCAL, lookups: &lookups, limits, by_rule, budget: &budget };
    let range = PortSet::from_intervals([crate::terms::Interval { first: 5, last: 9 }]);
    let one = PortSet::point(5);
    let names = |remote: &PortSet, local: &PortSet| {
        grid::names(&input, &crate::policy::PortPair { remote: remote.clone(), local: local.clone() })
    };
    assert_eq!(names(&full, &one), [F::empty(), F::LOCAL_PORT]);
    assert_eq!(names(&full, &range), [F::empty(), F::LOCAL_PORTRANGE_ID]);
    assert_eq!(names(&full, &full), [F::empty(), F::LOCAL_PORTRANGE_ID], "a port is named");
    assert_eq!(names(&one, &full), [F::REMOTE_PORT, F::empty()]);
    assert_eq!(names(&range, &full), [F::REMOTE_PORTRANGE_ID, F::empty()]);
    assert_eq!(names(&one, &range), [F::REMOTE_PORT, F::LOCAL_PORTRANGE_ID]);
}

/// A refusal names the protocol, the rule (an allow before a deny, and what a rule says before what none says), and what
/// the missing lookup would name: the rule's own ports, not another's.
#[test]
fn a_refusal_names_what_the_missing_lookup_would_name() {
    use MatchFields as F;
    let refused = |rules: &[&str]| {
        let rules: String = rules.iter().map(|rule| format!("  - {{{rule}}}\n")).collect();
        let document = parse(&rules);
        let mut target = Target::profile0();
        let order = vec![LOCAL | F::IP_PROTO, F::LOCAL_MAC | F::ETHER_TYPE, F::LOCAL_IP, F::LOCAL_MAC];
        target.profile.order = LookupOrder::Ranked(order);
        let lookups = Lookups::of(&document, &target).unwrap().unwrap();
        let shape = Shape::bound(&document, &document.bindings[0], document.bindings[0].ips[0]);
        let (limits, by_rule, budget) = ([1; 3], true, Budget::of(1 << 30));
        let input = Input {
            document: &document,
            shape: &shape,
            names: LOCAL,
            lookups: &lookups,
            limits,
            by_rule,
            budget: &budget,
        };
        let CompileError::Order { at, proto, fields } = input.pieces().unwrap_err() else { panic!("{rules}") };
        (at.line, proto, fields)
    };
    let tcp = Some(crate::policy::Proto::TCP);
    let to_web = "allow: in, proto: tcp, local_ports: 80, replies: no";
    assert_eq!(refused(&[to_web]), (6, tcp, LOCAL | F::IP_PROTO | F::LOCAL_PORT));
    // Of all protocols, and no allow.
    let sampled = "deny: in, remote: 10.1.0.0/16, sample: yes";
    assert_eq!(refused(&[sampled]), (6, None, LOCAL | F::REMOTE_SUBNET_ID));
    let denied = "deny: in, proto: tcp, remote: 10.1.0.0/16, local_ports: 22, sample: yes";
    assert_eq!(refused(&[denied]), (6, tcp, LOCAL | F::IP_PROTO | F::REMOTE_SUBNET_ID | F::LOCAL_PORT));
    assert_eq!(refused(&[denied, to_web]), (7, tcp, LOCAL | F::IP_PROTO | F::LOCAL_PORT));
    let from_one = "allow: in, proto: tcp, remote: 10.1.0.7, local_ports: 80, replies: no";
    let from_ports = "allow: in, proto: tcp, remote: 10.2.0.0/16, remote_ports: 1-5, replies: no";
    assert_eq!(refused(&[from_one, from_ports]), (6, tcp, LOCAL | F::IP_PROTO | F::REMOTE_IP | F::LOCAL_PORT));
    let from_ports = (6, tcp, LOCAL | F::IP_PROTO | F::REMOTE_SUBNET_ID | F::REMOTE_PORTRANGE_ID);
    assert_eq!(refused(&["allow: in, proto: tcp, remote: 10.2.0.0/16, remote_ports: 1-5, replies: no"]), from_ports);
}
