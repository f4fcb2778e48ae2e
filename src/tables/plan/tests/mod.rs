mod closed;
mod named;
mod shortest;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::tables::{
    Action, CounterId, EngineProfile, ImageEntry, PortMap, PortRangeId, PortTreeEntry, Rules, Side, Sizes, SubnetId,
    SubnetMap,
};
use crate::tables::{Entry, Tables};
use crate::terms::Direction;
use crate::terms::MacAddr;

const A: u32 = 0x1000_0001;
const B: u32 = 0x5000_0001;
const UNBOUND: u32 = 0xd000_0001;
const REMOTES: [u32; 6] = [0x0000_0001, A, 0x2000_0001, B, 0x9000_0001, 0xf000_0001];
const PORTS: [u16; 3] = [50, 150, 60_000];
const MACS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];
const ALLOW: Action = Action::Allow { sample: false };
const DENY: Action = Action::Deny { sample: false };

fn ip(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

/// One judgement of the small universe: IPv4, TCP with ports or ICMP without.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Judgement {
    direction: Direction,
    local: u32,
    mac: MacAddr,
    remote: u32,
    /// Local and remote.
    ports: Option<(u16, u16)>,
}

fn universe() -> Vec<Judgement> {
    let pairs = PORTS.into_iter().flat_map(|local| PORTS.map(|remote| Some((local, remote))));
    let ports: Vec<_> = pairs.chain([None]).collect();
    let mut all = Vec::new();
    for direction in [Direction::Rx, Direction::Tx] {
        for local in [A, B, UNBOUND] {
            for mac in MACS {
                for remote in REMOTES {
                    all.extend(ports.iter().map(|&ports| Judgement { direction, local, mac, remote, ports }));
                }
            }
        }
    }
    all
}

/// Judges by what is in the tables as it was written: raw words, no classes.
impl Tables {
    fn holding(image: &Image, sizes: &Sizes) -> Self {
        let rules = image
            .rules
            .iter()
            .map(|(key, e)| (*key, Entry { rx: e.rx.action, tx: e.tx.action, counter: e.counter }))
            .collect();
        let nodes = image.subnets.iter().flat_map(|map| &map.nodes).map(|n| (n.id, n.entries.clone())).collect();
        let tree = |map: &Option<Arc<PortMap>>| map.as_ref().map(|map| map.tree(sizes).unwrap()).unwrap_or_default();
        Self { rules, nodes, trees: [tree(&image.remote_ports), tree(&image.local_ports)] }
    }

    fn subnet(&self, addr: u32, sizes: &Sizes) -> Option<u16> {
        let bits = sizes.entries_per_node.ilog2();
        let (mut node, mut shift) = (0, 32 - bits);
        loop {
            let word = self.nodes.get(&node)?[(addr >> shift & (sizes.entries_per_node - 1)) as usize];
            if u32::from(word) >= sizes.subnet_id_min {
                return Some(word);
            }
            (node, shift) = (u32::from(word) / sizes.entries_per_node, shift - bits);
        }
    }

    fn range(tree: &[PortTreeEntry], port: u16) -> Option<PortRangeId> {
        let mut at = 0;
        while tree.get(at)?.branch_key != 0xffff {
            at = if port <= tree[at].branch_key { 2 * at + 1 } else { 2 * at + 2 };
        }
        Some(PortRangeId(tree[at].leaf_id))
    }

    fn judge(&self, universe: &[Judgement], sizes: &Sizes) -> Vec<bool> {
        fn is<T: PartialEq>(named: Option<T>, value: Option<T>) -> bool {
            named.is_none() || named == value
        }
        let subnets = REMOTES.map(|remote| (remote, self.subnet(remote, sizes).map(SubnetId)));
        let [remotes, locals] = self.trees.each_ref().map(|t| PORTS.map(|p| (p, Self::range(t, p))));
        fn of<K: PartialEq, V: Copy>(table: &[(K, Option<V>)], key: K) -> Option<V> {
            table.iter().find(|(k, _)| *k == key).and_then(|(_, v)| *v)
        }
        let admits = |j: &Judgement| {
            let (local, remote) = (j.ports.map(|p| p.0), j.ports.map(|p| p.1));
            let subnet = of(&subnets, j.remote);
            let (local_range, remote_range) =
                (local.and_then(|p| of(&locals, p)), remote.and_then(|p| of(&remotes, p)));
            let (mut allowed, mut denied) = (false, false);
            for (key, entry) in &self.rules {
                let action = if j.direction == Direction::Rx { &entry.rx } else { &entry.tx };
                let hit = *action != Action::None
                    && is(key.local_ip, Some(ip(j.local)))
                    && is(key.local_mac, Some(j.mac))
                    && is(key.remote_ip, Some(ip(j.remote)))
                    && is(key.remote_subnet, subnet)
                    && is(key.remote_port, remote)
                    && is(key.local_port, local)
                    && is(key.remote_portrange, remote_range)
                    && is(key.local_portrange, local_range);
                allowed |= hit && *action == ALLOW && !key.is_base();
                denied |= hit && *action == DENY;
            }
            allowed || !denied
        };
        universe.iter().map(admits).collect()
    }
}

fn closes(plan: &Plan, j: &Judgement) -> bool {
    let is = |local: &Local| local.ip.is_none_or(|a| a == ip(j.local)) && local.mac.is_none_or(|mac| mac == j.mac);
    plan.closes.iter().any(is)
}

/// Replays the plan and checks everything that the module promises.
fn check(old: &Image, new: &Image, target: &Target, plan: &Plan) -> Result<(), TestCaseError> {
    let (universe, sizes) = (universe(), &target.sizes);
    let mut adapter = Tables::holding(old, sizes);
    let before = adapter.judge(&universe, sizes);
    let after = Tables::holding(new, sizes).judge(&universe, sizes);

    // Forward: per judgement, and end to end between pauses.
    let mut history = vec![before.clone()];
    let in_use =
        |tables: &Tables| (tables.rules.len(), tables.rules.keys().map(RuleKey::fields).collect::<BTreeSet<_>>().len());
    let (mut peak_rules, mut peak_combinations) = in_use(&adapter);
    let mut flight = EndToEnd::new(&universe, &before, &after);
    flight.see(&before)?;
    for (i, step) in plan.steps.iter().enumerate() {
        if step.pause_before {
            flight.pause();
            flight.see(history.last().unwrap())?;
        }
        adapter.apply(&step.op);
        let judged = adapter.judge(&universe, sizes);
        for (at, j) in universe.iter().enumerate() {
            let known = judged[at] == before[at] || judged[at] == after[at];
            prop_assert!(known || (!judged[at] && closes(plan, j)), "step {i} ({:?}): {j:?}", step.phase);
        }
        flight.see(&judged)?;
        let (rules, combinations) = in_use(&adapter);
        prop_assert!(rules <= target.profile.rules as usize);
        prop_assert!(combinations <= target.profile.combinations as usize);
        (peak_rules, peak_combinations) = (peak_rules.max(rules), peak_combinations.max(combinations));
        history.push(judged);
    }
    prop_assert_eq!((plan.peak_rules, plan.peak_combinations), (peak_rules, peak_combinations));
    let goal = Tables::holding(new, sizes);
    prop_assert_eq!(&adapter.rules, &goal.rules);
    prop_assert_eq!(history.last().unwrap(), &after);
    for (id, entries) in &goal.nodes {
        prop_assert_eq!(adapter.nodes.get(id), Some(entries));
    }

    // Back: after each undo everything judges as before the step.
    for (i, step) in plan.steps.iter().enumerate().rev() {
        if let Some(undo) = &step.undo {
            adapter.apply(undo);
        }
        let judged = adapter.judge(&universe, sizes);
        let wrong = universe.iter().enumerate().find(|(at, _)| judged[*at] != history[i][*at]);
        prop_assert!(wrong.is_none(), "undo of step {i}: {wrong:?}\n{:#?}", plan.steps);
    }
    prop_assert_eq!(adapter.rules, Tables::holding(old, sizes).rules);
    Ok(())
}

/// Packets between A and B: judged on TX at some time, and on RX at the same time or later, before a pause.
struct EndToEnd {
    /// Index of the TX judgement and of the RX judgement, and whether old or new admit both.
    pairs: Vec<(usize, usize, bool)>,
    sent: Vec<bool>,
}

impl EndToEnd {
    fn new(universe: &[Judgement], before: &[bool], after: &[bool]) -> Self {
        let mut pairs = Vec::new();
        for (tx, out) in universe.iter().enumerate().filter(|(_, j)| j.direction == Direction::Tx) {
            for (rx, j) in universe.iter().enumerate().filter(|(_, j)| j.direction == Direction::Rx) {
                let ports = out.ports.map(|(local, remote)| (remote, local));
                if (j.local, j.remote, j.ports) == (out.remote, out.local, ports) {
                    pairs.push((tx, rx, (before[tx] && before[rx]) || (after[tx] && after[rx])));
                }
            }
        }
        assert!(!pairs.is_empty());
        let sent = vec![false; pairs.len()];
        Self { pairs, sent }
    }

    fn pause(&mut self) {
        self.sent.fill(false);
    }

    fn see(&mut self, judged: &[bool]) -> Result<(), TestCaseError> {
        for ((tx, rx, admitted), sent) in self.pairs.iter().zip(&mut self.sent) {
            *sent |= judged[*tx];
            prop_assert!(!(*sent && judged[*rx]) || *admitted, "{tx} then {rx} passes and neither image admits it");
        }
        Ok(())
    }
}

/// How a remote address or a port is named.
#[derive(Debug, Clone, Copy)]
enum Named {
    No,
    Exact(usize),
    Class(usize),
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![Just(Named::No), (0usize..8).prop_map(Named::Exact), (0usize..8).prop_map(Named::Class)]
}

type RawEntry = (bool, bool, [Named; 3], (bool, bool), Option<u32>);

#[derive(Debug, Clone)]
struct RawImage {
    /// Base denies: A, B, the MAC of A.
    bases: [bool; 3],
    entries: Vec<RawEntry>,
    subnets: Vec<(u32, u16)>,
    remote_ports: Vec<(u16, u16)>,
    local_ports: Vec<(u16, u16)>,
}

prop_compose! {
    fn raw_image()(
        bases in prop::array::uniform3(prop::bool::weighted(0.8)),
        entries in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::array::uniform3(named()), any::<(bool, bool)>(), prop::option::of(1u32..4)),
            0..5,
        ),
        subnets in prop::collection::btree_map(0u32..16, 0u16..5, 0..4),
        remote_ports in prop::collection::btree_map(0u16..3, 0u16..4, 0..3),
        local_ports in prop::collection::btree_map(0u16..3, 0u16..4, 0..3),
    ) -> RawImage {
        RawImage {
            bases,
            entries,
            subnets: subnets.into_iter().collect(),
            remote_ports: remote_ports.into_iter().collect(),
            local_ports: local_ports.into_iter().collect(),
        }
    }
}

/// The image, or `None` if the tables are too small for it. Beside `old`, if that is given and has room.
fn image(raw: &RawImage, target: &Target, old: Option<&Image>) -> Option<Image> {
    let sizes = &target.sizes;
    let min = u16::try_from(sizes.subnet_id_min).unwrap();
    let subnets = [(0, min)].into_iter().chain(raw.subnets.iter().map(|(at, id)| (at << 28, min + id)));
    let subnets: BTreeMap<u32, SubnetId> = subnets.map(|(at, id)| (at, SubnetId(id))).collect();
    let others: Vec<&SubnetMap> = old.iter().filter_map(|old| old.subnets.as_deref()).collect();
    let beside = SubnetMap::build_beside(subnets.clone(), sizes, &others);
    let ports = |raw: &[(u16, u16)]| {
        let all = [(0, 1)].into_iter().chain(raw.iter().map(|(at, id)| (at * 100, id + 1)));
        PortMap::build(all.map(|(at, id)| (at, PortRangeId(id))).collect::<BTreeMap<_, _>>(), sizes).map(Arc::new)
    };
    let mut image = Image {
        rules: Rules::new(),
        subnets: (!raw.subnets.is_empty())
            .then(|| beside.or_else(|_| SubnetMap::build(subnets, sizes)).map(Arc::new))
            .transpose()
            .ok()?,
        remote_ports: (!raw.remote_ports.is_empty()).then(|| ports(&raw.remote_ports)).transpose().ok()?,
        local_ports: (!raw.local_ports.is_empty()).then(|| ports(&raw.local_ports)).transpose().ok()?,
    };
    let side = |action| Side { action, origins: vec![] };
    let bases = [(Some(ip(A)), None), (Some(ip(B)), None), (None, Some(MACS[0]))];
    for ((local_ip, local_mac), _) in bases.into_iter().zip(raw.bases).filter(|(_, is)| *is) {
        let key = RuleKey { local_ip, local_mac, ..RuleKey::default() };
        image.rules.insert(key, ImageEntry { rx: side(DENY), tx: side(DENY), counter: None });
    }
    for (of_a, with_mac, [remote, remote_port, local_port], (rx, tx), counter) in &raw.entries {
        let mut key = RuleKey {
            local_ip: Some(ip(if *of_a { A } else { B })),
            local_mac: with_mac.then_some(MACS[usize::from(!*of_a)]),
            ether_type: Some(0x0800),
            ..RuleKey::default()
        };
        match (remote, &image.subnets) {
            (Named::Exact(i), _) => key.remote_ip = Some(ip(REMOTES[i % REMOTES.len()])),
            (Named::Class(i), Some(map)) => key.remote_subnet = Some(map.classes[i % map.classes.len()].1),
            _ => {}
        }
        let port = |named: &Named, map: &Option<Arc<PortMap>>| match (named, map) {
            (Named::Exact(i), _) => (Some(PORTS[i % PORTS.len()]), None),
            (Named::Class(i), Some(map)) => (None, Some(map.classes[i % map.classes.len()].1)),
            _ => (None, None),
        };
        (key.remote_port, key.remote_portrange) = port(remote_port, &image.remote_ports);
        (key.local_port, key.local_portrange) = port(local_port, &image.local_ports);
        if *rx || *tx {
            let action = |is: bool| side(if is { ALLOW } else { Action::None });
            let entry = ImageEntry { rx: action(*rx), tx: action(*tx), counter: counter.map(CounterId) };
            image.rules.insert(key, entry);
        }
    }
    let combinations: BTreeSet<_> = image.rules.keys().map(RuleKey::fields).collect();
    let fits = image.rules.len() <= target.profile.rules as usize
        && combinations.len() <= target.profile.combinations as usize;
    fits.then_some(image)
}

prop_compose! {
    fn target()(
        nodes in 3u32..14,
        subnet_ids in 5u32..14,
        tree in 7u32..32,
        range_ids in 4u32..12,
        rules in 6u32..40,
        combinations in 4u32..24,
    ) -> Target {
        let sizes = Sizes {
            subnet_nodes: nodes,
            entries_per_node: 4,
            subnet_id_min: 100,
            subnet_id_max: 99 + subnet_ids,
            port_tree_entries: tree,
            portrange_id_min: 1,
            portrange_id_max: range_ids,
        };
        Target { profile: EngineProfile { rules, combinations, ..EngineProfile::profile0() }, sizes, physical_ports: 1 }
    }
}

proptest! {
    #[test]
    fn every_judgement_is_the_old_or_the_new_one(
        target in target(),
        raw in raw_image(),
        next in raw_image(),
        share in prop::array::uniform4(any::<bool>()),
        beside in any::<bool>(),
    ) {
        // Half of the changes keep a part as it is, as changes do.
        let mut next = next;
        if share[0] { next.subnets = raw.subnets.clone(); }
        if share[1] { next.remote_ports = raw.remote_ports.clone(); }
        if share[2] { next.local_ports = raw.local_ports.clone(); }
        if share[3] { next.entries.extend(raw.entries.iter().skip(1).copied()); }
        let old = image(&raw, &target, None);
        let new = image(&next, &target, old.as_ref().filter(|_| beside));
        let (Some(old), Some(new)) = (old, new) else { return Ok(()) };
        if let Ok(plan) = Plan::new(&old, &new, &target) {
            check(&old, &new, &target, &plan)?;
        }
        let same = Plan::new(&old, &old, &target).unwrap();
        prop_assert!(same.steps.is_empty());
    }
}
