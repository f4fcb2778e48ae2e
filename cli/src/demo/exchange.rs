//! One attempt to communicate: what is tried, and what came of it. The same for real stacks and for frames in memory.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use nicfw::terms::MacAddr;

use super::cast::Party;
use super::switch::Crossing;
use crate::packets::packet;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub enum Probe {
    /// A TCP connection and a line each way.
    Tcp {
        /// Address and port that connect.
        from: SocketAddr,
        /// Address and port that listen.
        to: SocketAddr,
    },
    /// A UDP datagram of `len` bytes, and one back.
    Udp {
        /// Who sends first.
        from: SocketAddr,
        /// Who answers.
        to: SocketAddr,
        /// Payload length; past the MTU it goes in fragments.
        len: usize,
    },
    /// A UDP datagram to a group.
    Group {
        /// Who sends.
        from: SocketAddr,
        /// Who listens.
        listener: Party,
        /// The group and the port.
        group: SocketAddr,
    },
    /// An ICMP or ICMPv6 echo request of `len` bytes, and its reply.
    Ping {
        /// Who asks.
        from: IpAddr,
        /// Who answers.
        to: IpAddr,
        /// Payload length.
        len: usize,
    },
    /// Who has this address?
    Arp {
        /// Who asks.
        from: Party,
        /// Who answers.
        to: Party,
    },
    /// One frame put on the cable past the sender's network stack, as a kernel-bypass application does.
    Raw {
        /// Whose cable.
        from: Party,
        /// Who is to receive it.
        to: Party,
        /// What the frame says.
        frame: RawUdp,
    },
}

/// A UDP datagram with any addresses.
#[derive(Debug, Clone, Copy)]
pub struct RawUdp {
    /// Source MAC.
    pub src_mac: MacAddr,
    /// VLAN tag.
    pub vlan: Option<u16>,
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
}

impl Probe {
    /// Who starts.
    pub fn sender(&self) -> Option<Party> {
        match *self {
            Self::Tcp { from, .. } | Self::Udp { from, .. } | Self::Group { from, .. } => Party::of(from.ip()),
            Self::Ping { from, .. } => Party::of(from),
            Self::Arp { from, .. } | Self::Raw { from, .. } => Some(from),
        }
    }

    /// Who is to receive.
    pub fn receiver(&self) -> Option<Party> {
        match *self {
            Self::Tcp { to, .. } | Self::Udp { to, .. } => Party::of(to.ip()),
            Self::Ping { to, .. } => Party::of(to),
            Self::Group { listener: to, .. } | Self::Arp { to, .. } | Self::Raw { to, .. } => Some(to),
        }
    }

    /// Whether a frame belongs to the probe, and not to what else the stacks say meanwhile (address resolution, groups).
    pub fn owns(&self, crossing: &Crossing) -> bool {
        const ARP: u16 = 0x0806;
        let Some(packet) = packet(&crossing.frame) else { return false };
        let between = |a, b| packet.ip.is_some_and(|ip| (ip.src, ip.dst) == (a, b) || (ip.src, ip.dst) == (b, a));
        let proto = |number| packet.ip.is_some_and(|ip| ip.proto == Some(number));
        match *self {
            Self::Tcp { from, to } => between(from.ip(), to.ip()) && proto(6),
            Self::Udp { from, to, .. } => between(from.ip(), to.ip()) && proto(17),
            Self::Group { from, group, .. } => between(from.ip(), group.ip()) && proto(17),
            Self::Ping { from, to, .. } => between(from, to) && (proto(1) || proto(58)),
            Self::Arp { from, to } => packet.ether_type == ARP && [from, to].contains(&crossing.from),
            Self::Raw { from, frame, .. } => {
                crossing.from == from && packet.src_mac == frame.src_mac && between(frame.src.ip(), frame.dst.ip())
            }
        }
    }
}

/// What came of a probe.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The receiver has it, and the sender the answer where there is one.
    pub delivered: bool,
    /// Every frame that crossed meanwhile, in order.
    pub crossings: Vec<Crossing>,
}

/// What a probe carries and is recognised by. No two probes of a run have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub u64);

impl Nonce {
    /// Length of the recognisable part in bytes.
    pub const LEN: usize = 16;

    /// The recognisable bytes, followed by zeros up to `len`; never shorter than the recognisable part.
    pub fn payload(self, len: usize) -> Vec<u8> {
        let mut bytes =
            format!("{:0width$x}", self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15), width = Self::LEN).into_bytes();
        bytes.resize(len.max(Self::LEN), 0);
        bytes
    }

    /// True if the bytes contain the recognisable part.
    pub fn is_in(self, bytes: &[u8]) -> bool {
        let own = self.payload(0);
        bytes.windows(Self::LEN).any(|window| window == own)
    }
}

/// Where probes run: on the kernel's stacks, or in memory.
pub trait Lab {
    /// One probe. True if the receiver's socket returned the nonce, and the sender's the answer where there is one.
    ///
    /// # Errors
    /// A probe that could not be started; one that was only not delivered is no error.
    fn run(&mut self, probe: &Probe, nonce: Nonce) -> io::Result<bool>;

    /// How many frames have crossed so far. A frame that the adapter has judged is among them.
    fn crossed(&self) -> usize;

    /// The frames with these numbers, in the order in which they crossed.
    fn crossings(&self, numbers: Range<usize>) -> Vec<Crossing>;
}
