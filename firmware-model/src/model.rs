//! The adapter as a whole: functions for drivers, ports for frames, and the test bench's view of the inside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nicfw::adapter::Override;
use nicfw::tables::CounterId;
use nicfw::terms::Direction;

use crate::crossing::{Crossing, Place};
use crate::device::{ModelCore, ModelFunction};
use crate::engines::batch::BatchEngine;
use crate::engines::rules::{Decision, Engine, EngineConfig, Judgement, ProbeLimit, Snapshot};
use crate::fault::{Fault, Faults};
use crate::mac::PhysicalPort;
use crate::mc::{FirmwareVariant, FunctionConfig, FunctionState, Holdings, Mc, Offline, Switching};
use crate::packet::{Headers, Runt, parse};
use crate::pci::endpoint::Endpoint;
use crate::pipeline;
use crate::state::{Shared, State, Wire, lock};
use crate::tally::{FlowId, Tallies, Watched, WatchedFlow};

/// What an adapter is made of.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// How the rules engine works.
    pub engine: EngineConfig,
    /// RULES_VERSION that the adapter reports.
    pub rules_version: u32,
    /// Number of physical ports.
    pub physical_ports: u32,
    /// Its functions, in the order of their numbers here.
    pub functions: Vec<FunctionConfig>,
    /// The firmware variant that runs at first.
    pub variant: FirmwareVariant,
    /// Whether attaching may switch it.
    pub switching: Switching,
    /// Bound to a controller.
    pub bound: bool,
    /// Whether a function may send with its own MACs alone, unless it has the privilege for others. Off, so that the rules are
    /// judged by every frame.
    pub tx_mac_filtering: bool,
}

impl ModelConfig {
    /// Two ports, the rules engine under profile 0, and these functions.
    #[must_use]
    pub fn new(functions: Vec<FunctionConfig>) -> Self {
        Self {
            engine: EngineConfig::profile0(),
            rules_version: 0,
            physical_ports: 2,
            functions,
            variant: FirmwareVariant::RulesEngine,
            switching: Switching::Fixed,
            bound: false,
            tx_mac_filtering: false,
        }
    }
}

/// An adapter. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
}

impl Model {
    /// An adapter with empty tables, switched on.
    #[must_use]
    pub fn new(config: ModelConfig) -> Self {
        let mc = Mc {
            engine: Engine::new(config.engine),
            functions: config.functions.into_iter().map(FunctionState::new).collect(),
            faults: Faults::default(),
            variant: config.variant,
            switching: config.switching,
            bound: config.bound,
            tx_mac_filtering: config.tx_mac_filtering,
            boot_count: 1,
            ports: (0..config.physical_ports).map(|_| PhysicalPort::default()).collect(),
            rules_version: config.rules_version,
            executed: 0,
            next_filter: 1,
            next_context: 0,
            generation: 0,
            offline: Offline::No,
        };
        let (wires, buffers, watched) = (BTreeMap::new(), BTreeMap::new(), Watched::default());
        let batch = BatchEngine::new();
        Self { shared: Arc::new(Mutex::new(State { mc, batch, wires, buffers, watched })) }
    }

    /// A function for a driver, by its number in [`ModelConfig::functions`]; a number that none has is a function that is
    /// gone from the bus.
    #[must_use]
    pub fn function(&self, index: usize) -> ModelFunction {
        ModelFunction::new(Arc::clone(&self.shared), index)
    }

    /// The same function with its PCI side, for a driver that is attached by a vfio-user socket.
    #[must_use]
    pub fn endpoint(&self, index: usize) -> Endpoint<ModelCore> {
        let core = ModelCore::new(Arc::clone(&self.shared), index);
        Endpoint::new(core.identity(), core)
    }

    /// Plugs something into the wire of a physical port: it gets the frames that leave there, as they leave. Frames that
    /// come in by it go to [`Model::carry`].
    pub fn plug(&self, port: u32, wire: Wire) {
        lock(&self.shared).wires.insert(port, wire);
    }

    /// Plugs the cable of a physical port in, or pulls it. A port has its cable at first; drivers are told of changes.
    pub fn set_cable(&self, port: u32, plugged: bool) {
        lock(&self.shared).mc.set_cable(port, plugged);
    }

    /// Time has passed, in milliseconds: what the firmware does again and again is done where it is due. The model has no
    /// clock of its own.
    pub fn elapse(&self, ms: u32) {
        lock(&self.shared).mc.elapse(ms);
    }

    /// Carries a frame that came in at `from` through the adapter: steer, judge, deliver.
    ///
    /// # Errors
    /// [`Runt`]; nothing was judged or counted.
    pub fn carry(&self, from: Place, frame: &[u8]) -> Result<Crossing, Runt> {
        let headers = parse(frame)?;
        Ok(pipeline::carry(&mut lock(&self.shared), from, headers, frame))
    }

    /// Counts from here on how the frames of a flow are judged that go through the adapter.
    #[must_use]
    pub fn watch(&self, flow: WatchedFlow) -> FlowId {
        lock(&self.shared).watched.add(flow)
    }

    /// How the frames of a flow were judged since it is watched; `None` for a flow of another adapter.
    #[must_use]
    pub fn tallies(&self, flow: FlowId) -> Option<Tallies> {
        lock(&self.shared).watched.tallies(flow)
    }

    /// Judges a frame in one direction at a physical port, wherever its MACs would steer it, and counts it.
    ///
    /// # Errors
    /// [`Runt`]; nothing was judged or counted.
    pub fn judge(&self, frame: &[u8], direction: Direction, physical_port: u32) -> Result<Judgement, Runt> {
        let headers = parse(frame)?;
        Ok(lock(&self.shared).mc.engine.judge(&headers, direction, physical_port))
    }

    /// Judges frames in one direction at a physical port, as [`Self::judge`] does each, and counts them: see
    /// [`BatchEngine::judge_all`].
    pub fn judge_all(&self, frames: &[Headers], direction: Direction, physical_port: u32, decisions: &mut [Decision]) {
        let State { mc, batch, .. } = &mut *lock(&self.shared);
        batch.judge_all(&mut mc.engine, frames, direction, physical_port, decisions);
    }

    /// A decision of [`Self::judge_all`] in full, until a command changes the tables.
    #[must_use]
    pub fn judgement(&self, decision: Decision) -> Judgement {
        lock(&self.shared).mc.engine.judgement(decision)
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared).mc.faults.add(fault);
    }

    /// Faults that have not gone off.
    #[must_use]
    pub fn faults_waiting(&self) -> usize {
        lock(&self.shared).mc.faults.waiting()
    }

    /// Reboots the MC.
    pub fn reboot(&self) {
        lock(&self.shared).mc.reboot();
    }

    /// From here on the rule table takes so many entries, and its hash gives up there. What it holds stays.
    pub fn limit_rules(&self, entries: u32, probe: Option<ProbeLimit>) {
        lock(&self.shared).mc.engine.limit_rules(entries, probe);
    }

    /// Forgets what a reboot of the MC would load.
    pub fn invalidate_cache(&self) {
        lock(&self.shared).mc.engine.invalidate_cache();
    }

    /// Reads all tables back.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.shared).mc.engine.snapshot()
    }

    /// Reads a counter pair, transmitted frames first.
    #[must_use]
    pub fn counter(&self, id: CounterId) -> Option<(u64, u64)> {
        lock(&self.shared).mc.engine.counter(id)
    }

    /// Sets a counter pair, transmitted frames first.
    pub fn preset_counter(&self, id: CounterId, tx: u64, rx: u64) {
        lock(&self.shared).mc.engine.preset_counter(id, tx, rx);
    }

    /// The override that is on.
    #[must_use]
    pub fn overridden(&self) -> Override {
        lock(&self.shared).mc.engine.overridden()
    }

    /// What a function holds of the adapter; nothing if there is no such function.
    #[must_use]
    pub fn held(&self, function: usize) -> Holdings {
        lock(&self.shared).mc.functions.get(function).map(FunctionState::held).unwrap_or_default()
    }

    /// The firmware variant that runs.
    #[must_use]
    pub fn variant(&self) -> FirmwareVariant {
        lock(&self.shared).mc.variant
    }

    /// What the controller makes of something that no driver could ask for.
    #[cfg(test)]
    pub(crate) fn with_mc<T>(&self, ask: impl FnOnce(&mut Mc) -> T) -> T {
        ask(&mut lock(&self.shared).mc)
    }

    /// Commands that were executed so far, by all functions; refused ones count only if a command's own checks refused them.
    #[must_use]
    pub fn commands_executed(&self) -> u64 {
        lock(&self.shared).mc.executed
    }
}
