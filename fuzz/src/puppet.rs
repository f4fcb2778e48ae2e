//! A function whose firmware is a closure: from a request's bytes to the bytes that take its place.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use nicfw::bar::Mmio;
use nicfw::device::{Device, PciId};
use nicfw::dma::{DmaBuf, Iova, SharedMem};
use nicfw::error::Error;
use nicfw::mcdi::wire::BUFFER_LEN;
use nicfw::regs::ef10;

/// Where the one buffer is.
const IOVA: u64 = 0x12_3456_7800;

type Firmware = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// The function; it is its own registers and its own buffer. Clones share it.
#[derive(Clone)]
pub struct Puppet {
    mem: SharedMem,
    firmware: Arc<Mutex<Firmware>>,
}

impl Puppet {
    /// A function with this firmware.
    pub fn new(firmware: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        Self { mem: SharedMem::zeroed(BUFFER_LEN), firmware: Arc::new(Mutex::new(Box::new(firmware))) }
    }

    fn doorbell(&self) {
        let mut request = [0; BUFFER_LEN];
        self.read(0, &mut request);
        let mut answer = (self.firmware.lock().unwrap_or_else(PoisonError::into_inner))(&request);
        answer.truncate(BUFFER_LEN);
        self.write(0, &answer);
    }
}

impl Mmio for Puppet {
    fn len(&self) -> usize {
        0x2000
    }

    fn read32(&self, off: usize) -> u32 {
        if off == ef10::MC_SFT_STATUS.offset() {
            ef10::MC_STATUS.set(1, ef10::MC_RUNNING)
        } else {
            ef10::HW_REV_ID_RESET
        }
    }

    fn write32(&self, off: usize, value: u32) {
        // The value 1 cancels what is outstanding.
        if off == ef10::MC_DB_HWRD.offset() && value != 1 {
            self.doorbell();
        }
    }

    fn write64(&self, _: usize, _: u64) {}
}

impl DmaBuf for Puppet {
    fn iova(&self) -> Iova {
        Iova(IOVA)
    }

    fn len(&self) -> usize {
        self.mem.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        self.mem.read(off, into).expect("inside of the buffer");
    }

    fn write(&self, off: usize, from: &[u8]) {
        self.mem.write(off, from).expect("inside of the buffer");
    }

    fn read32(&self, off: usize) -> u32 {
        self.mem.read32(off).expect("inside of the buffer")
    }

    fn write32(&self, off: usize, value: u32) {
        self.mem.write32(off, value).expect("inside of the buffer");
    }
}

impl Device for Puppet {
    fn pci_id(&self) -> PciId {
        PciId { vendor: 0x1924, device: 0x0a03 }
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        Arc::new(self.clone())
    }

    fn dma_alloc(&self, _: usize, _: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        Ok(Arc::new(self.clone()))
    }

    fn reset(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl fmt::Debug for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Puppet")
    }
}
