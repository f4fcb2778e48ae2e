//! The firewall of one adapter: what it knows.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counters::Count;
use super::drive::Io;
use super::engine::Engine;
use super::held::HeldContent;
use crate::adapter::{AdapterError, RulesetVersion};
use crate::clock::Timestamp;
use crate::journal::Journal;
use crate::policy::{Document, Origin};
use crate::tables::{CompileError, Compiled, Image, OriginId, RuleKey, Target};

/// The firewall of one adapter.
pub struct Firewall<E> {
    /// Tells its changes from those of others.
    pub(super) id: FirewallId,
    pub(super) io: Io<E>,
    /// What the held image was made for.
    pub(super) target: Target,
    pub(super) commit_every: Duration,
    pub(super) held: HeldContent,
    pub(super) generation: u64,
    pub(super) version: Option<RulesetVersion>,
    /// What is in doubt; `Some` until recovery.
    pub(super) doubt: Option<Doubt>,
    /// The management controller has rebooted, and the tables were not loaded since.
    pub(super) rebooted: bool,
    /// Ids and nodes that the last change retired may be used from here on.
    pub(super) settled_at: Duration,
    /// When a change of this process has to be confirmed, by the clock that nobody sets.
    pub(super) confirm_by: Option<Duration>,
    pub(super) cache: Cache,
}

/// Names one firewall of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FirewallId(u64);

impl FirewallId {
    /// Another one than any before.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Which entries may be other than [`Held`] says.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Those that the change names.
    pub(super) keys: BTreeSet<RuleKey>,
    /// The change, if the journal has heard of it.
    pub(super) change: Option<u64>,
}

impl<E> fmt::Debug for Firewall<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, generation) = (self.held.image.rules.len(), self.generation);
        f.debug_struct("Firewall").field("generation", &generation).field("entries", &entries).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cache {
    /// A reboot would load other tables.
    pub(super) behind: bool,
    /// A reboot would load tables that are more open, or lack base denies.
    pub(super) wanted: bool,
    pub(super) committed_at: Option<Duration>,
}

impl<E: Engine> Firewall<E> {
    /// Reads all counters in use.
    ///
    /// # Errors
    /// [`AdapterError`]. The tables are unchanged; what was counted comes with the next reading.
    pub fn counters(&mut self) -> Result<Vec<Count>, AdapterError> {
        self.io.meters.counts(&mut self.io.engine, &self.held.image)
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
        self.io.date()
    }

    /// The adapter, for what concerns no rules.
    pub fn engine(&mut self) -> &mut E {
        &mut self.io.engine
    }

    /// What has happened to the adapter.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.io.journal
    }

    /// The journal, for queries.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.io.journal
    }

    /// True if it is not known what the adapter holds: [`Firewall::recover`] comes before anything else.
    #[must_use]
    pub fn needs_recovery(&self) -> bool {
        self.doubt.is_some()
    }

    /// What documents are compiled for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Lets go of the adapter. The rules stay (assumption A12), and with the journal the next process goes on.
    pub fn detach(mut self) -> (E, Journal) {
        if self.needs_recovery() {
            log::error!("detached from an adapter in an unknown state");
        }
        if let Err(error) = self.io.write_pending() {
            log::error!("how the last change ended is not in the journal: {error}");
        }
        (self.io.engine, self.io.journal)
    }
}
