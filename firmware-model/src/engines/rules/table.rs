//! The rule table: entries by key, and the combinations of match fields in the order in which they are looked up.
//!
//! An entry is found by the row of its key: one index for all combinations, as the places of fields that a key does not name
//! are zero in its row. So a lookup in a combination is one of the frame's row, masked.

use std::collections::HashMap;

use nicfw::tables::{Action, Assumption, CounterId, Entry, LookupOrder, MatchFields, RuleKey};
use nicfw::terms::{Direction, Verdict};

use super::config::{EngineConfig, ProbeLimit};
use super::entry::EntryId;
use super::hash::Fnv;
use super::index::{Hit, Index};
use super::refused::Refused;
use super::row::{Field, Row};
use super::values::{Candidates, Values};

/// Entries that the model takes, however large the profile's table: then neither numbers nor port classes run out, even where
/// each entry names values of its own and as many old ones are not cleaned up yet.
pub const MOST_ENTRIES: usize = 16_000;
/// Combinations that the model takes: one bit each.
pub const MOST_COMBINATIONS: usize = 64;

/// Where a combination stands in the lookup order: smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The opposite of assumption A1: base entries before all others.
    BaseFirst(u64),
    Above(u64),
    Base(u64),
    Never,
}

/// A combination in use.
#[derive(Debug, Clone, Copy)]
struct Combination {
    rank: Rank,
    fields: MatchFields,
    mask: Row,
    entries: u32,
}

/// Where a combination stands, by what is assumed.
fn rank(config: &EngineConfig, fields: MatchFields) -> Rank {
    let shuffled = Fnv::new().u64(config.seed).u64(fields.bits().into()).finish();
    let base = MatchFields::BASE.contains(fields);
    if base && !config.holds(Assumption::BaseRanksLowest) {
        return Rank::BaseFirst(shuffled);
    }
    match &config.profile.order {
        LookupOrder::Unordered if base => Rank::Base(shuffled),
        LookupOrder::Unordered => Rank::Above(shuffled),
        LookupOrder::Ranked(list) => match list.iter().position(|ranked| *ranked == fields) {
            Some(at) => Rank::Above(at.try_into().unwrap_or(u64::MAX)),
            None if base => Rank::Base(shuffled),
            None => Rank::Never,
        },
    }
}

/// The hash bucket of a key.
fn bucket(config: &EngineConfig, probe: ProbeLimit, key: &RuleKey) -> u64 {
    use std::hash::Hash;
    let mut hash = Fnv::new().u64(config.seed);
    key.hash(&mut hash);
    hash.finish() % probe.buckets.max(1)
}

/// Entries that the table takes.
fn capacity(config: &EngineConfig) -> usize {
    let all = usize::try_from(config.profile.rules).unwrap_or(usize::MAX);
    let all = if config.holds(Assumption::TableSizes) { all } else { all / 2 };
    all.min(MOST_ENTRIES)
}

/// Combinations that the table takes.
fn combinations(config: &EngineConfig) -> usize {
    usize::try_from(config.profile.combinations).unwrap_or(usize::MAX).min(MOST_COMBINATIONS)
}

/// How lookups go on: assumptions A9 and A10.
#[derive(Debug, Clone, Copy)]
pub(in crate::engines) struct Walk {
    pub none_is_absent: bool,
    pub miss_goes_on: bool,
}

/// An entry as it was written.
#[derive(Debug, Clone, Copy)]
struct Stored {
    key: RuleKey,
    entry: Entry,
    /// Number of the function that wrote it last.
    writer: usize,
}

/// An entry of a combination that is looked up.
pub(in crate::engines) struct LookedUp<'a> {
    pub key: &'a RuleKey,
    pub row: &'a Row,
    pub hit: &'a Hit,
    pub id: EntryId,
    /// Place of its combination in the lookup order.
    pub combination: u8,
}

/// The table.
#[derive(Debug, Clone)]
pub(in crate::engines) struct RuleTable {
    values: Values,
    /// Entries, by [`EntryId`]; their rows are in the index.
    stored: Vec<Stored>,
    index: Index,
    /// In lookup order.
    combinations: Vec<Combination>,
    /// Entries in each hash bucket, where the probe limit is modelled.
    buckets: HashMap<u64, u32>,
    /// Entries freed since the values were last cleaned up.
    freed: usize,
    /// What [`Values`] knows of combinations is older than the entries.
    stale: bool,
}

impl Default for RuleTable {
    fn default() -> Self {
        Self {
            values: Values::new(),
            stored: Vec::new(),
            index: Index::new(),
            combinations: Vec::new(),
            buckets: HashMap::new(),
            freed: 0,
            stale: false,
        }
    }
}

impl RuleTable {
    pub fn get(&self, key: &RuleKey) -> Option<&Entry> {
        self.entry(self.find(key)?).map(|(_, entry)| entry)
    }

    fn find(&self, key: &RuleKey) -> Option<EntryId> {
        self.index.find(&self.values.row(key)?)
    }

    /// Counts the entries of each hash bucket anew, after a change of the limits.
    pub fn recount(&mut self, config: &EngineConfig) {
        self.buckets.clear();
        let Some(probe) = config.probe_limit else { return };
        let buckets: Vec<u64> = self.iter().map(|(key, _)| bucket(config, probe, key)).collect();
        buckets.into_iter().for_each(|bucket| *self.buckets.entry(bucket).or_default() += 1);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&RuleKey, &Entry)> {
        self.stored.iter().map(|stored| (&stored.key, &stored.entry))
    }

    /// An entry by the name that a lookup gave it.
    #[inline]
    pub fn entry(&self, id: EntryId) -> Option<(&RuleKey, &Entry)> {
        self.stored.get(id.place()).map(|stored| (&stored.key, &stored.entry))
    }

    /// The values that entries name.
    #[inline]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Every field that a combination looks at.
    pub fn fields(&self) -> MatchFields {
        self.combinations.iter().fold(MatchFields::empty(), |all, combination| all | combination.fields)
    }

    /// Every combination that is looked up.
    pub fn candidates(&self) -> Candidates {
        self.looked_up(|_| true)
    }

    fn looked_up(&self, which: impl Fn(&Combination) -> bool) -> Candidates {
        let places = self.combinations.iter().enumerate();
        let bits = places.filter(|(_, other)| other.rank != Rank::Never && which(other)).map(|(place, _)| 1 << place);
        bits.fold(0, |all, bit: Candidates| all | bit)
    }

    /// The combinations that are looked up, by their place in the lookup order.
    pub fn looked_up_fields(&self) -> impl Iterator<Item = (u8, MatchFields)> {
        let places = (0..).zip(&self.combinations).filter(|(_, combination)| combination.rank != Rank::Never);
        places.map(|(place, combination)| (place, combination.fields))
    }

    /// The entries that are looked up.
    pub fn looked_up_entries(&self) -> impl Iterator<Item = LookedUp<'_>> {
        let combinations: Vec<(u8, MatchFields)> = self.looked_up_fields().collect();
        let rows = self.index.rows().iter().zip(self.index.hits());
        self.stored.iter().zip(rows).zip(0..).filter_map(move |((Stored { key, .. }, (row, hit)), id)| {
            let fields = key.fields();
            let combination = combinations.iter().find(|(_, looked_up)| *looked_up == fields)?.0;
            Some(LookedUp { key, row, hit, id: EntryId::at(id), combination })
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Writes the entry of a key; an entry without an action is freed.
    pub fn set(&mut self, config: &EngineConfig, key: RuleKey, entry: Entry, writer: usize) -> Result<(), Refused> {
        let known = self.find(&key);
        if entry.rx == Action::None && entry.tx == Action::None {
            if let Some(id) = known {
                self.free(config, id);
            }
            return Ok(());
        }
        if let Some((id, stored)) = known.and_then(|id| Some((id, self.stored.get_mut(id.place())?))) {
            if !config.holds(Assumption::SetReplaces) {
                return Err(Refused::Exists);
            }
            (stored.entry, stored.writer) = (entry, writer);
            self.index.set(id, Hit::of(&entry));
            self.stale = true;
            return Ok(());
        }
        self.make_room(config, &key)?;
        self.insert(Stored { key, entry, writer })
    }

    fn make_room(&mut self, config: &EngineConfig, key: &RuleKey) -> Result<(), Refused> {
        let fields = key.fields();
        let at = self.combinations.iter().position(|combination| combination.fields == fields);
        if self.stored.len() >= capacity(config) || (at.is_none() && self.combinations.len() >= combinations(config)) {
            return Err(Refused::Full);
        }
        if let Some(probe) = config.probe_limit {
            let used = self.buckets.entry(bucket(config, probe, key)).or_default();
            if *used >= probe.depth {
                return Err(Refused::Full);
            }
            *used += 1;
        }
        match at.and_then(|at| self.combinations.get_mut(at)) {
            Some(combination) => combination.entries += 1,
            None => {
                let rank = rank(config, fields);
                let at = self.combinations.partition_point(|other| other.rank < rank);
                let mask = Row::mask(fields);
                self.combinations.insert(at, Combination { rank, fields, mask, entries: 1 });
            }
        }
        Ok(())
    }

    fn insert(&mut self, stored: Stored) -> Result<(), Refused> {
        if self.freed > self.stored.len() {
            self.clean_up();
        }
        let row = self.values.number(&stored.key).ok_or(Refused::Full)?;
        self.index.push(row, Hit::of(&stored.entry));
        self.stored.push(stored);
        self.stale = true;
        Ok(())
    }

    /// Numbers anew the values that entries name.
    fn clean_up(&mut self) {
        let mut values = self.values.emptied();
        self.index.replace_rows(self.stored.iter().map(|stored| values.number(&stored.key).unwrap_or_default()));
        self.values = values;
        self.freed = 0;
        self.stale = true;
    }

    fn free(&mut self, config: &EngineConfig, id: EntryId) {
        let Some(Stored { key, .. }) = self.stored.get(id.place()).copied() else { return };
        self.index.swap_remove(id);
        self.stored.swap_remove(id.place());
        let fields = key.fields();
        for combination in &mut self.combinations {
            if combination.fields == fields {
                combination.entries -= 1;
            }
        }
        self.combinations.retain(|combination| combination.entries > 0);
        if let Some(probe) = config.probe_limit
            && let Some(used) = self.buckets.get_mut(&bucket(config, probe, &key))
        {
            *used = used.saturating_sub(1);
        }
        self.freed += 1;
        self.stale = true;
    }

    /// Drops the entries that `keep` refuses, by their key and by the number of the function that wrote them last.
    pub fn retain(&mut self, config: &EngineConfig, keep: impl Fn(&RuleKey, usize) -> bool) {
        let gone = self.stored.iter().filter(|stored| !keep(&stored.key, stored.writer));
        let gone: Vec<RuleKey> = gone.map(|stored| stored.key).collect();
        for key in gone {
            if let Some(id) = self.find(&key) {
                self.free(config, id);
            }
        }
    }

    /// Learns which combinations can decide about which values. True if anything has changed since it was called last.
    pub fn learn(&mut self) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        let blind = Field::ALL.map(|field| self.looked_up(|combination| !combination.fields.contains(field.bit())));
        self.values.forget(|field| blind.get(field as usize).copied().unwrap_or_default());
        for (stored, row) in self.stored.iter().zip(self.index.rows()) {
            let fields = stored.key.fields();
            self.values.learn(row, self.looked_up(|combination| combination.fields == fields));
        }
        true
    }

    /// The first entry with a verdict for a frame, in lookup order. `row` has the numbers of all that the frame shows, and
    /// `candidates` are the combinations that know all of them.
    #[inline]
    pub fn decide(
        &self,
        row: &Row,
        mut candidates: Candidates,
        direction: Direction,
        walk: Walk,
    ) -> Option<(EntryId, Verdict, CounterId)> {
        if !walk.miss_goes_on {
            // The first combination that is no candidate is a miss.
            candidates &= !candidates.wrapping_add(1);
        }
        while let Some(combination) = self.combinations.get(candidates.trailing_zeros() as usize) {
            let id = self.index.find(&row.only(&combination.mask));
            match id.and_then(|id| Some((id, self.index.hit(id)?))) {
                Some((id, hit)) => match hit.verdict(direction) {
                    Some(verdict) => return Some((id, verdict, hit.counter)),
                    None if !walk.none_is_absent => return None,
                    None => {}
                },
                None if !walk.miss_goes_on => return None,
                None => {}
            }
            candidates &= candidates - 1;
        }
        None
    }
}
