//! Answers as bytes.

use nicfw::mcdi::wire::{Header, HeaderForm, MAX_PAYLOAD, MAX_PAYLOAD_V1, Status, XFlags};

use super::command::Reply;

/// What goes back into the request's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Header (4 or 8 bytes) and payload.
    Bytes(Vec<u8>),
    /// Nothing, ever.
    Silence,
}

/// The answer that a command's outcome makes.
pub(super) fn done(request: &Header, reply: Reply) -> Answer {
    let payload = match reply {
        Ok(payload) => payload,
        Err(code) => return respond(request, Status::Failed, 4, &code.0.to_le_bytes()),
    };
    // GET_CAPABILITIES sends as much as fits (ef10.md 5.4); every other reply in use fits its form.
    let longest = match request.form {
        HeaderForm::V1 => MAX_PAYLOAD_V1,
        HeaderForm::V2 => MAX_PAYLOAD,
    };
    let payload = payload.get(..longest).unwrap_or(&payload);
    respond(request, Status::Done, payload.len(), payload)
}

/// The answer to what a reboot cuts off: an error without payload.
pub(super) fn rebooted(request: &Header) -> Answer {
    respond(request, Status::Failed, 0, &[])
}

/// An answer, header and payload; `len` is what its header tells.
pub(super) fn respond(request: &Header, status: Status, len: usize, payload: &[u8]) -> Answer {
    let header = Header { status, len, xflags: XFlags::empty(), ..*request };
    let [first, second] = header.encode();
    let mut bytes = first.to_le_bytes().to_vec();
    if header.form == HeaderForm::V2 {
        bytes.extend(second.to_le_bytes());
    }
    bytes.extend(payload);
    Answer::Bytes(bytes)
}
