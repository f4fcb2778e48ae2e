//! A function's virtual interfaces: event, receive and transmit queues in the memory of its driver.
//!
//! ```text
//! doorbell -> Txq -> frame -> pipeline -> Rxq -> buffers in memory, event -> Evq -> MSI-X vector
//! ```
//!
//! Everything that a driver writes (rings, descriptors, doorbells) is hostile: a queue whose memory cannot be reached, or
//! whose descriptors make no sense, stops with an error event; a doorbell to a queue that is not there does nothing.

mod event;
mod evq;
mod offload;
mod ring;
mod rx;
#[cfg(test)]
mod tests;
mod tx;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nicfw::dma::DmaSpace;
use nicfw::mcdi::wire::McErrno;
use nicfw::regs::ef10;
use nicfw::terms::Packet;

use crate::pci::endpoint::Interrupts;

pub(crate) use event::{
    FLUSH_TO_DRIVER, command_done, link_changed, rebooted, rx_flushed, software, start_up, statistics, tx_flushed,
};
use evq::{Evq, Raise};
pub(crate) use offload::{fill_checksums, toeplitz};
pub(crate) use ring::Ring;
use rx::Received;
pub(crate) use rx::{Rxq, RxqConfig};
pub(crate) use tx::{Checksums, Sent, Txq};

/// What a function reaches of the machine that it is plugged into.
#[derive(Default)]
pub(crate) struct HostSide {
    /// What DMA reaches, as long as anything is there.
    pub memory: Option<Arc<dyn DmaSpace>>,
    pub interrupts: Option<Interrupts>,
}

impl fmt::Debug for HostSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSide").field("memory", &self.memory.is_some()).finish_non_exhaustive()
    }
}

/// The queues of one function.
#[derive(Debug, Default)]
pub(crate) struct Vnic {
    pub host: HostSide,
    /// VIs that the function has; their queues are numbered from 0.
    pub vis: u32,
    evqs: BTreeMap<u32, Evq>,
    rxqs: BTreeMap<u32, Rxq>,
    txqs: BTreeMap<u32, Txq>,
    /// A descriptor on its way with a transmit doorbell: VI, and the two dwords before the third that rings.
    push: Option<(u32, [u32; 2])>,
    /// Events that follow the answer to the command that caused them.
    later: Vec<(u32, u64)>,
    /// Frames that found no buffer.
    pub no_descriptor: u64,
}

impl Vnic {
    /// Frees every queue and VI. Memory and interrupts stay: they are the machine's.
    pub fn reset(&mut self) {
        *self = Self { host: std::mem::take(&mut self.host), ..Self::default() };
    }

    /// Its event, receive and transmit queues.
    pub fn queues(&self) -> [usize; 3] {
        [self.evqs.len(), self.rxqs.len(), self.txqs.len()]
    }

    /// Whether it has a receive or a transmit queue.
    pub fn has_dma_queue(&self) -> bool {
        !self.rxqs.is_empty() || !self.txqs.is_empty()
    }

    /// Whether any queue is there.
    pub fn has_queue(&self) -> bool {
        !self.evqs.is_empty() || self.has_dma_queue()
    }

    pub fn add_evq(&mut self, instance: u32, ring: Ring, vector: Option<u32>, armed: bool) -> Result<(), McErrno> {
        self.check_free(instance, self.evqs.contains_key(&instance))?;
        self.evqs.insert(instance, Evq::new(ring, vector, armed));
        Ok(())
    }

    pub fn add_rxq(&mut self, instance: u32, rxq: Rxq) -> Result<(), McErrno> {
        self.check_free(instance, self.rxqs.contains_key(&instance))?;
        self.check_evq(rxq.evq)?;
        self.rxqs.insert(instance, rxq);
        Ok(())
    }

    pub fn add_txq(&mut self, instance: u32, txq: Txq) -> Result<(), McErrno> {
        self.check_free(instance, self.txqs.contains_key(&instance))?;
        self.check_evq(txq.evq)?;
        self.txqs.insert(instance, txq);
        Ok(())
    }

    /// A queue needs a VI of the function and a number that is free. No document tells the codes.
    fn check_free(&self, instance: u32, taken: bool) -> Result<(), McErrno> {
        match (instance < self.vis, taken) {
            (false, _) => Err(McErrno::EINVAL),
            (true, true) => Err(McErrno::EALREADY),
            (true, false) => Ok(()),
        }
    }

    fn check_evq(&self, evq: u32) -> Result<(), McErrno> {
        if self.evqs.contains_key(&evq) { Ok(()) } else { Err(McErrno::ENOENT) }
    }

    pub fn has_evq(&self, instance: u32) -> bool {
        self.evqs.contains_key(&instance)
    }

    /// Takes an event queue away; EALREADY if there is none (ef10.md 5.7).
    pub fn remove_evq(&mut self, instance: u32) -> Result<(), McErrno> {
        self.evqs.remove(&instance).map(|_| ()).ok_or(McErrno::EALREADY)
    }

    /// Takes a receive queue away. Its flush events follow the answer.
    pub fn remove_rxq(&mut self, instance: u32) -> Result<(), McErrno> {
        let rxq = self.rxqs.remove(&instance).ok_or(McErrno::EALREADY)?;
        self.flushed(rxq.evq, rx_flushed(instance));
        Ok(())
    }

    /// Takes a transmit queue away. Its flush events follow the answer.
    pub fn remove_txq(&mut self, instance: u32) -> Result<(), McErrno> {
        let txq = self.txqs.remove(&instance).ok_or(McErrno::EALREADY)?;
        self.flushed(txq.evq, tx_flushed(instance));
        Ok(())
    }

    /// Once to the queue's own event queue, and once more to event queue 0 (ef10.md 3.4).
    fn flushed(&mut self, evq: u32, event: u64) {
        self.after_answer(evq, event);
        self.after_answer(0, event | FLUSH_TO_DRIVER);
    }

    /// Keeps an event until the answer to the present command lies in memory.
    pub fn after_answer(&mut self, evq: u32, event: u64) {
        self.later.push((evq, event));
    }

    /// The answer lies in memory.
    pub fn answered(&mut self) {
        for (evq, event) in std::mem::take(&mut self.later) {
            self.notify(evq, event);
        }
    }

    /// Writes an event to a queue, if that is there, and interrupts.
    pub fn notify(&mut self, evq: u32, event: u64) {
        let Some(memory) = &self.host.memory else { return };
        let raise = self.evqs.get_mut(&evq).and_then(|queue| queue.push(&**memory, event));
        self.raise(raise);
    }

    /// Raises a vector.
    pub fn raise(&self, vector: Raise) {
        if let (Some(vector), Some(interrupts)) = (vector, &self.host.interrupts) {
            interrupts.raise(vector);
        }
    }

    /// A write to the window of VI `vi`. `true` if there may be frames to send.
    pub fn doorbell(&mut self, vi: u32, register: usize, value: u32) -> bool {
        let is = |reg: usize| register == reg;
        if is(ef10::EVQ_RPTR.offset()) {
            let raise = self.evqs.get_mut(&vi).and_then(|evq| evq.acknowledge(ef10::EVQ_RPTR_RPTR.get(value)));
            self.raise(raise);
        } else if is(ef10::RX_DESC_UPD.offset()) {
            if let Some(rxq) = self.rxqs.get_mut(&vi) {
                rxq.post(ef10::RX_DESC_UPD_WPTR.get(value));
            }
        } else if is(ef10::TX_DESC_UPD_LWORD.offset()) {
            self.push = Some((vi, [value, 0]));
        } else if is(ef10::TX_DESC_UPD_HWORD.offset()) {
            if let Some((_, [_, high])) = self.push.as_mut().filter(|(of, _)| *of == vi) {
                *high = value;
            }
        } else if is(ef10::TX_DESC_UPD_WPTR.offset()) {
            let pushed = self.push.take().filter(|(of, _)| *of == vi);
            let pushed = pushed.map(|(_, [low, high])| u64::from(high) << 32 | u64::from(low));
            if let Some(txq) = self.txqs.get_mut(&vi) {
                txq.ring(ef10::TX_DESC_UPD_WPTR_WPTR.get(value), pushed);
                return true;
            }
        }
        false
    }

    /// The next frame that a transmit queue has. One that makes no sense stops the queue, with an error event.
    pub fn take_frame(&mut self, queue: u32) -> Option<Sent> {
        let memory = self.host.memory.clone()?;
        let txq = self.txqs.get_mut(&queue)?;
        match txq.take(&*memory) {
            Ok(sent) => sent,
            Err(stop) => {
                let evq = txq.evq;
                self.notify(evq, event::tx_error(queue, stop.0));
                None
            }
        }
    }

    /// Tells the driver that a transmit queue has sent everything up to and including descriptor `last`.
    pub fn sent(&mut self, queue: u32, last: u32) {
        if let Some((evq, label)) = self.txqs.get(&queue).map(|txq| (txq.evq, txq.label)) {
            self.notify(evq, event::transmitted(label, last));
        }
    }

    /// Puts a frame into a receive queue. `false` when it is lost: no queue, no buffers, no room for its events.
    pub fn receive(&mut self, queue: u32, frame: &[u8], packet: &Packet, hash: u32) -> bool {
        let Some(memory) = self.host.memory.clone() else { return false };
        let Some(rxq) = self.rxqs.get_mut(&queue) else { return false };
        let evq = rxq.evq;
        let room = self.evqs.get(&evq).map_or(0, |evq| evq.room(&*memory));
        match rxq.receive(&*memory, frame, hash, offload::classify(frame, packet), room) {
            Received::Events(events) => {
                events.into_iter().for_each(|event| self.notify(evq, event));
                true
            }
            Received::NoDescriptors => {
                self.no_descriptor += 1;
                false
            }
            Received::Fault(fault) => {
                log::warn!("receive queue {queue} stops: {fault}");
                self.notify(evq, event::rx_error(queue));
                false
            }
            Received::Stopped => false,
        }
    }
}
