//! Frames that go through the adapter whatever happens to the process that changes its firewall.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nicfw::terms::MacAddr;
use nicfw_model::tally::{FlowEnd, FlowId, Tallies, WatchedFlow};
use nicfw_model::{FunctionConfig, Model, Place};

/// Frames of each flow that come at once, and the time until the next come.
const BURST: usize = 16;
const PAUSE: Duration = Duration::from_micros(200);

/// A container that every document binds, and one that none does.
const BOUND: u8 = 1;
const UNBOUND: u8 = 9;
/// Somebody whom no document names.
const STRANGER: [u8; 4] = [10, 99, 0, 66];

const fn mac(container: u8) -> MacAddr {
    MacAddr([2, 0, 10, 30, 1, container])
}

/// The functions that the containers have.
pub fn functions() -> [FunctionConfig; 2] {
    [FunctionConfig::container(0, 0, mac(BOUND)), FunctionConfig::container(0, 1, mac(UNBOUND))]
}

/// TCP from the stranger to port 443 of a container.
fn frame(container: u8) -> Vec<u8> {
    let mut frame = [&mac(container).0[..], &[2, 0, 0, 0, 0, 0x99], &[0x08, 0x00]].concat();
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(STRANGER);
    frame.extend([10, 30, 1, container]);
    frame.extend([0x9c, 0x40, 0x01, 0xbb]);
    frame.resize(60, 0);
    frame
}

/// The load. Ends when dropped.
pub struct Load {
    model: Model,
    /// What every document denies, and what none is about.
    flows: [FlowId; 2],
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub fn start(model: &Model) -> Self {
        let flow = |container| {
            let addr = [STRANGER, [10, 30, 1, container]].map(|addr| IpAddr::V4(Ipv4Addr::from(addr)));
            WatchedFlow { proto: 6, ends: addr.map(|addr| FlowEnd { addr, port: None }) }
        };
        let containers = [BOUND, UNBOUND];
        let flows = containers.map(|container| model.watch(flow(container)));
        let stop = Arc::new(AtomicBool::new(false));
        let (carrier, stopped) = (model.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let frames = containers.map(frame);
            while !stopped.load(Ordering::Relaxed) {
                for frame in (0..BURST).flat_map(|_| &frames) {
                    carrier.carry(Place::Wire(0), frame).expect("a whole frame");
                }
                thread::sleep(PAUSE);
            }
        });
        Self { model: model.clone(), flows, stop, thread: Some(thread) }
    }

    /// Frames of each flow so far.
    ///
    /// # Panics
    /// If one of them was judged otherwise than all documents say.
    pub fn frames(&self) -> [u64; 2] {
        let [denied, unbound] = self.flows.map(|flow| self.model.tallies(flow).expect("it is watched"));
        let Tallies { rx, .. } = denied;
        assert_eq!(rx.passed, 0, "every document denies it");
        let Tallies { rx: free, .. } = unbound;
        assert_eq!(free.dropped, 0, "nobody has bound it");
        [rx.dropped, free.passed]
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()) || thread::panicking(), "the load panicked");
    }
}
