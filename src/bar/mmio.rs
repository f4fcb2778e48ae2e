//! Registers of a BAR.

/// One PCI BAR, or a page-aligned window of one.
///
/// Values are in host order, registers little-endian. Each call is exactly one access of that width, in program order
/// with other calls on the same BAR. A device that no longer answers reads as all ones and swallows writes, as PCI
/// Express does after surprise removal; whoever reads all ones confirms on `HW_REV_ID` and reports
/// [`Error::DeviceGone`](crate::Error::DeviceGone).
///
/// # Panics
/// Every method panics on a misaligned or out-of-range `off`: the typed layer (`regs::Block`) has checked it already.
pub trait Mmio: Send + Sync {
    /// Window length in bytes.
    fn len(&self) -> usize;
    /// Reads the 32-bit register at byte offset `off`.
    fn read32(&self, off: usize) -> u32;
    /// Writes the 32-bit register at byte offset `off`.
    fn write32(&self, off: usize, value: u32);
    /// One 8-byte access at byte offset `off`, never two halves.
    fn write64(&self, off: usize, value: u64);
}

/// Makes everything written to DMA memory so far visible to the device before the next register write.
///
/// A full fence is enough on x86-64, where uncached stores are not reordered with write-back stores after it.
pub fn write_barrier() {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}
