//! A BAR, or a page-aligned window of one, mapped into this process.

#![expect(unsafe_code, reason = "volatile access to device registers")]

use std::io;
use std::os::fd::BorrowedFd;

use memmap2::{MmapOptions, MmapRaw};

use super::Mmio;

/// Registers in a mapping of a device's descriptor. Each access is one volatile load or store of its width.
#[derive(Debug)]
pub struct MappedBar(MmapRaw);

impl MappedBar {
    /// Maps `len` bytes of `device` from `offset` on, a multiple of the page size.
    ///
    /// The descriptor must be one whose pages stay there as long as it is open: a VFIO device, or a file that is sealed
    /// against shrinking ([`seals_hold`](crate::bar::MappedBar::seals_hold)).
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn map(device: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        MmapOptions::new().offset(offset).len(len).map_raw(&device).map(Self)
    }

    /// Whether `file` is sealed against shrinking and reaches to `end`, so that a mapping up to there stays backed.
    #[must_use]
    pub fn seals_hold(file: BorrowedFd<'_>, end: u64) -> bool {
        let sealed = rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::SHRINK));
        sealed && rustix::fs::fstat(file).is_ok_and(|stat| u64::try_from(stat.st_size).is_ok_and(|len| end <= len))
    }

    /// The address of the register at `off`, which lies in the mapping and is aligned to `width`.
    fn register(&self, off: usize, width: usize) -> *mut u8 {
        let inside = off.checked_add(width).is_some_and(|end| end <= self.0.len());
        assert!(inside && off.is_multiple_of(width), "register access of {width} bytes at {off:#x}");
        self.0.as_mut_ptr().wrapping_add(off)
    }
}

impl Mmio for MappedBar {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read32(&self, off: usize) -> u32 {
        let register = self.register(off, 4).cast::<u32>();
        // SAFETY: `register` proved that off + 4 <= len and alignment (the map starts on a page).
        u32::from_le(unsafe { register.read_volatile() })
    }

    fn write32(&self, off: usize, value: u32) {
        let register = self.register(off, 4).cast::<u32>();
        // SAFETY: `register` proved that off + 4 <= len and alignment; the map is writable.
        unsafe { register.write_volatile(value.to_le()) };
    }

    fn write64(&self, off: usize, value: u64) {
        let register = self.register(off, 8).cast::<u64>();
        // SAFETY: `register` proved that off + 8 <= len and alignment; the map is writable.
        unsafe { register.write_volatile(value.to_le()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    fn page() -> File {
        let file = rustix::fs::memfd_create("bar", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, 8192).unwrap();
        File::from(file)
    }

    #[test]
    fn registers_are_little_endian_at_their_offsets() {
        let file = page();
        let bar = MappedBar::map(file.as_fd(), 4096, 4096).unwrap();
        bar.write32(4, 0x0102_0304);
        bar.write64(8, 0x1112_1314_1516_1718);
        let mut bytes = [0; 16];
        file.read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!(bytes, [0, 0, 0, 0, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]);
        assert_eq!(bar.read32(12), 0x1112_1314);
    }

    #[test]
    fn only_a_sealed_file_holds() {
        let file = page();
        assert!(!MappedBar::seals_hold(file.as_fd(), 4096));
        rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::SHRINK).unwrap();
        assert!(MappedBar::seals_hold(file.as_fd(), 8192));
        assert!(!MappedBar::seals_hold(file.as_fd(), 8193));
    }

    #[test]
    #[should_panic(expected = "register access of 8 bytes at 0xffc")]
    fn an_access_past_the_end_panics() {
        MappedBar::map(page().as_fd(), 0, 4096).unwrap().write64(0xffc, 0);
    }
}
