//! The records of a pcap or pcapng file, one after the other, in bounded memory.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use pcap_file::pcap::PcapParser;
use pcap_file::pcapng::{Block, PcapNgParser};
use pcap_file::{Endianness, PcapError};

/// Longest record, in bytes: libpcap takes no longer ones either, but for USB.
const LONGEST_RECORD: usize = 262_144;
/// Longest block of a pcapng file that is read: a record with its options, or the description of interfaces.
const LONGEST_BLOCK: usize = LONGEST_RECORD + 65_536;
/// Bytes that are asked for at once.
const PIECE: usize = 65_536;
/// Most bytes that a compressed capture may become.
const LARGEST_UNPACKED: u64 = 4 << 30;
/// Interfaces that one pcapng section may have.
const MOST_INTERFACES: usize = 4096;

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// LINKTYPE of its interface.
    pub link: u32,
    /// Length on the wire.
    pub len: usize,
    /// What was captured.
    pub captured: Vec<u8>,
}

/// What comes next in a capture.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Record(Record),
    /// The file ends within a record, of which there are so many bytes.
    Cut(usize),
    End,
}

/// Why a capture cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Neither form.
    #[error("neither pcap nor pcapng")]
    Form,
    /// It ends before its first record.
    #[error("it ends within its header")]
    Header,
    #[error("{0}")]
    Damaged(#[from] PcapError),
    #[error("a record of {0} bytes; at most {LONGEST_RECORD} are read")]
    Long(u64),
    #[error("more than {MOST_INTERFACES} interfaces")]
    Interfaces,
    #[error("a record of interface {0}, which is not described before it")]
    Interface(u32),
    #[error("it becomes more than {LARGEST_UNPACKED} bytes when it is unpacked")]
    Unpacked,
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// A capture that is read.
pub struct Records<R: Read> {
    source: Source<R>,
    parser: Parser,
}

enum Parser {
    Pcap(PcapParser),
    PcapNg(Box<PcapNgParser>),
}

impl<'r> Records<Box<dyn Read + 'r>> {
    /// Opens a capture, packed by gzip or not.
    pub fn open(capture: impl Read + 'r) -> Result<Self, Refused> {
        let mut capture = BufReader::new(capture);
        let mut magic = Vec::new();
        capture.by_ref().take(2).read_to_end(&mut magic)?;
        let packed = magic == [0x1f, 0x8b];
        let whole = io::Cursor::new(magic).chain(capture);
        let plain: Box<dyn Read + 'r> = if packed {
            Box::new(Bounded { from: MultiGzDecoder::new(whole), left: LARGEST_UNPACKED })
        } else {
            Box::new(whole)
        };
        Self::new(plain)
    }

    fn new(plain: Box<dyn Read + 'r>) -> Result<Self, Refused> {
        let mut source = Source { from: plain, buffer: Vec::new(), start: 0, ended: false, torn: false };
        while source.rest().len() < 4 && !source.ended {
            source.more()?;
        }
        let parser = match source.rest().first_chunk() {
            Some([0x0a, 0x0d, 0x0d, 0x0a]) => {
                source.parse(LONGEST_BLOCK, PcapNgParser::new)?.map(|parser| Parser::PcapNg(Box::new(parser)))
            }
            Some(
                [0xd4, 0xc3, 0xb2, 0xa1]
                | [0xa1, 0xb2, 0xc3, 0xd4]
                | [0x4d, 0x3c, 0xb2, 0xa1]
                | [0xa1, 0xb2, 0x3c, 0x4d],
            ) => source.parse(LONGEST_BLOCK, PcapParser::new)?.map(Parser::Pcap),
            _ => return Err(Refused::Form),
        };
        Ok(Self { source, parser: parser.ok_or(Refused::Header)? })
    }
}

impl<R: Read> Records<R> {
    /// The link type of a pcap file; each interface of a pcapng file has one of its own.
    pub fn link(&self) -> Option<u32> {
        match &self.parser {
            Parser::Pcap(parser) => Some(parser.header().datalink.into()),
            Parser::PcapNg(_) => None,
        }
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Next, Refused> {
        loop {
            if !self.source.has_more()? {
                let torn = std::mem::take(&mut self.source.torn);
                return Ok(if torn { Next::Cut(0) } else { Next::End });
            }
            let next = match &mut self.parser {
                Parser::Pcap(parser) => pcap(&mut self.source, parser)?,
                Parser::PcapNg(parser) => pcapng(&mut self.source, parser)?,
            };
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }
}

fn pcap<R: Read>(source: &mut Source<R>, parser: &PcapParser) -> Result<Option<Next>, Refused> {
    let header = parser.header();
    let little = matches!(header.endianness, Endianness::Little);
    let captured = loop {
        match source.rest().get(8..).and_then(<[u8]>::first_chunk) {
            Some(len) => break if little { u32::from_le_bytes(*len) } else { u32::from_be_bytes(*len) },
            None if source.ended => return Ok(Some(Next::Cut(source.rest().len()))),
            None => source.more()?,
        }
    };
    if u64::from(captured) > LONGEST_RECORD as u64 {
        return Err(Refused::Long(captured.into()));
    }
    let link = header.datalink.into();
    let record = source.parse(LONGEST_BLOCK, |bytes| {
        let (rest, packet) = parser.next_raw_packet(bytes)?;
        let captured = packet.data.into_owned();
        Ok((rest, Record { link, len: at_least(packet.orig_len, captured.len()), captured }))
    })?;
    Ok(Some(record.map_or_else(|| Next::Cut(source.rest().len()), Next::Record)))
}

/// `None` for a block that is no packet.
fn pcapng<R: Read>(source: &mut Source<R>, parser: &mut PcapNgParser) -> Result<Option<Next>, Refused> {
    let found = source.parse(LONGEST_BLOCK, |bytes| {
        let (rest, block) = parser.next_block(bytes)?;
        Ok((rest, Packet::of(block)))
    })?;
    if parser.interfaces().len() > MOST_INTERFACES {
        return Err(Refused::Interfaces);
    }
    let Some(found) = found else { return Ok(Some(Next::Cut(source.rest().len()))) };
    let Some(Packet { interface, len, mut captured, is_padded }) = found else { return Ok(None) };
    let described = usize::try_from(interface).ok().and_then(|at| parser.interfaces().get(at));
    let described = described.ok_or(Refused::Interface(interface))?;
    if is_padded {
        let snapped = if described.snaplen == 0 { len } else { len.min(described.snaplen) };
        captured.truncate(usize::try_from(snapped).unwrap_or(usize::MAX));
    }
    if captured.len() > LONGEST_RECORD {
        return Err(Refused::Long(captured.len() as u64));
    }
    let link = described.linktype.into();
    Ok(Some(Next::Record(Record { link, len: at_least(len, captured.len()), captured })))
}

/// A packet of a pcapng file.
struct Packet {
    interface: u32,
    len: u32,
    captured: Vec<u8>,
    /// The end of a simple packet is not told apart from its padding.
    is_padded: bool,
}

impl Packet {
    fn of(block: Block<'_>) -> Option<Self> {
        let packet = |interface, len, captured, is_padded| Some(Self { interface, len, captured, is_padded });
        match block {
            Block::EnhancedPacket(block) => {
                packet(block.interface_id, block.original_len, block.data.into_owned(), false)
            }
            Block::Packet(block) => {
                packet(block.interface_id.into(), block.original_len, block.data.into_owned(), false)
            }
            Block::SimplePacket(block) => packet(0, block.original_len, block.data.into_owned(), true),
            _ => None,
        }
    }
}

/// The length on the wire; what was captured was there.
fn at_least(len: u32, captured: usize) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX).max(captured)
}

/// Bytes that are parsed piece by piece.
struct Source<R> {
    from: R,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// What was packed ends too early.
    torn: bool,
}

impl<R: Read> Source<R> {
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// False at the end.
    fn has_more(&mut self) -> Result<bool, Refused> {
        while self.rest().is_empty() && !self.ended {
            self.more()?;
        }
        Ok(!self.rest().is_empty())
    }

    fn more(&mut self) -> Result<(), Refused> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE, 0);
        let read = loop {
            match self.from.read(self.buffer.get_mut(before..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => (self.ended, self.torn) = (true, true),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<TooLarge>()) => return Err(Refused::Unpacked),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What a parser makes of the next bytes; `None` if the file ends before it has enough.
    fn parse<T>(
        &mut self,
        longest: usize,
        mut parser: impl FnMut(&[u8]) -> Result<(&[u8], T), PcapError>,
    ) -> Result<Option<T>, Refused> {
        loop {
            match parser(self.rest()) {
                Ok((rest, value)) => {
                    self.start = self.buffer.len().saturating_sub(rest.len());
                    return Ok(Some(value));
                }
                Err(PcapError::IncompleteBuffer) if self.ended => return Ok(None),
                Err(PcapError::IncompleteBuffer) if self.rest().len() > longest => {
                    return Err(Refused::Long(self.rest().len() as u64));
                }
                Err(PcapError::IncompleteBuffer) => self.more()?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Up to so many bytes, and then an error.
struct Bounded<R> {
    from: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("too large")]
struct TooLarge;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(TooLarge));
        }
        let read = self.from.read(into)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
