//! An adapter that is looked at after each call, and that dies with its process when it is told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use nicfw::firewall::Engine;
use nicfw::journal::MemoryStore;
use nicfw::mcdi::McdiError;
use nicfw::mcdi::wire::Cmd;
use nicfw::nic::{Adapter, AdapterError, AttachError, Override, Recovered, RulesetVersion};
use nicfw::tables::{CounterId, CounterValue, TableOp, Target};
use nicfw_model::Model;

use crate::probes::{Probe, judged};

/// When the process dies: at this call of the engine, from 0, before it is sent or after it has taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub call: u64,
    pub after: bool,
}

/// What must hold of every judgement while something goes on.
#[derive(Debug, Clone, Default)]
pub struct Sentences {
    /// Some policy admits it.
    pub may: Vec<bool>,
    /// All policies admit it, and nobody has announced that it is closed.
    pub must: Vec<bool>,
}

/// What the witness has seen, and what it is to do.
pub struct Scene {
    pub model: Model,
    pub probes: Vec<Probe>,
    pub store: MemoryStore,
    pub sentences: Option<Sentences>,
    /// The sentence that did not hold, of which container, and how: the first of each.
    pub violations: BTreeMap<(u8, u8), String>,
    pub calls: u64,
    pub looks: u64,
    pub death: Option<Death>,
    pub dead: bool,
}

impl Scene {
    /// Compares every judgement with the sentences.
    pub fn look(&mut self, when: &str) {
        let Some(sentences) = &self.sentences else { return };
        self.looks += 1;
        for (at, passes) in judged(&self.model, &self.probes).into_iter().enumerate() {
            let wrong = if passes { !sentences.may[at] } else { sentences.must[at] };
            if wrong {
                let (sentence, what) =
                    if passes { (1, "passes, and no policy admits it") } else { (2, "is dropped, and all admit it") };
                let probe = &self.probes[at];
                let first = || format!("after {when}: {probe:?} {what}");
                self.violations.entry((sentence, probe.container)).or_insert_with(first);
            }
        }
    }

    fn die(&mut self) {
        self.dead = true;
        self.store.die(0);
    }
}

pub struct Witness {
    adapter: Adapter,
    scene: Rc<RefCell<Scene>>,
}

/// What a process hears that is dead: nothing it does with it reaches anybody.
fn silence() -> AdapterError {
    McdiError::Timeout { cmd: Cmd::SET_SECURITY_RULE, after: Duration::ZERO }.into()
}

impl Witness {
    pub fn new(adapter: Adapter, scene: Rc<RefCell<Scene>>) -> Self {
        Self { adapter, scene }
    }

    pub fn into_adapter(self) -> Adapter {
        self.adapter
    }

    fn call<T, X>(
        &mut self,
        what: &str,
        dead: impl Fn() -> X,
        work: impl FnOnce(&mut Adapter) -> Result<T, X>,
    ) -> Result<T, X> {
        let number = {
            let mut scene = self.scene.borrow_mut();
            scene.calls += 1;
            let number = scene.calls - 1;
            if scene.death == Some(Death { call: number, after: false }) {
                scene.die();
            }
            if scene.dead {
                return Err(dead());
            }
            number
        };
        let out = work(&mut self.adapter);
        let mut scene = self.scene.borrow_mut();
        scene.look(what);
        if scene.death == Some(Death { call: number, after: true }) {
            scene.die();
            return Err(dead());
        }
        out
    }
}

impl Engine for Witness {
    type RecoverError = AttachError;

    fn target(&self) -> &Target {
        self.adapter.target()
    }

    fn boot_count(&self) -> Option<u16> {
        Some(self.adapter.boot_count())
    }

    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        self.call(&format!("{op:?}"), silence, |adapter| adapter.execute(op))
    }

    fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        self.call(&format!("override {state:?}"), silence, |adapter| adapter.set_override(state))
    }

    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        self.call("resetting the rules", silence, Adapter::reset_rules)
    }

    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        self.call("reading the version", silence, Adapter::ruleset_version)
    }

    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.call("committing the cache", silence, Adapter::commit_cache)
    }

    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        self.call("allocating counters", silence, |adapter| adapter.alloc_counters(count))
    }

    fn reclaim_counters(&mut self) -> Result<(), AdapterError> {
        self.call("freeing all counters", silence, Adapter::reclaim_counters)
    }

    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        self.call("reading counters", silence, |adapter| adapter.read_counters(ids))
    }

    fn recover(&mut self) -> Result<Recovered, AttachError> {
        let dead = || AttachError::Command(McdiError::Timeout { cmd: Cmd::SET_SECURITY_RULE, after: Duration::ZERO });
        self.call("resetting the function", dead, Adapter::recover)
    }
}
