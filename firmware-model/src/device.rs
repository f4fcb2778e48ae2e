//! A function of the model as a [`Device`]: its registers, and the memory that it reaches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nicfw::bar::Mmio;
use nicfw::device::{Device, PciId};
use nicfw::dma::{DmaBuf, Iova, SharedMem};
use nicfw::error::Error;
use nicfw::mcdi::wire::BUFFER_LEN;
use nicfw::regs::ef10;

use crate::mc::{Answer, Mc};
use crate::model::{Shared, lock};

/// Solarflare Medford, physical and virtual function (ef10.md 1.1).
const PF_ID: PciId = PciId { vendor: 0x1924, device: 0x0a03 };
const VF_ID: PciId = PciId { vendor: 0x1924, device: 0x1a03 };
/// Length of the memory BAR: 128 VI windows of 8 KiB.
const BAR_LEN: usize = 128 * 8192;
/// Where IOVA space starts, and the distance between two buffers' starts.
const FIRST_IOVA: u64 = 1 << 20;
const IOVA_PAGE: u64 = 4096;

/// One function, in process. Dropping it leaves the adapter as it is.
pub struct ModelFunction {
    shared: Arc<Shared>,
    memory: Arc<Mutex<Memory>>,
    bar: Arc<Bar>,
    index: usize,
}

impl ModelFunction {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let memory = Arc::new(Mutex::new(Memory { buffers: BTreeMap::new(), next: FIRST_IOVA }));
        let doorbell = Mutex::new(None);
        let bar = Arc::new(Bar { shared: Arc::clone(&shared), memory: Arc::clone(&memory), index, doorbell });
        Self { shared, memory, bar, index }
    }
}

impl fmt::Debug for ModelFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFunction").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Device for ModelFunction {
    fn pci_id(&self) -> PciId {
        let virtual_function =
            lock(&self.shared).mc.functions.get(self.index).is_some_and(|own| own.config.vf.is_some());
        if virtual_function { VF_ID } else { PF_ID }
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        Arc::clone(&self.bar) as Arc<dyn Mmio>
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        let refused = Error::Dma { len, align };
        let length = u64::try_from(len).ok().filter(|len| *len > 0 && align.is_power_of_two());
        let (Some(length), Ok(align)) = (length, u64::try_from(align)) else { return Err(refused) };
        let mut memory = hold(&self.memory);
        let start = memory.next.checked_next_multiple_of(align.max(IOVA_PAGE));
        let Some((start, end)) = start.and_then(|start| Some((start, start.checked_add(length)?))) else {
            return Err(refused);
        };
        memory.next = end;
        let mem = SharedMem::zeroed(len);
        memory.buffers.insert(start, mem.clone());
        Ok(Arc::new(Buffer { mem, start, memory: Arc::clone(&self.memory) }))
    }

    fn reset(&self) -> Result<(), Error> {
        let mut state = lock(&self.shared);
        state.mc.reset_function(self.index);
        Ok(())
    }
}

/// The memory of one function, by IOVA.
struct Memory {
    buffers: BTreeMap<u64, SharedMem>,
    next: u64,
}

impl Memory {
    /// The buffer that holds an address, and the offset in it.
    fn find(&self, iova: u64) -> Option<(SharedMem, usize)> {
        let (start, mem) = self.buffers.range(..=iova).next_back()?;
        let off = usize::try_from(iova - start).ok().filter(|off| *off < mem.len())?;
        Some((mem.clone(), off))
    }
}

fn hold(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer of the driver. Unmapped when dropped.
struct Buffer {
    mem: SharedMem,
    start: u64,
    memory: Arc<Mutex<Memory>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        hold(&self.memory).buffers.remove(&self.start);
    }
}

const OUTSIDE: &str = "access outside of the DMA buffer";

impl DmaBuf for Buffer {
    fn iova(&self) -> Iova {
        Iova(self.start)
    }

    fn len(&self) -> usize {
        self.mem.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        self.mem.read(off, into).expect(OUTSIDE);
    }

    fn write(&self, off: usize, from: &[u8]) {
        self.mem.write(off, from).expect(OUTSIDE);
    }

    fn read32(&self, off: usize) -> u32 {
        self.mem.read32(off).expect(OUTSIDE)
    }

    fn write32(&self, off: usize, value: u32) {
        self.mem.write32(off, value).expect(OUTSIDE);
    }
}

/// The registers of one function.
struct Bar {
    shared: Arc<Shared>,
    memory: Arc<Mutex<Memory>>,
    index: usize,
    /// The high half of a request's address, once written.
    doorbell: Mutex<Option<u32>>,
}

impl Bar {
    fn is_gone(&self) -> bool {
        lock(&self.shared).mc.functions.get(self.index).is_none_or(|own| own.gone)
    }

    /// A write of the low half: takes the request whose address is complete now.
    fn ring(&self, low: u32) {
        let high = self.doorbell.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Bit 0 marks no address; the value 1 alone cancels, and there is never anything outstanding to cancel.
        let (Some(high), 0) = (high, low & 1) else { return };
        let address = u64::from(high) << 32 | u64::from(low);
        let Some((mem, off)) = hold(&self.memory).find(address) else {
            log::warn!("doorbell with the address {address:#x}, which is not mapped");
            return;
        };
        let mut request = [0; BUFFER_LEN];
        let dword = |at| mem.read32(off + at).unwrap_or(0);
        let len = Mc::request_len([dword(0), dword(4)]).min(BUFFER_LEN);
        let Some(request) = request.get_mut(..len) else { return };
        if mem.read(off, request).is_none() {
            return;
        }
        let answer = lock(&self.shared).mc.take(self.index, request);
        if let Answer::Bytes(bytes) = answer
            && !self.is_gone()
        {
            respond(&mem, off, &bytes);
        }
    }
}

/// Writes an answer, its first dword last: the driver may look at any time.
fn respond(mem: &SharedMem, off: usize, bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first_chunk::<4>() else { return };
    if mem.write(off + 4, rest).is_none() || mem.write32(off, u32::from_le_bytes(*first)).is_none() {
        log::warn!("an answer of {} bytes does not fit its request's memory", bytes.len());
    }
}

impl Mmio for Bar {
    fn len(&self) -> usize {
        BAR_LEN
    }

    fn read32(&self, off: usize) -> u32 {
        check(off, 4);
        let state = lock(&self.shared);
        if state.mc.functions.get(self.index).is_none_or(|own| own.gone) {
            return ef10::ALL_ONES;
        }
        if off == ef10::HW_REV_ID.offset() {
            ef10::HW_REV_ID_RESET
        } else if off == ef10::MC_SFT_STATUS.offset() {
            ef10::MC_BOOT_COUNT.set(ef10::MC_STATUS.set(0, ef10::MC_RUNNING), state.mc.boot_count.into())
        } else {
            0
        }
    }

    fn write32(&self, off: usize, value: u32) {
        check(off, 4);
        if self.is_gone() {
            return;
        }
        if off == ef10::MC_DB_LWRD.offset() {
            *self.doorbell.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        } else if off == ef10::MC_DB_HWRD.offset() {
            self.ring(value);
        }
    }

    fn write64(&self, off: usize, _: u64) {
        check(off, 8);
    }
}

fn check(off: usize, width: usize) {
    assert!(off.is_multiple_of(width) && off + width <= BAR_LEN, "register access at {off:#x}, width {width}");
}
