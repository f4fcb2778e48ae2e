//! Entries that no rule of a policy makes: the base denies, ARP, and the solicited-node groups.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::policy::{Binding, Document};
use crate::tables::pages::Pages;
use crate::tables::rules::BlockKey;
use crate::tables::{MatchFields, RuleKey, Target};
use crate::terms::{MacAddr, Verdict, solicited_node};

pub(crate) const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_ARP: u16 = 0x0806;
pub(crate) const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// How many entries or local sides name each combination of match fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldCounts(BTreeMap<MatchFields, u32>);

impl FieldCounts {
    pub fn add(&mut self, fields: MatchFields, more: i64) {
        let count = self.0.entry(fields).or_default();
        *count = u32::try_from(i64::from(*count) + more).unwrap_or_default();
        if *count == 0 {
            self.0.remove(&fields);
        }
    }

    pub fn contains(&self, fields: MatchFields) -> bool {
        self.0.contains_key(&fields)
    }

    pub fn fields(&self) -> impl ExactSizeIterator<Item = &MatchFields> {
        self.0.keys()
    }
}

/// The base entries of an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base {
    entries: Pages<RuleKey, Arc<BaseEntry>>,
    counts: FieldCounts,
}

impl Base {
    pub fn get(&self, key: &RuleKey) -> Option<&BaseEntry> {
        self.entries.get(key).map(AsRef::as_ref)
    }

    /// Puts an entry in place of the one with its key, or takes that out.
    pub fn set(&mut self, key: RuleKey, entry: Option<BaseEntry>) {
        let is = entry.is_some();
        let was = match entry {
            Some(entry) => self.entries.insert(key, Arc::new(entry)).is_some(),
            None => self.entries.remove(&key).is_some(),
        };
        self.counts.add(key.fields(), i64::from(is) - i64::from(was));
    }

    /// The entries of a block, by rising keys.
    pub fn of_block(&self, block: BlockKey) -> impl Iterator<Item = (&RuleKey, &BaseEntry)> {
        let all = self.entries.starting_at(&block.first()).map(|(key, entry)| (key, &**entry));
        all.take_while(move |(key, _)| BlockKey::of(key) == block)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The combinations of match fields in use.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &MatchFields> {
        self.counts.fields()
    }
}

/// An entry that bindings or management rules ask for, or the document as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseEntry {
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

impl BaseEntry {
    pub fn new(verdict: Verdict, tx: bool) -> Self {
        Self { verdict, tx, bindings: BTreeSet::new(), management: BTreeSet::new(), of_document: false }
    }
}

/// Those that the document as a whole and its management rules ask for.
pub(crate) fn of_document(document: &Document, target: &Target) -> BTreeMap<RuleKey, BaseEntry> {
    let mut out: BTreeMap<RuleKey, BaseEntry> = BTreeMap::new();
    if document.unbound != Verdict::Deny {
        return out;
    }
    let port = |port| RuleKey { physical_port: Some(port), ..RuleKey::default() };
    let whole = |verdict, tx| BaseEntry { of_document: true, ..BaseEntry::new(verdict, tx) };
    out.extend((0..target.physical_ports).map(|at| (port(at), whole(Verdict::Deny, true))));
    out.insert(arp(MacAddr::BROADCAST), whole(Verdict::Allow, false));
    for (index, mac) in document.management.iter().enumerate().filter_map(|(i, m)| Some((i, m.mac?))) {
        out.entry(arp(mac)).or_insert(BaseEntry::new(Verdict::Allow, true)).management.insert(index);
    }
    out
}

/// Those that a binding asks for. `closed`: what nobody bound is denied.
pub(crate) fn of_binding(binding: &Binding, closed: bool) -> Vec<(RuleKey, BaseEntry)> {
    let ip = |ip| RuleKey { local_ip: Some(ip), ..RuleKey::default() };
    let mut out: Vec<_> = binding.ips.iter().map(|at| (ip(*at), BaseEntry::new(Verdict::Deny, true))).collect();
    if binding.owns_mac {
        let mac = RuleKey { local_mac: Some(binding.mac), ..RuleKey::default() };
        out.push((mac, BaseEntry::new(Verdict::Deny, true)));
    }
    // Elsewhere nothing denies ARP.
    if (closed || binding.owns_mac) && binding.ips.iter().any(IpAddr::is_ipv4) {
        out.push((arp(binding.mac), BaseEntry::new(Verdict::Allow, true)));
    }
    if binding.open_nd {
        let groups = binding.ips.iter().filter_map(|ip| match ip {
            IpAddr::V6(ip) => Some(solicited_node(*ip)),
            IpAddr::V4(_) => None,
        });
        out.extend(groups.map(|group| (received_icmpv6(group), BaseEntry::new(Verdict::Allow, false))));
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
