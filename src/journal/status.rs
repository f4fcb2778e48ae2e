//! What the records say about the adapter, record after record. Total: whatever cannot follow is refused.

use std::collections::BTreeMap;

use super::{Begin, ChangeKind, Content, Delta, Event, Left, Reason};
use crate::adapter::RulesetVersion;
use crate::clock::Timestamp;
use crate::tables::CounterId;

/// What the records say about the adapter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// What it certainly held last.
    pub content: Content,
    /// The change that brought it; `None` = none, it is empty.
    pub change: Option<u64>,
    /// The adapter's version hash.
    pub version: Option<RulesetVersion>,
    /// The firmware's boot count.
    pub boot: Option<u16>,
    /// The adapter's counter pair for each counter of the image.
    pub counters: Vec<(CounterId, CounterId)>,
    /// Containers that a change could not restore and that are closed, until the next document is applied.
    pub closed: Vec<String>,
    /// What `closed` has become, by the change that made it so.
    pub(super) closed_since: BTreeMap<u64, Vec<String>>,
    /// A change without an end.
    pub pending: Option<Pending>,
    /// A change that nobody has confirmed.
    pub confirm: Option<Unconfirmed>,
    /// Version hash of the adapter's cache, which a reboot loads, as far as it was told.
    pub cache: Option<RulesetVersion>,
    /// What the last audit found and nothing since has put right.
    pub drift: Option<Drifted>,
    /// How somebody has left the adapter, and when, unless its rules are in force.
    pub left: Option<(Left, Timestamp, Reason)>,
    /// The last record at which the adapter told the hash that it was to have, and its date.
    pub agreed: Option<(u64, Timestamp)>,
    /// Date of the last record.
    pub last_at: Timestamp,
}

/// A change that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The change.
    pub change: u64,
    /// When it began.
    pub at: Timestamp,
    /// How it began.
    pub begin: Begin,
    /// What the adapter is to hold after it.
    pub goal: Content,
    /// Why it is not known what the adapter holds, if a record says so.
    pub unknown: Option<String>,
}

/// A change, or several, that go back unless somebody confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unconfirmed {
    /// The last such change: the one to confirm.
    pub change: u64,
    /// Until when.
    pub by: Timestamp,
    /// The change whose content comes back; 0 = the empty tables before the first.
    pub back_to: u64,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drifted {
    /// The record that says so: nothing before it explains what the adapter holds.
    pub record: u64,
    /// The version hash that the records told.
    pub expected: Option<RulesetVersion>,
    /// The adapter's.
    pub found: RulesetVersion,
}

impl Status {
    /// Takes the record `number`. After an error the status is as it was.
    pub(super) fn take(&mut self, number: u64, at: Timestamp, event: &Event) -> Result<(), &'static str> {
        match event {
            Event::Clock { was, .. } => self.clock_was_ahead(at, *was)?,
            _ if at < self.last_at => return Err("a record is older than the one before it"),
            Event::Begin(begin) => self.begin(number, at, begin)?,
            Event::Done { change, version, boot, counters, .. } => {
                let pending = self.end(*change)?;
                self.done(pending);
                (self.version, self.boot, self.counters) = (version.clone(), *boot, counters.clone());
            }
            Event::Undone { change, version, .. } => {
                self.end(*change)?;
                self.version.clone_from(version);
            }
            Event::Closed { change, who, content, version, .. } => {
                self.close(*change, who, content)?;
                self.version.clone_from(version);
            }
            Event::Unknown { change, why } => self.pending(*change)?.unknown = Some(why.clone()),
            Event::Recovered { change, version, boot, counters, rebooted, .. } => {
                match change {
                    Some(change) => drop(self.end(*change)?),
                    None if self.pending.is_some() => {
                        return Err("a change has not ended, and is not the one recovered");
                    }
                    None => {}
                }
                (self.version, self.boot, self.counters) = (version.clone(), *boot, counters.clone());
                self.drift = None;
                if *rebooted {
                    // What a reboot loads is what somebody has committed, be it another one with another journal.
                    self.cache = None;
                }
            }
            Event::Confirmed { change } => self.confirmed(*change)?,
            Event::Committed { version } => self.cache.clone_from(version),
            Event::Left { how, why } => self.left = Some((*how, at, why.clone())),
            Event::Drift { expected, found } => {
                self.drift = Some(Drifted { record: number, expected: expected.clone(), found: found.clone() });
            }
        }
        if tells_version(event) {
            self.agreed = Some((number, at));
        }
        self.last_at = at;
        Ok(())
    }

    fn clock_was_ahead(&self, at: Timestamp, was: Timestamp) -> Result<(), &'static str> {
        match (&self.pending, &self.confirm) {
            _ if was != self.last_at || at >= was => Err("the clock had not been ahead"),
            (Some(_), _) => Err("a change has not ended: recover first"),
            (None, Some(_)) => Err("a change waits for confirmation: confirm it or roll it back first"),
            (None, None) => Ok(()),
        }
    }

    fn begin(&mut self, number: u64, at: Timestamp, begin: &Begin) -> Result<(), &'static str> {
        // Taking an adapter over ends whatever was there.
        if self.pending.is_some() && !takes_over(begin.kind) {
            return Err("a change begins before the last one has ended");
        }
        let goal = begin.delta.apply(&self.content).map_err(|_| "the change does not fit what it is to change")?;
        self.pending = Some(Pending { change: number, at, begin: begin.clone(), goal, unknown: None });
        Ok(())
    }

    fn pending(&mut self, change: u64) -> Result<&mut Pending, &'static str> {
        self.pending.as_mut().filter(|pending| pending.change == change).ok_or("the change has not begun, or has ended")
    }

    fn end(&mut self, change: u64) -> Result<Pending, &'static str> {
        self.pending.take_if(|pending| pending.change == change).ok_or("the change has not begun, or has ended")
    }

    fn done(&mut self, pending: Pending) {
        let Pending { change, begin, goal, .. } = pending;
        let renewed = matches!(begin.kind, ChangeKind::Adopt | ChangeKind::Rollback { .. });
        let before = self.confirm.take().filter(|_| !renewed);
        self.confirm = match (before, begin.confirm_by) {
            (Some(before), by) => {
                let by = by.map_or(before.by, |by| by.min(before.by));
                let change = if begin.confirm_by.is_some() { change } else { before.change };
                Some(Unconfirmed { change, by, back_to: before.back_to })
            }
            (None, Some(by)) => Some(Unconfirmed { change, by, back_to: self.change.unwrap_or(0) }),
            (None, None) => None,
        };
        match begin.kind {
            ChangeKind::Reserve | ChangeKind::Release | ChangeKind::Repair => {}
            // What was closed then is so again.
            ChangeKind::Rollback { to } => self.closes(change, self.closed_at(to).to_vec()),
            ChangeKind::Adopt | ChangeKind::Apply | ChangeKind::Withdraw => self.closes(change, Vec::new()),
        }
        if takes_over(begin.kind) {
            // What the cache holds may be another's, whatever was committed before.
            (self.drift, self.left, self.cache) = (None, None, None);
        }
        (self.content, self.change) = (goal, Some(change));
    }

    fn close(&mut self, change: u64, who: &[String], content: &Delta) -> Result<(), &'static str> {
        self.pending(change)?;
        self.content = content.apply(&self.content).map_err(|_| "the content after it does not fit the one before")?;
        self.pending = None;
        self.change = Some(change);
        let mut closed = [&self.closed, who].concat();
        closed.sort();
        closed.dedup();
        self.closes(change, closed);
        Ok(())
    }

    fn closes(&mut self, change: u64, who: Vec<String>) {
        if self.closed != who {
            self.closed_since.insert(change, who.clone());
            self.closed = who;
        }
    }

    /// Who was closed after a change.
    fn closed_at(&self, change: u64) -> &[String] {
        self.closed_since.range(..=change).next_back().map_or(&[], |(_, who)| who)
    }

    fn confirmed(&mut self, change: u64) -> Result<(), &'static str> {
        if self.pending.is_some() {
            return Err("a change is confirmed before another has ended");
        }
        self.confirm.take_if(|confirm| confirm.change == change).ok_or("the change does not wait to be confirmed")?;
        Ok(())
    }
}

/// True if the adapter was asked for its hash, and told the one that is recorded.
fn tells_version(event: &Event) -> bool {
    match event {
        Event::Begin(Begin { version, .. })
        | Event::Done { version, .. }
        | Event::Undone { version, .. }
        | Event::Closed { version, .. }
        | Event::Recovered { version, .. } => version.is_some(),
        Event::Unknown { .. }
        | Event::Confirmed { .. }
        | Event::Committed { .. }
        | Event::Drift { .. }
        | Event::Left { .. }
        | Event::Clock { .. } => false,
    }
}

/// Whatever the adapter holds goes.
fn takes_over(kind: ChangeKind) -> bool {
    matches!(kind, ChangeKind::Adopt | ChangeKind::Repair)
}
