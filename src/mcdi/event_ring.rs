//! The event queue of a channel.

use std::sync::Arc;
use std::time::Duration;

use crate::bar::write_barrier;
use crate::clock::{Clock, Signal};
use crate::device::Interrupt;
use crate::dma::DmaBuf;
use crate::regs::Block;
use crate::regs::ef10::{self, ViRegs};

/// How long one wait takes at most: then the reply is looked at, whether there was an interrupt or not.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// Entries of the ring, the fewest that an event queue can have (ef10.md 3.1), and its length in bytes: one page.
pub(super) const ENTRIES: u32 = 512;

pub(super) const RING_LEN: usize = 4096;

/// The vector that the queue interrupts by.
pub(super) const VECTOR: u32 = 0;

/// The event queue of a channel.
pub(super) struct Completions {
    pub(super) ring: Arc<dyn DmaBuf>,
    pub(super) regs: Block<ViRegs>,
    pub(super) interrupt: Interrupt,
    /// Entry that the next event comes to.
    pub(super) next: u32,
    /// The queue interrupts for the next event.
    pub(super) armed: bool,
    /// Commands since the ring was emptied.
    pub(super) commands: u32,
}

impl Completions {
    /// Waits for an interrupt, at most [`LONGEST_WAIT`]; whether one came.
    pub fn wait(&mut self, clock: &dyn Clock) -> bool {
        if !self.armed {
            self.empty();
        }
        let came = clock.wait(self, LONGEST_WAIT);
        if came {
            // The count does not matter, and an eventfd that fails is one that never signals.
            let _ = self.interrupt.take();
            self.armed = false;
        }
        came
    }

    /// A command was answered; empties the ring long before it is full.
    pub fn answered(&mut self) {
        self.commands += 1;
        if self.commands > ENTRIES / 4 {
            self.empty();
        }
    }

    /// Forgets the events in the ring, tells the queue how far it was read, and arms it.
    pub fn empty(&mut self) {
        for _ in 0..ENTRIES {
            let Ok(at) = usize::try_from(8 * self.next) else { return };
            // An event is there once neither of its halves is all ones (ef10.md 3.2).
            if [at, at + 4].iter().any(|half| self.ring.read32(*half) == ef10::ALL_ONES) {
                break;
            }
            self.ring.write32(at, ef10::ALL_ONES);
            self.ring.write32(at + 4, ef10::ALL_ONES);
            self.next = (self.next + 1) % ENTRIES;
        }
        self.commands = 0;
        self.armed = true;
        write_barrier();
        self.regs.write(&ef10::EVQ_RPTR, ef10::EVQ_RPTR_RPTR.set(0, self.next));
    }
}

impl Signal for Completions {
    fn wait(&self, within: Duration) -> bool {
        self.interrupt.wait(within).unwrap_or_else(|e| {
            log::warn!("waiting for an interrupt failed, the reply is polled: {e}");
            std::thread::sleep(within);
            false
        })
    }
}
