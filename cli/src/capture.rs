//! Captures: the frames of a pcap file.
//!
//! Frames are as the adapter sees them, from the destination MAC on. Captures without Ethernet headers (Linux "cooked" and
//! raw IP) get one; what MACs it holds is then for the policy to say: see [`Frame::has_macs`].
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use pcap_file::pcap::PcapReader;

use crate::failure::Failure;

/// Records that one capture may have.
const MOST_FRAMES: usize = 1_000_000;
/// Length of the Linux "cooked" header (LINKTYPE_LINUX_SLL): type, ARPHRD, address length, address, protocol.
const SLL_HEADER: usize = 16;

/// One captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Number in the file, from 1.
    pub number: usize,
    /// What was captured of it, from the destination MAC on.
    pub bytes: Vec<u8>,
    /// False if the capture held no MACs, and `bytes` has zeros for them.
    pub has_macs: bool,
    /// True if the frame was longer than what was captured.
    pub cut: bool,
}

/// What a capture holds before the IP header (the LINKTYPE values of the pcap format).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// 1
    Ethernet,
    /// 113
    Cooked,
    /// 101, 228, 229
    Ip,
}

impl Link {
    /// The upper half of the field says whether frames end with a check sequence.
    fn from_field(field: u32) -> Option<Self> {
        match field & 0xffff {
            1 => Some(Self::Ethernet),
            113 => Some(Self::Cooked),
            101 | 228 | 229 => Some(Self::Ip),
            _ => None,
        }
    }

    /// The record as an Ethernet frame. What is too short for its own header becomes an empty frame, which nobody parses.
    fn ethernet(self, record: &[u8]) -> Vec<u8> {
        let with_type = |ether_type: &[u8], rest: &[u8]| [&[0; 12], ether_type, rest].concat();
        match self {
            Self::Ethernet => record.to_vec(),
            Self::Cooked => match record.split_at_checked(SLL_HEADER) {
                Some((header, rest)) => with_type(header.get(14..).unwrap_or_default(), rest),
                None => Vec::new(),
            },
            Self::Ip => match record.first().map(|byte| byte >> 4) {
                Some(4) => with_type(&[0x08, 0x00], record),
                Some(_) => with_type(&[0x86, 0xdd], record),
                None => Vec::new(),
            },
        }
    }
}

/// Reads a whole capture.
///
/// # Errors
/// The file, the record that is wrong, what was expected and the way out.
pub fn read(path: &Path) -> Result<Vec<Frame>, Failure> {
    let name = path.display();
    let file = File::open(path).map_err(|error| {
        Failure::usage(format!("{name}: cannot be read: {error}; expected a capture; check the path"))
    })?;
    read_from(BufReader::new(file), &name)
}

/// Reads a whole capture that is called `name`.
///
/// # Errors
/// The record that is wrong, what was expected and the way out.
pub fn read_from(capture: impl Read, name: &dyn Display) -> Result<Vec<Frame>, Failure> {
    let mut reader = PcapReader::new(capture).map_err(|error| {
        Failure::usage(format!(
            "{name}: no capture: {error}; expected a pcap file; convert pcapng with `editcap -F pcap`"
        ))
    })?;
    let field = u32::from(reader.header().datalink);
    let link = Link::from_field(field).ok_or_else(|| {
        Failure::usage(format!(
            "{name}: link type {field}; expected Ethernet (1), Linux cooked (113) or raw IP (101, 228, 229); capture on an \
             Ethernet interface"
        ))
    })?;
    let mut frames = Vec::new();
    while let Some(record) = reader.next_raw_packet() {
        let number = frames.len() + 1;
        let record = record.map_err(|error| {
            Failure::usage(format!(
                "{name}: record {number}: {error}; expected a whole record; capture again, or cut the file before it"
            ))
        })?;
        if number > MOST_FRAMES {
            return Err(Failure::usage(format!(
                "{name}: more than {MOST_FRAMES} records; expected fewer; split the file with `editcap -c`"
            )));
        }
        frames.push(Frame {
            number,
            bytes: link.ethernet(&record.data),
            has_macs: link == Link::Ethernet,
            cut: u64::from(record.orig_len) > record.data.len() as u64,
        });
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcap(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pcap").join(name)
    }

    #[test]
    fn every_capture_is_read() {
        let counts = [
            ("802.1ad_QinQ.pcap", 2),
            ("accecn_handshake.pcap", 6),
            ("dns_tcp.pcap", 11),
            ("dns_udp.pcap", 2),
            ("ipv6-routing-header.pcap", 4),
            ("ipv6hdr-heapoverflow.pcap", 1),
            ("tcp-handshake-nano.pcap", 3),
            ("vxlan.pcap", 10),
        ];
        for (name, frames) in counts {
            assert_eq!(read(&pcap(name)).unwrap().len(), frames, "{name}");
        }
    }

    #[test]
    fn damage_is_named_with_its_record() {
        let whole = std::fs::read(pcap("dns_udp.pcap")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.pcap");
        for (len, part) in [(0, "no capture"), (10, "no capture"), (whole.len() - 1, "record 2"), (30, "record 1")] {
            std::fs::write(&path, &whole[..len]).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("; expected "), "{len}: {error}");
        }
    }
}
