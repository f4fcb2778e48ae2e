//! Events.

use serde::{Deserialize, Serialize};

use super::delta::Delta;
use super::entry::Key;
use super::values::{Version, WireError, counter_runs, counters, timestamp};
use crate::adapter::RulesetVersion;
use crate::journal::event;

/// Runs of counters.
type Counters = Vec<(u32, u32, u32)>;

/// What happened.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Event {
    Begin(Begin),
    Done {
        change: u64,
        version: Option<Version>,
        boot: Option<u16>,
        counters: Counters,
        commands: u64,
    },
    Undone {
        change: u64,
        why: String,
        version: Option<Version>,
    },
    Closed {
        change: u64,
        why: String,
        who: Vec<String>,
        content: Delta,
        version: Option<Version>,
    },
    Unknown {
        change: u64,
        why: String,
    },
    Recovered {
        change: Option<u64>,
        version: Option<Version>,
        boot: Option<u16>,
        counters: Counters,
        commands: u64,
        rebooted: bool,
    },
    Confirmed {
        change: u64,
    },
    Committed {
        version: Option<Version>,
    },
    Drift {
        expected: Option<Version>,
        found: Version,
    },
    Left {
        how: Left,
        why: Reason,
    },
    Clock {
        /// Milliseconds since 1970.
        was: u64,
        why: Reason,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Left {
    Blocked,
    Empty,
}

/// Who, and why.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    who: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<String>,
}

impl From<event::Reason> for Reason {
    fn from(why: event::Reason) -> Self {
        let event::Reason { who, reason, ticket, approval } = why;
        Self { who, reason, ticket, approval }
    }
}

impl From<Reason> for event::Reason {
    fn from(why: Reason) -> Self {
        let Reason { who, reason, ticket, approval } = why;
        Self { who, reason, ticket, approval }
    }
}

/// How a change begins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    kind: ChangeKind,
    who: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirm_by: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    delta: Delta,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    between: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ChangeKind {
    Adopt,
    Apply,
    Reserve,
    Release,
    Rollback { to: u64 },
    Withdraw,
    Repair,
}

fn version(version: &Option<RulesetVersion>) -> Option<Version> {
    version.as_ref().map(Into::into)
}

fn checked(version: Option<Version>) -> Result<Option<RulesetVersion>, WireError> {
    version.map(TryInto::try_into).transpose()
}

impl From<&event::Begin> for Begin {
    fn from(begin: &event::Begin) -> Self {
        let event::Reason { who, reason, ticket, approval } = begin.why.clone();
        let kind = match begin.kind {
            event::ChangeKind::Adopt => ChangeKind::Adopt,
            event::ChangeKind::Apply => ChangeKind::Apply,
            event::ChangeKind::Reserve => ChangeKind::Reserve,
            event::ChangeKind::Release => ChangeKind::Release,
            event::ChangeKind::Rollback { to } => ChangeKind::Rollback { to },
            event::ChangeKind::Withdraw => ChangeKind::Withdraw,
            event::ChangeKind::Repair => ChangeKind::Repair,
        };
        let confirm_by = begin.confirm_by.map(|by| by.0);
        let (version, delta) = (version(&begin.version), (&begin.delta).into());
        let between = begin.between.iter().copied().map(Key).collect();
        Self { kind, who, reason, ticket, approval, confirm_by, version, delta, between }
    }
}

impl TryFrom<Begin> for event::Begin {
    type Error = WireError;

    fn try_from(begin: Begin) -> Result<Self, WireError> {
        let Begin { who, reason, ticket, approval, .. } = begin;
        let kind = match begin.kind {
            ChangeKind::Adopt => event::ChangeKind::Adopt,
            ChangeKind::Apply => event::ChangeKind::Apply,
            ChangeKind::Reserve => event::ChangeKind::Reserve,
            ChangeKind::Release => event::ChangeKind::Release,
            ChangeKind::Rollback { to } => event::ChangeKind::Rollback { to },
            ChangeKind::Withdraw => event::ChangeKind::Withdraw,
            ChangeKind::Repair => event::ChangeKind::Repair,
        };
        Ok(Self {
            kind,
            why: event::Reason { who, reason, ticket, approval },
            confirm_by: begin.confirm_by.map(timestamp).transpose()?,
            version: checked(begin.version)?,
            delta: begin.delta.try_into()?,
            between: begin.between.into_iter().map(|key| key.0).collect(),
        })
    }
}

impl From<&event::Event> for Event {
    fn from(event: &event::Event) -> Self {
        use event::Event as From;
        match event.clone() {
            From::Begin(begin) => Self::Begin((&begin).into()),
            From::Done { change, version: v, boot, counters, commands } => {
                Self::Done { change, version: version(&v), boot, counters: counter_runs(&counters), commands }
            }
            From::Undone { change, why, version: v } => Self::Undone { change, why, version: version(&v) },
            From::Closed { change, why, who, content, version: v } => {
                Self::Closed { change, why, who, content: (&content).into(), version: version(&v) }
            }
            From::Unknown { change, why } => Self::Unknown { change, why },
            From::Recovered { change, version: v, boot, counters, commands, rebooted } => {
                let (version, counters) = (version(&v), counter_runs(&counters));
                Self::Recovered { change, version, boot, counters, commands, rebooted }
            }
            From::Confirmed { change } => Self::Confirmed { change },
            From::Committed { version: v } => Self::Committed { version: version(&v) },
            From::Left { how, why } => {
                let how = match how {
                    event::Left::Blocked => Left::Blocked,
                    event::Left::Empty => Left::Empty,
                };
                Self::Left { how, why: why.into() }
            }
            From::Clock { was, why } => Self::Clock { was: was.0, why: why.into() },
            From::Drift { expected, found } => Self::Drift { expected: version(&expected), found: (&found).into() },
        }
    }
}

impl TryFrom<Event> for event::Event {
    type Error = WireError;

    fn try_from(event: Event) -> Result<Self, WireError> {
        Ok(match event {
            Event::Begin(begin) => Self::Begin(begin.try_into()?),
            Event::Done { change, version, boot, counters: runs, commands } => {
                Self::Done { change, version: checked(version)?, boot, counters: counters(&runs)?, commands }
            }
            Event::Undone { change, why, version } => Self::Undone { change, why, version: checked(version)? },
            Event::Closed { change, why, who, content, version } => {
                Self::Closed { change, why, who, content: content.try_into()?, version: checked(version)? }
            }
            Event::Unknown { change, why } => Self::Unknown { change, why },
            Event::Recovered { change, version, boot, counters: runs, commands, rebooted } => {
                let (version, counters) = (checked(version)?, counters(&runs)?);
                Self::Recovered { change, version, boot, counters, commands, rebooted }
            }
            Event::Confirmed { change } => Self::Confirmed { change },
            Event::Committed { version } => Self::Committed { version: checked(version)? },
            Event::Left { how, why } => {
                let how = match how {
                    Left::Blocked => event::Left::Blocked,
                    Left::Empty => event::Left::Empty,
                };
                Self::Left { how, why: why.into() }
            }
            Event::Clock { was, why } => Self::Clock { was: timestamp(was)?, why: why.into() },
            Event::Drift { expected, found } => Self::Drift { expected: checked(expected)?, found: found.try_into()? },
        })
    }
}
