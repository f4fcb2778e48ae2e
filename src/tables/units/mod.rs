//! From a document to its units: what the rules of each policy make of the local addresses, kept between compilations.
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

pub(crate) mod diff;
pub(crate) mod origins;
pub(crate) mod unit;
