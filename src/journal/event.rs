//! What a record says.

use super::{Delta, Hash};
use crate::adapter::RulesetVersion;
use crate::clock::Timestamp;
use crate::tables::{CounterId, RuleKey};
use crate::text::{self, TextError};

/// One record of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Its number, from 1.
    pub number: u64,
    /// When it was written; never before the record before it, but in [`Event::Clock`].
    pub at: Timestamp,
    /// Its hash, which covers all records before it.
    pub hash: Hash,
    /// What it says.
    pub event: Event,
}

/// What happened. A change has the number of the record that begins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The commands of a change follow: durable before the first of them.
    Begin(Begin),
    /// The adapter holds what the change was to bring.
    Done {
        /// The change.
        change: u64,
        /// The adapter's version hash after it.
        version: Option<RulesetVersion>,
        /// The firmware's boot count.
        boot: Option<u16>,
        /// The adapter's counter pair for each counter of the image.
        counters: Vec<(CounterId, CounterId)>,
        /// Commands that were sent.
        commands: u64,
    },
    /// The change was taken back: the adapter holds what it held before.
    Undone {
        /// The change.
        change: u64,
        /// Why.
        why: String,
        /// The adapter's version hash.
        version: Option<RulesetVersion>,
    },
    /// The change was taken back as far as it could be; some bindings are closed.
    Closed {
        /// The change.
        change: u64,
        /// Why.
        why: String,
        /// The containers that are closed.
        who: Vec<String>,
        /// What the adapter holds, as the difference from what it held before the change.
        content: Delta,
        /// The adapter's version hash.
        version: Option<RulesetVersion>,
    },
    /// What the adapter holds is unknown until it is recovered.
    Unknown {
        /// The change.
        change: u64,
        /// Why.
        why: String,
    },
    /// The adapter certainly holds what it held before `change`.
    Recovered {
        /// The change that had not ended, if there was one.
        change: Option<u64>,
        /// The adapter's version hash.
        version: Option<RulesetVersion>,
        /// The firmware's boot count.
        boot: Option<u16>,
        /// The adapter's counter pair for each counter of the image.
        counters: Vec<(CounterId, CounterId)>,
        /// Commands that were sent.
        commands: u64,
        /// Whether the firmware has rebooted.
        rebooted: bool,
    },
    /// Somebody has confirmed the change: it stays.
    Confirmed {
        /// The change.
        change: u64,
    },
    /// The adapter's cache, which a reboot loads, was written.
    Committed {
        /// Its version hash.
        version: Option<RulesetVersion>,
    },
    /// The adapter holds what no record explains.
    Drift {
        /// The version hash of the last record.
        expected: Option<RulesetVersion>,
        /// The adapter's.
        found: RulesetVersion,
    },
    /// Somebody has left the adapter otherwise than with its rules in force.
    Left {
        /// How.
        how: Left,
        /// Who, and why.
        why: Reason,
    },
    /// The clock had been ahead when the record before was written: dates go on from this record's.
    Clock {
        /// The date of the record before.
        was: Timestamp,
        /// Who says so, and why.
        why: Reason,
    },
}

/// How an adapter was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// It drops all traffic.
    Blocked,
    /// It has no rules, and everything passes.
    Empty,
}

/// How a change begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Begin {
    /// What kind of change.
    pub kind: ChangeKind,
    /// Who asked for it, and why.
    pub why: Reason,
    /// It is to be rolled back unless somebody confirms it by then.
    pub confirm_by: Option<Timestamp>,
    /// The adapter's version hash before it.
    pub version: Option<RulesetVersion>,
    /// What it is to change.
    pub delta: Delta,
    /// Keys that its commands use on the way, and that neither the content before nor the one after it has.
    pub between: Vec<RuleKey>,
}

impl Begin {
    /// A change that nobody has to confirm, and of which nothing else is known.
    #[must_use]
    pub fn new(kind: ChangeKind, why: Reason, delta: Delta) -> Self {
        Self { kind, why, confirm_by: None, version: None, delta, between: Vec::new() }
    }
}

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// An adapter of unknown content was taken over.
    Adopt,
    /// A document was applied.
    Apply,
    /// A container's addresses were closed before it exists.
    Reserve,
    /// A container's addresses were given back.
    Release,
    /// An earlier content was put back.
    Rollback {
        /// The change whose content it is; 0 = the empty tables before the first.
        to: u64,
    },
    /// Rules whose time has passed were withdrawn.
    Withdraw,
    /// What somebody else had changed was put right.
    Repair,
}

/// Who asked for a change, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub struct Reason {
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Ticket.
    pub ticket: Option<String>,
    /// Who approved it.
    pub approval: Option<String>,
}

impl Reason {
    /// Somebody's reason, and nothing else.
    #[must_use]
    pub fn new(who: &str, reason: &str) -> Self {
        Self { who: who.to_owned(), reason: reason.to_owned(), ..Self::default() }
    }

    /// With a ticket.
    #[must_use]
    pub fn ticket(self, ticket: impl Into<String>) -> Self {
        Self { ticket: Some(ticket.into()), ..self }
    }

    /// Approved by this person.
    #[must_use]
    pub fn approval(self, approval: impl Into<String>) -> Self {
        Self { approval: Some(approval.into()), ..self }
    }
}

impl From<&str> for Reason {
    /// A reason that nobody in particular has.
    fn from(reason: &str) -> Self {
        Self::new("", reason)
    }
}

impl From<String> for Reason {
    fn from(reason: String) -> Self {
        Self { reason, ..Self::default() }
    }
}

impl Reason {
    /// Checks the texts by the one rule for texts from outside; who and reason may be missing.
    ///
    /// # Errors
    /// Which of them is not let in, and why.
    pub fn check(&self) -> Result<(), (&'static str, TextError)> {
        let Self { who, reason, ticket, approval } = self;
        let texts = [
            ("who", Some(who).filter(|who| !who.is_empty())),
            ("reason", Some(reason).filter(|reason| !reason.is_empty())),
            ("ticket", ticket.as_ref()),
            ("approval", approval.as_ref()),
        ];
        for (what, said) in texts {
            said.map_or(Ok(()), |said| text::check(said)).map_err(|error| (what, error))?;
        }
        Ok(())
    }
}

impl Event {
    /// Checks the texts that people and programs gave. What was written before is not asked about: it is read as it is.
    pub(super) fn check_texts(&self) -> Result<(), (&'static str, TextError)> {
        match self {
            Self::Begin(Begin { why, kind, delta, .. }) => {
                why.check()?;
                // Others bring back what is in the journal already.
                let reserved = delta.kept.keys().filter(|_| *kind == ChangeKind::Reserve);
                reserved.into_iter().try_for_each(|who| text::check(who)).map_err(|error| ("container", error))
            }
            Self::Left { why, .. } => why.check(),
            _ => Ok(()),
        }
    }

    /// The change that it is about, if it ends one or tells how one stands.
    #[must_use]
    pub fn change(&self) -> Option<u64> {
        match self {
            Self::Done { change, .. }
            | Self::Undone { change, .. }
            | Self::Closed { change, .. }
            | Self::Unknown { change, .. }
            | Self::Confirmed { change } => Some(*change),
            Self::Recovered { change, .. } => *change,
            Self::Begin(_) | Self::Committed { .. } | Self::Drift { .. } | Self::Left { .. } | Self::Clock { .. } => {
                None
            }
        }
    }

    /// One word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Begin(begin) => begin.kind.word(),
            Self::Done { .. } => "done",
            Self::Undone { .. } => "undone",
            Self::Closed { .. } => "closed",
            Self::Unknown { .. } => "unknown",
            Self::Recovered { .. } => "recovered",
            Self::Confirmed { .. } => "confirmed",
            Self::Committed { .. } => "committed",
            Self::Drift { .. } => "drift",
            Self::Left { .. } => "left",
            Self::Clock { .. } => "clock",
        }
    }
}

impl ChangeKind {
    /// One word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Apply => "apply",
            Self::Reserve => "reserve",
            Self::Release => "release",
            Self::Rollback { .. } => "rollback",
            Self::Withdraw => "withdraw",
            Self::Repair => "repair",
        }
    }
}
