//! What people do, what happens to them, and what they are told.

use std::fmt;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A process goes on with the adapter and its journal; one that runs takes leave before.
    Start,
    /// The process takes leave; its rules stay.
    Stop,
    /// The process is gone between two calls. Of what it had not made durable so many bytes are on the disk.
    Crash {
        torn: usize,
    },
    /// An adapter is taken over.
    Adopt {
        policy: usize,
    },
    /// A policy is applied; if `confirm`, it goes back unless somebody confirms within so many seconds.
    Apply {
        policy: usize,
        confirm: Option<u32>,
    },
    /// What waits is to stay.
    Confirm,
    /// What the adapter held after the change of this place in the list of those that were told.
    Rollback {
        back: usize,
    },
    /// A container's addresses are closed before it starts.
    Reserve {
        container: u8,
        addresses: Vec<u8>,
        mac: bool,
    },
    /// A container is gone.
    Release {
        container: u8,
    },
    Audit,
    Poll,
    /// What a reboot loads.
    Commit,
    /// What has expired is taken out.
    Withdraw,
    /// What the journal says is loaded again.
    Repair,
    /// After a command without an answer.
    Recover,
    /// The adapter is left so that it drops all traffic, or lets all of it pass.
    Leave {
        open: bool,
    },
    Counters,
    /// Why a flow passes, or does not.
    Explain {
        probe: usize,
    },
    /// So many seconds go by.
    Pass {
        seconds: u32,
    },
    /// Somebody sets the date, by so many seconds.
    SetClock {
        seconds: i64,
    },
    /// The management controller reboots.
    Reboot,
    /// Somebody else writes rules.
    Foreign {
        what: Foreign,
    },
    /// Somebody copies the journal.
    Copy,
    /// Nobody runs any more, and the copy is put in the journal's place.
    PutBack,
    /// Something will go wrong.
    Arm {
        wrong: Wrong,
    },
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Takes the entry of this place out.
    Remove(usize),
    /// Lets everything pass that the entry of this place matches.
    Open(usize),
    /// Takes the adapter over, with a journal of its own.
    TakeOver(usize),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The process dies at the call of this number from now, of the adapter or of the storage, before or after its effect.
    Death { call: u64, after: bool },
    /// A storage call fails, and the process lives.
    Store { call: u64, how: u8 },
    /// A command is refused.
    Refused { command: u32 },
    /// A command gets no answer.
    Silent { command: u32, effect: bool },
    /// The management controller reboots around a command.
    Reboots { command: u32, after: bool },
}

/// What whoever did it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nobody was there to do it, or there was nothing to do it to.
    Nothing,
    /// It is done.
    Done(Told),
    /// It is not done.
    Refused { reason: Reason, state: Holds, text: String },
    /// The process died before it could say anything.
    Died,
}

/// What was told beside that it is done. `None` where that was not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Number of the change.
    pub change: Option<u64>,
    /// A change that nobody confirmed went back.
    pub rolled_back: Option<bool>,
    /// The adapter holds what it should, and nobody else has touched it.
    pub sound: Option<bool>,
    /// A change waits to be confirmed.
    pub waits: Option<bool>,
    /// A reboot would load something else.
    pub cache_behind: Option<bool>,
    /// Something was left half done or had run out, and has been put right.
    pub put_right: Option<bool>,
    /// There was nothing to do.
    pub idle: bool,
}

/// Why something was refused, as far as the sentences tell reasons apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The clock is behind the journal's last record.
    Clock,
    /// A change waits for its confirmation.
    Waits,
    /// The address belongs to somebody else.
    Held,
    /// Nothing waits, or nothing is kept.
    Nothing,
    /// The time to confirm is over.
    Late,
    /// Somebody else was there.
    Foreign,
    /// Nobody knows what the adapter holds: it is to be adopted.
    Unknown,
    /// Another process has the adapter.
    Busy,
    /// Anything else.
    Other,
}

/// What the adapter is said to hold after a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    Unchanged,
    /// These containers lost all that they were allowed.
    Closed(Vec<u8>),
    Unknown,
}

impl Said {
    pub fn done() -> Self {
        Self::Done(Told::default())
    }

    pub fn refused(reason: Reason, text: impl fmt::Display) -> Self {
        Self::Refused { reason, state: Holds::Unchanged, text: text.to_string() }
    }
}

impl Step {
    /// Only a process that runs can do it.
    pub fn needs_process(&self) -> bool {
        matches!(
            self,
            Self::Apply { .. }
                | Self::Confirm
                | Self::Rollback { .. }
                | Self::Reserve { .. }
                | Self::Release { .. }
                | Self::Audit
                | Self::Poll
                | Self::Commit
                | Self::Withdraw
                | Self::Recover
                | Self::Counters
        )
    }
}
