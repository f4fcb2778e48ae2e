//! The rule table: entries by key, and the combinations of match fields in the order in which they are looked up.

use std::collections::HashMap;

use nicfw::tables::{Action, Assumption, CounterId, Direction, EngineProfile, LookupOrder, MatchFields, RuleKey};

use super::Refused;
use super::hash::Fnv;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it does to received frames.
    pub rx: Action,
    /// What it does to transmitted frames.
    pub tx: Action,
    /// Its counter pair.
    pub counter: Option<CounterId>,
    /// Number of the function that wrote it last.
    pub writer: usize,
}

impl Entry {
    pub(super) fn action(&self, direction: Direction) -> Action {
        match direction {
            Direction::Rx => self.rx,
            Direction::Tx => self.tx,
        }
    }
}

/// The table.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleTable {
    entries: HashMap<RuleKey, Entry>,
    /// Combinations in use, in lookup order, each with its number of entries.
    combinations: Vec<(Rank, MatchFields, u32)>,
    /// Entries in each hash bucket, where the probe limit is modelled.
    buckets: HashMap<u64, u32>,
}

/// Where a combination stands in the lookup order: smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The opposite of assumption A1: base entries before all others.
    BaseFirst(u64),
    Above(u64),
    Base(u64),
    Never,
}

/// How the hash behind the table gives up: at most so many entries in one bucket of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeLimit {
    /// Number of buckets.
    pub buckets: u64,
    /// Entries that one bucket takes.
    pub depth: u32,
}

/// What limits the table and orders its lookups.
pub(super) struct Rules<'a> {
    pub profile: &'a EngineProfile,
    pub probe: Option<ProbeLimit>,
    pub seed: u64,
}

impl Rules<'_> {
    fn rank(&self, fields: MatchFields) -> Rank {
        let shuffled = Fnv::new().u64(self.seed).u64(fields.bits().into()).finish();
        let base = MatchFields::BASE.contains(fields);
        if base && !self.profile.holds(Assumption::BaseRanksLowest) {
            return Rank::BaseFirst(shuffled);
        }
        match &self.profile.order {
            LookupOrder::Unordered if base => Rank::Base(shuffled),
            LookupOrder::Unordered => Rank::Above(shuffled),
            LookupOrder::Ranked(list) => match list.iter().position(|ranked| *ranked == fields) {
                Some(at) => Rank::Above(at.try_into().unwrap_or(u64::MAX)),
                None if base => Rank::Base(shuffled),
                None => Rank::Never,
            },
        }
    }

    fn bucket(&self, probe: ProbeLimit, key: &RuleKey) -> u64 {
        use std::hash::Hash;
        let mut hash = Fnv::new().u64(self.seed);
        key.hash(&mut hash);
        hash.finish() % probe.buckets.max(1)
    }

    fn capacity(&self) -> usize {
        let all = usize::try_from(self.profile.rules).unwrap_or(usize::MAX);
        if self.profile.holds(Assumption::TableSizes) { all } else { all / 2 }
    }
}

impl RuleTable {
    pub fn get(&self, key: &RuleKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&RuleKey, &Entry)> {
        self.entries.iter()
    }

    /// Writes the entry of a key; an entry without an action is freed.
    pub fn set(&mut self, rules: &Rules<'_>, key: RuleKey, entry: Entry) -> Result<(), Refused> {
        let known = self.entries.contains_key(&key);
        if entry.rx == Action::None && entry.tx == Action::None {
            self.free(rules, &key);
            return Ok(());
        }
        if known && !rules.profile.holds(Assumption::SetReplaces) {
            return Err(Refused::Exists);
        }
        if !known {
            self.make_room(rules, &key)?;
        }
        self.entries.insert(key, entry);
        Ok(())
    }

    fn make_room(&mut self, rules: &Rules<'_>, key: &RuleKey) -> Result<(), Refused> {
        let fields = key.fields();
        let at = self.combinations.iter().position(|(_, used, _)| *used == fields);
        let most = usize::try_from(rules.profile.combinations).unwrap_or(usize::MAX);
        if self.entries.len() >= rules.capacity() || (at.is_none() && self.combinations.len() >= most) {
            return Err(Refused::Full);
        }
        if let Some(probe) = rules.probe {
            let used = self.buckets.entry(rules.bucket(probe, key)).or_default();
            if *used >= probe.depth {
                return Err(Refused::Full);
            }
            *used += 1;
        }
        match at.and_then(|at| self.combinations.get_mut(at)) {
            Some((_, _, count)) => *count += 1,
            None => {
                let rank = rules.rank(fields);
                let at = self.combinations.partition_point(|(other, _, _)| *other < rank);
                self.combinations.insert(at, (rank, fields, 1));
            }
        }
        Ok(())
    }

    fn free(&mut self, rules: &Rules<'_>, key: &RuleKey) {
        if self.entries.remove(key).is_none() {
            return;
        }
        let fields = key.fields();
        for (_, used, count) in &mut self.combinations {
            if *used == fields {
                *count -= 1;
            }
        }
        self.combinations.retain(|(_, _, count)| *count > 0);
        if let Some(probe) = rules.probe
            && let Some(used) = self.buckets.get_mut(&rules.bucket(probe, key))
        {
            *used = used.saturating_sub(1);
        }
    }

    /// Drops the entries that `keep` refuses.
    pub fn retain(&mut self, rules: &Rules<'_>, keep: impl Fn(&RuleKey, &Entry) -> bool) {
        let gone: Vec<RuleKey> = self.iter().filter(|(key, entry)| !keep(key, entry)).map(|(key, _)| *key).collect();
        for key in gone {
            self.free(rules, &key);
        }
    }

    /// The first entry with a verdict for a frame, in lookup order. `view` names every field that the frame shows.
    pub fn decide(&self, rules: &Rules<'_>, view: &RuleKey, direction: Direction) -> Option<(RuleKey, Entry)> {
        let none_is_absent = rules.profile.holds(Assumption::NoneIsAbsent);
        let miss_goes_on = rules.profile.holds(Assumption::MissGoesOn);
        for (rank, fields, _) in &self.combinations {
            if *rank == Rank::Never {
                break;
            }
            let hit = mask(view, *fields).and_then(|key| Some((key, *self.entries.get(&key)?)));
            match hit {
                Some((key, entry)) if entry.action(direction).verdict().is_some() => return Some((key, entry)),
                Some(_) if !none_is_absent => return None,
                None if !miss_goes_on => return None,
                _ => {}
            }
        }
        None
    }
}

/// The named fields of a view, or nothing if it lacks one of them.
fn mask(view: &RuleKey, fields: MatchFields) -> Option<RuleKey> {
    use MatchFields as F;
    fn take<T>(fields: F, field: F, value: Option<T>) -> Option<Option<T>> {
        if fields.contains(field) { value.map(Some) } else { Some(None) }
    }
    Some(RuleKey {
        local_ip: take(fields, F::LOCAL_IP, view.local_ip)?,
        local_mac: take(fields, F::LOCAL_MAC, view.local_mac)?,
        physical_port: take(fields, F::PHYSICAL_PORT, view.physical_port)?,
        outer_vlan: take(fields, F::OUTER_VLAN, view.outer_vlan)?,
        inner_vlan: take(fields, F::INNER_VLAN, view.inner_vlan)?,
        ether_type: take(fields, F::ETHER_TYPE, view.ether_type)?,
        ip_proto: take(fields, F::IP_PROTO, view.ip_proto)?,
        remote_ip: take(fields, F::REMOTE_IP, view.remote_ip)?,
        remote_mac: take(fields, F::REMOTE_MAC, view.remote_mac)?,
        remote_subnet: take(fields, F::REMOTE_SUBNET_ID, view.remote_subnet)?,
        remote_port: take(fields, F::REMOTE_PORT, view.remote_port)?,
        remote_portrange: take(fields, F::REMOTE_PORTRANGE_ID, view.remote_portrange)?,
        local_port: take(fields, F::LOCAL_PORT, view.local_port)?,
        local_portrange: take(fields, F::LOCAL_PORTRANGE_ID, view.local_portrange)?,
    })
}
