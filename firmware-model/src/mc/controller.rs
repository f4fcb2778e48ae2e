//! The controller: what it knows, and what happens to all of it.

use nicfw::mcdi::wire::McErrno;

use super::completions::Completions;
use super::config::{FirmwareVariant, Switching};
use super::function::FunctionState;
use crate::engines::rules::Engine;
use crate::fault::Faults;
use crate::mac::PhysicalPort;
use crate::vnic::rebooted;

/// Self-tests that stop the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Offline {
    /// Not prepared: traffic passes.
    #[default]
    No,
    /// Prepared, or one is done: nothing passes until the MC reboots. What was started last, by its TYPE.
    Testing(Option<u32>),
}

/// The controller and what it controls.
#[derive(Debug)]
pub(crate) struct Mc {
    pub engine: Engine,
    pub functions: Vec<FunctionState>,
    pub faults: Faults,
    pub variant: FirmwareVariant,
    pub switching: Switching,
    /// Bound to a controller: ADMIN_TSA_UNBOUND is refused.
    pub bound: bool,
    /// The capability TX_MAC_SECURITY_FILTERING.
    pub tx_mac_filtering: bool,
    pub boot_count: u16,
    /// The physical ports, by their numbers.
    pub ports: Vec<PhysicalPort>,
    /// RULES_VERSION to report.
    pub rules_version: u32,
    /// Commands that were executed, by all functions.
    pub executed: u64,
    /// Handle of the next filter, over all functions.
    pub next_filter: u64,
    /// Number of the next RSS context, over all functions.
    pub next_context: u32,
    /// How often statistics were taken.
    pub generation: u32,
    /// Whether self-tests keep traffic from passing.
    pub offline: Offline,
}

impl Mc {
    /// The function of this number.
    pub fn own(&mut self, function: usize) -> Result<&mut FunctionState, McErrno> {
        self.functions.get_mut(function).ok_or(McErrno::ENOENT)
    }

    /// The function, with a vadaptor on this port.
    pub fn with_vadaptor(&mut self, function: usize, port: u32) -> Result<&mut FunctionState, McErrno> {
        let own = self.own(function)?;
        own.vadaptor = Some(own.vadaptor_to_use(port)?);
        Ok(own)
    }

    /// Reboots the MC: see ef10.md 4.7 and assumptions A12, A14. Drivers are told before their queues are gone.
    pub fn reboot(&mut self) {
        self.boot_count = self.boot_count.wrapping_add(1);
        self.engine.reboot();
        self.offline = Offline::No;
        for function in 0..self.functions.len() {
            self.tell(function, rebooted(self.boot_count));
        }
        for function in &mut self.functions {
            function.epoch = false;
            function.attached = 0;
            function.free();
        }
    }

    /// Resets a function (FLR): what it holds is freed, its rules stay (assumption A12).
    pub fn reset_function(&mut self, function: usize) {
        if let Some(own) = self.functions.get_mut(function) {
            own.epoch = false;
            own.attached = 0;
            own.completions = Completions::default();
            own.free();
        }
        self.engine.function_reset(function);
    }

    /// Sends an event to the queue that a function's driver has chosen for the MC's events.
    pub fn tell(&mut self, function: usize, event: u64) {
        if let Some(own) = self.functions.get_mut(function) {
            own.vnic.notify(own.events_to, event);
        }
    }

    /// The port behind a function.
    pub fn port_of(&mut self, function: usize) -> Result<&mut PhysicalPort, McErrno> {
        let port = self.functions.get(function).map(|own| own.config.port).ok_or(McErrno::ENOENT)?;
        usize::try_from(port).ok().and_then(|port| self.ports.get_mut(port)).ok_or(McErrno::ENODEV)
    }

    /// Whether a physical port has this number.
    pub fn has_port(&self, port: u32) -> bool {
        usize::try_from(port).is_ok_and(|port| port < self.ports.len())
    }
}
