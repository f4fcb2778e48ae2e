//! The addresses that a device may be given: which are free, and who holds the rest.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Iova;

/// Addresses handed out by default: below 4 GiB, so every IOMMU's aperture holds them, above the legacy area, and clear
/// of the interrupt window that x86 puts at 0xfee0_0000.
pub const DEFAULT_WINDOW: RangeInclusive<u64> = 0x0100_0000..=0xbfff_ffff;

/// The free part of a device's address space, as disjoint ranges.
#[derive(Debug, Clone)]
pub struct IovaSpace {
    /// First address -> last address. No two ranges touch.
    free: BTreeMap<u64, u64>,
}

impl IovaSpace {
    /// A space that consists of `ranges` (first and last address of each). Overlaps are merged.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<u64>>) -> Self {
        let mut space = Self { free: BTreeMap::new() };
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            space.insert(*range.start(), *range.end());
        }
        space
    }

    /// Takes `len` bytes aligned to `align` (a power of two), lowest address first; `None` when no range holds them.
    pub fn take(&mut self, len: u64, align: u64) -> Option<Iova> {
        if len == 0 || !align.is_power_of_two() {
            return None;
        }
        let (range, first, last) = self.free.iter().find_map(|(&start, &end)| {
            let first = start.checked_next_multiple_of(align)?;
            let last = first.checked_add(len - 1)?;
            (last <= end).then_some(((start, end), first, last))
        })?;
        self.free.remove(&range.0);
        if range.0 < first {
            self.free.insert(range.0, first - 1);
        }
        if last < range.1 {
            self.free.insert(last + 1, range.1);
        }
        Some(Iova(first))
    }

    /// Gives back what [`take`](Self::take) returned for the same `len`.
    pub fn give_back(&mut self, iova: Iova, len: u64) {
        if let Some(last) = len.checked_sub(1).and_then(|rest| iova.0.checked_add(rest)) {
            self.insert(iova.0, last);
        }
    }

    /// Free bytes, in all ranges together.
    #[must_use]
    pub fn free_bytes(&self) -> u128 {
        self.free.iter().map(|(first, last)| u128::from(last - first) + 1).sum()
    }

    fn insert(&mut self, mut first: u64, mut last: u64) {
        let touching: Vec<u64> = self
            .free
            .range(..=last.saturating_add(1))
            .rev()
            .take_while(|(_, end)| end.saturating_add(1) >= first)
            .map(|(start, _)| *start)
            .collect();
        for start in touching {
            let end = self.free.remove(&start).unwrap_or(start);
            first = first.min(start);
            last = last.max(end);
        }
        self.free.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_merged_and_exhausted() {
        let mut space = IovaSpace::new([0x1000..=0x1fff, 0x2000..=0x2fff, 0x8000..=0x8fff]);
        assert_eq!(space.take(0x2000, 0x1000), Some(Iova(0x1000)), "touching ranges are one");
        assert_eq!(space.take(0x2000, 0x1000), None, "no range is long enough");
        assert_eq!(space.take(0x10, 0x1000), Some(Iova(0x8000)));
        assert_eq!(space.take(0x10, 0x1000), None, "nothing aligned is left");
        assert_eq!(space.take(0x10, 0x10), Some(Iova(0x8010)));
        space.give_back(Iova(0x1000), 0x2000);
        assert_eq!(space.take(0x800, 0x1000), Some(Iova(0x1000)));
    }

    #[test]
    fn the_ends_of_the_space_are_usable() {
        let mut space = IovaSpace::new([0..=u64::MAX]);
        assert_eq!(space.free_bytes(), 1 << 64);
        assert_eq!(space.take(1 << 63, 1 << 63), Some(Iova(0)));
        assert_eq!(space.take(1 << 63, 1), Some(Iova(1 << 63)));
        assert_eq!(space.free_bytes(), 0);
        space.give_back(Iova(1 << 63), 1 << 63);
        assert_eq!(space.free_bytes(), 1 << 63);
        assert_eq!(space.take(0, 1), None);
        assert_eq!(space.take(8, 3), None);
    }

    proptest! {
        #[test]
        fn nothing_is_held_twice_and_nothing_is_lost(steps in prop::collection::vec((1u64..40, 0u32..6, any::<bool>(), any::<prop::sample::Index>()), 1..80)) {
            let mut space = IovaSpace::new([100..=299, 400..=499]);
            let mut held: Vec<(u64, u64)> = Vec::new();
            for (len, align, release, which) in steps {
                if release && !held.is_empty() {
                    let (start, len) = held.swap_remove(which.index(held.len()));
                    space.give_back(Iova(start), len);
                } else if let Some(Iova(start)) = space.take(len, 1 << align) {
                    prop_assert!(start % (1 << align) == 0);
                    prop_assert!((100..=299).contains(&start) && start + len <= 300 || (400..=499).contains(&start) && start + len <= 500);
                    prop_assert!(held.iter().all(|(other, size)| start + len <= *other || other + size <= start));
                    held.push((start, len));
                }
                let used: u64 = held.iter().map(|(_, len)| len).sum();
                prop_assert_eq!(space.free_bytes() + u128::from(used), 300);
            }
        }
    }
}
