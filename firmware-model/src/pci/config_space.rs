//! PCI configuration space: a type 0 header with the power management, MSI-X and PCI Express capabilities.
//!
//! Offsets and bits are those of the PCI Express Base Specification; which capabilities an EF10 function has stands in
//! ef10.md 1.4. Every byte has a mask of the bits that a driver can change. Reading and writing never fail: what is not
//! there reads as zero and swallows writes.

/// Length of the configuration space of a PCI Express function, in bytes.
pub const LEN: usize = 4096;

/// Where the capabilities lie. Their order is that of the list.
const PM: usize = 0x40;
const MSIX: usize = 0x50;
const PCIE: usize = 0x70;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const REVISION_AND_CLASS: usize = 0x08;
const CACHE_LINE: usize = 0x0c;
const BAR0: usize = 0x10;
const SUBSYSTEM: usize = 0x2c;
const CAPABILITIES: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3c;

/// Command: memory space, bus master, parity response, SERR, INTx disable.
const COMMAND_BITS: u16 = 0x0546;
/// Command: I/O space.
const IO_SPACE: u16 = 1 << 0;
/// Command: bus master.
const BUS_MASTER: u16 = 1 << 2;
/// Status: there is a list of capabilities.
const HAS_CAPABILITIES: u16 = 1 << 4;
/// Class 02 (network), subclass 00 (Ethernet).
const ETHERNET: u32 = 0x02_0000;
/// A BAR register: 64 bits wide, not prefetchable.
const BAR_64: u32 = 4;
/// A BAR register: I/O space.
const BAR_IO: u32 = 1;
/// MSI-X control: enable, and mask all.
const MSIX_BITS: u16 = 0xc000;
/// MSI-X control: enable.
const MSIX_ENABLE: u16 = 1 << 15;
/// Device capabilities: role-based error reporting, function level reset.
const DEVICE_CAPS: u32 = 1 << 15 | 1 << 28;
/// Device control, bit 15: reset the function. Reads as 0.
const INITIATE_FLR: u16 = 1 << 15;
/// Link: 8 GT/s, 8 lanes.
const LINK: u16 = 3 | 8 << 4;

/// What a function looks like on the bus.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Vendor and device id of the board.
    pub subsystem: (u16, u16),
    /// BAR of I/O space, if there is one, and its length: a power of two. Nothing is behind it.
    pub io: Option<(u8, u64)>,
    /// BAR that holds the registers, 64 bits wide (with the next one), and its length: a power of two.
    pub registers: (u8, u64),
    /// BAR that holds the MSI-X table at 0 and the pending bits in the upper half, and its length: a power of two.
    pub msix: (u8, u64),
    /// MSI-X vectors, 1 to 2048.
    pub vectors: u16,
}

/// What a write set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing outside configuration space.
    None,
    /// The driver asked for a function level reset. Configuration space has its first values again.
    Reset,
}

/// The configuration space of one function.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    bytes: Vec<u8>,
    /// Bits that a driver can change.
    writable: Vec<u8>,
    first: Vec<u8>,
}

impl ConfigSpace {
    /// The configuration space of a function after power-on.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let mut space = Self { bytes: vec![0; LEN], writable: vec![0; LEN], first: Vec::new() };
        space.put16(0x00, identity.vendor, 0);
        space.put16(0x02, identity.device, 0);
        space.put16(COMMAND, 0, COMMAND_BITS | identity.io.map_or(0, |_| IO_SPACE));
        space.put16(STATUS, HAS_CAPABILITIES, 0);
        space.put32(REVISION_AND_CLASS, ETHERNET << 8, 0);
        space.put16(CACHE_LINE, 0, 0x00ff);
        space.put16(SUBSYSTEM, identity.subsystem.0, 0);
        space.put16(SUBSYSTEM + 2, identity.subsystem.1, 0);
        space.put16(CAPABILITIES, u16::try_from(PM).unwrap_or(0), 0);
        space.put16(INTERRUPT_LINE, 0, 0x00ff);
        for (bar, len) in [identity.registers, identity.msix] {
            space.bar(bar, len);
        }
        if let Some((bar, len)) = identity.io {
            space.put32(BAR0 + 4 * usize::from(bar), BAR_IO, low(!(len - 1)) & !0x3);
        }
        space.power_management();
        space.msix(identity);
        space.pcie();
        space.first = space.bytes.clone();
        space
    }

    /// Reads bytes at `offset`; zeros past the end.
    pub fn read(&self, offset: u64, into: &mut [u8]) {
        let at = usize::try_from(offset).unwrap_or(LEN);
        for (i, byte) in into.iter_mut().enumerate() {
            *byte = at.checked_add(i).and_then(|at| self.bytes.get(at)).copied().unwrap_or(0);
        }
    }

    /// Writes bytes at `offset`: only bits that a driver can change take them.
    pub fn write(&mut self, offset: u64, from: &[u8]) -> Effect {
        let at = usize::try_from(offset).unwrap_or(LEN);
        for (i, value) in from.iter().enumerate() {
            let Some(at) = at.checked_add(i) else { break };
            if let (Some(byte), Some(mask)) = (self.bytes.get_mut(at), self.writable.get(at)) {
                *byte = *byte & !mask | value & mask;
            }
        }
        if self.get16(PCIE + 8) & INITIATE_FLR == 0 {
            return Effect::None;
        }
        self.reset();
        Effect::Reset
    }

    /// Gives every register its first value, as a reset does.
    pub fn reset(&mut self) {
        self.bytes.clone_from(&self.first);
    }

    /// Whether the function may use DMA and send interrupts.
    #[must_use]
    pub fn bus_master(&self) -> bool {
        self.get16(COMMAND) & BUS_MASTER != 0
    }

    /// Whether MSI-X is switched on.
    #[must_use]
    pub fn msix_enabled(&self) -> bool {
        self.get16(MSIX + 2) & MSIX_ENABLE != 0
    }

    fn bar(&mut self, bar: u8, len: u64) {
        let at = BAR0 + 4 * usize::from(bar);
        let mask = !(len - 1);
        self.put32(at, BAR_64, low(mask) & !0xf);
        self.put32(at + 4, 0, low(mask >> 32));
    }

    fn power_management(&mut self) {
        self.put16(PM, 0x01 | next(MSIX), 0);
        self.put16(PM + 2, 0x0003, 0); // version 3, D0 and D3hot only
        self.put16(PM + 4, 0x0008, 0x0003); // a move from D3hot to D0 resets nothing
    }

    fn msix(&mut self, identity: &Identity) {
        let bir = u32::from(identity.msix.0);
        self.put16(MSIX, 0x11 | next(PCIE), 0);
        self.put16(MSIX + 2, identity.vectors.saturating_sub(1), MSIX_BITS);
        self.put32(MSIX + 4, bir, 0);
        self.put32(MSIX + 8, low(identity.msix.1 / 2) | bir, 0);
    }

    fn pcie(&mut self) {
        self.put16(PCIE, 0x10, 0);
        self.put16(PCIE + 2, 0x0002, 0); // version 2, an endpoint
        self.put32(PCIE + 4, DEVICE_CAPS, 0);
        self.put16(PCIE + 8, 0x2810, 0xffff); // 512-byte reads, relaxed ordering, no snoop
        self.put32(PCIE + 0x0c, u32::from(LINK), 0);
        self.put16(PCIE + 0x10, 0, 0x00c3);
        self.put16(PCIE + 0x12, LINK, 0);
        self.put32(PCIE + 0x2c, 0x0e, 0); // 2.5, 5 and 8 GT/s
        self.put16(PCIE + 0x30, 0x0003, 0x000f);
    }

    fn get16(&self, at: usize) -> u16 {
        let byte = |at| self.bytes.get(at).copied().unwrap_or(0);
        u16::from_le_bytes([byte(at), byte(at + 1)])
    }

    fn put16(&mut self, at: usize, value: u16, writable: u16) {
        self.put(at, &value.to_le_bytes(), &writable.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32, writable: u32) {
        self.put(at, &value.to_le_bytes(), &writable.to_le_bytes());
    }

    fn put(&mut self, at: usize, value: &[u8], writable: &[u8]) {
        if let Some(bytes) = self.bytes.get_mut(at..at + value.len()) {
            bytes.copy_from_slice(value);
        }
        if let Some(bits) = self.writable.get_mut(at..at + writable.len()) {
            bits.copy_from_slice(writable);
        }
    }
}

/// The pointer to the next capability, as it stands in the upper byte of a capability's first word.
fn next(at: usize) -> u16 {
    u16::try_from(at << 8).unwrap_or(0)
}

/// The low dword.
fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> ConfigSpace {
        ConfigSpace::new(&Identity {
            vendor: 0x1924,
            device: 0x0a03,
            subsystem: (0x1924, 0x8011),
            io: Some((0, 0x100)),
            registers: (2, 0x80_0000),
            msix: (4, 0x4000),
            vectors: 32,
        })
    }

    fn read32(space: &ConfigSpace, at: u64) -> u32 {
        let mut bytes = [0xa5; 4];
        space.read(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn the_header_is_that_of_an_ethernet_function() {
        let space = space();
        assert_eq!(read32(&space, 0), 0x0a03_1924);
        assert_eq!(read32(&space, 4), 0x0010_0000, "nothing switched on, a list of capabilities");
        assert_eq!(read32(&space, 8), 0x0200_0000);
        assert_eq!(read32(&space, 0x2c), 0x8011_1924);
        assert_eq!(read32(&space, 0x10), 1, "BAR 0 is of I/O space");
        assert_eq!(read32(&space, 0xffe), 0);
        assert_eq!(read32(&space, u64::MAX), 0);
    }

    #[test]
    fn the_capability_list_names_pm_msix_and_pcie() {
        let space = space();
        let mut at = read32(&space, 0x34) & 0xff;
        let mut seen = Vec::new();
        while at != 0 {
            let head = read32(&space, at.into());
            seen.push((at, head & 0xff));
            at = head >> 8 & 0xff;
        }
        assert_eq!(seen, [(0x40, 0x01), (0x50, 0x11), (0x70, 0x10)]);
        assert_eq!(read32(&space, 0x50) >> 16, 31, "table size is one less");
        assert_eq!((read32(&space, 0x54), read32(&space, 0x58)), (4, 0x2004), "table and pending bits in BAR 4");
    }

    #[test]
    fn bars_answer_sizing() {
        let mut space = space();
        for (at, expected) in
            [(0x10, 0xffff_ff01), (0x18, 0xff80_0004), (0x1c, 0xffff_ffff), (0x20, 0xffff_c004), (0x14, 0)]
        {
            assert_eq!(space.write(at, &[0xff; 4]), Effect::None);
            assert_eq!(read32(&space, at), expected, "BAR register at {at:#x}");
        }
    }

    #[test]
    fn only_what_a_driver_may_change_changes() {
        let mut space = space();
        space.write(0, &[0xff; 64]);
        assert_eq!(read32(&space, 0), 0x0a03_1924);
        assert_eq!(read32(&space, 4), 0x0010_0547);
        assert!(space.bus_master());
        space.write(0x50, &[0xff; 4]);
        assert_eq!(read32(&space, 0x50) >> 16, 0xc01f);
        assert!(space.msix_enabled());
    }

    #[test]
    fn the_reset_bit_resets_and_reads_as_zero() {
        let mut space = space();
        space.write(4, &[6, 0]);
        assert_eq!(space.write(0x78, &[0x10, 0xa8]), Effect::Reset);
        assert!(!space.bus_master());
        assert_eq!(read32(&space, 0x78) & 0xffff, 0x2810);
    }
}
