//! Writes a packet's headers as a frame, byte by byte: independent of any parser.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nicfw::terms::{IpHeader, Packet};

/// What a frame may carry beyond what a decision depends on. None of it may change a verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// IPv4: four bytes of options. IPv6: a hop-by-hop and a destination-options header.
    pub options: bool,
    /// The packet is the first fragment of several; one without ports is a later fragment in any case.
    pub first_fragment: bool,
    /// Tags are 802.1ad outside, 802.1Q inside; else both are 802.1Q.
    pub service_tag: bool,
    /// Bytes behind the headers.
    pub payload: u8,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const LATER_OFFSET: u16 = 185;

/// The frame of a packet. A TCP, UDP or SCTP packet without ports becomes a later fragment.
pub fn frame(packet: &Packet, shape: Shape) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend(packet.dst_mac.0);
    out.extend(packet.src_mac.0);
    let double = packet.inner_vlan.is_some();
    if let Some(vlan) = packet.outer_vlan {
        let service = double && shape.service_tag;
        out.extend(if service { [0x88, 0xa8] } else { [0x81, 0x00] });
        out.extend((0x6000 | vlan).to_be_bytes());
    }
    if let Some(vlan) = packet.inner_vlan {
        out.extend([0x81, 0x00]);
        out.extend(vlan.to_be_bytes());
    }
    out.extend(packet.ether_type.to_be_bytes());
    match &packet.ip {
        Some(ip) => datagram(&mut out, ip, shape),
        None => out.extend([0; 46]),
    }
    while out.len() < 60 {
        out.push(0);
    }
    out
}

fn datagram(out: &mut Vec<u8>, ip: &IpHeader, shape: Shape) {
    let proto = ip.proto.expect("a frame names its protocol");
    let has_ports = matches!(proto, TCP | UDP | SCTP);
    let later = has_ports && ip.ports.is_none();
    let body =
        if later { vec![0xa5; 8 + usize::from(shape.payload)] } else { transport(proto, ip.ports, shape.payload) };
    let fragment = if later {
        LATER_OFFSET << 3
    } else if shape.first_fragment {
        1
    } else {
        0
    };
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4(out, (src, dst), proto, fragment, &body, shape),
        (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6(out, (src, dst), proto, fragment, &body, shape),
        _ => panic!("two address families in one packet"),
    }
}

/// `fragment`: offset in 8-byte units shifted by 3, and bit 0 for "more fragments", as IPv6 has it.
fn ipv4(out: &mut Vec<u8>, (src, dst): (Ipv4Addr, Ipv4Addr), proto: u8, fragment: u16, body: &[u8], shape: Shape) {
    let words: u8 = if shape.options { 6 } else { 5 };
    let start = out.len();
    let length = u16::from(words) * 4 + u16::try_from(body.len()).unwrap();
    out.extend([0x40 | words, 0]);
    out.extend(length.to_be_bytes());
    out.extend([0x12, 0x34]);
    let more = if fragment & 1 == 1 { 0x2000 } else { 0 };
    out.extend((more | fragment >> 3).to_be_bytes());
    out.extend([64, proto, 0, 0]);
    out.extend(src.octets());
    out.extend(dst.octets());
    if shape.options {
        out.extend([1, 1, 1, 0]);
    }
    let sum = checksum(&out[start..]);
    out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    out.extend(body);
}

fn ipv6(out: &mut Vec<u8>, (src, dst): (Ipv6Addr, Ipv6Addr), proto: u8, fragment: u16, body: &[u8], shape: Shape) {
    const HOP_BY_HOP: u8 = 0;
    const FRAGMENT: u8 = 44;
    const DESTINATION_OPTIONS: u8 = 60;
    let mut chain = Vec::new();
    if shape.options {
        chain.extend([HOP_BY_HOP, DESTINATION_OPTIONS]);
    }
    if fragment != 0 {
        chain.push(FRAGMENT);
    }
    let mut next = chain.iter().copied().skip(1).chain([proto]);
    let first = chain.first().copied().unwrap_or(proto);
    let length = chain.len() * 8 + body.len();
    out.extend([0x60, 0, 0, 0]);
    out.extend(u16::try_from(length).unwrap().to_be_bytes());
    out.extend([first, 64]);
    out.extend(src.octets());
    out.extend(dst.octets());
    for header in &chain {
        let next = next.next().unwrap();
        match *header {
            FRAGMENT => {
                out.extend([next, 0]);
                out.extend(fragment.to_be_bytes());
                out.extend([0, 0, 0, 7]);
            }
            _ => out.extend([next, 0, 1, 4, 0, 0, 0, 0]),
        }
    }
    out.extend(body);
}

/// Checksums stay zero but for IPv4's header: the adapter judges headers, not sums.
fn transport(proto: u8, ports: Option<(u16, u16)>, payload: u8) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some((src, dst)) = ports {
        out.extend(src.to_be_bytes());
        out.extend(dst.to_be_bytes());
    }
    match proto {
        TCP => out.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]),
        UDP => {
            out.extend((8 + u16::from(payload)).to_be_bytes());
            out.extend([0, 0]);
        }
        SCTP => out.extend([0, 0, 0, 1, 0, 0, 0, 0]),
        _ => out.extend([8, 0, 0, 0, 0, 1, 0, 1]),
    }
    out.extend(std::iter::repeat_n(0x5a, usize::from(payload)));
    out
}

fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap()
}
