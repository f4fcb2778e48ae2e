//! A process that dies at any call: of the adapter or of the storage, before or after its effect. And an eye that looks
//! after each command whether something passes that must not.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nicfw::adapter::{Adapter, AdapterError, AttachError, Override, Recovered, RulesetVersion};
use nicfw::firewall::Engine;
use nicfw::journal::{Head, MemoryStore, Store};
use nicfw::mcdi::McdiError;
use nicfw::mcdi::wire::Cmd;
use nicfw::tables::{CounterId, CounterValue, TableOp, Target};
use nicfw_model::Model;
use nicfw_test_kit::sequences::probes::{Mask, passing, told};

/// When the process dies.
#[derive(Debug, Clone, Default)]
pub struct Fuse(Arc<Mutex<Burning>>);

#[derive(Debug, Default)]
struct Burning {
    /// Calls until then, and whether the last one has its effect.
    left: Option<(u64, bool)>,
    dead: bool,
}

/// How far a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// It has its effect, and nobody hears of it.
    DiesAfter,
    Dead,
}

impl Fuse {
    fn burning<T>(&self, work: impl FnOnce(&mut Burning) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The process dies at the call of this number from now, from 0.
    pub fn light(&self, call: u64, after: bool) {
        self.burning(|burning| burning.left = Some((call, after)));
    }

    pub fn is_lit(&self) -> bool {
        self.burning(|burning| burning.left.is_some())
    }

    pub fn is_dead(&self) -> bool {
        self.burning(|burning| burning.dead)
    }

    /// The process is dead from now on.
    pub fn blow(&self) {
        self.burning(|burning| *burning = Burning { left: None, dead: true });
    }

    fn call(&self) -> Fate {
        self.burning(|burning| match &mut burning.left {
            _ if burning.dead => Fate::Dead,
            None => Fate::Lives,
            Some((0, after)) => {
                let after = *after;
                *burning = Burning { left: None, dead: true };
                if after { Fate::DiesAfter } else { Fate::Dead }
            }
            Some((left, _)) => {
                *left -= 1;
                Fate::Lives
            }
        })
    }
}

/// The storage of a process.
pub struct Mortal {
    pub store: MemoryStore,
    pub fuse: Fuse,
}

impl Mortal {
    fn call<T>(&mut self, work: impl FnOnce(&mut MemoryStore) -> io::Result<T>) -> io::Result<T> {
        let gone = || io::Error::other("the process is dead");
        match self.fuse.call() {
            Fate::Dead => Err(gone()),
            Fate::Lives => work(&mut self.store),
            Fate::DiesAfter => work(&mut self.store).and(Err(gone())),
        }
    }
}

impl Store for Mortal {
    fn len(&mut self) -> io::Result<u64> {
        self.store.len()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.store.read_at(at, into)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.call(|store| store.append(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.call(MemoryStore::sync)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.call(|store| store.truncate(len))
    }

    fn remember(&mut self, head: &Head) -> io::Result<()> {
        self.call(|store| store.remember(head))
    }

    fn remembered(&mut self) -> io::Result<Option<Head>> {
        self.store.remembered()
    }
}

/// What is looked at after each command.
pub struct Scene {
    pub model: Model,
    /// What may pass.
    pub may: Mask,
    /// What must.
    pub must: Mask,
    /// What did not hold first.
    pub broken: Option<String>,
    pub looks: u64,
}

impl Scene {
    fn look(&mut self, when: impl FnOnce() -> String) {
        self.looks += 1;
        let seen = passing(&self.model);
        let (more, less) = (seen & !self.may, self.must & !seen);
        if (more | less) != 0 && self.broken.is_none() {
            self.broken = Some(format!("2: after {}: passes {}; is dropped {}", when(), told(more), told(less)));
        }
    }
}

/// The adapter of a process.
pub struct Eye {
    adapter: Adapter,
    fuse: Fuse,
    scene: Rc<RefCell<Scene>>,
}

/// What a dead process hears: nothing that it does with it reaches anybody.
fn silence() -> McdiError {
    McdiError::Timeout { cmd: Cmd::SET_SECURITY_RULE, after: Duration::ZERO }
}

impl Eye {
    pub fn new(adapter: Adapter, fuse: Fuse, scene: Rc<RefCell<Scene>>) -> Self {
        Self { adapter, fuse, scene }
    }

    pub fn into_adapter(self) -> Adapter {
        self.adapter
    }

    fn call<T, X: From<McdiError>>(
        &mut self,
        what: impl FnOnce() -> String,
        changes: bool,
        work: impl FnOnce(&mut Adapter) -> Result<T, X>,
    ) -> Result<T, X> {
        let fate = self.fuse.call();
        if fate == Fate::Dead {
            return Err(silence().into());
        }
        let out = work(&mut self.adapter);
        if changes {
            self.scene.borrow_mut().look(what);
        }
        if fate == Fate::DiesAfter { Err(silence().into()) } else { out }
    }
}

impl Engine for Eye {
    type RecoverError = AttachError;

    fn target(&self) -> &Target {
        self.adapter.target()
    }

    fn boot_count(&self) -> Option<u16> {
        Some(self.adapter.boot_count())
    }

    fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        self.call(|| format!("{op:?}"), true, |adapter| adapter.execute(op))
    }

    fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        self.call(|| format!("override {state:?}"), true, |adapter| adapter.set_override(state))
    }

    fn reset_rules(&mut self) -> Result<(), AdapterError> {
        self.call(|| "resetting the rules".into(), true, Adapter::reset_rules)
    }

    fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        self.call(String::new, false, Adapter::ruleset_version)
    }

    fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.call(|| "committing the cache".into(), true, Adapter::commit_cache)
    }

    fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        self.call(String::new, false, |adapter| adapter.alloc_counters(count))
    }

    fn reclaim_counters(&mut self) -> Result<(), AdapterError> {
        self.call(String::new, false, Adapter::reclaim_counters)
    }

    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        self.call(String::new, false, |adapter| adapter.read_counters(ids))
    }

    fn recover(&mut self) -> Result<Recovered, AttachError> {
        self.call(|| "resetting the function".into(), true, Adapter::recover)
    }
}
