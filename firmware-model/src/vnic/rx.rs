//! Receive queues: frames into buffers that the driver has posted, one event a buffer (ef10.md 3.2 and 3.3).

use nicfw::dma::{DmaFault, DmaSpace, Iova};

use super::event::{self, RxClass};
use super::ring::Ring;

/// Length of the prefix in front of a frame in bytes.
const PREFIX: usize = 14;
/// BUF_ADDR of a descriptor: 48 bits.
const ADDRESS: u64 = (1 << 48) - 1;

/// A receive queue.
#[derive(Debug)]
pub(crate) struct Rxq {
    ring: Ring,
    /// Event queue that its events go to.
    pub evq: u32,
    label: u32,
    prefix: bool,
    /// A frame may be spread over several buffers.
    scatter: bool,
    /// Next buffer to fill.
    next: u32,
    /// End of the buffers that are posted.
    posted: u32,
    /// A buffer could not be reached by DMA: nothing is received any more.
    stopped: bool,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It lies in memory; these events tell so.
    Events(Vec<u64>),
    /// There were too few buffers.
    NoDescriptors,
    /// DMA failed: the queue has stopped.
    Fault(DmaFault),
    /// The queue had stopped before.
    Stopped,
}

/// How a receive queue is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RxqConfig {
    pub evq: u32,
    pub label: u32,
    pub prefix: bool,
    pub scatter: bool,
}

impl Rxq {
    pub fn new(ring: Ring, config: RxqConfig) -> Self {
        let RxqConfig { evq, label, prefix, scatter } = config;
        Self { ring, evq, label, prefix, scatter, next: 0, posted: 0, stopped: false }
    }

    /// The driver has posted buffers up to before `index`.
    pub fn post(&mut self, index: u32) {
        self.posted = self.ring.wrap(index);
    }

    /// Buffers that wait.
    pub fn waiting(&self) -> u32 {
        self.ring.between(self.next, self.posted)
    }

    /// Writes a frame, behind its prefix if the queue has one, into as many buffers as it takes, and no more than `room`.
    pub fn receive(&mut self, memory: &dyn DmaSpace, frame: &[u8], hash: u32, class: RxClass, room: u32) -> Received {
        if self.stopped {
            return Received::Stopped;
        }
        let bytes = if self.prefix { [&prefix(hash, frame.len())[..], frame].concat() } else { frame.to_vec() };
        match self.place(memory, &bytes, room) {
            Ok(Some(pieces)) => Received::Events(self.events(&pieces, class)),
            Ok(None) => Received::NoDescriptors,
            Err(fault) => {
                self.stopped = true;
                Received::Fault(fault)
            }
        }
    }

    /// Fills buffers; the lengths of the pieces, or `None` if there are too few (nothing is taken then).
    fn place(&self, memory: &dyn DmaSpace, bytes: &[u8], room: u32) -> Result<Option<Vec<u16>>, DmaFault> {
        let limit = if self.scatter { self.waiting() } else { self.waiting().min(1) }.min(room);
        let mut left = bytes;
        let mut pieces = Vec::new();
        let mut buffers = Vec::new();
        for i in 0..limit {
            let descriptor = self.ring.read(memory, self.next + i)?;
            let capacity = u16::try_from(descriptor >> 48 & 0x3fff).unwrap_or(0);
            let fault = DmaFault { iova: Iova(descriptor & ADDRESS), len: capacity.into() };
            // A buffer without length would never end the frame.
            let (piece, rest) = left.split_at(left.len().min(usize::from(capacity).max(1)));
            if capacity == 0 {
                return Err(fault);
            }
            buffers.push((fault.iova, piece));
            pieces.push(u16::try_from(piece.len()).unwrap_or(capacity));
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        if !left.is_empty() {
            return Ok(None);
        }
        for (iova, piece) in buffers {
            memory.write(iova, piece)?;
        }
        Ok(Some(pieces))
    }

    fn events(&mut self, pieces: &[u16], class: RxClass) -> Vec<u64> {
        let last = pieces.len().saturating_sub(1);
        let event = |(i, bytes): (usize, &u16)| {
            self.next = self.ring.wrap(self.next + 1);
            event::received(self.label, *bytes, i < last, self.next, class)
        };
        pieces.iter().enumerate().map(event).collect()
    }
}

/// The prefix: RSS hash at 0, length at 8, in the order of the wire otherwise nothing (no tag is stripped, no time taken).
fn prefix(hash: u32, len: usize) -> [u8; PREFIX] {
    let [a, b, c, d] = hash.to_le_bytes();
    let [low, high] = u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes();
    [a, b, c, d, 0, 0, 0, 0, low, high, 0, 0, 0, 0]
}
