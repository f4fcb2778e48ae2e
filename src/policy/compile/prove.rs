//! The proof that an image does what its document says.
//!
//! The rules of a document and the maps and entries of the image cut addresses and ports into classes. For one local
//! side of each kind, a flow from every combination of classes is decided by the evaluator and judged by the image; both
//! must agree. Local sides of the same kind have the same entries; a sample of the flows is run for each of them. What is
//! no bound address's is compared for every physical port, MAC and binding.
//!
//! # What is proved again
//! The proof of a local address depends on the frame of its document (`unbound`, `multicast`, ephemeral ports, management
//! rules), on the target, on its binding and the rules of its policy, on the entries that name its address or none, and on
//! the points to which the maps give the ids that these entries name. It is reused where all of that is the same: frame,
//! target, bindings and policies are compared by value, entries by comparing the images block by block, and the meaning of
//! ids by comparing the maps. What of a change is looked at does not depend on what the compiler believes to have changed
//! among entries and ids.

pub(super) mod near;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use self::near::{Cuts, Here, Near};
use super::Compiled;
use super::classes::cut;
use super::refuse::{CompileError, document_origin};
use super::regions::DIRECTIONS;
use super::state::{State, Work};
use super::units::{Alone, UnitKey};
use crate::policy::rules::{Block, BlockKey};
use crate::policy::sets::Point;
use crate::policy::{
    AddrSet, Binding, Document, Flow, Image, ImageEntry, IntervalSet, IpFlow, Origin, Proto, Rule, RulePlace,
};
use crate::tables::{MacAddr, RuleKey, Target, Verdict};

/// Flows of a kind that are run for every local side of it.
const SAMPLE: usize = 24;

const UNUSED_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfe]);
const PEER_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfd]);
const ARP: u16 = 0x0806;

/// A kind of local sides: their unit, and whether they name MAC, VLAN and physical port.
type Kind = (*const (), bool, bool, bool);

/// What is proved.
pub(super) struct Proof<'a> {
    pub document: &'a Document,
    pub target: &'a Target,
    pub image: &'a Image,
    pub state: &'a State,
}

impl Proof<'_> {
    /// The whole image.
    pub fn all(&self) -> Result<(), CompileError> {
        let mut sides = Sides::new(self);
        for at in 0..self.document.bindings.len() {
            sides.binding(at)?;
        }
        sides.unbound()?;
        let bound = self.document.bindings.iter().map(|binding| binding.mac);
        self.macs(bound.chain([UNUSED_MAC, MacAddr::BROADCAST]))
    }

    /// What the image before it does not prove already.
    pub fn of(&self, work: &Work, before: &Compiled) -> Result<(), CompileError> {
        let mut known: BTreeSet<IpAddr> = BTreeSet::new();
        let mut macs: BTreeSet<MacAddr> = BTreeSet::new();
        for binding in work.bindings.iter().filter_map(|at| self.document.bindings.get(*at)) {
            known.extend(&binding.ips);
            macs.insert(binding.mac);
        }
        let ended = work.ended.iter().filter_map(|number| before.state.bound.get(number));
        macs.extend(ended.map(|bound| bound.binding.mac));
        let same = |a: &Block, b: &Block| Arc::ptr_eq(a, b);
        for (name, was, is) in before.image.rules.blocks().changes(self.image.rules.blocks(), same) {
            macs.extend(name.mac());
            let bound_before = name.ip().is_some() && is.is_none();
            let elsewhere = name.ip().is_none_or(|ip| !known.contains(&ip)) && !bound_before;
            if elsewhere && decides_otherwise(was, is) {
                return self.all();
            }
        }
        if self.means_otherwise(&before.image, work) {
            return self.all();
        }
        let mut sides = Sides::new(self);
        work.bindings.iter().try_for_each(|at| sides.binding(*at))?;
        if work.unbound {
            sides.unbound()?;
        }
        self.macs(macs.into_iter())
    }

    /// True if blocks that stay name ids that do not mean what they meant.
    fn means_otherwise(&self, before: &Image, work: &Work) -> bool {
        let (a, b) = (before, self.image);
        let moved = [
            moved(
                a.subnets.as_ref().map(|map| &map.classes[..]),
                b.subnets.as_ref().map(|map| &map.classes[..]),
                |id| id.0,
            ),
            moved(
                a.remote_ports.as_ref().map(|map| &map.classes[..]),
                b.remote_ports.as_ref().map(|map| &map.classes[..]),
                |id| id.0,
            ),
            moved(
                a.local_ports.as_ref().map(|map| &map.classes[..]),
                b.local_ports.as_ref().map(|map| &map.classes[..]),
                |id| id.0,
            ),
        ];
        if moved.iter().all(HashSet::is_empty) {
            return false;
        }
        let again: BTreeSet<IpAddr> =
            work.bindings.iter().filter_map(|at| self.document.bindings.get(*at)).flat_map(|b| b.ips.clone()).collect();
        let names = |key: &RuleKey| {
            key.remote_subnet.is_some_and(|id| moved[0].contains(&id.0))
                || key.remote_portrange.is_some_and(|id| moved[1].contains(&id.0))
                || key.local_portrange.is_some_and(|id| moved[2].contains(&id.0))
        };
        let stay = self.image.rules.blocks().iter().filter(|(name, _)| name.ip().is_none_or(|ip| !again.contains(&ip)));
        stay.into_iter().any(|(_, block)| block.iter().any(|(key, _)| names(key)))
    }

    /// Flows of no bound address: of each of these MACs, with ARP and with a foreign address, everywhere. What decides
    /// about them are the bindings with that MAC and the management rules, and entries that name no address.
    fn macs(&self, macs: impl Iterator<Item = MacAddr>) -> Result<(), CompileError> {
        let macs: BTreeSet<MacAddr> =
            macs.chain(self.document.management.iter().filter_map(|management| management.mac)).collect();
        let mut alone = Alone::of(self.document);
        let free = self.free_address();
        for mac in macs {
            let document = alone.with(None);
            let first = (mac, 0);
            let of_mac = self.state.macs.starting_at(&first).take_while(|((other, _), ())| *other == mac);
            let of_mac = of_mac.filter_map(|((_, number), ())| self.state.bound.get(number));
            document.bindings.extend(of_mac.map(|bound| bound.binding.clone()));
            let near = Near::new(self.image, &self.target.profile, None, &[mac]);
            for direction in DIRECTIONS {
                for physical_port in 0..self.target.physical_ports {
                    for flow in not_bound(free) {
                        let flow = Flow { direction, physical_port, local_mac: mac, ..flow };
                        let judged = near.judge(&near.all(), &self.image.names(&flow), direction);
                        agree(document.decide(&flow).verdict, judged, &flow, || document_origin(self.document))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// An address that is nobody's.
    fn free_address(&self) -> Option<IpAddr> {
        // One more than could be taken, so that one is left.
        let free = (0..=u32::MAX).map(|low| IpAddr::V4(Ipv4Addr::from_bits(0x0100_0001_u32.wrapping_add(low))));
        let named = |ip: &IpAddr| {
            self.document.management.iter().any(|m| m.rule.local.as_ref().is_some_and(|local| local.contains(*ip)))
        };
        let taken = |ip: &IpAddr| {
            let key = RuleKey { local_ip: Some(*ip), ..RuleKey::default() };
            self.image.rules.blocks().get(&BlockKey::of(&key)).is_some()
        };
        free.take(1 << 16).find(|ip| !taken(ip) && !named(ip))
    }
}

/// ARP, a frame of another kind, and one of an address that nobody bound.
fn not_bound(free: Option<IpAddr>) -> impl Iterator<Item = Flow> {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let ip = flow(peer, peer, None);
    let ports = Some(crate::policy::Ports { local: 80, remote: 50_000 });
    let foreign = free.map(|ip| {
        let mut flow = flow(ip, peer, Some(6));
        flow.ip = flow.ip.map(|ip| IpFlow { ports, ..ip });
        flow
    });
    [Flow { ether_type: ARP, ip: None, ..ip }, Flow { ether_type: 0x88cc, ip: None, ..ip }].into_iter().chain(foreign)
}

/// True if entries that could decide about IP frames differ, origins and counters aside.
fn decides_otherwise(was: Option<&Block>, is: Option<&Block>) -> bool {
    let actions = |block: Option<&Block>| {
        let all = block.into_iter().flat_map(|block| block.iter());
        let of_ip = all.filter(|(key, _)| key.ether_type != Some(ARP));
        of_ip.map(|(key, ImageEntry { rx, tx, .. })| (*key, rx.action, tx.action)).collect::<Vec<_>>()
    };
    // Blocks of a MAC alone are judged for the MAC; an address is not bound by one of them.
    let of_mac = |block: Option<&Block>| {
        block.is_some_and(|block| block.iter().all(|(key, _)| key.local_ip.is_none() && key.local_mac.is_some()))
    };
    if of_mac(was.or(is)) && (was.is_none() || is.is_none()) {
        return false;
    }
    actions(was) != actions(is)
}

/// The ids whose points differ between two maps.
fn moved<P: Point, I: Copy>(was: Option<&[(P, I)]>, is: Option<&[(P, I)]>, number: impl Fn(I) -> u16) -> HashSet<u16> {
    let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
    let mut out = HashSet::new();
    if std::ptr::eq(was, is) {
        return out;
    }
    let (mut i, mut j) = (0, 0);
    let (mut a, mut b) = (None, None);
    loop {
        let at = match (was.get(i), is.get(j)) {
            (None, None) => return out,
            (Some(x), Some(y)) => x.0.min(y.0),
            (Some(x), None) | (None, Some(x)) => x.0,
        };
        if let Some((_, id)) = was.get(i).filter(|(first, _)| *first == at) {
            (a, i) = (Some(number(*id)), i + 1);
        }
        if let Some((_, id)) = is.get(j).filter(|(first, _)| *first == at) {
            (b, j) = (Some(number(*id)), j + 1);
        }
        if a != b {
            out.extend(a.into_iter().chain(b));
        }
    }
}

fn agree(
    expected: Verdict,
    judged: Verdict,
    flow: &Flow,
    at: impl FnOnce() -> Arc<Origin>,
) -> Result<(), CompileError> {
    if expected == judged {
        return Ok(());
    }
    Err(CompileError::Disagrees { at: at(), expected, flow: Box::new(*flow) })
}

fn flow(local: IpAddr, remote: IpAddr, proto: Option<u8>) -> Flow {
    Flow {
        direction: DIRECTIONS[0],
        physical_port: 0,
        local_mac: UNUSED_MAC,
        remote_mac: PEER_MAC,
        outer_vlan: None,
        inner_vlan: None,
        ether_type: if local.is_ipv4() { 0x0800 } else { 0x86dd },
        ip: Some(IpFlow { local, remote, proto, ports: None }),
    }
}

/// Runs the flows of local sides.
struct Sides<'a> {
    proof: &'a Proof<'a>,
    alone: Alone,
    kinds: BTreeMap<Kind, Vec<Flow>>,
}

/// One local side, and what decides about it.
struct Side<'a> {
    proof: &'a Proof<'a>,
    document: &'a Document,
    binding: Option<&'a Binding>,
    local: &'a RuleKey,
    near: Near,
}

impl<'a> Sides<'a> {
    fn new(proof: &'a Proof<'a>) -> Self {
        Self { proof, alone: Alone::of(proof.document), kinds: BTreeMap::new() }
    }

    fn binding(&mut self, at: usize) -> Result<(), CompileError> {
        let (document, state) = (self.proof.document, self.proof.state);
        let (Some(binding), Some(of)) = (document.bindings.get(at), state.bindings.get(at)) else { return Ok(()) };
        let Some(bound) = state.bound.get(&of.number) else { return Ok(()) };
        // One binding at a time: the evaluator searches through all that the document has.
        let alone = self.alone.with(document.policies.get(binding.policy));
        alone.bindings.push(Arc::new(Binding { policy: 0, ..Binding::clone(binding) }));
        for (local, key) in &bound.locals {
            self.side(local, key, Some(binding))?;
        }
        Ok(())
    }

    fn unbound(&mut self) -> Result<(), CompileError> {
        self.alone.with(None);
        let state = self.proof.state;
        state.unbound.iter().try_for_each(|(local, key)| self.side(local, key, None))
    }

    /// One local side: all flows for the first of its kind, a sample for the others.
    fn side(&mut self, local: &RuleKey, key: &UnitKey, binding: Option<&Binding>) -> Result<(), CompileError> {
        let Some(used) = self.proof.state.units.get(key) else { return Ok(()) };
        let unit = Arc::as_ptr(&used.unit).cast();
        let kind = (unit, local.local_mac.is_some(), local.outer_vlan.is_some(), local.physical_port.is_some());
        let mac = binding.map(|binding| binding.mac).or(local.local_mac).unwrap_or(UNUSED_MAC);
        let near = Near::new(self.proof.image, &self.proof.target.profile, local.local_ip, &[mac, UNUSED_MAC]);
        let side = Side { proof: self.proof, document: self.alone.document(), binding, local, near };
        if let Some(flows) = self.kinds.get(&kind) {
            return flows.iter().try_for_each(|flow| side.agrees(&side.at_local(flow)));
        }
        let rules: Vec<(RulePlace, &Rule)> =
            key.1.rules.iter().filter_map(|place| Some((*place, side.document.rule(*place)?))).collect();
        let flows = if key.1.v6 { side.all::<u128>(&rules)? } else { side.all::<u32>(&rules)? };
        self.kinds.insert(kind, flows);
        Ok(())
    }
}

/// Addresses of one family.
trait Family: Point {
    fn of(set: &AddrSet) -> &IntervalSet<Self>;
    fn point(ip: IpAddr) -> Option<Self>;
    fn ip(self) -> IpAddr;
    /// The points at which the meaning of the subnet ids of these entries may change.
    fn ends(state: &State, near: &Near) -> Vec<Self>;
}

impl Family for u32 {
    fn of(set: &AddrSet) -> &IntervalSet<Self> {
        &set.v4
    }

    fn point(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V4(ip) => Some(ip.to_bits()),
            IpAddr::V6(_) => None,
        }
    }

    fn ip(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }

    fn ends(state: &State, near: &Near) -> Vec<Self> {
        let mut out = Vec::new();
        state.meaning.address_ends(&near.subnets, &mut out);
        out
    }
}

impl Family for u128 {
    fn of(set: &AddrSet) -> &IntervalSet<Self> {
        &set.v6
    }

    fn point(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V6(ip) => Some(ip.to_bits()),
            IpAddr::V4(_) => None,
        }
    }

    fn ip(self) -> IpAddr {
        std::net::Ipv6Addr::from_bits(self).into()
    }

    fn ends(_: &State, _: &Near) -> Vec<Self> {
        Vec::new()
    }
}

impl Side<'_> {
    /// Runs a flow of every combination of classes; returns a sample of the flows.
    fn all<T: Family>(&self, rules: &[(RulePlace, &Rule)]) -> Result<Vec<Flow>, CompileError> {
        let image = self.proof.image;
        let local = self.local.local_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let ports = Cuts { image, meaning: &self.proof.state.meaning, ephemeral: &self.document.ephemeral };
        let remotes = self.remotes::<T>(rules);
        let mut sample = Vec::new();
        let mut count = 0_usize;
        for proto in self.protocols(rules) {
            for (remote, within) in &remotes {
                let fits = |rule: &Rule| match rule.proto {
                    Proto::Any => true,
                    Proto::Is(number) => proto == Some(number),
                };
                let rules: Vec<(RulePlace, &Rule)> =
                    within.iter().filter_map(|at| rules.get(*at)).filter(|(_, rule)| fits(rule)).copied().collect();
                let flow = self.at_local(&flow(local, *remote, proto));
                let mut names = image.names(&flow);
                let here = self.near.here(&names);
                for (shown, ids) in ports.of(proto, &rules, &here) {
                    (names.remote_port, names.local_port) = (shown.map(|p| p.remote), shown.map(|p| p.local));
                    (names.remote_portrange, names.local_portrange) = ids;
                    let ip = flow.ip.map(|ip| IpFlow { ports: shown, ..ip });
                    for direction in DIRECTIONS {
                        let flow = Flow { direction, ip, ..flow };
                        self.agrees_here(&flow, &rules, &here, &names)?;
                        if count.is_power_of_two() || count.is_multiple_of(64) {
                            sample.push(flow);
                        }
                        count += 1;
                    }
                }
            }
        }
        let step = sample.len().div_ceil(SAMPLE).max(1);
        Ok(sample.into_iter().step_by(step).collect())
    }

    /// The flow, and where it is allowed the same with another MAC, on another VLAN, and at another physical port. `rules`
    /// are all that could match it, `here` all entries.
    fn agrees_here(
        &self,
        flow: &Flow,
        rules: &[(RulePlace, &Rule)],
        here: &Here<'_>,
        names: &RuleKey,
    ) -> Result<(), CompileError> {
        let judged = self.near.judge(here, names, flow.direction);
        agree(self.decide(flow, rules), judged, flow, || self.origin())?;
        if judged == Verdict::Deny {
            return Ok(());
        }
        let vlan = flow.outer_vlan.map_or(1, |vlan| vlan ^ 1);
        let forged = [
            Flow { local_mac: UNUSED_MAC, ..*flow },
            Flow { outer_vlan: None, ..*flow },
            Flow { outer_vlan: Some(vlan), ..*flow },
            Flow { physical_port: flow.physical_port ^ 1, ..*flow },
        ];
        for flow in &forged {
            let names = RuleKey {
                local_mac: Some(flow.local_mac),
                outer_vlan: flow.outer_vlan,
                physical_port: Some(flow.physical_port),
                ..*names
            };
            let judged = self.near.judge(here, &names, flow.direction);
            agree(self.decide(flow, rules), judged, flow, || self.origin())?;
        }
        Ok(())
    }

    /// What the evaluator says, with no other rules than these.
    fn decide(&self, flow: &Flow, rules: &[(RulePlace, &Rule)]) -> Verdict {
        match (self.document.bindings.first(), flow.ip) {
            (Some(binding), Some(ip)) => {
                let rules = || rules.iter().map(|(place, rule)| (*place, *rule));
                let management = rules().filter(|(place, _)| matches!(place, RulePlace::Management(_)));
                let policy = rules().filter(|(place, _)| matches!(place, RulePlace::Policy(..)));
                self.document.decide_among(flow, &ip, (0, binding), management, policy).verdict
            }
            _ => self.document.decide(flow).verdict,
        }
    }

    fn agrees(&self, flow: &Flow) -> Result<(), CompileError> {
        let judged = self.near.judge(&self.near.all(), &self.proof.image.names(flow), flow.direction);
        agree(self.document.decide(flow).verdict, judged, flow, || self.origin())
    }

    fn origin(&self) -> Arc<Origin> {
        self.binding.map_or_else(|| document_origin(self.document), |binding| binding.origin.clone())
    }

    /// The flow with this local side.
    fn at_local(&self, flow: &Flow) -> Flow {
        let mut flow = *flow;
        if let (Some(ip), Some(at)) = (flow.ip.as_mut(), self.local.local_ip) {
            ip.local = at;
        }
        flow.local_mac = self.binding.map(|binding| binding.mac).or(self.local.local_mac).unwrap_or(UNUSED_MAC);
        flow.outer_vlan = self.local.outer_vlan;
        flow.physical_port = self.local.physical_port.unwrap_or(0);
        flow
    }

    /// Those that rules or entries name, one for all others, and an unknown one.
    fn protocols(&self, rules: &[(RulePlace, &Rule)]) -> BTreeSet<Option<u8>> {
        let mut out: BTreeSet<Option<u8>> = BTreeSet::from([None]);
        for (_, rule) in rules {
            match rule.proto {
                Proto::Any => out.extend([6, 17, 132].map(Some)),
                Proto::Is(number) => drop(out.insert(Some(number))),
            }
        }
        out.extend(self.near.keys().filter_map(|key| key.ip_proto.map(Some)));
        out.extend(self.document.bindings.iter().filter(|binding| binding.open_nd).map(|_| Some(58)));
        let other = (0..=255).rev().map(Some).find(|number| !out.contains(number));
        out.extend(other);
        out
    }

    /// An address of every class that rules or entries tell apart, with the places of the rules that hold it.
    fn remotes<T: Family>(&self, rules: &[(RulePlace, &Rule)]) -> Vec<(IpAddr, Vec<usize>)> {
        let groups = AddrSet::groups();
        let sets = rules.iter().map(|(_, rule)| T::of(&rule.remote.set)).chain([T::of(&groups)]);
        let pieces = cut(&sets.collect::<Vec<_>>());
        let exact: BTreeSet<T> = self.near.keys().filter_map(|key| T::point(key.remote_ip?)).collect();
        let mut starts = T::ends(self.proof.state, &self.near);
        starts.extend(pieces.iter().map(|(at, _)| *at));
        starts.extend(exact.iter().copied().chain(exact.iter().filter_map(|at| at.next())));
        starts.sort_unstable();
        starts.dedup();
        let id = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => self.proof.image.subnets.as_ref()?.lookup(ip.to_bits()),
            IpAddr::V6(_) => None,
        };
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for at in starts {
            let ip = at.ip();
            let id = id(ip).filter(|id| self.near.subnets.contains(&id.0));
            let within = &pieces[pieces.partition_point(|(first, _)| *first <= at).saturating_sub(1)].1;
            if seen.insert((within, id, exact.contains(&at).then_some(ip))) {
                out.push((ip, within.iter().collect()));
            }
        }
        out
    }
}
