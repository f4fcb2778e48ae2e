//! Transmit queues: descriptors into frames (ef10.md 2.1 and 3.3).

use nicfw::dma::{DmaFault, DmaSpace, Iova};

use super::event::TxError;
use super::ring::Ring;
use crate::packet::FRAME_MAX;

/// Bit 63: the descriptor is an option.
const OPTION: u64 = 1 << 63;
/// Bit 62 of a kernel descriptor: the frame goes on.
const CONT: u64 = 1 << 62;
const ADDRESS: u64 = (1 << 48) - 1;
/// OPTION_TYPE of an option descriptor: checksum control.
const OPTION_CHECKSUMS: u64 = 0;
/// Bits of a checksum option for the outer headers.
const IP_CSUM: u64 = 1 << 0;
const UDP_TCP_CSUM: u64 = 1 << 1;
/// CRC_MODE, TIMESTAMP and TS_AT_TXDP: not possible here. INNER_IP_CSUM and INNER_UDP_TCP_CSUM are taken, as the kernel's
/// driver sets them on queues that it only uses with the capability VXLAN_NVGRE, which the model does not have: without it
/// no frame has inner headers for the queue.
const NOT_POSSIBLE: u64 = 0x13c;
/// Shortest frame on a wire, without its frame check sequence.
const SHORTEST: usize = 60;

/// A transmit queue.
#[derive(Debug)]
pub(crate) struct Txq {
    ring: Ring,
    /// Event queue that its events go to.
    pub evq: u32,
    pub label: u32,
    checksums: Checksums,
    /// Next descriptor to take.
    next: u32,
    /// End of the descriptors that the driver has written.
    end: u32,
    /// The first new descriptor of an idle queue, when the doorbell carried it.
    pushed: Option<u64>,
    stopped: bool,
}

/// Which checksums are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checksums {
    /// IPv4 header.
    pub ip: bool,
    /// TCP and UDP.
    pub segment: bool,
}

/// A frame as the driver sent it, before checksums.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub frame: Vec<u8>,
    pub checksums: Checksums,
    /// Its last descriptor.
    pub last: u32,
}

/// Why the queue stops.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop(pub TxError);

impl From<DmaFault> for Stop {
    fn from(fault: DmaFault) -> Self {
        log::warn!("a transmit queue stops: {fault}");
        Self(TxError::Dma)
    }
}

impl Txq {
    pub fn new(ring: Ring, evq: u32, label: u32, checksums: Checksums) -> Self {
        Self { ring, evq, label, checksums, next: 0, end: 0, pushed: None, stopped: false }
    }

    /// The driver has written descriptors up to before `index`, and pushed the first of them or not.
    pub fn ring(&mut self, index: u32, pushed: Option<u64>) {
        if self.next == self.end {
            self.pushed = pushed;
        }
        self.end = self.ring.wrap(index);
    }

    /// Takes the next whole frame. `None` when there is none: its end may come with the next doorbell.
    ///
    /// # Errors
    /// The queue stops, and sends nothing any more.
    pub fn take(&mut self, memory: &dyn DmaSpace) -> Result<Option<Sent>, Stop> {
        if self.stopped {
            return Ok(None);
        }
        let taken = self.frame(memory);
        self.stopped = taken.is_err();
        taken
    }

    fn frame(&mut self, memory: &dyn DmaSpace) -> Result<Option<Sent>, Stop> {
        let mut frame = Vec::new();
        let mut at = self.next;
        while at != self.end {
            let descriptor = match self.pushed.filter(|_| at == self.next) {
                Some(pushed) => pushed,
                None => self.ring.read(memory, at)?,
            };
            at = self.ring.wrap(at + 1);
            if descriptor & OPTION != 0 {
                if !frame.is_empty() {
                    return Err(Stop(TxError::OptionInFrame));
                }
                self.option(descriptor)?;
                self.advance(at);
                continue;
            }
            let length = usize::try_from(descriptor >> 48 & 0x3fff).unwrap_or(0);
            let filled = frame.len();
            if filled + length > FRAME_MAX {
                return Err(Stop(TxError::TooBig));
            }
            frame.resize(filled + length, 0);
            memory.read(Iova(descriptor & ADDRESS), frame.get_mut(filled..).unwrap_or_default())?;
            if descriptor & CONT == 0 {
                let last = self.ring.wrap(at.wrapping_sub(1));
                self.advance(at);
                frame.resize(frame.len().max(SHORTEST), 0);
                return Ok(Some(Sent { frame, checksums: self.checksums, last }));
            }
        }
        Ok(None)
    }

    fn option(&mut self, descriptor: u64) -> Result<(), Stop> {
        if descriptor >> 60 & 7 != OPTION_CHECKSUMS || descriptor & NOT_POSSIBLE != 0 {
            return Err(Stop(TxError::BadOption));
        }
        self.checksums = Checksums { ip: descriptor & IP_CSUM != 0, segment: descriptor & UDP_TCP_CSUM != 0 };
        Ok(())
    }

    fn advance(&mut self, to: u32) {
        self.next = to;
        self.pushed = None;
    }
}
