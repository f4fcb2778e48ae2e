//! PCI functions in another process, over a Unix socket: the vfio-user protocol.
//!
//! [`VfioUser`] is the driver's side: a [`Device`](crate::device::Device) whose registers are messages, whose DMA memory
//! is memory files that it shares with the server, and whose interrupts are eventfds. The other side is the firmware model's
//! (`nicfw_model::serve`), over the same messages.
//!
//! The layers, each with its own bounds and its own tests:
//!
//! ```text
//! wire          structures and numbers of the specification
//! capabilities  the JSON text of the version message
//! socket        whole messages, with descriptors, or a named error
//! client        request and reply
//! ```
//!
//! No side trusts the other: any bytes give a typed error, use bounded memory and time, and never a panic.

#[cfg_attr(not(feature = "raw"), doc(hidden))]
pub mod capabilities;
mod client;
#[cfg_attr(not(feature = "raw"), doc(hidden))]
pub mod socket;
#[cfg_attr(not(feature = "raw"), doc(hidden))]
pub mod wire;

pub use client::{REPLY, VfioUser, VfioUserError};
