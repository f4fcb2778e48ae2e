//! The flows of local sides.
//!
//! For one local side of each kind: protocols and remote addresses that rules or entries tell apart; for each of both the
//! rules and the entries that are left; for each direction the ports that these tell apart. The evaluator decides in two
//! steps, the link first, which does not look at ports, and then the rules, of which only those of the direction and those
//! that admit replies can. Where neither step looks at ports and no entry with a verdict names one, all ports are one
//! comparison.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use smallvec::SmallVec;

use super::near::{Cuts, Entry, Near, Shown, add_ends};
use super::{Proof, UNUSED_MAC, agree, flow};
use crate::policy::compile::classes::{Bits, Mask, cut};
use crate::policy::compile::parallel;
use crate::policy::compile::refuse::{CompileError, document_origin};
use crate::policy::compile::regions::{DIRECTIONS, Shape};
use crate::policy::compile::state::State;
use crate::policy::compile::units::{Alone, UnitKey};
use crate::policy::sets::Point;
use crate::policy::{AddrSet, Binding, Document, Flow, Interval, IntervalSet, IpFlow, Origin, Proto, Rule, RulePlace};
use crate::tables::{Direction, MacAddr, RuleKey, SubnetId, Verdict};

/// Flows of a kind that are run for every local side of it.
const SAMPLE: usize = 24;
/// Rules that are worth a thread, where all flows are run.
const RULES: usize = 250;
/// Local sides that are, where a sample is.
const SAMPLES: usize = 64;
/// The link of a local side, and those that a frame could forge.
const LINKS: usize = 5;

/// A kind of local sides: their unit, and whether they name MAC, VLAN and physical port.
type Kind = (*const (), bool, bool, bool);

/// A rule with its place.
type Placed<'a> = (RulePlace, &'a Rule);

/// The local sides whose flows are to be run.
pub(super) struct Sides<'a> {
    proof: &'a Proof<'a>,
    all: Vec<Task<'a>>,
    /// The first of each kind, by place.
    kinds: HashMap<Kind, usize>,
}

/// A local side whose flows are to be run.
struct Task<'a> {
    /// `None`: nobody bound its address.
    binding: Option<&'a Binding>,
    local: &'a RuleKey,
    key: &'a UnitKey,
    /// The place of the first of its kind.
    first: usize,
}

/// One local side, and what decides about it.
struct Side<'a> {
    proof: &'a Proof<'a>,
    document: &'a Document,
    binding: Option<&'a Binding>,
    local: &'a RuleKey,
    near: Near,
}

/// Flows of one protocol and class of remote addresses.
struct Class<'a> {
    /// With the link of the local side, and no ports.
    flow: Flow,
    /// All rules that could match.
    rules: SmallVec<[Placed<'a>; 8]>,
    /// All entries that could, by rank.
    here: SmallVec<[&'a Entry; 8]>,
}

/// A class of remote addresses.
struct Remote {
    ip: IpAddr,
    subnet: Option<SubnetId>,
    /// The places of the rules that hold it.
    within: Mask,
}

impl<'a> Sides<'a> {
    pub fn new(proof: &'a Proof<'a>) -> Self {
        Self { proof, all: Vec::new(), kinds: HashMap::new() }
    }

    /// Adds those of a binding, by its place.
    pub fn binding(&mut self, at: usize) {
        let (document, state) = (self.proof.document, self.proof.state);
        let (Some(binding), Some(of)) = (document.bindings.get(at), state.bindings.get(at)) else { return };
        let Some(bound) = state.bound.get(&of.number) else { return };
        bound.locals.iter().for_each(|(local, key)| self.add(local, key, Some(binding)));
    }

    /// Adds those of addresses that nobody bound.
    pub fn unbound(&mut self) {
        let state = self.proof.state;
        state.unbound.iter().for_each(|(local, key)| self.add(local, key, None));
    }

    fn add(&mut self, local: &'a RuleKey, key: &'a UnitKey, binding: Option<&'a Binding>) {
        let Some(used) = self.proof.state.units.get(key) else { return };
        let unit = Arc::as_ptr(&used.unit).cast();
        let kind = (unit, local.local_mac.is_some(), local.outer_vlan.is_some(), local.physical_port.is_some());
        let first = *self.kinds.entry(kind).or_insert(self.all.len());
        self.all.push(Task { binding, local, key, first });
    }

    /// Runs all flows for the first of each kind, then a sample of them for the others. What is found is what is found
    /// first in the order of the local sides.
    pub fn run(self) -> Result<(), CompileError> {
        let (firsts, others): (Vec<_>, Vec<_>) =
            self.all.iter().enumerate().partition(|(place, task)| *place == task.first);
        let rules: usize = firsts.iter().map(|(_, task)| task.key.1.rules.len()).sum();
        let alone = || Alone::of(self.proof.document);
        let all = |alone: &mut Alone, (_, task): &(usize, &Task<'a>)| task.side(self.proof, alone).flows(&task.key.1);
        let mut samples = vec![Ok(Vec::new()); self.all.len()];
        for ((place, _), flows) in firsts.iter().zip(parallel::map(&firsts, rules / RULES, alone, all)) {
            samples[*place] = flows;
        }
        let again = |alone: &mut Alone, (_, task): &(usize, &Task<'a>)| match &samples[task.first] {
            Ok(flows) => {
                let side = task.side(self.proof, alone);
                flows.iter().try_for_each(|flow| side.agrees(&side.at_local(flow)))
            }
            // What is wrong is found before it.
            Err(_) => Ok(()),
        };
        let found = parallel::map(&others, others.len() / SAMPLES, alone, again);
        let others = others.iter().map(|(place, _)| *place).zip(found.into_iter().map(Result::err));
        let firsts = firsts.iter().map(|(place, _)| (*place, samples[*place].as_ref().err().cloned()));
        let wrong = firsts.chain(others).filter_map(|(place, error)| Some((place, error?)));
        wrong.min_by_key(|(place, _)| *place).map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl<'a> Task<'a> {
    fn side<'s>(&'s self, proof: &'s Proof<'a>, alone: &'s mut Alone) -> Side<'s> {
        // One binding at a time: the evaluator searches through all that the document has.
        let policy = self.binding.and_then(|binding| proof.document.policies.get(binding.policy));
        let document = alone.with(policy);
        let binding = self.binding.map(|binding| Arc::new(Binding { policy: 0, ..Binding::clone(binding) }));
        document.bindings.extend(binding);
        let (local, binding) = (self.local, self.binding);
        let mac = binding.map(|binding| binding.mac).or(local.local_mac).unwrap_or(UNUSED_MAC);
        let near = Near::new(proof.image, &proof.target.profile, local.local_ip, &[mac, UNUSED_MAC]);
        Side { proof, document, binding, local, near }
    }
}

/// Addresses of one family.
trait Family: Point + Hash {
    fn of(set: &AddrSet) -> &IntervalSet<Self>;
    fn point(ip: IpAddr) -> Option<Self>;
    fn ip(self) -> IpAddr;
    /// What the subnet ids of these entries mean, in rising order.
    fn subnets(state: &State, near: &Near) -> Vec<(Interval<Self>, SubnetId)>;
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

    fn subnets(state: &State, near: &Near) -> Vec<(Interval<Self>, SubnetId)> {
        let mut out: Vec<_> = state.meaning.addresses_of(&near.subnets).collect();
        out.sort_unstable();
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

    fn subnets(_: &State, _: &Near) -> Vec<(Interval<Self>, SubnetId)> {
        Vec::new()
    }
}

/// Every now and then a flow of many.
#[derive(Default)]
struct Sample {
    flows: Vec<Flow>,
    seen: usize,
}

impl Sample {
    fn see(&mut self, flow: &Flow) {
        if self.seen.is_power_of_two() || self.seen.is_multiple_of(64) {
            self.flows.push(*flow);
        }
        self.seen += 1;
    }

    fn taken(self) -> Vec<Flow> {
        let step = self.flows.len().div_ceil(SAMPLE).max(1);
        self.flows.into_iter().step_by(step).collect()
    }
}

impl Side<'_> {
    /// Runs all flows; returns a sample of them.
    fn flows(mut self, shape: &Shape) -> Result<Vec<Flow>, CompileError> {
        let document = self.document;
        let rules: Vec<Placed<'_>> =
            shape.rules.iter().filter_map(|place| Some((*place, document.rule(*place)?))).collect();
        if shape.v6 { self.all::<u128>(&rules) } else { self.all::<u32>(&rules) }
    }

    /// Runs a flow of every combination of classes; returns a sample of the flows.
    fn all<T: Family>(&mut self, rules: &[Placed<'_>]) -> Result<Vec<Flow>, CompileError> {
        let local = self.local.local_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let own = self.at_local(&flow(local, local, None));
        let links = std::array::from_fn::<_, LINKS, _>(|link| {
            let mut flow = own;
            put_on_link(&mut flow, &own, link);
            self.proof.image.names(&flow)
        });
        self.near.see_links(&links);
        let this = &*self;
        let remotes = this.remotes::<T>(rules);
        let mut cuts = Cuts::new(&this.proof.state.meaning, &this.document.ephemeral);
        let (mut sample, mut of_proto) = (Sample::default(), Vec::new());
        for proto in this.protocols(rules) {
            this.near.of_protocol(proto, &mut of_proto);
            // Of the remote address the link step sees whether it is a group.
            let mut links: [Option<[Links; 2]>; 2] = [None, None];
            for remote in told_apart(&remotes, proto, rules, &of_proto) {
                let ip = IpFlow { local, remote: remote.ip, proto, ports: None };
                let class = Class {
                    flow: Flow { ip: Some(ip), ..own },
                    rules: remote.within.iter().filter_map(|at| rules.get(at)).copied().collect(),
                    here: of_proto.iter().filter(|entry| entry.hears(remote.ip, remote.subnet)).copied().collect(),
                };
                let links = links[usize::from(remote.within.contains(rules.len()))]
                    .get_or_insert_with(|| DIRECTIONS.map(|direction| this.links(&Flow { direction, ..class.flow })));
                let shown = cuts.of(proto, class.rules.iter().map(|(_, rule)| *rule), &class.here);
                for (direction, links) in DIRECTIONS.into_iter().zip(links) {
                    this.class(&class, (direction, links), shown, &mut sample)?;
                }
            }
        }
        Ok(sample.taken())
    }

    /// All flows of a class in one direction, with its own link and with forged ones.
    fn class(
        &self,
        class: &Class<'_>,
        (direction, links): (Direction, &Links),
        shown: &[Shown],
        sample: &mut Sample,
    ) -> Result<(), CompileError> {
        let of_direction = |entry: &&&Entry| entry.verdict(direction).is_some();
        let here: SmallVec<[&Entry; 8]> = class.here.iter().filter(of_direction).copied().collect();
        let differs = here.iter().fold(0, |differs, entry| differs | entry.differs());
        let rules_count = class.rules.iter().any(|(_, rule)| rule.direction == direction || rule.replies);
        let mut flow = Flow { direction, ..class.flow };
        for link in links.to_look_at(differs) {
            put_on_link(&mut flow, &class.flow, link);
            let ports_count = match links.by_link[link] {
                ByLink::Decided(_) => false,
                ByLink::Open => rules_count,
                ByLink::Unbound => true,
            };
            let names_ports = || here.iter().any(|entry| entry.is_at(link) && entry.names_ports());
            for shown in if ports_count || names_ports() { shown } else { &shown[..1] } {
                if let Some(ip) = &mut flow.ip {
                    ip.ports = shown.ports;
                }
                let expected = match links.by_link[link] {
                    ByLink::Decided(verdict) => verdict,
                    ByLink::Open => self.by_rules(&flow, &class.rules),
                    ByLink::Unbound => self.document.decide(&flow).verdict,
                };
                agree(expected, self.near.first(&here, link, shown, direction), &flow, || self.origin())?;
                if link == 0 {
                    sample.see(&flow);
                }
            }
        }
        Ok(())
    }

    /// What the evaluator says about the links of a flow.
    fn links(&self, flow: &Flow) -> Links {
        let mut on = *flow;
        let mut links = Links { by_link: [ByLink::Unbound; LINKS], others: 0, open: 0 };
        for link in 0..LINKS {
            put_on_link(&mut on, flow, link);
            links.by_link[link] = self.by_link(&on);
            links.others |= u8::from(link_of(&on) != link_of(flow)) << link;
            links.open |= u8::from(links.by_link[link] == ByLink::Open) << link;
        }
        links
    }

    /// What the evaluator says about a flow before it looks at rules and ports.
    fn by_link(&self, flow: &Flow) -> ByLink {
        let (Some(binding), Some(ip)) = (self.document.bindings.first(), flow.ip) else { return ByLink::Unbound };
        let decided = self.document.decide_link(flow, &ip, (0, binding));
        decided.map_or(ByLink::Open, |decided| ByLink::Decided(decided.verdict))
    }

    /// What the evaluator says where the link does not decide, with no other rules than these.
    fn by_rules(&self, flow: &Flow, rules: &[Placed<'_>]) -> Verdict {
        let Some(ip) = &flow.ip else { return self.document.decide(flow).verdict };
        let rules = || rules.iter().copied();
        let management = rules().filter(|(place, _)| matches!(place, RulePlace::Management(_)));
        let policy = rules().filter(|(place, _)| matches!(place, RulePlace::Policy(..)));
        self.document.decide_by_rules(flow.direction, ip, 0, management, policy).verdict
    }

    fn agrees(&self, flow: &Flow) -> Result<(), CompileError> {
        let judged = self.near.judge(&self.proof.image.names(flow), flow.direction);
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
    fn protocols(&self, rules: &[Placed<'_>]) -> Vec<Option<u8>> {
        let mut named = [false; 256];
        for (_, rule) in rules {
            match rule.proto {
                Proto::Any => [6, 17, 132].into_iter().for_each(|number: usize| named[number] = true),
                Proto::Is(number) => named[usize::from(number)] = true,
            }
        }
        self.near.keys().filter_map(|key| key.ip_proto).for_each(|number| named[usize::from(number)] = true);
        if self.document.bindings.iter().any(|binding| binding.open_nd) {
            named[58] = true;
        }
        let other = (0..=255_u8).rev().find(|number| !named[usize::from(*number)]);
        let named = (0..=255_u8).filter(|number| named[usize::from(*number)]);
        named.chain(other).map(Some).chain([None]).collect()
    }

    /// An address of every class that rules or entries tell apart.
    fn remotes<T: Family>(&self, rules: &[Placed<'_>]) -> Vec<Remote> {
        let groups = AddrSet::groups();
        let sets = rules.iter().map(|(_, rule)| T::of(&rule.remote.set)).chain([T::of(&groups)]);
        let pieces = cut(&sets.collect::<Vec<_>>());
        let mut exact: Vec<T> = self.near.keys().filter_map(|key| T::point(key.remote_ip?)).collect();
        exact.sort_unstable();
        exact.dedup();
        let subnets = T::subnets(self.proof.state, &self.near);
        let mut starts: Vec<T> = pieces.iter().map(|(at, _)| *at).collect();
        add_ends(subnets.iter().map(|(interval, _)| interval), &mut starts);
        starts.extend(exact.iter().copied().chain(exact.iter().filter_map(|at| at.next())));
        starts.sort_unstable();
        starts.dedup();
        let (mut piece, mut interval) = (0, 0);
        let mut seen = HashSet::with_capacity(starts.len());
        let mut all = Vec::with_capacity(starts.len());
        for at in starts {
            while subnets.get(interval).is_some_and(|(of, _)| of.last < at) {
                interval += 1;
            }
            let subnet = subnets.get(interval).filter(|(of, _)| of.first <= at).map(|(_, id)| *id);
            while pieces.get(piece + 1).is_some_and(|(first, _)| *first <= at) {
                piece += 1;
            }
            let within = &pieces[piece].1;
            if seen.insert((within, subnet, exact.binary_search(&at).is_ok().then_some(at))) {
                all.push(Remote { ip: at.ip(), subnet, within: within.clone() });
            }
        }
        all
    }
}

/// Of classes of remote addresses those that differ for a protocol: in rules of it, in subnet ids and addresses that
/// entries of it name, and in whether they are groups.
fn told_apart(remotes: &[Remote], proto: Option<u8>, rules: &[Placed<'_>], entries: &[&Entry]) -> Vec<Remote> {
    let mut of_rules = Mask::of_len(rules.len() + 1);
    for (at, (_, rule)) in rules.iter().enumerate() {
        if matches!(rule.proto, Proto::Any) || proto.map(Proto::Is) == Some(rule.proto) {
            of_rules.flip(at);
        }
    }
    let mut fit = of_rules.clone();
    fit.flip(rules.len());
    let mut subnets: Vec<SubnetId> = entries.iter().filter_map(|entry| entry.key().remote_subnet).collect();
    let mut exact: Vec<IpAddr> = entries.iter().filter_map(|entry| entry.key().remote_ip).collect();
    subnets.sort_unstable();
    exact.sort_unstable();
    let mut seen = HashSet::with_capacity(remotes.len());
    let mut out = Vec::with_capacity(remotes.len());
    // Most are such that nothing of the protocol tells them apart: groups, and others.
    let mut nothing = [false; 2];
    for Remote { ip, subnet, within } in remotes {
        let subnet = subnet.filter(|id| subnets.binary_search(id).is_ok());
        let exact = exact.binary_search(ip).is_ok().then_some(*ip);
        let is_new = if subnet.is_none() && exact.is_none() && !within.meets(&of_rules) {
            !std::mem::replace(&mut nothing[usize::from(within.contains(rules.len()))], true)
        } else {
            seen.insert((within.and(&fit), subnet, exact))
        };
        if is_new {
            out.push(Remote { ip: *ip, subnet, within: within.and(&fit) });
        }
    }
    out
}

/// What the evaluator says before it looks at rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByLink {
    /// Nobody bound the address: it says no such thing.
    Unbound,
    Decided(Verdict),
    Open,
}

/// What the evaluator says about the links of a flow before it looks at rules and ports.
struct Links {
    by_link: [ByLink; LINKS],
    /// Those that are not the flow's own: one bit each.
    others: u8,
    /// Those that it leaves to the rules: one bit each.
    open: u8,
}

impl Links {
    /// The flow's own link, and those that the evaluator or an entry tells from it; `differs`: those on which entries do.
    fn to_look_at(&self, differs: u8) -> Bits {
        let as_own = if self.by_link[0] == ByLink::Open { self.open & !differs } else { 0 };
        Bits(u64::from(self.others & !as_own | 1))
    }
}

fn link_of(flow: &Flow) -> (MacAddr, Option<u16>, u32) {
    (flow.local_mac, flow.outer_vlan, flow.physical_port)
}

/// Gives a flow its own link, another MAC, other VLANs, or another physical port.
fn put_on_link(flow: &mut Flow, own: &Flow, link: usize) {
    (flow.local_mac, flow.outer_vlan, flow.physical_port) = (own.local_mac, own.outer_vlan, own.physical_port);
    match link {
        0 => {}
        1 => flow.local_mac = UNUSED_MAC,
        2 => flow.outer_vlan = None,
        3 => flow.outer_vlan = Some(own.outer_vlan.map_or(1, |vlan| vlan ^ 1)),
        _ => flow.physical_port ^= 1,
    }
}

// Links are bits of a byte in an entry.
const _: () = assert!(LINKS <= 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_small_and_begins_at_the_beginning() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut sample = Sample::default();
        for at in 0..10_000 {
            sample.see(&Flow { physical_port: at, ..flow(ip, ip, None) });
        }
        let flows = sample.taken();
        assert!(flows.len() <= SAMPLE && flows[0].physical_port == 0);
    }
}
