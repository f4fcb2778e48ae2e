//! What became of the frames of chosen flows: an observation for tests, which no adapter offers.
//!
//! Frames that go through the adapter are counted, [`Model::carry`](crate::Model::carry) and those of transmit queues; what
//! [`Model::judge`](crate::Model::judge) is asked about is not.

use std::net::IpAddr;

use nicfw::terms::{Direction, IpHeader, Packet, Verdict};

use crate::crossing::{Crossing, Judged};

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowEnd {
    /// Address.
    pub addr: IpAddr,
    /// Port; `None` = any, or none at all.
    pub port: Option<u16>,
}

impl FlowEnd {
    fn is(&self, addr: IpAddr, port: Option<u16>) -> bool {
        self.addr == addr && (self.port.is_none() || self.port == port)
    }
}

/// The frames of one IP protocol between two ends, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchedFlow {
    /// IP protocol.
    pub proto: u8,
    /// The ends, in any order.
    pub ends: [FlowEnd; 2],
}

impl WatchedFlow {
    /// Whether a frame is one of it, as the parser sees the frame.
    #[must_use]
    pub fn has(&self, packet: &Packet) -> bool {
        let Some(IpHeader { src, dst, proto, ports }) = packet.ip else { return false };
        let (from, to) = ports.unzip();
        let [one, other] = self.ends;
        let is = |from_end: FlowEnd, to_end: FlowEnd| from_end.is(src, from) && to_end.is(dst, to);
        proto == Some(self.proto) && (is(one, other) || is(other, one))
    }
}

/// Judgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Those that let the frame on.
    pub passed: u64,
    /// Those that dropped it.
    pub dropped: u64,
}

/// The judgements of a flow's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tallies {
    /// On the receiving side.
    pub rx: Tally,
    /// On the transmitting side.
    pub tx: Tally,
}

/// A flow that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(usize);

/// The flows that are watched, and their judgements.
#[derive(Debug, Default)]
pub(crate) struct Watched(Vec<(WatchedFlow, Tallies)>);

impl Watched {
    pub fn add(&mut self, flow: WatchedFlow) -> FlowId {
        self.0.push((flow, Tallies::default()));
        FlowId(self.0.len() - 1)
    }

    pub fn tallies(&self, id: FlowId) -> Option<Tallies> {
        self.0.get(id.0).map(|(_, tallies)| *tallies)
    }

    pub fn count(&mut self, crossing: &Crossing) {
        for (_, tallies) in self.0.iter_mut().filter(|(flow, _)| flow.has(&crossing.packet)) {
            for Judged { direction, judgement, .. } in &crossing.judgements {
                let side = match direction {
                    Direction::Rx => &mut tallies.rx,
                    Direction::Tx => &mut tallies.tx,
                };
                match judgement.verdict {
                    Verdict::Allow => side.passed += 1,
                    Verdict::Deny => side.dropped += 1,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
