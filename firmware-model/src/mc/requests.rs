//! Requests as they come in, and what follows their answers.

use nicfw::mcdi::wire::{Header, HeaderForm, MAX_PAYLOAD, MAX_PAYLOAD_V1, Status, XFlags};

use super::answer::{Answer, rebooted};
use super::controller::Mc;
use crate::vnic::command_done;

impl Mc {
    /// Length of the request behind a first dword (and the second one, for v2), header included.
    pub fn request_len(dwords: [u32; 2]) -> usize {
        let header = Header::decode(dwords);
        header.form.header_len() + header.len.min(MAX_PAYLOAD)
    }

    /// Takes one request of a function, header included, and gives the answer.
    pub fn take(&mut self, function: usize, request: &[u8]) -> Answer {
        let Some(first) = dword(request, 0) else { return Answer::Silence };
        let header = Header::decode([first, dword(request, 4).unwrap_or(0)]);
        let limit = match header.form {
            HeaderForm::V1 => MAX_PAYLOAD_V1,
            HeaderForm::V2 => MAX_PAYLOAD,
        };
        let start = header.form.header_len();
        let payload = request.get(start..).and_then(|rest| rest.get(..header.len)).filter(|_| header.len <= limit);
        // A message that is no request, or longer than its form allows, is not taken.
        let (Some(payload), Status::Request) = (payload, header.status) else { return Answer::Silence };
        let Some(own) = self.functions.get_mut(function) else { return Answer::Silence };
        own.epoch |= header.new_epoch;
        if !own.epoch {
            return rebooted(&header);
        }
        let fault = self.faults.on(header.cmd);
        let answer = self.execute(function, &header, payload, fault);
        self.completed(function, answer)
    }

    /// The answer to `request` lies in memory: the events that follow it.
    pub fn answered(&mut self, function: usize, request: &[u8], answer: &[u8]) {
        let header = |bytes: &[u8]| Header::decode([0, 4].map(|at| dword(bytes, at).unwrap_or(0)));
        let (asked, told) = (header(request), header(answer));
        if asked.xflags.contains(XFlags::EVREQ) {
            let errno =
                if told.status == Status::Failed { dword(answer, told.form.header_len()).unwrap_or(0) } else { 0 };
            self.tell(function, command_done(asked.seq, told.len, errno));
        }
        if let Some(own) = self.functions.get_mut(function) {
            own.vnic.answered();
        }
    }
}

fn dword(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
