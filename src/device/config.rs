//! Offsets and bits of PCI configuration space that a driver without a kernel driver underneath needs.

/// Offset of the vendor id; the device id follows.
pub const VENDOR_ID: u64 = 0x00;
/// Offset of the 16-bit command register.
pub const COMMAND: u64 = 0x04;
/// Command: the function answers to its memory BARs.
pub const MEMORY_SPACE: u16 = 1 << 1;
/// Command: the function may use DMA and MSI-X.
pub const BUS_MASTER: u16 = 1 << 2;
