//! An adapter that is looked at after each call, and that dies with its process when it is told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use nicfw::adapter::Adapter;
use nicfw::firewall::{Call, Observed, Observer};
use nicfw::journal::MemoryStore;
use nicfw::mcdi::McdiError;
use nicfw::mcdi::wire::Cmd;
use nicfw_model::Model;
use nicfw_test_kit::faults::probes::{Probe, judged};

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
    pub fn look(&mut self, when: impl fmt::Debug) {
        let Some(sentences) = &self.sentences else { return };
        self.looks += 1;
        for (at, passes) in judged(&self.model, &self.probes).into_iter().enumerate() {
            let wrong = if passes { !sentences.may[at] } else { sentences.must[at] };
            if wrong {
                let (sentence, what) =
                    if passes { (1, "passes, and no policy admits it") } else { (2, "is dropped, and all admit it") };
                let probe = &self.probes[at];
                let first = || format!("after {when:?}: {probe:?} {what}");
                self.violations.entry((sentence, probe.container)).or_insert_with(first);
            }
        }
    }

    fn die(&mut self) {
        self.dead = true;
        self.store.die(0);
    }
}

/// An adapter with its witness.
pub type Witness = Observed<Adapter, Watch>;

pub struct Watch(Rc<RefCell<Scene>>);

pub fn witness(adapter: Adapter, scene: Rc<RefCell<Scene>>) -> Witness {
    Observed::new(adapter, Watch(scene))
}

/// What a process hears that is dead: nothing it does with it reaches anybody.
fn silence<X: From<McdiError>>() -> X {
    McdiError::Timeout { cmd: Cmd::SET_SECURITY_RULE, after: Duration::ZERO }.into()
}

impl Observer for Watch {
    fn around<T, X: From<McdiError>>(&mut self, call: Call<'_>, work: impl FnOnce() -> Result<T, X>) -> Result<T, X> {
        let number = {
            let mut scene = self.0.borrow_mut();
            scene.calls += 1;
            let number = scene.calls - 1;
            if scene.death == Some(Death { call: number, after: false }) {
                scene.die();
            }
            if scene.dead {
                return Err(silence());
            }
            number
        };
        let out = work();
        let mut scene = self.0.borrow_mut();
        scene.look(call);
        if scene.death == Some(Death { call: number, after: true }) {
            scene.die();
            return Err(silence());
        }
        out
    }
}
