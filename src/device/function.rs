//! What the driver needs of a PCI function.

use std::fmt;
use std::sync::Arc;

use super::Interrupt;
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
