//! The memory that drivers in this process give to their functions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nicfw::dma::{DmaBuf, DmaFault, DmaSpace, Iova, SharedMem};
use nicfw::error::Error;

/// Where IOVA space starts, and the distance between two buffers' starts.
const FIRST_IOVA: u64 = 1 << 20;
const IOVA_PAGE: u64 = 4096;

/// The memory that drivers in this process gave to one function.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Memory>);

impl Buffers {
    /// A buffer of the driver, zeroed.
    ///
    /// # Errors
    /// [`Error::Dma`] when nothing of that kind fits into what is left of IOVA space.
    pub fn alloc(self: &Arc<Self>, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        let refused = Error::Dma { len, align };
        let length = u64::try_from(len).ok().filter(|len| *len > 0 && align.is_power_of_two());
        let (Some(length), Ok(align)) = (length, u64::try_from(align)) else { return Err(refused) };
        let mut memory = self.hold();
        let start = memory.next.checked_next_multiple_of(align.max(IOVA_PAGE));
        let Some((start, end)) = start.and_then(|start| Some((start, start.checked_add(length)?))) else {
            return Err(refused);
        };
        memory.next = end;
        let mem = SharedMem::zeroed(len);
        memory.buffers.insert(start, mem.clone());
        Ok(Arc::new(Buffer { mem, start, buffers: Arc::clone(self) }))
    }

    fn hold(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DmaSpace for Buffers {
    fn read(&self, iova: Iova, into: &mut [u8]) -> Result<(), DmaFault> {
        let fault = DmaFault { iova, len: into.len() };
        let (mem, off) = self.hold().find(iova.0).ok_or(fault)?;
        mem.read(off, into).ok_or(fault)
    }

    fn write(&self, iova: Iova, from: &[u8]) -> Result<(), DmaFault> {
        let fault = DmaFault { iova, len: from.len() };
        let (mem, off) = self.hold().find(iova.0).ok_or(fault)?;
        mem.write(off, from).ok_or(fault)
    }
}

/// Buffers by IOVA.
struct Memory {
    buffers: BTreeMap<u64, SharedMem>,
    next: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { buffers: BTreeMap::new(), next: FIRST_IOVA }
    }
}

impl Memory {
    /// The buffer that holds an address, and the offset in it.
    fn find(&self, iova: u64) -> Option<(SharedMem, usize)> {
        let (start, mem) = self.buffers.range(..=iova).next_back()?;
        let off = usize::try_from(iova - start).ok().filter(|off| *off < mem.len())?;
        Some((mem.clone(), off))
    }
}

/// A buffer of the driver. Unmapped when dropped.
struct Buffer {
    mem: SharedMem,
    start: u64,
    buffers: Arc<Buffers>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.buffers.hold().buffers.remove(&self.start);
    }
}

impl DmaBuf for Buffer {
    fn iova(&self) -> Iova {
        Iova(self.start)
    }

    fn len(&self) -> usize {
        self.mem.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        assert!(self.mem.read(off, into).is_some(), "read of {} bytes at {off:#x}", into.len());
    }

    fn write(&self, off: usize, from: &[u8]) {
        assert!(self.mem.write(off, from).is_some(), "write of {} bytes at {off:#x}", from.len());
    }

    fn read32(&self, off: usize) -> u32 {
        let word = self.mem.read32(off);
        assert!(word.is_some(), "read of a dword at {off:#x}");
        word.unwrap_or_default()
    }

    fn write32(&self, off: usize, value: u32) {
        assert!(self.mem.write32(off, value).is_some(), "write of a dword at {off:#x}");
    }
}
