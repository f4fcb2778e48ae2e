//! What the adapter would do with a flow if it held an image: the assumptions about the rules engine, read literally.
//!
//! Replays, explanations and the compiler's tests ask it. The compiler's own proof judges by an indexed form of the same
//! reading (`compile/prove/address_entries.rs`), which shares the order of lookups and the names of a flow with this one and with the
//! compiler the values of keys, ids and maps; nothing here or there calls what made the entries. The firmware model is
//! another reading, which shares nothing with either.

use std::collections::{BTreeSet, HashMap};

use super::entry::ImageEntry;
use super::image::Image;
use crate::tables::{EngineProfile, LookupOrder, MatchFields, RuleKey};
use crate::terms::{Direction, Flow, Verdict};

/// What becomes of a flow, and which entry decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// Whether it passes.
    pub verdict: Verdict,
    /// The entry; `None` if none decides.
    pub entry: Option<RuleKey>,
}

impl Image {
    /// Judges one flow. Under an unordered profile `seed` shuffles the lookup order above the base and within it.
    #[must_use]
    pub fn judge(&self, flow: &Flow, profile: &EngineProfile, seed: u64) -> Judgement {
        Engine::once(self, profile, seed).judge(flow)
    }

    /// Judges many flows, each as [`Self::judge`] would, at less cost.
    #[must_use]
    pub fn judge_all(&self, flows: &[Flow], profile: &EngineProfile, seed: u64) -> Vec<Judgement> {
        let engine = Engine::new(self, profile, seed);
        flows.iter().map(|flow| engine.judge(flow)).collect()
    }
}

/// An image ready for many judgements.
#[derive(Debug)]
pub(super) struct Engine<'a> {
    image: &'a Image,
    /// `None`: the image itself is searched.
    entries: Option<HashMap<&'a RuleKey, &'a ImageEntry>>,
    /// Combinations in use, in the order of lookup.
    order: Vec<MatchFields>,
    no_match: Verdict,
}

impl<'a> Engine<'a> {
    pub fn new(image: &'a Image, profile: &EngineProfile, seed: u64) -> Self {
        Self { entries: Some(image.rules.iter().collect()), ..Self::once(image, profile, seed) }
    }

    /// For few judgements: it costs less to make, and more to ask.
    fn once(image: &'a Image, profile: &EngineProfile, seed: u64) -> Self {
        let used: BTreeSet<MatchFields> = image.rules.keys().map(RuleKey::fields).collect();
        let order = lookup_order(used.into_iter().collect(), profile, seed);
        Self { image, entries: None, order, no_match: profile.no_match }
    }

    fn entry(&self, key: &RuleKey) -> Option<&ImageEntry> {
        match &self.entries {
            Some(entries) => entries.get(key).copied(),
            None => self.image.rules.get(key),
        }
    }

    pub fn judge(&self, flow: &Flow) -> Judgement {
        let all = self.image.names(flow);
        for fields in &self.order {
            let Some(key) = only(&all, *fields) else { continue };
            let side = |entry: &ImageEntry| match flow.direction {
                Direction::Rx => entry.rx.action,
                Direction::Tx => entry.tx.action,
            };
            if let Some(verdict) = self.entry(&key).and_then(|entry| side(entry).verdict()) {
                return Judgement { verdict, entry: Some(key) };
            }
        }
        Judgement { verdict: self.no_match, entry: None }
    }
}

/// The combinations in use, in the order of lookup.
pub(super) fn lookup_order(used: Vec<MatchFields>, profile: &EngineProfile, seed: u64) -> Vec<MatchFields> {
    match &profile.order {
        LookupOrder::Ranked(order) => order.iter().copied().filter(|fields| used.contains(fields)).collect(),
        LookupOrder::Unordered => {
            let (base, above): (Vec<_>, Vec<_>) = used.into_iter().partition(|f| MatchFields::BASE.contains(*f));
            shuffle(above, seed).into_iter().chain(shuffle(base, seed)).collect()
        }
    }
}

impl Image {
    /// Everything that a key could name about a flow.
    pub(super) fn names(&self, flow: &Flow) -> RuleKey {
        let ports = flow.ip.and_then(|ip| ip.ports);
        let remote_v4 = flow.ip.and_then(|ip| match ip.remote {
            std::net::IpAddr::V4(addr) => Some(addr.to_bits()),
            std::net::IpAddr::V6(_) => None,
        });
        RuleKey {
            local_ip: flow.ip.map(|ip| ip.local),
            local_mac: Some(flow.local_mac),
            physical_port: Some(flow.physical_port),
            outer_vlan: flow.outer_vlan,
            inner_vlan: flow.inner_vlan,
            ether_type: Some(flow.ether_type),
            ip_proto: flow.ip.and_then(|ip| ip.proto),
            remote_ip: flow.ip.map(|ip| ip.remote),
            remote_mac: Some(flow.remote_mac),
            remote_subnet: self.subnets.as_ref().and_then(|map| map.lookup(remote_v4?)),
            remote_port: ports.map(|ports| ports.remote),
            remote_portrange: self.remote_ports.as_ref().and_then(|map| map.lookup(ports?.remote)),
            local_port: ports.map(|ports| ports.local),
            local_portrange: self.local_ports.as_ref().and_then(|map| map.lookup(ports?.local)),
        }
    }
}

/// The key that names just these fields; `None` if one of them is not there.
fn only(all: &RuleKey, fields: MatchFields) -> Option<RuleKey> {
    Some(all.only(fields)).filter(|key| key.fields() == fields)
}

/// Fisher and Yates, with numbers of splitmix64.
fn shuffle<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed;
    for i in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let at = (z ^ (z >> 31)) % (i as u64 + 1);
        items.swap(i, usize::try_from(at).unwrap_or_default());
    }
    items
}
