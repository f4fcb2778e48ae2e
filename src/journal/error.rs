//! Why a journal could not do something.

use std::io;
use std::path::PathBuf;

use super::{Hash, Head};
use crate::clock::Timestamp;

/// Why a journal could not be opened, read or written. The adapter is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The storage failed.
    #[error("the journal's storage failed to {op}; the journal is as it was before")]
    Store {
        /// What it was asked for.
        op: &'static str,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The disk is full. Nothing was added.
    #[error("no room for the journal's record of {len} bytes: make room on its file system, then try again")]
    Full {
        /// Bytes of the record.
        len: usize,
        /// How the storage said so.
        #[source]
        source: io::Error,
    },
    /// The journal may only be read.
    #[error("the journal cannot be written: it was opened for reading, or its file or file system is read-only")]
    ReadOnly {
        /// What the system says; `None` = it was opened for reading.
        #[source]
        source: Option<io::Error>,
    },
    /// A write failed and could not be taken back.
    #[error("a write to the journal failed and could not be taken back: open it again, which tells what it holds")]
    Broken {
        /// How; `None` = an earlier one did.
        #[source]
        source: Option<io::Error>,
    },
    /// Somebody else writes it.
    #[error("{}: another process writes this journal{}: stop it first", path.display(), holder(*.pid))]
    Locked {
        /// The journal.
        path: PathBuf,
        /// The process, if it told.
        pid: Option<u32>,
    },
    /// The bytes are no journal's.
    #[error("not a journal: {what}; check the path")]
    NotAJournal {
        /// What is wrong.
        what: &'static str,
    },
    /// A newer nicfw has written it.
    #[error("the journal has format {format}, this nicfw knows {known}: use a newer nicfw")]
    Newer {
        /// Format of the journal.
        format: u32,
        /// Newest format known.
        known: u32,
    },
    /// An older nicfw has written it.
    #[error(
        "the journal has format {format}, this nicfw writes {known}: run `nicfw journal FILE migrate`, which keeps the old file beside"
    )]
    Older {
        /// Format of the journal.
        format: u32,
        /// Format that is written.
        known: u32,
    },
    /// It is about another adapter.
    #[error("the journal is about adapter {journal}, not {adapter}: give each adapter a journal of its own")]
    Foreign {
        /// Adapter of the journal.
        journal: String,
        /// Adapter that was asked for.
        adapter: String,
    },
    /// It was written with a key, and none is given.
    #[error("the journal was written with a key: give it")]
    KeyMissing,
    /// It was written without a key, and one is given.
    #[error("the journal was written without a key: open it without, or begin a new one")]
    KeyUnexpected,
    /// It was written with another key.
    #[error("the journal was written with another key: give that one")]
    KeyWrong,
    /// Bytes that no torn write explains.
    #[error(
        "the journal is damaged at record {record}, byte {offset}: {what}; put back a copy, or move it away and take \
         the adapter over anew"
    )]
    Damaged {
        /// The record, from 1; 0 = the header.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The clock was set back, or had been ahead.
    #[error(
        "the clock shows {now}, the journal's last record is of {last}. If the clock is wrong, set it; if it had been ahead \
         when that record was written: nicfw journal FILE clock --reason TEXT, which touches no adapter. What closes is \
         accepted meanwhile"
    )]
    ClockBack {
        /// Date of the last record.
        last: Timestamp,
        /// Date that was to be recorded.
        now: Timestamp,
    },
    /// A record that cannot follow those before it. Nothing was added.
    #[error("out of order: {what}")]
    OutOfOrder {
        /// Why not.
        what: &'static str,
    },
    /// A record that is too large, or holds what the format cannot say. Nothing was added.
    #[error("the record cannot be written: {what}")]
    Unwritable {
        /// Why not.
        what: String,
    },
    /// There is no such record or change.
    #[error("the journal has no {what} {number}: its last record is {last}")]
    NoSuch {
        /// What was asked for.
        what: &'static str,
        /// Its number.
        number: u64,
        /// Number of the last record.
        last: u64,
    },
    /// The chain does not hold the record that somebody kept the hash of.
    #[error("the journal was rewritten: {}", rewritten(.anchor, .found))]
    Rewritten {
        /// What was kept.
        anchor: Head,
        /// Hash of the record with that number; `None` = the chain ends before it.
        found: Option<Hash>,
    },
    /// The chain does not hold the record that was noted beside it as its last.
    #[error(
        "the journal {}, which was noted beside it as its last: its end was cut off, or it is another journal. Put back the \
         whole file; or, if an older copy was put back on purpose, remove FILE.head, and the adapter tells whether that copy \
         explains what it holds",
        lacks(.head, .found)
    )]
    Shortened {
        /// What was noted.
        head: Head,
        /// Hash of the record with that number; `None` = the chain ends before it.
        found: Option<Hash>,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

fn lacks(head: &Head, found: &Option<Hash>) -> String {
    match found {
        Some(found) => format!("has a record {} with the hash {found}, not the one with {}", head.number, head.hash),
        None => format!("ends before record {}", head.number),
    }
}

fn rewritten(anchor: &Head, found: &Option<Hash>) -> String {
    match found {
        Some(found) => format!("record {} has the hash {found}, it had {}", anchor.number, anchor.hash),
        None => format!("it ends before record {}, which was there", anchor.number),
    }
}

impl JournalError {
    /// What a failed call of the storage means.
    pub(super) fn of(op: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { source: Some(source) }
            }
            _ => Self::Store { op, source },
        }
    }

    /// Damage at a record.
    pub(super) fn damaged(record: u64, offset: u64, what: impl ToString) -> Self {
        Self::Damaged { record, offset, what: what.to_string() }
    }

    /// True if the record may or may not be there.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// True if the journal's bytes are not those that nicfw wrote: damage, or a rewritten chain.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Rewritten { .. } | Self::Shortened { .. })
    }
}
