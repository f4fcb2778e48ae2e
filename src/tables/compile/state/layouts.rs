//! The choice of a layout from what all units need under each, and the entries under the chosen one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::bindings::far_too_much;
use super::{MOST_TIMES, State, Totals, Work, count};
use crate::policy::Document;
use crate::policy::regions::classes::few_points;
use crate::tables::naming::entries::of_unit;
use crate::tables::naming::layout::{AllSets, Count, Layout, NamedSets, named_sets};
use crate::tables::naming::maps::{Maps, Trie};
use crate::tables::naming::sets::{MOST_BY_VALUE, Space, cut_anew, named_anew};
use crate::tables::parallel;
use crate::tables::refuse::CompileError;
use crate::tables::units::origins::Numbers;
use crate::tables::units::unit::{Alone, Unit, UnitKey, Used};
use crate::tables::usage::Table;
use crate::tables::{MapError, Target};
use crate::terms::PortSet;

/// Entries of a port-range tree that are counted exactly even where there are far fewer.
const MOST_TREE_ENTRIES: u64 = 4096;

/// Pieces that are worth a thread.
const WORTH: usize = 1000;
/// Sets of remote addresses whose classes and trie are worth one.
const WORTH_OF_SETS: usize = 1500;

/// Ports where a set of them begins or ends, one bit each.
type Ends = Box<[u64; 1 << 10]>;

/// Puts the ends of a set in, if it has too many points to be named by value.
fn add_ends(set: Option<&PortSet>, ends: &mut Ends) {
    for interval in set.filter(|set| few_points(set, MOST_BY_VALUE).is_none()).into_iter().flat_map(PortSet::intervals)
    {
        for port in [Some(interval.first), interval.last.checked_add(1)].into_iter().flatten().filter(|port| *port > 0)
        {
            ends[usize::from(port / 64)] |= 1 << (port % 64);
        }
    }
}

/// Entries of a tree that these ends take.
fn tree_entries(ends: &Ends) -> u64 {
    1 + 2 * ends.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
}

/// Ports of one side, of those that a piece names.
type PortsOf = fn(NamedSets<'_>) -> Option<&PortSet>;

impl State {
    /// The refusal where the ports of the units that are new take far more entries of a port-range tree than there are: what
    /// they take whatever the layout, counted before they are cut into classes.
    pub(super) fn too_many_ports(&self, work: &Work, document: &Document, target: &Target) -> Option<CompileError> {
        let there = u64::from(target.sizes.port_tree_entries);
        let fresh = || work.touched.keys().filter_map(|key| self.units.get(key)).map(|used| &used.unit);
        let of: [(Table, PortsOf); 2] = [(Table::RemotePortTree, |sets| sets.1), (Table::LocalPortTree, |sets| sets.2)];
        let ends_of = |unit: &Unit, ports: PortsOf, ends: &mut Ends| {
            unit.pieces.iter().for_each(|piece| add_ends(ports(named_sets(piece)), ends));
        };
        of.into_iter().find_map(|(table, ports)| {
            let mut all = Ends::new([0; 1 << 10]);
            fresh().for_each(|unit| ends_of(unit, ports, &mut all));
            let needed = tree_entries(&all);
            if needed <= there.saturating_mul(MOST_TIMES).max(MOST_TREE_ENTRIES) {
                return None;
            }
            let takes = |unit: &Unit| {
                let mut own = Ends::new([0; 1 << 10]);
                ends_of(unit, ports, &mut own);
                tree_entries(&own)
            };
            let (used, unit) = fresh().map(|unit| (takes(unit), unit)).max_by_key(|(takes, _)| *takes)?;
            Some(far_too_much(document, (table, needed, there), &[(used, unit.policy.as_ref(), unit)]))
        })
    }

    pub(super) fn change_sets(&mut self, work: &Work) {
        let (mut out, mut into) = (Vec::new(), Vec::new());
        for (key, before) in &work.touched {
            let after = self.units.get(key);
            if before.as_ref().map(|used| Arc::as_ptr(&used.unit)) != after.map(|used| Arc::as_ptr(&used.unit)) {
                out.extend(before.iter().map(|used| used.unit.clone()));
                into.extend(after.iter().map(|used| used.unit.clone()));
            }
        }
        let (out, into) = (sets_of(&out), sets_of(&into));
        let (remotes, remote_ports, local_ports) = (&mut self.remotes, &mut self.remote_ports, &mut self.local_ports);
        parallel::beside(
            into.len() >= WORTH_OF_SETS,
            || remotes.change(out.iter().filter_map(|sets| sets.0), into.iter().filter_map(|sets| sets.0)),
            || {
                remote_ports.change(out.iter().filter_map(|sets| sets.1), into.iter().filter_map(|sets| sets.1));
                local_ports.change(out.iter().filter_map(|sets| sets.2), into.iter().filter_map(|sets| sets.2));
            },
        );
    }

    /// Counts what changed under every layout, and chooses one.
    pub(super) fn lay_out(&mut self, work: &mut Work, before: &AllSets, target: &Target) {
        let lists = self.all_sets();
        let (first, room) = (self.layouts.is_empty(), u64::from(target.profile.rules));
        let same_remotes = !first && Arc::ptr_eq(&lists.remotes, &before.remotes);
        let was = self.tries.clone();
        let mut tries = was.clone();
        let trie = |space: &Arc<Space<u32>>| {
            let before = was.iter().find(|trie| trie.limit == space.limit);
            Trie::of(space, before, &target.sizes, false)
        };
        // What units need does not depend on tries.
        parallel::beside(
            !same_remotes && lists.remotes.all.len() >= WORTH_OF_SETS,
            || {
                if !same_remotes {
                    tries = Arc::new(lists.remotes.spaces.iter().map(trie).collect());
                }
            },
            || {
                if first || !lists.is(before) {
                    self.take_layouts(work, before, &lists);
                }
                self.sum(work, room);
            },
        );
        self.tries = tries;
        self.choose(target);
        if self.needs.iter().any(|(_, needed, there)| needed > there) {
            // What is missing is said exactly.
            let trie = |space: &Arc<_>| Trie::of(space, None, &target.sizes, true);
            self.tries = Arc::new(lists.remotes.spaces.iter().map(trie).collect());
            self.choose(target);
        }
    }

    /// Takes the layouts of other lists of sets, and touches the units that are counted anew.
    fn take_layouts(&mut self, work: &mut Work, before: &AllSets, lists: &AllSets) {
        let layouts = lists.layouts();
        let limits = |layouts: &[Layout]| layouts.iter().map(Layout::limits).collect::<Vec<_>>();
        if limits(&layouts) == limits(&self.layouts) {
            let cut = [
                cut_anew(&before.remotes, &lists.remotes),
                cut_anew(&before.remote_ports, &lists.remote_ports),
                cut_anew(&before.local_ports, &lists.local_ports),
            ];
            self.touch_users(work, lists, &cut);
        } else {
            // Under other layouts the sums begin anew.
            work.touched = self.units.iter().map(|(key, _)| (key.clone(), None)).collect();
            work.units.extend(work.touched.keys().cloned());
            self.totals = vec![Totals::default(); layouts.len()];
        }
        self.layouts = Arc::new(layouts);
    }

    /// Touches the units that have one of these sets.
    fn touch_users(&mut self, work: &mut Work, lists: &AllSets, cut: &[HashSet<usize>; 3]) {
        if cut.iter().all(HashSet::is_empty) {
            return;
        }
        let all = self.units.iter().filter(|(_, used)| lists.has(&used.unit.pieces, cut));
        for (key, used) in all {
            work.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            work.units.insert(key.clone());
        }
    }

    /// Counts the units to be made anew, and brings the sums to what the touched units are.
    fn sum(&mut self, work: &mut Work, room: u64) {
        let (layouts, lists) = (self.layouts.clone(), self.all_sets());
        let units: Vec<(&UnitKey, Arc<Unit>)> = self.units_of(&work.units);
        let count = |(): &mut (), (_, unit): &(&UnitKey, Arc<Unit>)| {
            let numbers = lists.numbers(&unit.pieces);
            let counts = layouts.iter().map(|layout| layout.count(&unit.pieces, &numbers, room)).collect();
            (Arc::new(counts), numbers)
        };
        let counted = parallel::map(&units, worth(&units), || (), count);
        for ((key, _), (counts, numbers)) in units.into_iter().zip(counted) {
            if let Some(used) = self.units.get_mut(key) {
                Arc::make_mut(used).counts = counts;
                work.numbers.insert(key.clone(), numbers);
            }
        }
        for (key, before) in &work.touched {
            let after = self.units.get(key).cloned();
            for (used, sign) in [(before.as_ref(), -1), (after.as_ref(), 1)] {
                let Some(used) = used else { continue };
                for (totals, needs) in self.totals.iter_mut().zip(used.counts.iter()) {
                    totals.add(used, needs, sign);
                }
            }
        }
    }

    /// The units with these names that are there.
    fn units_of<'a>(&self, names: &'a BTreeSet<UnitKey>) -> Vec<(&'a UnitKey, Arc<Unit>)> {
        names.iter().filter_map(|key| Some((key, self.units.get(key)?.unit.clone()))).collect()
    }

    fn choose(&mut self, target: &Target) {
        let fixed = self.fixed.len() as u64;
        let needs = |at: usize| {
            let (layout, totals) = (&self.layouts[at], &self.totals[at]);
            let nodes = self.trie(at).map_or(0, |trie| trie.nodes);
            let rules = u64::try_from(totals.rules).unwrap_or(u64::MAX).saturating_add(fixed);
            let more = self.fixed_fields.keys().filter(|fields| !totals.combinations.contains_key(fields)).count();
            let combinations = (totals.combinations.len() + more) as u64;
            let mut needs = vec![(Table::Rules, rules, u64::from(target.profile.rules))];
            needs.extend(layout.needs(nodes, target));
            needs.push((Table::Combinations, combinations, u64::from(target.profile.combinations)));
            needs
        };
        let rank = |at: usize, needs: &[(Table, u64, u64)]| {
            let missing = needs.iter().map(|(_, needed, there)| needed.saturating_sub(*there));
            let last = needs.last().map_or(0, |(_, needed, _)| *needed);
            let unheard = self.order.unheard(self.totals[at].combinations.keys());
            (unheard, missing.fold(0, u64::saturating_add), needs[0].1, last, self.layouts[at].ids())
        };
        let limits = |map: usize| self.layouts.iter().map(|layout| layout.limits()[map]).collect();
        let offered = [limits(0), limits(1), limits(2)];
        let taken = (0..self.layouts.len()).filter(|at| self.order.way.takes(self.layouts[*at].limits(), &offered));
        let all = taken.map(|at| (at, needs(at)));
        if let Some((chosen, needs)) = all.min_by_key(|(at, needs)| rank(*at, needs)) {
            (self.chosen, self.needs) = (chosen, needs);
        }
    }

    /// The trie of a layout's remote addresses.
    pub(super) fn trie(&self, layout: usize) -> Option<&Trie> {
        self.tries.get(layout / (self.layouts.len() / self.tries.len().max(1)).max(1))
    }

    /// Gives ids to the classes of the layout.
    pub(super) fn name_classes(
        &mut self,
        work: &mut Work,
        before: &AllSets,
        target: &Target,
        previous: Option<(&crate::tables::Image, [Option<u16>; 3])>,
    ) -> Result<(), MapError> {
        let Some(layout) = self.layout().cloned() else { return Ok(()) };
        if self.maps.layout.as_ref().is_some_and(|was| was.is(&layout)) {
            return Ok(());
        }
        let maps = Maps::build(&layout, self.trie(self.chosen), &target.sizes, previous)?;
        if let Some(was) = &self.maps.layout {
            let lists = self.all_sets();
            let named = [
                named_anew(
                    (&before.remotes, &was.subnets),
                    (&lists.remotes, &layout.subnets),
                    [&self.maps.ids[0], &maps.ids[0]],
                ),
                named_anew(
                    (&before.remote_ports, &was.remote_ports),
                    (&lists.remote_ports, &layout.remote_ports),
                    [&self.maps.ids[1], &maps.ids[1]],
                ),
                named_anew(
                    (&before.local_ports, &was.local_ports),
                    (&lists.local_ports, &layout.local_ports),
                    [&self.maps.ids[2], &maps.ids[2]],
                ),
            ];
            if named.iter().any(|sets| !sets.is_empty()) {
                let users = self.units.iter().filter(|(_, used)| lists.has(&used.unit.pieces, &named));
                work.units.extend(users.map(|(key, _)| key.clone()));
            }
        }
        self.maps = Arc::new(maps);
        Ok(())
    }

    pub(super) fn make_entries(&mut self, work: &mut Work, document: &Document) {
        let Some(layout) = self.layout().cloned() else { return };
        let lists = self.all_sets();
        let names: BTreeSet<u32> = work.units.iter().map(|(name, _)| *name).collect();
        let named = self.policies.iter().filter(|policy| names.contains(&policy.name));
        let numbers: BTreeMap<u32, Numbers> = named.map(|policy| (policy.name, policy.numbers)).collect();
        let (units, maps) = (self.units_of(&work.units), self.maps.clone());
        let make = |alone: &mut Alone, (key, unit): &(&UnitKey, Arc<Unit>)| {
            let numbers = numbers.get(&key.0).copied().unwrap_or(Numbers { first: 0, room: 0 });
            let document = alone.with(unit.policy.as_ref());
            let looked_up;
            let sets = match work.numbers.get(*key) {
                Some(sets) => sets,
                None => {
                    looked_up = lists.numbers(&unit.pieces);
                    &looked_up
                }
            };
            let tails = layout.tails(&unit.pieces, sets);
            Arc::new(of_unit(document, numbers, unit, &tails, &maps.ids))
        };
        let made = parallel::map(&units, worth(&units), || Alone::of(document), make);
        for ((key, _), entries) in units.into_iter().zip(made) {
            if let Some(used) = self.units.get_mut(key) {
                Arc::make_mut(used).entries = entries;
            }
        }
        for (at, of) in self.bindings.iter().enumerate().filter(|(_, of)| names.contains(&of.policy)) {
            let bound = self.bound.get(&of.number);
            if bound.is_some_and(|bound| bound.locals.iter().any(|(_, key)| work.units.contains(key))) {
                work.bindings.insert(at);
            }
        }
        work.unbound |= self.unbound.iter().any(|(_, key)| work.units.contains(key));
    }
}

impl Totals {
    fn add(&mut self, used: &Used, needs: &Count, sign: i64) {
        for (local, users) in &used.locals {
            let entries = u128::from(needs.entries) * u128::from(*users);
            self.rules = if sign > 0 { self.rules + entries } else { self.rules - entries };
            for tail in &needs.fields {
                count(&mut self.combinations, *tail | *local, sign * i64::from(*users));
            }
        }
    }
}

/// How many threads some units are worth.
fn worth(units: &[(&UnitKey, Arc<Unit>)]) -> usize {
    units.iter().map(|(_, unit)| unit.pieces.len()).sum::<usize>() / WORTH
}

/// The sets of all pieces of some units.
fn sets_of(units: &[Arc<Unit>]) -> Vec<NamedSets<'_>> {
    units.iter().flat_map(|unit| unit.pieces.iter().map(named_sets)).collect()
}
