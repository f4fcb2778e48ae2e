//! The demo without a kernel: the frames that the parties' stacks would send are made in memory, one after the other, each
//! only if the one before it arrived.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::cast::Party;
use super::exchange::{Lab, Nonce, Probe};
use super::frames::{self, Segment, honest};
use super::switch::{Crossing, Switch};

/// The adapter with nothing but frames at its cables.
pub struct Memory {
    switch: Arc<Mutex<dyn Switch>>,
    log: Vec<Crossing>,
}

/// One frame of a conversation.
struct Line {
    from: Party,
    to: Party,
    frame: Vec<u8>,
    /// The receiver's application has the nonce when this frame has arrived.
    carries_nonce: bool,
}

impl Memory {
    /// A lab around an adapter.
    pub fn new(switch: Arc<Mutex<dyn Switch>>) -> Self {
        Self { switch, log: Vec::new() }
    }

    fn say(&self, line: &Line) -> Crossing {
        let carried = self.switch.lock().unwrap_or_else(PoisonError::into_inner).carry(line.from.place(), &line.frame);
        Crossing { from: line.from, frame: line.frame.clone(), carried }
    }
}

impl Lab for Memory {
    fn run(&mut self, probe: &Probe, nonce: Nonce) -> io::Result<bool> {
        let unknown = || io::Error::other("the probe names an address that no party of the demo has");
        let (from, to) = (probe.sender().ok_or_else(unknown)?, probe.receiver().ok_or_else(unknown)?);
        // Fragments of one datagram do not wait for each other; everything else is an answer to what arrived.
        let mut whole = true;
        for line in script(probe, from, to, nonce)? {
            if !whole && !line.carries_nonce {
                break;
            }
            let crossing = self.say(&line);
            whole &= crossing.carried.reached.contains(&line.to.place());
            self.log.push(crossing);
        }
        Ok(whole)
    }

    fn crossed(&self) -> usize {
        self.log.len()
    }

    fn crossings(&self, numbers: Range<usize>) -> Vec<Crossing> {
        self.log.get(numbers).unwrap_or_default().to_vec()
    }
}

/// The conversation that a probe is. Lines that carry the nonce are said even if one of their kind was lost.
fn script(probe: &Probe, from: Party, to: Party, nonce: Nonce) -> io::Result<Vec<Line>> {
    let payload = nonce.payload(0);
    let there = |frame, carries_nonce| Line { from, to, frame, carries_nonce };
    let back = |frame| Line { from: to, to: from, frame, carries_nonce: false };
    Ok(match *probe {
        Probe::Tcp { from: src, to: dst } => {
            let (out, home) = (honest(from, src, dst), honest(to, dst, src));
            vec![
                there(frames::tcp(&out, to.mac(), Segment::Syn, &[])?, false),
                back(frames::tcp(&home, from.mac(), Segment::SynAck, &[])?),
                there(frames::tcp(&out, to.mac(), Segment::Data, &[])?, false),
                there(frames::tcp(&out, to.mac(), Segment::Data, &payload)?, true),
                back(frames::tcp(&home, from.mac(), Segment::Data, &payload)?),
                there(frames::tcp(&out, to.mac(), Segment::Rst, &[])?, false),
            ]
        }
        Probe::Udp { from: src, to: dst, len } => {
            let request = frames::udp(&honest(from, src, dst), to.mac(), &nonce.payload(len))?;
            let answer = frames::udp(&honest(to, dst, src), from.mac(), &payload)?;
            let request = frames::fragments(request)?.into_iter().map(|frame| there(frame, true));
            request.chain([back(answer)]).collect()
        }
        Probe::Group { from: src, group, .. } => {
            let IpAddr::V4(address) = group.ip() else { return Err(ErrorKind::Unsupported.into()) };
            vec![there(frames::udp(&honest(from, src, group), frames::group_mac(address), &payload)?, true)]
        }
        Probe::Ping { from: src, to: dst, len } => {
            let (src, dst) = (SocketAddr::new(src, 0), SocketAddr::new(dst, 0));
            let payload = nonce.payload(len);
            let request = frames::echo(&honest(from, src, dst), to.mac(), true, &payload)?;
            let reply = frames::echo(&honest(to, dst, src), from.mac(), false, &payload)?;
            let request = frames::fragments(request)?.into_iter().map(|frame| there(frame, true));
            request.chain(frames::fragments(reply)?.into_iter().map(back)).collect()
        }
        Probe::Arp { .. } => {
            vec![there(frames::arp_request(from, to), true), back(frames::arp_reply(to, from))]
        }
        Probe::Raw { frame, .. } => vec![there(frames::udp(&frame, to.mac(), &payload)?, true)],
    })
}
