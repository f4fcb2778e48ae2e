//! What the firewall needs of an adapter.

use crate::mcdi::McdiError;
use crate::mcdi::cmd::ruleset::{Override, RulesetVersion};
use crate::tables::{CounterId, TableOp, Target};

/// The rules engine of one adapter, as its driver offers it. Each function but [`Engine::target`] and
/// [`Engine::counter_bits`] is made of commands, and fails as [`McdiError`] says: [`McdiError::had_no_effect`] tells whether
/// the adapter is as it was.
pub trait Engine {
    /// How the engine works and how large its tables are.
    fn target(&self) -> &Target;
    /// Changes the tables by one command.
    ///
    /// # Errors
    /// See [`McdiError`].
    fn execute(&mut self, op: &TableOp) -> Result<(), McdiError>;
    /// Puts a fixed verdict in the place of the rules, or the rules back.
    ///
    /// # Errors
    /// See [`McdiError`].
    fn set_override(&mut self, state: Override) -> Result<(), McdiError>;
    /// Drops all rules.
    ///
    /// # Errors
    /// See [`McdiError`].
    fn reset_rules(&mut self) -> Result<(), McdiError>;
    /// The hash over all rules and maps.
    ///
    /// # Errors
    /// See [`McdiError`].
    fn version(&mut self) -> Result<RulesetVersion, McdiError>;
    /// Makes the tables what a reboot of the management controller loads.
    ///
    /// # Errors
    /// See [`McdiError`].
    fn commit_cache(&mut self) -> Result<(), McdiError>;
    /// Bits of a counter; it wraps.
    fn counter_bits(&self) -> u32;
    /// Reads counter pairs without clearing them: (received, transmitted), in the order of the ids.
    ///
    /// # Errors
    /// See [`McdiError`].
    fn read_counters(&mut self, ids: &[CounterId]) -> Result<Vec<(u64, u64)>, McdiError>;
    /// Makes the command channel usable again. True if the management controller has rebooted since it was last used.
    ///
    /// # Errors
    /// See [`McdiError`]; the channel stays unusable.
    fn restart(&mut self) -> Result<bool, McdiError>;
}
