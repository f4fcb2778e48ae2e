//! A small universe, exhaustively: four remote addresses, two ports, two protocols, every policy of up to two rules.

use std::net::{IpAddr, Ipv4Addr};

use nicfw::policy::{Compiled, Document, Flow, IpFlow, PortPair, PortSet, Ports, Proto, Remote, Rule};
use nicfw::tables::{Direction, MacAddr, Target, Verdict};

use crate::documents::{origin, set};
use crate::scale::{document, port_set};

const DIRECTIONS: [Direction; 2] = [Direction::Rx, Direction::Tx];

/// What a rule says about ports.
fn ports() -> [Option<PortPair>; 3] {
    let zero = || port_set(&[(0, 0)]);
    [
        None,
        Some(PortPair { remote: PortSet::full(), local: zero() }),
        Some(PortPair { remote: zero(), local: PortSet::full() }),
    ]
}

fn rules() -> Vec<Rule> {
    let mut out = Vec::new();
    for direction in DIRECTIONS {
        for (action, replies) in [(Verdict::Allow, true), (Verdict::Allow, false), (Verdict::Deny, false)] {
            for proto in [Proto::Any, Proto::TCP, Proto::UDP] {
                for remote in ["any", "0.0.0.2/31", "0.0.0.1/32"] {
                    for ports in ports() {
                        let names_local_ports = ports.as_ref().is_some_and(|pair| !pair.local.is_full());
                        out.push(Rule {
                            direction,
                            action,
                            sample: false,
                            proto,
                            remote: Remote { text: remote.to_owned(), set: set(&[remote]) },
                            ports,
                            local: None,
                            replies,
                            names_local_ports,
                            origin: origin(1),
                        });
                    }
                }
            }
        }
    }
    out
}

fn flows() -> Vec<Flow> {
    let mut out = Vec::new();
    for direction in DIRECTIONS {
        for remote in 0..4 {
            for proto in [6, 17] {
                let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(local, remote)| Some(Ports { local, remote }));
                for ports in pairs.into_iter().chain([None]) {
                    let ip = IpFlow {
                        local: IpAddr::V4(Ipv4Addr::new(10, 30, 0, 0)),
                        remote: Ipv4Addr::from_bits(remote).into(),
                        proto: Some(proto),
                        ports,
                    };
                    out.push(Flow {
                        direction,
                        physical_port: 0,
                        local_mac: MacAddr([2, 0, 0, 0, 0, 0]),
                        remote_mac: MacAddr([2, 0, 0, 0, 0, 9]),
                        outer_vlan: None,
                        inner_vlan: None,
                        ether_type: 0x0800,
                        ip: Some(ip),
                    });
                }
            }
        }
    }
    out
}

/// How many of the policies compile; each of them decides all flows as the evaluator does.
fn check(policies: impl Iterator<Item = Vec<Rule>>) -> (usize, usize) {
    let (flows, target) = (flows(), Target::profile0());
    let (mut all, mut compile) = (0, 0);
    for rules in policies {
        // Ephemeral ports: 1, of the two.
        let document = Document { ephemeral: port_set(&[(1, 65535)]), ..document(vec![rules], 1) };
        all += 1;
        let Ok(compiled) = Compiled::new(&document, &target, None) else { continue };
        compile += 1;
        for (flow, judged) in flows.iter().zip(compiled.image().judge_all(&flows, &target.profile, all as u64)) {
            assert_eq!(judged.verdict, document.decide(flow).verdict, "{flow:?} {document:?}");
        }
    }
    (all, compile)
}

/// TCP and UDP are alike: of two policies that differ in their exchange alone one will do.
fn is_first_of_mirrors(rules: &[&Rule]) -> bool {
    rules.iter().find_map(|rule| (rule.proto != Proto::Any).then_some(rule.proto)) != Some(Proto::UDP)
}

#[test]
fn every_policy_of_up_to_two_rules() {
    let rules = rules();
    let single = check([vec![]].into_iter().chain(rules.iter().map(|rule| vec![rule.clone()])));
    // `allow out, any protocol`, with replies, cannot be said: those of TCP and UDP reach ephemeral ports only.
    assert_eq!(single, (163, 160));
    let halves = rules.split_at(rules.len() / 2);
    let pairs = |first: &[Rule]| {
        let pairs = first.iter().flat_map(|a| rules.iter().map(move |b| [a, b]));
        check(pairs.filter(|pair| is_first_of_mirrors(pair)).map(|pair| pair.map(Rule::clone).to_vec()))
    };
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| pairs(halves.0));
        let other = pairs(halves.1);
        (one.join().unwrap(), other)
    });
    let all = one.0 + other.0;
    assert_eq!(all, 54 * 54 * 5, "of nine pairs of protocols five are no mirrors of others");
    assert!((one.1 + other.1) * 2 > all, "{} of {all} compile", one.1 + other.1);
}
