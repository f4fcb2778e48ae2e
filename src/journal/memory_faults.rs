//! Calls of a store that go wrong as they are told.

use std::collections::BTreeMap;
use std::io;

/// How a call of the store goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and fails.
    Fails(io::ErrorKind),
    /// It does its work, and fails all the same.
    FailsLate(io::ErrorKind),
    /// An append adds this many bytes, then fails; every other call does nothing and fails.
    Tears(usize),
}

/// Which calls go wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    calls: u64,
    /// By the number of the call.
    planned: BTreeMap<u64, Fault>,
    /// From this call on every call fails.
    dead_from: Option<u64>,
    fired: u64,
}

impl Faults {
    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn fired(&self) -> u64 {
        self.fired
    }

    pub fn put(&mut self, after: u64, fault: Fault) {
        self.planned.insert(self.calls.saturating_add(after), fault);
    }

    pub fn die(&mut self, after: u64) {
        self.dead_from = Some(self.calls.saturating_add(after));
    }

    pub fn heal(&mut self) {
        self.planned.clear();
        self.dead_from = None;
    }

    /// Counts a call; how it goes wrong, if it does.
    pub fn next(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        let dead = self.dead_from.is_some_and(|from| call >= from);
        let fault = if dead { Some(Fault::Fails(io::ErrorKind::Other)) } else { self.planned.remove(&call) };
        self.fired += u64::from(fault.is_some());
        fault
    }
}
