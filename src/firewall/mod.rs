//! The firewall of one adapter: puts images into its tables, changes them step by step, and knows what they hold.
//!
//! The way of the data: a document and its image -> [`Firewall::plan`] -> [`Change`] -> [`Firewall::apply`], which sends one
//! command a step and undoes what it has sent if one is refused. [`Firewall::attach`] begins: since tables cannot be read
//! back, it drops what the adapter held, under an override that blocks all traffic meanwhile.
//!
//! # What a failure leaves
//! Never "partly". A refused command is undone with all before it: *unchanged*. Where undoing is refused too, the bindings
//! concerned lose all their allows: *closed*. A command without an answer may have taken effect or not: *unknown*, and
//! nothing but [`Firewall::recover`] is accepted, which sends every entry in question again.
//!
//! # Containers that come and go
//! [`Firewall::reserve`] puts the base denies of a container in place before it starts; a document that binds it gives it
//! its allows. A container that a document no longer names loses them and keeps its base denies until
//! [`Firewall::release`], so that one that still runs stays closed.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod apply;
mod counters;
mod engine;
mod error;
mod held;
mod names;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use counters::Count;
pub use engine::Engine;
pub use error::{AdoptError, ApplyCause, ApplyError, ReserveError};
pub use takeover::Adopt;

use crate::clock::Clock;
use crate::nic::{AdapterError, RulesetVersion};
use crate::policy::plan::{Plan, PlanError};
use crate::policy::{Compiled, Document, Image, Origin, OriginId};
use crate::tables::{MacAddr, Target};
use counters::Meters;
use held::{Addresses, Held, Source, with_denies};

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

/// A planned change. It is good for the content that it was planned for, and for no other.
#[derive(Debug, Clone)]
pub struct Change {
    /// The commands.
    pub plan: Plan,
    /// Containers whose flows may be denied meanwhile although old and new policy allow them, sorted.
    pub closed_meanwhile: Vec<String>,
    reason: String,
    generation: u64,
    goal: Held,
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
    /// Generation of the tables; each change of them makes the next one.
    pub generation: u64,
    /// The adapter's hash over its tables; `None` if it could not be read.
    pub version: Option<RulesetVersion>,
    /// True if a reboot of the management controller would load older tables: the cache was not committed yet.
    pub cache_behind: bool,
}

/// What [`Firewall::audit`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audit {
    /// The tables are as this firewall left them.
    Same,
    /// Somebody else has changed them.
    Drifted {
        /// Version after the last change of this firewall; `None` if it could not be read then.
        expected: Option<RulesetVersion>,
        /// Version that the adapter tells.
        found: RulesetVersion,
    },
}

/// The firewall of one adapter.
pub struct Firewall<E> {
    engine: E,
    /// What the held image was made for.
    target: Target,
    clock: Arc<dyn Clock>,
    settings: Settings,
    held: Held,
    generation: u64,
    version: Option<RulesetVersion>,
    /// Keys whose entries are in doubt; `Some` until recovery.
    doubt: Option<takeover::Doubt>,
    /// The management controller has rebooted, and the tables were not loaded since.
    rebooted: bool,
    /// Ids and nodes that the last change retired may be used from here on.
    settled_at: Duration,
    cache: Cache,
    meters: Meters,
}

impl<E> fmt::Debug for Firewall<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, generation) = (self.held.image.rules.len(), self.generation);
        f.debug_struct("Firewall").field("generation", &generation).field("entries", &entries).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cache {
    behind: bool,
    committed_at: Option<Duration>,
}

impl<E: Engine> Firewall<E> {
    /// The commands that bring the tables to another compiled document. Sends nothing.
    ///
    /// # Errors
    /// [`PlanError`] if the change does not fit, or the document was compiled for another adapter.
    pub fn plan(&self, compiled: &Compiled, reason: &str) -> Result<Change, PlanError> {
        if *compiled.target() != self.target {
            return Err(PlanError::Target);
        }
        self.plan_source(Source::from(compiled), reason)
    }

    fn plan_source(&self, source: Source, reason: &str) -> Result<Change, PlanError> {
        self.change(self.held.next(source), reason)
    }

    fn change(&self, goal: Held, reason: &str) -> Result<Change, PlanError> {
        let plan = Plan::new(&self.held.image, &goal.image, &self.target)?;
        let who: BTreeSet<String> = plan
            .closes
            .iter()
            .flat_map(|local| [&self.held.names, &goal.names].map(|names| names.container(local).map(str::to_owned)))
            .flatten()
            .collect();
        let closed_meanwhile = who.into_iter().collect();
        Ok(Change { plan, closed_meanwhile, reason: reason.to_owned(), generation: self.generation, goal })
    }

    /// Puts the base denies of a container in place. Its allows come with a document that binds it.
    ///
    /// # Errors
    /// [`ReserveError::Held`] if another container holds one of the addresses: nothing was sent.
    /// [`ReserveError::Unprotected`] if the denies are not in place: the container must not be started.
    pub fn reserve(&mut self, container: &str, ips: &[IpAddr], own_mac: Option<MacAddr>) -> Result<(), ReserveError> {
        for ip in ips {
            if let Some(holder) = self.held.names.holder(*ip).filter(|holder| *holder != container) {
                return Err(ReserveError::Held { ip: *ip, holder: holder.to_owned() });
            }
        }
        let addresses = Addresses { ips: ips.to_vec(), mac: own_mac };
        let mut goal = self.held.clone();
        goal.image = with_denies(&goal.image, addresses.base_keys());
        goal.names.add(container, ips, own_mac);
        if !goal.source.binds(container) {
            goal.kept.insert(container.to_owned(), addresses);
        }
        let unprotected = |source: Box<dyn std::error::Error + Send + Sync>| ReserveError::Unprotected {
            container: container.to_owned(),
            source,
        };
        let change = self.change(goal, "reserve").map_err(|e| unprotected(e.into()))?;
        self.apply(change).map(drop).map_err(|e| unprotected(e.into()))
    }

    /// Removes the base denies of a container that no document names any more. Call it when the container is gone: its
    /// addresses are treated as ones that nobody bound from then on. `false` if nothing was kept for it.
    ///
    /// # Errors
    /// [`ApplyError`], which says what the adapter holds.
    pub fn release(&mut self, container: &str) -> Result<bool, ApplyError> {
        let mut kept = self.held.kept.clone();
        if kept.remove(container).is_none() {
            return Ok(false);
        }
        let still = Held::new(self.held.source.clone(), kept);
        let mut image = self.held.image.clone();
        image.rules.retain(|key, _| !key.is_base() || still.image.rules.contains_key(key));
        let change = self.change(Held { image, ..still }, "release").map_err(|e| ApplyError::unsent(e.into()))?;
        self.apply(change).map(|_| true)
    }

    /// Reads all counters in use.
    ///
    /// # Errors
    /// [`AdapterError`]. The tables are unchanged; what was counted comes with the next reading.
    pub fn counters(&mut self) -> Result<Vec<Count>, AdapterError> {
        self.meters.counts(&mut self.engine, &self.held.image)
    }

    /// Compares the adapter's hash over its tables with the one after the last change. It tells changes by others as far as
    /// the hash depends on the content alone (assumption A13).
    ///
    /// # Errors
    /// [`AdapterError`]. Nothing was changed.
    pub fn audit(&mut self) -> Result<Audit, AdapterError> {
        let found = self.engine.ruleset_version()?;
        let same = self.version.as_ref() == Some(&found);
        Ok(if same { Audit::Same } else { Audit::Drifted { expected: self.version.clone(), found } })
    }

    /// Makes the tables what a reboot of the management controller loads, whenever that was done last.
    ///
    /// # Errors
    /// [`AdapterError`]. The tables are unchanged.
    pub fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.engine.commit_cache()?;
        self.cache = Cache { behind: false, committed_at: Some(self.clock.now()) };
        Ok(())
    }

    /// The document whose image the tables hold.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.held.source.document
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

    /// Containers that no document names and whose base denies are kept until [`Firewall::release`].
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.held.kept.keys().map(String::as_str)
    }

    /// The adapter, for what concerns no rules.
    pub fn engine(&mut self) -> &mut E {
        &mut self.engine
    }

    /// Lets go of the adapter. The rules stay (assumption A12); whoever attaches next has to adopt it.
    pub fn detach(self) -> E {
        if self.doubt.is_some() {
            log::error!("detached from an adapter in an unknown state");
        }
        self.engine
    }
}
