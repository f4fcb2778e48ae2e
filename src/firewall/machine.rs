//! The way between what decides and what acts.
//!
//! A [`Machine`] decides: it is told how the last [`Effect`] ended and says which comes next. It does no I/O, so that
//! it can be driven through every course by a test. [`super::drive`] acts: it carries effects out on the adapter, the journal
//! and the clock.

use crate::adapter::{AdapterError, Override, RulesetVersion};
use crate::error::AdapterState;
use crate::journal::JournalError;
use crate::tables::{Rules, TableOp};

/// What a machine wants done.
#[derive(Debug, PartialEq)]
pub(super) enum Effect<'a> {
    /// Ask the adapter for the hash over its tables.
    Version,
    /// Write to the journal, durably.
    Write(Note),
    /// Have counter pairs for the content to come.
    Meter,
    /// Free the counter pairs of whoever was there before.
    Reclaim,
    /// One command to the tables.
    Send(&'a TableOp),
    /// Let frames in flight pass.
    Pause,
    /// Let something else than the rules decide, or the rules again.
    Override(Override),
    /// Drop all rules.
    Reset,
    /// Make the adapter usable again.
    Recover,
    /// Nothing more: ask for the outcome.
    Finish,
}

/// What a machine has to tell the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// The commands of the change follow.
    Begin,
    /// The change took effect; the adapter's hash then.
    Done(Option<RulesetVersion>),
    /// It did not, and the tables are as before; why, and the adapter's hash.
    Undone(String, Option<RulesetVersion>),
    /// It did not, and the allows of some containers are gone.
    Closed { why: String, version: Option<RulesetVersion>, who: Vec<String>, rules: Rules },
    /// What the tables hold is unknown; why.
    Unknown(String),
    /// The tables hold the last certain content again.
    Recovered(Option<RulesetVersion>),
}

/// How an effect ended.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// The hash that was asked for.
    Version(RulesetVersion),
    /// It failed.
    Failed(Failure),
}

/// Why an effect failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Recover(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// True if the effect certainly changed nothing: neither the adapter nor the journal.
    pub fn is_harmless(&self) -> bool {
        match self {
            Self::Adapter(error) => error.state() == AdapterState::Unchanged,
            Self::Journal(error) => !error.is_broken(),
            Self::Recover(_) => false,
        }
    }
}

/// What decides.
pub(super) trait Machine {
    /// The effect that follows; `answer` is how the one before ended, [`Answer::Done`] at first.
    fn next(&mut self, answer: Answer) -> Effect<'_>;
}
