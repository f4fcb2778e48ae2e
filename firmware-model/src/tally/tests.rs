//! Flows are watched while frames cross.

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
    let flow =
        |proto, port| WatchedFlow { proto, ends: [FlowEnd { addr: peer, port: None }, FlowEnd { addr: host, port }] };
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
