//! An adapter, a journal and a process that change: what a workload begins with, what it does, and what comes after it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nicfw::adapter::{Adapter, AttachOptions};
use nicfw::clock::VirtualClock;
use nicfw::error::AdapterState;
use nicfw::firewall::{Adopt, ApplyError, AttachError, Firewall, ReserveError, Settings};
use nicfw::journal::{Journal, MemoryStore};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::terms::MacAddr;
use nicfw_model::engines::rules::EngineConfig;
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::command::command;
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::faults::probes::{Corners, decided, judged};
use nicfw_test_kit::faults::workloads::{Act, Workload};

use crate::witness::{Scene, Sentences, Witness, witness};

pub const ADAPTER: &str = "1924:0a03 02:00:00:00:00:01";

/// Containers are `shop-N`.
pub fn numbers(names: &[String]) -> Vec<u8> {
    names.iter().map(|name| name.trim_start_matches("shop-").parse().expect("shop-N")).collect()
}

/// A workload whose documents are parsed and compiled.
pub struct Prepared {
    pub workload: Workload,
    pub old: Compiled,
    pub new: Compiled,
    corners: Corners,
}

impl Prepared {
    pub fn new(workload: Workload) -> Self {
        let parse =
            |text: &str| Document::parse(text, "matrix.yaml").unwrap_or_else(|e| panic!("{}: {e}", workload.name));
        let (old, new) = (parse(&workload.old), parse(&workload.new));
        let model = model(EngineConfig::profile0());
        let target = adapter(&model, &Arc::new(VirtualClock::new())).expect("it attaches").target().clone();
        let old = Compiled::new(&old, &target, None).unwrap();
        let new = Compiled::new(&new, &target, Some(&old)).unwrap();
        let [before, after] = workload.closed;
        let corners = Corners::new((old.document(), before), (new.document(), after));
        Self { workload, old, new, corners }
    }
}

/// How an act ended, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// It failed, and the adapter is in this state.
    Failed(AdapterState),
    /// The adapter could not be taken over or left.
    Refused(String),
}

pub struct World<'a> {
    pub prepared: &'a Prepared,
    pub model: Model,
    pub scene: Rc<RefCell<Scene>>,
    pub firewall: Option<Firewall<Witness>>,
    clock: Arc<VirtualClock>,
    open: bool,
    /// The document that the change leads to.
    pub goal: &'a Compiled,
    /// What passes before and after, by what the documents say.
    pub before: Vec<bool>,
    pub after: Vec<bool>,
}

fn model(engine: EngineConfig) -> Model {
    let mut config = ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]);
    config.engine = engine;
    Model::new(config)
}

fn adapter(model: &Model, clock: &Arc<VirtualClock>) -> Result<Adapter, String> {
    Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default())
        .map_err(|e| e.to_string())
}

const fn ip(container: u8) -> std::net::IpAddr {
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 30, 1, container))
}

const fn mac(container: u8) -> MacAddr {
    MacAddr([2, 0, 10, 30, 1, container])
}

impl<'a> World<'a> {
    /// An adapter that holds the old document, all of it committed, and the process that put it there.
    ///
    /// # Errors
    /// The old document cannot be put there.
    pub fn new(prepared: &'a Prepared, engine: EngineConfig) -> Result<Self, String> {
        let probes = prepared.corners.some(&mut Dice::new(engine.seed));
        let model = model(engine);
        let (clock, store) = (Arc::new(VirtualClock::new()), MemoryStore::new());
        let Workload { closed, act, .. } = &prepared.workload;
        let before = decided(prepared.old.document(), closed[0], &probes);
        let after = decided(prepared.new.document(), closed[1], &probes);
        let scene = Scene {
            model: model.clone(),
            probes,
            store: store.clone(),
            sentences: None,
            violations: BTreeMap::new(),
            calls: 0,
            looks: 0,
            death: None,
            dead: false,
        };
        let scene = Rc::new(RefCell::new(scene));
        let engine = witness(adapter(&model, &clock)?, scene.clone());
        let journal = match act {
            // Another process, whose journal nobody has.
            Act::Adopt => Journal::in_memory(),
            _ => Journal::open(Box::new(store), ADAPTER, None).unwrap(),
        };
        let adopt = Adopt::of(&prepared.old).journal(journal).why("the beginning");
        let mut firewall = Firewall::adopt(engine, adopt, clock.clone(), Settings::default())
            .map_err(|refused| format!("the beginning: {}", refused.error))?;
        if *act == Act::Release {
            let reserved = firewall.reserve("shop-9", &[ip(9)], Some(mac(9)), "it comes");
            reserved.map_err(|e| format!("the beginning: {e}"))?;
        }
        clock_passes(&clock);
        firewall.commit_cache().map_err(|e| format!("the beginning: {e}"))?;
        let (goal, open) = (&prepared.new, false);
        let mut world = Self { prepared, model, scene, firewall: Some(firewall), clock, goal, open, before, after };
        if *act == Act::Recover {
            world.lose_a_command()?;
        }
        Ok(world)
    }

    /// The change that follows leads back.
    pub fn turn(&mut self) {
        let back = std::ptr::eq(self.goal, &self.prepared.new);
        self.goal = if back { &self.prepared.old } else { &self.prepared.new };
        std::mem::swap(&mut self.before, &mut self.after);
    }

    /// The change that has to be recovered from: its third command has no answer.
    fn lose_a_command(&mut self) -> Result<(), String> {
        let firewall = self.firewall.as_mut().expect("it has just begun");
        let change = firewall.plan(&self.prepared.new, "it is lost").map_err(|e| e.to_string())?;
        let cmd = command(&change.plan.steps[2].op);
        let before = change.plan.steps[..2].iter().filter(|step| command(&step.op) == cmd).count();
        let after = u32::try_from(before).expect("a short plan");
        self.model.inject(Fault { cmd: Some(cmd), after, kind: FaultKind::Hang { effect: true } });
        match firewall.apply(change) {
            Err(error) if error.state == AdapterState::Unknown => {}
            other => return Err(format!("the third command had no answer: {other:?}")),
        }
        Ok(())
    }

    /// Looks from here on: what may pass, and what must. `strict` = nothing may be dropped that both admit, but for these.
    pub fn watch(&mut self, strict: bool, closed: &[u8]) {
        let mut scene = self.scene.borrow_mut();
        let both = self.before.iter().zip(&self.after);
        let may = both.clone().map(|(before, after)| *before || *after).collect();
        let must = both
            .zip(&scene.probes)
            .map(|((before, after), probe)| strict && *before && *after && !closed.contains(&probe.container));
        let must = must.collect();
        scene.sentences = Some(Sentences { may: if self.open { vec![true; self.before.len()] } else { may }, must });
    }

    /// Does what the workload does, and everything may pass from here on: the management controller
    /// reboots, and has nothing committed to load.
    pub fn act_open(&mut self) -> Outcome {
        self.open = true;
        self.act()
    }

    /// A minute passes, and what the adapter holds becomes what a reboot of the management controller loads.
    ///
    /// # Errors
    /// The firewall finds something amiss.
    pub fn a_minute_passes(&mut self) -> Result<(), String> {
        clock_passes(&self.clock);
        let firewall = self.firewall.as_mut().ok_or("no process")?;
        let audit = firewall.poll().map_err(|e| e.to_string())?.audit;
        // What only opens is not committed by itself.
        firewall.commit_cache().map_err(|e| e.to_string())?;
        if audit.is_sound() { Ok(()) } else { Err(format!("{audit:?}")) }
    }

    /// Somebody has noticed the reboot: from here on the sentences count again.
    pub fn noticed(&mut self) {
        self.open = false;
        self.watch(false, &[]);
    }

    /// Does what the workload does.
    pub fn act(&mut self) -> Outcome {
        let (workload, new) = (&self.prepared.workload, self.goal);
        let strict = matches!(workload.act, Act::Apply | Act::Reserve | Act::Release | Act::Detach | Act::Attach);
        self.watch(strict, &[]);
        let Some(mut firewall) = self.firewall.take() else { return Outcome::Refused("no process".into()) };
        let outcome = match workload.act {
            Act::Apply => {
                let change = firewall.plan(new, "the change").unwrap();
                self.watch(true, &numbers(&change.closed_meanwhile));
                ended(firewall.apply(change))
            }
            Act::Reserve => match firewall.reserve("shop-9", &[ip(9)], Some(mac(9)), "it comes") {
                Err(ReserveError::Unprotected { source, .. }) => match source.downcast::<ApplyError>() {
                    Ok(error) => Outcome::Failed(error.state),
                    Err(error) => Outcome::Refused(error.to_string()),
                },
                other => Outcome::Refused(format!("{other:?}")).unless(other.is_ok()),
            },
            Act::Release => ended(firewall.release("shop-9", "it is gone")),
            Act::Recover => ended(firewall.recover()),
            Act::Adopt => {
                let (engine, _) = firewall.detach();
                drop(engine);
                return self.adopt(new);
            }
            Act::Attach => {
                drop(firewall.detach());
                let store = self.scene.borrow().store.clone();
                return match self.go_on(store) {
                    Ok(()) => Outcome::Done,
                    Err(error) => Outcome::Refused(error),
                };
            }
            Act::Detach => {
                let (engine, _) = firewall.detach();
                return match engine.engine.detach() {
                    Ok(()) => Outcome::Done,
                    Err(error) => Outcome::Refused(error.to_string()),
                };
            }
        };
        self.firewall = Some(firewall);
        outcome
    }

    fn adopt(&mut self, new: &Compiled) -> Outcome {
        let refused = |error: String| Outcome::Refused(error);
        let adapter = match adapter(&self.model, &self.clock) {
            Ok(adapter) => adapter,
            Err(error) => return refused(error),
        };
        let engine = witness(adapter, self.scene.clone());
        let store = self.scene.borrow().store.clone();
        let journal = match Journal::open(Box::new(store), ADAPTER, None) {
            Ok(journal) => journal,
            Err(error) => return refused(error.to_string()),
        };
        let adopt = Adopt::of(new).journal(journal).why("taken over");
        match Firewall::adopt(engine, adopt, self.clock.clone(), Settings::default()) {
            Ok(firewall) => {
                self.firewall = Some(firewall);
                Outcome::Done
            }
            Err(error) => refused(error.error.to_string()),
        }
    }

    /// Another process starts, alive and without a fault in its own, and goes on with what lies in a store.
    pub fn start(&mut self, store: MemoryStore) -> Result<(), String> {
        {
            let mut scene = self.scene.borrow_mut();
            (scene.dead, scene.death, scene.store) = (false, None, store.clone());
        }
        self.go_on(store)
    }

    fn go_on(&mut self, store: MemoryStore) -> Result<(), String> {
        self.firewall = None;
        let engine = witness(adapter(&self.model, &self.clock)?, self.scene.clone());
        let journal = Journal::open(Box::new(store), ADAPTER, None).map_err(|e| format!("journal: {e}"))?;
        match Firewall::attach(engine, journal, self.clock.clone(), Settings::default()) {
            Ok((firewall, _)) => {
                self.firewall = Some(firewall);
                Ok(())
            }
            Err(refused) => Err(match refused.error {
                AttachError::New => "new".to_owned(),
                other => format!("attach: {other}"),
            }),
        }
    }

    /// What passes.
    pub fn passes(&self) -> Vec<bool> {
        judged(&self.model, &self.scene.borrow().probes)
    }
}

/// Until the cache may be committed again.
fn clock_passes(clock: &VirtualClock) {
    clock.advance(Duration::from_secs(61));
}

fn ended<T>(result: Result<T, ApplyError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.state),
    }
}

impl Outcome {
    fn unless(self, fine: bool) -> Self {
        if fine { Self::Done } else { self }
    }
}
