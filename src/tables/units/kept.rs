//! The units of a document, and who has them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::origins::{Numbers, Origins};
use super::unit::{Unit, UnitKey, Used};
use crate::policy::{Binding, Document};
use crate::tables::RuleKey;
use crate::tables::arrange::lookups::Order;
use crate::tables::base::Base;
use crate::tables::pages::Pages;
use crate::tables::rules::BlockKey;
use crate::terms::MacAddr;

/// A policy of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PolicyState {
    /// What it is called while it stays.
    pub name: u32,
    pub numbers: Numbers,
}

/// A binding of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BindingState {
    pub number: u32,
    /// The name of its policy.
    pub policy: u32,
}

/// The local sides of a binding, each with its unit.
#[derive(Debug)]
pub(crate) struct Bound {
    pub binding: Arc<Binding>,
    pub locals: Vec<(RuleKey, UnitKey)>,
}

/// The next free names of policies, and the next free numbers of rules and bindings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbering {
    pub policy: u32,
    pub number: u32,
}

/// What the documents hold; see the room's documentation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Units {
    pub order: Order,
    pub policies: Vec<PolicyState>,
    pub bindings: Vec<BindingState>,
    pub(super) next: Numbering,
    /// By the numbers of the bindings.
    pub bound: Pages<u32, Arc<Bound>>,
    /// Local sides of addresses that nobody bound.
    pub unbound: Arc<Vec<(RuleKey, UnitKey)>>,
    /// MACs with the numbers of their bindings.
    pub macs: Pages<(MacAddr, u32), ()>,
    pub used: Pages<UnitKey, Arc<Used>>,
    /// What cutting all units into regions took.
    pub steps: u64,
    pub base: Base,
}

/// What has to be made anew of an image.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Names of policies whose rules are not what they were.
    pub policies: BTreeSet<u32>,
    /// Places of bindings whose blocks are made anew.
    pub bindings: BTreeSet<usize>,
    /// Numbers of bindings that are there no more.
    pub ended: Vec<u32>,
    /// Blocks whose base entries are not what they were.
    pub blocks: BTreeSet<BlockKey>,
    /// The blocks of addresses that nobody bound.
    pub unbound: bool,
}

/// Which units are not what they were.
#[derive(Debug, Default)]
pub(crate) struct UnitChanges {
    /// Those that came, went, or have other local sides, as they were before.
    pub touched: BTreeMap<UnitKey, Option<Arc<Used>>>,
    /// Of them those that were made.
    pub fresh: BTreeSet<UnitKey>,
}

/// The units of a document, and what became of those before.
pub(crate) struct Linked {
    pub units: Units,
    pub changes: UnitChanges,
    pub dirty: Dirty,
}

impl Units {
    /// None yet, with a way to use the order of lookups.
    pub fn under(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// What the origins of an image stand for that is made of these units.
    pub fn origins(&self, document: &Document) -> Origins {
        let policies = self.policies.iter().map(|of| of.numbers);
        Origins::of(document, policies, self.bindings.iter().map(|of| of.number))
    }

    pub fn unit(&self, key: &UnitKey) -> Option<&Arc<Unit>> {
        Some(&self.used.get(key)?.unit)
    }

    /// The units with these names that are there.
    pub fn named<'a>(&self, names: &'a BTreeSet<UnitKey>) -> Vec<(&'a UnitKey, Arc<Unit>)> {
        names.iter().filter_map(|key| Some((key, self.unit(key)?.clone()))).collect()
    }

    /// The local sides of an address, each with its unit.
    pub fn locals_of<'a>(
        locals: &'a [(RuleKey, UnitKey)],
        ip: IpAddr,
    ) -> impl Iterator<Item = &'a (RuleKey, UnitKey)> + 'a {
        locals.iter().filter(move |(local, _)| local.local_ip == Some(ip))
    }
}

impl UnitChanges {
    /// The units that changed by themselves, as they were and as they are: not those that only have other local sides.
    pub fn replaced<'a>(
        &'a self,
        units: &'a Units,
    ) -> impl Iterator<Item = (Option<&'a Arc<Unit>>, Option<&'a Arc<Unit>>)> {
        let both = self.touched.iter().map(|(key, before)| (before.as_ref().map(|used| &used.unit), units.unit(key)));
        both.filter(|(was, is)| was.map(Arc::as_ptr) != is.map(Arc::as_ptr))
    }
}

impl Dirty {
    /// The blocks of all local sides that have one of these units.
    pub fn add_users(&mut self, units: &Units, anew: &BTreeSet<UnitKey>) {
        let names: BTreeSet<u32> = anew.iter().map(|(name, _)| *name).collect();
        for (at, of) in units.bindings.iter().enumerate().filter(|(_, of)| names.contains(&of.policy)) {
            let bound = units.bound.get(&of.number);
            if bound.is_some_and(|bound| bound.locals.iter().any(|(_, key)| anew.contains(key))) {
                self.bindings.insert(at);
            }
        }
        self.unbound |= units.unbound.iter().any(|(_, key)| anew.contains(key));
    }
}
