//! The firewall of one adapter: puts images into its tables, changes them step by step, and knows what they hold.
//!
//! The way of the data: a document and its image -> [`Firewall::plan`] -> [`Change`] -> [`Firewall::apply`], which writes
//! what it is about to do to the journal, sends one command a step, undoes what it has sent if one is refused, and
//! writes how it ended. [`Firewall::attach`] goes on from there in the next process; where no journal knows what the adapter
//! holds, [`Firewall::adopt`] drops it, under an override that blocks all traffic meanwhile.
//!
//! A [`Session`] is one life of an adapter with its journal, from opening to leaving: what a program keeps of each adapter.
//!
//! # What a failure leaves
//! Never "partly". A refused command is undone with all before it: *unchanged*. Where undoing is refused too, the bindings
//! concerned lose all their allows: *closed*. A command without an answer may have taken effect or not: *unknown*, and
//! nothing but [`Firewall::recover`] is accepted, which sends every entry in question again. A process that dies leaves a
//! change in the journal that began and did not end; the next one treats it as unknown.
//!
//! # Who decides and who acts
//! `machine` says what a course is: it decides, without any I/O. `apply` and `script` are the courses, `drive`
//! acts for them. What they need of the world (adapter, journal, clock) is injected.
//!
//! # Containers that come and go
//! [`Firewall::reserve`] puts the base denies of a container in place before it starts; a document that binds it gives it
//! its allows. What a document no longer gives to a container is reserved for it: it loses its allows and keeps its base
//! denies until [`Firewall::release`], so that one that still runs stays closed. Reservations add up, and nothing else ends
//! them.
//!
//! # Confirmed changes
//! A change with [`Change::confirm_within`] is rolled back unless [`Firewall::confirm`] comes in time. The deadline is in
//! the journal: whoever attaches after it rolls back. Until then no other change but reserving and releasing is accepted.
//!
//! # The adapter's cache
//! A reboot of the management controller loads what was committed last. It is committed, at most every
//! [`Settings::commit_every`], after base denies of new bindings and after each tightening that nobody has to confirm any
//! more. So a reboot can show a set that is older by this time, and by the time that a change waits for confirmation.

mod apply;
mod attach;
mod change;
mod counters;
mod drive;
mod engine;
mod error;
mod held;
mod machine;
mod names;
mod observed;
mod report;
mod reserve;
mod script;
pub mod session;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use attach::{Adopt, Found, Recovery};
pub use change::Change;
pub use counters::Count;
pub use engine::Engine;
pub use error::{
    AdoptError, ApplyCause, ApplyError, AttachError, AuditError, ConfirmError, Holding, LeaveError, PollError, Refused,
    ReserveError, SessionError, WithdrawError,
};
pub use observed::{Call, Observed, Observer};
pub use report::{Report, Reserved, Settings, StillHeld};
pub use session::{Leave, Session, SessionState};
pub use state::Firewall;
pub use watch::{Audit, Look, Poll, Tables, look};
