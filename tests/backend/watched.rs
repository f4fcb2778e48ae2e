//! An adapter that looks at something after each command that changes the tables.

use nicfw::firewall::Engine;
use nicfw::nic::{Adapter, AdapterError, AttachError, Override, Recovered, RulesetVersion};
use nicfw::tables::{CounterId, CounterValue, TableOp, Target};

pub struct Watched<T> {
    adapter: Adapter,
    target: Target,
    look: Box<dyn FnMut() -> T>,
    /// What was seen, command by command.
    pub seen: Vec<T>,
}

impl<T> Watched<T> {
    /// Of the adapter it is assumed what `target` says.
    pub fn new(adapter: Adapter, target: Target, look: impl FnMut() -> T + 'static) -> Self {
        Self { adapter, target, look: Box::new(look), seen: Vec::new() }
    }
}

impl<T> Engine for Watched<T> {
    type RecoverError = AttachError;

    fn target(&self) -> &Target {
        &self.target
    }

    fn boot_count(&self) -> Option<u16> {
        Some(self.adapter.boot_count())
    }

    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        let outcome = self.adapter.execute(op);
        self.seen.push((self.look)());
        outcome
    }

    fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        self.adapter.set_override(state)
    }

    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        self.adapter.reset_rules()
    }

    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        self.adapter.ruleset_version()
    }

    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.adapter.commit_cache()
    }

    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        self.adapter.alloc_counters(count)
    }

    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        self.adapter.read_counters(ids)
    }

    fn recover(&mut self) -> Result<Recovered, AttachError> {
        self.adapter.recover()
    }
}
