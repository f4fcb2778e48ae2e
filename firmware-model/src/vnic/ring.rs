//! Descriptor and event rings in the driver's memory: an array of 4 KiB pages, 8 bytes an entry (ef10.md 3.1).

use nicfw::dma::{DmaFault, DmaSpace, Iova};
use nicfw::mcdi::wire::McErrno;

/// Length of a ring's page in bytes.
pub(crate) const PAGE: u64 = 4096;
/// Length of an entry in bytes.
const ENTRY: u64 = 8;
/// Entries of a page.
const PER_PAGE: u32 = 512;
/// Width of the addresses that a function's DMA can reach.
const ADDRESS_BITS: u32 = 48;

/// A ring. Indexes are taken modulo its size.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    pages: Vec<u64>,
    size: u32,
}

impl Ring {
    /// A ring of `size` entries, a power of two between `limits`, in as many of `pages` as it needs.
    pub fn new(size: u32, limits: (u32, u32), pages: impl Iterator<Item = u64>) -> Result<Self, McErrno> {
        if !size.is_power_of_two() || !(limits.0..=limits.1).contains(&size) {
            return Err(McErrno::EINVAL);
        }
        let count = size.div_ceil(PER_PAGE);
        let pages: Vec<u64> = (0..count).zip(pages).map(|(_, page)| page).collect();
        let usable = |page: &u64| page.is_multiple_of(PAGE) && *page >> ADDRESS_BITS == 0;
        if u32::try_from(pages.len()) != Ok(count) || !pages.iter().all(usable) {
            return Err(McErrno::EINVAL);
        }
        Ok(Self { pages, size })
    }

    /// Number of entries.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// An index, brought into the ring.
    pub fn wrap(&self, index: u32) -> u32 {
        index & (self.size - 1)
    }

    /// Entries from `from` to before `to`.
    pub fn between(&self, from: u32, to: u32) -> u32 {
        self.wrap(to.wrapping_sub(from))
    }

    /// Reads the entry at `index`.
    pub fn read(&self, memory: &dyn DmaSpace, index: u32) -> Result<u64, DmaFault> {
        let mut bytes = [0; 8];
        memory.read(self.at(index), &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes the entry at `index`.
    pub fn write(&self, memory: &dyn DmaSpace, index: u32, entry: u64) -> Result<(), DmaFault> {
        memory.write(self.at(index), &entry.to_le_bytes())
    }

    fn at(&self, index: u32) -> Iova {
        let index = self.wrap(index);
        let page = usize::try_from(index / PER_PAGE).ok().and_then(|page| self.pages.get(page));
        // There is a page for every index; the last address of all faults in any case.
        Iova(page.map_or(u64::MAX, |page| page + u64::from(index % PER_PAGE) * ENTRY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_needs_a_size_and_pages_that_hold_it() {
        let limits = (512, 2048);
        assert_eq!(Ring::new(1024, limits, [0x1000, 0x8000, 0x9000].into_iter()).unwrap().size(), 1024);
        for size in [0, 256, 768, 4096, u32::MAX] {
            assert_eq!(Ring::new(size, limits, [0x1000; 8].into_iter()).err(), Some(McErrno::EINVAL), "{size}");
        }
        for pages in [vec![0x1000], vec![0x1000, 0x2008], vec![0x1000, 1 << 48]] {
            assert_eq!(Ring::new(1024, limits, pages.into_iter()).err(), Some(McErrno::EINVAL));
        }
    }

    #[test]
    fn entries_lie_eight_bytes_apart_and_wrap() {
        let ring = Ring::new(1024, (512, 2048), [0x1000, 0x8000].into_iter()).unwrap();
        let at = |index| ring.at(index).0;
        assert_eq!(
            [at(0), at(1), at(511), at(512), at(1023), at(1024)],
            [0x1000, 0x1008, 0x1ff8, 0x8000, 0x8ff8, 0x1000]
        );
        assert_eq!((ring.between(1020, 4), ring.between(4, 4)), (8, 0));
    }
}
