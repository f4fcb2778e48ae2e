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
mod ids;
mod interrupt;
mod locator;
mod pool;
mod probe;
mod registers;
pub mod vfio;
pub mod vfio_user;

use std::fmt;
use std::sync::Arc;

pub use address::{AddressError, PciAddress};
pub use ids::{MODELS, Model, Support};
pub use interrupt::Interrupt;
pub use locator::{Locator, OpenError};
pub use probe::{Firmware, Group, Machine, Member, Obstacle, PINNED, ProbeError, Suitability, Verdict};

use crate::bar::Mmio;
use crate::dma::DmaBuf;
use crate::error::Error;

/// What the driver needs of a PCI function.
///
/// Nothing from `regs` rightward knows which backend it talks to.
pub trait Device: Send + Sync + fmt::Debug {
    /// PCI vendor and device id.
    fn pci_id(&self) -> PciId;
    /// The function's memory BAR that holds the registers.
    fn bar(&self) -> Arc<dyn Mmio>;
    /// Allocates zeroed DMA memory, at least `len` bytes, aligned to `align` (a power of two) in the device's view.
    ///
    /// # Errors
    /// [`Error::Dma`] when no memory or no IOVA space is left. The device is unchanged.
    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error>;
    /// Resets the function (FLR).
    ///
    /// # Errors
    /// [`Error::Reset`] when the function cannot be reset; its state is then unknown.
    fn reset(&self) -> Result<(), Error>;
    /// Connects the first `count` interrupt vectors and takes the place of what was connected before. Fewer when the
    /// function has fewer, none when the backend has no interrupts: the driver polls then.
    ///
    /// # Errors
    /// [`Error::Interrupt`] when a vector could not be connected.
    fn interrupts(&self, count: usize) -> Result<Vec<Interrupt>, Error> {
        let _ = count;
        Ok(Vec::new())
    }
}

/// PCI vendor and device id of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PciId {
    /// Vendor id, 0x1924 for Solarflare.
    pub vendor: u16,
    /// Device id, for example 0x0A03 for an SFN8000 physical function.
    pub device: u16,
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}
