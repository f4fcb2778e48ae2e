//! What became of the frames of chosen flows: an observation for tests, which no adapter offers.
//!
//! Frames that go through the adapter are counted, [`Model::carry`](crate::Model::carry) and those of transmit queues; what
//! [`Model::judge`](crate::Model::judge) is asked about is not.

use std::net::IpAddr;

use nicfw::terms::{Direction, Verdict};

use crate::packet::{Headers, Ip};
use crate::pipeline::{Crossing, Judged};

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Address.
    pub addr: IpAddr,
    /// Port; `None` = any, or none at all.
    pub port: Option<u16>,
}

impl End {
    fn is(&self, addr: IpAddr, port: Option<u16>) -> bool {
        self.addr == addr && (self.port.is_none() || self.port == port)
    }
}

/// The frames of one IP protocol between two ends, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// IP protocol.
    pub proto: u8,
    /// The ends, in any order.
    pub ends: [End; 2],
}

impl Flow {
    /// Whether a frame is one of it, as the parser sees the frame.
    #[must_use]
    pub fn has(&self, headers: &Headers) -> bool {
        let Some(Ip { src, dst, proto, ports, .. }) = headers.ip else { return false };
        let (from, to) = ports.unzip();
        let [one, other] = self.ends;
        let is = |from_end: End, to_end: End| from_end.is(src, from) && to_end.is(dst, to);
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
pub(crate) struct Watched(Vec<(Flow, Tallies)>);

impl Watched {
    pub fn add(&mut self, flow: Flow) -> FlowId {
        self.0.push((flow, Tallies::default()));
        FlowId(self.0.len() - 1)
    }

    pub fn tallies(&self, id: FlowId) -> Option<Tallies> {
        self.0.get(id.0).map(|(_, tallies)| *tallies)
    }

    pub fn count(&mut self, crossing: &Crossing) {
        for (_, tallies) in self.0.iter_mut().filter(|(flow, _)| flow.has(&crossing.headers)) {
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
mod tests {
    use std::sync::Arc;

    use nicfw::Adapter;
    use nicfw::adapter::AttachOptions;
    use nicfw::clock::VirtualClock;
    use nicfw::tables::{Action, RuleKey, TableOp};
    use nicfw::terms::MacAddr;

    use super::*;
    use crate::{FunctionConfig, Model, ModelConfig, Place};

    const HOST: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

    /// UDP between 10.0.0.1, the host, and 10.0.0.9.
    fn frame(outwards: bool, ports: (u16, u16)) -> Vec<u8> {
        let ends = [(HOST, 1), (PEER, 9)];
        let [(src, from), (dst, to)] = if outwards { ends } else { [ends[1], ends[0]] };
        let mut frame = [&dst[..], &src, &[0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0]].concat();
        frame.extend([10, 0, 0, from, 10, 0, 0, to]);
        frame.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
        frame.resize(60, 0);
        frame
    }

    #[test]
    fn frames_of_a_flow_are_counted_by_verdict_and_side() {
        let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr(HOST))]));
        let [host, peer] = [1, 9].map(|last| IpAddr::from([10, 0, 0, last]));
        let flow = |proto, port| Flow { proto, ends: [End { addr: peer, port: None }, End { addr: host, port }] };
        let [one, any, tcp] = [flow(17, Some(53)), flow(17, None), flow(6, None)].map(|flow| model.watch(flow));
        let carry = || {
            for (from, outwards, ports) in [
                (Place::Wire(0), false, (4000, 53)),
                (Place::Wire(0), false, (53, 4000)),
                (Place::Host(0), true, (53, 4000)),
            ] {
                model.carry(from, &frame(outwards, ports)).unwrap();
            }
        };
        carry();
        let key = RuleKey { local_ip: Some(host), ..RuleKey::default() };
        let deny = Action::Deny { sample: false };
        let clock = Arc::new(VirtualClock::new());
        let mut driver = Adapter::from_device(Box::new(model.function(0)), clock, AttachOptions::default()).unwrap();
        driver.execute(&TableOp::SetRule { key, rx: deny, tx: Action::None, counter: None }).unwrap();
        carry();
        model.judge(&frame(false, (4000, 53)), Direction::Rx, 0).unwrap();
        let tally = |passed, dropped| Tally { passed, dropped };
        assert_eq!(model.tallies(one), Some(Tallies { rx: tally(1, 1), tx: tally(2, 0) }));
        assert_eq!(model.tallies(any), Some(Tallies { rx: tally(2, 2), tx: tally(2, 0) }));
        assert_eq!(model.tallies(tcp), Some(Tallies::default()));
    }
}
