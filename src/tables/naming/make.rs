//! The maps and the entries under the chosen layout.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::choice::worth;
use super::entries::of_unit;
use super::kept::{LaidOut, Naming};
use super::layout::{AllSets, Layout};
use super::maps::{Maps, PreviousIds};
use super::sets::{Cut, named_anew};
use crate::policy::Document;
use crate::tables::units::Units;
use crate::tables::units::origins::Numbers;
use crate::tables::units::unit::{OnePolicyDocument, Unit, UnitKey};
use crate::tables::{MapError, Target, parallel};

impl LaidOut {
    /// Gives ids to the classes of the layout, and makes the entries; returns the units whose entries were made.
    ///
    /// # Errors
    /// If the classes do not fit into the maps.
    pub fn name(
        mut self,
        units: &Units,
        document: &Document,
        target: &Target,
        previous: Option<&PreviousIds<'_>>,
    ) -> Result<(Naming, BTreeSet<UnitKey>), MapError> {
        let Some(layout) = self.naming.layout().cloned() else { return Ok((self.naming, self.anew)) };
        if !self.naming.maps.layout.as_ref().is_some_and(|was| was.is(&layout)) {
            let maps = Maps::build(&layout, self.naming.layouts.chosen_trie(), &target.sizes, previous)?;
            let lists = self.naming.all_sets();
            if let Some(was) = &self.naming.maps.layout {
                let old = Named { lists: &self.before, layout: was, maps: &self.naming.maps };
                let renamed = old.changes(&Named { lists: &lists, layout: &layout, maps: &maps });
                self.anew.extend(lists.users_of(units, &renamed).map(|(key, _)| key.clone()));
            }
            self.naming.maps = Arc::new(maps);
        }
        self.make_entries(&layout, units, document);
        Ok((self.naming, self.anew))
    }

    fn make_entries(&mut self, layout: &Layout, units: &Units, document: &Document) {
        let lists = self.naming.all_sets();
        let names: BTreeSet<u32> = self.anew.iter().map(|(name, _)| *name).collect();
        let named = units.policies.iter().filter(|policy| names.contains(&policy.name));
        let numbers: BTreeMap<u32, Numbers> = named.map(|policy| (policy.name, policy.numbers)).collect();
        let (all, maps) = (units.named(&self.anew), self.naming.maps.clone());
        let make = |one_policy: &mut OnePolicyDocument, (key, unit): &(&UnitKey, Arc<Unit>)| {
            let numbers = numbers.get(&key.0).copied().unwrap_or(Numbers { first: 0, room: 0 });
            let document = one_policy.with(unit.policy.as_ref());
            let looked_up;
            let sets = match self.numbers.get(*key) {
                Some(sets) => sets,
                None => {
                    looked_up = lists.numbers(&unit.pieces);
                    &looked_up
                }
            };
            let tails = layout.tails(&unit.pieces, sets);
            Arc::new(of_unit(document, numbers, unit, &tails, &maps.ids))
        };
        let made = parallel::map(&all, worth(&all), || OnePolicyDocument::of(document), make);
        for ((key, _), entries) in all.into_iter().zip(made) {
            if let Some(named) = self.naming.units.get_mut(key) {
                Arc::make_mut(named).entries = entries;
            }
        }
    }
}

/// The classes of a layout with their ids.
struct Named<'a> {
    lists: &'a AllSets,
    layout: &'a Layout,
    maps: &'a Maps,
}

impl Named<'_> {
    /// The sets, by their numbers there, whose ids are not what they were.
    fn changes(&self, there: &Named<'_>) -> [HashSet<usize>; 3] {
        let [a, b] = [self, there];
        [
            named_anew(
                &Cut { sets: &a.lists.remotes, space: &a.layout.subnets, ids: &a.maps.ids[0] },
                &Cut { sets: &b.lists.remotes, space: &b.layout.subnets, ids: &b.maps.ids[0] },
            ),
            named_anew(
                &Cut { sets: &a.lists.remote_ports, space: &a.layout.remote_ports, ids: &a.maps.ids[1] },
                &Cut { sets: &b.lists.remote_ports, space: &b.layout.remote_ports, ids: &b.maps.ids[1] },
            ),
            named_anew(
                &Cut { sets: &a.lists.local_ports, space: &a.layout.local_ports, ids: &a.maps.ids[2] },
                &Cut { sets: &b.lists.local_ports, space: &b.layout.local_ports, ids: &b.maps.ids[2] },
            ),
        ]
    }
}
