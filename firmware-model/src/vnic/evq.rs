//! Event queues: where a function writes what has happened, and when it interrupts.
//!
//! An entry is free while one of its halves is all ones, as the driver leaves it when it has read an event. The read
//! pointer that the driver tells says nothing about that: it may read for long before it tells.
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

    /// Events that fit now, as far as anybody wants to know: 64, 16, 4, 1 or 0. Drivers free entries in order, so the last
    /// one that is wanted tells for those before it.
    pub fn room(&self, memory: &dyn DmaSpace) -> u32 {
        let free = |count: &u32| self.is_free(memory, self.write + count - 1);
        [64, 16, 4, 1].into_iter().find(free).unwrap_or(0)
    }

    fn is_free(&self, memory: &dyn DmaSpace, index: u32) -> bool {
        let all_ones =
            |entry: u64| entry >> 32 == u64::from(u32::MAX) || entry & u64::from(u32::MAX) == u64::from(u32::MAX);
        self.ring.read(memory, index).is_ok_and(all_ones)
    }

    /// Writes an event, if there is room and memory for it; otherwise it is lost, with a line in the log.
    pub fn push(&mut self, memory: &dyn DmaSpace, event: u64) -> Raise {
        if !self.is_free(memory, self.write) {
            log::warn!("an event queue is full, or its memory is gone: event {event:#018x} is lost");
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

#[cfg(test)]
mod tests {
    use nicfw::dma::{DmaFault, Iova, SharedMem};

    use super::*;

    struct Page(SharedMem);

    impl DmaSpace for Page {
        fn read(&self, iova: Iova, into: &mut [u8]) -> Result<(), DmaFault> {
            let fault = DmaFault { iova, len: into.len() };
            self.0.read(usize::try_from(iova.0 - 4096).unwrap(), into).ok_or(fault)
        }

        fn write(&self, iova: Iova, from: &[u8]) -> Result<(), DmaFault> {
            let fault = DmaFault { iova, len: from.len() };
            self.0.write(usize::try_from(iova.0 - 4096).unwrap(), from).ok_or(fault)
        }
    }

    /// A driver that reads on and on, and tells its read pointer only at the end, loses nothing; one that does not read
    /// loses what does not fit, and what it had is whole.
    #[test]
    fn entries_are_free_when_the_driver_has_cleared_them() {
        let page = Page(SharedMem::zeroed(4096));
        page.0.write(0, &[0xff; 4096]).unwrap();
        let ring = Ring::new(512, (512, 512), [4096].into_iter()).unwrap();
        let mut evq = Evq::new(ring, Some(3), true);
        let event_at = |slot: u64| {
            let mut bytes = [0; 8];
            page.read(Iova(4096 + 8 * slot), &mut bytes).unwrap();
            u64::from_le_bytes(bytes)
        };
        assert_eq!(evq.room(&page), 64);
        assert_eq!(evq.push(&page, 7), Some(3), "armed");
        page.0.write(0, &[0xff; 8]).unwrap();
        for event in 1..2000 {
            assert_eq!(evq.push(&page, event), None);
            assert_eq!(event_at(event % 512), event);
            page.0.write(usize::try_from(8 * (event % 512)).unwrap(), &[0xff; 8]).unwrap();
        }
        for event in 0..600 {
            evq.push(&page, event);
        }
        assert_eq!((evq.room(&page), event_at(2000 % 512), event_at(1999 % 512)), (0, 0, 511));
    }
}
