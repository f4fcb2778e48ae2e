//! The choice of a layout, from what all units need under each.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::kept::{LaidOut, NamedUnit, Naming, UsedSets};
use super::layout::{AllSets, Count, NamedSets, SetNumbers, named_sets};
use super::maps::Trie;
use super::ports::too_many_ports;
use super::sets::{Space, cut_anew};
use crate::policy::Document;
use crate::tables::Target;
use crate::tables::parallel;
use crate::tables::refuse::CompileError;
use crate::tables::units::unit::{Unit, UnitKey, Used};
use crate::tables::units::{UnitChanges, Units};

/// Sets of remote addresses whose classes and trie are worth a thread.
const WORTH_OF_SETS: usize = 1500;

/// What was counted.
#[derive(Default)]
struct Counted {
    /// Units that are new, or whose classes changed.
    anew: BTreeSet<UnitKey>,
    /// The numbers of their sets.
    numbers: BTreeMap<UnitKey, Vec<SetNumbers>>,
}

impl Naming {
    /// Counts what changed under every layout, and chooses one for these units.
    ///
    /// # Errors
    /// If the new units take far more entries of a port-range tree than there are. Whether everything fits is seen in
    /// [`Naming::needs`].
    pub fn lay_out(
        mut self,
        units: &Units,
        changes: &UnitChanges,
        document: &Document,
        target: &Target,
    ) -> Result<LaidOut, CompileError> {
        if let Some(refusal) = too_many_ports(units, changes, document, target) {
            return Err(refusal);
        }
        let before = self.all_sets();
        self.sets.change(units, changes);
        let lists = self.all_sets();
        let same_remotes = !self.layouts.all.is_empty() && Arc::ptr_eq(&lists.remotes, &before.remotes);
        let was = self.layouts.tries.clone();
        let trie = |space: &Arc<Space<u32>>| {
            let before = was.iter().find(|trie| trie.limit == space.limit);
            Trie::of(space, before, &target.sizes, false)
        };
        let (mut tries, mut counted) = (was.clone(), Counted::default());
        // What units need does not depend on tries.
        parallel::join(
            !same_remotes && lists.remotes.all.len() >= WORTH_OF_SETS,
            || {
                if !same_remotes {
                    tries = Arc::new(lists.remotes.spaces.iter().map(trie).collect());
                }
            },
            || counted = self.count(units, changes, &before, u64::from(target.profile.rules)),
        );
        self.layouts.tries = tries;
        self.layouts.choose(units, target);
        if self.layouts.needs.iter().any(|need| need.missing() > 0) {
            // What is missing is said exactly.
            let trie = |space: &Arc<_>| Trie::of(space, None, &target.sizes, true);
            self.layouts.tries = Arc::new(lists.remotes.spaces.iter().map(trie).collect());
            self.layouts.choose(units, target);
        }
        let Counted { anew, numbers } = counted;
        Ok(LaidOut { naming: self, before, anew, numbers })
    }

    /// Counts the units that are new, or whose classes changed, and brings the sums to what the units are.
    fn count(&mut self, units: &Units, changes: &UnitChanges, before: &AllSets, room: u64) -> Counted {
        let lists = self.all_sets();
        let mut anew = changes.fresh.clone();
        // Units whose share of the sums changes, as they were.
        let mut touched: BTreeMap<&UnitKey, Option<&Arc<Used>>> =
            changes.touched.iter().map(|(key, was)| (key, was.as_ref())).collect();
        if self.layouts.take(lists.layouts()) {
            let cut = cut(before, &lists);
            for (key, used) in lists.users_of(units, &cut) {
                touched.entry(key).or_insert(Some(used));
                anew.insert(key.clone());
            }
        } else {
            // Under other layouts the sums begin anew.
            touched = units.used.iter().map(|(key, _)| (key, None)).collect();
            anew.extend(units.used.iter().map(|(key, _)| key.clone()));
        }
        for (key, was) in &touched {
            if let (Some(was), Some(named)) = (was, self.units.get(*key)) {
                self.layouts.add(was, &named.counts, -1);
            }
        }
        let numbers = self.count_anew(&lists, &units.named(&anew), room);
        for key in touched.keys() {
            if let (Some(is), Some(named)) = (units.used.get(*key), self.units.get(*key)) {
                self.layouts.add(is, &named.counts, 1);
            }
        }
        changes.touched.keys().filter(|key| units.used.get(*key).is_none()).for_each(|key| {
            self.units.remove(key);
        });
        Counted { anew, numbers }
    }

    /// Counts units under every layout; returns the numbers of their sets.
    fn count_anew(
        &mut self,
        lists: &AllSets,
        units: &[(&UnitKey, Arc<Unit>)],
        room: u64,
    ) -> BTreeMap<UnitKey, Vec<SetNumbers>> {
        let layouts = self.layouts.all.clone();
        let count = |(): &mut (), (_, unit): &(&UnitKey, Arc<Unit>)| {
            let numbers = lists.numbers(&unit.pieces);
            let counts = layouts.iter().map(|layout| layout.count(&unit.pieces, &numbers, room)).collect();
            (Arc::new(counts), numbers)
        };
        let counted = parallel::map(units, worth(units), || (), count);
        let named = units.iter().zip(counted).map(|((key, _), (counts, numbers))| {
            self.set_counts(key, counts);
            (UnitKey::clone(key), numbers)
        });
        named.collect()
    }

    fn set_counts(&mut self, key: &UnitKey, counts: Arc<Vec<Count>>) {
        match self.units.get_mut(key) {
            Some(named) => Arc::make_mut(named).counts = counts,
            None => {
                self.units.insert(key.clone(), Arc::new(NamedUnit { counts, entries: Arc::default() }));
            }
        }
    }
}

impl UsedSets {
    /// Takes out the sets of units that are there no more, and puts in those of new ones.
    fn change(&mut self, units: &Units, changes: &UnitChanges) {
        let (mut out, mut into) = (Vec::new(), Vec::new());
        for (was, is) in changes.replaced(units) {
            out.extend(was);
            into.extend(is);
        }
        let (out, into) = (sets_of(&out), sets_of(&into));
        let Self { remotes, remote_ports, local_ports } = self;
        parallel::join(
            into.len() >= WORTH_OF_SETS,
            || remotes.change(out.iter().filter_map(|sets| sets.0), into.iter().filter_map(|sets| sets.0)),
            || {
                remote_ports.change(out.iter().filter_map(|sets| sets.1), into.iter().filter_map(|sets| sets.1));
                local_ports.change(out.iter().filter_map(|sets| sets.2), into.iter().filter_map(|sets| sets.2));
            },
        );
    }
}

/// The sets of all pieces of some units.
fn sets_of<'a>(units: &[&'a Arc<Unit>]) -> Vec<NamedSets<'a>> {
    units.iter().flat_map(|unit| unit.pieces.iter().map(named_sets)).collect()
}

/// The sets, by number, whose classes are not what they were.
fn cut(before: &AllSets, lists: &AllSets) -> [HashSet<usize>; 3] {
    [
        cut_anew(&before.remotes, &lists.remotes),
        cut_anew(&before.remote_ports, &lists.remote_ports),
        cut_anew(&before.local_ports, &lists.local_ports),
    ]
}

/// Pieces that are worth a thread.
const WORTH: usize = 1000;

/// How many threads some units are worth.
pub(super) fn worth(units: &[(&UnitKey, Arc<Unit>)]) -> usize {
    units.iter().map(|(_, unit)| unit.pieces.len()).sum::<usize>() / WORTH
}
