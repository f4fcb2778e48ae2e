//! DMA memory of one function: memory files, each at an IOVA of its own, put into the device's reach and taken out again.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use log::error;

use crate::dma::{DmaBuf, Iova, IovaSpace, MapError, MappedMem};
use crate::error::Error;

/// Windows are whole pages, as an IOMMU maps them.
const PAGE: usize = 4096;

/// Why somebody refused.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Puts memory into a device's reach: the kernel's IOMMU, or a vfio-user server.
pub(super) trait Mapper: Send + Sync + fmt::Debug + 'static {
    /// Lets the device read and write `memory`, which is all of `file`, from `iova` on.
    fn map(&self, iova: Iova, memory: &Arc<MappedMem>, file: BorrowedFd<'_>) -> Result<(), Cause>;
    /// Takes the window away. On success the device reaches the memory no more.
    fn unmap(&self, iova: Iova, len: usize) -> Result<(), Cause>;
}

/// The DMA memory of one function.
#[derive(Debug)]
pub(super) struct DmaPool<M> {
    pub(super) mapper: M,
    space: Mutex<IovaSpace>,
    /// Memory that the device may still write to. It goes after the mapper, with which the device's way to it ends: the
    /// kernel holds on to the pages of a window until then, and a vfio-user server has the file of its own.
    given_up: Mutex<Vec<Arc<MappedMem>>>,
}

impl<M: Mapper> DmaPool<M> {
    pub(super) fn new(mapper: M, space: IovaSpace) -> Self {
        Self { mapper, space: Mutex::new(space), given_up: Mutex::new(Vec::new()) }
    }

    /// IOVAs that nobody holds, in bytes.
    #[cfg(test)]
    pub(super) fn free_bytes(&self) -> u128 {
        self.space.lock().unwrap().free_bytes()
    }

    /// Zeroed memory for [`Device::dma_alloc`](super::Device::dma_alloc).
    pub(super) fn alloc(self: &Arc<Self>, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        let none = Error::Dma { len, align };
        let Some(whole) = len.max(1).checked_next_multiple_of(PAGE) else { return Err(none) };
        let bytes = to_u64(whole);
        let taken = self.space.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, to_u64(align.max(PAGE)));
        let Some(iova) = taken else { return Err(none) };
        let mapped = MappedMem::create(whole).map_err(|e: MapError| Cause::from(e)).and_then(|(memory, file)| {
            let memory = Arc::new(memory);
            self.mapper.map(iova, &memory, file.as_fd()).map(|()| memory)
        });
        match mapped {
            Ok(memory) => Ok(Arc::new(PoolBuf { pool: Arc::clone(self), memory, iova })),
            Err(source) => {
                self.give_back(iova, bytes);
                Err(Error::DmaRefused { len, source })
            }
        }
    }

    fn give_back(&self, iova: Iova, bytes: u64) {
        self.space.lock().unwrap_or_else(PoisonError::into_inner).give_back(iova, bytes);
    }
}

/// One buffer of the pool. Taken out of the device's reach on drop.
#[derive(Debug)]
struct PoolBuf<M: Mapper> {
    pool: Arc<DmaPool<M>>,
    memory: Arc<MappedMem>,
    iova: Iova,
}

impl<M: Mapper> DmaBuf for PoolBuf<M> {
    fn iova(&self) -> Iova {
        self.iova
    }

    fn len(&self) -> usize {
        self.memory.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        assert!(self.memory.read(off, into).is_some(), "read of {} bytes at {off:#x}", into.len());
    }

    fn write(&self, off: usize, from: &[u8]) {
        assert!(self.memory.write(off, from).is_some(), "write of {} bytes at {off:#x}", from.len());
    }

    fn read32(&self, off: usize) -> u32 {
        let word = self.memory.read32(off);
        assert!(word.is_some(), "read of a dword at {off:#x}");
        word.unwrap_or_default()
    }

    fn write32(&self, off: usize, value: u32) {
        assert!(self.memory.write32(off, value).is_some(), "write of a dword at {off:#x}");
    }
}

impl<M: Mapper> Drop for PoolBuf<M> {
    fn drop(&mut self) {
        let len = self.memory.len();
        match self.pool.mapper.unmap(self.iova, len) {
            Ok(()) => self.pool.give_back(self.iova, to_u64(len)),
            Err(e) => {
                // The device may still write there: neither the memory nor the address is used again.
                error!("{len} bytes of DMA memory at {:#x} are given up: {e}", self.iova.0);
                let mut given_up = self.pool.given_up.lock().unwrap_or_else(PoisonError::into_inner);
                given_up.push(Arc::clone(&self.memory));
            }
        }
    }
}

/// A length of this process as the device sees it: no supported target has addresses wider than 64 bits.
fn to_u64(len: usize) -> u64 {
    len as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Records windows; refuses what the flags say.
    #[derive(Debug, Default)]
    struct Recorder {
        windows: Mutex<Vec<(Iova, usize)>>,
        refuse_map: bool,
        refuse_unmap: bool,
    }

    impl Mapper for Recorder {
        fn map(&self, iova: Iova, memory: &Arc<MappedMem>, _: BorrowedFd<'_>) -> Result<(), Cause> {
            if self.refuse_map {
                return Err(io::Error::from_raw_os_error(12).into());
            }
            self.windows.lock().unwrap().push((iova, memory.len()));
            Ok(())
        }
        fn unmap(&self, iova: Iova, len: usize) -> Result<(), Cause> {
            if self.refuse_unmap {
                return Err(io::Error::from_raw_os_error(22).into());
            }
            self.windows.lock().unwrap().retain(|window| *window != (iova, len));
            Ok(())
        }
    }

    fn pool(mapper: Recorder) -> Arc<DmaPool<Recorder>> {
        Arc::new(DmaPool::new(mapper, IovaSpace::new([0x1_0000..=0x1_ffff])))
    }

    #[test]
    fn every_buffer_is_a_window_of_whole_pages() {
        let pool = pool(Recorder::default());
        let (a, b) = (pool.alloc(1, 1).unwrap(), pool.alloc(5000, 0x8000).unwrap());
        assert_eq!(*pool.mapper.windows.lock().unwrap(), [(Iova(0x1_0000), 4096), (Iova(0x1_8000), 8192)]);
        assert_eq!((a.len(), b.len()), (4096, 8192));
        assert!(matches!(pool.alloc(0x1_0000, 1), Err(Error::Dma { len: 0x1_0000, align: 1 })));
        drop((a, b));
        assert!(pool.mapper.windows.lock().unwrap().is_empty());
        assert_eq!(pool.free_bytes(), 0x1_0000);
    }

    #[test]
    fn a_refusal_keeps_its_cause_and_costs_nothing() {
        let pool = pool(Recorder { refuse_map: true, ..Recorder::default() });
        let error = pool.alloc(10, 1).err().unwrap();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("os error 12"), "{cause}");
        assert_eq!(pool.free_bytes(), 0x1_0000);
    }

    #[test]
    fn a_window_that_stays_is_never_handed_out_again() {
        let pool = pool(Recorder { refuse_unmap: true, ..Recorder::default() });
        drop(pool.alloc(4096, 1).unwrap());
        assert_eq!(pool.free_bytes(), 0xf000);
        assert_eq!(pool.alloc(4096, 1).unwrap().iova(), Iova(0x1_1000));
    }

    #[test]
    #[should_panic(expected = "write of 2 bytes at 0xfff")]
    fn an_access_past_the_end_panics() {
        pool(Recorder::default()).alloc(4096, 1).unwrap().write(4095, &[1, 2]);
    }
}
