//! The firewall of one adapter: puts images into its tables, changes them step by step, and knows what they hold.
//!
//! The way of the data: a document and its image -> [`Firewall::plan`] -> [`Change`] -> [`Firewall::apply`], which writes
//! what it is about to do to the journal, sends one command a step, undoes what it has sent if one is refused, and
//! writes how it ended. [`Firewall::attach`] goes on from there in the next process; where no journal knows what the adapter
//! holds, [`Firewall::adopt`] drops it, under an override that blocks all traffic meanwhile.
//!
//! # What a failure leaves
//! Never "partly". A refused command is undone with all before it: *unchanged*. Where undoing is refused too, the bindings
//! concerned lose all their allows: *closed*. A command without an answer may have taken effect or not: *unknown*, and
//! nothing but [`Firewall::recover`] is accepted, which sends every entry in question again. A process that dies leaves a
//! change in the journal that began and did not end; the next one treats it as unknown.
//!
//! # Who decides and who acts
//! `machine` says what a course is: it decides, without any I/O. `apply` and `script` are the courses, `drive`
//! acts for them. What they need of the world (adapter, journal, clock) is injected.
//!
//! # Containers that come and go
//! [`Firewall::reserve`] puts the base denies of a container in place before it starts; a document that binds it gives it
//! its allows. What a document no longer gives to a container is reserved for it: it loses its allows and keeps its base
//! denies until [`Firewall::release`], so that one that still runs stays closed. Reservations add up, and nothing else ends
//! them.
//!
//! # Confirmed changes
//! A change with [`Change::confirm_within`] is rolled back unless [`Firewall::confirm`] comes in time. The deadline is in
//! the journal: whoever attaches after it rolls back. Until then no other change but reserving and releasing is accepted.
//!
//! # The adapter's cache
//! A reboot of the management controller loads what was committed last. It is committed, at most every
//! [`Settings::commit_every`], after base denies of new bindings and after each tightening that nobody has to confirm any
//! more. So a reboot can show a set that is older by this time, and by the time that a change waits for confirmation.

mod apply;
mod attach;
mod change;
mod counters;
mod drive;
mod engine;
mod error;
mod held;
mod machine;
mod names;
mod observed;
mod reserve;
mod script;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use attach::{Adopt, Found, Recovery};
pub use change::Change;
pub use counters::Count;
pub use engine::Engine;
pub use error::{
    AdoptError, ApplyCause, ApplyError, AttachError, AuditError, ConfirmError, Holding, PollError, Refused,
    ReserveError, WithdrawError,
};
pub use observed::{Call, Observed, Observer};
pub use reserve::{Reserved, StillHeld};
pub use watch::{Audit, Look, Poll, Tables, look};

use crate::adapter::{AdapterError, RulesetVersion};
use crate::clock::Timestamp;
use crate::journal::Journal;
use crate::policy::{Document, Origin};
use crate::tables::{CompileError, Compiled, Image, OriginId, RuleKey, Target};
use drive::Hands;
use held::Held;

/// Times that a firewall keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a frame can be in flight between two tables: between tightening and loosening this time passes.
    pub grace: Duration,
    /// The adapter's cache is committed no more often than this.
    pub commit_every: Duration,
}

impl Default for Settings {
    /// A grace time of 10 ms; the cache at most once a minute.
    fn default() -> Self {
        Self { grace: Duration::from_millis(10), commit_every: Duration::from_secs(60) }
    }
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Commands that changed the tables.
    pub commands: usize,
    /// How often the grace time passed.
    pub pauses: usize,
    /// Containers whose flows may have been denied meanwhile although old and new policy allow them, sorted.
    pub closed_meanwhile: Vec<String>,
    /// What it reserved.
    pub reserves: Vec<Reserved>,
    /// After [`Firewall::reserve`]: addresses of it that the document opens.
    pub open: Vec<StillHeld>,
    /// After [`Firewall::release`]: addresses of it that somebody else holds.
    pub still_held: Vec<StillHeld>,
    /// Generation of the tables; each change of them makes a later one.
    pub generation: u64,
    /// Number of the change in the journal: what [`Firewall::rollback`] takes.
    pub change: Option<u64>,
    /// The adapter's hash over its tables; `None` if it could not be read.
    pub version: Option<RulesetVersion>,
    /// True if a reboot of the management controller would load older tables: the cache was not committed yet.
    pub cache_behind: bool,
}

/// The firewall of one adapter.
pub struct Firewall<E> {
    hands: Hands<E>,
    /// What the held image was made for.
    target: Target,
    commit_every: Duration,
    held: Held,
    generation: u64,
    version: Option<RulesetVersion>,
    /// What is in doubt; `Some` until recovery.
    doubt: Option<Doubt>,
    /// The management controller has rebooted, and the tables were not loaded since.
    rebooted: bool,
    /// Ids and nodes that the last change retired may be used from here on.
    settled_at: Duration,
    /// When a change of this process has to be confirmed, by the clock that nobody sets.
    confirm_by: Option<Duration>,
    cache: Cache,
}

/// Which entries may be other than [`Held`] says.
#[derive(Debug, Default)]
struct Doubt {
    /// Those that the change names.
    keys: BTreeSet<RuleKey>,
    /// The change, if the journal has heard of it.
    change: Option<u64>,
}

impl<E> fmt::Debug for Firewall<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, generation) = (self.held.image.rules.len(), self.generation);
        f.debug_struct("Firewall").field("generation", &generation).field("entries", &entries).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cache {
    /// A reboot would load other tables.
    behind: bool,
    /// A reboot would load tables that are more open, or lack base denies.
    wanted: bool,
    committed_at: Option<Duration>,
}

impl<E: Engine> Firewall<E> {
    /// Reads all counters in use.
    ///
    /// # Errors
    /// [`AdapterError`]. The tables are unchanged; what was counted comes with the next reading.
    pub fn counters(&mut self) -> Result<Vec<Count>, AdapterError> {
        self.hands.meters.counts(&mut self.hands.engine, &self.held.image)
    }

    /// The document whose image the tables hold.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.held.source.document
    }

    /// The compilation that the tables hold, for compiling a changed document beside it: then ids and counters stay, and
    /// the change is as short as it can be. `None` if this version of nicfw compiles the document otherwise than the one
    /// that loaded it.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn compiled(&self) -> Result<Option<Compiled>, CompileError> {
        Compiled::resume(&self.held.source.document, &self.target, &self.held.source.image)
    }

    /// The content of the tables: the document's image, base denies that are kept, less what a failed change has closed.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.held.image
    }

    /// Who asked for an entry of [`Firewall::image`].
    #[must_use]
    pub fn origin(&self, id: OriginId) -> Option<&Arc<Origin>> {
        self.held.source.origins.get(&id)
    }

    /// The date by which deadlines and `until` are decided: the later of the clock and of the journal's last record.
    #[must_use]
    pub fn date(&self) -> Timestamp {
        self.hands.date()
    }

    /// The adapter, for what concerns no rules.
    pub fn engine(&mut self) -> &mut E {
        &mut self.hands.engine
    }

    /// What has happened to the adapter.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.hands.journal
    }

    /// The journal, for queries.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.hands.journal
    }

    /// What documents are compiled for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Lets go of the adapter. The rules stay (assumption A12), and with the journal the next process goes on.
    pub fn detach(mut self) -> (E, Journal) {
        if self.doubt.is_some() {
            log::error!("detached from an adapter in an unknown state");
        }
        if let Err(error) = self.hands.pay() {
            log::error!("how the last change ended is not in the journal: {error}");
        }
        (self.hands.engine, self.hands.journal)
    }
}
