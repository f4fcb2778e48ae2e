//! Looking after the adapter: whether it still holds what it should, what is due, and what has expired.

use std::sync::Arc;
use std::time::Duration;

use super::engine::read_version_until_stable;
use super::held::HeldContent;
use super::state::Cache;
use super::{ApplyCause, ApplyError, AuditError, Engine, Firewall, PollError, Report, WithdrawError};
use crate::adapter::{AdapterError, RulesetVersion};
use crate::clock::{Clock, Timestamp};
use crate::journal::{ChangeKind, Event, Journal, Reason, Status};
use crate::policy::{OnExpiry, Origin};
use crate::tables::Compiled;

/// What [`Firewall::audit`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Whether the tables are as the last record says.
    pub tables: Tables,
    /// The management controller has rebooted since the last record.
    pub rebooted: bool,
    /// Counters that cannot be read, or have counted more since the last audit than an adapter can pass: somebody cleared or
    /// took them. The first audit of a process has nothing to compare with.
    pub counters_wrong: usize,
    /// A reboot of the management controller would load older tables.
    pub cache_behind: bool,
    /// The change that waits for confirmation, and until when.
    pub unconfirmed: Option<(u64, Timestamp)>,
    /// Rules and bindings whose time is over.
    pub expired: Vec<Arc<Origin>>,
}

/// Whether the tables are as they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tables {
    /// The adapter tells the hash that the last record left.
    Same,
    /// Somebody else has changed them.
    Drifted {
        /// The last record at which the adapter was as it should be: the foreign write came after it.
        record: u64,
        /// Its date.
        since: Timestamp,
        /// Version that it had; `None` if it could not be read.
        expected: Option<RulesetVersion>,
        /// Version that the adapter tells.
        found: RulesetVersion,
    },
}

impl Audit {
    /// True if nothing but this firewall has touched the adapter, as far as can be known.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.tables == Tables::Same && !self.rebooted && self.counters_wrong == 0
    }
}

/// What [`Firewall::poll`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// What it found first.
    pub audit: Audit,
    /// The change that nobody confirmed in time and that was rolled back.
    pub rolled_back: Option<u64>,
}

/// What [`look`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Look {
    /// As [`Firewall::audit`] finds it; counters are not looked at.
    pub audit: Audit,
    /// A change that has not ended, or an adoption: what the adapter holds is certain again once somebody attaches.
    pub unfinished: Option<u64>,
    /// The time to confirm the change that waits is over: it is rolled back once somebody attaches.
    pub late: bool,
}

/// Compares an adapter with a journal that cannot be written. Nothing is sent but questions, and nothing is recorded.
///
/// # Errors
/// [`AuditError`].
pub fn look<E: Engine>(engine: &mut E, journal: &Journal, clock: &dyn Clock) -> Result<Look, AuditError> {
    let found = read_version_until_stable(engine)?;
    let status = journal.status();
    let date = journal.date(clock.wall());
    let audit = Audit {
        tables: compare(status, status.version.as_ref(), found),
        rebooted: has_rebooted(status, engine),
        counters_wrong: 0,
        cache_behind: status.cache != status.version,
        unconfirmed: status.confirm.as_ref().map(|open| (open.change, open.by)),
        expired: HeldContent::restore(&status.content)
            .map(|held| held.source.document.expired(date))
            .unwrap_or_default(),
    };
    let late = status.confirm.is_some_and(|open| date >= open.by || journal.is_ahead_of(clock.wall()));
    Ok(Look { audit, unfinished: status.pending.as_ref().map(|pending| pending.change), late })
}

fn compare(status: &Status, expected: Option<&RulesetVersion>, found: RulesetVersion) -> Tables {
    if expected == Some(&found) {
        return Tables::Same;
    }
    let (record, since) = status.agreed.unwrap_or((status.change.unwrap_or_default(), status.last_at));
    Tables::Drifted { record, since, expected: expected.cloned(), found }
}

fn has_rebooted(status: &Status, engine: &impl Engine) -> bool {
    matches!((status.boot, engine.boot_count()), (Some(was), Some(is)) if was != is)
}

impl<E: Engine> Firewall<E> {
    /// Compares the adapter with the last record: its hash over the tables, how often it has booted, and what it counts.
    /// What it finds amiss goes to the journal.
    ///
    /// The hash tells changes by others as far as it depends on the content alone (assumption A13). Whoever changes the
    /// tables and brings them back between two audits is not seen, nor is an override (no command reads it).
    ///
    /// # Errors
    /// [`AuditError`]. Nothing was changed.
    pub fn audit(&mut self) -> Result<Audit, AuditError> {
        let found = read_version_until_stable(&mut self.io.engine)?;
        let counters_wrong = self.io.meters.wrong(&mut self.io.engine, self.io.clock.now())?;
        // What a recovery has put right is no finding because its record is still to be written.
        if let Err(error) = self.io.write_pending() {
            log::warn!("the journal does not take what has happened: {error}");
        }
        let status = self.io.journal.status();
        let rebooted = has_rebooted(status, &self.io.engine);
        let unconfirmed = status.confirm.as_ref().map(|open| (open.change, open.by));
        let tables = compare(status, self.version.as_ref(), found);
        if let Tables::Drifted { expected, found, .. } = &tables
            && status.drift.as_ref().is_none_or(|drift| drift.found != *found)
        {
            self.io.write_pending()?;
            self.io.record(Event::Drift { expected: expected.clone(), found: found.clone() })?;
        }
        let expired = self.document().expired(self.date());
        Ok(Audit { tables, rebooted, counters_wrong, cache_behind: self.cache.behind, unconfirmed, expired })
    }

    /// What is due: a change that nobody confirmed in time is rolled back, the cache is committed. Call it every few seconds.
    ///
    /// # Errors
    /// [`PollError`], which says what the adapter holds.
    pub fn poll(&mut self) -> Result<Poll, PollError> {
        let audit = self.audit()?;
        let rolled_back = if audit.tables == Tables::Same { self.roll_back_if_late()? } else { None };
        if audit.tables == Tables::Same {
            self.commit_if_due();
        }
        Ok(Poll { audit, rolled_back })
    }

    /// Takes away what rules and bindings allow whose time is over, if the document says `expired: withdraw`. `None` if
    /// there is nothing to take.
    ///
    /// # Errors
    /// [`WithdrawError`], which says what the adapter holds.
    pub fn withdraw_expired(&mut self, why: impl Into<Reason>) -> Result<Option<Report>, WithdrawError> {
        let now = self.date();
        let document = self.document();
        if document.on_expiry != OnExpiry::Withdraw || document.expired(now).is_empty() {
            return Ok(None);
        }
        let compiled = Compiled::new(&document.without_expired(now), &self.target, None)?;
        let goal = self.held.next((&compiled).into());
        let change =
            self.change(ChangeKind::Withdraw, goal, why.into()).map_err(|e| ApplyError::unsent(ApplyCause::Plan(e)))?;
        if change.plan.steps.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.apply(change)?))
    }

    /// Makes the tables what a reboot of the management controller loads, whenever that was done last.
    ///
    /// # Errors
    /// [`AdapterError`]. The tables are unchanged.
    pub fn commit_cache(&mut self) -> Result<(), AdapterError> {
        self.io.engine.commit_cache()?;
        self.cache = Cache { behind: false, wanted: false, committed_at: Some(self.io.clock.now()) };
        let committed = Event::Committed { version: self.version.clone() };
        if let Err(error) = self.io.write_pending().and_then(|()| self.io.record(committed.clone())) {
            log::warn!("that the cache was committed is not in the journal yet: {error}");
            self.io.pending_events.push(committed);
        }
        Ok(())
    }

    /// Commits the cache if something waits for it and the last time lies long enough back. A change that waits for
    /// confirmation is not committed.
    pub(super) fn commit_if_due(&mut self) {
        let now = self.io.clock.now();
        let due = |at: Duration| now >= at.saturating_add(self.commit_every);
        let open = self.io.journal.status().confirm.is_some();
        if self.cache.wanted
            && !open
            && self.cache.committed_at.is_none_or(due)
            && let Err(e) = self.commit_cache()
        {
            log::warn!("the cache is not committed; a reboot would load older tables: {e}");
        }
    }
}
