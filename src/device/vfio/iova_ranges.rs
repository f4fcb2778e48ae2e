//! Which addresses the IOMMU can translate, as the kernel tells it.

use std::ops::RangeInclusive;

use zerocopy::native_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::device::vfio_user::wire::CapHeader;

/// `struct vfio_iommu_type1_info`; capabilities follow.
#[derive(Debug, Default, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct IommuInfo {
    pub(super) argsz: U32,
    pub(super) flags: U32,
    iova_pgsizes: U64,
    cap_offset: U32,
    pad: U32,
}

/// [`IommuInfo::flags`]: capabilities follow (`VFIO_IOMMU_INFO_CAPS`).
const CAPS: u32 = 2;

/// `VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE`.
const CAP_IOVA_RANGE: u16 = 1;

/// `struct vfio_iommu_type1_info_cap_iova_range` behind its header; `nr_iovas` [`IovaRange`]s follow.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct IovaRanges {
    nr_iovas: U32,
    reserved: U32,
}

/// `struct vfio_iova_range`: first and last address.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct IovaRange {
    start: U64,
    end: U64,
}

/// Most capabilities, and most ranges, that are looked at.
const MOST: usize = 256;

/// The ranges in the kernel's answer to `VFIO_IOMMU_GET_INFO`; `None` when it names none.
pub(super) fn parse(answer: &[u8]) -> Option<Vec<RangeInclusive<u64>>> {
    let (info, _) = IommuInfo::read_from_prefix(answer).ok()?;
    let mut at = info.cap_offset.get();
    if info.flags.get() & CAPS == 0 {
        return None;
    }
    for _ in 0..MOST {
        let rest = usize::try_from(at).ok().filter(|at| *at > 0).and_then(|at| answer.get(at..))?;
        let (head, rest) = CapHeader::read_from_prefix(rest).ok()?;
        if head.id.get() == CAP_IOVA_RANGE {
            let (ranges, mut rest) = IovaRanges::read_from_prefix(rest).ok()?;
            let mut found = Vec::new();
            for _ in 0..usize::try_from(ranges.nr_iovas.get()).unwrap_or(MOST).min(MOST) {
                let (range, next) = IovaRange::read_from_prefix(rest).ok()?;
                rest = next;
                found.push(range.start.get()..=range.end.get());
            }
            return Some(found);
        }
        at = head.next.get();
    }
    None
}

/// The part of `window` that lies in `ranges`.
pub(super) fn within(window: &RangeInclusive<u64>, ranges: &[RangeInclusive<u64>]) -> Vec<RangeInclusive<u64>> {
    let cut = |range: &RangeInclusive<u64>| *range.start().max(window.start())..=*range.end().min(window.end());
    ranges.iter().map(cut).filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// What an Intel IOMMU with 39 address bits answers: the interrupt window is left out.
    fn intel() -> Vec<u8> {
        // argsz, flags (page sizes, capabilities), iova_pgsizes, cap_offset, pad
        let mut answer = words(&[96, 3, 0x4000_1000, 0, 24, 0]);
        answer.extend([3, 0, 1, 0, 40, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]); // DMA_AVAIL, the next at 40
        answer.extend([1, 0, 1, 0, 0, 0, 0, 0]); // IOVA_RANGE
        answer.extend(words(&[2, 0, 0, 0, 0xfedf_ffff, 0, 0xfef0_0000, 0, 0xffff_ffff, 0x7f]));
        answer
    }

    #[test]
    fn the_kernels_ranges_are_found_behind_other_capabilities() {
        let ranges = parse(&intel()).unwrap();
        assert_eq!(ranges, [0..=0xfedf_ffff, 0xfef0_0000..=0x7f_ffff_ffff]);
        let window = 0xfe00_0000..=0xff00_0000;
        assert_eq!(within(&window, &ranges), [0xfe00_0000..=0xfedf_ffff, 0xfef0_0000..=0xff00_0000]);
        assert!(within(&(0xfee0_0000..=0xfeef_ffff), &ranges).is_empty());
    }

    #[test]
    fn an_answer_without_ranges_has_none() {
        assert_eq!(parse(&words(&[24, 1, 0x1000, 0, 0, 0])), None);
        assert_eq!(parse(&intel()[..60]), None, "cut off");
        assert_eq!(parse(&[]), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(mut answer in prop::collection::vec(any::<u8>(), 0..160), at in 0u8..100) {
            if let Some(flags) = answer.get_mut(4) { *flags |= 2; }
            if let Some(bytes) = answer.get_mut(16..20) { bytes.copy_from_slice(&[at, 0, 0, 0]); }
            let _ = parse(&answer);
        }
    }
}
