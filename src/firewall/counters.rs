//! Counters: the image numbers them from 0, the adapter gives each of them a pair.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Engine;
use crate::adapter::AdapterError;
use crate::error::AdapterState;
use crate::tables::{CounterId, CounterValue, Image, OriginId, RuleKey};

/// What one counter pair has counted, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

/// What one counter has counted: `last - start` with the pair that it has, `earlier` with those that it had.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    earlier: CounterValue,
    /// `None` until the pair that it has was read.
    current: Option<(CounterValue, CounterValue)>,
}

impl Reading {
    fn starting_at(self, value: CounterValue) -> Self {
        Self { current: Some((value, value)), ..self }
    }

    fn total(&self) -> CounterValue {
        let (start, last) = self.current.unwrap_or_default();
        let since = difference(last, start);
        CounterValue { tx: self.earlier.tx.saturating_add(since.tx), rx: self.earlier.rx.saturating_add(since.rx) }
    }
}

fn difference(now: CounterValue, before: CounterValue) -> CounterValue {
    CounterValue { tx: now.tx.saturating_sub(before.tx), rx: now.rx.saturating_sub(before.rx) }
}

/// The pairs that the adapter gave, and where each use of one began.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// Pair of each number that the image uses.
    pairs: Vec<CounterId>,
    readings: BTreeMap<CounterId, Reading>,
    /// What the pairs had counted at the last audit, and when that was.
    audited: Option<(Duration, Vec<CounterValue>)>,
}

/// More frames than an adapter passes in a second: two ports of 100 Gbit/s, frames of 64 bytes.
const FRAMES_PER_SECOND: u64 = 300_000_000;

impl Meters {
    /// Pairs that an earlier process allocated, by the numbers of the image. Totals begin anew.
    pub fn resume(counters: &[(CounterId, CounterId)]) -> Self {
        let dense = counters.iter().enumerate().take_while(|(at, (image, _))| image.0 as usize == *at);
        Self { pairs: dense.map(|(_, (_, pair))| *pair).collect(), ..Self::default() }
    }

    /// The pairs, by the numbers of the image.
    pub fn pairs(&self) -> Vec<(CounterId, CounterId)> {
        (0..).map(CounterId).zip(self.pairs.iter().copied()).collect()
    }

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
        let runs = |counter: &CounterId| self.readings.get(counter).is_some_and(|reading| reading.current.is_some());
        let fresh: Vec<CounterId> = used.into_iter().filter(|counter| !runs(counter)).collect();
        for (counter, start) in self.read(engine, &fresh)? {
            let reading = self.readings.entry(counter).or_default();
            *reading = reading.starting_at(start);
        }
        Ok(())
    }

    /// The adapter has forgotten all pairs, as in a reboot of the management controller. What was read stays.
    pub fn lost(&mut self) {
        self.pairs.clear();
        self.audited = None;
        for reading in self.readings.values_mut() {
            *reading = Reading { earlier: reading.total(), current: None };
        }
    }

    /// How many pairs cannot be read, or have counted more since the last audit than there can have been frames.
    pub fn wrong(&mut self, engine: &mut impl Engine, now: Duration) -> Result<usize, AdapterError> {
        let values = match engine.read_counters(&self.pairs) {
            Ok(values) => values,
            Err(error) if error.state() == AdapterState::Unchanged => return Ok(self.pairs.len()),
            Err(error) => return Err(error),
        };
        let before = self.audited.replace((now, values.clone()));
        let Some((at, before)) = before else { return Ok(0) };
        let most = now.saturating_sub(at).as_secs().saturating_add(1).saturating_mul(FRAMES_PER_SECOND);
        let possible = |(is, was): (&CounterValue, &CounterValue)| {
            let grown = |is: u64, was: u64| is.checked_sub(was).is_some_and(|more| more <= most);
            grown(is.rx, was.rx) && grown(is.tx, was.tx)
        };
        Ok(values.iter().zip(&before).filter(|pair| !possible(*pair)).count())
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
            let reading = self.readings.entry(counter).or_default();
            let (start, last) = reading.current.unwrap_or((value, value));
            reading.current = Some((start, value));
            let (total, delta) = (reading.total(), difference(value, last));
            Some(Count { counter, entries, origins: origins.into_iter().collect(), total, delta })
        };
        Ok(values.into_iter().filter_map(count).collect())
    }
}
