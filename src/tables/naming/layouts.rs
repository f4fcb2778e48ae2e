//! The layouts to choose from, with what all units together need under each.

use std::sync::Arc;

use super::layout::{Count, Layout};
use super::maps::Trie;
use crate::tables::Target;
use crate::tables::base::FieldCounts;
use crate::tables::units::Units;
use crate::tables::units::unit::Used;
use crate::tables::usage::{Need, Table};

/// What all units together need under one layout.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    rules: u128,
    /// How many local sides use each combination of match fields.
    pub combinations: FieldCounts,
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(super) struct Layouts {
    pub all: Arc<Vec<Layout>>,
    /// The tries of the remote addresses' spaces.
    pub tries: Arc<Vec<Trie>>,
    totals: Vec<Totals>,
    pub chosen: usize,
    /// What the chosen one needs, the rules first and the combinations last.
    pub needs: Vec<Need>,
}

impl Layouts {
    pub fn chosen(&self) -> Option<&Layout> {
        self.all.get(self.chosen)
    }

    /// What all units need under the chosen one.
    pub fn totals(&self) -> Option<&Totals> {
        self.totals.get(self.chosen)
    }

    /// Takes others. False where they differ in what is named by value: then the sums begin anew.
    pub fn take(&mut self, layouts: Vec<Layout>) -> bool {
        let same = layouts.iter().map(Layout::limits).eq(self.all.iter().map(Layout::limits));
        if !same {
            self.totals = vec![Totals::default(); layouts.len()];
        }
        self.all = Arc::new(layouts);
        same
    }

    /// Adds what the local sides of a unit need to the sums, or takes it away.
    pub fn add(&mut self, used: &Used, counts: &[Count], sign: i64) {
        for (totals, needs) in self.totals.iter_mut().zip(counts) {
            totals.add(used, needs, sign);
        }
    }

    pub fn choose(&mut self, units: &Units, target: &Target) {
        let (base, order) = (&units.base, &units.order);
        let needs = |at: usize| {
            let (layout, totals) = (&self.all[at], &self.totals[at]);
            let nodes = self.trie(at).map_or(0, |trie| trie.nodes);
            let needed = u64::try_from(totals.rules).unwrap_or(u64::MAX).saturating_add(base.len() as u64);
            let mut needs = vec![Need { table: Table::Rules, needed, available: target.profile.rules.into() }];
            needs.extend(layout.needs(nodes, target));
            let more = base.fields().filter(|fields| !totals.combinations.contains(**fields)).count();
            let needed = (totals.combinations.fields().len() + more) as u64;
            let available = target.profile.combinations.into();
            needs.push(Need { table: Table::Combinations, needed, available });
            needs
        };
        let rank = |at: usize, needs: &[Need]| {
            let missing = needs.iter().map(|need| need.missing()).fold(0, u64::saturating_add);
            let [first, last] = [needs.first(), needs.last()].map(|need| need.map_or(0, |need| need.needed));
            let not_looked_up = order.count_not_looked_up(self.totals[at].combinations.fields());
            (not_looked_up, missing, first, last, self.all[at].ids())
        };
        let limits = |map: usize| self.all.iter().map(|layout| layout.limits()[map]).collect();
        let offered = [limits(0), limits(1), limits(2)];
        let taken = (0..self.all.len()).filter(|at| order.strategy.takes(self.all[*at].limits(), &offered));
        let all = taken.map(|at| (at, needs(at)));
        if let Some((chosen, needs)) = all.min_by_key(|(at, needs)| rank(*at, needs)) {
            (self.chosen, self.needs) = (chosen, needs);
        }
    }

    /// The trie of the chosen layout's remote addresses.
    pub fn chosen_trie(&self) -> Option<&Trie> {
        self.trie(self.chosen)
    }

    fn trie(&self, layout: usize) -> Option<&Trie> {
        self.tries.get(layout / (self.all.len() / self.tries.len().max(1)).max(1))
    }
}

impl Totals {
    fn add(&mut self, used: &Used, needs: &Count, sign: i64) {
        for (local, users) in &used.locals {
            let entries = u128::from(needs.entries) * u128::from(*users);
            self.rules = if sign > 0 { self.rules + entries } else { self.rules - entries };
            for tail in &needs.fields {
                self.combinations.add(*tail | *local, sign * i64::from(*users));
            }
        }
    }
}
