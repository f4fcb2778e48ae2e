//! What a policy decides about: one frame's headers, and one judgement of them.

use std::net::IpAddr;

use crate::terms::{Direction, MacAddr};

/// The headers of one frame that decisions depend on, not yet oriented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Source MAC.
    pub src_mac: MacAddr,
    /// Destination MAC.
    pub dst_mac: MacAddr,
    /// VLAN id of the first tag.
    pub outer_vlan: Option<u16>,
    /// VLAN id of the second tag.
    pub inner_vlan: Option<u16>,
    /// Ether type behind the tags that the adapter parses.
    pub ether_type: u16,
    /// The IP header, where the parser reaches one.
    pub ip: Option<IpHeader>,
}

/// The fields of an IP header and of the ports behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpHeader {
    /// Source address; the same family as `dst`.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol behind IPv6 extension headers; `None` when unknown.
    pub proto: Option<u8>,
    /// Source and destination port of TCP, UDP and SCTP; `None` in a fragment that is not the first, and elsewhere.
    pub ports: Option<(u16, u16)>,
}

impl Packet {
    /// The packet as the adapter judges it in `direction` at `physical_port`: on RX the destination is local, on TX the
    /// source.
    #[must_use]
    pub fn judged(&self, direction: Direction, physical_port: u32) -> Flow {
        let rx = direction == Direction::Rx;
        let swap = |(src, dst): (u16, u16)| {
            if rx { Ports { local: dst, remote: src } } else { Ports { local: src, remote: dst } }
        };
        Flow {
            direction,
            physical_port,
            local_mac: if rx { self.dst_mac } else { self.src_mac },
            remote_mac: if rx { self.src_mac } else { self.dst_mac },
            outer_vlan: self.outer_vlan,
            inner_vlan: self.inner_vlan,
            ether_type: self.ether_type,
            ip: self.ip.map(|ip| IpFlow {
                local: if rx { ip.dst } else { ip.src },
                remote: if rx { ip.src } else { ip.dst },
                proto: ip.proto,
                ports: ip.ports.map(swap),
            }),
        }
    }
}

/// One judgement: a frame seen from the host's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Which way the frame goes.
    pub direction: Direction,
    /// Physical port that it crosses, from 0; between two functions the port they share.
    pub physical_port: u32,
    /// MAC of the host's side.
    pub local_mac: MacAddr,
    /// MAC of the peer.
    pub remote_mac: MacAddr,
    /// VLAN id of the first tag.
    pub outer_vlan: Option<u16>,
    /// VLAN id of the second tag.
    pub inner_vlan: Option<u16>,
    /// Ether type behind the tags.
    pub ether_type: u16,
    /// The IP part.
    pub ip: Option<IpFlow>,
}

/// The IP part of a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpFlow {
    /// Address of the host's side; the same family as `remote`.
    pub local: IpAddr,
    /// Address of the peer.
    pub remote: IpAddr,
    /// IP protocol; `None` when unknown.
    pub proto: Option<u8>,
    /// Ports, if the packet shows any.
    pub ports: Option<Ports>,
}

/// Ports of a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Port of the host's side.
    pub local: u16,
    /// Port of the peer.
    pub remote: u16,
}
