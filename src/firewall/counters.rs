//! Counters: the image numbers them from 0, the adapter gives each of them a pair.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::nic::AdapterError;
use crate::policy::{Image, OriginId};
use crate::tables::{CounterId, CounterValue, RuleKey};

/// What one counter pair has counted, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The counter, as the image numbers it.
    pub counter: CounterId,
    /// The entries that count with it.
    pub entries: Vec<RuleKey>,
    /// Who asked for them, sorted.
    pub origins: Vec<OriginId>,
    /// Since the counter came into use.
    pub total: CounterValue,
    /// Since the reading before.
    pub delta: CounterValue,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    start: CounterValue,
    last: CounterValue,
}

/// The pairs that the adapter gave, and where each use of one began.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// Pair of each number that the image uses.
    pairs: Vec<CounterId>,
    readings: BTreeMap<CounterId, Reading>,
}

impl Meters {
    /// The adapter's pair; `None` if it gave too few.
    pub fn pair(&self, counter: CounterId) -> Option<CounterId> {
        self.pairs.get(counter.0 as usize).copied()
    }

    /// Allocates what the image needs and is missing, and notes where the counters that come into use begin.
    pub fn prepare(&mut self, engine: &mut impl Engine, image: &Image) -> Result<(), AdapterError> {
        let used: BTreeSet<CounterId> = image.rules.values().filter_map(|entry| entry.counter).collect();
        let needed = used.last().map_or(0, |last| last.0 as usize + 1);
        if needed > self.pairs.len() {
            self.pairs.extend(engine.alloc_counters(needed - self.pairs.len())?);
        }
        if needed > self.pairs.len() {
            log::warn!("{needed} counters are wanted, the adapter gave {}: the rest does not count", self.pairs.len());
        }
        self.readings.retain(|counter, _| used.contains(counter));
        let fresh: Vec<CounterId> = used.into_iter().filter(|counter| !self.readings.contains_key(counter)).collect();
        for (counter, start) in self.read(engine, &fresh)? {
            self.readings.insert(counter, Reading { start, last: start });
        }
        Ok(())
    }

    fn read(
        &self,
        engine: &mut impl Engine,
        counters: &[CounterId],
    ) -> Result<Vec<(CounterId, CounterValue)>, AdapterError> {
        let (counters, pairs): (Vec<_>, Vec<_>) = counters.iter().filter_map(|id| Some((*id, self.pair(*id)?))).unzip();
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        Ok(counters.into_iter().zip(engine.read_counters(&pairs)?).collect())
    }

    /// Reads every counter of the image.
    pub fn counts(&mut self, engine: &mut impl Engine, image: &Image) -> Result<Vec<Count>, AdapterError> {
        let mut users = BTreeMap::<CounterId, (Vec<RuleKey>, BTreeSet<OriginId>)>::new();
        for (key, entry) in &image.rules {
            let Some(counter) = entry.counter else { continue };
            let (entries, origins) = users.entry(counter).or_default();
            entries.push(*key);
            origins.extend(entry.rx.origins.iter().chain(&entry.tx.origins));
        }
        let values = self.read(engine, &users.keys().copied().collect::<Vec<_>>())?;
        let count = |(counter, value): (CounterId, CounterValue)| {
            let (entries, origins) = users.remove(&counter)?;
            let reading = self.readings.entry(counter).or_insert(Reading { start: value, last: value });
            let since = |before: CounterValue| CounterValue {
                tx: value.tx.saturating_sub(before.tx),
                rx: value.rx.saturating_sub(before.rx),
            };
            let (total, delta) = (since(reading.start), since(reading.last));
            reading.last = value;
            Some(Count { counter, entries, origins: origins.into_iter().collect(), total, delta })
        };
        Ok(values.into_iter().filter_map(count).collect())
    }
}
