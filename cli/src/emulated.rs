//! The emulated adapter and the firewall in it: what commands use where a machine would have a card.
//!
//! The firewall reaches the model as it would reach a card, by registers and DMA memory. The model's read-back of its tables
//! is an oracle that no card offers: it is used to check, never to decide what to send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nicfw::Adapter;
use nicfw::adapter::{AdapterInfo, AttachOptions};
use nicfw::clock::{Clock, VirtualClock};
use nicfw::device::Device;
use nicfw::firewall::{Session, Settings};
use nicfw::journal::Journal;
use nicfw::policy::Document;
use nicfw::tables::{Action, Compiled, CounterId, CounterValue, Entry, Image, Target};
use nicfw::terms::{Direction, MacAddr, Verdict};
use nicfw_model::engines::rules::{Decided, Decision, Snapshot};
use nicfw_model::packet::Headers;
use nicfw_model::serve::over_socket;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

use crate::demo::cast::Place;
use crate::demo::switch::{Carried, Switch};
use crate::failure::{Exit, Failure};

/// What each counter pair has counted, by its place in the image.
pub type Counts = BTreeMap<CounterId, CounterValue>;

/// What loading a policy took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Commands that changed the tables; without those that blocked, reset and released the adapter at first.
    pub commands: usize,
    /// Containers whose flows may have been denied meanwhile although old and new policy allow them.
    pub closed_meanwhile: Vec<String>,
}

/// An emulated adapter of its own. It holds no rules until a policy is loaded.
pub struct Emulated {
    model: Model,
    target: Target,
    session: Session<Adapter>,
    /// What was loaded last.
    compiled: Option<Compiled>,
}

impl Emulated {
    /// An adapter whose functions have these MACs. The first is the host's own; nicfw drives the adapter through it.
    ///
    /// # Errors
    /// The adapter is refused.
    pub fn new(macs: &[MacAddr]) -> Result<Self, Failure> {
        Self::with_order(macs, 0)
    }

    /// As [`Emulated::new`], with a lookup order of its own for each seed.
    ///
    /// # Errors
    /// The adapter is refused.
    pub fn with_order(macs: &[MacAddr], seed: u64) -> Result<Self, Failure> {
        Self::reached(macs, seed, |model| Ok(Box::new(model.function(0))))
    }

    /// As [`Emulated::new`], but nicfw reaches it as it would reach one in another process.
    ///
    /// # Errors
    /// The adapter is refused, or there is no socket.
    pub fn over_socket(macs: &[MacAddr]) -> Result<Self, Failure> {
        Self::reached(macs, 0, |model| Ok(Box::new(over_socket(model, 0).map_err(Failure::usage)?)))
    }

    fn reached(
        macs: &[MacAddr],
        seed: u64,
        reach: impl FnOnce(&Model) -> Result<Box<dyn Device>, Failure>,
    ) -> Result<Self, Failure> {
        let functions = macs.iter().zip(0..).map(|(mac, number)| match number {
            0 => FunctionConfig::admin(0, *mac),
            vf => FunctionConfig::container(0, vf - 1, *mac),
        });
        let mut config = ModelConfig::new(functions.collect());
        config.engine.seed = seed;
        let model = Model::new(config);
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new());
        let adapter =
            Adapter::from_device(reach(&model)?, clock.clone(), AttachOptions::default()).map_err(Failure::usage)?;
        let target = adapter.target().clone();
        let session = Session::new(adapter, Journal::in_memory(), clock, Settings::default());
        Ok(Self { model, target, session, compiled: None })
    }

    /// The adapter's cables.
    pub fn switch(&self) -> Arc<Mutex<dyn Switch>> {
        Arc::new(Mutex::new(Cables(self.model.clone())))
    }

    /// Brings the tables to a policy: by adopting the adapter at first, then by the commands that the difference takes.
    ///
    /// # Errors
    /// The policy does not fit, or the adapter refuses a command.
    pub fn load(&mut self, document: &Document) -> Result<Loaded, Failure> {
        let new = Compiled::new(document, &self.target, self.compiled.as_ref());
        let new = new.map_err(|error| Failure::refused(&error, document, &self.target))?;
        let loaded = if let Ok(firewall) = self.session.firewall_mut() {
            let change = firewall.plan(&new, "load");
            let change = change.map_err(|e| Failure::new(Exit::DoesNotFit, e))?;
            let report = firewall.apply(change).map_err(Failure::usage)?;
            Loaded { commands: report.commands, closed_meanwhile: report.closed_meanwhile }
        } else {
            self.session.adopt(&new, "load").map_err(Failure::usage)?;
            Loaded { commands: commands_to_load(new.image()), closed_meanwhile: Vec::new() }
        };
        self.compiled = Some(new);
        Ok(loaded)
    }

    /// What every counter in use has counted.
    ///
    /// # Errors
    /// The adapter refuses to tell.
    pub fn counts(&mut self) -> Result<Counts, Failure> {
        let Ok(firewall) = self.session.firewall_mut() else { return Ok(Counts::new()) };
        let counts = firewall.counters().map_err(Failure::usage)?;
        Ok(counts.into_iter().map(|count| (count.counter, count.total)).collect())
    }

    /// What policies are compiled for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What is loaded.
    pub fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    /// The model's own read-back of its tables.
    pub fn read_back(&self) -> Snapshot {
        self.model.snapshot()
    }

    /// What of the loaded policy's image is not in the adapter as it should be, and what is there beside it.
    ///
    /// # Errors
    /// An image whose maps cannot be written, which the compiler rules out.
    pub fn drift(&self) -> Result<Vec<String>, Failure> {
        let Some(compiled) = self.compiled() else { return Ok(Vec::new()) };
        let (image, held) = (compiled.image(), self.read_back());
        let mut drift = Vec::new();
        for (key, entry) in &image.rules {
            match held.rules.get(key) {
                None => drift.push(format!("entry {key} is gone")),
                Some(Entry { rx, tx, counter }) => {
                    let (asked, there) = ((entry.rx.action, entry.tx.action), (*rx, *tx));
                    if asked != there || entry.counter.is_some() != counter.is_some() {
                        drift.push(format!("entry {key} is rx {rx:?}, tx {tx:?}"));
                    }
                }
            }
        }
        let actions = |entry: &Entry| entry.rx != Action::None || entry.tx != Action::None;
        let beside = held.rules.iter().filter(|(key, entry)| actions(entry) && !image.rules.contains_key(key));
        drift.extend(beside.map(|(key, _)| format!("entry {key} is there unasked")));
        let sizes = &compiled.target().sizes;
        let trees =
            [("remote", &image.remote_ports, &held.remote_ports), ("local", &image.local_ports, &held.local_ports)];
        for (name, map, tree) in trees {
            let asked = map.as_ref().map(|map| map.tree(sizes)).transpose().map_err(Failure::usage)?;
            if asked.is_some() && asked != *tree {
                drift.push(format!("the {name} port-range tree differs"));
            }
        }
        let nodes = image.subnets.iter().flat_map(|map| &map.nodes);
        let missing = nodes.filter(|node| !held.subnet_nodes.contains(node));
        drift.extend(missing.map(|node| format!("subnet node {} differs", node.id)));
        Ok(drift)
    }

    /// Judges frames at one side of the adapter, wherever their MACs would steer them, and counts them.
    pub fn judge_all(&self, frames: &[Headers], side: Direction) -> Vec<Verdict> {
        let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; frames.len()];
        self.model.judge_all(frames, side, 0, &mut decisions);
        decisions.iter().map(|decision| decision.verdict).collect()
    }

    /// What the adapter is.
    pub fn info(&mut self) -> Option<AdapterInfo> {
        self.session.engine().ok().map(|adapter| adapter.info().clone())
    }
}

/// Loading into empty tables takes one command an entry, a node of the subnet map, and a port-range tree.
pub fn commands_to_load(image: &Image) -> usize {
    let nodes = image.subnets.as_ref().map_or(0, |map| map.nodes.len());
    let trees = usize::from(image.remote_ports.is_some()) + usize::from(image.local_ports.is_some());
    image.rules.len() + nodes + trees
}

/// The model's ends of the cables: frames in, frames out.
struct Cables(Model);

impl Switch for Cables {
    fn carry(&mut self, from: Place, frame: &[u8]) -> Carried {
        let from = match from {
            Place::Wire => nicfw_model::Place::Wire(0),
            Place::Function(index) => nicfw_model::Place::Host(index.into()),
        };
        // A frame too short for an Ethernet header goes nowhere, as on a wire.
        let Ok(crossing) = self.0.carry(from, frame) else { return Carried::default() };
        let place = |place: &nicfw_model::Place| match *place {
            nicfw_model::Place::Wire(_) => Some(Place::Wire),
            nicfw_model::Place::Host(index) => u16::try_from(index).ok().map(Place::Function),
        };
        Carried {
            reached: crossing.delivered.iter().filter_map(place).collect(),
            judged: crossing.judgements.iter().map(|judged| judged.direction).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use nicfw::tables::{RuleKey, TableOp};

    use super::*;
    use crate::demo::cast::Party;
    use crate::demo::policy::policy;

    #[test]
    fn what_somebody_else_writes_is_drift() {
        let mut adapter = Emulated::new(&[Party::Host.mac(), Party::Shop.mac(), Party::Db.mac()]).unwrap();
        adapter.load(&policy().unwrap()).unwrap();
        assert_eq!(adapter.drift().unwrap(), Vec::<String>::new());
        let base = RuleKey { local_ip: Some(Party::Shop.v4().into()), ..RuleKey::default() };
        let open = RuleKey { ether_type: Some(0x0800), ..base };
        for (key, action) in [(base, Action::None), (open, Action::Allow { sample: false })] {
            adapter
                .session
                .engine()
                .unwrap()
                .execute(&TableOp::SetRule { key, rx: action, tx: action, counter: None })
                .unwrap();
        }
        let drift = adapter.drift().unwrap();
        assert_eq!(drift, [format!("entry {base} is gone"), format!("entry {open} is there unasked")]);
    }
}
