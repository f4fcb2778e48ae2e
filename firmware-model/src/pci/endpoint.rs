//! A function with its PCI side, ready to be served: what a vfio-user client, such as QEMU, takes for a PCI device.
//!
//! ```text
//! client -> region 7           -> ConfigSpace -> bus mastering, FLR
//!        -> register BAR       -> Core        -> DMA through the client's memory
//!        -> MSI-X BAR          -> Msix        -> the client's eventfds
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::serve::{Function, Host, RegionShape, Shape};
use nicfw::bar::Mmio;
use nicfw::device::vfio_user::wire::{irq, region};
use nicfw::dma::DmaSpace;

use super::config_space::{self, ConfigSpace, Effect, Identity};
use super::msix::Msix;

/// Length of the BAR that holds the MSI-X table and pending bits.
pub const MSIX_LEN: u64 = 0x4000;

/// The function behind the PCI side.
pub trait Core {
    /// Its registers.
    fn registers(&self) -> Arc<dyn Mmio>;
    /// What its DMA reaches from here on; `None` when bus mastering is off or no driver is there.
    fn set_memory(&self, memory: Option<Arc<dyn DmaSpace>>);
    /// Where it raises interrupts. A function that has none does not keep it.
    fn set_interrupts(&self, interrupts: Interrupts) {
        drop(interrupts);
    }
    /// Resets it.
    fn reset(&self);
}

/// Raises a function's interrupts. Cloning gives another handle to the same vectors.
#[derive(Debug, Clone)]
pub struct Interrupts(Arc<Mutex<Vectors>>);

#[derive(Debug)]
struct Vectors {
    msix: Msix,
    host: Option<Host>,
}

impl Interrupts {
    /// Raises vector `vector`, from any thread. It stays pending while nobody listens.
    pub fn raise(&self, vector: u32) {
        let Vectors { msix, host } = &mut *self.lock();
        msix.raise(vector, |vector| host.as_ref().is_some_and(|host| host.irqs.raise(irq::MSIX, vector)));
    }

    fn send_pending(&self) {
        if let Vectors { msix, host: Some(host) } = &mut *self.lock() {
            msix.send_pending(|vector| host.irqs.raise(irq::MSIX, vector));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vectors> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function with its configuration space and its MSI-X vectors.
pub struct Endpoint<C> {
    identity: Identity,
    config: ConfigSpace,
    interrupts: Interrupts,
    core: C,
    registers: Arc<dyn Mmio>,
    memory: Option<Arc<dyn DmaSpace>>,
}

impl<C: Core> Endpoint<C> {
    /// Puts the PCI side of `identity` in front of `core`.
    pub fn new(identity: Identity, core: C) -> Self {
        let vectors = Vectors { msix: Msix::new(identity.vectors, identity.msix.1), host: None };
        let interrupts = Interrupts(Arc::new(Mutex::new(vectors)));
        core.set_interrupts(interrupts.clone());
        let registers = core.registers();
        Self { config: ConfigSpace::new(&identity), identity, interrupts, core, registers, memory: None }
    }

    fn bar(&self, index: u32) -> Option<Bar> {
        let is = |bar: u8| u32::from(bar) == index;
        match () {
            () if is(self.identity.registers.0) => Some(Bar::Registers),
            () if is(self.identity.msix.0) => Some(Bar::Msix),
            () => None,
        }
    }

    /// Gives the function what it may reach, as the command register says.
    fn connect(&self) {
        self.core.set_memory(self.memory.clone().filter(|_| self.config.bus_master()));
    }

    fn reset_all(&mut self) {
        self.config.reset();
        self.interrupts.lock().msix.reset();
        self.core.reset();
        self.connect();
    }
}

enum Bar {
    Registers,
    Msix,
}

impl<C: Core> Function for Endpoint<C> {
    fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        let bars = [self.identity.registers, self.identity.msix].into_iter().chain(self.identity.io);
        let regions =
            bars.map(|(bar, size)| (u32::from(bar), size)).chain([(region::CONFIG, config_space::LEN as u64)]);
        for (index, size) in regions {
            if let Some(place) = usize::try_from(index).ok().and_then(|index| shape.regions.get_mut(index)) {
                *place = Some(RegionShape { size, writable: true, shared: None });
            }
        }
        if let Some(count) = usize::try_from(irq::MSIX).ok().and_then(|index| shape.irqs.get_mut(index)) {
            *count = self.identity.vectors.into();
        }
        shape
    }

    fn attach(&mut self, host: Host) {
        self.memory = Some(Arc::clone(&host.memory) as _);
        self.interrupts.lock().host = Some(host);
        self.connect();
    }

    fn detach(&mut self) {
        self.memory = None;
        self.interrupts.lock().host = None;
        self.connect();
    }

    fn read(&mut self, region: u32, offset: u64, into: &mut [u8]) {
        into.fill(0);
        match self.bar(region) {
            _ if region == region::CONFIG => self.config.read(offset, into),
            Some(Bar::Registers) => read_registers(&*self.registers, offset, into),
            Some(Bar::Msix) => self.interrupts.lock().msix.read(offset, into),
            None => {}
        }
    }

    fn write(&mut self, region: u32, offset: u64, from: &[u8]) {
        match self.bar(region) {
            _ if region == region::CONFIG => match self.config.write(offset, from) {
                Effect::None => self.connect(),
                Effect::Reset => self.reset_all(),
            },
            Some(Bar::Registers) => write_registers(&*self.registers, offset, from),
            Some(Bar::Msix) => self.interrupts.lock().msix.write(offset, from),
            None => {}
        }
    }

    fn reset(&mut self) {
        self.reset_all();
    }

    fn irqs_changed(&mut self) {
        self.interrupts.send_pending();
    }
}

impl<C: fmt::Debug> fmt::Debug for Endpoint<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("identity", &self.identity).field("core", &self.core).finish_non_exhaustive()
    }
}

/// Reads an aligned piece of the registers: each is a dword, and a narrower read gets its part of one.
fn read_registers(registers: &dyn Mmio, offset: u64, into: &mut [u8]) {
    for (i, byte) in (0..).zip(into.chunks_mut(4)) {
        let Some(at) = offset.checked_add(4 * i).and_then(|at| usize::try_from(at).ok()) else { break };
        let word = at - at % 4;
        if word + 4 <= registers.len() {
            let bytes = registers.read32(word).to_le_bytes();
            let part = bytes.get(at % 4..).unwrap_or_default();
            byte.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Writes an aligned dword or quadword. The registers of an EF10 function take nothing narrower (ef10.md 1.3).
fn write_registers(registers: &dyn Mmio, offset: u64, from: &[u8]) {
    let Some(at) = usize::try_from(offset).ok().filter(|at| *at + from.len() <= registers.len()) else { return };
    match (<[u8; 4]>::try_from(from), <[u8; 8]>::try_from(from)) {
        (Ok(word), _) => registers.write32(at, u32::from_le_bytes(word)),
        (_, Ok(words)) => registers.write64(at, u64::from_le_bytes(words)),
        _ => log::debug!("a write of {} bytes at {offset:#x} is swallowed", from.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Session;
    use nicfw::device::vfio_user::VfioUser;
    use nicfw::device::{Device, PciId};
    use nicfw::dma::Iova;
    use std::os::unix::net::UnixStream;

    /// Registers that add one to the dword at the IOVA that is written to offset 0x10, and raise vector 1.
    #[derive(Debug, Default)]
    struct Adder(Arc<Inside>);

    #[derive(Default)]
    struct Inside {
        memory: Mutex<Option<Arc<dyn DmaSpace>>>,
        interrupts: Mutex<Option<Interrupts>>,
        last: Mutex<u32>,
        resets: Mutex<u32>,
    }

    impl fmt::Debug for Inside {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Inside").finish_non_exhaustive()
        }
    }

    impl Core for Adder {
        fn registers(&self) -> Arc<dyn Mmio> {
            Arc::clone(&self.0) as _
        }
        fn set_memory(&self, memory: Option<Arc<dyn DmaSpace>>) {
            *self.0.memory.lock().unwrap() = memory;
        }
        fn set_interrupts(&self, interrupts: Interrupts) {
            *self.0.interrupts.lock().unwrap() = Some(interrupts);
        }
        fn reset(&self) {
            *self.0.resets.lock().unwrap() += 1;
        }
    }

    impl Mmio for Inside {
        fn len(&self) -> usize {
            0x2000
        }
        fn read32(&self, off: usize) -> u32 {
            if off == 0x20 { *self.last.lock().unwrap() } else { 0x0403_0201 }
        }
        fn write32(&self, _: usize, value: u32) {
            *self.last.lock().unwrap() = value;
        }
        fn write64(&self, off: usize, value: u64) {
            let Some(memory) = self.memory.lock().unwrap().clone().filter(|_| off == 0x10) else { return };
            let mut word = [0; 4];
            if memory.read(Iova(value), &mut word).is_ok() {
                memory.write(Iova(value), &(u32::from_le_bytes(word) + 1).to_le_bytes()).unwrap();
            }
            self.interrupts.lock().unwrap().as_ref().unwrap().raise(1);
        }
    }

    fn identity() -> Identity {
        Identity {
            vendor: 0x1924,
            device: 0x0a03,
            subsystem: (0x1924, 0x8011),
            io: Some((0, 0x100)),
            registers: (2, 0x2000),
            msix: (4, MSIX_LEN),
            vectors: 4,
        }
    }

    #[test]
    fn a_driver_behind_a_socket_finds_a_whole_function() {
        let core = Adder::default();
        let inside = Arc::clone(&core.0);
        let (client, server) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut endpoint = Endpoint::new(identity(), core);
            Session::start(server, &mut endpoint).unwrap().serve(&mut endpoint).unwrap();
        });
        let device = VfioUser::over(client).unwrap();
        assert_eq!(device.pci_id(), PciId { vendor: 0x1924, device: 0x0a03 });
        let (bar, buf) = (device.bar(), device.dma_alloc(4096, 4096).unwrap());
        bar.write32(0x20, 7);
        assert_eq!((bar.read32(0x20), bar.read32(0x1ffc)), (7, 0x0403_0201));
        buf.write32(0x40, 41);
        bar.write64(0x10, buf.iova().0 + 0x40);
        assert_eq!(buf.read32(0x40), 42);
        let vectors = device.interrupts(4).unwrap();
        assert_eq!(vectors[1].take().unwrap(), 1, "what was pending is sent when somebody listens");
        bar.write64(0x10, buf.iova().0 + 0x40);
        assert_eq!((buf.read32(0x40), vectors[1].take().unwrap()), (43, 1));
        device.reset().unwrap();
        bar.write64(0x10, buf.iova().0 + 0x40);
        assert_eq!(buf.read32(0x40), 44, "a reset leaves the client's memory mapped");
        drop((bar, buf, vectors, device));
        thread.join().unwrap();
        assert_eq!(*inside.resets.lock().unwrap(), 1);
        assert!(inside.memory.lock().unwrap().is_none(), "no memory without a client");
    }

    #[test]
    fn without_bus_mastering_there_is_no_memory_and_flr_takes_it_away() {
        let core = Adder::default();
        let inside = Arc::clone(&core.0);
        let mut endpoint = Endpoint::new(identity(), core);
        let (_client, server) = UnixStream::pair().unwrap();
        let session = Session::start(server, &mut endpoint).unwrap();
        let connected = || inside.memory.lock().unwrap().is_some();
        assert!(!connected());
        endpoint.write(region::CONFIG, 4, &[6, 0]);
        assert!(connected());
        endpoint.write(region::CONFIG, 0x78, &[0x10, 0xa8]);
        assert!(!connected());
        assert_eq!(*inside.resets.lock().unwrap(), 1);
        session.finish(&mut endpoint);
    }

    /// An I/O BAR 0 tells drivers of older adapters, and iPXE, to look for the registers in BAR 2. Nothing is behind it.
    #[test]
    fn the_io_bar_is_there_and_empty() {
        let mut endpoint = Endpoint::new(identity(), Adder::default());
        let size = |shape: &Shape, bar: usize| shape.regions[bar].as_ref().map(|region| region.size);
        let shape = endpoint.shape();
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|bar| size(&shape, bar)),
            [Some(0x100), None, Some(0x2000), None, Some(0x4000), None]
        );
        let mut bytes = [0xa5; 4];
        endpoint.write(0, 0x10, &[1, 2, 3, 4]);
        endpoint.read(0, 0x10, &mut bytes);
        assert_eq!(bytes, [0; 4]);
    }

    #[test]
    fn narrow_accesses_get_their_part_of_a_register() {
        let mut endpoint = Endpoint::new(identity(), Adder::default());
        let mut bytes = [0xa5; 8];
        endpoint.read(2, 0, &mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 1, 2, 3, 4]);
        endpoint.read(2, 6, &mut bytes[..2]);
        assert_eq!(bytes[..2], [3, 4]);
        endpoint.write(2, 0x20, &[9]);
        endpoint.read(2, 0x20, &mut bytes[..4]);
        assert_eq!(bytes[..4], [0; 4], "a write of one byte is swallowed");
        endpoint.read(2, 0x2000, &mut bytes);
        endpoint.read(3, 0, &mut bytes);
        assert_eq!(bytes, [0; 8]);
    }
}
