//! Commands to the adapter's management controller (MC): a request in DMA memory, a doorbell in the BAR, a reply in the
//! same memory.
//!
//! [`wire`] is the bytes, [`Channel`] takes one command at a time to the MC and checks what comes back, and [`cmd`] has a
//! function for every command that the driver uses.
//!
#![cfg_attr(feature = "raw", doc = "```")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! use nicfw::mcdi::wire::{Cmd, Header};
//!
//! // GET_VERSION as a driver's first request: CODE 8, RESYNC, sequence number 0, new epoch.
//! let header = Header::decode([0x0000_0088, 0]);
//! assert_eq!((header.cmd, header.len, header.new_epoch), (Cmd::GET_VERSION, 0, true));
//! assert_eq!(header.encode(), [0x0000_0088, 0]);
//! ```

mod channel;
#[cfg(test)]
mod channel_tests;
pub mod cmd;
pub(crate) mod completions;
mod error;
mod event_ring;
#[cfg(test)]
pub(crate) mod fake;
pub mod wire;

pub use channel::Channel;
pub use error::McdiError;
