//! All intermediate results of a compilation, kept so that the next one can share them.
//!
//! A compilation starts from the results for the document before it, or from nothing, and works off the difference:
//!
//! 1. [`State::policies`] and [`State::bindings`] compare what the documents hold: what is one value in memory is equal
//!    without a look inside, so a copy of a document that was changed in one place is compared in no time.
//! 2. Units are made for what is new, and end where nobody has them any more; so do sets.
//! 3. Where a set came or went, classes are cut anew, and units whose classes changed are counted again.
//! 4. The layout is chosen from the sums over all units; the maps are made anew if it changed.
//! 5. Units that are new, or whose ids changed, make their entries; bindings that have them get new blocks.
//!
//! So the result is that of a full compilation, but for the names of ids, nodes and origins: a full one is the same code,
//! started from nothing.

mod bindings;
mod layouts;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::counters::Counters;
use super::prove::named::Named;
use super::prove::near::Meaning;
use crate::policy::regions::Cause;
use crate::policy::{Binding, Document, Policy};
use crate::tables::arrange::lookups::Order;
use crate::tables::arrange::pieces::Piece;
use crate::tables::base::Fixed;
use crate::tables::naming::layout::{AllSets, Layout, SetNumbers};
use crate::tables::naming::maps::{Maps, Trie};
use crate::tables::naming::sets;
use crate::tables::pages::Pages;
use crate::tables::rules::BlockKey;
use crate::tables::units::origins::{Numbers, Origins};
use crate::tables::units::unit::{UnitKey, Used};
use crate::tables::usage::Table;
use crate::tables::{MatchFields, RuleKey};
use crate::terms::MacAddr;

/// What cutting all units into regions may cost: a second or two.
const MOST_STEPS: u64 = 1 << 30;

/// Entries that are made for a document that may not fit, so that what is missing is said exactly: as many as this, or this
/// many times as the table has. Where there are more, the rest is not made.
const MOST_ENTRIES: u64 = 1 << 15;
const MOST_TIMES: u64 = 4;

/// A policy of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfPolicy {
    /// What it is called while it stays.
    pub name: u32,
    pub numbers: Numbers,
}

/// A binding of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfBinding {
    pub number: u32,
    /// The name of its policy.
    pub policy: u32,
}

/// The local sides of a binding, each with its unit.
#[derive(Debug)]
pub(super) struct Bound {
    pub binding: Arc<Binding>,
    pub locals: Vec<(RuleKey, UnitKey)>,
}

/// What all units together need under one layout.
#[derive(Debug, Clone, Default)]
struct Totals {
    rules: u128,
    /// How many local sides use each combination of match fields.
    combinations: BTreeMap<MatchFields, u32>,
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub order: Order,
    pub policies: Vec<OfPolicy>,
    pub bindings: Vec<OfBinding>,
    next_policy: u32,
    next_number: u32,
    pub bound: Pages<u32, Arc<Bound>>,
    /// Local sides of addresses that nobody bound.
    pub unbound: Arc<Vec<(RuleKey, UnitKey)>>,
    /// MACs with the numbers of their bindings.
    pub macs: Pages<(MacAddr, u32), ()>,
    pub units: Pages<UnitKey, Arc<Used>>,
    /// What cutting all units into regions took.
    pub steps: u64,
    remotes: sets::Used<u32>,
    remote_ports: sets::Used<u16>,
    local_ports: sets::Used<u16>,
    /// The tries of the remote addresses' spaces.
    tries: Arc<Vec<Trie>>,
    layouts: Arc<Vec<Layout>>,
    totals: Vec<Totals>,
    chosen: usize,
    pub needs: Vec<(Table, u64, u64)>,
    pub fixed: Pages<RuleKey, Arc<Fixed>>,
    fixed_fields: BTreeMap<MatchFields, u32>,
    pub maps: Arc<Maps>,
    pub meaning: Arc<Meaning>,
    pub named: Arc<Named>,
    pub counters: Counters,
}

/// What a compilation has to do anew.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Every place has the policy of the name that it had.
    same_names: bool,
    /// Names of policies whose rules are not what they were.
    pub policies: BTreeSet<u32>,
    /// Places of bindings whose blocks are made anew.
    pub bindings: BTreeSet<usize>,
    /// Numbers of bindings that are there no more.
    pub ended: Vec<u32>,
    /// Blocks whose entries of the base are not what they were.
    pub blocks: BTreeSet<BlockKey>,
    /// Units that were touched, as they were before.
    touched: BTreeMap<UnitKey, Option<Arc<Used>>>,
    /// Units whose entries are made anew.
    units: BTreeSet<UnitKey>,
    /// The numbers of their sets, as far as they were looked up.
    numbers: BTreeMap<UnitKey, Vec<SetNumbers>>,
    pub unbound: bool,
}

impl State {
    /// Nothing, with a way to use the order of lookups.
    pub fn under(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// What the origins of an image stand for that is made from this state.
    pub fn origins(&self, document: &Document) -> Origins {
        let policies = self.policies.iter().map(|of| of.numbers);
        Origins::of(document, policies, self.bindings.iter().map(|of| of.number))
    }

    pub fn all_sets(&self) -> AllSets {
        AllSets {
            remotes: self.remotes.sets.clone(),
            remote_ports: self.remote_ports.sets.clone(),
            local_ports: self.local_ports.sets.clone(),
        }
    }

    pub fn layout(&self) -> Option<&Layout> {
        self.layouts.get(self.chosen)
    }

    /// The combinations of match fields in use.
    pub fn combinations(&self) -> BTreeSet<MatchFields> {
        let above = self.totals.get(self.chosen).map(|totals| totals.combinations.keys());
        above.into_iter().flatten().chain(self.fixed_fields.keys()).copied().collect()
    }

    fn end_units(&mut self, work: &Work) {
        for (key, before) in &work.touched {
            let ended = self.units.get(key).is_some_and(|used| used.locals.values().all(|count| *count == 0));
            if ended {
                self.units.remove(key);
            }
            let gone = before
                .as_ref()
                .filter(|before| self.units.get(key).is_none_or(|used| !Arc::ptr_eq(&used.unit, &before.unit)));
            self.steps -= gone.map_or(0, |used| used.unit.steps);
        }
    }

    /// What asks for an entry of a combination, and the policy that it belongs to.
    pub fn rule_naming(&self, fields: MatchFields) -> Option<(Option<&Policy>, Cause)> {
        let (layout, lists) = (self.layout()?, self.all_sets());
        self.units.iter().find_map(|(_, used)| {
            let local = used.locals.keys().find(|local| fields.contains(**local))?;
            let named = |piece: &&Piece| {
                let numbers = lists.numbers(std::slice::from_ref(*piece));
                numbers.first().is_some_and(|numbers| layout.cost(piece, numbers).1 | *local == fields)
            };
            let piece = used.unit.pieces.iter().find(named)?;
            Some((used.unit.policy.as_deref(), *piece.causes.first()?))
        })
    }

    /// Entries of a unit for one local side.
    pub fn entries_of(&self, key: &UnitKey) -> u64 {
        let count = self.units.get(key).and_then(|used| used.counts.get(self.chosen));
        count.map_or(0, |count| count.entries)
    }

    /// The local sides of an address, each with its unit.
    pub fn locals_of<'a>(
        locals: &'a [(RuleKey, UnitKey)],
        ip: IpAddr,
    ) -> impl Iterator<Item = &'a (RuleKey, UnitKey)> + 'a {
        locals.iter().filter(move |(local, _)| local.local_ip == Some(ip))
    }
}

fn count(all: &mut BTreeMap<MatchFields, u32>, fields: MatchFields, by: i64) {
    let count = all.entry(fields).or_default();
    *count = u32::try_from(i64::from(*count) + by).unwrap_or_default();
    if *count == 0 {
        all.remove(&fields);
    }
}
