//! Register maps as types: which register lies where, and which directions are legal.
//!
//! A map is a `#[repr(C)]` struct of `RO`, `WO` and `RW` cells from `volatile-register`. It is never laid over a
//! mapping, because a reference to device memory is one that the compiler may read on its own, and because an overlay
//! cannot be answered by a model. A [`Reg`] takes offset and direction from the map, and a [`Block`] performs the access
//! through [`Mmio`](crate::bar::Mmio).
//!
#![cfg_attr(feature = "raw", doc = "```")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! # use std::sync::Arc;
//! # use nicfw::regs::{Block, ef10};
//! # fn reset(bar: Arc<dyn nicfw::bar::Mmio>) -> Option<()> {
//! let regs = Block::<ef10::FunctionRegs>::new(bar, 0)?;
//! let status = regs.read(&ef10::MC_SFT_STATUS);
//! regs.write(&ef10::MC_DB_HWRD, ef10::MC_DB_CANCEL);
//! # Some(())
//! # }
//! ```
//!
//! A write-only register cannot be read:
//!
#![cfg_attr(feature = "raw", doc = "```compile_fail,E0277")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! # use nicfw::regs::{Block, ef10};
//! # fn wrong(regs: Block<ef10::FunctionRegs>) {
//! regs.read(&ef10::MC_DB_HWRD);
//! # }
//! ```

mod block;
pub mod ef10;
#[cfg(test)]
mod tests;

pub(crate) use block::reg;
pub use block::{Block, Field, Reg};
#[cfg(feature = "raw")]
pub use block::{Readable, Writable};
