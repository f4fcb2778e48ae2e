//! What names things in the tables of this family: the sets that entries name, their classes, ids and maps.
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

pub(crate) mod entries;
pub(crate) mod ids;
pub(crate) mod layout;
pub(crate) mod maps;
pub(crate) mod points;
pub(crate) mod sets;
