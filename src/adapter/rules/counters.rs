//! Counter pairs: allocated by us, read without clearing, so that two readers do not take counts from each other.
//!
//! A counter wraps at the width that the adapter reports. [`CounterTotals`] adds up the differences between two reads, so
//! that a total is right as long as a counter is read at least once per wrap.

use std::collections::BTreeMap;

use crate::mcdi::cmd::counters;
use crate::mcdi::wire::{MAX_COUNTER_IDS, MAX_STATISTICS, McErrno};
use crate::mcdi::{Channel, McdiError};
use crate::tables::{CounterId, CounterValue};

/// Asks for counter pairs in as many commands as it takes. Returns fewer than `count` when the adapter has no more.
///
/// # Errors
/// See [`McdiError`]. Pairs that came before the error are freed as far as the adapter still answers.
pub fn alloc(channel: &mut Channel, count: usize) -> Result<Vec<CounterId>, McdiError> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let ask = u32::try_from((count - ids.len()).min(MAX_COUNTER_IDS)).unwrap_or(u32::MAX);
        match counters::alloc(channel, ask, &mut ids) {
            Ok(given) if given < ask => break,
            Ok(_) => {}
            Err(error) if error.errno() == Some(McErrno::ENOSPC) => break,
            Err(error) => {
                let ids: Vec<_> = ids.into_iter().map(CounterId).collect();
                free(channel, &ids).unwrap_or_else(|also| log::warn!("counters stay allocated: {also}"));
                return Err(error);
            }
        }
    }
    Ok(ids.into_iter().map(CounterId).collect())
}

/// Frees counter pairs in as many commands as it takes.
///
/// # Errors
/// See [`McdiError`]. Some of the pairs may be free.
pub fn free(channel: &mut Channel, ids: &[CounterId]) -> Result<(), McdiError> {
    for chunk in ids.chunks(MAX_COUNTER_IDS) {
        let numbers: Vec<u32> = chunk.iter().map(|id| id.0).collect();
        counters::free(channel, &numbers)?;
    }
    Ok(())
}

/// Frees all `pairs` counter pairs of the adapter, whoever allocated them. No entry may use one.
///
/// No document tells which numbers pairs have. They are taken to be 1 to `pairs`; where they are not, those that others
/// allocated stay allocated.
///
/// # Errors
/// See [`McdiError`]. Some of the pairs may be free, some allocated.
pub fn reclaim(channel: &mut Channel, pairs: u32) -> Result<(), McdiError> {
    // With the rest allocated too there is none that cannot be freed: the firmware may refuse a list as a whole.
    let rest = alloc(channel, usize::try_from(pairs).unwrap_or(usize::MAX))?;
    let numbered = rest.iter().all(|id| (1..=pairs).contains(&id.0));
    let all: Vec<CounterId> = (1..=pairs).map(CounterId).collect();
    if rest.len() == all.len() || !numbered {
        return free(channel, &rest);
    }
    match free(channel, &all) {
        Err(error) if error.errno().is_some() => {
            log::warn!("counters that somebody else allocated stay so: {error}");
            rest.iter().try_for_each(|id| match free(channel, &[*id]) {
                Err(error) if error.errno().is_none() => Err(error),
                _ => Ok(()),
            })
        }
        outcome => outcome,
    }
}

/// Reads counter pairs in as many commands as it takes, as the adapter holds them, and clears none.
///
/// # Errors
/// See [`McdiError`]. `each` may have been called for some of the pairs.
pub fn read(
    channel: &mut Channel,
    ids: &[CounterId],
    mut each: impl FnMut(CounterId, CounterValue),
) -> Result<(), McdiError> {
    for chunk in ids.chunks(MAX_STATISTICS) {
        let numbers: Vec<u32> = chunk.iter().map(|id| id.0).collect();
        counters::read(channel, &numbers, |i, pair| {
            if let Some(id) = chunk.get(i) {
                each(*id, CounterValue { tx: pair.tx_stat.get(), rx: pair.rx_stat.get() });
            }
        })?;
    }
    Ok(())
}

/// Totals of counter pairs over any number of wraps.
#[derive(Debug, Clone)]
pub struct CounterTotals {
    mask: u64,
    pairs: BTreeMap<CounterId, Pair>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    last: CounterValue,
    total: CounterValue,
}

impl CounterTotals {
    /// Totals over counters of `width` bits; 64 and more never wrap.
    #[must_use]
    pub fn new(width: u32) -> Self {
        let mask = if width >= u64::BITS { u64::MAX } else { (1 << width) - 1 };
        Self { mask, pairs: BTreeMap::new() }
    }

    /// Begins with a total of zero at the value that the adapter holds.
    pub fn begin(&mut self, id: CounterId, held: CounterValue) {
        self.pairs.insert(id, Pair { last: self.cut(held), total: CounterValue::default() });
    }

    /// Takes a value that was read, and gives the total. A pair that nobody began counts from zero.
    pub fn add(&mut self, id: CounterId, held: CounterValue) -> CounterValue {
        let held = self.cut(held);
        let mask = self.mask;
        let pair = self.pairs.entry(id).or_default();
        let grown = |total: u64, last: u64, held: u64| total.saturating_add(held.wrapping_sub(last) & mask);
        pair.total = CounterValue {
            tx: grown(pair.total.tx, pair.last.tx, held.tx),
            rx: grown(pair.total.rx, pair.last.rx, held.rx),
        };
        pair.last = held;
        pair.total
    }

    /// Forgets a pair that was freed.
    pub fn forget(&mut self, id: CounterId) {
        self.pairs.remove(&id);
    }

    /// The adapter's counters have begun anew (assumption A14): totals stay, and go on from zero.
    pub fn restart(&mut self) {
        self.pairs.values_mut().for_each(|pair| pair.last = CounterValue::default());
    }

    fn cut(&self, held: CounterValue) -> CounterValue {
        CounterValue { tx: held.tx & self.mask, rx: held.rx & self.mask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcdi::fake::{FakeNic, refuse, respond};

    const A: CounterId = CounterId(1);

    fn pair(tx: u64, rx: u64) -> CounterValue {
        CounterValue { tx, rx }
    }

    #[test]
    fn totals_go_on_over_a_wrap() {
        let mut totals = CounterTotals::new(8);
        totals.begin(A, pair(250, 3));
        assert_eq!(totals.add(A, pair(250, 3)), pair(0, 0));
        assert_eq!(totals.add(A, pair(4, 255)), pair(10, 252));
        assert_eq!(totals.add(A, pair(5, 0x1ff)), pair(11, 252), "bits past the width do not count");
        assert_eq!(totals.add(CounterId(2), pair(7, 9)), pair(7, 9), "counts from zero");
        let mut wide = CounterTotals::new(64);
        wide.begin(A, pair(u64::MAX, 0));
        assert_eq!(wide.add(A, pair(1, 1)), pair(2, 1));
    }

    #[test]
    fn totals_survive_counters_that_begin_anew() {
        let mut totals = CounterTotals::new(32);
        totals.begin(A, pair(0, 0));
        totals.add(A, pair(100, 10));
        totals.restart();
        assert_eq!(totals.add(A, pair(3, 4)), pair(103, 14));
        totals.forget(A);
        assert_eq!(totals.add(A, pair(3, 4)), pair(3, 4));
    }

    /// Answers SECURITY_RULE_COUNTER_ALLOC from a stock of pairs, and TSA_STATISTICS with twice and thrice the id.
    fn counting(stock: u32) -> FakeNic {
        let mut next = 1;
        FakeNic::new(move |request| {
            let word = |at: usize| u32::from_le_bytes(*request[at..].first_chunk().unwrap());
            let payload: Vec<u8> = match request[4] {
                0x12 => {
                    let given = word(8).min(stock + 1 - next);
                    let ids = next..next + given;
                    next += given;
                    std::iter::once(given).chain(ids).flat_map(u32::to_le_bytes).collect()
                }
                0x30 => {
                    let num = word(20);
                    let entry = |i: u32| {
                        let id = u64::from(word(24 + 4 * i as usize));
                        [2 * id, 3 * id]
                    };
                    let head = [num, 0].into_iter().flat_map(u32::to_le_bytes);
                    head.chain((0..num).flat_map(entry).flat_map(u64::to_le_bytes)).collect()
                }
                _ => Vec::new(),
            };
            respond(request, &payload)
        })
    }

    #[test]
    fn alloc_takes_what_there_is() {
        let nic = counting(300);
        let ids = alloc(&mut nic.channel(), 1000).unwrap();
        assert_eq!(ids, (1..=300).map(CounterId).collect::<Vec<_>>());
        assert_eq!(nic.take_requests().len(), 2);
        let full = FakeNic::new(|request| refuse(request, 0x1c));
        assert_eq!(alloc(&mut full.channel(), 3).unwrap(), []);
    }

    #[test]
    fn a_failed_alloc_gives_back_what_came() {
        let mut calls = 0;
        let nic = FakeNic::new(move |request| {
            calls += 1;
            match calls {
                1 => {
                    let ids: Vec<u8> = std::iter::once(254).chain(1..=254).flat_map(u32::to_le_bytes).collect();
                    respond(request, &ids)
                }
                2 => refuse(request, 1),
                _ => respond(request, &[]),
            }
        });
        let error = alloc(&mut nic.channel(), 300).unwrap_err();
        assert_eq!(error.errno(), Some(McErrno::EPERM));
        let freed = nic.take_requests().pop().unwrap();
        assert_eq!(freed[4..12], [0x13, 0x01, 0xfc, 0x03, 254, 0, 0, 0], "COUNTER_FREE of 254 ids");
    }

    #[test]
    fn reads_go_in_messages_of_63() {
        let nic = counting(0);
        let ids: Vec<_> = (1..=130).map(CounterId).collect();
        let mut seen = Vec::new();
        read(&mut nic.channel(), &ids, |id, value| seen.push((id, value))).unwrap();
        assert_eq!(seen.len(), 130);
        assert!(seen.iter().all(|(id, value)| *value == pair(2 * u64::from(id.0), 3 * u64::from(id.0))));
        assert_eq!(nic.take_requests().len(), 3);
    }
}
