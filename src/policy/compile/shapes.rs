//! All local addresses that entries are made for, and their shapes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::base::{local_keys, unbound_key};
use super::classes::few_points;
use super::layout::Local;
use super::refuse::{CompileError, LargestUser};
use super::regions::Shape;
use super::usage::Table;
use crate::policy::{AddrSet, Document};
use crate::tables::{MacAddr, RuleKey, Target};

/// The shapes of a document, each once, and who has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Shapes {
    pub shapes: Vec<Shape>,
    pub locals: Vec<Local>,
    places: BTreeMap<Shape, usize>,
}

impl Shapes {
    pub fn of(document: &Document, target: &Target) -> Result<Self, CompileError> {
        let mut out = Self::default();
        for (index, binding) in document.bindings.iter().enumerate() {
            for ip in &binding.ips {
                let shape = out.place(Shape::bound(document, binding, *ip));
                let keys = local_keys(binding, *ip, target).into_iter();
                out.locals.extend(keys.map(|key| Local { key, shape, binding: Some(index) }));
            }
        }
        out.add_unbound(document, target)?;
        Ok(out)
    }

    fn place(&mut self, shape: Shape) -> usize {
        *self.places.entry(shape).or_insert_with_key(|shape| {
            self.shapes.push(shape.clone());
            self.shapes.len() - 1
        })
    }

    /// Addresses that management rules name and nobody bound. There is no map of local addresses: each is an entry.
    fn add_unbound(&mut self, document: &Document, target: &Target) -> Result<(), CompileError> {
        let bound: AddrSet = document.bindings.iter().flat_map(|binding| binding.ips.iter().copied()).collect();
        let most = usize::try_from(target.profile.rules).unwrap_or(usize::MAX);
        let mut by_mac: BTreeMap<MacAddr, AddrSet> = BTreeMap::new();
        for management in &document.management {
            let (Some(local), Some(mac)) = (&management.rule.local, management.mac) else { continue };
            let all = by_mac.entry(mac).or_default();
            *all = all.union(&local.subtract(&bound));
            if few_points(&all.v4, most).is_none() || few_points(&all.v6, most).is_none() {
                let missing = size(all).saturating_sub(u64::from(target.profile.rules));
                let largest = LargestUser { policy: None, used: size(all) };
                let at = management.rule.origin.clone();
                return Err(CompileError::DoesNotFit { at, table: Table::Rules, missing, largest, usage: Vec::new() });
            }
        }
        for (mac, all) in by_mac {
            let v4 = few_points(&all.v4, most).unwrap_or_default().into_iter().map(Ipv4Addr::from_bits);
            let v6 = few_points(&all.v6, most).unwrap_or_default().into_iter().map(Ipv6Addr::from_bits);
            for ip in v4.map(IpAddr::V4).chain(v6.map(IpAddr::V6)) {
                let shape = self.place(Shape::unbound(document, ip, mac));
                self.locals.push(Local { key: unbound_key(ip, mac), shape, binding: None });
            }
        }
        Ok(())
    }

    /// The container that each entry belongs to alone.
    pub fn containers<'a>(&self, document: &'a Document) -> impl Fn(&RuleKey) -> Option<&'a str> {
        let mut by_ip = BTreeMap::new();
        let mut by_mac = BTreeMap::new();
        for binding in &document.bindings {
            by_ip.extend(binding.ips.iter().map(|ip| (*ip, binding.container.as_str())));
            if binding.owns_mac {
                by_mac.insert(binding.mac, binding.container.as_str());
            }
        }
        move |key| match key.local_ip {
            Some(ip) => by_ip.get(&ip).copied(),
            None => key.local_mac.and_then(|mac| by_mac.get(&mac).copied()),
        }
    }
}

/// The number of addresses, as far as a word can hold it.
fn size(set: &AddrSet) -> u64 {
    let v4 = set.v4.intervals().iter().map(|i| u64::from(i.last - i.first) + 1);
    let v6 = set.v6.intervals().iter().map(|i| u64::try_from(i.last - i.first).unwrap_or(u64::MAX).saturating_add(1));
    v4.chain(v6).fold(0, u64::saturating_add)
}
