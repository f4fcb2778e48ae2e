//! The message header: one dword (v1), or two (v2, for codes past 0x7f and payloads past 252 bytes). ef10.md 4.1.

use bitflags::bitflags;

use super::Cmd;
use crate::regs::Field;

const CODE: Field = Field::new(0, 7);
const RESYNC: Field = Field::new(7, 1);
const DATALEN: Field = Field::new(8, 8);
const SEQ: Field = Field::new(16, 4);
const NOT_EPOCH: Field = Field::new(21, 1);
const ERROR: Field = Field::new(22, 1);
const RESPONSE: Field = Field::new(23, 1);
const XFLAGS: Field = Field::new(24, 8);

const EXTENDED_CMD: Field = Field::new(0, 15);
const ACTUAL_LEN: Field = Field::new(16, 10);

/// CODE of a v2 message.
const CODE_V2: u32 = 0x7f;

/// Largest v1 payload in bytes.
pub const MAX_PAYLOAD_V1: usize = 0xfc;
/// Largest v2 payload in bytes: ACTUAL_LEN has 10 bits, and messages are whole dwords.
pub const MAX_PAYLOAD: usize = 1020;
/// Length of the request buffer: a v2 header and 1,024 bytes.
pub const BUFFER_LEN: usize = 8 + 1024;
/// Alignment of the request buffer in bytes.
pub const BUFFER_ALIGN: usize = 256;

/// Which of the two header forms a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderForm {
    /// One dword; codes up to 0x7e and payloads up to 252 bytes.
    V1,
    /// Two dwords.
    V2,
}

impl HeaderForm {
    /// The form of a request: v1 as long as code and length allow it.
    #[must_use]
    pub fn for_request(cmd: Cmd, len: usize) -> Self {
        if u32::from(cmd.0) < CODE_V2 && len <= MAX_PAYLOAD_V1 { Self::V1 } else { Self::V2 }
    }

    /// Length of the header in bytes, which is where the payload starts.
    #[must_use]
    pub fn header_len(self) -> usize {
        match self {
            Self::V1 => 4,
            Self::V2 => 8,
        }
    }
}

bitflags! {
    /// XFLAGS: how the MC is to tell that it is done.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct XFlags: u8 {
        /// Send a CMDDONE event.
        const EVREQ = 1 << 0;
        /// Send a DBRET event when the command is accepted.
        const DBRET = 1 << 1;
        const _ = !0;
    }
}

/// What a header says about its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is a request.
    Request,
    /// It is the response to a command that succeeded.
    Done,
    /// It is the response to a command that failed. Without a payload it means that the MC has rebooted.
    Failed,
}

/// A header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which form it has.
    pub form: HeaderForm,
    /// Command code.
    pub cmd: Cmd,
    /// Payload length in bytes, as the header tells it: up to 255 in v1, 1,023 in v2.
    pub len: usize,
    /// Sequence number, 0..=15.
    pub seq: u8,
    /// NEWEPOCH, the inverse of the bit NOT_EPOCH: the first request of a driver, or of a driver that has handled an MC
    /// reboot. The MC discards earlier requests of the function.
    pub new_epoch: bool,
    /// Request or response.
    pub status: Status,
    /// Completion flags.
    pub xflags: XFlags,
}

impl Header {
    /// The header as dwords; the second counts in v2 only. Values past their field are cut.
    #[must_use]
    pub fn encode(&self) -> [u32; 2] {
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        let (response, error) = match self.status {
            Status::Request => (0, 0),
            Status::Done => (1, 0),
            Status::Failed => (1, 1),
        };
        let mut first = RESYNC.set(0, 1);
        first = SEQ.set(first, self.seq.into());
        first = NOT_EPOCH.set(first, (!self.new_epoch).into());
        first = ERROR.set(first, error);
        first = RESPONSE.set(first, response);
        first = XFLAGS.set(first, self.xflags.bits().into());
        match self.form {
            HeaderForm::V1 => [DATALEN.set(CODE.set(first, self.cmd.0.into()), len), 0],
            HeaderForm::V2 => {
                let second = ACTUAL_LEN.set(EXTENDED_CMD.set(0, self.cmd.0.into()), len);
                [CODE.set(first, CODE_V2), second]
            }
        }
    }

    /// True if the first dword says that the message is a response.
    #[must_use]
    pub fn is_response(first: u32) -> bool {
        RESPONSE.get(first) == 1
    }

    /// Takes a header apart. `second` is looked at in v2 only.
    #[must_use]
    pub fn decode([first, second]: [u32; 2]) -> Self {
        let (form, code, len) = if CODE.get(first) == CODE_V2 {
            (HeaderForm::V2, EXTENDED_CMD.get(second), ACTUAL_LEN.get(second))
        } else {
            (HeaderForm::V1, CODE.get(first), DATALEN.get(first))
        };
        let [seq, ..] = SEQ.get(first).to_le_bytes();
        let [xflags, ..] = XFLAGS.get(first).to_le_bytes();
        let [low, high, ..] = code.to_le_bytes();
        let [len_low, len_high, ..] = len.to_le_bytes();
        Self {
            form,
            cmd: Cmd(u16::from_le_bytes([low, high])),
            len: u16::from_le_bytes([len_low, len_high]).into(),
            seq,
            new_epoch: NOT_EPOCH.get(first) == 0,
            status: match (RESPONSE.get(first), ERROR.get(first)) {
                (0, _) => Status::Request,
                (_, 0) => Status::Done,
                _ => Status::Failed,
            },
            xflags: XFlags::from_bits_retain(xflags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(form: HeaderForm, cmd: u16, len: usize) -> Header {
        Header { form, cmd: Cmd(cmd), len, seq: 5, new_epoch: true, status: Status::Request, xflags: XFlags::empty() }
    }

    /// CODE 0x08, RESYNC 1, DATALEN 0, SEQ 5, NOT_EPOCH 0.
    #[test]
    fn v1_request() {
        assert_eq!(request(HeaderForm::V1, 0x08, 0).encode()[0].to_le_bytes(), [0x88, 0x00, 0x05, 0x00]);
    }

    /// CODE 0x1c, RESYNC 1, DATALEN 8, SEQ 15, NOT_EPOCH 1, RESPONSE 1.
    #[test]
    fn v1_response() {
        let header = Header::decode([u32::from_le_bytes([0x9c, 0x08, 0xaf, 0x00]), u32::MAX]);
        let expected = Header { seq: 15, new_epoch: false, status: Status::Done, ..request(HeaderForm::V1, 0x1c, 8) };
        assert_eq!(header, expected);
        assert_eq!(expected.encode()[0].to_le_bytes(), [0x9c, 0x08, 0xaf, 0x00]);
    }

    /// CODE 0x7f, RESYNC 1, DATALEN 0, SEQ 5, NOT_EPOCH 1, EVREQ; EXTENDED_CMD 0x10f, ACTUAL_LEN 92.
    #[test]
    fn v2_request() {
        let header = Header { new_epoch: false, xflags: XFlags::EVREQ, ..request(HeaderForm::V2, 0x10f, 92) };
        let [first, second] = header.encode();
        assert_eq!(first.to_le_bytes(), [0xff, 0x00, 0x25, 0x01]);
        assert_eq!(second.to_le_bytes(), [0x0f, 0x01, 0x5c, 0x00]);
    }

    /// ERROR and RESPONSE set; EXTENDED_CMD 0x7fff, ACTUAL_LEN 1023, MESSAGE_TYPE 2.
    #[test]
    fn v2_response_at_the_limits_of_its_fields() {
        let header = Header::decode([
            u32::from_le_bytes([0xff, 0x00, 0xc5, 0x00]),
            u32::from_le_bytes([0xff, 0x7f, 0xff, 0x23]),
        ]);
        assert_eq!(header, Header { status: Status::Failed, ..request(HeaderForm::V2, 0x7fff, 1023) });
    }

    #[test]
    fn form_follows_code_and_length() {
        assert_eq!(HeaderForm::for_request(Cmd(0x7e), 252), HeaderForm::V1);
        assert_eq!(HeaderForm::for_request(Cmd(0x7e), 253), HeaderForm::V2);
        assert_eq!(HeaderForm::for_request(Cmd(0x7f), 0), HeaderForm::V2);
        assert_eq!(HeaderForm::for_request(Cmd(0x10f), 92), HeaderForm::V2);
    }

    proptest! {
        #[test]
        fn decode_takes_any_bits_and_encode_gives_the_known_ones_back(first: u32, second: u32) {
            let header = Header::decode([first, second]);
            prop_assert_eq!(Header::decode(header.encode()), header);
        }
    }
}
