//! DMA memory that other processes, or a device behind the IOMMU, reach as well: a shared mapping of a file.
//!
//! Only files that nobody can shrink are mapped (`F_SEAL_SHRINK`): touching a page that its owner cut off would end
//! this process with SIGBUS. All access is by volatile copies through a raw pointer; no reference to the memory exists.

#![expect(unsafe_code, reason = "volatile access to memory that another process or a device changes")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};

/// Bytes copied by one volatile access where alignment allows: one cache-line-internal word, never torn.
const WORD: usize = size_of::<u64>();

/// Why a file could not be mapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The file could be cut short while it is mapped.
    #[error("the file is not sealed against shrinking (F_SEAL_SHRINK)")]
    Shrinkable,
    /// The file is empty, or longer than this process can address.
    #[error("a file of {len} bytes cannot be mapped")]
    Length {
        /// The file's length in bytes.
        len: u64,
    },
    /// The kernel refused.
    #[error("the file cannot be mapped")]
    Kernel(#[from] io::Error),
}

/// A whole file, mapped shared.
#[derive(Debug)]
pub struct MappedMem {
    map: MmapRaw,
    writable: bool,
}

impl MappedMem {
    /// Makes a zeroed memory file of `len` bytes, sealed against any change of its length, and maps it.
    ///
    /// The descriptor is what another process needs in order to map the same memory.
    ///
    /// # Errors
    /// [`MapError`] when the kernel gives no memory file or no mapping.
    pub fn create(len: usize) -> Result<(Self, OwnedFd), MapError> {
        let bytes = u64::try_from(len).unwrap_or(u64::MAX);
        let file = rustix::fs::memfd_create("nicfw-dma", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(io::Error::from)?;
        rustix::fs::ftruncate(&file, bytes).map_err(io::Error::from)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).map_err(io::Error::from)?;
        Ok((Self::map(file.as_fd())?, file))
    }

    /// Maps the whole of `file`: readable and writable, or readable only if the descriptor allows no more.
    ///
    /// # Errors
    /// [`MapError::Shrinkable`] for a file without the seal, [`MapError::Length`] for an empty one, and
    /// [`MapError::Kernel`] for what the kernel refuses.
    pub fn map(file: BorrowedFd<'_>) -> Result<Self, MapError> {
        let sealed = rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
        if !sealed {
            return Err(MapError::Shrinkable);
        }
        // Read after the seal was seen: from then on the length only grows.
        let stat = rustix::fs::fstat(file).map_err(io::Error::from)?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        let len = usize::try_from(bytes).ok().filter(|len| *len > 0).ok_or(MapError::Length { len: bytes })?;
        let mut options = MmapOptions::new();
        options.len(len);
        match options.map_raw(&file) {
            Ok(map) => Ok(Self { map, writable: true }),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Self { map: options.map_raw_read_only(&file)?, writable: false })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Address of the first byte in this process, for an IOMMU mapping. Page-aligned.
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// Copies bytes out; `None` (and `into` untouched) if they do not all lie in the memory.
    #[must_use]
    pub fn read(&self, off: usize, into: &mut [u8]) -> Option<()> {
        self.check(off, into.len())?;
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = self.at(off + done);
            if let Some(word) = rest.first_chunk_mut::<WORD>().filter(|_| at.addr().is_multiple_of(WORD)) {
                // SAFETY: `check` proved that off + len <= map.len(), the word lies within it, and `at` is aligned.
                *word = unsafe { at.cast::<u64>().read_volatile() }.to_ne_bytes();
                done += WORD;
            } else if let Some(byte) = rest.first_mut() {
                // SAFETY: `check` proved that off + len <= map.len(), and the byte lies within it.
                *byte = unsafe { at.read_volatile() };
                done += 1;
            }
        }
        Some(())
    }

    /// Copies bytes in; `None` (and nothing written) if they do not all fit, or the file was opened for reading only.
    #[must_use]
    pub fn write(&self, off: usize, from: &[u8]) -> Option<()> {
        self.check(off, from.len()).filter(|()| self.writable)?;
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            let at = self.at(off + done);
            if let Some(word) = rest.first_chunk::<WORD>().filter(|_| at.addr().is_multiple_of(WORD)) {
                // SAFETY: `check` proved that off + len <= map.len(), the map is writable, and `at` is aligned.
                unsafe { at.cast::<u64>().write_volatile(u64::from_ne_bytes(*word)) };
                done += WORD;
            } else if let Some(byte) = rest.first() {
                // SAFETY: `check` proved that off + len <= map.len(), and the map is writable.
                unsafe { at.write_volatile(*byte) };
                done += 1;
            }
        }
        Some(())
    }

    /// Reads the little-endian dword at the aligned byte offset `off` in one access; `None` outside the memory.
    #[must_use]
    pub fn read32(&self, off: usize) -> Option<u32> {
        self.check(off, 4).filter(|()| off.is_multiple_of(4))?;
        // SAFETY: `check` proved that off + 4 <= map.len(); the map starts on a page and `off` is a multiple of 4.
        Some(u32::from_le(unsafe { self.at(off).cast::<u32>().read_volatile() }))
    }

    /// Writes the little-endian dword at the aligned byte offset `off` in one access; `None` outside the memory, or
    /// where the file was opened for reading only.
    #[must_use]
    pub fn write32(&self, off: usize, value: u32) -> Option<()> {
        self.check(off, 4).filter(|()| off.is_multiple_of(4) && self.writable)?;
        // SAFETY: `check` proved that off + 4 <= map.len(); the map is writable, starts on a page, `off` is aligned.
        unsafe { self.at(off).cast::<u32>().write_volatile(value.to_le()) };
        Some(())
    }

    fn check(&self, off: usize, len: usize) -> Option<()> {
        (off.checked_add(len)? <= self.map.len()).then_some(())
    }

    /// The address of byte `off`. Computed without a claim about it: only `check` makes it one to be used.
    fn at(&self, off: usize) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn another_holder_of_the_file_sees_the_same_bytes() {
        let (mem, file) = MappedMem::create(8192).unwrap();
        let file = File::from(file);
        mem.write(4090, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]).unwrap();
        let mut seen = [0xa5; 15];
        file.read_exact_at(&mut seen, 4089).unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0]);
        file.write_all_at(&[0x78, 0x56, 0x34, 0x12], 16).unwrap();
        assert_eq!(mem.read32(16), Some(0x1234_5678), "dwords are little-endian");
        mem.write32(20, 0x0403_0201).unwrap();
        let mut bytes = [0; 13];
        mem.read(15, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0x78, 0x56, 0x34, 0x12, 1, 2, 3, 4, 0, 0, 0, 0]);
    }

    #[test]
    fn nothing_outside_is_touched() {
        let (mem, _) = MappedMem::create(4096).unwrap();
        let mut into = [0xa5; 2];
        assert!(mem.read(4095, &mut into).is_none());
        assert_eq!(into, [0xa5; 2]);
        assert!(mem.write(4095, &[1, 2]).is_none());
        assert!(mem.write(usize::MAX, &[1]).is_none());
        assert!(mem.read32(4096).is_none());
        assert!(mem.read32(2).is_none());
        assert!(mem.write32(4093, 1).is_none());
        mem.read(4095, &mut into[..1]).unwrap();
        assert_eq!(into[0], 0);
    }

    #[test]
    fn a_file_that_may_shrink_is_not_mapped() {
        let file = rustix::fs::memfd_create("may-shrink", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        assert!(matches!(MappedMem::map(file.as_fd()), Err(MapError::Shrinkable)));
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
        assert_eq!(MappedMem::map(file.as_fd()).unwrap().len(), 4096);
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        assert!(matches!(MappedMem::map(pipe.as_fd()), Err(MapError::Shrinkable)));
    }

    #[test]
    fn a_descriptor_for_reading_gives_memory_for_reading() {
        let (mem, file) = MappedMem::create(4096).unwrap();
        mem.write(0, &[7]).unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let read_only = MappedMem::map(File::open(path).unwrap().as_fd()).unwrap();
        let mut byte = [0];
        read_only.read(0, &mut byte).unwrap();
        assert_eq!(byte, [7]);
        assert!(read_only.write(0, &[8]).is_none());
        assert!(read_only.write32(0, 8).is_none());
    }
}
