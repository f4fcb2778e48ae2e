//! The way of a frame through the adapter: steer, judge, deliver.
//!
//! From the host: judged on TX; then to the functions at the same port that the destination MAC means, or to the wire, or
//! (a group) to both; for functions it is judged once more, on RX. From the wire: steered first, as a receive filter would,
//! and judged on RX only if a function is meant. A frame for several functions is judged once and then copied.

use nicfw::tables::{Direction, Verdict};

use crate::engine::Judgement;
use crate::mc::Mc;
use crate::packet::Headers;

/// Where a frame enters or leaves the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The wire of a physical port, from 0.
    Wire(u32),
    /// The host's side of a function, by its number.
    Host(usize),
}

/// One judgement of a frame on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// TX for the sender, RX for the receiver.
    pub direction: Direction,
    /// Physical port.
    pub physical_port: u32,
    /// What the engine said.
    pub judgement: Judgement,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// What the parser saw.
    pub headers: Headers,
    /// The judgements, in their order; none if nobody on the host is meant.
    pub judgements: Vec<Judged>,
    /// Where the frame comes out.
    pub delivered: Vec<Place>,
}

pub(crate) fn carry(mc: &mut Mc, from: Place, headers: Headers) -> Crossing {
    let mut crossing = Crossing { headers, judgements: Vec::new(), delivered: Vec::new() };
    let (port, sender) = match from {
        Place::Wire(port) if port < mc.physical_ports => (port, None),
        Place::Host(index) => match mc.functions.get(index) {
            Some(function) => (function.config.port, Some(index)),
            None => return crossing,
        },
        Place::Wire(_) => return crossing,
    };
    if sender.is_some() && !passes(mc, &mut crossing, Direction::Tx, port) {
        return crossing;
    }
    let group = headers.dst_mac.is_group();
    let functions = mc.functions.iter().enumerate();
    let meant = functions.filter(|(index, function)| {
        let here = function.config.port == port && !function.gone && Some(*index) != sender;
        here && (group || function.config.mac == headers.dst_mac)
    });
    let receivers: Vec<Place> = meant.map(|(index, _)| Place::Host(index)).collect();
    if sender.is_some() && (group || receivers.is_empty()) {
        crossing.delivered.push(Place::Wire(port));
    }
    if !receivers.is_empty() && passes(mc, &mut crossing, Direction::Rx, port) {
        crossing.delivered.extend(receivers);
    }
    crossing
}

fn passes(mc: &mut Mc, crossing: &mut Crossing, direction: Direction, physical_port: u32) -> bool {
    let judgement = mc.engine.judge(&crossing.headers, direction, physical_port);
    crossing.judgements.push(Judged { direction, physical_port, judgement });
    judgement.verdict == Verdict::Allow
}
