//! What changes from one document to another: flows newly allowed and newly denied, each with a witness.
//!
//! For each local address and each class of links that the two documents tell apart, the regions of both are crossed;
//! where the verdicts differ is a difference. Frames of no bound address are compared for each class of MACs. Classes and
//! regions are disjoint, so differences are.

mod link;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use self::link::{Among, Link, Links, example_mac, links, mac_words, owned, partition};
use crate::policy::document::{Document, PortPair, Proto};
use crate::policy::regions::{Cause, DIRECTIONS, Region, Shape, regions};
use crate::policy::text::prefixes;
use crate::terms::{
    AddrSet, Direction, Flow, IntervalSet, IpFlow, MacAddr, Point, PortSet, Ports, Verdict, solicited_node,
};

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// IEEE 802's first ether type for local experiments.
const EXPERIMENT: u16 = 0x88b5;
const ICMPV6: u8 = 58;
/// MAC of the peer in witnesses: no verdict depends on it.
const PEER: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfe]);

/// Flows of which the verdict changes. The differences between two documents are disjoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The new verdict.
    pub verdict: Verdict,
    /// The direction.
    pub direction: Direction,
    /// The local side, in words.
    pub local: String,
    /// `None`: all protocols that neither document names.
    pub proto: Option<u8>,
    /// Remote addresses; `None` for frames without an IP that is bound.
    pub remote: Option<AddrSet>,
    /// Ports; `None`: frames that show none, and all frames of protocols that neither document names.
    pub ports: Option<PortPair>,
    /// One of the flows.
    pub witness: Flow,
    space: Space,
}

/// The local side.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Space {
    /// An address that a document says something about. The protocols are those that either document names.
    Address { ip: IpAddr, links: Links, protocols: Arc<[u8]> },
    /// Received ICMPv6 for a solicited-node group.
    Group { ip: IpAddr, macs: Among<MacAddr> },
    /// ARP.
    Arp { macs: Among<MacAddr> },
    /// All other frames without such an address.
    Rest { macs: Among<MacAddr>, named: Arc<Named> },
}

/// The local side of a difference, in values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalSide {
    /// `address`, `group` (received ICMPv6 for a solicited-node group), `arp` or `others` (all frames of no such address).
    pub frames: &'static str,
    /// The address or the group.
    pub ip: Option<IpAddr>,
    /// MACs.
    pub macs: Values<MacAddr>,
    /// First tags; `None` among them = no tag.
    pub vlans: Values<Option<u16>>,
    /// Physical ports.
    pub physical_ports: Values<u32>,
}

/// Some values, or all but some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values<T> {
    /// All but these.
    pub all_but: bool,
    /// These.
    pub values: Vec<T>,
}

impl<T: Copy + Ord> Values<T> {
    fn any() -> Self {
        Self { all_but: true, values: Vec::new() }
    }

    fn of(among: &Among<T>) -> Self {
        match among {
            Among::In(set) => Self { all_but: false, values: set.iter().copied().collect() },
            Among::NotIn(set) => Self { all_but: true, values: set.iter().copied().collect() },
        }
    }
}

/// The addresses that two documents say something about.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    ips: BTreeSet<IpAddr>,
    groups: BTreeSet<IpAddr>,
}

impl Difference {
    /// The local side, in values: what [`Self::local`] says in words.
    #[must_use]
    pub fn local_side(&self) -> LocalSide {
        let (frames, ip, macs) = match &self.space {
            Space::Address { ip, links, .. } => ("address", Some(*ip), &links.macs),
            Space::Group { ip, macs } => ("group", Some(*ip), macs),
            Space::Arp { macs } => ("arp", None, macs),
            Space::Rest { macs, .. } => ("others", None, macs),
        };
        let (vlans, physical_ports) = match &self.space {
            Space::Address { links, .. } => (Values::of(&links.vlans), Values::of(&links.physical_ports)),
            _ => (Values::any(), Values::any()),
        };
        LocalSide { frames, ip, macs: Values::of(macs), vlans, physical_ports }
    }

    /// True if the flow is one of those of which the verdict changes so.
    #[must_use]
    pub fn contains(&self, flow: &Flow) -> bool {
        if flow.direction != self.direction {
            return false;
        }
        match (&self.space, flow.ip) {
            (Space::Address { ip, links, protocols }, Some(here)) => {
                here.local == *ip && on(links, flow) && self.contains_ip(&here, protocols)
            }
            (Space::Group { ip, macs }, Some(here)) => {
                here.local == *ip && here.proto == Some(ICMPV6) && macs.contains(&flow.local_mac)
            }
            (Space::Arp { macs }, None) => flow.ether_type == ARP && macs.contains(&flow.local_mac),
            (Space::Rest { macs, named }, ip) => {
                let named = match ip {
                    Some(here) => named.contains(flow.direction, &here),
                    None => flow.ether_type == ARP,
                };
                !named && macs.contains(&flow.local_mac)
            }
            _ => false,
        }
    }

    /// How many flows it is: remote addresses by ports by protocols, the link left aside.
    pub(crate) fn flows(&self) -> u128 {
        fn points<T: Point + Into<u128>>(set: &IntervalSet<T>) -> u128 {
            let all = set.intervals().iter().map(|interval| interval.last.into() - interval.first.into());
            all.fold(0, |sum, points| sum.saturating_add(points).saturating_add(1))
        }
        let remotes = self.remote.as_ref().map_or(1, |set| points(&set.v4).saturating_add(points(&set.v6)));
        let ports = self.ports.as_ref().map_or(1, |pair| points(&pair.remote) * points(&pair.local));
        let protocols = if self.proto.is_some() { 1 } else { 256 };
        remotes.saturating_mul(ports).saturating_mul(protocols)
    }

    fn contains_ip(&self, ip: &IpFlow, protocols: &[u8]) -> bool {
        let proto = match self.proto {
            Some(_) => ip.proto == self.proto,
            None => ip.proto.is_none_or(|number| !protocols.contains(&number)),
        };
        let ports = match (&self.ports, ip.ports) {
            (Some(pair), Some(ports)) => pair.remote.contains(ports.remote) && pair.local.contains(ports.local),
            (Some(_), None) => false,
            // Protocols that no rule names are decided without a look at ports.
            (None, ports) => ports.is_none() || self.proto.is_none(),
        };
        proto && ports && self.remote.as_ref().is_some_and(|remote| remote.contains(ip.remote))
    }
}

fn on(links: &Links, flow: &Flow) -> bool {
    links.macs.contains(&flow.local_mac)
        && links.vlans.contains(&flow.outer_vlan)
        && links.physical_ports.contains(&flow.physical_port)
}

impl Named {
    fn of(old: &Document, new: &Document) -> Self {
        Self { ips: local_ips(old, new), groups: [old, new].into_iter().flat_map(solicited_nodes).collect() }
    }

    fn contains(&self, direction: Direction, ip: &IpFlow) -> bool {
        let solicits = direction == Direction::Rx && ip.proto == Some(ICMPV6);
        self.ips.contains(&ip.local) || (solicits && self.groups.contains(&ip.local))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.verdict == Verdict::Allow { "allowed" } else { "denied" };
        let direction = if self.direction == Direction::Rx { "in" } else { "out" };
        write!(f, "newly {verdict} {direction}: {}", self.local)?;
        let Some(remote) = &self.remote else { return Ok(()) };
        let proto = self.proto.map_or_else(|| "other protocols".to_owned(), |number| Proto::Is(number).to_string());
        write!(f, ", {proto}, remote {}", prefixes(remote))?;
        match &self.ports {
            Some(ports) => write!(f, ", remote ports {}, local ports {}", ports.remote, ports.local),
            None if self.proto.is_some_and(Proto::has_ports) => f.write_str(", without ports"),
            None => Ok(()),
        }
    }
}

impl Document {
    /// What changes from this to `new`: every flow that an adapter with so many physical ports can see is in one difference
    /// if its verdict changes, and in none if it does not.
    #[must_use]
    pub fn diff(&self, new: &Self, physical_ports: u32) -> Vec<Difference> {
        differences(self, new, physical_ports)
    }
}

/// True if some flow is allowed by the new document and not by the old one, as adapters with so many physical ports see it.
#[must_use]
pub fn newly_allows(old: &Document, new: &Document, ports: u32) -> bool {
    differences(old, new, ports).iter().any(|difference| difference.verdict == Verdict::Allow)
}

/// What changes from one document to another, as adapters with so many physical ports see it.
fn differences(old: &Document, new: &Document, ports: u32) -> Vec<Difference> {
    let named = Arc::new(Named::of(old, new));
    let mut out = Vec::new();
    for ip in &named.ips {
        let sides = [old, new].map(|document| (document, document.binding_of(*ip).map(|(_, binding)| binding)));
        for links in links(sides, *ip, ports) {
            at_links(old, new, *ip, &links, &mut out);
        }
    }
    not_bound(old, new, &named, &mut out);
    out
}

/// All addresses that either document says something about.
fn local_ips(old: &Document, new: &Document) -> BTreeSet<IpAddr> {
    let bound = [old, new].into_iter().flat_map(|d| d.bindings.iter().flat_map(|b| b.ips.iter().copied()));
    let local = [old, new].into_iter().flat_map(|d| d.management.iter().filter_map(|m| m.rule.local.as_ref()));
    let managed = local.flat_map(|set| {
        let v4 = set.v4.intervals().iter().flat_map(|i| (i.first..=i.last).map(|at| Ipv4Addr::from_bits(at).into()));
        v4.chain(set.v6.intervals().iter().flat_map(|i| (i.first..=i.last).map(|at| Ipv6Addr::from_bits(at).into())))
    });
    bound.chain(managed).collect()
}

/// The regions of an address as a document judges them on a link.
fn judged(document: &Document, ip: IpAddr, link: Link, protocols: &[u8]) -> Vec<Region> {
    if let Some((_, binding)) = document.binding_of(ip) {
        let mut all = regions(document, &Shape::bound(document, binding, ip), protocols);
        if !link.fits(binding) {
            all.iter_mut().for_each(|region| region.verdict = Verdict::Deny);
        }
        return all;
    }
    let mut all = regions(document, &Shape::unbound(document, ip, link.mac), protocols);
    let owned = document.bindings.iter().any(|binding| binding.owns_mac && binding.mac == link.mac);
    let rest = if owned { Verdict::Deny } else { document.unbound };
    for region in all.iter_mut().filter(|region| region.cause == Cause::NoRule) {
        region.verdict = rest;
    }
    all
}

fn at_links(old: &Document, new: &Document, ip: IpAddr, links: &Links, out: &mut Vec<Difference>) {
    let link = links.example;
    let named = [old, new].into_iter().flat_map(|document| protocols(document, ip, link.mac));
    let protocols: Arc<[u8]> = named.collect::<BTreeSet<u8>>().into_iter().collect();
    let (before, after) = (judged(old, ip, link, &protocols), judged(new, ip, link, &protocols));
    let name = |document: &Document| document.binding_of(ip).map(|(_, binding)| format!("{} ", binding.container));
    let container = name(new).or_else(|| name(old)).unwrap_or_default();
    for a in &before {
        let same = |b: &&Region| (a.direction, a.proto, a.ports.is_some()) == (b.direction, b.proto, b.ports.is_some());
        for b in after.iter().filter(|b| b.verdict != a.verdict).filter(same) {
            let (remote, ports) = meet(a, b);
            let Some(witness) = witness(ip, link, a, &remote, ports.as_ref(), &protocols) else { continue };
            out.push(Difference {
                verdict: b.verdict,
                direction: a.direction,
                local: format!("{container}{ip} {links}"),
                proto: a.proto,
                remote: Some(remote),
                ports,
                witness,
                space: Space::Address { ip, links: links.clone(), protocols: protocols.clone() },
            });
        }
    }
}

/// What two regions have in common.
fn meet(a: &Region, b: &Region) -> (AddrSet, Option<PortPair>) {
    let remote = AddrSet { v4: a.remote.v4.intersect(&b.remote.v4), v6: a.remote.v6.intersect(&b.remote.v6) };
    let pair = |(x, y): (&PortPair, &PortPair)| PortPair {
        remote: x.remote.intersect(&y.remote),
        local: x.local.intersect(&y.local),
    };
    (remote, a.ports.as_ref().zip(b.ports.as_ref()).map(pair))
}

fn protocols(document: &Document, ip: IpAddr, mac: MacAddr) -> Vec<u8> {
    let shape = match document.binding_of(ip) {
        Some((_, binding)) => Shape::bound(document, binding, ip),
        None => Shape::unbound(document, ip, mac),
    };
    shape.protocols(document)
}

/// A flow of a region; `None` if it is empty.
fn witness(
    ip: IpAddr,
    link: Link,
    region: &Region,
    remote: &AddrSet,
    ports: Option<&PortPair>,
    protocols: &[u8],
) -> Option<Flow> {
    let remote = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(remote.v4.intervals().first()?.first)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(remote.v6.intervals().first()?.first)),
    };
    let first = |set: &PortSet| set.intervals().first().map(|interval| interval.first);
    let ports = match ports {
        Some(ports) => Some(Ports { local: first(&ports.local)?, remote: first(&ports.remote)? }),
        None => None,
    };
    let proto = region
        .proto
        .or_else(|| (0..=255).rev().find(|number| !protocols.contains(number) && !Proto::has_ports(*number)));
    let ip_flow = IpFlow { local: ip, remote, proto, ports };
    let ether_type = if ip.is_ipv4() { IPV4 } else { IPV6 };
    Some(Flow { ip: Some(ip_flow), ..frame(region.direction, link, ether_type) })
}

fn frame(direction: Direction, link: Link, ether_type: u16) -> Flow {
    Flow {
        direction,
        physical_port: link.physical_port,
        local_mac: link.mac,
        remote_mac: PEER,
        outer_vlan: link.vlan,
        inner_vlan: None,
        ether_type,
        ip: None,
    }
}

/// Compares frames of no bound address: received ICMPv6 for solicited-node groups, ARP, and all others.
fn not_bound(old: &Document, new: &Document, named: &Arc<Named>, out: &mut Vec<Difference>) {
    for macs in partition(&macs_of_the_rest(old, new)) {
        let Some(mac) = example_mac(&macs) else { continue };
        let link = Link { mac, vlan: None, physical_port: 0 };
        let words = mac_words(&macs);
        for group in &named.groups {
            // The peer is not a group, so that nothing but the address it is sent to decides.
            let ip = IpFlow { local: *group, remote: Ipv6Addr::LOCALHOST.into(), proto: Some(ICMPV6), ports: None };
            let witness = Flow { ip: Some(ip), ..frame(Direction::Rx, link, IPV6) };
            let space = Space::Group { ip: *group, macs: macs.clone() };
            compare(old, new, witness, format!("icmpv6 for {group} at {words}"), space, out);
        }
        for direction in DIRECTIONS {
            let space = Space::Arp { macs: macs.clone() };
            compare(old, new, frame(direction, link, ARP), format!("ARP of {words}"), space, out);
            let space = Space::Rest { macs: macs.clone(), named: named.clone() };
            let local = format!("frames without a bound address of {words}");
            compare(old, new, frame(direction, link, EXPERIMENT), local, space, out);
        }
    }
}

/// The sets of MACs on which decisions about such frames depend.
fn macs_of_the_rest(old: &Document, new: &Document) -> Vec<BTreeSet<MacAddr>> {
    let arp = |document: &Document| {
        let bound = document.bindings.iter().filter(|binding| binding.ips.iter().any(IpAddr::is_ipv4));
        bound.map(|binding| binding.mac).chain(document.management.iter().filter_map(|m| m.mac)).collect()
    };
    vec![BTreeSet::from([MacAddr::BROADCAST]), arp(old), arp(new), owned(old), owned(new)]
}

fn compare(old: &Document, new: &Document, witness: Flow, local: String, space: Space, out: &mut Vec<Difference>) {
    let (before, verdict) = (old.decide(&witness).verdict, new.decide(&witness).verdict);
    if before != verdict {
        let direction = witness.direction;
        out.push(Difference { verdict, direction, local, proto: None, remote: None, ports: None, witness, space });
    }
}

fn solicited_nodes(document: &Document) -> impl Iterator<Item = IpAddr> {
    let open = document.bindings.iter().filter(|binding| binding.open_nd);
    open.flat_map(|binding| &binding.ips).filter_map(|ip| match ip {
        IpAddr::V6(ip) => Some(solicited_node(*ip)),
        IpAddr::V4(_) => None,
    })
}
