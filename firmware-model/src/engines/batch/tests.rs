//! The general engine is the oracle: twins that get the same commands, one of which judges frame by frame.

use std::net::IpAddr;

use nicfw::tables::{Action, Assumption, CounterId, Entry, PortRangeId, PortTreeEntry, RuleKey, SubnetId};
use nicfw::terms::{Direction, IpHeader, MacAddr, Packet, Verdict};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::BatchEngine;
use crate::engines::rules::{By, Decided, Decision, Engine, EngineConfig};
use crate::packet::Headers;

const COUNTERS: u32 = 3;

fn mac() -> impl Strategy<Value = MacAddr> {
    (1..5u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]))
}

fn ip() -> impl Strategy<Value = IpAddr> {
    select(["10.0.0.1", "10.0.0.2", "10.0.0.3", "172.16.0.1"].map(|ip| ip.parse().unwrap()).to_vec())
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![4 => ip(), 1 => select(vec!["fe80::1".parse().unwrap(), "fe80::2".parse().unwrap()])]
}

fn port() -> impl Strategy<Value = u16> {
    select(vec![53, 80, 443, 8080])
}

/// Each field is named by some keys; a local address and MAC by most, as in tables that policies make.
fn key() -> impl Strategy<Value = RuleKey> {
    let often = prop::option::weighted::<BoxedStrategy<IpAddr>>;
    let beside = (prop::option::weighted(0.2, 1..3u16), prop::option::weighted(0.1, 1..3u16));
    let ids = (
        prop::option::weighted(0.3, 0..3u16),
        prop::option::weighted(0.2, 1..4u16),
        prop::option::weighted(0.2, 1..4u16),
    );
    let local = (often(0.8, any_ip().boxed()), prop::option::weighted(0.6, mac()), prop::option::weighted(0.2, port()));
    let remote =
        (often(0.2, any_ip().boxed()), prop::option::weighted(0.1, mac()), prop::option::weighted(0.2, port()));
    let rest = (
        prop::option::weighted(0.5, select(vec![0x0800u16, 0x0806, 0x86dd])),
        prop::option::weighted(0.3, select(vec![1u8, 6, 17])),
        prop::option::weighted(0.1, 0..2u32),
    );
    (local, remote, rest, ids, beside).prop_map(|(local, remote, rest, ids, vlans)| RuleKey {
        local_ip: local.0,
        local_mac: local.1,
        local_port: local.2,
        remote_ip: remote.0,
        remote_mac: remote.1,
        remote_port: remote.2,
        ether_type: rest.0,
        ip_proto: rest.1,
        physical_port: rest.2,
        remote_subnet: ids.0.map(|id| SubnetId(56_000 + id)),
        remote_portrange: ids.1.map(PortRangeId),
        local_portrange: ids.2.map(PortRangeId),
        outer_vlan: vlans.0,
        inner_vlan: vlans.1,
    })
}

fn headers() -> impl Strategy<Value = Headers> {
    let pair = prop_oneof![4 => (ip(), ip()), 1 => (any_ip(), any_ip())];
    let pair = pair.prop_filter("one family", |(src, dst)| src.is_ipv4() == dst.is_ipv4());
    let proto = prop::option::weighted(0.9, select(vec![1u8, 6, 17]));
    let ports = prop::option::weighted(0.7, (port(), port()));
    let packet = (pair, proto, ports).prop_map(|((src, dst), proto, ports)| {
        let has_ports = matches!(proto, Some(6 | 17));
        let raw_ports = has_ports.then_some(ports.unwrap_or((53, 80)));
        (IpHeader { src, dst, proto, ports: ports.filter(|_| has_ports) }, raw_ports)
    });
    let vlans = (prop::option::weighted(0.2, 1..3u16), prop::option::weighted(0.1, 1..3u16));
    (mac(), mac(), vlans, prop::option::weighted(0.9, packet)).prop_map(
        |(src_mac, dst_mac, (outer_vlan, inner_vlan), ip)| {
            let (ip, raw_ports) = (ip.map(|(ip, _)| ip), ip.and_then(|(_, raw_ports)| raw_ports));
            let ether_type = ip.map_or(0x0806, |ip| if ip.src.is_ipv4() { 0x0800 } else { 0x86dd });
            Headers { packet: Packet { src_mac, dst_mac, outer_vlan, inner_vlan, ether_type, ip }, raw_ports }
        },
    )
}

#[derive(Debug, Clone)]
enum Change {
    Set(RuleKey, Action, Action, Option<u32>),
    /// The root of the trie: an id for each of the first four bits.
    Subnets(Vec<u16>),
    /// Both trees: ports up to this one have the first id, the others the second.
    Ports(u16, u16, u16),
    Reset,
}

fn change() -> impl Strategy<Value = Change> {
    let action = || select(vec![Action::None, Action::Allow { sample: false }, Action::Deny { sample: false }]);
    let counter = prop::option::of(1..=COUNTERS);
    prop_oneof![
        20 => (key(), action(), action(), counter).prop_map(|(key, rx, tx, counter)| Change::Set(key, rx, tx, counter)),
        1 => prop::collection::vec(56_000..56_003u16, 16).prop_map(Change::Subnets),
        1 => (port(), 1..4u16, 1..4u16).prop_map(|(key, low, high)| Change::Ports(key, low, high)),
        1 => Just(Change::Reset),
    ]
}

fn carry_out(engine: &mut Engine, change: &Change) {
    match change {
        Change::Set(key, rx, tx, counter) => {
            let entry = Entry { rx: *rx, tx: *tx, counter: counter.map(CounterId) };
            // What a full table refuses changes nothing, here and there.
            let _ = engine.set_rule(*key, entry, 0);
        }
        Change::Subnets(root) => engine.set_subnet_node(0, root).unwrap(),
        Change::Ports(key, low, high) => {
            let tree = [(*key, 0), (0xffff, *low), (0xffff, *high)];
            let tree = tree.map(|(branch_key, leaf_id)| PortTreeEntry { branch_key, leaf_id });
            engine.set_remote_ports(&tree).unwrap();
            engine.set_local_ports(&tree).unwrap();
        }
        Change::Reset => engine.reset_rules(None),
    }
}

fn engine(opposite: &[Assumption], seed: u64) -> Engine {
    let mut config = EngineConfig::profile0();
    config.opposite = opposite.to_vec();
    config.profile.combinations = 64;
    config.seed = seed;
    let mut engine = Engine::new(config);
    engine.alloc_counters(COUNTERS).unwrap();
    carry_out(&mut engine, &Change::Subnets(vec![56_000; 16]));
    carry_out(&mut engine, &Change::Ports(80, 1, 2));
    engine
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_is_judged_as_its_frames_are_one_by_one(
        opposite in prop_oneof![3 => Just(Vec::new()), 1 => subsequence(Assumption::ALL.to_vec(), 1..3)],
        seed: u64,
        rounds in prop::collection::vec((prop::collection::vec(change(), 1..25), prop::collection::vec(headers(), 1..80)), 1..5),
    ) {
        let [mut alone, mut together] = [0, 1].map(|_| engine(&opposite, seed));
        let mut batch = BatchEngine::new();
        for (changes, frames) in rounds {
            for change in &changes {
                carry_out(&mut alone, change);
                carry_out(&mut together, change);
            }
            for (direction, port) in [(Direction::Rx, 0), (Direction::Tx, 0), (Direction::Rx, 1)] {
                let one_by_one: Vec<_> = frames.iter().map(|frame| alone.judge(frame, direction, port)).collect();
                let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::Override }; frames.len()];
                batch.judge_all(&mut together, &frames, direction, port, &mut decisions);
                let judgements: Vec<_> = decisions.iter().map(|decision| together.judgement(*decision)).collect();
                prop_assert_eq!(judgements, one_by_one);
            }
            for id in (1..=COUNTERS).map(CounterId) {
                prop_assert_eq!(together.counter(id), alone.counter(id));
            }
        }
    }
}

#[test]
fn one_batch_serves_several_engines() {
    let deny = |local_ip: &str| {
        let mut engine = engine(&[], 0);
        let deny = Action::Deny { sample: false };
        let key = RuleKey { local_ip: Some(local_ip.parse().unwrap()), ..RuleKey::default() };
        engine.set_rule(key, Entry { rx: deny, tx: deny, counter: None }, 0).unwrap();
        engine
    };
    let (src, dst) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let packet = Packet {
        dst_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        src_mac: MacAddr([2, 0, 0, 0, 0, 2]),
        outer_vlan: None,
        inner_vlan: None,
        ether_type: 0x0800,
        ip: Some(IpHeader { src, dst, proto: Some(1), ports: None }),
    };
    let frame = Headers { packet, raw_ports: None };
    let (mut ours, mut theirs, mut batch) = (deny("10.0.0.1"), deny("10.0.0.2"), BatchEngine::new());
    for _ in 0..2 {
        for (engine, verdict) in [(&mut ours, Verdict::Deny), (&mut theirs, Verdict::Allow)] {
            let mut decision = [Decision { verdict: Verdict::Deny, by: Decided::Override }];
            batch.judge_all(engine, &[frame], Direction::Rx, 0, &mut decision);
            assert_eq!(engine.judgement(decision[0]).verdict, verdict);
            assert!(matches!(engine.judgement(decision[0]).by, By::Entry(_)) == (verdict == Verdict::Deny));
        }
    }
}
