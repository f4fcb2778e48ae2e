//! What work may cost, in steps of some nanoseconds each: a measure that does not depend on the machine.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one piece of work may cost.
#[derive(Debug)]
pub(crate) struct Budget {
    allowed: u64,
    left: Cell<u64>,
}

impl Budget {
    pub fn of(steps: u64) -> Self {
        Self { allowed: steps, left: Cell::new(steps) }
    }

    /// Takes steps away; `None`, and nothing taken, where fewer are left.
    pub fn spend(&self, steps: usize) -> Option<()> {
        self.left.set(self.left.get().checked_sub(steps as u64)?);
        Some(())
    }

    pub fn spent(&self) -> u64 {
        self.allowed - self.left.get()
    }
}

/// What several pieces of work on several threads may cost together. Those that run at the same time begin with the same
/// steps, so it may be exceeded by what they cost; those that begin later have what is left.
#[derive(Debug)]
pub(crate) struct SharedBudget(AtomicU64);

impl SharedBudget {
    pub fn of(steps: u64) -> Self {
        Self(AtomicU64::new(steps))
    }

    /// What a piece of work that begins now may cost; [`Self::settle`] takes away what it did cost.
    pub fn begin(&self) -> Budget {
        Budget::of(self.0.load(Ordering::Relaxed))
    }

    pub fn settle(&self, work: &Budget) {
        let take = |left: u64| Some(left.saturating_sub(work.spent()));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_gone_and_no_more_than_that() {
        let shared = SharedBudget::of(10);
        let (one, other) = (shared.begin(), shared.begin());
        assert_eq!((one.spend(6), one.spend(5), one.spend(4)), (Some(()), None, Some(())));
        assert_eq!((one.spent(), other.spend(10)), (10, Some(())), "work at the same time has the same steps");
        shared.settle(&one);
        shared.settle(&other);
        assert_eq!(shared.begin().spend(1), None);
    }
}
