//! What names things in the tables of this family, kept between compilations: the sets of addresses and ports that entries
//! name, the classes that they cut, their ids and maps, and the entries that units make of them.
//!
//! [`Naming::lay_out`] chooses a layout from the sums over all units, which is [`LaidOut`]; of that, [`LaidOut::name`] makes
//! the maps and the entries. Where a set came or went, classes are cut anew, and units whose classes changed are counted
//! again; units that are new, or whose ids changed, make their entries.
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

mod choice;
pub(crate) mod entries;
pub(crate) mod ids;
mod kept;
pub(crate) mod layout;
mod layouts;
mod make;
pub(crate) mod maps;
pub(crate) mod points;
mod ports;
pub(crate) mod sets;

pub(crate) use self::kept::Naming;
pub(crate) use self::maps::PreviousIds;
