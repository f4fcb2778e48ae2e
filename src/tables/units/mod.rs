//! From a document to its units: what the rules of each policy make of the local addresses, kept between compilations.
//!
//! [`Units::update`] compares what two documents hold: what is one value in memory is equal without a look inside, so a copy
//! of a document that was changed in one place is compared in no time. Units are made for what is new, and end where no
//! local side has them any more. What the tables need of them is counted and named in [`naming`](super::naming).
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

pub(crate) mod diff;
mod kept;
mod linker;
pub(crate) mod origins;
#[cfg(test)]
mod tests;
pub(crate) mod too_much;
pub(crate) mod unit;
mod update;

pub(crate) use self::kept::{Dirty, Linked, UnitChanges, Units};
