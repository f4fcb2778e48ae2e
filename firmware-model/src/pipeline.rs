//! The way of a frame through the adapter: steer, judge, deliver.
//!
//! From the host: refused if the adapter filters by MAC and it is not the sender's; judged on TX; then to the functions at the
//! same port that the destination MAC means, or to the wire, or (a group) to both; for functions it is judged once more, on RX.
//! From the wire: steered first, as a receive filter would, and judged on RX only if a function is meant. A frame for several
//! functions is judged once and then copied.

use nicfw::terms::{Direction, Packet, Verdict};

use crate::crossing::{Crossing, Judged, Place};
use crate::mac::TrafficCounters;
use crate::mc::{FunctionState, Mc, Offline};
use crate::packet::{Headers, parse};
use crate::state::State;
use crate::steer::{Recipient, Scope};
use crate::vnic::{Sent, fill_checksums};

/// A function that is meant, and the queues that its filters choose; `None` where no driver has a vadaptor.
struct Receiver {
    function: usize,
    queues: Option<Vec<Recipient>>,
}

/// Carries a frame through the adapter: to wires, and into the queues of drivers.
pub(crate) fn carry(state: &mut State, from: Place, headers: Headers, frame: &[u8]) -> Crossing {
    let crossing = cross(state, from, headers, frame);
    state.watched.count(&crossing);
    crossing
}

fn cross(state: &mut State, from: Place, headers: Headers, frame: &[u8]) -> Crossing {
    let packet = headers.packet;
    let mut crossing = Crossing { packet, judgements: Vec::new(), delivered: Vec::new() };
    let mc = &mut state.mc;
    if mc.offline != Offline::No {
        return crossing;
    }
    let (port, sender) = match from {
        Place::Wire(port) if mc.has_port(port) => (port, None),
        Place::Host(index) => match mc.functions.get(index) {
            Some(function) => (function.config.port, Some(index)),
            None => return crossing,
        },
        Place::Wire(_) => return crossing,
    };
    if sender.is_none() && !count(mc, port, |counters| counters.rx.count(&packet, frame.len())) {
        return crossing;
    }
    let may_send = |index: usize| mc.functions.get(index).is_none_or(|own| own.may_send_as(packet.src_mac));
    if mc.tx_mac_filtering && !sender.is_none_or(may_send) {
        return crossing;
    }
    if sender.is_some() && !passes(mc, &mut crossing, &headers, Direction::Tx, port) {
        return crossing;
    }
    let (receivers, named) = receivers(mc, &packet, port, sender);
    if sender.is_some() && (packet.dst_mac.is_group() || !named) {
        crossing.delivered.push(Place::Wire(port));
        if count(mc, port, |counters| counters.tx.count(&packet, frame.len()))
            && let Some(wire) = state.wires.get_mut(&port)
        {
            wire(frame);
        }
    }
    let mc = &mut state.mc;
    if !receivers.is_empty() && passes(mc, &mut crossing, &headers, Direction::Rx, port) {
        for receiver in receivers {
            if deliver(mc, &receiver, &packet, frame) {
                crossing.delivered.push(Place::Host(receiver.function));
            }
        }
    }
    crossing
}

/// Counts at a port whose link is up; `false` where nothing passes.
fn count(mc: &mut Mc, port: u32, count: impl FnOnce(&mut TrafficCounters)) -> bool {
    let port = usize::try_from(port).ok().and_then(|port| mc.ports.get_mut(port));
    let Some(port) = port.filter(|port| port.link.up) else { return false };
    count(&mut port.counters);
    true
}

/// The functions that are meant, and whether any of them has named the destination. What filters for unknown
/// destinations take is what nobody has named (ef10.md 6.1).
fn receivers(mc: &Mc, packet: &Packet, port: u32, sender: Option<usize>) -> (Vec<Receiver>, bool) {
    let group = packet.dst_mac.is_group();
    let here = |scope: Scope| {
        let functions = mc.functions.iter().enumerate();
        let here = functions.filter(move |(index, own)| own.config.port == port && !own.gone && Some(*index) != sender);
        let receiver = move |(function, own): (usize, &FunctionState)| {
            let queues = match own.vadaptor {
                Some(vadaptor) => Some(own.steering.find(packet, vadaptor.mac, scope)?),
                None if group || own.config.mac == packet.dst_mac => None,
                None => return None,
            };
            Some(Receiver { function, queues })
        };
        here.filter_map(receiver).collect::<Vec<_>>()
    };
    let named = here(Scope::Named);
    let claims = |receiver: &Receiver| !group || receiver.queues.is_some();
    let claimed = named.iter().any(claims);
    let meant = if claimed { named } else { here(Scope::Unknown) };
    // A filter that drops has no queues.
    let kept = |receiver: &Receiver| receiver.queues.as_ref().is_none_or(|queues| !queues.is_empty());
    (meant.into_iter().filter(kept).collect(), claimed)
}

/// Puts a frame into a function's queues; `false` when none took it.
fn deliver(mc: &mut Mc, receiver: &Receiver, packet: &Packet, frame: &[u8]) -> bool {
    let (Some(own), Some(queues)) = (mc.functions.get_mut(receiver.function), &receiver.queues) else { return true };
    let taken = queues.iter().filter(|to| own.vnic.receive(to.queue, frame, packet, to.hash)).count();
    if taken > 0 {
        own.counters.rx.count(packet, frame.len());
    }
    taken > 0
}

/// Sends what a transmit queue of a function has, and tells its driver.
pub(crate) fn transmit(state: &mut State, function: usize, queue: u32) {
    let mut last = None;
    while let Some(sent) = state.mc.functions.get_mut(function).and_then(|own| own.vnic.take_frame(queue)) {
        let Sent { mut frame, checksums, last: descriptor } = sent;
        last = Some(descriptor);
        let Ok(headers) = parse(&frame) else { continue };
        fill_checksums(&mut frame, &headers.packet, checksums.ip, checksums.segment);
        if let Some(own) = state.mc.functions.get_mut(function) {
            own.counters.tx.count(&headers.packet, frame.len());
        }
        carry(state, Place::Host(function), headers, &frame);
    }
    if let (Some(last), Some(own)) = (last, state.mc.functions.get_mut(function)) {
        own.vnic.sent(queue, last);
    }
}

fn passes(mc: &mut Mc, crossing: &mut Crossing, headers: &Headers, direction: Direction, physical_port: u32) -> bool {
    let judgement = mc.engine.judge(headers, direction, physical_port);
    crossing.judgements.push(Judged { direction, physical_port, judgement });
    judgement.verdict == Verdict::Allow
}
