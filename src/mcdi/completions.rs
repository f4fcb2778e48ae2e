//! Completion events: the channel waits for an interrupt instead of sleeping between two looks at the reply.
//!
//! ```text
//! ALLOC_VIS -> INIT_EVQ (one queue, one vector) -> LOG_CTRL (the MC's events go there) -> requests with EVREQ
//! wait: EVQ_RPTR arms -> event, MSI-X -> eventfd -> the reply's header is looked at
//! ```
//!
//! An interrupt does no more than end a wait early. What decides is the header in DMA memory: of what stands in the ring
//! nothing is believed, and an event or an interrupt that is lost costs no more than [`LONGEST_WAIT`]. A function without
//! interrupts, or without room for an event queue, is polled.

use super::cmd::queues;
use super::event_ring::{Completions, ENTRIES, RING_LEN, VECTOR};
use super::wire::McErrno;
use super::{Channel, McdiError};
use crate::device::Device;
use crate::error::Error;
use crate::regs::Block;
use crate::regs::ef10::ViRegs;

/// Gives the channel completion events, if the function has interrupts; otherwise it goes on polling. What an earlier
/// driver left of queue 0 is taken away first.
///
/// # Errors
/// See [`McdiError`]. The channel polls; the function holds no VI, or the channel is poisoned.
pub(crate) fn connect(channel: &mut Channel, device: &dyn Device) -> Result<(), McdiError> {
    let Some(interrupt) = device.interrupts(1)?.pop() else { return Ok(()) };
    let (len, need) = (device.bar().len(), size_of::<ViRegs>());
    let regs = Block::new(device.bar(), 0).ok_or(McdiError::SmallBar { len, need })?;
    // An event queue that is still there could write to memory that is given out again.
    release(channel)?;
    let ring = device.dma_alloc(RING_LEN, RING_LEN)?;
    if ring.len() < RING_LEN {
        return Err(Error::Dma { len: RING_LEN, align: RING_LEN }.into());
    }
    ring.write(0, &[0xff; RING_LEN]);
    let mut completions = Completions { ring, regs, interrupt, next: 0, armed: false, commands: 0 };
    let iova = completions.ring.iova();
    let made = queues::alloc_vi(channel)
        .and_then(|()| queues::init_evq(channel, iova, ENTRIES, VECTOR))
        .and_then(|()| queues::events_to_evq(channel));
    match made {
        Ok(()) => {
            completions.empty();
            channel.complete_by(completions);
            Ok(())
        }
        Err(error) if channel.is_poisoned() => Err(error),
        Err(error) => release(channel).and(Err(error)),
    }
}

/// Takes the event queue and its VI away; the channel polls.
///
/// # Errors
/// See [`McdiError`].
pub(crate) fn release(channel: &mut Channel) -> Result<(), McdiError> {
    channel.poll();
    // No document tells how a function without a VI answers FINI_EVQ.
    let none = [McErrno::EALREADY, McErrno::ENOENT, McErrno::EINVAL];
    let gone = |outcome: Result<(), McdiError>| match outcome {
        Err(error) if error.errno().is_some_and(|errno| none.contains(&errno)) => Ok(()),
        outcome => outcome,
    };
    gone(queues::fini_evq(channel))?;
    gone(queues::free_vis(channel))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::event_ring::LONGEST_WAIT;
    use super::super::fake::{FakeNic, RING_IOVA, Reply, refuse, respond};
    use super::super::wire::Cmd;
    use super::*;

    /// A command that is answered after 3 ms; the others at once.
    const SLOW: Cmd = Cmd(0x55);
    const AFTER: Duration = Duration::from_millis(3);

    fn slow(request: &[u8]) -> Reply {
        match (request, respond(request, &[0; 8])) {
            ([first, ..], Reply::Bytes(bytes)) if *first == 0x80 | 0x55 => Reply::After(AFTER, bytes),
            (_, reply) => reply,
        }
    }

    fn connected(nic: &FakeNic) -> Channel {
        let mut channel = nic.channel();
        connect(&mut channel, nic).unwrap();
        channel
    }

    /// How long a slow command takes.
    fn time(nic: &FakeNic, channel: &mut Channel) -> Duration {
        let start = nic.clock().now();
        channel.call(SLOW, &[], 8).unwrap();
        nic.clock().now() - start
    }

    #[test]
    fn an_interrupt_ends_the_wait_and_a_lost_one_delays_it() {
        let nic = FakeNic::new(slow).with_interrupts(false);
        let mut channel = connected(&nic);
        assert!(channel.has_interrupts());
        for round in 0..3 {
            assert_eq!(time(&nic, &mut channel), AFTER, "round {round}");
        }
        let deaf = FakeNic::new(slow).with_interrupts(true);
        let mut channel = connected(&deaf);
        for round in 0..3 {
            assert_eq!(time(&deaf, &mut channel), LONGEST_WAIT, "round {round}");
        }
    }

    #[test]
    fn connecting_asks_for_a_queue_and_every_request_for_an_event() {
        let nic = FakeNic::new(|request| respond(request, &[0; 8])).with_interrupts(false);
        let mut channel = connected(&nic);
        let codes = |requests: &[Vec<u8>]| -> Vec<u8> {
            requests.iter().map(|bytes| if bytes[0] == 0xff { bytes[4] } else { bytes[0] & 0x7f }).collect()
        };
        let requests = nic.take_requests();
        assert_eq!(
            codes(&requests),
            [0x83, 0x8c, 0x8b, 0x80, 0x07],
            "FINI_EVQ, FREE_VIS, ALLOC_VIS, INIT_EVQ, LOG_CTRL"
        );
        assert_eq!(requests[3][44..52], RING_IOVA.to_le_bytes(), "DMA_ADDR");
        assert!(requests.iter().all(|bytes| bytes[3] == 0), "XFLAGS while there is no queue");
        channel.call(Cmd::GET_VERSION, &[], 0).unwrap();
        assert_eq!(nic.take_requests()[0][3], 1, "XFLAGS.EVREQ");
        release(&mut channel).unwrap();
        assert!(!channel.has_interrupts());
        assert_eq!(codes(&nic.take_requests()), [0x83, 0x8c]);
    }

    #[test]
    fn a_ring_never_fills_up_and_nothing_in_it_is_believed() {
        let nic = FakeNic::new(slow).with_interrupts(false);
        let mut channel = connected(&nic);
        for round in 0..2000u64 {
            // A link change, an event nobody knows, and a completion of a command that was never sent.
            nic.event([0xc000_4000_0000_0000, round, 0xc000_3000_0000_0007][usize::try_from(round % 3).unwrap()]);
            channel.call(Cmd::GET_VERSION, &[], 0).unwrap();
        }
        assert_eq!(time(&nic, &mut channel), AFTER);
    }

    #[test]
    fn a_function_without_interrupts_or_queues_is_polled() {
        let nic = FakeNic::new(slow);
        assert!(!connected(&nic).has_interrupts());
        assert!(nic.take_requests().is_empty());
        let no_vis = |request: &[u8]| if request.get(4) == Some(&0x8b) { refuse(request, 28) } else { slow(request) };
        let nic = FakeNic::new(no_vis).with_interrupts(false);
        let mut channel = nic.channel();
        let error = connect(&mut channel, &nic).unwrap_err();
        assert!(error.errno() == Some(McErrno::ENOSPC) && !channel.is_poisoned(), "{error}");
        assert!(!channel.has_interrupts() && time(&nic, &mut channel) >= AFTER);
    }

    #[test]
    fn a_restarted_channel_polls() {
        let nic = FakeNic::new(slow).with_interrupts(false);
        let mut channel = connected(&nic);
        channel.restart().unwrap();
        assert!(!channel.has_interrupts());
    }
}
