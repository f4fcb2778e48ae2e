//! Faults as data: which command goes wrong, when, and how.

use nicfw::mcdi::wire::{Cmd, McErrno};

/// One fault. It waits for its command, goes off once, and is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which command; `None` = any.
    pub cmd: Option<Cmd>,
    /// How many matching commands pass before it goes off.
    pub after: u32,
    /// How it goes wrong.
    pub kind: FaultKind,
}

/// How a command goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails with this code, without effect.
    Error(McErrno),
    /// It takes effect, and then says that it failed.
    ErrorAfterEffect(McErrno),
    /// It never answers; with or without effect.
    Hang {
        /// Whether it takes effect.
        effect: bool,
    },
    /// It takes effect, and these bytes are the whole answer, header included.
    Garbage(Vec<u8>),
    /// It takes effect, and the answer has another sequence number.
    WrongSequence,
    /// It takes effect, and the answer is one to another command.
    WrongCommand,
    /// It takes effect, and the answer tells this payload length, whatever its payload.
    Length(usize),
    /// It fails by an error without payload, as a reboot would be told, without effect and without a reboot.
    EmptyError,
    /// It takes effect, and its answer comes in the place of the next one, unless the function is reset before.
    Late,
    /// It takes effect and is answered; the same answer comes again in the place of the next one.
    Duplicate,
    /// It takes effect, and the answer before it comes again. None, if there was none.
    Replayed,
    /// The MC reboots before the command takes effect, and says so by an error without payload.
    RebootBefore,
    /// The MC reboots after the command took effect, and says so by an error without payload.
    RebootAfter,
    /// The function falls off the bus: every register reads all ones, and nothing is written to memory any more.
    Gone,
}

/// Faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn waiting(&self) -> usize {
        self.0.len()
    }

    /// The fault that goes off on this command, if any. All that match count it.
    pub fn on(&mut self, cmd: Cmd) -> Option<FaultKind> {
        let mut due = None;
        for (at, fault) in self.0.iter_mut().enumerate() {
            if fault.cmd.is_some_and(|only| only != cmd) {
                continue;
            }
            match fault.after.checked_sub(1) {
                Some(left) => fault.after = left,
                None if due.is_none() => due = Some(at),
                None => {}
            }
        }
        Some(self.0.remove(due?).kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_its_turn_and_goes_off_once() {
        let mut faults = Faults::default();
        let kind = FaultKind::Error(McErrno::EIO);
        faults.add(Fault { cmd: Some(Cmd::DRV_ATTACH), after: 1, kind: kind.clone() });
        assert_eq!(faults.on(Cmd::DRV_ATTACH), None);
        assert_eq!(faults.on(Cmd::GET_VERSION), None);
        assert_eq!(faults.on(Cmd::DRV_ATTACH), Some(kind));
        assert_eq!((faults.on(Cmd::DRV_ATTACH), faults.waiting()), (None, 0));
    }
}
