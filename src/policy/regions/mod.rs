//! What a document says about the frames of one local address, as disjoint regions.
//!
//! A [`Shape`] is all that a local address takes from the document: addresses of one shape are judged alike. Its rules
//! cut the remote addresses and the ports into classes; one decision for each combination of classes, and what is
//! decided alike by the same rule is put together again.
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

mod budget;
mod cells;
pub(crate) mod classes;
mod cutter;
mod found;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use self::budget::{Budget, SharedBudget};
pub(crate) use self::cells::{Cell, each_cell};
pub(crate) use self::cutter::{Wanted, regions, regions_within};
pub(crate) use self::shape::{Cause, DIRECTIONS, Region, Shape};
