//! The emulated adapter, and the firewall in it: what commands use where a machine would have a card.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nicfw::clock::{Clock, VirtualClock};
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::{Compiled, Document, Packet};
use nicfw::tables::{CounterId, CounterValue, Target};

use crate::demo::cast::Place;
use crate::demo::exchange::Switch;
use crate::failure::{Exit, Failure};
use crate::judge::{Judgement, judge};
use crate::scaffold::{Parts, TableEngine, parse, sides_at};

/// What each counter pair has counted, by its place in the image.
pub type Counts = BTreeMap<CounterId, CounterValue>;

/// What loading a policy took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Commands that changed the tables.
    pub commands: usize,
    /// Containers whose flows may have been denied meanwhile although old and new policy allow them.
    pub closed_meanwhile: Vec<String>,
}

/// An emulated adapter of its own. It holds no rules until a policy is loaded.
pub struct Emulated {
    parts: Arc<Mutex<Parts>>,
    clock: Arc<dyn Clock>,
    state: State,
}

enum State {
    Empty,
    Running { firewall: Box<Firewall<TableEngine>>, compiled: Box<Compiled> },
}

impl Emulated {
    pub fn fresh() -> Result<Self, Failure> {
        Self::shuffled(0)
    }

    pub fn shuffled(seed: u64) -> Result<Self, Failure> {
        let parts = Arc::new(Mutex::new(Parts { image: None, counts: BTreeMap::new(), seed }));
        Ok(Self { parts, clock: Arc::new(VirtualClock::new()), state: State::Empty })
    }

    pub fn switch(&self) -> Arc<Mutex<dyn Switch>> {
        self.parts.clone()
    }

    /// Brings the tables to a policy: by adopting the adapter at first, then by as few commands as the difference takes.
    pub fn load(&mut self, document: &Document) -> Result<Loaded, Failure> {
        let previous = match &self.state {
            State::Empty => None,
            State::Running { compiled, .. } => Some(&**compiled),
        };
        let new =
            Compiled::new(document, &Target::profile0(), previous).map_err(|e| Failure::new(Exit::DoesNotFit, e))?;
        let loaded = match &mut self.state {
            State::Empty => {
                let engine = TableEngine::new(Arc::clone(&self.parts));
                let adopt = Adopt { document, image: new.image() };
                let firewall = Firewall::attach(engine, adopt, Arc::clone(&self.clock), Settings::default())
                    .map_err(Failure::usage)?;
                let commands = new.image().rules.len();
                self.state = State::Running { firewall: Box::new(firewall), compiled: Box::new(new) };
                Loaded { commands, closed_meanwhile: Vec::new() }
            }
            State::Running { firewall, compiled } => {
                let change =
                    firewall.plan(document, new.image(), "apply").map_err(|e| Failure::new(Exit::DoesNotFit, e))?;
                let report = firewall.apply(change).map_err(Failure::usage)?;
                **compiled = new;
                Loaded { commands: report.commands, closed_meanwhile: report.closed_meanwhile }
            }
        };
        if let State::Running { firewall, .. } = &self.state {
            self.parts.lock().unwrap().image = Some(firewall.image().clone());
        }
        Ok(loaded)
    }

    pub fn judge(&self, from: Place, frame: &[u8]) -> Result<(Packet, Vec<Judgement>), Failure> {
        let packet = parse(frame);
        let mut out = Vec::new();
        if let State::Running { compiled, .. } = &self.state {
            for direction in sides_at(from, &packet) {
                let judgement = judge(compiled, &packet.judged(direction, 0));
                let stop = judgement.verdict == nicfw::tables::Verdict::Deny;
                out.push(judgement);
                if stop {
                    break;
                }
            }
        }
        Ok((packet, out))
    }

    pub fn counts(&mut self) -> Result<Counts, Failure> {
        match &mut self.state {
            State::Empty => Ok(Counts::new()),
            State::Running { firewall, .. } => {
                let counts = firewall.counters().map_err(Failure::usage)?;
                Ok(counts.into_iter().map(|count| (count.counter, count.total)).collect())
            }
        }
    }

    pub fn compiled(&self) -> Option<&Compiled> {
        match &self.state {
            State::Empty => None,
            State::Running { compiled, .. } => Some(compiled),
        }
    }

    pub fn tables(&self) -> Result<Option<nicfw::policy::Image>, Failure> {
        Ok(self.parts.lock().unwrap().image.clone())
    }

    pub fn name(&self) -> String {
        String::from("scaffold")
    }
}
