//! PCI functions in another process, over a Unix socket: the vfio-user protocol, both sides.
//!
//! [`VfioUser`] is the driver's side: a [`Device`](crate::device::Device) whose registers are messages, whose DMA memory
//! is memory files that it shares with the server, and whose interrupts are eventfds. [`server`] is the other side,
//! generic over [`server::Function`]; QEMU's `vfio-user-pci` and `VfioUser` are its clients.
//!
//! The layers, each with its own bounds and its own tests:
//!
//! ```text
//! wire          structures and numbers of the specification
//! capabilities  the JSON text of the version message
//! socket        whole messages, with descriptors, or a named error
//! client        request and reply            server   command and answer
//! ```
//!
//! Neither side trusts the other: any bytes give a typed error, use bounded memory and time, and never a panic.

pub mod capabilities;
mod client;
pub mod server;
pub mod socket;
#[cfg(test)]
mod toy;
pub mod wire;

pub use client::{REPLY, VfioUser, VfioUserError};
