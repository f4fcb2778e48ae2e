//! Counter readings that survive a wrap.

use std::collections::BTreeMap;

use crate::policy::OriginId;
use crate::tables::{CounterId, RuleKey};

/// Frames in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frames {
    /// Received.
    pub rx: u64,
    /// Transmitted.
    pub tx: u64,
}

/// What one counter pair has counted, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The pair.
    pub counter: CounterId,
    /// The entries that count with it.
    pub entries: Vec<RuleKey>,
    /// Who asked for them, sorted.
    pub origins: Vec<OriginId>,
    /// Since the counter came into use.
    pub total: Frames,
    /// Since the reading before.
    pub delta: Frames,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    raw: (u64, u64),
    total: Frames,
}

/// Turns raw counters, which wrap and do not start at zero, into totals.
#[derive(Debug)]
pub(super) struct Meter {
    mask: u64,
    readings: BTreeMap<CounterId, Reading>,
}

impl Meter {
    /// For counters of `bits` bits, 1 to 64.
    pub fn new(bits: u32) -> Self {
        Self { mask: u64::MAX.checked_shr(64u32.saturating_sub(bits)).unwrap_or(u64::MAX), readings: BTreeMap::new() }
    }

    /// Drops the counters that are out of use; returns those in use whose start is not known.
    pub fn retain(&mut self, used: &[CounterId]) -> Vec<CounterId> {
        self.readings.retain(|id, _| used.contains(id));
        used.iter().copied().filter(|id| !self.readings.contains_key(id)).collect()
    }

    /// Counts from this reading on.
    pub fn start(&mut self, id: CounterId, raw: (u64, u64)) {
        self.readings.insert(id, Reading { raw, total: Frames::default() });
    }

    /// All counters start at zero again, as after a reboot of the management controller; what was read stays.
    pub fn cleared(&mut self) {
        self.readings.values_mut().for_each(|reading| reading.raw = (0, 0));
    }

    /// Takes a reading: what came since the last one, and in all. More than one wrap between two readings goes unseen.
    pub fn take(&mut self, id: CounterId, raw: (u64, u64)) -> (Frames, Frames) {
        let mask = self.mask;
        let reading = self.readings.entry(id).or_insert(Reading { raw, total: Frames::default() });
        let since = |now: u64, before: u64| now.wrapping_sub(before) & mask;
        let delta = Frames { rx: since(raw.0, reading.raw.0), tx: since(raw.1, reading.raw.1) };
        reading.raw = raw;
        reading.total.rx = reading.total.rx.saturating_add(delta.rx);
        reading.total.tx = reading.total.tx.saturating_add(delta.tx);
        (delta, reading.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CounterId = CounterId(7);

    fn frames(rx: u64, tx: u64) -> Frames {
        Frames { rx, tx }
    }

    #[test]
    fn a_wrap_is_counted_through() {
        let mut meter = Meter::new(40);
        meter.start(ID, ((1 << 40) - 2, 5));
        assert_eq!(meter.take(ID, (3, 5)), (frames(5, 0), frames(5, 0)));
        assert_eq!(meter.take(ID, (4, 9)), (frames(1, 4), frames(6, 4)));
        let mut wide = Meter::new(64);
        wide.start(ID, (u64::MAX, 0));
        assert_eq!(wide.take(ID, (0, 1)), (frames(1, 1), frames(1, 1)));
    }

    #[test]
    fn a_reboot_loses_nothing_that_was_read() {
        let mut meter = Meter::new(40);
        meter.start(ID, (100, 100));
        meter.take(ID, (110, 100));
        meter.cleared();
        assert_eq!(meter.take(ID, (2, 3)), (frames(2, 3), frames(12, 3)));
    }

    #[test]
    fn a_counter_that_changes_hands_starts_again() {
        let mut meter = Meter::new(40);
        meter.start(ID, (0, 0));
        meter.take(ID, (50, 0));
        assert_eq!(meter.retain(&[]), []);
        assert_eq!(meter.retain(&[ID]), [ID]);
        meter.start(ID, (50, 0));
        assert_eq!(meter.take(ID, (51, 0)), (frames(1, 0), frames(1, 0)));
    }
}
