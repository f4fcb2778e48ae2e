//! Where frames come from and go to: memory, a device that reads and writes frames (TAP), pcap files; and the pump that
//! carries them through the adapter.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

use crate::crossing::{Crossing, Place};
use crate::model::Model;
use crate::packet::{self, FRAME_MAX};

/// One end of the adapter: a wire, or the host's side of a function.
pub trait Port: Send {
    /// The next frame that has come from outside, copied to the start of `into` (cut to its length). `None` if none waits.
    ///
    /// # Errors
    /// Whatever is behind the port cannot be read any more.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>>;

    /// Sends a frame out.
    ///
    /// # Errors
    /// Whatever is behind the port cannot be written.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;
}

/// A port in memory. Clones share it: one goes to the pump, another to the test.
#[derive(Debug, Clone, Default)]
pub struct MemoryPort(Arc<Mutex<Queues>>);

#[derive(Debug, Default)]
struct Queues {
    inwards: VecDeque<Vec<u8>>,
    outwards: VecDeque<Vec<u8>>,
}

impl MemoryPort {
    /// A port with no frames.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a frame in from outside.
    pub fn put(&self, frame: &[u8]) {
        self.lock().inwards.push_back(frame.to_vec());
    }

    /// Takes the oldest frame that came out.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        self.lock().outwards.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port for MemoryPort {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(self.lock().inwards.pop_front().map(|frame| copy(&frame, into)))
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.lock().outwards.push_back(frame.to_vec());
        Ok(())
    }
}

/// Copies as much as fits.
fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let len = from.len().min(into.len());
    if let (Some(from), Some(into)) = (from.get(..len), into.get_mut(..len)) {
        into.copy_from_slice(from);
    }
    len
}

/// A port on a device that gives one frame a read and takes one a write, and does not block: a TAP device.
#[derive(Debug)]
pub struct FramePort<T>(pub T);

impl<T: Read + Write + Send> Port for FramePort<T> {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.0.read(into) {
                Ok(0) => return Ok(None),
                Ok(len) => return Ok(Some(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A device whose queue is full drops the frame, as a wire does.
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        match self.0.write(frame) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A port that plays one capture in, and writes what comes out to another. The times that it writes are the numbers of the
/// frames, in microseconds: there is no clock.
pub struct PcapPort<R: Read, W: Write> {
    input: Option<PcapReader<R>>,
    output: Option<PcapWriter<W>>,
    written: u32,
}

impl<R: Read, W: Write> PcapPort<R, W> {
    /// A port between two captures, each of which may be absent.
    ///
    /// # Errors
    /// The input is no pcap file or holds something else than Ethernet frames, or the output's header cannot be written.
    pub fn new(input: Option<R>, output: Option<W>) -> io::Result<Self> {
        let input = input.map(PcapReader::new).transpose().map_err(invalid)?;
        let link = input.as_ref().map_or(DataLink::ETHERNET, |reader| reader.header().datalink);
        if link != DataLink::ETHERNET {
            let text = format!("capture with link type {}; only Ethernet (1) can be played", u32::from(link));
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        let output = output.map(PcapWriter::new).transpose().map_err(invalid)?;
        Ok(Self { input, output, written: 0 })
    }
}

fn invalid(error: pcap_file::PcapError) -> io::Error {
    match error {
        pcap_file::PcapError::IoError(error) => error,
        other => io::Error::new(ErrorKind::InvalidData, other),
    }
}

impl<R: Read + Send, W: Write + Send> Port for PcapPort<R, W> {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(reader) = &mut self.input else { return Ok(None) };
        match reader.next_packet() {
            None => Ok(None),
            Some(packet) => Ok(Some(copy(&packet.map_err(invalid)?.data, into))),
        }
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let Some(writer) = &mut self.output else { return Ok(()) };
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let time = Duration::from_micros(self.written.into());
        self.written += 1;
        writer.write_packet(&PcapPacket::new(time, length, frame)).map_err(invalid)?;
        Ok(())
    }
}

/// Carries frames between ports and adapter, one after the other.
pub struct Pump {
    model: Model,
    ports: BTreeMap<Place, Box<dyn Port>>,
    frame: Box<[u8]>,
}

/// A frame that the pump has carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Where it came in.
    pub from: Place,
    /// What became of it; a runt is dropped before anything looks at it.
    pub outcome: Result<Crossing, packet::Runt>,
}

impl Pump {
    /// A pump without ports.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self { model, ports: BTreeMap::new(), frame: vec![0; FRAME_MAX].into() }
    }

    /// Plugs a port in, in place of what was there.
    pub fn plug(&mut self, place: Place, port: Box<dyn Port>) {
        self.ports.insert(place, port);
    }

    /// Takes at most one frame from each port, in the order of their places, and carries it. What it tells `seen` is in the
    /// same order. Returns how many frames there were: 0 = none waits.
    ///
    /// # Errors
    /// A port failed. Frames before it were carried.
    pub fn round(&mut self, mut seen: impl FnMut(&[u8], Carried)) -> io::Result<usize> {
        let places: Vec<Place> = self.ports.keys().copied().collect();
        let mut frames = 0;
        for from in places {
            let Some(port) = self.ports.get_mut(&from) else { continue };
            let Some(len) = port.receive(&mut self.frame)? else { continue };
            let frame = self.frame.get(..len).unwrap_or_default();
            frames += 1;
            let outcome = self.model.carry(from, frame);
            for place in outcome.iter().flat_map(|crossing| &crossing.delivered) {
                if let Some(port) = self.ports.get_mut(place) {
                    port.send(frame)?;
                }
            }
            seen(frame, Carried { from, outcome });
        }
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use nicfw::terms::MacAddr;
    use pcap_file::pcap::PcapHeader;

    use super::*;
    use crate::{FunctionConfig, ModelConfig};

    const HOST: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn frame(dst: [u8; 6], src: [u8; 6], len: usize) -> Vec<u8> {
        let mut frame = [&dst[..], &src, &[0x88, 0xb5]].concat();
        frame.resize(len, 0x5a);
        frame
    }

    fn pump() -> (Pump, MemoryPort, MemoryPort) {
        let functions = vec![FunctionConfig::admin(0, MacAddr(HOST)), FunctionConfig::container(0, 1, MacAddr([2; 6]))];
        let mut pump = Pump::new(Model::new(ModelConfig::new(functions)));
        let (wire, host) = (MemoryPort::new(), MemoryPort::new());
        pump.plug(Place::Wire(0), Box::new(wire.clone()));
        pump.plug(Place::Host(0), Box::new(host.clone()));
        (pump, wire, host)
    }

    #[test]
    fn frames_go_where_their_mac_says() {
        let (mut pump, wire, host) = pump();
        wire.put(&frame(HOST, PEER, 60));
        wire.put(&frame(PEER, PEER, 60));
        host.put(&frame(PEER, HOST, 70));
        host.put(&frame([2; 6], HOST, 80));
        let mut seen = Vec::new();
        while pump.round(|_, carried| seen.push((carried.from, carried.outcome.unwrap().delivered))).unwrap() > 0 {}
        let expected = [
            (Place::Wire(0), vec![Place::Host(0)]),
            (Place::Host(0), vec![Place::Wire(0)]),
            (Place::Wire(0), vec![]),
            (Place::Host(0), vec![Place::Host(1)]),
        ];
        assert_eq!(seen, expected);
        assert_eq!((host.take().map(|f| f.len()), host.take()), (Some(60), None));
        assert_eq!((wire.take().map(|f| f.len()), wire.take()), (Some(70), None));
    }

    #[test]
    fn a_group_goes_to_the_wire_and_to_the_other_functions() {
        let (mut pump, ..) = pump();
        let host = MemoryPort::new();
        pump.plug(Place::Host(0), Box::new(host.clone()));
        host.put(&frame([0xff; 6], HOST, 60));
        pump.round(|_, carried| {
            let crossing = carried.outcome.unwrap();
            assert_eq!(crossing.delivered, [Place::Wire(0), Place::Host(1)]);
            assert_eq!(crossing.judgements.len(), 2, "one on TX, and one on RX for all receivers");
        })
        .unwrap();
    }

    #[test]
    fn a_runt_is_dropped() {
        let (mut pump, wire, host) = pump();
        wire.put(&[1, 2, 3]);
        let count = pump.round(|_, carried| assert_eq!(carried.outcome, Err(packet::Runt(3)))).unwrap();
        assert_eq!((count, host.take()), (1, None));
    }

    #[test]
    fn captures_are_played_and_written() {
        let mut input = PcapPort::new(None::<&[u8]>, Some(Vec::new())).unwrap();
        input.send(&frame(HOST, PEER, 60)).unwrap();
        let file = input.output.take().unwrap().into_writer();
        let (mut pump, _, host) = pump();
        pump.plug(Place::Wire(0), Box::new(PcapPort::new(Some(Cursor::new(file)), None::<Vec<u8>>).unwrap()));
        assert_eq!(pump.round(|_, _| {}).unwrap(), 1);
        assert_eq!(host.take(), Some(frame(HOST, PEER, 60)));
        assert_eq!(pump.round(|_, _| {}).unwrap(), 0);
        assert!(PcapPort::new(Some(&[1, 2, 3][..]), None::<Vec<u8>>).is_err());
    }

    #[test]
    fn a_capture_of_another_link_type_is_refused() {
        let header = PcapHeader { datalink: DataLink::LINUX_SLL, ..PcapHeader::default() };
        let file = PcapWriter::with_header(Vec::new(), header).unwrap().into_writer();
        let refused = PcapPort::new(Some(&file[..]), None::<Vec<u8>>).err().expect("no Ethernet");
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
        assert_eq!(refused.to_string(), "capture with link type 113; only Ethernet (1) can be played");
    }

    #[test]
    fn a_device_gives_a_frame_a_read() {
        let mut port = FramePort(Cursor::new(frame(HOST, PEER, 60)));
        let mut into = [0; 100];
        assert_eq!(port.receive(&mut into).unwrap(), Some(60));
        assert_eq!(port.receive(&mut into).unwrap(), None);
    }
}
