//! Carries frames between the machines' TAP devices and the adapter.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nicfw_cli::machines::{Party, Place};
use nicfw_model::Model;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::SyncDevice;

/// Longest frame: MTU 1500, and room to spare.
const FRAME_MAX: usize = 2048;
/// Frames that one machine sends before the next has its turn.
const TURN: usize = 64;
/// How often the pump looks whether it is to end, when no frame moves: milliseconds.
const TICK: u8 = 50;

pub type Taps = BTreeMap<Party, Arc<SyncDevice>>;

/// The pump. Ends when dropped.
pub struct Pump {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    pub fn start(model: Model, taps: Taps) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn(&model, &taps);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()) || thread::panicking(), "the pump panicked");
    }
}

fn turn(model: &Model, taps: &Taps) {
    let mut fds: Vec<PollFd<'_>> = taps.values().map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN)).collect();
    if poll(&mut fds, PollTimeout::from(TICK)).is_err() {
        return;
    }
    let mut frame = [0; FRAME_MAX];
    for (from, tap) in taps {
        for _ in 0..TURN {
            let Ok(len) = tap.recv(&mut frame) else { break };
            carry(model, taps, *from, &frame[..len]);
        }
    }
}

/// Everybody on the wire hears what leaves the adapter there, as at a hub, but for the sender.
fn carry(model: &Model, taps: &Taps, from: Party, frame: &[u8]) {
    let Ok(crossing) = model.carry(place(from), frame) else { return };
    for reached in crossing.delivered {
        for (_, tap) in taps.iter().filter(|(party, _)| **party != from && place(**party) == reached) {
            // A device whose queue is full drops the frame, as a wire does. The adapter has let it through.
            let _ = tap.send(frame);
        }
    }
}

fn place(party: Party) -> nicfw_model::Place {
    match party.place() {
        Place::Wire => nicfw_model::Place::Wire(0),
        Place::Function(index) => nicfw_model::Place::Host(index.into()),
    }
}
