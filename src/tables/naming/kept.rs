//! What is kept of the naming, and what it says about units.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entries::UnitEntry;
use super::layout::{AllSets, Count, Layout, SetNumbers};
use super::layouts::Layouts;
use super::maps::{Ids, Maps};
use super::sets;
use crate::policy::Policy;
use crate::policy::regions::Cause;
use crate::tables::MatchFields;
use crate::tables::arrange::pieces::Piece;
use crate::tables::pages::Pages;
use crate::tables::units::Units;
use crate::tables::units::unit::UnitKey;
use crate::tables::usage::Need;

/// The sets that the units in use name, in the three maps.
#[derive(Debug, Clone, Default)]
pub(super) struct UsedSets {
    pub remotes: sets::Used<u32>,
    pub remote_ports: sets::Used<u16>,
    pub local_ports: sets::Used<u16>,
}

/// A unit as the tables have it.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedUnit {
    /// What one local side needs, by the layouts to choose from.
    pub counts: Arc<Vec<Count>>,
    /// The entries of one local side.
    pub entries: Arc<Vec<UnitEntry>>,
}

/// See the room's documentation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Naming {
    pub(super) sets: UsedSets,
    pub(super) layouts: Layouts,
    pub(super) maps: Arc<Maps>,
    pub(super) units: Pages<UnitKey, Arc<NamedUnit>>,
}

/// A naming whose layout is chosen, and whose maps and entries are still those of the document before it.
pub(crate) struct LaidOut {
    pub(super) naming: Naming,
    /// The sets of the document before it.
    pub(super) before: AllSets,
    /// The units whose entries are made anew.
    pub(super) anew: BTreeSet<UnitKey>,
    /// The numbers of their sets, as far as they were looked up.
    pub(super) numbers: BTreeMap<UnitKey, Vec<SetNumbers>>,
}

impl LaidOut {
    pub fn naming(&self) -> &Naming {
        &self.naming
    }
}

impl UsedSets {
    pub fn all(&self) -> AllSets {
        AllSets {
            remotes: self.remotes.sets.clone(),
            remote_ports: self.remote_ports.sets.clone(),
            local_ports: self.local_ports.sets.clone(),
        }
    }
}

impl Naming {
    /// That of a document of which nothing is known but the ids of the points that no set holds.
    pub fn with_rest(rest: Ids) -> Self {
        Self { maps: Arc::new(Maps { rest, ..Maps::default() }), ..Self::default() }
    }

    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    pub fn all_sets(&self) -> AllSets {
        self.sets.all()
    }

    pub fn layout(&self) -> Option<&Layout> {
        self.layouts.chosen()
    }

    /// What the image needs of every table but the counters.
    pub fn needs(&self) -> &[Need] {
        &self.layouts.needs
    }

    /// The combinations of match fields in use.
    pub fn combinations(&self, units: &Units) -> BTreeSet<MatchFields> {
        let above = self.layouts.totals().into_iter().flat_map(|totals| totals.combinations.fields());
        above.chain(units.base.fields()).copied().collect()
    }

    /// The entries of a unit for one local side.
    pub fn entries(&self, key: &UnitKey) -> &[UnitEntry] {
        self.units.get(key).map_or(&[], |named| &named.entries)
    }

    /// How many entries a unit has for one local side.
    pub fn entries_of_one(&self, key: &UnitKey) -> u64 {
        let count = self.units.get(key).and_then(|named| named.counts.get(self.layouts.chosen));
        count.map_or(0, |count| count.entries)
    }

    /// The policy and the cause of an entry of a combination.
    pub fn rule_naming<'u>(&self, units: &'u Units, fields: MatchFields) -> Option<(Option<&'u Policy>, Cause)> {
        let (layout, lists) = (self.layout()?, self.all_sets());
        units.used.iter().find_map(|(_, used)| {
            let local = used.locals.keys().find(|local| fields.contains(**local))?;
            let named = |piece: &&Piece| {
                let numbers = lists.numbers(std::slice::from_ref(*piece));
                numbers.first().is_some_and(|numbers| layout.cost(piece, numbers).1 | *local == fields)
            };
            let piece = used.unit.pieces.iter().find(named)?;
            Some((used.unit.policy.as_deref(), *piece.causes.first()?))
        })
    }
}
