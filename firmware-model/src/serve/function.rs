//! What is served: a PCI function, as a client takes it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nicfw::device::vfio_user::wire::{irq, region};

use super::irqs::Irqs;
use super::memory::ClientMemory;

/// A PCI function to be served. Called by one thread at a time.
pub trait Function {
    /// Regions and interrupts. Asked once a session.
    fn shape(&self) -> Shape;
    /// A client is there: its memory, and where to raise interrupts.
    fn attach(&mut self, host: Host);
    /// The client is gone: its memory has no windows any more, and nobody hears interrupts. The function keeps its state.
    fn detach(&mut self);
    /// Reads 1, 2, 4 or 8 bytes at a multiple of their number inside `region`.
    fn read(&mut self, region: u32, offset: u64, into: &mut [u8]);
    /// Writes 1, 2, 4 or 8 bytes at a multiple of their number inside `region`.
    fn write(&mut self, region: u32, offset: u64, from: &[u8]);
    /// Resets the function, as FLR does.
    fn reset(&mut self);
    /// The client connected or disconnected interrupt vectors: what is pending can be raised again.
    fn irqs_changed(&mut self) {}
}

/// What a client brings.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its memory.
    pub memory: Arc<ClientMemory>,
    /// The interrupt vectors, those of [`Shape::irqs`].
    pub irqs: Arc<Irqs>,
}

/// What a function consists of.
#[derive(Debug, Default)]
pub struct Shape {
    /// Regions by index (`wire::region`): the BARs, the ROM, the configuration space. `None` for one that is not there.
    pub regions: [Option<RegionShape>; region::COUNT as usize],
    /// Vectors by interrupt type (`wire::irq`).
    pub irqs: [u32; irq::COUNT as usize],
}

/// One region of a function.
#[derive(Debug)]
pub struct RegionShape {
    /// Length in bytes.
    pub size: u64,
    /// Whether it may be written.
    pub writable: bool,
    /// The parts that the client may map instead of sending messages.
    pub shared: Option<SharedRegion>,
}

/// The parts of a region that the client may map. Stores there reach the server without a message: it has to look.
#[derive(Debug)]
pub struct SharedRegion {
    /// A file in which the region begins at offset 0.
    pub file: OwnedFd,
    /// Offset and length of each part, page-aligned, in ascending order.
    pub areas: Vec<(u64, u64)>,
}
