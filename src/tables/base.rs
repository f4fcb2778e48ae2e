//! Entries that no rule of a policy makes: the base denies, ARP, and the solicited-node groups.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::policy::{Binding, Document};
use crate::tables::{RuleKey, Target};
use crate::terms::{MacAddr, Verdict, solicited_node};

pub(crate) const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_ARP: u16 = 0x0806;
pub(crate) const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// An entry that bindings or management rules ask for, or the document as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub verdict: Verdict,
    /// False: it decides about received frames only.
    pub tx: bool,
    /// Numbers of bindings.
    pub bindings: BTreeSet<u32>,
    /// Indices of management rules.
    pub management: BTreeSet<usize>,
    /// The document as a whole asks for it.
    pub of_document: bool,
}

impl Fixed {
    pub fn new(verdict: Verdict, tx: bool) -> Self {
        Self { verdict, tx, bindings: BTreeSet::new(), management: BTreeSet::new(), of_document: false }
    }
}

/// Those that the document as a whole and its management rules ask for.
pub(crate) fn of_document(document: &Document, target: &Target) -> BTreeMap<RuleKey, Fixed> {
    let mut out: BTreeMap<RuleKey, Fixed> = BTreeMap::new();
    if document.unbound != Verdict::Deny {
        return out;
    }
    let port = |port| RuleKey { physical_port: Some(port), ..RuleKey::default() };
    let whole = |verdict, tx| Fixed { of_document: true, ..Fixed::new(verdict, tx) };
    out.extend((0..target.physical_ports).map(|at| (port(at), whole(Verdict::Deny, true))));
    out.insert(arp(MacAddr::BROADCAST), whole(Verdict::Allow, false));
    for (index, mac) in document.management.iter().enumerate().filter_map(|(i, m)| Some((i, m.mac?))) {
        out.entry(arp(mac)).or_insert(Fixed::new(Verdict::Allow, true)).management.insert(index);
    }
    out
}

/// Those that a binding asks for. `closed`: what nobody bound is denied.
pub(crate) fn of_binding(binding: &Binding, closed: bool) -> Vec<(RuleKey, Fixed)> {
    let ip = |ip| RuleKey { local_ip: Some(ip), ..RuleKey::default() };
    let mut out: Vec<_> = binding.ips.iter().map(|at| (ip(*at), Fixed::new(Verdict::Deny, true))).collect();
    if binding.owns_mac {
        let mac = RuleKey { local_mac: Some(binding.mac), ..RuleKey::default() };
        out.push((mac, Fixed::new(Verdict::Deny, true)));
    }
    // Elsewhere nothing denies ARP.
    if (closed || binding.owns_mac) && binding.ips.iter().any(IpAddr::is_ipv4) {
        out.push((arp(binding.mac), Fixed::new(Verdict::Allow, true)));
    }
    if binding.open_nd {
        let groups = binding.ips.iter().filter_map(|ip| match ip {
            IpAddr::V6(ip) => Some(solicited_node(*ip)),
            IpAddr::V4(_) => None,
        });
        out.extend(groups.map(|group| (received_icmpv6(group), Fixed::new(Verdict::Allow, false))));
    }
    out
}

fn arp(mac: MacAddr) -> RuleKey {
    RuleKey { local_mac: Some(mac), ether_type: Some(ETHER_TYPE_ARP), ..RuleKey::default() }
}

fn received_icmpv6(group: IpAddr) -> RuleKey {
    RuleKey { local_ip: Some(group), ether_type: Some(ETHER_TYPE_IPV6), ip_proto: Some(58), ..RuleKey::default() }
}

/// The local sides for which the entries of a bound address are made: one for each physical port that it is bound at,
/// or one where that is any.
pub(crate) fn local_keys(binding: &Binding, ip: IpAddr, target: &Target) -> Vec<RuleKey> {
    let key =
        RuleKey { local_mac: binding.owns_mac.then_some(binding.mac), outer_vlan: binding.vlan, ..address_key(ip) };
    let all = (0..target.physical_ports).all(|port| binding.physical_ports.contains(&port));
    if binding.physical_ports.is_empty() || all {
        return vec![key];
    }
    binding.physical_ports.iter().map(|port| RuleKey { physical_port: Some(*port), ..key }).collect()
}

/// The local side of an address that nobody bound: it is the host's with the MAC that management rules name, and with no
/// other.
pub(crate) fn unbound_key(ip: IpAddr, mac: MacAddr) -> RuleKey {
    RuleKey { local_mac: Some(mac), ..address_key(ip) }
}

fn address_key(ip: IpAddr) -> RuleKey {
    let ether_type = if ip.is_ipv4() { ETHER_TYPE_IPV4 } else { ETHER_TYPE_IPV6 };
    RuleKey { local_ip: Some(ip), ether_type: Some(ether_type), ..RuleKey::default() }
}
