//! What a change did, and what is reserved.

use std::time::Duration;

use crate::adapter::RulesetVersion;
use crate::journal::Addresses;

/// Times that a firewall keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How long a frame can be in flight between two tables: between tightening and loosening this time passes.
    pub grace: Duration,
    /// The adapter's cache is committed no more often than this.
    pub commit_every: Duration,
}

impl Settings {
    /// These times.
    #[must_use]
    pub const fn new(grace: Duration, commit_every: Duration) -> Self {
        Self { grace, commit_every }
    }
}

impl Default for Settings {
    /// A grace time of 10 ms; the cache at most once a minute.
    fn default() -> Self {
        Self { grace: Duration::from_millis(10), commit_every: Duration::from_secs(60) }
    }
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Commands that changed the tables.
    pub commands: usize,
    /// How often the grace time passed.
    pub pauses: usize,
    /// Containers whose flows may have been denied meanwhile although old and new policy allow them, sorted.
    pub closed_meanwhile: Vec<String>,
    /// What it reserved.
    pub reserves: Vec<Reserved>,
    /// After [`Firewall::reserve`](super::Firewall::reserve): addresses of it that the document opens.
    pub open: Vec<StillHeld>,
    /// After [`Firewall::release`](super::Firewall::release): addresses of it that somebody else holds.
    pub still_held: Vec<StillHeld>,
    /// Generation of the tables; each change of them makes a later one.
    pub generation: u64,
    /// Number of the change in the journal: what [`Firewall::rollback`](super::Firewall::rollback) takes.
    pub change: Option<u64>,
    /// Family of the tables that were changed, as in [`Target::FAMILY`](crate::tables::Target::FAMILY).
    pub family: &'static str,
    /// The adapter's hash over its tables; `None` if it could not be read.
    pub fingerprint: Option<RulesetVersion>,
    /// True if a reboot of the management controller would load older tables: the cache was not committed yet.
    pub cache_behind: bool,
}

/// What a change reserves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserved {
    /// For whom.
    pub container: String,
    /// Addresses that are closed until its release, unless a policy binds them.
    pub addresses: Addresses,
    /// Entries of the rule table that they take.
    pub entries: usize,
}

/// An address that is not what it seems after a reservation or a release.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillHeld {
    /// The IP or MAC, in words.
    pub address: String,
    /// The container that the policy binds to it; the policy decides about it.
    pub bound: Option<String>,
    /// Containers for which it is reserved.
    pub reserved: Vec<String>,
}
