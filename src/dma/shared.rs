//! DMA memory inside one process: both sides (driver and firmware model) reach the same words, without `unsafe`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Zeroed memory that driver and model share in one process. Cloning shares it.
#[derive(Debug, Clone)]
pub struct SharedMem(Arc<[AtomicU32]>);

impl SharedMem {
    /// Allocates at least `len` bytes, rounded up to whole dwords.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self((0..len.div_ceil(4)).map(|_| AtomicU32::new(0)).collect())
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() * 4
    }

    /// Reads the dword at the aligned byte offset `off`, or `None` outside the memory.
    #[must_use]
    pub fn read32(&self, off: usize) -> Option<u32> {
        let word = self.word(off)?;
        Some(u32::from_le(word.load(Ordering::Acquire)))
    }

    /// Writes the dword at the aligned byte offset `off`; `None` outside the memory.
    #[must_use]
    pub fn write32(&self, off: usize, value: u32) -> Option<()> {
        self.word(off)?.store(value.to_le(), Ordering::Release);
        Some(())
    }

    /// Copies bytes out, from any byte offset; `None` (and `into` untouched) if they do not all lie in the memory.
    #[must_use]
    pub fn read(&self, off: usize, into: &mut [u8]) -> Option<()> {
        self.range(off, into.len())?;
        for (i, byte) in into.iter_mut().enumerate() {
            let at = off + i;
            let word = self.0.get(at / 4)?.load(Ordering::Acquire).to_ne_bytes();
            *byte = *word.get(at % 4)?;
        }
        Some(())
    }

    /// Copies bytes in, to any byte offset; `None` (and nothing written) if they do not all fit.
    #[must_use]
    pub fn write(&self, off: usize, from: &[u8]) -> Option<()> {
        self.range(off, from.len())?;
        for (i, byte) in from.iter().enumerate() {
            let at = off + i;
            let put = |old: u32| {
                let mut bytes = old.to_ne_bytes();
                *bytes.get_mut(at % 4)? = *byte;
                Some(u32::from_ne_bytes(bytes))
            };
            // `at % 4` is inside of a word, so the update cannot fail.
            let _ = self.0.get(at / 4)?.fetch_update(Ordering::AcqRel, Ordering::Acquire, put);
        }
        Some(())
    }

    fn word(&self, off: usize) -> Option<&AtomicU32> {
        off.is_multiple_of(4).then(|| self.0.get(off / 4))?
    }

    fn range(&self, off: usize, len: usize) -> Option<()> {
        (off.checked_add(len)? <= self.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_words_agree_in_little_endian() {
        let mem = SharedMem::zeroed(10);
        assert_eq!(mem.len(), 12);
        mem.write(3, &[0x11, 0x22, 0x33]).unwrap();
        assert_eq!(mem.read32(0), Some(0x1100_0000));
        assert_eq!(mem.read32(4), Some(0x0000_3322));
        let mut bytes = [0xa5; 4];
        mem.read(2, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0x11, 0x22, 0x33]);
    }

    #[test]
    fn out_of_range_and_misaligned_change_nothing() {
        let mem = SharedMem::zeroed(8);
        assert!(mem.write(6, &[1, 2, 3]).is_none());
        assert!(mem.write(usize::MAX, &[1, 2]).is_none());
        assert!(mem.write32(2, 1).is_none());
        assert!(mem.read32(8).is_none());
        assert_eq!((mem.read32(0), mem.read32(4)), (Some(0), Some(0)));
    }
}
