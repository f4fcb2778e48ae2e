//! How frames reach the local side: the ways that two documents tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::policy::document::{Binding, Document};
use crate::terms::MacAddr;

/// MACs or ports that are named one by one.
const NAMED: usize = 4;

/// Some values of a large domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Among<T> {
    /// These.
    In(BTreeSet<T>),
    /// All but these.
    NotIn(BTreeSet<T>),
}

impl<T: Ord> Among<T> {
    pub fn contains(&self, value: &T) -> bool {
        match self {
            Self::In(set) => set.contains(value),
            Self::NotIn(set) => !set.contains(value),
        }
    }

    /// One of the values; `others` are tried where they are given as what they are not.
    fn example(&self, others: impl IntoIterator<Item = T>) -> Option<T>
    where
        T: Copy,
    {
        match self {
            Self::In(set) => set.first().copied(),
            Self::NotIn(set) => others.into_iter().find(|value| !set.contains(value)),
        }
    }
}

/// The classes into which sets cut a domain: values that the same sets hold are one.
pub(super) fn partition<T: Ord + Copy>(sets: &[BTreeSet<T>]) -> Vec<Among<T>> {
    let all: BTreeSet<T> = sets.iter().flatten().copied().collect();
    let mut classes: BTreeMap<Vec<bool>, BTreeSet<T>> = BTreeMap::new();
    for value in &all {
        let within = sets.iter().map(|set| set.contains(value)).collect();
        classes.entry(within).or_default().insert(*value);
    }
    classes.into_values().map(Among::In).chain([Among::NotIn(all)]).collect()
}

/// A MAC of a class.
pub(super) fn example_mac(macs: &Among<MacAddr>) -> Option<MacAddr> {
    // Locally administered stations: a document names less than that many.
    macs.example((0..=u16::MAX).rev().map(|low| {
        let [high, low] = low.to_be_bytes();
        MacAddr([0x06, 0xff, 0xff, 0xff, high, low])
    }))
}

/// A class of links, with one of them as an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Links {
    pub macs: Among<MacAddr>,
    pub vlans: Among<Option<u16>>,
    pub physical_ports: Among<u32>,
    pub example: Link,
}

/// How one frame reaches the local side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub mac: MacAddr,
    pub vlan: Option<u16>,
    pub physical_port: u32,
}

impl Link {
    pub fn fits(self, binding: &Binding) -> bool {
        (!binding.owns_mac || self.mac == binding.mac)
            && (binding.vlan.is_none() || self.vlan == binding.vlan)
            && (binding.physical_ports.is_empty() || binding.physical_ports.contains(&self.physical_port))
    }
}

/// The classes of links to an address: `sides` are the documents, each with the address' binding.
pub(super) fn links(sides: [(&Document, Option<&Binding>); 2], ip: std::net::IpAddr, ports: u32) -> Vec<Links> {
    let (mut macs, mut vlans, mut physical_ports) = (Vec::new(), Vec::new(), Vec::new());
    for (document, binding) in sides {
        match binding {
            Some(binding) => {
                macs.extend(binding.owns_mac.then(|| BTreeSet::from([binding.mac])));
                vlans.extend(binding.vlan.map(|vlan| BTreeSet::from([Some(vlan)])));
                physical_ports.push(binding.physical_ports.iter().copied().collect());
            }
            None => macs.extend(named_by(document, ip)),
        }
    }
    let mut out = Vec::new();
    for macs in partition(&macs) {
        for vlans in partition(&vlans) {
            for physical_ports in partition(&physical_ports) {
                let physical_port = physical_ports.example(0..ports);
                let vlan = vlans.example([None]);
                let (Some(mac), Some(vlan), Some(physical_port)) = (example_mac(&macs), vlan, physical_port) else {
                    // All ports of the adapter are named.
                    continue;
                };
                let (macs, vlans) = (macs.clone(), vlans.clone());
                out.push(Links { macs, vlans, physical_ports, example: Link { mac, vlan, physical_port } });
            }
        }
    }
    let differ = |links: &Links| sides.iter().any(|(_, b)| b.is_none_or(|binding| links.example.fits(binding)));
    // What fits neither binding is denied by both documents.
    out.retain(differ);
    out
}

/// The MACs that decide about an address that nobody bound: each host's that a management rule names with it, and those
/// that containers own.
fn named_by(document: &Document, ip: std::net::IpAddr) -> Vec<BTreeSet<MacAddr>> {
    let of_host = document.management.iter().filter(|m| m.rule.local.as_ref().is_some_and(|local| local.contains(ip)));
    let hosts = of_host.filter_map(|management| Some(BTreeSet::from([management.mac?])));
    hosts.chain([owned(document)]).collect()
}

/// The MACs that containers own.
pub(super) fn owned(document: &Document) -> BTreeSet<MacAddr> {
    document.bindings.iter().filter(|binding| binding.owns_mac).map(|binding| binding.mac).collect()
}

impl fmt::Display for Links {
    /// As `by 02:00:0a:1e:01:11 on VLAN 7 at port 0`; what is not looked at is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}", mac_words(&self.macs))?;
        match &self.vlans {
            Among::In(vlans) => {
                let named: Vec<String> = vlans.iter().flatten().map(ToString::to_string).collect();
                write!(f, " on VLAN {}", named.join(","))?;
            }
            Among::NotIn(vlans) if vlans.is_empty() => {}
            Among::NotIn(_) => f.write_str(" on another VLAN or none")?,
        }
        match &self.physical_ports {
            Among::In(ports) => write!(f, " at port {}", some(ports)),
            Among::NotIn(ports) if ports.is_empty() => Ok(()),
            Among::NotIn(_) => f.write_str(" at another port"),
        }
    }
}

pub(super) fn mac_words(macs: &Among<MacAddr>) -> String {
    match macs {
        Among::In(macs) => some(macs),
        Among::NotIn(macs) if macs.is_empty() => "any MAC".to_owned(),
        Among::NotIn(_) => "any other MAC".to_owned(),
    }
}

fn some<T: fmt::Display>(values: &BTreeSet<T>) -> String {
    let named: Vec<String> = values.iter().take(NAMED).map(ToString::to_string).collect();
    match values.len().saturating_sub(NAMED) {
        0 => named.join(","),
        more => format!("{} and {more} more", named.join(",")),
    }
}
