//! Why the firewall could not do something, and what the adapter holds then.

use std::fmt;
use std::sync::Arc;

use super::machine::Failure;
use crate::adapter::{AdapterError, RulesetVersion};
use crate::clock::Timestamp;
use crate::error::AdapterState;
use crate::journal::{Journal, JournalError, Left, Reason};
use crate::policy::{Origin, ParseErrors};
use crate::tables::plan::PlanError;
use crate::tables::{CompileError, MapError};

/// Why a session cannot do what it is asked for. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The adapter is at hand, and no firewall drives it.
    #[error("nobody drives the adapter yet: resume, or adopt it")]
    NotRunning,
    /// The adapter went with a panic.
    #[error(
        "the adapter was lost in an internal error while it changed hands: close the session and open the adapter again"
    )]
    Lost,
    /// The adapter was left.
    #[error("the session with the adapter is closed")]
    Closed,
}

/// Why an adapter could not be left as told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The session has no adapter. Nothing was sent.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The journal did not take the record. Nothing was sent.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A command failed. If `blocked`, the adapter drops all traffic until somebody leaves it otherwise or adopts it.
    #[error("the adapter could not be left as told; {}", outlook(*.blocked, .source))]
    Command {
        /// The override is BLOCK.
        blocked: bool,
        /// How.
        #[source]
        source: AdapterError,
    },
}

/// A change that did not take place as planned.
#[derive(Debug, thiserror::Error)]
#[error("{}", said(.cause, .state))]
#[non_exhaustive]
pub struct ApplyError {
    /// Why.
    #[source]
    pub cause: ApplyCause,
    /// What the adapter holds.
    pub state: AdapterState,
    /// Who asked for the entry that could not be set, why and where.
    pub rule: Option<Arc<Origin>>,
}

fn said(cause: &ApplyCause, state: &AdapterState) -> String {
    let what = match cause {
        ApplyCause::Command { step, steps, .. } => format!("command {step} of {steps} failed"),
        _ => "the change was not made".to_owned(),
    };
    match state {
        AdapterState::Unchanged => format!("{what}; the adapter is unchanged"),
        AdapterState::Closed(who) => format!("{what}; closed until the next policy is applied: {}", who.join(", ")),
        AdapterState::Unknown => format!("{what}; what the adapter holds is unknown, recover before anything else"),
    }
}

impl ApplyError {
    /// A change that was not begun.
    pub(super) fn unsent(cause: ApplyCause) -> Self {
        Self { cause, state: AdapterState::Unchanged, rule: None }
    }
}

/// Why a change did not take place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyCause {
    /// The plan was made before another change.
    #[error("the plan is for generation {planned} of the tables, they are at {current}: plan again")]
    Stale {
        /// Generation that the plan was made for.
        planned: u64,
        /// Generation of the tables.
        current: u64,
    },
    /// The plan was made for another adapter, or before this one was taken over again.
    #[error("the plan was made for another adapter, or before this one was taken over again: plan again")]
    Elsewhere,
    /// An earlier change ended in an unknown state.
    #[error("an earlier change left the adapter in an unknown state: recover first")]
    Unrecovered,
    /// Somebody else has changed the tables.
    #[error(
        "the tables were changed by somebody else: fingerprint {found}, expected {expected}; attach again with adopt"
    )]
    Foreign {
        /// Fingerprint after the last change of this firewall.
        expected: RulesetVersion,
        /// Fingerprint that the adapter tells.
        found: RulesetVersion,
    },
    /// A command of the change failed.
    #[error("the adapter refused or lost a command")]
    Command {
        /// Which one, from 1.
        step: usize,
        /// Of how many.
        steps: usize,
        /// How.
        #[source]
        source: AdapterError,
    },
    /// A command beside those of the change failed.
    #[error("the adapter refused or lost a command")]
    Adapter(#[from] AdapterError),
    /// The adapter could not be made usable again.
    #[error("the adapter could not be made usable again")]
    Recover(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// After a reboot the adapter works in another way, or its tables have other sizes.
    #[error("the adapter came back with another firmware or other tables: compile again and attach with adopt")]
    TargetChanged,
    /// An image does not fit the adapter.
    #[error(transparent)]
    Map(#[from] MapError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The journal did not take a record.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The change before still waits for confirmation.
    #[error("change {change} waits for confirmation until {by}: confirm it or roll it back first")]
    Unconfirmed {
        /// Its number in the journal.
        change: u64,
        /// When it is taken back.
        by: Timestamp,
    },
    /// The document in the journal cannot be read.
    #[error("the document that the journal holds cannot be read")]
    Document(#[source] ParseErrors),
}

impl From<Failure> for ApplyCause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Adapter(error) => Self::Adapter(error),
            Failure::Journal(error) => Self::Journal(error),
            Failure::Recover(error) => Self::Recover(error),
        }
    }
}

/// An error with what caused it, on one line.
pub(super) fn chain(error: &ApplyCause) -> String {
    let error: &dyn std::error::Error = error;
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Why a change could not be confirmed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// No change waits.
    #[error("no change waits for confirmation")]
    Nothing,
    /// The time is over.
    #[error("change {change} had to be confirmed by {by}, it is {now}: it is rolled back")]
    Late {
        /// Its number in the journal.
        change: u64,
        /// Until when.
        by: Timestamp,
        /// The date.
        now: Timestamp,
    },
    /// The journal did not take the record.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why an adapter could not be audited. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The session has no adapter. Nothing was sent.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The adapter does not tell.
    #[error("the adapter does not tell what it holds")]
    Adapter(#[from] AdapterError),
    /// The journal did not take what was found.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why what is due could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// The adapter could not be audited. Nothing was changed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A change that nobody confirmed in time could not be taken back; the source says what the adapter holds.
    #[error("change {change} was not confirmed in time and could not be rolled back")]
    Rollback {
        /// Its number in the journal.
        change: u64,
        /// Why.
        #[source]
        source: Box<ApplyError>,
    },
}

/// Why the firewall could not go on with what the journal says of an adapter. Nothing was sent unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The session has no adapter. Nothing was sent.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The journal has no record of this adapter's tables.
    #[error("the journal knows nothing of what the adapter holds: adopt it")]
    New,
    /// Somebody has left the adapter otherwise than with its rules in force.
    #[error("{} left the adapter {} at {at} ({}): adopt it", who(.why), left(.how), .why.reason)]
    Left {
        /// How.
        how: Left,
        /// When.
        at: Timestamp,
        /// Who, and why.
        why: Reason,
    },
    /// The adapter holds what no record explains.
    #[error(
        "the adapter has fingerprint {found}, which no record explains: by record {record} of {at} it had {}; somebody has \
         changed the tables since: adopt the adapter",
        fingerprint(.expected)
    )]
    Foreign {
        /// The last record at which it was as it should be.
        record: u64,
        /// Its date.
        at: Timestamp,
        /// Fingerprint that it had, if it could be read.
        expected: Option<RulesetVersion>,
        /// Fingerprint that the adapter tells.
        found: RulesetVersion,
    },
    /// The journal's content was made for an adapter with other tables or firmware.
    #[error("the journal's content does not fit the adapter, which has other tables or firmware: compile and adopt")]
    Content(#[source] MapError),
    /// The document in the journal cannot be read.
    #[error("the document that the journal holds cannot be read")]
    Document(#[source] ParseErrors),
    /// The adapter does not tell what it holds.
    #[error("the adapter does not tell what it holds")]
    Adapter(#[from] AdapterError),
    /// The journal did not take a record, or cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The adapter is in doubt after a change that did not end, and could not be brought back.
    #[error("change {} did not end, and the content before it could not be brought back", change.unwrap_or_default())]
    Recover {
        /// Its number in the journal.
        change: Option<u64>,
        /// Why.
        #[source]
        cause: ApplyCause,
    },
    /// The time to confirm a change is over, and it could not be taken back.
    #[error(transparent)]
    Due(#[from] PollError),
}

fn who(why: &Reason) -> &str {
    if why.who.is_empty() { "somebody" } else { &why.who }
}

fn left(how: &Left) -> &'static str {
    match how {
        Left::Blocked => "blocked, so that it drops all traffic,",
        Left::Empty => "without rules, so that everything passes,",
    }
}

fn fingerprint(fingerprint: &Option<RulesetVersion>) -> String {
    fingerprint.as_ref().map_or_else(|| "one that could not be read".to_owned(), ToString::to_string)
}

/// An adapter and its journal, given back because the firewall could not take them.
#[non_exhaustive]
pub struct Refused<E, X> {
    /// Why.
    pub error: X,
    /// The adapter.
    pub engine: E,
    /// The journal.
    pub journal: Journal,
}

impl<E, X> Refused<E, X> {
    pub(super) fn new(error: impl Into<X>, engine: E, journal: Journal) -> Box<Self> {
        Box::new(Self { error: error.into(), engine, journal })
    }
}

impl<E, X: fmt::Debug> fmt::Debug for Refused<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E, X: fmt::Display> fmt::Display for Refused<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E, X: std::error::Error> std::error::Error for Refused<E, X> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Why the firewall could not take over an adapter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The session has no adapter. Nothing was sent.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The document was compiled for another adapter. Nothing was sent.
    #[error("the policy was compiled for an adapter with other tables or firmware: compile it for this one")]
    Target,
    /// The image does not fit. Nothing was sent.
    #[error("the policy does not fit the adapter")]
    Map(#[from] MapError),
    /// The journal has no content to load. Nothing was sent.
    #[error("the journal has no record of what the adapter should hold: adopt it with a policy")]
    Unknown,
    /// The document in the journal cannot be read. Nothing was sent.
    #[error("the document that the journal holds cannot be read")]
    Document(#[source] ParseErrors),
    /// The adapter could not be made usable again.
    #[error("the adapter could not be made usable again")]
    Recover(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journal did not take a record. If `loaded`, the policy decides and no record says so: adopt again.
    #[error("the journal did not take a record; {}", if *.loaded { "the policy decides, adopt again" } else { "nothing was sent" })]
    Journal {
        /// The policy was loaded before.
        loaded: bool,
        /// How.
        #[source]
        source: JournalError,
    },
    /// A command failed. If `blocked`, the adapter drops all traffic until somebody adopts it with success.
    #[error("taking over the adapter failed; {}", outlook(*.blocked, .source))]
    Command {
        /// The override is BLOCK.
        blocked: bool,
        /// How.
        #[source]
        source: AdapterError,
    },
}

fn outlook(blocked: bool, source: &AdapterError) -> &'static str {
    match (blocked, source.state()) {
        (true, _) => "it drops all traffic",
        (false, AdapterState::Unknown) => "whether it drops all traffic or none is unknown",
        (false, _) => "it is unchanged",
    }
}

/// How a container holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// The policy binds the container to it.
    Bound,
    /// It is reserved for the container.
    Reserved,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "bound to",
            Self::Reserved => "reserved for",
        })
    }
}

/// Why the addresses of a container could not be reserved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// No container can have the address.
    #[error("{what}: no container can have it")]
    Unfit {
        /// The address, and what it is.
        what: String,
    },
    /// The address belongs to somebody else.
    #[error("{address} is {how} {holder}")]
    Held {
        /// The IP or MAC.
        address: String,
        /// Container that holds it.
        holder: String,
        /// How.
        how: Holding,
    },
    /// The base denies are not in place. The container must not be started.
    #[error("{container} is unprotected: its base denies are not in the adapter; do not start it")]
    Unprotected {
        /// The container.
        container: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why what has expired could not be withdrawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WithdrawError {
    /// The document without it does not compile. Nothing was sent.
    #[error("the document without what has expired does not compile")]
    Compile(#[from] CompileError),
    /// The change did not take place.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}
