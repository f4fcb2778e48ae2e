//! Captures: the frames of a pcap or pcapng file, packed by gzip or not.
//!
//! Frames are as the adapter sees them, from the destination MAC on. Captures without Ethernet headers (Linux "cooked",
//! loopback and raw IP) get one; what MACs it holds is then for the policy to say: see [`Frame::has_macs`]. What was not
//! captured is not made up: a frame of which the parser would look at more than was captured has no headers.

mod link;
mod records;

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use nicfw::file;
use nicfw::text::escaped;
use nicfw_model::packet::{Headers, Unread, parse_captured};

use self::link::Link;
use self::records::{Next, Record, Records, Refused};
use crate::failure::Failure;

/// Records that one capture may have.
const MOST_FRAMES: usize = 1_000_000;

/// Why a record cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// The capture ends before a byte that the adapter looks at.
    #[error("the capture has {captured} of its {len} bytes, and the adapter looks further")]
    Cut {
        /// Bytes that were captured, with an Ethernet header.
        captured: usize,
        /// Bytes of the frame.
        len: usize,
    },
    /// The file ends within the record.
    #[error("the file ends within this record")]
    FileEnds,
    /// A loopback record that is not IP.
    #[error("its address family {0} is not IP")]
    Family(u32),
}

/// One captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Number in the file, from 1.
    pub number: usize,
    /// What the adapter's parser sees of it; `None` for one too short to be a frame, which no adapter takes.
    pub headers: Result<Option<Headers>, Unjudged>,
    /// False if the capture held no MACs, and the headers have zeros for them.
    pub has_macs: bool,
    /// True if the frame was longer than what was captured.
    pub cut: bool,
}

/// Reads a whole capture; `progress` is told the number of records from time to time.
///
/// # Errors
/// The file, the record that is wrong, what was expected and the way out.
pub fn read(path: &Path, progress: &mut dyn FnMut(usize)) -> Result<Vec<Frame>, Failure> {
    let name = escaped(&path.display().to_string()).into_owned();
    let file = file::open(path)
        .map_err(|error| Failure::usage(format!("{name}: {error}; expected a capture; check the path")))?;
    read_from(file, &name, progress)
}

/// Reads a whole capture that is called `name`.
///
/// # Errors
/// The record that is wrong, what was expected and the way out.
pub fn read_from(
    capture: impl Read,
    name: &dyn Display,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Frame>, Failure> {
    let mut frames = Vec::new();
    each(capture, name, &mut |number, record| {
        let (headers, has_macs, cut) = match record {
            Some((link, record)) => {
                (headers(link, &record), link == Link::Ethernet, record.len > record.captured.len())
            }
            None => (Err(Unjudged::FileEnds), true, true),
        };
        frames.push(Frame { number, headers, has_macs, cut });
        if number.is_multiple_of(10_000) {
            progress(number);
        }
    })?;
    Ok(frames)
}

/// The bytes of each whole record as an Ethernet frame, as far as they were captured.
///
/// # Errors
/// As [`read_from`].
pub fn bytes(capture: impl Read, mut take: impl FnMut(&[u8])) -> Result<(), Failure> {
    each(capture, &"capture", &mut |_, record| {
        if let Some(frame) = record.and_then(|(link, record)| link.ethernet(&record.captured, record.len).ok()) {
            take(&frame.bytes);
        }
    })
}

fn headers(link: Link, record: &Record) -> Result<Option<Headers>, Unjudged> {
    let frame = link.ethernet(&record.captured, record.len).map_err(Unjudged::Family)?;
    match parse_captured(&frame.bytes, frame.len) {
        Ok(headers) => Ok(Some(headers)),
        Err(Unread::Runt(_)) => Ok(None),
        Err(Unread::Cut { captured, len }) => Err(Unjudged::Cut { captured, len }),
    }
}

/// Goes through the records of a capture. The last is `None` if the file ends within it.
fn each(
    capture: impl Read,
    name: &dyn Display,
    take: &mut dyn FnMut(usize, Option<(Link, Record)>),
) -> Result<(), Failure> {
    let refused = |record: usize, error: Refused| {
        let (expected, way_out) = match &error {
            Refused::Form => ("a pcap or pcapng file, packed by gzip or not", "convert it with `editcap -F pcapng`"),
            Refused::Header => ("a whole capture", "capture again"),
            Refused::Unpacked => ("less", "split the file with `editcap -c`"),
            Refused::Read(_) => ("a capture", "check the path"),
            _ => ("a whole record", "capture again, or cut the file before it"),
        };
        let place = if record == 0 { "no capture".to_owned() } else { format!("record {record}") };
        Failure::usage(format!("{name}: {place}: {error}; expected {expected}; {way_out}"))
    };
    let known = |field: u32, record: usize| {
        Link::from_field(field).ok_or_else(|| {
            let place = if record == 0 { String::new() } else { format!("record {record}: ") };
            Failure::usage(format!(
                "{name}: {place}link type {field}; expected {}; capture on an Ethernet interface",
                link::KNOWN
            ))
        })
    };
    let mut records = Records::open(capture).map_err(|error| refused(0, error))?;
    if let Some(link) = records.link() {
        known(link, 0)?;
    }
    for number in 1.. {
        match records.next().map_err(|error| refused(number, error))? {
            Next::End => break,
            _ if number > MOST_FRAMES => {
                return Err(Failure::usage(format!(
                    "{name}: more than {MOST_FRAMES} records; expected fewer; split the file with `editcap -c`"
                )));
            }
            Next::Cut(_) => {
                take(number, None);
                break;
            }
            Next::Record(record) => take(number, Some((known(record.link, number)?, record))),
        }
    }
    Ok(())
}
