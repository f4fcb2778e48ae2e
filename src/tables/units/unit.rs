//! Units of work: what the rules of one policy make of all local addresses of one shape, computed once for all of them.
//!
//! A unit names rules by their places in its own policy (which stands at index 0), so it stays good wherever the policy
//! stands in a document.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::Arc;

use crate::policy::regions::classes::points_up_to;
use crate::policy::regions::{Budget, Cause, Shape};
use crate::policy::{Document, Policy, RulePlace, SharedList};
use crate::tables::arrange::cover::Input;
use crate::tables::arrange::lookups::{Order, Strategy};
use crate::tables::arrange::pieces::{Piece, pieces};
use crate::tables::base::unbound_key;
use crate::tables::refuse::{CompileError, LargestUser};
use crate::tables::usage::Table;
use crate::tables::{MatchFields, RuleKey, Target};
use crate::terms::{AddrSet, Direction, MacAddr};

/// Names a unit: a number that its policy keeps from image to image ([`NO_POLICY`] for addresses that nobody bound), and
/// its shape.
pub(crate) type UnitKey = (u32, SharedShape);

/// What a unit is made for: a shape, and how its local side is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UnitShape {
    pub shape: Shape,
    /// The fields that the local side names, where places of lookups depend on them; else none.
    pub names: MatchFields,
}

impl From<Shape> for UnitShape {
    fn from(shape: Shape) -> Self {
        Self { shape, names: MatchFields::empty() }
    }
}

/// A shape in one place of memory. What is one is equal without a look inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SharedShape(Arc<UnitShape>);

impl SharedShape {
    pub fn new(shape: impl Into<UnitShape>) -> Self {
        Self(Arc::new(shape.into()))
    }

    /// Where it stands: of shapes that are shared wherever they are equal, that tells one from another.
    pub fn place(&self) -> *const UnitShape {
        Arc::as_ptr(&self.0)
    }
}

impl Deref for SharedShape {
    type Target = UnitShape;

    fn deref(&self) -> &UnitShape {
        &self.0
    }
}

impl Borrow<UnitShape> for SharedShape {
    fn borrow(&self) -> &UnitShape {
        &self.0
    }
}

impl Ord for SharedShape {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for SharedShape {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// In place of a policy's number.
pub(crate) const NO_POLICY: u32 = u32::MAX;

/// What depends on nothing but a policy, a shape, and what all units share (management rules, ephemeral ports).
#[derive(Debug)]
pub(crate) struct Unit {
    pub policy: Option<Arc<Policy>>,
    pub pieces: Vec<Piece>,
    /// One of its rules samples.
    pub samples: bool,
    /// What cutting it cost.
    pub steps: u64,
}

/// A unit, and who has it.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub unit: Arc<Unit>,
    /// How many local sides have it, by the fields that they name.
    pub locals: BTreeMap<MatchFields, u32>,
}

/// A document without bindings and with one policy at a time.
#[derive(Debug)]
pub(crate) struct OnePolicyDocument(Document);

impl OnePolicyDocument {
    pub fn of(document: &Document) -> Self {
        Self(Document {
            name: document.name.clone(),
            unbound: document.unbound,
            multicast: document.multicast,
            ephemeral: document.ephemeral.clone(),
            on_expiry: document.on_expiry,
            groups: document.groups.clone(),
            management: document.management.clone(),
            policies: SharedList::default(),
            bindings: SharedList::default(),
        })
    }

    pub fn with(&mut self, policy: Option<&Arc<Policy>>) -> &mut Document {
        if self.0.policies.first().map(Arc::as_ptr) != policy.map(Arc::as_ptr) {
            self.0.policies.clear();
            self.0.policies.extend(policy.cloned());
        }
        self.0.bindings.clear();
        &mut self.0
    }
}

impl Unit {
    /// Makes one within a budget.
    pub fn new(
        document: &mut OnePolicyDocument,
        policy: Option<&Arc<Policy>>,
        of: &UnitShape,
        order: &Order,
        budget: &Budget,
    ) -> Result<Self, CompileError> {
        let UnitShape { shape, names } = of;
        let document = document.with(policy);
        let pieces = match (order.strategy, &order.lookups) {
            // What of an address that nobody bound is not allowed is not an entry's.
            (Strategy::Covered { limits, by_rule }, Some(lookups)) if policy.is_some() => {
                Input { document, shape, names: *names, lookups, limits, by_rule, budget }.pieces()?
            }
            _ => pieces(document, shape, budget)?,
        };
        let samples = shape.rules.iter().any(|place| document.rule(*place).is_some_and(|rule| rule.sample));
        Ok(Self { policy: policy.cloned(), pieces, samples, steps: budget.spent() })
    }

    /// Entries that one local side takes at least: of one direction no two pieces are one entry.
    pub fn least_entries(&self) -> u64 {
        let rx = self.pieces.iter().filter(|piece| piece.direction == Direction::Rx).count() as u64;
        rx.max(self.pieces.len() as u64 - rx)
    }

    /// The rule that most of its pieces are made for.
    pub fn largest_rule(&self) -> Option<RulePlace> {
        let mut all: BTreeMap<RulePlace, u64> = BTreeMap::new();
        for cause in self.pieces.iter().flat_map(|piece| &piece.causes) {
            if let Cause::Rule { place, .. } = cause {
                *all.entry(*place).or_default() += 1;
            }
        }
        all.into_iter().rev().max_by_key(|(_, pieces)| *pieces).map(|(place, _)| place)
    }
}

/// The local sides of addresses that management rules name and nobody bound, with their shapes. There is no map of local
/// addresses: each is an entry.
pub(crate) fn unbound(document: &Document, target: &Target) -> Result<Vec<(RuleKey, Shape)>, CompileError> {
    if !document.management.iter().any(names_unbound) {
        return Ok(Vec::new());
    }
    let bound: AddrSet = document.bindings.iter().flat_map(|binding| binding.ips.iter().copied()).collect();
    let most = usize::try_from(target.profile.rules).unwrap_or(usize::MAX);
    let mut by_mac: BTreeMap<MacAddr, AddrSet> = BTreeMap::new();
    for management in &document.management {
        let (Some(local), Some(mac)) = (&management.rule.local, management.mac) else { continue };
        let all = by_mac.entry(mac).or_default();
        *all = all.union(&local.subtract(&bound));
        if points_up_to(&all.v4, most).is_none() || points_up_to(&all.v6, most).is_none() {
            let missing = size(all).saturating_sub(u64::from(target.profile.rules));
            let largest = LargestUser { policy: None, used: size(all) };
            let at = management.rule.origin.clone();
            return Err(CompileError::DoesNotFit { at, table: Table::Rules, missing, largest, usage: Vec::new() });
        }
    }
    let mut out = Vec::new();
    for (mac, all) in by_mac {
        let v4 = points_up_to(&all.v4, most).unwrap_or_default().into_iter().map(Ipv4Addr::from_bits);
        let v6 = points_up_to(&all.v6, most).unwrap_or_default().into_iter().map(Ipv6Addr::from_bits);
        let ips = v4.map(IpAddr::V4).chain(v6.map(IpAddr::V6));
        out.extend(ips.map(|ip| (unbound_key(ip, mac), Shape::unbound(document, ip, mac))));
    }
    Ok(out)
}

/// True for a rule about addresses of the host itself.
pub(crate) fn names_unbound(management: &crate::policy::Management) -> bool {
    management.rule.local.is_some() && management.mac.is_some()
}

/// The number of addresses, as far as a word can hold it.
fn size(set: &AddrSet) -> u64 {
    let v4 = set.v4.intervals().iter().map(|i| u64::from(i.last - i.first) + 1);
    let v6 = set.v6.intervals().iter().map(|i| u64::try_from(i.last - i.first).unwrap_or(u64::MAX).saturating_add(1));
    v4.chain(v6).fold(0, u64::saturating_add)
}
