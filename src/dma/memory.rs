//! Memory that driver and device share, from both sides.

/// An address as the device sees it (bus address behind the IOMMU).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iova(pub u64);

/// One contiguous buffer of DMA memory.
///
/// # Panics
/// The accessors panic when `off` + length exceeds [`DmaBuf::len`], and the word accessors when `off` is misaligned.
pub trait DmaBuf: Send + Sync {
    /// Address of the first byte, as the device sees it.
    fn iova(&self) -> Iova;
    /// Length in bytes.
    fn len(&self) -> usize;
    /// Copies bytes out of the buffer. Bytes that the device writes meanwhile may be old or new, each by itself.
    fn read(&self, off: usize, into: &mut [u8]);
    /// Copies bytes into the buffer.
    fn write(&self, off: usize, from: &[u8]);
    /// Reads one aligned little-endian dword in a single access.
    fn read32(&self, off: usize) -> u32;
    /// Writes one aligned little-endian dword in a single access.
    fn write32(&self, off: usize, value: u32);
}

/// The memory of the driver's machine as a device sees it: what the device's DMA reaches.
///
/// The side of a device model. The driver's side is [`DmaBuf`].
pub trait DmaSpace: Send + Sync {
    /// Copies `into.len()` bytes from `iova` on. Aligned 8-byte words are copied whole.
    ///
    /// # Errors
    /// [`DmaFault`] when the device may not read all of it; `into` may be changed in part.
    fn read(&self, iova: Iova, into: &mut [u8]) -> Result<(), DmaFault>;
    /// Copies `from` to `iova` on. Aligned 8-byte words are copied whole.
    ///
    /// # Errors
    /// [`DmaFault`] when the device may not write all of it. If no window is there, or one may not be written, nothing is.
    fn write(&self, iova: Iova, from: &[u8]) -> Result<(), DmaFault>;
}

/// The IOMMU, or the lack of memory, stopped an access of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device reaches no {len} bytes at IOVA {:#x}", iova.0)]
pub struct DmaFault {
    /// First address that could not be reached.
    pub iova: Iova,
    /// Length of the access in bytes.
    pub len: usize,
}
