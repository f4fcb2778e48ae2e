//! What the firewall needs of an adapter.

use crate::adapter::{Adapter, AdapterError, Override, Recovered, RulesetVersion};
use crate::error::AdapterState;
use crate::tables::{CounterId, CounterValue, TableOp, Target};

/// The rules engine of one adapter, as [`Adapter`] drives it. [`AdapterError::state`] tells what a failure leaves.
///
/// No method has a default body, so that an engine says of each what it does. One that only watches another is an
/// [`Observer`](super::Observer).
pub trait Engine {
    /// Why the adapter cannot be made usable again.
    type RecoverError: std::error::Error + Send + Sync + 'static;

    /// How the engine works and how large its tables are.
    fn target(&self) -> &Target;
    /// How often the management controller has booted, as far as it counts; `None` if the engine does not tell.
    fn boot_count(&self) -> Option<u16>;
    /// Changes the tables by one command.
    ///
    /// # Errors
    /// See [`AdapterError`].
    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError>;
    /// Puts a fixed verdict in the place of the rules, or the rules back.
    ///
    /// # Errors
    /// See [`AdapterError`].
    fn set_override(&mut self, state: Override) -> Result<(), AdapterError>;
    /// Drops all rules.
    ///
    /// # Errors
    /// See [`AdapterError`].
    fn reset_rules(&mut self) -> Result<(), AdapterError>;
    /// The hash over all rules and maps.
    ///
    /// # Errors
    /// See [`AdapterError`]. The adapter is unchanged.
    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError>;
    /// Makes the tables what a reboot of the management controller loads.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged.
    fn commit_cache(&mut self) -> Result<(), AdapterError>;
    /// Allocates counter pairs, fewer if there are no more.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged.
    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError>;
    /// Frees all counter pairs, whoever allocated them. No entry uses one.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged.
    fn reclaim_counters(&mut self) -> Result<(), AdapterError>;
    /// Totals of counter pairs, in the order of `ids`. They never wrap, and outlast a reboot of the management controller.
    ///
    /// # Errors
    /// See [`AdapterError`]. The adapter is unchanged.
    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError>;
    /// Makes the adapter usable again after a command without an answer, and tells what has happened to it.
    ///
    /// # Errors
    /// The adapter stays unusable.
    fn recover(&mut self) -> Result<Recovered, Self::RecoverError>;
}

/// How often a hash is asked for that is refused, or that is another each time.
const MOST_READS: usize = 5;

/// The hash over all rules and maps, as two answers in a row tell it: an answer that is cut looks like a shorter hash, as
/// nothing says how long a hash is. A refusal is asked again, because without the hash the next process has to load
/// everything anew.
///
/// # Errors
/// See [`AdapterError`]. The adapter is unchanged.
pub(super) fn read_version_until_stable(engine: &mut impl Engine) -> Result<RulesetVersion, AdapterError> {
    let mut last = engine.ruleset_version();
    for _ in 1..MOST_READS {
        match &last {
            Err(error) if error.state() != AdapterState::Unchanged => break,
            _ => {}
        }
        let next = engine.ruleset_version();
        if let (Ok(last), Ok(next)) = (&last, &next)
            && last == next
        {
            break;
        }
        last = next;
    }
    last
}

impl Engine for Adapter {
    type RecoverError = crate::adapter::AttachError;

    fn target(&self) -> &Target {
        self.target()
    }

    fn boot_count(&self) -> Option<u16> {
        Some(self.boot_count())
    }

    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        self.execute(op)
    }

    fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        self.set_override(state)
    }

    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        self.reset_rules()
    }

    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        self.ruleset_version()
    }

    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.commit_cache()
    }

    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        self.alloc_counters(count)
    }

    fn reclaim_counters(&mut self) -> Result<(), AdapterError> {
        self.reclaim_counters()
    }

    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        self.read_counters(ids)
    }

    fn recover(&mut self) -> Result<Recovered, crate::adapter::AttachError> {
        self.recover()
    }
}
