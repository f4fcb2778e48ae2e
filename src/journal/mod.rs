//! The journal: what an adapter holds, where it comes from and how it came about, in one append-only file.
//!
//! ```
//! use nicfw::clock::VirtualClock;
//! use nicfw::journal::{Begin, Content, Delta, Event, Journal, ChangeKind, MemoryStore, Reason};
//!
//! let store = MemoryStore::new();
//! let mut journal = Journal::open(Box::new(store.clone()), "1924:0a03 02:00:00:00:00:01", None)?;
//! let mut goal = Content::default();
//! goal.name = "web.yaml".into();
//! let delta = Delta::between(&journal.status().content, &goal);
//! let begin = Begin::new(ChangeKind::Adopt, Reason::new("ann", "first rules"), delta);
//! let change = journal.append(VirtualClock::START, Event::Begin(begin))?; // durable: commands may follow
//! let done = Event::Done { change, version: None, boot: None, counters: Vec::new(), commands: 7 };
//! journal.append(VirtualClock::START, done)?;
//!
//! let anchor = journal.head(); // whoever keeps this can tell later whether the history was rewritten
//! let mut again = Journal::read(Box::new(store), None)?;
//! assert_eq!(again.status().content, goal);
//! assert_eq!(again.verify(Some(&anchor))?.records, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of the data:
//!
//! ```text
//! Event -> Status (can it follow?) -> wire (JSON) -> frame (checksums, hash chain) -> Store: append, sync
//! Store -> frame -> wire -> Record -> Status, queries
//! ```
//!
//! - A **change** begins with [`Event::Begin`], which is durable before its first command, and holds the difference between
//!   the content before it and the one that it is to bring; it ends with one of the events that say what came of it. It has
//!   the number of the record that begins it.
//! - **Crashes.** A record that a crash has torn was never acknowledged: it is cut off when the journal is opened
//!   ([`Journal::cut`]). What no torn write explains is refused as [`JournalError::Damaged`]. A write that fails is taken
//!   back; where even that fails, nothing more is written until the journal is opened again. The one case in which damage
//!   is taken for a torn write is a change of the payload of the very last record; the adapter's version hash, which the
//!   record before it does not explain then, tells.
//! - **Rewriting.** Each record's hash covers all before it. Without a key whoever can write the file can rewrite it from
//!   any record on, and whoever kept an earlier [`Head`] notices; with a key only its holder can.
//! - Dates never go back ([`JournalError::ClockBack`]), but where somebody says that the clock had been ahead
//!   ([`Journal::accept_clock`]).
//! - **Cut off.** [`Store::remember`] notes the last record beside the journal: a journal that lacks it is refused.
//! - An older format is migrated by [`migrate`], a newer one refused.

#![forbid(unsafe_code)]

mod chain;
mod content;
mod delta;
mod error;
mod event;
mod file_store;
mod frame;
mod hash;
mod header;
#[cfg(feature = "raw")]
mod memory_faults;
mod memory_store;
mod migrate;
mod queries;
mod replay;
mod splice;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod wire;

pub use self::chain::{Cut, Journal};
pub use self::content::{Addresses, Content};
pub use self::delta::{Delta, DeltaError};
pub use self::error::JournalError;
pub use self::event::{Begin, ChangeKind, Event, Left, Reason, Record};
pub use self::file_store::FileStore;
pub use self::hash::{Hash, Head, HeadError, Key, KeyError};
#[cfg(feature = "raw")]
pub use self::memory_faults::Fault;
pub use self::memory_store::MemoryStore;
pub use self::migrate::{Migrated, migrate};
pub use self::queries::{Between, ChangeRecord, ChangedEntry, EntryOrigin, Outcome, RuleQuery, When};
pub use self::status::{Drifted, Pending, Status, Unconfirmed};
pub use self::store::Store;
pub use self::verify::Verified;
