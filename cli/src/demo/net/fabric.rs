//! The cables: carries frames between the TAP devices and the adapter, and keeps a log of every frame that crossed.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::SyncDevice;

use crate::demo::cast::{Party, Place};
use crate::demo::switch::{Crossing, Switch};

/// Longest frame: MTU 1500 with two VLAN tags, and room to spare.
const FRAME_MAX: usize = 2048;
/// How often the pump looks whether it is to end, when no frame moves: milliseconds.
const TICK: u8 = 50;

/// The pump between the TAP devices and the adapter. Ends when dropped.
pub struct Fabric {
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    crossings: Mutex<Vec<Crossing>>,
    moved: Condvar,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Crossing>> {
        self.crossings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fabric {
    /// Plugs the cables in.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(taps: BTreeMap<Party, Arc<SyncDevice>>, switch: Arc<Mutex<dyn Switch>>) -> io::Result<Self> {
        let (log, stop) = (Arc::new(Log::default()), Arc::new(AtomicBool::new(false)));
        let pump = Pump { taps, switch, log: Arc::clone(&log), stop: Arc::clone(&stop) };
        let pump = thread::Builder::new().name("cables".to_owned()).spawn(move || pump.run())?;
        Ok(Self { log, stop, pump: Some(pump) })
    }

    /// A place in the log: everything after it happened after the call.
    pub fn mark(&self) -> usize {
        self.log.lock().len()
    }

    /// What has crossed from one place in the log to another.
    pub fn between(&self, marks: Range<usize>) -> Vec<Crossing> {
        self.log.lock().get(marks).unwrap_or_default().to_vec()
    }

    /// Waits until something crosses after `mark`, at most `patience`. True if something did.
    pub fn wait_for_any(&self, mark: usize, patience: Duration) -> bool {
        let log = self.log.lock();
        let wait = self.log.moved.wait_timeout_while(log, patience, |log| log.len() <= mark);
        wait.unwrap_or_else(PoisonError::into_inner).0.len() > mark
    }

    /// Waits until nothing has crossed for `quiet`, at most `patience`.
    pub fn wait_for_quiet(&self, quiet: Duration, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.wait_for_any(self.mark(), quiet) && Instant::now() < deadline {}
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(pump) = self.pump.take() {
            // A pump that panicked has said so on stderr already.
            let _ = pump.join();
        }
    }
}

struct Pump {
    taps: BTreeMap<Party, Arc<SyncDevice>>,
    switch: Arc<Mutex<dyn Switch>>,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
}

impl Pump {
    fn run(&self) {
        let mut frame = [0; FRAME_MAX];
        while !self.stop.load(Ordering::Relaxed) {
            let mut fds: Vec<PollFd<'_>> =
                self.taps.values().map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN)).collect();
            if poll(&mut fds, PollTimeout::from(TICK)).is_err() {
                continue;
            }
            for (party, tap) in &self.taps {
                while let Ok(len) = tap.recv(&mut frame) {
                    self.carry(*party, frame.get(..len).unwrap_or_default());
                }
            }
        }
    }

    fn carry(&self, from: Party, frame: &[u8]) {
        // Under the log's lock, so that whoever reads it finds every frame that the adapter has counted.
        let mut log = self.log.lock();
        let carried = self.switch.lock().unwrap_or_else(PoisonError::into_inner).carry(from.place(), frame);
        log.push(Crossing { from, frame: frame.to_vec(), carried: carried.clone() });
        drop(log);
        for place in carried.reached {
            self.deliver(place, from, frame);
        }
        self.log.moved.notify_all();
    }

    /// Everybody on the wire hears what leaves the adapter there, as at a hub, but for the sender.
    fn deliver(&self, place: Place, from: Party, frame: &[u8]) {
        for (_, tap) in self.taps.iter().filter(|(party, _)| party.place() == place && **party != from) {
            if let Err(error) = tap.send(frame) {
                log::warn!("a frame of {} bytes could not be delivered: {error}", frame.len());
            }
        }
    }
}
