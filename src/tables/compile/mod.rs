//! The compiler: from a document to the content of every table of one adapter, or to the reason why it does not fit.
//!
//! The way of the data:
//!
//! ```text
//! Document -> units -> regions -> pieces -> layout -> ids, entries, counters -> Image -> proof
//! ```
//!
//! - A [`Shape`](crate::policy::regions::Shape) is what a local address takes from its policy; a
//!   [`Unit`](super::units::unit::Unit) is made once for all addresses that have policy and shape in common.
//! - Its *regions* are disjoint and say for every frame what becomes of it, and why.
//! - Its *pieces* are the allowed regions as an unordered table can say them; what it cannot say is refused
//!   ([`arrange`](super::arrange)). Under a ranked order they may be denies too, and lie over each other; [`ranked`] takes
//!   the better of both.
//! - The *layout* chooses for the whole document which addresses and ports are named by value and which by id
//!   ([`naming`](super::naming)).
//! - The *proof* compares image and document on at least one frame of every class that either tells apart.
//! - Where there are many units, blocks or local sides they are shared out among threads, as many as there are cores; the
//!   result does not depend on that ([`parallel`](super::parallel)).
//!
//! Everything is a pure function of document, target and previous result. All of it is kept in a [`state::State`]: a
//! compilation starts from the one before it and does what the change touches.
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

mod assemble;
mod build;
mod check;
mod compiled;
mod counters;
mod progress;
mod prove;
mod ranked;
mod resume;
mod shares;
mod state;
#[cfg(test)]
mod tests;

pub use self::compiled::Compiled;
pub use self::counters::CounterSlot;
pub use self::progress::Progress;
