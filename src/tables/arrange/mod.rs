//! From the disjoint regions of a shape to what entries can say of them, by the precedence that the tables have: none
//! ([`pieces`]), or that of a ranked lookup order ([`cover`], [`lookups`]).
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

pub(crate) mod cover;
pub(crate) mod lookups;
pub(crate) mod pieces;
