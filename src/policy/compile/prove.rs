//! The proof that an image does what its document says.
//!
//! The rules of a document and the maps and entries of the image cut addresses and ports into classes. For one local
//! side of each kind, a flow from every combination of classes is decided by the evaluator and judged by the image; both
//! must agree. Local sides of the same kind have the same entries; a sample of the flows is run for each of them. What is
//! no bound address's is compared for every physical port, MAC and binding.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::classes::{Mask, cut};
use super::layout::Local;
use super::refuse::{CompileError, document_origin};
use super::regions::{DIRECTIONS, Shape};
use super::shapes::Shapes;
use crate::policy::judge::Engine;
use crate::policy::sets::Point;
use crate::policy::{
    AddrSet, Binding, Document, Flow, Image, IntervalSet, IpFlow, Origin, PortPair, PortSet, Ports, Proto, Rule,
};
use crate::tables::{MacAddr, PortMap, RuleKey, Target, Verdict};

/// Flows of a kind that are run for every local side of it.
const SAMPLE: usize = 24;

pub(super) fn prove(document: &Document, target: &Target, image: &Image, shapes: &Shapes) -> Result<(), CompileError> {
    let engine = Engine::new(image, &target.profile, 0);
    let mut kinds: BTreeMap<(usize, bool, bool, bool), Vec<Flow>> = BTreeMap::new();
    let mut alone = Document { bindings: Vec::new(), policies: Vec::new(), ..document.clone() };
    for local in &shapes.locals {
        let kind = (
            local.shape,
            local.key.local_mac.is_some(),
            local.key.outer_vlan.is_some(),
            local.key.physical_port.is_some(),
        );
        let binding = local.binding.and_then(|at| document.bindings.get(at)).map(Arc::as_ref);
        // One binding at a time: the evaluator searches through all that the document has.
        alone.bindings.clear();
        if let Some(binding) = binding
            && let Some(policy) = document.policies.get(binding.policy)
        {
            alone.policies.truncate(1);
            if alone.policies.first() != Some(policy) {
                alone.policies = vec![policy.clone()];
            }
            alone.bindings.push(Arc::new(Binding { policy: 0, ..Binding::clone(binding) }));
        }
        let origin = || binding.map_or_else(|| document_origin(document), |binding| binding.origin.clone());
        if let Some(flows) = kinds.get(&kind) {
            for flow in flows {
                agree(&alone, &engine, &at_local(flow, local, binding), &origin)?;
            }
            continue;
        }
        let flows = Classes::new(document, image, &shapes.shapes[local.shape], local).flows();
        for flow in &flows {
            let flow = at_local(flow, local, binding);
            agree(&alone, &engine, &flow, &origin)?;
            if engine.judge(&flow).verdict == Verdict::Allow {
                for forged in elsewhere(&flow) {
                    agree(&alone, &engine, &forged, &origin)?;
                }
            }
        }
        let step = flows.len().div_ceil(SAMPLE).max(1);
        kinds.insert(kind, flows.into_iter().step_by(step).collect());
    }
    for flow in not_bound(document, target) {
        agree(document, &engine, &flow, &|| document_origin(document))?;
    }
    Ok(())
}

fn agree(
    document: &Document,
    engine: &Engine<'_>,
    flow: &Flow,
    at: &impl Fn() -> Arc<Origin>,
) -> Result<(), CompileError> {
    let expected = document.decide(flow).verdict;
    if engine.judge(flow).verdict == expected {
        return Ok(());
    }
    Err(CompileError::Disagrees { at: at(), expected, flow: Box::new(*flow) })
}

/// The flow with the local side that the binding has.
fn at_local(flow: &Flow, local: &Local, binding: Option<&Binding>) -> Flow {
    let mut flow = *flow;
    if let (Some(ip), Some(at)) = (flow.ip.as_mut(), local.key.local_ip) {
        ip.local = at;
    }
    flow.local_mac = binding.map(|binding| binding.mac).or(local.key.local_mac).unwrap_or(UNUSED_MAC);
    flow.outer_vlan = local.key.outer_vlan;
    flow.physical_port = local.key.physical_port.unwrap_or(0);
    flow
}

const UNUSED_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfe]);
const PEER_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfd]);

/// The same flow with another MAC, on another VLAN, and at another physical port.
fn elsewhere(flow: &Flow) -> [Flow; 4] {
    [
        Flow { local_mac: UNUSED_MAC, ..*flow },
        Flow { outer_vlan: None, ..*flow },
        Flow { outer_vlan: Some(flow.outer_vlan.map_or(1, |vlan| vlan ^ 1)), ..*flow },
        Flow { physical_port: flow.physical_port ^ 1, ..*flow },
    ]
}

/// The classes that a shape's rules and its entries cut.
struct Classes<'a> {
    protocols: Vec<u8>,
    rules: Vec<&'a Rule>,
    local: IpAddr,
    /// What the entries match.
    keys: Vec<&'a RuleKey>,
    remotes: Remotes,
    remote_ports: Points<u16>,
    local_ports: Points<u16>,
}

enum Remotes {
    V4(Points<u32>),
    V6(Points<u128>),
}

impl<'a> Classes<'a> {
    fn new(document: &'a Document, image: &'a Image, shape: &'a Shape, local: &Local) -> Self {
        let rules: Vec<&Rule> = shape.rules.iter().filter_map(|place| document.rule(*place)).collect();
        let ip = local.key.local_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let from = RuleKey { local_ip: Some(ip), ..RuleKey::default() };
        let keys: Vec<&RuleKey> =
            image.rules.keys().skip_while(|key| **key < from).take_while(|key| key.local_ip == Some(ip)).collect();
        let (groups, full) = (AddrSet::groups(), PortSet::full());
        let remotes = if shape.v6 {
            let sets: Vec<_> = rules.iter().map(|rule| &rule.remote.set.v6).chain([&groups.v6]).collect();
            Remotes::V6(Points::new(&sets, &[], exact(&keys, |key| v6(key.remote_ip?))))
        } else {
            let sets: Vec<_> = rules.iter().map(|rule| &rule.remote.set.v4).chain([&groups.v4]).collect();
            let map: Vec<_> = image.subnets.iter().flat_map(|map| &map.classes).map(|(at, id)| (*at, id.0)).collect();
            Remotes::V4(Points::new(&sets, &map, exact(&keys, |key| v4(key.remote_ip?))))
        };
        let side =
            |of: fn(&PortPair) -> &PortSet, last, map: &Option<Arc<PortMap>>, named: fn(&RuleKey) -> Option<u16>| {
                let sets = rules.iter().map(|rule| rule.ports.as_ref().map_or(&full, of));
                let map: Vec<_> = map.iter().flat_map(|map| &map.classes).map(|(at, id)| (*at, id.0)).collect();
                Points::new(&sets.chain([last]).collect::<Vec<_>>(), &map, exact(&keys, named))
            };
        let remote_ports = side(|ports| &ports.remote, &full, &image.remote_ports, |key| key.remote_port);
        let local_ports = side(|ports| &ports.local, &document.ephemeral, &image.local_ports, |key| key.local_port);
        let mut protocols = shape.protocols(document);
        protocols.extend(keys.iter().filter_map(|key| key.ip_proto));
        // One for all that neither names.
        protocols.extend((0..=255).rev().find(|number| !protocols.contains(number)));
        protocols.sort_unstable();
        protocols.dedup();
        Self { protocols, rules, local: ip, keys, remotes, remote_ports, local_ports }
    }

    fn flows(&self) -> Vec<Flow> {
        let mut out = Vec::new();
        for proto in self.protocols.iter().map(|number| Some(*number)).chain([None]) {
            let of_protocol = |key: &&&RuleKey| key.ip_proto.is_none() || key.ip_proto == proto;
            let keys: Vec<&RuleKey> = self.keys.iter().filter(of_protocol).copied().collect();
            let named: BTreeSet<u16> = keys.iter().filter_map(|key| Some(key.remote_subnet?.0)).collect();
            let which = self.which(proto);
            let remotes: Vec<(IpAddr, &Mask, Option<u16>)> = match &self.remotes {
                Remotes::V4(points) => {
                    let exact = exact(&keys, |key| v4(key.remote_ip?));
                    let points = points.choose(&which, &named, &exact).into_iter();
                    points.map(|point| (Ipv4Addr::from_bits(point.at).into(), &point.within, point.id)).collect()
                }
                Remotes::V6(points) => {
                    let exact = exact(&keys, |key| v6(key.remote_ip?));
                    let points = points.choose(&which, &named, &exact).into_iter();
                    points.map(|point| (Ipv6Addr::from_bits(point.at).into(), &point.within, point.id)).collect()
                }
            };
            for (remote, within, id) in remotes {
                let fits = |key: &RuleKey| {
                    key.remote_ip.is_none_or(|at| at == remote) && key.remote_subnet.is_none_or(|at| Some(at.0) == id)
                };
                let here: Vec<&RuleKey> = keys.iter().filter(|key| fits(key)).copied().collect();
                for ports in self.ports(proto, &which.and(within), &here) {
                    let flow = flow(self.local, remote, proto, ports);
                    out.extend(DIRECTIONS.map(|direction| Flow { direction, ..flow }));
                }
            }
        }
        out
    }

    /// The rules of a protocol, and the place behind them: that of the groups or the ephemeral ports.
    fn which(&self, proto: Option<u8>) -> Mask {
        let counts = |rule: &&Rule| match rule.proto {
            Proto::Any => true,
            Proto::Is(number) => proto == Some(number),
        };
        let places = (0..self.rules.len()).filter(|at| counts(&self.rules[*at]));
        places.fold(Mask::of_len(self.rules.len() + 1), |mask, at| mask.with(at)).with(self.rules.len())
    }

    /// Ports of every class that the rules of `which` or the keys tell apart.
    fn ports(&self, proto: Option<u8>, which: &Mask, keys: &[&RuleKey]) -> Vec<Option<Ports>> {
        let mut out = vec![None];
        if !proto.is_some_and(Proto::has_ports) {
            return out;
        }
        let which = which.with(self.rules.len());
        let remote_ids = keys.iter().filter_map(|key| Some(key.remote_portrange?.0)).collect();
        let local_ids = keys.iter().filter_map(|key| Some(key.local_portrange?.0)).collect();
        let (remote_exact, local_exact) = (exact(keys, |key| key.remote_port), exact(keys, |key| key.local_port));
        let local = self.local_ports.choose(&which, &local_ids, &local_exact);
        let local: Vec<u16> = local.into_iter().map(|point| point.at).collect();
        for remote in self.remote_ports.choose(&which, &remote_ids, &remote_exact) {
            out.extend(local.iter().map(|local| Some(Ports { local: *local, remote: remote.at })));
        }
        out
    }
}

fn flow(local: IpAddr, remote: IpAddr, proto: Option<u8>, ports: Option<Ports>) -> Flow {
    Flow {
        direction: DIRECTIONS[0],
        physical_port: 0,
        local_mac: UNUSED_MAC,
        remote_mac: PEER_MAC,
        outer_vlan: None,
        inner_vlan: None,
        ether_type: if local.is_ipv4() { 0x0800 } else { 0x86dd },
        ip: Some(IpFlow { local, remote, proto, ports }),
    }
}

/// The points that entries name.
fn exact<T: Ord>(keys: &[&RuleKey], named: impl Fn(&RuleKey) -> Option<T>) -> BTreeSet<T> {
    keys.iter().filter_map(|key| named(key)).collect()
}

fn v4(ip: IpAddr) -> Option<u32> {
    match ip {
        IpAddr::V4(ip) => Some(ip.to_bits()),
        IpAddr::V6(_) => None,
    }
}

fn v6(ip: IpAddr) -> Option<u128> {
    match ip {
        IpAddr::V6(ip) => Some(ip.to_bits()),
        IpAddr::V4(_) => None,
    }
}

/// A point of a space, with all that could tell it from others.
struct Spot<T> {
    at: T,
    /// The sets that hold it.
    within: Mask,
    id: Option<u16>,
}

/// The first point of each piece of a space.
struct Points<T>(Vec<Spot<T>>);

impl<T: Point> Points<T> {
    fn new(sets: &[&IntervalSet<T>], map: &[(T, u16)], exact: BTreeSet<T>) -> Self {
        let pieces = cut(sets);
        let after = exact.iter().filter_map(|point| point.next());
        let starts = pieces.iter().map(|(at, _)| *at).chain(map.iter().map(|(at, _)| *at));
        let points: BTreeSet<T> = starts.chain(exact.iter().copied()).chain(after).collect();
        let point = |at: T| {
            let id = map.partition_point(|(first, _)| *first <= at).checked_sub(1).map(|place| map[place].1);
            let place = pieces.partition_point(|(first, _)| *first <= at).saturating_sub(1);
            Spot { at, within: pieces[place].1.clone(), id }
        };
        Self(points.into_iter().map(point).collect())
    }

    /// One point of each class, if only the sets of `which` count and entries name the ids of `named` and the points of
    /// `exact`: all others are alike to them. Each exact point is a class of its own.
    fn choose(&self, which: &Mask, named: &BTreeSet<u16>, exact: &BTreeSet<T>) -> Vec<&Spot<T>> {
        let mut seen = BTreeSet::new();
        let class = |point: &Spot<T>| {
            let id = point.id.filter(|id| named.contains(id));
            (point.within.and(which), id, exact.contains(&point.at).then_some(point.at))
        };
        self.0.iter().filter(|point| seen.insert(class(point))).collect()
    }
}

/// Flows of no bound address: each binding's MAC with ARP and with a foreign address, and other MACs, everywhere.
fn not_bound(document: &Document, target: &Target) -> Vec<Flow> {
    let taken = |ip: &IpAddr| {
        document.binding_of(*ip).is_some()
            || document.management.iter().any(|m| m.rule.local.as_ref().is_some_and(|local| local.contains(*ip)))
    };
    // One more than could be taken, so that one is left.
    let free = (0..=u32::MAX).map(|low| IpAddr::V4(Ipv4Addr::from_bits(0x0100_0001_u32.wrapping_add(low))));
    let free = free.take(1 << 16).find(|ip| !taken(ip));
    let macs =
        document.bindings.iter().map(|binding| binding.mac).chain(document.management.iter().filter_map(|m| m.mac));
    let macs: BTreeSet<MacAddr> = macs.chain([UNUSED_MAC, MacAddr::BROADCAST]).collect();
    let mut out = Vec::new();
    for (mac, direction, physical_port) in macs
        .into_iter()
        .flat_map(|mac| DIRECTIONS.map(|direction| (mac, direction)))
        .flat_map(|(mac, direction)| (0..target.physical_ports).map(move |port| (mac, direction, port)))
    {
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let at = |flow: Flow| Flow { direction, physical_port, local_mac: mac, ..flow };
        let ip = flow(peer, peer, None, None);
        out.push(at(Flow { ether_type: 0x0806, ip: None, ..ip }));
        out.push(at(Flow { ether_type: 0x88cc, ip: None, ..ip }));
        out.extend(free.map(|ip| at(flow(ip, peer, Some(6), Some(Ports { local: 80, remote: 50_000 })))));
    }
    out
}
