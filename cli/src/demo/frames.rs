//! Frames made in memory: what a raw probe puts on the cable, and what the parties' stacks would say without a kernel.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, ArpPacket, IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Type, IpFragOffset,
    IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, PacketBuilderStep, VlanId,
};
use nicfw::terms::MacAddr;

use super::cast::Party;
use super::exchange::RawUdp;

/// IP payload bytes of a full fragment at an MTU of 1500.
const FRAGMENT: usize = 1480;
/// Bytes of the Ethernet and IPv4 headers of an untagged frame without options.
const HEADERS: usize = 14 + 20;
const TTL: u8 = 64;

/// The segments of a TCP connection that a probe needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Connect.
    Syn,
    /// Accept.
    SynAck,
    /// Acknowledge, with data.
    Data,
    /// Give up.
    Rst,
}

/// One UDP datagram, whatever its addresses say.
///
/// # Errors
/// Addresses of two families.
pub fn udp(headers: &RawUdp, dst_mac: MacAddr, payload: &[u8]) -> io::Result<Vec<u8>> {
    let builder = ip(headers, dst_mac)?.udp(headers.src.port(), headers.dst.port());
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write_to_vec(&mut frame, payload).map_err(io::Error::other)?;
    Ok(frame)
}

/// The frame in as many frames as an MTU of 1500 asks for.
///
/// # Errors
/// A frame that does not fit and is not untagged IPv4.
pub fn fragments(whole: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
    if whole.len() <= HEADERS + FRAGMENT {
        return Ok(vec![whole]);
    }
    let (ethernet, packet) = whole.split_at(HEADERS - Ipv4Header::MIN_LEN);
    let (header, body) = Ipv4Header::from_slice(packet).map_err(io::Error::other)?;
    let parts = body.chunks(FRAGMENT).count();
    let fragment = |(i, part): (usize, &[u8])| {
        let mut header = header.clone();
        header.set_payload_len(part.len()).map_err(io::Error::other)?;
        header.identification = 1;
        header.dont_fragment = false;
        header.more_fragments = i + 1 < parts;
        let offset = u16::try_from(i * FRAGMENT / 8).map_err(io::Error::other)?;
        header.fragment_offset = IpFragOffset::try_new(offset).map_err(io::Error::other)?;
        header.header_checksum = header.calc_header_checksum();
        let mut frame = ethernet.to_vec();
        header.write(&mut frame)?;
        frame.extend_from_slice(part);
        Ok(frame)
    };
    body.chunks(FRAGMENT).enumerate().map(fragment).collect()
}

/// One segment of a TCP connection.
///
/// # Errors
/// Addresses of two families.
pub fn tcp(headers: &RawUdp, dst_mac: MacAddr, segment: Segment, payload: &[u8]) -> io::Result<Vec<u8>> {
    let plain = ip(headers, dst_mac)?.tcp(headers.src.port(), headers.dst.port(), 1, 64_240);
    let builder = match segment {
        Segment::Syn => plain.syn(),
        Segment::SynAck => plain.syn().ack(1),
        Segment::Data => plain.psh().ack(1),
        Segment::Rst => plain.rst(),
    };
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write_to_vec(&mut frame, payload).map_err(io::Error::other)?;
    Ok(frame)
}

/// An ICMP or ICMPv6 echo request or reply, as a whole frame.
///
/// # Errors
/// Addresses of two families.
pub fn echo(headers: &RawUdp, dst_mac: MacAddr, request: bool, payload: &[u8]) -> io::Result<Vec<u8>> {
    let ip = ip(headers, dst_mac)?;
    let mut frame = Vec::new();
    match (headers.src.is_ipv4(), request) {
        (true, true) => ip.icmpv4_echo_request(1, 1).write_to_vec(&mut frame, payload),
        (true, false) => ip.icmpv4_echo_reply(1, 1).write_to_vec(&mut frame, payload),
        (false, true) => ip.icmpv6_echo_request(1, 1).write_to_vec(&mut frame, payload),
        (false, false) => ip.icmpv6_echo_reply(1, 1).write_to_vec(&mut frame, payload),
    }
    .map_err(io::Error::other)?;
    Ok(frame)
}

/// The ICMP part of an echo request, for a raw socket whose kernel adds the IP header.
///
/// # Errors
/// Addresses of two families.
pub fn echo_request(from: IpAddr, to: IpAddr, payload: &[u8]) -> io::Result<Vec<u8>> {
    let echo = IcmpEchoHeader { id: 1, seq: 1 };
    let mut bytes = match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), payload).to_bytes().to_vec()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => Icmpv6Type::EchoRequest(echo)
            .to_header(from.octets(), to.octets(), payload)
            .map_err(io::Error::other)?
            .to_bytes()
            .to_vec(),
        _ => return Err(ErrorKind::InvalidInput.into()),
    };
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Who has the address of `to`? Tell `from`.
pub fn arp_request(from: Party, to: Party) -> Vec<u8> {
    arp(ArpOperation::REQUEST, from, to.v4(), MacAddr::default(), MacAddr::BROADCAST)
}

/// The address of `from` is at its MAC.
pub fn arp_reply(from: Party, to: Party) -> Vec<u8> {
    arp(ArpOperation::REPLY, from, to.v4(), to.mac(), to.mac())
}

fn arp(operation: ArpOperation, from: Party, target: Ipv4Addr, target_mac: MacAddr, dst: MacAddr) -> Vec<u8> {
    let packet = ArpEthIpv4Packet {
        operation,
        sender_mac: from.mac().0,
        sender_ipv4: from.v4().octets(),
        target_mac: target_mac.0,
        target_ipv4: target.octets(),
    };
    let mut frame = Vec::new();
    // Writing to a vector fails only for lengths that an ARP packet cannot have.
    let _ = PacketBuilder::ethernet2(from.mac().0, dst.0).arp(ArpPacket::from(packet)).write_to_vec(&mut frame);
    frame
}

fn ip(headers: &RawUdp, dst_mac: MacAddr) -> io::Result<PacketBuilderStep<IpHeaders>> {
    let header = match (headers.src.ip(), headers.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let header = Ipv4Header {
                time_to_live: TTL,
                source: src.octets(),
                destination: dst.octets(),
                ..Ipv4Header::default()
            };
            IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default())
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let header =
                Ipv6Header { hop_limit: TTL, source: src.octets(), destination: dst.octets(), ..Ipv6Header::default() };
            IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default())
        }
        _ => return Err(ErrorKind::InvalidInput.into()),
    };
    let ethernet = PacketBuilder::ethernet2(headers.src_mac.0, dst_mac.0);
    Ok(match headers.vlan {
        Some(vlan) => ethernet.single_vlan(VlanId::try_new(vlan).map_err(io::Error::other)?).ip(header),
        None => ethernet.ip(header),
    })
}

/// The headers of what `from` sends to `to` with its own MAC.
pub fn honest(from: Party, src: SocketAddr, dst: SocketAddr) -> RawUdp {
    RawUdp { src_mac: from.mac(), vlan: None, src, dst }
}

/// The MAC of an IPv4 group (RFC 1112 6.4): 01:00:5e and the low 23 bits of the address.
pub fn group_mac(group: Ipv4Addr) -> MacAddr {
    let [_, b, c, d] = group.octets();
    MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}
