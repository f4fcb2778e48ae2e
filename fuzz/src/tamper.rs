//! A function of the model with somebody in between who forges what the driver reads: registers, DMA memory, each read by
//! itself, so that memory changes between two reads of the same word.
//!
//! The input is a list of forgeries: how many reads pass before it, what it does, and two bytes more. When the list has
//! ended the function is honest, so an empty input is a session without a fault.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nicfw::bar::Mmio;
use nicfw::device::{Device, PciId};
use nicfw::dma::{DmaBuf, Iova};
use nicfw::error::Error;
use nicfw_model::{Model, ModelFunction};

/// The forgeries that are still to come.
struct Script {
    left: std::vec::IntoIter<u8>,
    /// Reads until the next one; `None` when there is none.
    honest: Option<u8>,
    gone: bool,
    model: Model,
}

/// What a forgery does, and its operands.
#[derive(Clone, Copy)]
struct Forgery {
    kind: u8,
    place: u8,
    value: u8,
}

impl Script {
    fn next(&mut self) -> Option<Forgery> {
        if self.gone {
            return Some(Forgery { kind: Forgery::GONE, place: 0, value: 0 });
        }
        match self.honest? {
            0 => {}
            more => {
                self.honest = Some(more.saturating_sub(1));
                return None;
            }
        }
        let mut byte = || self.left.next().unwrap_or_default();
        let forgery = Forgery { kind: byte() % Forgery::KINDS, place: byte(), value: byte() };
        self.honest = self.left.next();
        match forgery.kind {
            Forgery::GONE => self.gone = true,
            Forgery::REBOOT => self.model.reboot(),
            _ => {}
        }
        Some(forgery)
    }
}

impl Forgery {
    const GONE: u8 = 0;
    const REBOOT: u8 = 1;
    const KINDS: u8 = 8;

    fn on_word(self, word: u32) -> u32 {
        let bytes = [self.value, self.place, self.value, self.place];
        match self.kind {
            Self::GONE => u32::MAX,
            Self::REBOOT => word,
            2 => word ^ 1u32.rotate_left(self.place.into()),
            3 => u32::from_le_bytes(bytes),
            4 => word.wrapping_add(self.value.into()),
            5 => word & !u32::from(self.value).rotate_left(self.place.into()),
            6 => word | u32::from(self.value).rotate_left(self.place.into()),
            _ => 0,
        }
    }

    fn on_bytes(self, bytes: &mut [u8]) {
        if self.kind == Self::GONE {
            return bytes.fill(0xff);
        }
        let dwords = bytes.len().div_ceil(4).max(1);
        for dword in bytes.chunks_mut(4).skip(usize::from(self.place) % dwords).take(1) {
            let mut word = [0; 4];
            dword.iter().zip(&mut word).for_each(|(from, to)| *to = *from);
            let forged = Self { place: self.value, ..self }.on_word(u32::from_le_bytes(word)).to_le_bytes();
            dword.iter_mut().zip(forged).for_each(|(to, from)| *to = from);
        }
    }
}

type Shared = Arc<Mutex<Script>>;

fn lock(script: &Shared) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The function, as the driver has it.
pub struct Tampered {
    inner: ModelFunction,
    script: Shared,
}

impl Tampered {
    /// The function `index` of `model`, with these forgeries.
    pub fn new(model: &Model, index: usize, forgeries: &[u8]) -> Self {
        let mut left = Vec::from(forgeries).into_iter();
        let script = Script { honest: left.next(), left, gone: false, model: model.clone() };
        Self { inner: model.function(index), script: Arc::new(Mutex::new(script)) }
    }
}

impl Device for Tampered {
    fn pci_id(&self) -> PciId {
        self.inner.pci_id()
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        Arc::new(Between { inner: self.inner.bar(), script: Arc::clone(&self.script) })
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        let inner = self.inner.dma_alloc(len, align)?;
        Ok(Arc::new(Between { inner, script: Arc::clone(&self.script) }))
    }

    fn reset(&self) -> Result<(), Error> {
        let refused = lock(&self.script).next().is_some();
        if refused { Err(Error::Reset) } else { self.inner.reset() }
    }
}

impl fmt::Debug for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tampered")
    }
}

/// Stands between the driver and the registers, or a buffer.
struct Between<T: ?Sized> {
    script: Shared,
    inner: Arc<T>,
}

impl Mmio for Between<dyn Mmio> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn read32(&self, off: usize) -> u32 {
        let forgery = lock(&self.script).next();
        let word = self.inner.read32(off);
        forgery.map_or(word, |forgery| forgery.on_word(word))
    }

    fn write32(&self, off: usize, value: u32) {
        self.inner.write32(off, value);
    }

    fn write64(&self, off: usize, value: u64) {
        self.inner.write64(off, value);
    }
}

impl DmaBuf for Between<dyn DmaBuf> {
    fn iova(&self) -> Iova {
        self.inner.iova()
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn read(&self, off: usize, into: &mut [u8]) {
        self.inner.read(off, into);
        if let Some(forgery) = lock(&self.script).next() {
            forgery.on_bytes(into);
        }
    }

    fn write(&self, off: usize, from: &[u8]) {
        self.inner.write(off, from);
    }

    fn read32(&self, off: usize) -> u32 {
        let forgery = lock(&self.script).next();
        let word = self.inner.read32(off);
        forgery.map_or(word, |forgery| forgery.on_word(word))
    }

    fn write32(&self, off: usize, value: u32) {
        self.inner.write32(off, value);
    }
}
