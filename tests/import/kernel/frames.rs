//! Frames as the judge sends them: IPv4 and IPv6 with what connection tracking wants to see behind.

use std::net::IpAddr;

use nicfw::terms::{IpHeader, Packet};
use nicfw::{Direction, MacAddr, Verdict};

/// The bound addresses.
pub const LOCALS: [&str; 3] = ["10.30.1.17", "10.30.1.18", "2001:db8:30::17"];

pub const MAC: MacAddr = MacAddr([0x02, 0, 0x0a, 0x1e, 0x01, 0x11]);
const PEER: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x99]);

/// Hop limit by which the judge's frames are told from those of the kernel.
pub const HOPS: u8 = 71;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;
pub const FIN: u8 = 1;

/// What stands behind the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Ports and flags.
    Tcp(u16, u16, u8),
    Udp(u16, u16),
    /// Ports, and which frame of the handshake, from 0.
    Sctp(u16, u16, u8),
    /// Type, and the id of an echo.
    Icmp(u8, u16),
    /// Of a protocol without more than its number.
    Other(u8),
    /// The second fragment of a datagram of this protocol.
    Fragment(u8),
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub direction: Direction,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub body: Body,
}

impl Frame {
    pub fn proto(&self) -> u8 {
        match self.body {
            Body::Tcp(..) => TCP,
            Body::Udp(..) => UDP,
            Body::Sctp(..) => SCTP,
            Body::Icmp(..) if self.src.is_ipv4() => ICMP,
            Body::Icmp(..) => ICMPV6,
            Body::Other(proto) | Body::Fragment(proto) => proto,
        }
    }

    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.body {
            Body::Tcp(src, dst, _) | Body::Udp(src, dst) | Body::Sctp(src, dst, _) => Some((src, dst)),
            _ => None,
        }
    }

    /// The frame as a policy judges it.
    pub fn packet(&self) -> Packet {
        let rx = self.direction == Direction::Rx;
        let (src_mac, dst_mac) = if rx { (PEER, MAC) } else { (MAC, PEER) };
        let ether_type = if self.src.is_ipv4() { 0x0800 } else { 0x86dd };
        let ip = IpHeader { src: self.src, dst: self.dst, proto: Some(self.proto()), ports: self.ports() };
        Packet { src_mac, dst_mac, outer_vlan: None, inner_vlan: None, ether_type, ip: Some(ip) }
    }

    /// What answers, and what follows the answer.
    pub fn conversation(&self) -> Option<[Self; 3]> {
        let opener = self.body;
        let (answer, third) = match opener {
            Body::Tcp(src, dst, SYN) => (Body::Tcp(dst, src, SYN | ACK), Body::Tcp(src, dst, ACK)),
            Body::Tcp(src, dst, flags) => (Body::Tcp(dst, src, flags), opener),
            Body::Udp(src, dst) => (Body::Udp(dst, src), opener),
            Body::Sctp(src, dst, _) => (Body::Sctp(dst, src, 1), Body::Sctp(src, dst, 2)),
            Body::Icmp(8, id) => (Body::Icmp(0, id), opener),
            Body::Icmp(128, id) => (Body::Icmp(129, id), opener),
            Body::Other(proto) => (Body::Other(proto), opener),
            Body::Icmp(..) | Body::Fragment(_) => return None,
        };
        let back = if self.direction == Direction::Rx { Direction::Tx } else { Direction::Rx };
        let answer = Self { direction: back, src: self.dst, dst: self.src, body: answer };
        Some([*self, answer, Self { body: third, ..*self }])
    }

    /// The frame, sent to where another came from: its source may be translated.
    pub fn back_to(&self, bytes: &[u8]) -> Self {
        let word = |at: usize| bytes.get(at..at + 2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let (dst, behind): (IpAddr, usize) = if self.src.is_ipv4() {
            (<[u8; 4]>::try_from(&bytes[12..16]).unwrap().into(), 20)
        } else {
            (<[u8; 16]>::try_from(&bytes[8..24]).unwrap().into(), 40)
        };
        let (port, id) = (word(behind).unwrap_or(0), word(behind + 4).unwrap_or(0));
        let body = match self.body {
            Body::Tcp(src, _, flags) => Body::Tcp(src, port, flags),
            Body::Udp(src, _) => Body::Udp(src, port),
            Body::Sctp(src, _, step) => Body::Sctp(src, port, step),
            Body::Icmp(kind, _) => Body::Icmp(kind, id),
            other => other,
        };
        Self { dst, body, ..*self }
    }

    /// The frame from its IP header on; `number` stands where `number_of` finds it.
    pub fn bytes(&self, number: u16) -> Vec<u8> {
        let body = self.body_bytes();
        let proto = self.proto();
        let fragment = matches!(self.body, Body::Fragment(_));
        let mut bytes = Vec::with_capacity(80);
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total = u16::try_from(20 + body.len()).unwrap();
                bytes.extend([0x45, 0]);
                bytes.extend(total.to_be_bytes());
                bytes.extend(number.to_be_bytes());
                bytes.extend(if fragment { [0, 10] } else { [0x40, 0] });
                bytes.extend([HOPS, proto, 0, 0]);
                bytes.extend(src.octets());
                bytes.extend(dst.octets());
                let sum = !folded(&[&bytes]);
                bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let extension = if fragment { 8 } else { 0 };
                let length = u16::try_from(extension + body.len()).unwrap();
                bytes.extend((0x6000_0000 | u32::from(number)).to_be_bytes());
                bytes.extend(length.to_be_bytes());
                bytes.extend([if fragment { 44 } else { proto }, HOPS]);
                bytes.extend(src.octets());
                bytes.extend(dst.octets());
                if fragment {
                    bytes.extend([proto, 0, 0, 80, 0, 0, 0, 1]);
                }
            }
            _ => unreachable!("both addresses are of one family"),
        }
        bytes.extend(body);
        bytes
    }

    fn body_bytes(&self) -> Vec<u8> {
        let (mut bytes, sum_at) = match self.body {
            Body::Tcp(src, dst, flags) => {
                let mut bytes = [src.to_be_bytes(), dst.to_be_bytes()].concat();
                // A SYN counts for one byte.
                let seq = if flags & SYN == 0 { 10 } else { 9 };
                bytes.extend([0, 0, 0, seq, 0, 0, 0, if flags & ACK == 0 { 0 } else { 10 }]);
                bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
                (bytes, Some(16))
            }
            Body::Udp(src, dst) => {
                let mut bytes = [src.to_be_bytes(), dst.to_be_bytes()].concat();
                bytes.extend([0, 12, 0, 0, b'n', b'i', b'c', b'!']);
                (bytes, Some(6))
            }
            // RFC 9260: common header; INIT, INIT ACK or COOKIE ECHO. The checksum is not looked at.
            Body::Sctp(src, dst, step) => {
                let mut bytes = [src.to_be_bytes(), dst.to_be_bytes()].concat();
                bytes.extend([[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2]][usize::from(step)]);
                bytes.extend([0, 0, 0, 0]);
                let tag = if step == 0 { 1 } else { 2 };
                match step {
                    0 | 1 => bytes.extend([step + 1, 0, 0, 20, tag, tag, tag, tag, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]),
                    _ => bytes.extend([10, 0, 0, 8, 1, 2, 3, 4]),
                }
                (bytes, None)
            }
            Body::Icmp(kind, id) => {
                let mut bytes = vec![kind, 0, 0, 0];
                bytes.extend(id.to_be_bytes());
                bytes.extend([0, 1]);
                // An error quotes a header; nobody has sent it.
                bytes.resize(40, 0);
                (bytes, Some(2))
            }
            // UDP-Lite: eight bytes are covered by a checksum that is there.
            Body::Other(136) => (vec![0, 7, 0, 7, 0, 8, 255, 255, 0, 0, 0, 0], None),
            Body::Other(_) | Body::Fragment(_) => (vec![0; 16], None),
        };
        if let Some(at) = sum_at {
            let sum = !folded(&[&self.pseudo(bytes.len()), &bytes]);
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    fn pseudo(&self, len: usize) -> Vec<u8> {
        let mut bytes = match (self.src, self.dst) {
            (IpAddr::V4(_), _) if self.proto() == ICMP => return Vec::new(),
            (IpAddr::V4(src), IpAddr::V4(dst)) => [src.octets(), dst.octets()].concat(),
            (IpAddr::V6(src), IpAddr::V6(dst)) => [src.octets(), dst.octets()].concat(),
            _ => unreachable!("both addresses are of one family"),
        };
        bytes.extend([0, self.proto()]);
        bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        bytes
    }
}

/// The number of one of the judge's frames behind a router or behind the host.
pub fn number_of(bytes: &[u8]) -> Option<u16> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let ours = |hops: &u8| *hops == HOPS || *hops == HOPS - 1;
    match bytes.first()? >> 4 {
        4 => bytes.get(8).filter(|hops| ours(hops)).and(word(4)),
        6 => bytes.get(7).filter(|hops| ours(hops)).and(word(2)),
        _ => None,
    }
}

fn folded(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = pairs.map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}

/// Whether a verdict lets a frame through.
pub fn passes(verdict: Verdict) -> bool {
    verdict == Verdict::Allow
}
