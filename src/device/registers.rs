//! The BAR of a function behind VFIO or vfio-user: mapped where that is allowed, one message or system call otherwise.

use std::ops::Range;

use zerocopy::FromBytes;

use super::vfio_user::wire::{self, CapHeader, MmapArea, RegionInfo, SparseMmap};
use crate::bar::{MappedBar, Mmio, Region, TrappedBar};

/// Most capabilities of a region that are looked at, and most areas of one.
const MOST: usize = 64;

/// A BAR of which parts are mapped.
#[derive(Debug)]
pub(super) struct Registers<R> {
    /// Dropped before the region: a mapping keeps a device's descriptor in use.
    mapped: Vec<(Range<usize>, MappedBar)>,
    trapped: TrappedBar<R>,
}

impl<R: Region> Registers<R> {
    /// Registers in `region`. `map` is asked for each of `areas` that lies inside; one that it does not map is reached
    /// like the rest.
    pub(super) fn new(region: R, areas: &[Range<u64>], map: impl Fn(u64, usize) -> Option<MappedBar>) -> Self {
        let len = region.len();
        let map = |area: &Range<u64>| {
            let range = usize::try_from(area.start).ok()?..usize::try_from(area.end).ok()?;
            let inside = range.end <= len && !range.is_empty();
            Some((range.clone(), inside.then(|| map(area.start, range.len()))??))
        };
        Self { trapped: TrappedBar::new(region), mapped: areas.iter().filter_map(map).collect() }
    }

    /// The mapping that holds an access whole, and the offset in it.
    fn mapped(&self, off: usize, width: usize) -> Option<(&MappedBar, usize)> {
        let end = off.checked_add(width)?;
        let (range, bar) = self.mapped.iter().find(|(range, _)| range.start <= off && end <= range.end)?;
        Some((bar, off - range.start))
    }
}

impl<R: Region> Mmio for Registers<R> {
    fn len(&self) -> usize {
        self.trapped.len()
    }

    fn read32(&self, off: usize) -> u32 {
        match self.mapped(off, 4) {
            Some((bar, off)) => bar.read32(off),
            None => self.trapped.read32(off),
        }
    }

    fn write32(&self, off: usize, value: u32) {
        match self.mapped(off, 4) {
            Some((bar, off)) => bar.write32(off, value),
            None => self.trapped.write32(off, value),
        }
    }

    fn write64(&self, off: usize, value: u64) {
        match self.mapped(off, 8) {
            Some((bar, off)) => bar.write64(off, value),
            None => self.trapped.write64(off, value),
        }
    }
}

/// The parts of a region that may be mapped: all of it, or what the sparse mmap capability lists.
///
/// `body` is the whole reply, whose head is `info`. A list that leads nowhere ends there.
pub(super) fn areas(info: &RegionInfo, body: &[u8]) -> Vec<Range<u64>> {
    if info.flags.get() & wire::REGION_MMAP == 0 {
        return Vec::new();
    }
    let mut at = if info.flags.get() & wire::REGION_CAPS == 0 { 0 } else { info.cap_offset.get() };
    for _ in 0..MOST {
        let rest = usize::try_from(at).ok().filter(|at| *at > 0).and_then(|at| body.get(at..));
        let Some((head, rest)) = rest.and_then(|rest| CapHeader::read_from_prefix(rest).ok()) else { break };
        if head.id.get() == wire::CAP_SPARSE_MMAP {
            let Ok((sparse, mut rest)) = SparseMmap::read_from_prefix(rest) else { break };
            let mut areas = Vec::new();
            for _ in 0..usize::try_from(sparse.nr_areas.get()).unwrap_or(MOST).min(MOST) {
                let Ok((area, next)) = MmapArea::read_from_prefix(rest) else { break };
                rest = next;
                let end = area.offset.get().checked_add(area.size.get());
                areas.extend(end.map(|end| area.offset.get()..end));
            }
            return areas;
        }
        at = head.next.get();
    }
    std::iter::once(0..info.size.get()).collect()
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "an area is a range")]
mod tests {
    use super::*;
    use crate::dma::MappedMem;
    use proptest::prelude::*;
    use std::io;
    use std::os::fd::AsFd;
    use std::sync::Mutex;

    /// A region that answers every read with its offset.
    #[derive(Debug, Default)]
    struct Echo(Mutex<Vec<usize>>);

    impl Region for &Echo {
        fn len(&self) -> usize {
            0x3000
        }
        fn read(&self, off: usize, into: &mut [u8]) -> io::Result<()> {
            into.copy_from_slice(&u32::try_from(off).unwrap().to_le_bytes());
            Ok(())
        }
        fn write(&self, off: usize, _: &[u8]) -> io::Result<()> {
            self.0.lock().unwrap().push(off);
            Ok(())
        }
    }

    #[test]
    fn mapped_parts_need_no_message() {
        let echo = Echo::default();
        let (mem, file) = MappedMem::create(0x4000).unwrap();
        let map = |start, len| MappedBar::map(file.as_fd(), 0x1000 + start, len).ok();
        let bar = Registers::new(&echo, &[0x1000..0x2000, 0x2000..0x8000], map);
        bar.write32(0x1004, 7);
        bar.write64(0x1ff8, 9);
        bar.write32(0x0ffc, 1);
        bar.write64(0x2000, 1);
        assert_eq!((mem.read32(0x2004), mem.read32(0x2ff8)), (Some(7), Some(9)));
        assert_eq!(*echo.0.lock().unwrap(), [0xffc, 0x2000], "an area past the region is not mapped");
        assert_eq!((bar.read32(0x1004), bar.read32(0x2ffc)), (7, 0x2ffc));
    }

    fn info(flags: u32, cap_offset: u32) -> RegionInfo {
        RegionInfo {
            argsz: 32.into(),
            flags: flags.into(),
            index: 2.into(),
            cap_offset: cap_offset.into(),
            size: 0x3000.into(),
            offset: 0.into(),
        }
    }

    #[test]
    fn areas_are_all_the_listed_or_none() {
        assert!(areas(&info(3, 0), &[]).is_empty());
        assert_eq!(areas(&info(7, 32), &[]), [0..0x3000]);
        let mut body = vec![0; 32];
        body.extend([3, 0, 1, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // another capability, the next at 48
        body.extend([1, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]); // sparse mmap, 2 areas
        body.extend([0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
        assert_eq!(areas(&info(15, 32), &body), [0x1000..0x2000], "the second area is not there");
        assert_eq!(areas(&info(15, 40_000), &body), [0..0x3000]);
    }

    proptest! {
        #[test]
        fn any_reply_gives_few_areas(flags in any::<u32>(), at in 0u32..80, body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(areas(&info(flags, at), &body).len() <= MOST);
        }

        #[test]
        fn a_capability_list_that_runs_in_circles_ends(next in 0u8..64) {
            let body = [vec![0; 32], vec![9, 0, 1, 0, next, 0, 0, 0], vec![9, 0, 1, 0, 32, 0, 0, 0], vec![0; 24]].concat();
            prop_assert!(areas(&info(15, 32), &body).len() <= 1);
        }
    }
}
