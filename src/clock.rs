//! Time, injected: the driver never reads a clock of its own, so tests run on virtual time.
//!
//! Waiting and deadlines within a run go by [`Clock::now`], which never goes back. [`Clock::wall`] is the date, which people
//! and other clocks set; it is for records that outlast the process.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A monotonic clock that can also wait and tell the date.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary fixed start; never goes back.
    fn now(&self) -> Duration;
    /// The date.
    fn wall(&self) -> Timestamp;
    /// Waits for `duration` of this clock's time.
    fn sleep(&self, duration: Duration);
    /// Waits for a signal, but no longer than `duration` of this clock's time; whether it came.
    fn wait(&self, signal: &dyn Signal, duration: Duration) -> bool;
}

/// What ends a wait early.
pub trait Signal {
    /// Waits for it, no longer than `within` of the machine's time; whether it came.
    fn wait(&self, within: Duration) -> bool;
}

/// A date: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The last millisecond of the year 9999, after which a date has no text form.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// The date `duration` later, at most [`Timestamp::LAST`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let later = self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        Self(later).min(Self::LAST)
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Zero for what lies before 1970.
    fn from(time: SystemTime) -> Self {
        Self(0).after(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

impl fmt::Display for Timestamp {
    /// As in `2026-11-23T08:30:00.125Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis((*self).min(Self::LAST).0);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

/// A text that is no [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date; expected one as 2026-11-23T08:30:00Z, since 1970")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        humantime::parse_rfc3339(text).map(Self::from).map_err(|_| TimestampError(text.to_owned()))
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that reads zero now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn wait(&self, signal: &dyn Signal, duration: Duration) -> bool {
        signal.wait(duration)
    }
}

/// A clock that moves only when somebody waits on it or advances it.
#[derive(Debug, Default)]
pub struct VirtualClock {
    nanos: AtomicU64,
    /// The date when the clock reads zero, in milliseconds after [`VirtualClock::START`].
    set: AtomicI64,
}

impl VirtualClock {
    /// The date that a new clock shows: 2026-11-23T00:00:00Z.
    pub const START: Timestamp = Timestamp(1_795_392_000_000);

    /// A clock that reads zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the date, as people do. [`Clock::now`] does not notice.
    pub fn set_wall(&self, date: Timestamp) {
        let millis = |at: Timestamp| i64::try_from(at.0).unwrap_or(i64::MAX);
        let shown = millis(self.wall()).saturating_sub(self.set.load(Ordering::SeqCst));
        self.set.store(millis(date).saturating_sub(shown), Ordering::SeqCst);
    }

    /// Moves the clock forward. Saturates after some 584 years.
    pub fn advance(&self, duration: Duration) {
        let step = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(step));
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self.nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        let shown = Self::START.after(self.now());
        Timestamp(shown.0.saturating_add_signed(self.set.load(Ordering::SeqCst)))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    /// A signal that is there takes no time; one that is not never comes.
    fn wait(&self, signal: &dyn Signal, duration: Duration) -> bool {
        let there = signal.wait(Duration::ZERO);
        if !there {
            self.advance(duration);
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_moves_only_when_waited_on() {
        let clock = VirtualClock::new();
        assert_eq!(clock.now(), Duration::ZERO);
        clock.sleep(Duration::from_millis(5));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX), "saturates instead of wrapping");
    }

    #[test]
    fn dates_are_set_by_people_and_go_on_from_there() {
        let clock = VirtualClock::new();
        assert_eq!(clock.wall().to_string(), "2026-11-23T00:00:00.000Z");
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.wall().to_string(), "2026-11-23T00:00:01.500Z");
        clock.set_wall("2025-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(
            (clock.wall().to_string(), clock.now()),
            ("2025-01-01T00:00:00.000Z".into(), Duration::from_millis(1500))
        );
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.wall().to_string(), "2025-01-01T00:01:00.000Z");
        assert_eq!(Timestamp(u64::MAX).to_string(), Timestamp::LAST.to_string());
        assert_eq!(Timestamp::LAST.after(Duration::MAX), Timestamp::LAST);
        assert!("1969-12-31T00:00:00Z".parse::<Timestamp>().is_err() && "tomorrow".parse::<Timestamp>().is_err());
    }
}
