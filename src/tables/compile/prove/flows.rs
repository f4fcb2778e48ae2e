//! All flows of one address.
//!
//! Protocols and remote addresses that rules or entries tell apart; for each of both the rules and the entries that are
//! left; for each direction and each link (MAC, VLAN, physical port) the ports that these tell apart. The evaluator decides
//! in two steps, the link first, which does not look at ports, and then the rules, of which only those of the direction and
//! those that admit replies can. Where neither step looks at ports and no entry with a verdict names one, all ports are one
//! comparison. Links on which the evaluator says the same and the same entries match are one.

#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};
use smallvec::SmallVec;

use super::address_entries::{AddressEntries, Cuts, Entry, Shown, add_ends};
use super::ids::ImageIds;
use super::proof::{Proof, UNUSED_MACS, agree, ether_type_of, flow};
use super::task::Task;
use crate::policy::regions::DIRECTIONS;
use crate::policy::regions::classes::{Bits, Mask, cut};
use crate::policy::{Binding, Document, Origin, Proto, Rule, RulePlace};
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::units::unit::OnePolicyDocument;
use crate::tables::{LookupOrder, RuleKey, SubnetId};
use crate::terms::{AddrSet, Direction, Flow, Interval, IntervalSet, IpFlow, MacAddr, Point, Verdict};

/// Links that are looked at together: one bit each.
const TOGETHER: usize = 64;

/// A rule with its place.
type Placed<'a> = (RulePlace, &'a Rule);

/// What a frame is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    mac: MacAddr,
    vlan: Option<u16>,
    physical_port: u32,
}

/// One address, and what decides about it.
pub(super) struct AddressProof<'a> {
    proof: &'a Proof<'a>,
    task: &'a Task<'a>,
    document: &'a Document,
    near: AddressEntries,
    links: Vec<Link>,
}

/// Flows of one protocol and class of remote addresses.
struct Class<'a> {
    /// Without ports.
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

/// Addresses of one family.
trait Family: Point + Hash {
    fn of(set: &AddrSet) -> &IntervalSet<Self>;
    fn point(ip: IpAddr) -> Option<Self>;
    fn ip(self) -> IpAddr;
    /// What the subnet ids of these entries mean, in rising order.
    fn subnets(ids: &ImageIds, near: &AddressEntries) -> Vec<(Interval<Self>, SubnetId)>;
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

    fn subnets(ids: &ImageIds, near: &AddressEntries) -> Vec<(Interval<Self>, SubnetId)> {
        let mut out: Vec<_> = ids.points.addresses_of(&near.subnets).collect();
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

    fn subnets(_: &ImageIds, _: &AddressEntries) -> Vec<(Interval<Self>, SubnetId)> {
        Vec::new()
    }
}

impl<'a> AddressProof<'a> {
    pub fn of(proof: &'a Proof<'a>, task: &'a Task<'a>, alone: &'a mut OnePolicyDocument) -> Self {
        // One binding at a time: the evaluator searches through all that the document has.
        let policy = task.binding.and_then(|binding| proof.document.policies.get(binding.policy));
        let document = alone.with(policy);
        match task.binding {
            Some(binding) => document.bindings.push(Arc::new(Binding { policy: 0, ..binding.clone() })),
            None => document.bindings.extend(task.macs.iter().flat_map(|mac| proof.bindings_of(*mac))),
        }
        let foreign = UNUSED_MACS.into_iter().find(|mac| !task.macs.contains(mac));
        let macs: SmallVec<[MacAddr; 2]> = task.macs.iter().copied().chain(foreign).collect();
        let near = AddressEntries::new(proof.image, proof.target, Some(task.ip), &macs);
        AddressProof { proof, task, document, near, links: links(task, &macs, proof.target.physical_ports) }
    }

    /// Runs all flows.
    pub fn flows(mut self) -> Result<(), CompileError> {
        self.names_what_links_have()?;
        let rules = self.rules();
        let links = std::mem::take(&mut self.links);
        for links in links.chunks(TOGETHER) {
            self.links = links.to_vec();
            if self.task.ip.is_ipv6() { self.all::<u128>(&rules) } else { self.all::<u32>(&rules) }?;
        }
        Ok(())
    }

    /// The rules that could decide.
    fn rules(&self) -> Vec<Placed<'a>> {
        let (document, ip, bound) = (self.document, self.task.ip, self.task.binding.is_some());
        let management = document.management.iter().enumerate().filter(|(_, of)| bound || of.mac.is_some());
        let management = management.map(|(at, of)| (RulePlace::Management(at), &of.rule));
        let policy = document.policies.first().filter(|_| bound).into_iter().flat_map(|policy| &policy.rules);
        let policy = policy.enumerate().map(|(at, rule)| (RulePlace::Policy(0, at), rule));
        let applies = |rule: &Rule| rule.local.as_ref().map_or(bound, |local| local.contains(ip));
        management.chain(policy).filter(|(_, rule)| applies(rule)).collect()
    }

    /// Refuses entries that name what no flow that is run has: other MACs and VLANs, peers' MACs, ports that are not there.
    /// Where nothing is known about the order of lookups, what is above the base allows, and the base denies.
    fn names_what_links_have(&self) -> Result<(), CompileError> {
        let (task, target) = (self.task, self.proof.target);
        let unordered = target.profile.order == LookupOrder::Unordered;
        for entry in self.near.entries().filter(|entry| entry.key().local_ip.is_some()) {
            let key = entry.key();
            let verdicts = || DIRECTIONS.into_iter().filter_map(|direction| entry.verdict(direction));
            let wanted = if key.is_base() { Verdict::Deny } else { Verdict::Allow };
            let sound = key.local_mac.is_none_or(|mac| task.macs.contains(&mac))
                && (key.outer_vlan.is_none() || key.outer_vlan == task.vlan)
                && key.inner_vlan.is_none()
                && key.remote_mac.is_none()
                && key.ether_type.is_none_or(|of| of == ether_type_of(task.ip))
                && key.physical_port.is_none_or(|port| port < target.physical_ports)
                && (!unordered || verdicts().all(|verdict| verdict == wanted));
            if !sound {
                return Err(self.proof.unproved(key, task.macs.first().copied(), self.origin()));
            }
        }
        Ok(())
    }

    /// Runs a flow of every combination of classes.
    fn all<T: Family>(&mut self, rules: &[Placed<'_>]) -> Result<(), CompileError> {
        let local = self.task.ip;
        let own = flow(local, local, None);
        let on = |link: &Link| {
            let mut flow = own;
            put_on(&mut flow, link);
            self.proof.image.names(&flow)
        };
        let names: SmallVec<[RuleKey; 16]> = self.links.iter().map(on).collect();
        self.near.match_links(&names);
        let this = &*self;
        let columns = this.near.columns(this.links.len());
        let remotes = this.remotes::<T>(rules);
        let mut cuts = Cuts::new(&this.proof.ids.points, &this.document.ephemeral);
        let mut of_proto = Vec::new();
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
                let by = |direction| this.links(&Flow { direction, ..class.flow }, &columns);
                let links =
                    links[usize::from(remote.within.contains(rules.len()))].get_or_insert_with(|| DIRECTIONS.map(by));
                let shown = cuts.of(proto, class.rules.iter().map(|(_, rule)| *rule), &class.here);
                for (direction, links) in DIRECTIONS.into_iter().zip(links) {
                    this.class(&class, direction, links, shown)?;
                }
            }
        }
        Ok(())
    }

    /// All flows of a class in one direction, on all links that differ.
    fn class(
        &self,
        class: &Class<'_>,
        direction: Direction,
        links: &Links,
        shown: &[Shown],
    ) -> Result<(), CompileError> {
        let of_direction = |entry: &&&Entry| entry.verdict(direction).is_some();
        let here: SmallVec<[&Entry; 8]> = class.here.iter().filter(of_direction).copied().collect();
        let rules_count = class.rules.iter().any(|(_, rule)| rule.direction == direction || rule.replies);
        let mut flow = Flow { direction, ..class.flow };
        for link in Bits(links.differ) {
            put_on(&mut flow, &self.links[link]);
            let ports_count = match links.by_link[link] {
                ByLink::Decided(_) => false,
                ByLink::Open => rules_count,
                ByLink::Unbound(_) => true,
            };
            let names_ports = || here.iter().any(|entry| entry.is_at(link) && entry.names_ports());
            for shown in if ports_count || names_ports() { shown } else { &shown[..1] } {
                if let Some(ip) = &mut flow.ip {
                    ip.ports = shown.ports;
                }
                let expected = match links.by_link[link] {
                    ByLink::Decided(verdict) => verdict,
                    ByLink::Open => self.by_rules(&flow, &class.rules),
                    ByLink::Unbound(_) => self.document.decide(&flow).verdict,
                };
                agree(expected, self.near.first(&here, link, shown, direction), &flow, || self.origin())?;
            }
        }
        Ok(())
    }

    /// What the evaluator says about the links of a flow.
    fn links(&self, flow: &Flow, columns: &[u8]) -> Links {
        let mut on = *flow;
        let (mut by_link, mut differ) = (SmallVec::<[ByLink; 16]>::new(), 0_u64);
        for (at, link) in self.links.iter().enumerate() {
            put_on(&mut on, link);
            let by = self.by_link(&on);
            let known = (0..at).any(|before| columns[before] == columns[at] && by_link[before] == by);
            by_link.push(by);
            differ |= u64::from(!known) << at;
        }
        Links { by_link, differ }
    }

    /// What the evaluator says about a flow before it looks at rules and ports.
    fn by_link(&self, flow: &Flow) -> ByLink {
        let (Some(binding), Some(ip)) = (self.task.binding, flow.ip) else { return ByLink::Unbound(flow.local_mac) };
        let decided = self.document.decide_link(flow, &ip, 0, binding);
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

    fn origin(&self) -> Arc<Origin> {
        let of_binding = self.task.binding.map(|binding| binding.origin.clone());
        of_binding.unwrap_or_else(|| document_origin(self.document))
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
        // An entry that names ports and no protocol matches those that have ports.
        if self.near.entries().any(|entry| entry.key().ip_proto.is_none() && entry.names_ports()) {
            [6, 17, 132].into_iter().for_each(|number: usize| named[number] = true);
        }
        // Of an address that nobody bound, those are there whose MACs it may come with.
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
        let subnets = T::subnets(self.proof.ids, &self.near);
        let mut starts: Vec<T> = pieces.iter().map(|(_, piece)| piece.first).collect();
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
            while pieces.get(piece + 1).is_some_and(|(_, piece)| piece.first <= at) {
                piece += 1;
            }
            let within = &pieces[piece].0;
            if seen.insert((within, subnet, exact.binary_search(&at).is_ok().then_some(at))) {
                all.push(Remote { ip: at.ip(), subnet, within: within.clone() });
            }
        }
        all
    }
}

/// The links of an address: its own first, and all that frames could be on as far as rules or entries may tell them apart.
fn links(task: &Task<'_>, macs: &[MacAddr], physical_ports: u32) -> Vec<Link> {
    let vlans: SmallVec<[Option<u16>; 3]> = match task.vlan {
        Some(vlan) => [Some(vlan), None, Some(vlan ^ 1)].into_iter().collect(),
        None => [None, Some(1)].into_iter().collect(),
    };
    let own = task.binding.and_then(|binding| binding.physical_ports.first()).copied().unwrap_or(0);
    let ports = || [own].into_iter().chain((0..physical_ports).filter(|port| *port != own));
    let mut out = Vec::new();
    for mac in macs {
        for vlan in &vlans {
            out.extend(ports().map(|physical_port| Link { mac: *mac, vlan: *vlan, physical_port }));
        }
    }
    out
}

fn put_on(flow: &mut Flow, link: &Link) {
    (flow.local_mac, flow.outer_vlan, flow.physical_port) = (link.mac, link.vlan, link.physical_port);
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
    /// Nobody bound the address: it says no such thing, and of the link it will look at the MAC.
    Unbound(MacAddr),
    Decided(Verdict),
    Open,
}

/// What the evaluator says about the links of a flow before it looks at rules and ports.
struct Links {
    by_link: SmallVec<[ByLink; 16]>,
    /// The first of those on which it says the same and the same entries match: one bit each.
    differ: u64,
}
