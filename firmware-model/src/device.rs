//! A function of the model: its registers, and the memory that it reaches. In process it is a [`Device`] with memory of
//! its own; behind the PCI side ([`ModelCore`]) it reaches the memory of whoever is attached.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use nicfw::bar::Mmio;
use nicfw::device::{Device, PciId};
use nicfw::dma::{DmaBuf, DmaFault, DmaSpace, Iova};
use nicfw::error::Error;
use nicfw::mcdi::wire::BUFFER_LEN;
use nicfw::regs::ef10;

use crate::mc::{Answer, MAX_VIS, Mc, VECTORS};
use crate::memory::Buffers;
use crate::pci::config_space::Identity;
use crate::pci::endpoint::{Core, Interrupts, MSIX_LEN};
use crate::pipeline::transmit;
use crate::state::{Shared, lock};

/// Length of a VI's window (VI_WINDOW_MODE 0), and of the memory BAR: one window for each VI that a function can have.
const WINDOW_LEN: usize = 8192;
const BAR_LEN: usize = MAX_VIS as usize * WINDOW_LEN;
/// Length of the first two dwords of a request in bytes: enough to tell how long it is.
const HEADER_LEN: usize = 8;
/// Length of the I/O BAR in bytes. The model's own choice.
const IO_LEN: u64 = 256;
/// Vendor and device id of the board. The model's own choice.
const BOARD: (u16, u16) = (0x1924, 0x8011);

/// One function, in process. Dropping it leaves the adapter as it is; whoever takes the function again has the same memory.
pub struct ModelFunction {
    core: ModelCore,
    buffers: Arc<Buffers>,
}

impl ModelFunction {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let buffers = Arc::clone(lock(&shared).buffers.entry(index).or_default());
        let core = ModelCore::new(shared, index);
        core.set_memory(Some(Arc::clone(&buffers) as _));
        Self { core, buffers }
    }
}

/// One function without memory of its own, to be put behind a PCI side ([`Endpoint`](crate::pci::endpoint::Endpoint)).
pub struct ModelCore {
    shared: Arc<Shared>,
    bar: Arc<Bar>,
    index: usize,
    /// The memory that was set here last. Whoever takes the function over sets another, which is not to be taken away here.
    memory: Mutex<Option<Arc<dyn DmaSpace>>>,
}

impl ModelCore {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let bar = Arc::new(Bar { shared: Arc::clone(&shared), index, doorbell: Mutex::new(None) });
        Self { shared, bar, index, memory: Mutex::new(None) }
    }

    fn pci_id(&self) -> PciId {
        let virtual_function =
            lock(&self.shared).mc.functions.get(self.index).is_some_and(|own| own.config.vf.is_some());
        if virtual_function { PciId::SFC9220_VF } else { PciId::SFC9220 }
    }

    /// What the function looks like on the bus: registers in BAR 2 beside an I/O BAR 0, those of a virtual function in BAR 0
    /// (ef10.md 1.2).
    #[must_use]
    pub fn identity(&self) -> Identity {
        let id = self.pci_id();
        let (io, registers, msix) = if id == PciId::SFC9220_VF { (None, 0, 2) } else { (Some((0, IO_LEN)), 2, 4) };
        Identity {
            vendor: id.vendor,
            device: id.device,
            subsystem: BOARD,
            io,
            registers: (registers, BAR_LEN as u64),
            msix: (msix, MSIX_LEN),
            vectors: VECTORS,
        }
    }
}

impl Core for ModelCore {
    fn registers(&self) -> Arc<dyn Mmio> {
        Arc::clone(&self.bar) as _
    }

    fn set_memory(&self, memory: Option<Arc<dyn DmaSpace>>) {
        let mut state = lock(&self.shared);
        let Some(own) = state.mc.functions.get_mut(self.index) else { return };
        let before =
            std::mem::replace(&mut *self.memory.lock().unwrap_or_else(PoisonError::into_inner), memory.clone());
        let there = &mut own.vnic.host.memory;
        let is_ours = there.as_ref().is_none_or(|there| before.is_some_and(|before| same(there, &before)));
        if memory.is_some() || is_ours {
            *there = memory;
        }
    }

    fn set_interrupts(&self, interrupts: Interrupts) {
        if let Some(own) = lock(&self.shared).mc.functions.get_mut(self.index) {
            own.vnic.host.interrupts = Some(interrupts);
        }
    }

    fn reset(&self) {
        lock(&self.shared).mc.reset_function(self.index);
    }
}

/// Whether two handles are to one and the same memory.
fn same(one: &Arc<dyn DmaSpace>, other: &Arc<dyn DmaSpace>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

impl fmt::Debug for ModelCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelCore").field("index", &self.index).finish_non_exhaustive()
    }
}

impl fmt::Debug for ModelFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFunction").field("index", &self.core.index).finish_non_exhaustive()
    }
}

impl Device for ModelFunction {
    fn pci_id(&self) -> PciId {
        self.core.pci_id()
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        self.core.registers()
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        self.buffers.alloc(len, align)
    }

    fn reset(&self) -> Result<(), Error> {
        self.core.reset();
        Ok(())
    }
}

/// The registers of one function.
struct Bar {
    shared: Arc<Shared>,
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
        let memory = lock(&self.shared).mc.functions.get(self.index).and_then(|own| own.vnic.host.memory.clone());
        let Some(memory) = memory else {
            log::warn!("doorbell with the address {address:#x}, but the function is not a bus master");
            return;
        };
        if let Err(e) = self.take(&*memory, address) {
            log::warn!("doorbell with the address {address:#x}: {e}");
        }
    }

    /// A write to the window of a VI.
    fn window(&self, off: usize, value: u32) {
        let Ok(vi) = u32::try_from(off / WINDOW_LEN) else { return };
        let mut state = lock(&self.shared);
        let Some(own) = state.mc.functions.get_mut(self.index) else { return };
        if own.vnic.doorbell(vi, off % WINDOW_LEN, value) {
            transmit(&mut state, self.index, vi);
        }
    }

    /// Takes the request at `address` and writes the answer over it.
    fn take(&self, memory: &dyn DmaSpace, address: u64) -> Result<(), DmaFault> {
        let mut request = [0; BUFFER_LEN];
        let (head, rest) = request.split_at_mut(HEADER_LEN);
        memory.read(Iova(address), head)?;
        let len = Mc::request_len(dwords(head)).clamp(HEADER_LEN, BUFFER_LEN);
        memory.read(
            Iova(address.saturating_add(HEADER_LEN as u64)),
            rest.get_mut(..len - HEADER_LEN).unwrap_or_default(),
        )?;
        let request = request.get(..len).unwrap_or_default();
        let answer = lock(&self.shared).mc.take(self.index, request);
        if let Answer::Bytes(bytes) = answer
            && !self.is_gone()
        {
            respond(memory, address, &bytes)?;
            lock(&self.shared).mc.answered(self.index, request, &bytes);
        }
        Ok(())
    }
}

/// The two dwords of a request's header.
fn dwords(head: &[u8]) -> [u32; 2] {
    [0, 4].map(|at| {
        let bytes = head.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    })
}

/// Writes an answer, its first dword last: the driver may look at any time.
fn respond(memory: &dyn DmaSpace, address: u64, bytes: &[u8]) -> Result<(), DmaFault> {
    let Some((first, rest)) = bytes.split_first_chunk::<4>() else { return Ok(()) };
    memory.write(Iova(address.saturating_add(4)), rest)?;
    memory.write(Iova(address), first)
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
        } else {
            self.window(off, value);
        }
    }

    /// Two dwords, the low one first: how a driver pushes a descriptor with its doorbell.
    fn write64(&self, off: usize, value: u64) {
        check(off, 8);
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.write32(off, u32::from_le_bytes([a, b, c, d]));
        self.write32(off + 4, u32::from_le_bytes([e, f, g, h]));
    }
}

fn check(off: usize, width: usize) {
    assert!(off.is_multiple_of(width) && off + width <= BAR_LEN, "register access at {off:#x}, width {width}");
}
