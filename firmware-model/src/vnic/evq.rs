//! Event queues: where a function writes what has happened, and when it interrupts.
//!
//! A queue interrupts for the first event after the driver has told its read pointer, and at once if events are there that
//! the driver has not read. The timers (hold-off) take no time: the model has no clock, and an interrupt that comes early
//! is always allowed.

use nicfw::dma::DmaSpace;

use super::ring::Ring;

/// An event queue.
#[derive(Debug)]
pub(crate) struct Evq {
    ring: Ring,
    /// Where the next event goes.
    write: u32,
    /// Next event that the driver will read.
    read: u32,
    /// Vector, for a queue that interrupts.
    vector: Option<u32>,
    /// The next event interrupts.
    armed: bool,
}

/// Whether a vector is to be raised.
pub(crate) type Raise = Option<u32>;

impl Evq {
    /// An empty queue; its ring is filled with ones by the driver.
    pub fn new(ring: Ring, vector: Option<u32>, armed: bool) -> Self {
        Self { ring, write: 0, read: 0, vector, armed }
    }

    /// Events that fit now. The last entry stays free, so that a full ring differs from an empty one.
    pub fn room(&self) -> u32 {
        self.ring.size() - 1 - self.ring.between(self.read, self.write)
    }

    /// Writes an event, if there is room and memory for it; otherwise it is lost, with a line in the log.
    pub fn push(&mut self, memory: &dyn DmaSpace, event: u64) -> Raise {
        if self.room() == 0 {
            log::warn!("an event queue is full: event {event:#018x} is lost");
            return None;
        }
        if let Err(e) = self.ring.write(memory, self.write, event) {
            log::warn!("event {event:#018x} is lost: {e}");
            return None;
        }
        self.write = self.ring.wrap(self.write + 1);
        self.vector.filter(|_| std::mem::take(&mut self.armed))
    }

    /// The driver has read up to before `index`, and wants to be interrupted for what comes.
    pub fn acknowledge(&mut self, index: u32) -> Raise {
        self.read = self.ring.wrap(index);
        self.armed = self.read == self.write;
        self.vector.filter(|_| !self.armed)
    }
}
