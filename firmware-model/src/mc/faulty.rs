//! Commands that go wrong as they are told.

use nicfw::mcdi::wire::{Cmd, Header, MAX_PAYLOAD, Status};

use super::answer::{Answer, done, rebooted, respond};
use super::completions::Completions;
use super::controller::Mc;
use crate::fault::FaultKind;

fn bytes_of(answer: Answer) -> Option<Vec<u8>> {
    match answer {
        Answer::Bytes(bytes) => Some(bytes),
        Answer::Silence => None,
    }
}

impl Mc {
    pub(super) fn execute(
        &mut self,
        function: usize,
        header: &Header,
        payload: &[u8],
        fault: Option<FaultKind>,
    ) -> Answer {
        match fault {
            None => {
                let boots = self.boot_count;
                let reply = self.run_logged(function, header.cmd, payload);
                // A command that reboots the MC is answered as every request that a reboot cuts off.
                if self.boot_count == boots { done(header, reply) } else { rebooted(header) }
            }
            Some(FaultKind::Error(code)) => done(header, Err(code)),
            Some(FaultKind::ErrorAfterEffect(code)) => {
                let _ = self.run(function, header.cmd, payload);
                done(header, Err(code))
            }
            Some(FaultKind::Hang { effect }) => {
                if effect {
                    let _ = self.run(function, header.cmd, payload);
                }
                Answer::Silence
            }
            Some(FaultKind::Garbage(bytes)) => {
                let _ = self.run(function, header.cmd, payload);
                Answer::Bytes(bytes)
            }
            Some(FaultKind::WrongSequence) => {
                let reply = self.run(function, header.cmd, payload);
                done(&Header { seq: (header.seq + 1) & 0xf, ..*header }, reply)
            }
            Some(FaultKind::WrongCommand) => {
                let reply = self.run(function, header.cmd, payload);
                done(&Header { cmd: Cmd(header.cmd.0 ^ 1), ..*header }, reply)
            }
            Some(FaultKind::Length(len)) => {
                let mut payload = self.run(function, header.cmd, payload).unwrap_or_default();
                payload.resize(len.min(MAX_PAYLOAD), 0);
                respond(header, Status::Done, len, &payload)
            }
            Some(FaultKind::RebootBefore) => {
                self.reboot();
                rebooted(header)
            }
            Some(FaultKind::RebootAfter) => {
                let _ = self.run(function, header.cmd, payload);
                self.reboot();
                rebooted(header)
            }
            Some(FaultKind::EmptyError) => rebooted(header),
            Some(FaultKind::Late) => {
                let reply = self.run(function, header.cmd, payload);
                let answer = done(header, reply);
                self.completions(function, |completions| completions.next = bytes_of(answer));
                Answer::Silence
            }
            Some(FaultKind::Duplicate) => {
                let reply = self.run(function, header.cmd, payload);
                let answer = done(header, reply);
                self.completions(function, |completions| completions.next = bytes_of(answer.clone()));
                answer
            }
            Some(FaultKind::Replayed) => {
                let _ = self.run(function, header.cmd, payload);
                let mut answer = Answer::Silence;
                self.completions(function, |completions| {
                    answer = completions.last.take().map_or(Answer::Silence, Answer::Bytes);
                });
                answer
            }
            Some(FaultKind::Gone) => {
                if let Some(own) = self.functions.get_mut(function) {
                    own.gone = true;
                }
                Answer::Silence
            }
        }
    }

    /// What reaches the driver in the place of an answer.
    pub(super) fn completed(&mut self, function: usize, answer: Answer) -> Answer {
        let mut out = answer;
        self.completions(function, |completions| {
            if let (Answer::Bytes(_), Some(stale)) = (&out, completions.next.take_if(|_| completions.due)) {
                out = Answer::Bytes(stale);
            }
            completions.due = completions.next.is_some();
            if let Answer::Bytes(bytes) = &out {
                completions.last = Some(bytes.clone());
            }
        });
        out
    }

    fn completions(&mut self, function: usize, work: impl FnOnce(&mut Completions)) {
        if let Some(own) = self.functions.get_mut(function) {
            work(&mut own.completions);
        }
    }
}
