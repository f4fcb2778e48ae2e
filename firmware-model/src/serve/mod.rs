//! The model's functions behind vfio-user sockets: for `nicfw` without QEMU, and for QEMU itself.
//!
//! One socket is one function; a driver that leaves and comes back finds the function as it was. Each socket is served by
//! a thread of its own, so that a client that misbehaves holds up nobody else.
//!
//! The messages, and how they go over a socket, are those of [`nicfw::device::vfio_user`], the other side:
//!
//! ```text
//! Listener -> socket -> Session: commands and answers -> Function: a PCI function
//!                            -> ClientMemory (DMA, by mapped files or by message), Irqs (eventfds)
//! ```

mod function;
mod irqs;
mod link;
mod listener;
mod memory;
mod over;
mod session;

pub use function::{Function, Host, RegionShape, Shape, SharedRegion};
pub use irqs::Irqs;
pub use listener::{BindError, Listener};
pub use memory::{ClientMemory, MAX_FILES, MAX_WINDOWS};
pub use over::{over_socket, serve};
pub use session::Session;
