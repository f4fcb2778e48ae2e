//! What changes from one document to another: flows newly allowed and newly denied, each with a witness.
//!
//! For each local address and each way in which the two documents may see its link, the regions of both are crossed;
//! where the verdicts differ is a difference. Frames of no bound address are compared for each MAC that either names.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::compile::regions::{DIRECTIONS, Region, Shape, regions};
use super::compile::{Compiled, solicited_node};
use super::document::{Binding, Document, Management, PortPair, Proto};
use super::flow::{Flow, IpFlow, Ports};
use super::openings::prefixes;
use super::sets::{AddrSet, PortSet};
use crate::tables::{Direction, MacAddr, Verdict};

/// A MAC that stands for all that neither document names.
const OTHER_MAC: MacAddr = MacAddr([0x06, 0xff, 0xff, 0xff, 0xff, 0xfe]);

/// Flows of which the verdict changes. The differences between two documents are disjoint.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Compiled {
    /// What changes from this to `new`.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Difference> {
        let (old, new) = (self.document(), new.document());
        let mut out = Vec::new();
        for ip in local_ips(old, new) {
            for link in links(old, new, ip) {
                at_link(old, new, ip, link, &mut out);
            }
        }
        not_bound(old, new, &mut out);
        out
    }
}

/// How a frame reaches the local side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    mac: MacAddr,
    vlan: Option<u16>,
    physical_port: u32,
}

impl Link {
    fn fits(self, binding: &Binding) -> bool {
        (!binding.owns_mac || self.mac == binding.mac)
            && (binding.vlan.is_none() || self.vlan == binding.vlan)
            && (binding.physical_ports.is_empty() || binding.physical_ports.contains(&self.physical_port))
    }
}

/// All addresses that either document says something about.
fn local_ips(old: &Document, new: &Document) -> BTreeSet<IpAddr> {
    let bound =
        [old, new].into_iter().flat_map(|document| document.bindings.iter().flat_map(|b| b.ips.iter().copied()));
    let managed = [old, new].into_iter().flat_map(|document| {
        let local = document.management.iter().filter_map(|m| m.rule.local.as_ref());
        local.flat_map(|set| {
            let v4 = set
                .v4
                .intervals()
                .iter()
                .flat_map(|i| (i.first..=i.last).map(|at| IpAddr::V4(Ipv4Addr::from_bits(at))));
            v4.chain(
                set.v6
                    .intervals()
                    .iter()
                    .flat_map(|i| (i.first..=i.last).map(|at| IpAddr::V6(Ipv6Addr::from_bits(at)))),
            )
        })
    });
    bound.chain(managed).collect()
}

/// One link of every class that either document tells apart.
fn links(old: &Document, new: &Document, ip: IpAddr) -> Vec<Link> {
    let sides = [old.binding_of(ip), new.binding_of(ip)].map(|found| found.map(|(_, binding)| binding));
    if let [Some(a), Some(b)] = sides
        && (a.owns_mac, a.vlan, &a.physical_ports) == (b.owns_mac, b.vlan, &b.physical_ports)
        && (!a.owns_mac || a.mac == b.mac)
    {
        let physical_port = a.physical_ports.first().copied().unwrap_or(0);
        return vec![Link { mac: a.mac, vlan: a.vlan, physical_port }];
    }
    let bound = sides.into_iter().flatten().map(|binding| binding.mac);
    let names = |management: &&Management| management.rule.local.as_ref().is_some_and(|local| local.contains(ip));
    let hosts = [old, new].into_iter().flat_map(|document| document.management.iter().filter(names));
    let near: BTreeSet<MacAddr> = bound.chain(hosts.filter_map(|management| management.mac)).collect();
    let elsewhere = owned_elsewhere(old, new, || near.iter().copied());
    let macs: BTreeSet<MacAddr> = near.iter().copied().chain([OTHER_MAC]).chain(elsewhere).collect();
    let vlans: BTreeSet<_> = sides.into_iter().flatten().map(|binding| binding.vlan).chain([None]).collect();
    let ports = sides.into_iter().flatten().flat_map(|binding| binding.physical_ports.iter().copied());
    let ports: BTreeSet<u32> = ports.collect();
    let other = (0..=u32::MAX).find(|port| !ports.contains(port));
    let ports: Vec<u32> = ports.into_iter().chain(other).collect();
    let mut out = Vec::new();
    for mac in macs {
        for vlan in &vlans {
            out.extend(ports.iter().map(|port| Link { mac, vlan: *vlan, physical_port: *port }));
        }
    }
    out
}

/// One MAC of each class that containers own in the one document, in the other, or in both: what they own is denied to an
/// address that nobody bound.
fn owned_elsewhere<I: Iterator<Item = MacAddr>>(
    old: &Document,
    new: &Document,
    near: impl Fn() -> I,
) -> impl Iterator<Item = MacAddr> {
    let owned = |document: &Document| {
        let owned = document.bindings.iter().filter(|binding| binding.owns_mac).map(|binding| binding.mac);
        owned.filter(|mac| near().all(|other| other != *mac)).collect::<BTreeSet<_>>()
    };
    let (a, b) = (owned(old), owned(new));
    let classes = [a.difference(&b).next(), b.difference(&a).next(), a.intersection(&b).next()];
    classes.map(|mac| mac.copied()).into_iter().flatten()
}

/// The regions of an address as a document judges them on a link.
fn judged(document: &Document, ip: IpAddr, link: Link, protocols: &[u8]) -> Vec<Region> {
    use super::compile::regions::Cause;
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

fn at_link(old: &Document, new: &Document, ip: IpAddr, link: Link, out: &mut Vec<Difference>) {
    let mut protocols: Vec<u8> =
        [old, new].into_iter().flat_map(|document| protocols(document, ip, link.mac)).collect();
    protocols.sort_unstable();
    protocols.dedup();
    let (before, after) = (judged(old, ip, link, &protocols), judged(new, ip, link, &protocols));
    for a in &before {
        let same = |b: &&Region| (a.direction, a.proto, a.ports.is_some()) == (b.direction, b.proto, b.ports.is_some());
        for b in after.iter().filter(|b| b.verdict != a.verdict).filter(same) {
            let remote = AddrSet { v4: a.remote.v4.intersect(&b.remote.v4), v6: a.remote.v6.intersect(&b.remote.v6) };
            let both = |x: &PortSet, y: &PortSet| x.intersect(y);
            let ports = a
                .ports
                .as_ref()
                .zip(b.ports.as_ref())
                .map(|(x, y)| PortPair { remote: both(&x.remote, &y.remote), local: both(&x.local, &y.local) });
            let Some(witness) = witness(ip, link, a, &remote, ports.as_ref(), &protocols) else { continue };
            let name = |document: &Document| document.binding_of(ip).map(|(_, binding)| binding.container.clone());
            let container = name(new).or_else(|| name(old)).map_or_else(String::new, |name| format!("{name} "));
            out.push(Difference {
                verdict: b.verdict,
                direction: a.direction,
                local: format!("{container}{ip} by {}", words(link)),
                proto: a.proto,
                remote: Some(remote),
                ports,
                witness,
            });
        }
    }
}

fn words(link: Link) -> String {
    let mac = mac_words(link.mac);
    let vlan = link.vlan.map_or_else(String::new, |vlan| format!(" on VLAN {vlan}"));
    format!("{mac}{vlan} at port {}", link.physical_port)
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
    let ether_type = if ip.is_ipv4() { 0x0800 } else { 0x86dd };
    Some(Flow { ip: Some(ip_flow), ..frame(region.direction, link, ether_type) })
}

fn frame(direction: Direction, link: Link, ether_type: u16) -> Flow {
    Flow {
        direction,
        physical_port: link.physical_port,
        local_mac: link.mac,
        remote_mac: OTHER_MAC,
        outer_vlan: link.vlan,
        inner_vlan: None,
        ether_type,
        ip: None,
    }
}

/// Compares frames of no bound address: ARP, received ICMPv6 for solicited-node groups, and all others, for every MAC.
fn not_bound(old: &Document, new: &Document, out: &mut Vec<Difference>) {
    let mut macs = BTreeSet::from([OTHER_MAC, MacAddr::BROADCAST]);
    for document in [old, new] {
        macs.extend(document.bindings.iter().map(|binding| binding.mac));
        macs.extend(document.management.iter().filter_map(|m| m.mac));
    }
    let groups: BTreeSet<IpAddr> = [old, new].into_iter().flat_map(solicited_nodes).collect();
    for mac in macs {
        let link = Link { mac, vlan: None, physical_port: 0 };
        for group in &groups {
            // The peer is no group, so that nothing but the address it is sent to decides.
            let ip = IpFlow { local: *group, remote: Ipv6Addr::LOCALHOST.into(), proto: Some(58), ports: None };
            let witness = Flow { ip: Some(ip), ..frame(Direction::Rx, link, 0x86dd) };
            compare(old, new, witness, format!("icmpv6 for {group} at {}", mac_words(mac)), out);
        }
        for (ether_type, what) in [(0x0806, "ARP"), (0x88b5, "frames without a bound address")] {
            for direction in DIRECTIONS {
                let local = format!("{what} of {}", mac_words(mac));
                compare(old, new, frame(direction, link, ether_type), local, out);
            }
        }
    }
}

fn compare(old: &Document, new: &Document, witness: Flow, local: String, out: &mut Vec<Difference>) {
    let (before, verdict) = (old.decide(&witness).verdict, new.decide(&witness).verdict);
    if before != verdict {
        let direction = witness.direction;
        out.push(Difference { verdict, direction, local, proto: None, remote: None, ports: None, witness });
    }
}

fn solicited_nodes(document: &Document) -> impl Iterator<Item = IpAddr> {
    let open = document.bindings.iter().filter(|binding| binding.open_nd);
    open.flat_map(|binding| &binding.ips).filter_map(|ip| match ip {
        IpAddr::V6(ip) => Some(solicited_node(*ip)),
        IpAddr::V4(_) => None,
    })
}

fn mac_words(mac: MacAddr) -> String {
    if mac == OTHER_MAC { "any other MAC".to_owned() } else { mac.to_string() }
}
