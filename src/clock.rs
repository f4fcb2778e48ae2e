//! Time, injected: the driver never reads a clock of its own, so tests run on virtual time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A monotonic clock that can also wait.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary fixed start; never goes back.
    fn now(&self) -> Duration;
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

/// The machine's monotonic clock.
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

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn wait(&self, signal: &dyn Signal, duration: Duration) -> bool {
        signal.wait(duration)
    }
}

/// A clock that moves only when somebody waits on it or advances it.
#[derive(Debug, Default)]
pub struct VirtualClock(AtomicU64);

impl VirtualClock {
    /// A clock that reads zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward. Saturates after some 584 years.
    pub fn advance(&self, duration: Duration) {
        let step = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(step));
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
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
}
