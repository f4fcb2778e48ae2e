//! A small universe, exhaustively: four remote addresses, two ports, two protocols, every policy of up to two rules; in the
//! image and in the model.

use std::net::{IpAddr, Ipv4Addr};

use nicfw::policy::{Document, PortPair, Proto, Remote, Rule};
use nicfw::tables::{Compiled, Entry, Image, Target};
use nicfw::terms::{Direction, Flow, IpFlow, IpHeader, MacAddr, Packet, PortSet, Ports, Verdict};
use nicfw_model::engines::rules::{Engine, EngineConfig};
use nicfw_model::packet::{Headers, parse};
use nicfw_test_kit::documents::{origin, set};
use nicfw_test_kit::frames::{Shape, frame};

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

/// What the model's parser sees of a flow's frame.
pub fn seen(flow: &Flow) -> Headers {
    let ip = flow.ip.unwrap();
    let rx = flow.direction == Direction::Rx;
    let turn = |local, remote| if rx { (remote, local) } else { (local, remote) };
    let (src_mac, dst_mac) = turn(flow.local_mac, flow.remote_mac);
    let (src, dst) = if rx { (ip.remote, ip.local) } else { (ip.local, ip.remote) };
    let ports = ip.ports.map(|ports| if rx { (ports.remote, ports.local) } else { (ports.local, ports.remote) });
    let ip = Some(IpHeader { src, dst, proto: ip.proto, ports });
    let packet =
        Packet { src_mac, dst_mac, outer_vlan: flow.outer_vlan, inner_vlan: None, ether_type: flow.ether_type, ip };
    parse(&frame(&packet, Shape::default())).unwrap()
}

/// The model's engine with an image in its tables.
pub fn engine(image: &Image, target: &Target, seed: u64) -> Engine {
    let (profile, sizes) = (target.profile.clone(), target.sizes);
    let mut engine = Engine::new(EngineConfig { seed, profile, sizes, ..EngineConfig::profile0() });
    for node in image.subnets.iter().flat_map(|map| &map.nodes) {
        engine.set_subnet_node(node.id, &node.entries).unwrap();
    }
    if let Some(map) = &image.remote_ports {
        engine.set_remote_ports(&map.tree(&target.sizes).unwrap()).unwrap();
    }
    if let Some(map) = &image.local_ports {
        engine.set_local_ports(&map.tree(&target.sizes).unwrap()).unwrap();
    }
    for (key, entry) in &image.rules {
        let entry = Entry { rx: entry.rx.action, tx: entry.tx.action, counter: None };
        engine.set_rule(*key, entry, 0).unwrap();
    }
    engine
}

/// How many of the policies compile; image and model decide all flows of each as the evaluator does.
fn check(policies: impl Iterator<Item = Vec<Rule>>) -> (usize, usize) {
    let (flows, target) = (flows(), Target::profile0());
    let frames: Vec<Headers> = flows.iter().map(seen).collect();
    let (mut all, mut compile) = (0, 0);
    for rules in policies {
        // Ephemeral ports: 1, of the two.
        let document = Document { ephemeral: port_set(&[(1, 65535)]), ..document(vec![rules], 1) };
        all += 1;
        let Ok(compiled) = Compiled::new(&document, &target, None) else { continue };
        compile += 1;
        let judged = compiled.image().judge_all(&flows, &target.profile, all as u64);
        let mut engine = engine(compiled.image(), &target, all as u64);
        for ((flow, headers), judged) in flows.iter().zip(&frames).zip(judged) {
            let expected = document.decide(flow).verdict;
            assert_eq!(judged.verdict, expected, "image: {flow:?} {document:?}");
            let model = engine.judge(headers, flow.direction, flow.physical_port);
            assert_eq!(model.verdict, expected, "model: {flow:?} {document:?}");
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
