//! One PCI function of an adapter, however it is reached: in process, by a vfio-user socket, or through VFIO.
//!
//! A [`Locator`] names a function and opens it; what comes out is a [`Device`], and nobody to the right of this room asks
//! what kind. [`Machine::probe`] looks at the machine without opening anything.
//!
//! ```text
//! Locator -> vfio: the kernel's system calls   -> pool (DMA), registers (BAR) -> Device
//!         -> vfio_user: the same, as messages  -> pool (DMA), registers (BAR) -> Device
//! Machine -> probe: who holds what, what stands in the way, which commands clear it -> Suitability
//! ```

mod address;
mod config;
mod function;
mod ids;
mod interrupt;
mod locator;
mod pool;
mod probe;
mod registers;
pub mod vfio;
pub mod vfio_user;

pub use address::{AddressError, PciAddress};
pub use function::{Device, PciId};
pub use ids::{MODELS, Model, Support};
pub use interrupt::Interrupt;
pub use locator::{Locator, OpenError};
pub use probe::{Firmware, Group, Machine, Member, Obstacle, PINNED, ProbeError, Suitability, Usability};
