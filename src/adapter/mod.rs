//! One adapter through one of its functions: attach with every check, then operations on its tables.
//!
//! [`Adapter::from_device`] reads the firmware version, the running variant, the function and its privileges, and the sizes
//! of the security tables, and refuses what nicfw cannot work with, each with an [`AttachError`] of its own. It changes the
//! firmware variant only when told to. What it learned is [`AdapterInfo`] for people and [`Target`] for the compiler.

mod attach;
mod error;
mod info;
#[cfg(feature = "raw")]
pub mod rules;
#[cfg(not(feature = "raw"))]
mod rules;
#[cfg(test)]
mod tests;

pub use attach::{AttachError, AttachOptions};
pub use error::AdapterError;
pub use info::{AdapterInfo, FirmwareVariant};

pub use crate::mcdi::McdiError;
pub use crate::mcdi::cmd::function::{FirmwareVersion, FunctionId};
pub use crate::mcdi::cmd::ruleset::{Override, RulesetVersion};
pub use crate::mcdi::wire::{Cmd, McErrno, Privileges};

use std::sync::Arc;

use crate::adapter::rules::counters::CounterTotals;
use crate::adapter::rules::{counters, ops};
use crate::clock::Clock;
use crate::device::Device;
use crate::mcdi::cmd::ruleset::CacheOp;
use crate::mcdi::cmd::{function, ruleset};
use crate::mcdi::{Channel, completions};

use crate::tables::{CounterId, CounterValue, TableOp, Target};
use attach::Attached;

/// An adapter that nicfw drives, through a function that it owns.
///
/// Rules stay in the adapter when the value is dropped; so does the mark that a driver is attached, unless
/// [`Adapter::detach`] takes it away.
#[derive(Debug)]
pub struct Adapter {
    channel: Channel,
    device: Box<dyn Device>,
    options: AttachOptions,
    attached: Attached,
    /// Boots of the management controller when it was attached.
    attached_at_boot: u32,
    totals: CounterTotals,
}

/// What [`Adapter::recover`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// The management controller has rebooted: the tables hold the committed cache, or a default set that nobody has
    /// described, and all counters and the override state are lost.
    pub rebooted: bool,
    /// [`Adapter::target`] differs from the one before: what was compiled for it does not fit.
    pub target_changed: bool,
}

impl Adapter {
    /// Attaches to the adapter behind `device`.
    ///
    /// # Errors
    /// See [`AttachError`]. The adapter's tables are unchanged, and the function is left as it was found; only a firmware
    /// variant that was switched stays switched.
    pub fn from_device(
        device: Box<dyn Device>,
        clock: Arc<dyn Clock>,
        options: AttachOptions,
    ) -> Result<Self, AttachError> {
        attach::check_id(device.pci_id())?;
        let mut channel = Channel::open(&*device, clock, options.timeout)?;
        let attached = attach::attach(&mut channel, device.pci_id(), &options)?;
        connect(&mut channel, &*device)?;
        let totals = CounterTotals::new(attached.info.counter_width);
        log::info!("attached to {}", attached.info);
        let attached_at_boot = channel.boot_count();
        Ok(Self { channel, device, options, attached, attached_at_boot, totals })
    }

    /// What the adapter is.
    #[must_use]
    pub fn info(&self) -> &AdapterInfo {
        &self.attached.info
    }

    /// What a document is compiled for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.attached.target
    }

    /// How often the management controller has booted, as it counts: another count than before means a reboot.
    #[must_use]
    pub fn boot_count(&self) -> u16 {
        u16::try_from(self.channel.boot_count() & 0xffff).unwrap_or_default()
    }

    /// Carries out one table operation: one command.
    ///
    /// # Errors
    /// See [`AdapterError`]: [`AdapterError::state`] tells whether the tables are unchanged or unknown.
    pub fn execute(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        Ok(ops::execute(&mut self.channel, &self.attached.target, op)?)
    }

    /// Allocates up to `count` counter pairs, whose totals begin at zero. Returns fewer when the adapter has no more.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged; pairs that came before the error may stay allocated.
    pub fn alloc_counters(&mut self, count: usize) -> Result<Vec<CounterId>, AdapterError> {
        let ids = counters::alloc(&mut self.channel, count)?;
        let totals = &mut self.totals;
        if let Err(error) = counters::read(&mut self.channel, &ids, |id, held| totals.begin(id, held)) {
            self.free_counters(&ids).unwrap_or_else(|also| log::warn!("counters stay allocated: {also}"));
            return Err(error.into());
        }
        Ok(ids)
    }

    /// Frees counter pairs. No entry may use them any more.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged; some of the pairs may be free.
    pub fn free_counters(&mut self, ids: &[CounterId]) -> Result<(), AdapterError> {
        ids.iter().for_each(|id| self.totals.forget(*id));
        Ok(counters::free(&mut self.channel, ids)?)
    }

    /// Frees all counter pairs, whoever allocated them: an adapter keeps them when its rules are dropped. No entry may use
    /// one any more.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged; some of the pairs may be free.
    pub fn reclaim_counters(&mut self) -> Result<(), AdapterError> {
        self.totals = CounterTotals::new(self.attached.info.counter_width);
        Ok(counters::reclaim(&mut self.channel, self.attached.target.profile.counters)?)
    }

    /// Totals of counter pairs, in the order of `ids`. Nothing is cleared, wraps are added up, and a total goes on over an MC
    /// reboot. A pair that this value did not allocate counts from what the adapter has counted so far.
    ///
    /// # Errors
    /// See [`AdapterError`]. The adapter is unchanged.
    pub fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<CounterValue>, AdapterError> {
        let mut values = Vec::with_capacity(ids.len());
        let totals = &mut self.totals;
        counters::read(&mut self.channel, ids, |id, held| values.push(totals.add(id, held)))?;
        Ok(values)
    }

    /// Lets something else than the rules decide, or the rules again. The rules stay as they are.
    ///
    /// # Errors
    /// See [`AdapterError`].
    pub fn set_override(&mut self, state: Override) -> Result<(), AdapterError> {
        log::info!("override: {state:?}");
        Ok(ruleset::set_override(&mut self.channel, state)?)
    }

    /// Drops the rules of all physical ports. Until others are written the adapter lets everything pass (assumption A3),
    /// unless [`Adapter::set_override`] blocks it.
    ///
    /// # Errors
    /// See [`AdapterError`].
    pub fn reset_rules(&mut self) -> Result<(), AdapterError> {
        log::info!("all rules dropped");
        Ok(ruleset::reset_rules(&mut self.channel)?)
    }

    /// Hash over all rules and maps that are active.
    ///
    /// # Errors
    /// See [`AdapterError`]. The adapter is unchanged.
    pub fn ruleset_version(&mut self) -> Result<RulesetVersion, AdapterError> {
        Ok(ruleset::get_version(&mut self.channel)?)
    }

    /// Makes the active set the one that an MC reboot loads.
    ///
    /// # Errors
    /// See [`AdapterError`]: on an unknown state it is the cache that is unknown, the active set is unchanged.
    pub fn commit_cache(&mut self) -> Result<(), AdapterError> {
        ruleset::manage_cache(&mut self.channel, CacheOp::Commit)?;
        Ok(())
    }

    /// Hash of the set that an MC reboot loads, `None` if it loads a default set.
    ///
    /// # Errors
    /// See [`AdapterError`]. The adapter is unchanged.
    pub fn cached_version(&mut self) -> Result<Option<RulesetVersion>, AdapterError> {
        Ok(ruleset::manage_cache(&mut self.channel, CacheOp::GetVersion)?)
    }

    /// True if the adapter announces replies by interrupts; otherwise they are polled.
    #[must_use]
    pub fn has_interrupts(&self) -> bool {
        self.channel.has_interrupts()
    }

    /// True if operations fail at once until [`Adapter::recover`].
    #[must_use]
    pub fn needs_recovery(&self) -> bool {
        self.channel.is_poisoned()
    }

    /// Makes the adapter usable again after a lost command or an MC reboot, by attaching anew.
    ///
    /// What the tables hold afterwards is not known to be what it was: compare [`Adapter::ruleset_version`], or write again.
    ///
    /// # Errors
    /// See [`AttachError`]. The adapter stays unusable; recovering can be tried again.
    pub fn recover(&mut self) -> Result<Recovered, AttachError> {
        let again = |adapter: &mut Self| -> Result<Attached, AttachError> {
            adapter.channel.restart()?;
            let attached = attach::attach(&mut adapter.channel, adapter.device.pci_id(), &adapter.options)?;
            connect(&mut adapter.channel, &*adapter.device)?;
            Ok(attached)
        };
        let attached = again(self).or_else(|error| {
            if !self.channel.is_poisoned() {
                return Err(error);
            }
            // Cancelling was not enough: reset the function. Rules survive that (assumption A12).
            log::warn!("recovering failed, the function is reset: {error}");
            self.device.reset().map_err(McdiError::from)?;
            again(self)
        })?;
        // Not since this call: an earlier one may have met the new boot and failed.
        let rebooted = self.channel.boot_count() != self.attached_at_boot;
        if rebooted {
            self.totals.restart();
        }
        let target_changed = attached.target != self.attached.target;
        (self.attached, self.attached_at_boot) = (attached, self.channel.boot_count());
        log::info!("recovered, MC rebooted: {rebooted}");
        Ok(Recovered { rebooted, target_changed })
    }

    /// Takes leave of the adapter. Its rules stay and go on deciding.
    ///
    /// # Errors
    /// See [`AdapterError`]. The tables are unchanged.
    pub fn detach(mut self) -> Result<(), AdapterError> {
        log::info!("detached from {}", self.attached.info);
        if self.channel.has_interrupts() {
            completions::release(&mut self.channel)?;
        }
        Ok(function::detach(&mut self.channel)?)
    }
}

/// Completion events where the function can have them. Polling does as well, so only a channel that is lost is an error.
fn connect(channel: &mut Channel, device: &dyn Device) -> Result<(), AttachError> {
    match completions::connect(channel, device) {
        Err(error) if channel.is_poisoned() => Err(error.into()),
        Err(error) => {
            log::warn!("replies are polled, no interrupts: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
