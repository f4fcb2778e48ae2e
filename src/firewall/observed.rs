//! An engine whose calls somebody sees. Whoever has to see them forwards none by hand.

use super::Engine;
use crate::adapter::{AdapterError, McdiError, Override, Recovered, RulesetVersion};
use crate::tables::{CounterId, CounterValue, TableOp, Target};

/// A call of an [`Engine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Call<'a> {
    Execute(&'a TableOp),
    SetOverride(Override),
    ResetRules,
    RulesetVersion,
    CommitCache,
    AllocCounters(usize),
    ReclaimCounters,
    ReadCounters(&'a [CounterId]),
    Recover,
}

/// Sees the calls of an [`Observed`] engine.
pub trait Observer {
    /// Does `work`, which is `call`, or something else in its stead: what it returns is the call's outcome.
    ///
    /// # Errors
    /// Those of `work`, and the observer's own.
    fn around<T, X: From<McdiError>>(&mut self, call: Call<'_>, work: impl FnOnce() -> Result<T, X>) -> Result<T, X>;
}

/// An engine and its observer.
#[derive(Debug)]
pub struct Observed<E, O> {
    /// The engine.
    pub engine: E,
    /// Who sees its calls.
    pub observer: O,
    target: Option<Target>,
}

impl<E: Engine, O: Observer> Observed<E, O> {
    /// An engine whose calls `observer` sees.
    pub fn new(engine: E, observer: O) -> Self {
        Self { engine, observer, target: None }
    }

    /// Another target than the engine's own.
    #[must_use]
    pub fn with_target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }
}

impl<E, O> Engine for Observed<E, O>
where
    E: Engine,
    E::RecoverError: From<McdiError>,
    O: Observer,
{
    type RecoverError = E::RecoverError;

    fn target(&self) -> &Target {
        self.target.as_ref().unwrap_or_else(|| self.engine.target())
    }

    fn boot_count(&self) -> Option<u16> {
        self.engine.boot_count()
    }

    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        self.observer.around(Call::Execute(op), || self.engine.execute(op))
    }

    fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        self.observer.around(Call::SetOverride(state), || self.engine.set_override(state))
    }

    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        self.observer.around(Call::ResetRules, || self.engine.reset_rules())
    }

    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        self.observer.around(Call::RulesetVersion, || self.engine.ruleset_version())
    }

    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.observer.around(Call::CommitCache, || self.engine.commit_cache())
    }

    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        self.observer.around(Call::AllocCounters(count), || self.engine.alloc_counters(count))
    }

    fn reclaim_counters(&mut self) -> Result<(), AdapterError> {
        self.observer.around(Call::ReclaimCounters, || self.engine.reclaim_counters())
    }

    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        self.observer.around(Call::ReadCounters(ids), || self.engine.read_counters(ids))
    }

    fn recover(&mut self) -> Result<Recovered, E::RecoverError> {
        self.observer.around(Call::Recover, || self.engine.recover())
    }
}
