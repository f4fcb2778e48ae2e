//! Any content of the tables, whether a policy makes it or not: the model's engine, in batches and one by one, while commands
//! change it; the reference judge of images; and a literal reading of the words in the tables, for the opposites of assumptions
//! too. The order of lookup is ranked, so that each of them has one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use nicfw::tables::{
    Action, Assumption, Entry, Image, ImageEntry, LookupOrder, MatchFields, PortMap, PortRangeId, PortTreeEntry,
    RuleKey, Side, Sizes, SubnetId, SubnetMap,
};
use nicfw::terms::{Direction, Flow, Packet, Verdict};
use nicfw_model::engines::batch::BatchEngine;
use nicfw_model::engines::rules::{By, Decided, Decision, Engine, EngineConfig, Snapshot};
use nicfw_model::packet::{Headers, parse};
use nicfw_test_kit::frames::{Shape, frame};
use nicfw_test_kit::packets::{packet, shape};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

const PORT: u32 = 1;
const ALLOW: Action = Action::Allow { sample: false };
const DENY: Action = Action::Deny { sample: false };

/// Those that a lookup depends on, but for A1, under whose opposite the order of base entries is open.
const OPPOSITES: [Assumption; 8] = [
    Assumption::LocalIsHostSide,
    Assumption::NoMatchAccepts,
    Assumption::TrieMsbFirst,
    Assumption::PortTreeHeapOrder,
    Assumption::LaterFragmentHasNoPorts,
    Assumption::NonIpIsJudged,
    Assumption::NoneIsAbsent,
    Assumption::MissGoesOn,
];

/// Maps: where another class begins, and its id from 0.
#[derive(Debug, Clone)]
struct Maps {
    subnets: BTreeMap<u32, u16>,
    ports: [BTreeMap<u16, u16>; 2],
}

fn maps() -> impl Strategy<Value = Maps> {
    let addrs = ["10.20.0.0", "10.21.0.0", "10.0.0.53", "10.0.0.54", "10.30.1.17", "224.0.0.0", "255.255.255.255"];
    let addrs = addrs.map(|addr| addr.parse::<std::net::Ipv4Addr>().unwrap().to_bits());
    let subnets = prop::collection::btree_map(select(addrs.to_vec()), 0..4u16, 0..6);
    let ports = || prop::collection::btree_map(select(vec![53, 54, 80, 1024, 8000, 8100]), 0..3u16, 0..5);
    (subnets, ports(), ports()).prop_map(|(subnets, remote, local)| Maps { subnets, ports: [remote, local] })
}

impl Maps {
    fn subnets(&self, sizes: &Sizes) -> SubnetMap {
        let id = |id: &u16| SubnetId(56_000 + id);
        let classes: BTreeMap<_, _> =
            [(0, id(&0))].into_iter().chain(self.subnets.iter().map(|(at, n)| (*at, id(n)))).collect();
        SubnetMap::build(classes, sizes).unwrap()
    }

    fn ports(&self, side: usize, sizes: &Sizes) -> PortMap {
        let id = |id: &u16| PortRangeId(1 + id);
        let classes: BTreeMap<_, _> =
            [(0, id(&0))].into_iter().chain(self.ports[side].iter().map(|(at, n)| (*at, id(n)))).collect();
        PortMap::build(classes, sizes).unwrap()
    }
}

/// What packets show, in part: so it matches some of them. Ids are of the first few.
fn key() -> impl Strategy<Value = RuleKey> {
    let ids = (0..4u16, 1..4u16, 1..4u16);
    (packet(), any::<bool>(), select(combinations()), ids).prop_map(|(packet, rx, fields, (subnet, remote, local))| {
        let flow = packet.judged(if rx { Direction::Rx } else { Direction::Tx }, PORT);
        let all = RuleKey {
            remote_subnet: Some(SubnetId(56_000 + subnet)),
            remote_portrange: Some(PortRangeId(remote)),
            local_portrange: Some(PortRangeId(local)),
            ..shown(&flow, None)
        };
        only(&all, fields)
    })
}

/// Combinations with few fields and with many.
fn combinations() -> Vec<MatchFields> {
    use MatchFields as F;
    let wide = F::LOCAL_IP | F::LOCAL_MAC | F::ETHER_TYPE;
    vec![
        F::empty(),
        F::LOCAL_IP,
        F::LOCAL_MAC,
        F::PHYSICAL_PORT,
        F::ETHER_TYPE | F::LOCAL_MAC,
        wide,
        wide | F::IP_PROTO,
        wide | F::IP_PROTO | F::REMOTE_SUBNET_ID | F::LOCAL_PORT,
        wide | F::IP_PROTO | F::REMOTE_IP | F::LOCAL_PORTRANGE_ID,
        F::LOCAL_IP | F::REMOTE_SUBNET_ID,
        F::REMOTE_SUBNET_ID | F::REMOTE_PORTRANGE_ID | F::LOCAL_PORTRANGE_ID,
        F::REMOTE_IP | F::REMOTE_PORT,
        F::REMOTE_MAC | F::OUTER_VLAN,
        F::OUTER_VLAN | F::INNER_VLAN | F::LOCAL_IP,
        F::NAMED,
    ]
}

/// One command, or a change of a map, and the frames that are judged after it.
#[derive(Debug, Clone)]
enum Change {
    Set(RuleKey, Action, Action),
    /// Takes one of the entries out.
    Free(Index),
    Maps(Maps),
    Commit,
    Reboot,
}

fn change() -> impl Strategy<Value = Change> {
    let action = || select(vec![Action::None, ALLOW, DENY]);
    prop_oneof![
        12 => (key(), action(), action()).prop_map(|(key, rx, tx)| Change::Set(key, rx, tx)),
        4 => any::<Index>().prop_map(Change::Free),
        1 => maps().prop_map(Change::Maps),
        1 => Just(Change::Commit),
        1 => Just(Change::Reboot),
    ]
}

/// The named fields of a key.
fn only(all: &RuleKey, fields: MatchFields) -> RuleKey {
    use MatchFields as F;
    fn keep<T>(fields: F, field: F, value: Option<T>) -> Option<T> {
        value.filter(|_| fields.contains(field))
    }
    RuleKey {
        local_ip: keep(fields, F::LOCAL_IP, all.local_ip),
        local_mac: keep(fields, F::LOCAL_MAC, all.local_mac),
        physical_port: keep(fields, F::PHYSICAL_PORT, all.physical_port),
        outer_vlan: keep(fields, F::OUTER_VLAN, all.outer_vlan),
        inner_vlan: keep(fields, F::INNER_VLAN, all.inner_vlan),
        ether_type: keep(fields, F::ETHER_TYPE, all.ether_type),
        ip_proto: keep(fields, F::IP_PROTO, all.ip_proto),
        remote_ip: keep(fields, F::REMOTE_IP, all.remote_ip),
        remote_mac: keep(fields, F::REMOTE_MAC, all.remote_mac),
        remote_subnet: keep(fields, F::REMOTE_SUBNET_ID, all.remote_subnet),
        remote_port: keep(fields, F::REMOTE_PORT, all.remote_port),
        remote_portrange: keep(fields, F::REMOTE_PORTRANGE_ID, all.remote_portrange),
        local_port: keep(fields, F::LOCAL_PORT, all.local_port),
        local_portrange: keep(fields, F::LOCAL_PORTRANGE_ID, all.local_portrange),
    }
}

/// Everything a flow shows but ids; `hidden` are the ports of a later fragment, where they are looked at.
fn shown(flow: &Flow, hidden: Option<u16>) -> RuleKey {
    let ip = flow.ip;
    let ports = ip.and_then(|ip| ip.ports).map(|ports| (ports.local, ports.remote)).or(hidden.map(|port| (port, port)));
    RuleKey {
        local_ip: ip.map(|ip| ip.local),
        local_mac: Some(flow.local_mac),
        physical_port: Some(flow.physical_port),
        outer_vlan: flow.outer_vlan,
        inner_vlan: flow.inner_vlan,
        ether_type: Some(flow.ether_type),
        ip_proto: ip.and_then(|ip| ip.proto),
        remote_ip: ip.map(|ip| ip.remote),
        remote_mac: Some(flow.remote_mac),
        remote_port: ports.map(|ports| ports.1),
        local_port: ports.map(|ports| ports.0),
        ..RuleKey::default()
    }
}

/// The tables, read literally.
struct Literal<'a> {
    tables: &'a Snapshot,
    config: &'a EngineConfig,
    order: &'a [MatchFields],
}

impl Literal<'_> {
    fn judge(&self, packet: &Packet, direction: Direction) -> (Verdict, Option<RuleKey>) {
        let holds = |assumption| self.config.holds(assumption);
        if packet.ip.is_none() && !holds(Assumption::NonIpIsJudged) {
            return (Verdict::Allow, None);
        }
        let side = if holds(Assumption::LocalIsHostSide) { direction } else { direction.opposite() };
        // `frames.rs` fills later fragments with these bytes.
        let later = packet.ip.is_some_and(|ip| ip.ports.is_none() && matches!(ip.proto, Some(6 | 17 | 132)));
        let hidden = (later && !holds(Assumption::LaterFragmentHasNoPorts)).then_some(0xa5a5);
        let mut all = shown(&packet.judged(side, PORT), hidden);
        if let Some(IpAddr::V4(remote)) = all.remote_ip {
            all.remote_subnet = self.subnet(remote.to_bits()).map(SubnetId);
        }
        all.remote_portrange = all.remote_port.and_then(|port| self.range(self.tables.remote_ports.as_deref(), port));
        all.local_portrange = all.local_port.and_then(|port| self.range(self.tables.local_ports.as_deref(), port));
        let used: BTreeSet<MatchFields> = self.tables.rules.keys().map(RuleKey::fields).collect();
        for fields in self.order.iter().filter(|fields| used.contains(fields)) {
            let key = only(&all, *fields);
            match self.tables.rules.get(&key).filter(|_| key.fields() == *fields) {
                Some(entry) => match if direction == Direction::Rx { entry.rx } else { entry.tx }.verdict() {
                    Some(verdict) => return (verdict, Some(key)),
                    None if !holds(Assumption::NoneIsAbsent) => break,
                    None => {}
                },
                None if !holds(Assumption::MissGoesOn) => break,
                None => {}
            }
        }
        (if holds(Assumption::NoMatchAccepts) { Verdict::Allow } else { Verdict::Deny }, None)
    }

    fn subnet(&self, addr: u32) -> Option<u16> {
        let mut node = 0;
        for level in 0..8 {
            let level = if self.config.holds(Assumption::TrieMsbFirst) { 7 - level } else { level };
            let entries = &self.tables.subnet_nodes.iter().find(|known| known.id == node)?.entries;
            let word = entries[(addr >> (4 * level) & 0xf) as usize];
            if word >= 56_000 {
                return Some(word);
            }
            node = u32::from(word) / 16;
        }
        None
    }

    fn range(&self, tree: Option<&[PortTreeEntry]>, port: u16) -> Option<PortRangeId> {
        let tree = tree?;
        let mut at = 0;
        while tree.get(at)?.branch_key != 0xffff {
            let low = port <= tree[at].branch_key;
            at = 2 * at + if low == self.config.holds(Assumption::PortTreeHeapOrder) { 1 } else { 2 };
        }
        Some(PortRangeId(tree[at].leaf_id))
    }
}

fn write_maps(engine: &mut Engine, maps: &Maps, sizes: &Sizes) {
    for node in &maps.subnets(sizes).nodes {
        engine.set_subnet_node(node.id, &node.entries).unwrap();
    }
    engine.set_remote_ports(&maps.ports(0, sizes).tree(sizes).unwrap()).unwrap();
    engine.set_local_ports(&maps.ports(1, sizes).tree(sizes).unwrap()).unwrap();
}

fn image(tables: &Snapshot, maps: &Maps, sizes: &Sizes) -> Image {
    let side = |action| Side { action, origins: Vec::new() };
    let entry = |entry: &Entry| ImageEntry { rx: side(entry.rx), tx: side(entry.tx), counter: entry.counter };
    Image {
        rules: tables.rules.iter().map(|(key, held)| (*key, entry(held))).collect(),
        subnets: Some(Arc::new(maps.subnets(sizes))),
        remote_ports: Some(Arc::new(maps.ports(0, sizes))),
        local_ports: Some(Arc::new(maps.ports(1, sizes))),
    }
}

/// All readings of the tables agree about these packets. `maps` where they are what the tables hold.
fn agree(
    engine: &mut Engine,
    batch: &mut BatchEngine,
    maps: Option<&Maps>,
    order: &[MatchFields],
    packets: &[(Packet, Shape)],
) -> Result<(), TestCaseError> {
    let (tables, config) = (engine.snapshot(), engine.config().clone());
    let headers: Vec<Headers> = packets.iter().map(|(packet, shape)| parse(&frame(packet, *shape)).unwrap()).collect();
    for direction in [Direction::Rx, Direction::Tx] {
        let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::Override }; headers.len()];
        batch.judge_all(engine, &headers, direction, PORT, &mut decisions);
        let flows: Vec<Flow> = packets.iter().map(|(packet, _)| packet.judged(direction, PORT)).collect();
        let by_image = maps.filter(|_| config.opposite.is_empty());
        let by_image = by_image.map(|maps| image(&tables, maps, &config.sizes).judge_all(&flows, &config.profile, 0));
        for (at, (packet, _)) in packets.iter().enumerate() {
            let judgement = engine.judgement(decisions[at]);
            prop_assert_eq!(judgement, engine.judge(&headers[at], direction, PORT), "alone: {:?}", packet);
            let entry = match judgement.by {
                By::Entry(key) => Some(key),
                _ => None,
            };
            let literal = Literal { tables: &tables, config: &config, order };
            let ours = (judgement.verdict, entry);
            prop_assert_eq!(ours, literal.judge(packet, direction), "{:?} {:?}", direction, packet);
            if let Some(image) = &by_image {
                prop_assert_eq!(ours, (image[at].verdict, image[at].entry), "image: {:?} {:?}", direction, packet);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_reading_of_the_tables_agrees(
        first in maps(),
        order in Just(combinations()).prop_shuffle(),
        opposite in prop_oneof![1 => Just(Vec::new()), 1 => subsequence(OPPOSITES.to_vec(), 0..4)],
        changes in prop::collection::vec(change(), 1..40),
        packets in prop::collection::vec((packet(), shape()), 1..70),
    ) {
        let mut config = EngineConfig::profile0();
        config.profile.order = LookupOrder::Ranked(order.clone());
        config.opposite = opposite;
        let (mut engine, mut batch) = (Engine::new(config.clone()), BatchEngine::new());
        write_maps(&mut engine, &first, &config.sizes);
        let (mut maps, mut committed) = (Some(first), None);
        for change in changes {
            match change {
                Change::Set(key, rx, tx) => {
                    // An id of a map that a reboot took away is refused, and then nothing changes.
                    let _ = engine.set_rule(key, Entry { rx, tx, counter: None }, 0);
                }
                Change::Free(which) => {
                    let rules = engine.snapshot().rules;
                    if let Some(key) = (!rules.is_empty()).then(|| rules.keys().nth(which.index(rules.len()))).flatten() {
                        let none = Entry { rx: Action::None, tx: Action::None, counter: None };
                        engine.set_rule(*key, none, 0).unwrap();
                    }
                }
                Change::Maps(next) => {
                    write_maps(&mut engine, &next, &config.sizes);
                    maps = Some(next);
                }
                Change::Commit => {
                    engine.commit_cache();
                    committed = maps.clone();
                }
                Change::Reboot => {
                    engine.reboot();
                    maps = committed.clone();
                }
            }
            agree(&mut engine, &mut batch, maps.as_ref(), &order, packets.get(..5).unwrap_or(&packets))?;
        }
        agree(&mut engine, &mut batch, maps.as_ref(), &order, &packets)?;
    }
}
