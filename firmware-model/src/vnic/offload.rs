//! What the data path computes over a frame: classes and checksum verdicts on receive, checksums on transmit, and the
//! hash that spreads frames over queues.
//!
//! A frame that contradicts itself is left as it is: no class, no checksum, no verdict.

use std::net::IpAddr;

use nicfw::terms::{IpHeader, Packet};

use super::event::RxClass;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;
const ETHER_ARP: u16 = 0x0806;
const ETHER_FCOE: u16 = 0x8906;

/// L3_CLASS of a receive event (ef10.md 3.2).
mod l3 {
    pub const IPV4: u8 = 1;
    pub const IPV6: u8 = 2;
    pub const FCOE: u8 = 3;
    pub const IPV4_FRAGMENT: u8 = 4;
    pub const ARP: u8 = 5;
    pub const IPV6_FRAGMENT: u8 = 6;
}

/// Where the IP packet of a frame lies, and what is in it.
struct IpPlace {
    /// Offset of the IP header.
    ip: usize,
    /// Offset and length of the TCP or UDP segment, if the packet holds a whole one.
    segment: Option<(usize, usize)>,
    fragment: bool,
}

/// Offset behind the Ethernet header and up to two tags.
fn payload_at(packet: &Packet) -> usize {
    14 + 4 * usize::from(packet.outer_vlan.is_some()) + 4 * usize::from(packet.inner_vlan.is_some())
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn locate(frame: &[u8], packet: &Packet) -> Option<IpPlace> {
    let at = payload_at(packet);
    let ip = packet.ip.as_ref()?;
    let l4 = ip.proto.filter(|proto| matches!(*proto, TCP | UDP));
    let (start, end, fragment) = match ip.src {
        IpAddr::V4(_) => {
            let header = usize::from(frame.get(at)? & 0xf) * 4;
            let end = at + usize::from(word(frame, at + 2)?);
            // More fragments, or an offset.
            let fragment = word(frame, at + 6)? & 0x3fff != 0;
            (Some(at + header).filter(|_| header >= 20), end, fragment)
        }
        IpAddr::V6(_) => {
            let end = at + 40 + usize::from(word(frame, at + 4)?);
            // Extension headers are not walked here: only a segment right behind the header is computed over.
            let next = *frame.get(at + 6)?;
            (Some(at + 40).filter(|_| Some(next) == l4), end, next == 44)
        }
    };
    let shortest = if l4 == Some(TCP) { 20 } else { 8 };
    let whole = |start: usize| end <= frame.len() && start + shortest <= end && !fragment && l4.is_some();
    Some(IpPlace { ip: at, segment: start.filter(|start| whole(*start)).map(|start| (start, end - start)), fragment })
}

/// Adds the 16-bit words of `bytes` to a one's complement sum; an odd byte is a word's high half.
fn add(sum: u32, bytes: &[u8]) -> u32 {
    let (words, odd) = bytes.as_chunks::<2>();
    let sum = words.iter().fold(u64::from(sum), |sum, word| sum + u64::from(u16::from_be_bytes(*word)));
    fold(sum + odd.first().map_or(0, |byte| u64::from(*byte) << 8)).into()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// One's complement sum over a segment and its pseudo-header: all ones for a segment whose checksum is right.
fn segment_sum(frame: &[u8], ip: &IpHeader, (start, length): (usize, usize)) -> Option<u16> {
    let proto = ip.proto?;
    let mut sum = match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => add(add(0, &src.octets()), &dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => add(add(0, &src.octets()), &dst.octets()),
        _ => return None,
    };
    sum += u32::from(proto) + u32::try_from(length).ok()?;
    let sum = add(sum, frame.get(start..start + length)?);
    Some(fold(sum.into()))
}

fn header_sum(frame: &[u8], at: usize) -> Option<u16> {
    let header = usize::from(frame.get(at)? & 0xf) * 4;
    Some(fold(add(0, frame.get(at..at + header)?).into()))
}

/// What a receive event says about a frame.
pub(crate) fn classify(frame: &[u8], packet: &Packet) -> RxClass {
    let mut class = RxClass {
        group: packet.dst_mac.is_group(),
        tags: u8::from(packet.outer_vlan.is_some()) + u8::from(packet.inner_vlan.is_some()),
        ..RxClass::default()
    };
    let place = locate(frame, packet);
    class.l3 = match (packet.ether_type, &place) {
        (ETHER_IPV4, Some(place)) => {
            if place.fragment {
                l3::IPV4_FRAGMENT
            } else {
                l3::IPV4
            }
        }
        (ETHER_IPV6, Some(place)) => {
            if place.fragment {
                l3::IPV6_FRAGMENT
            } else {
                l3::IPV6
            }
        }
        (ETHER_ARP, _) => l3::ARP,
        (ETHER_FCOE, _) => l3::FCOE,
        _ => 0,
    };
    let (Some(place), Some(ip)) = (place, &packet.ip) else { return class };
    class.bad_ip = ip.src.is_ipv4() && header_sum(frame, place.ip) != Some(0xffff);
    if let Some((start, length)) = place.segment {
        let unchecked = ip.proto == Some(UDP) && ip.src.is_ipv4() && word(frame, start + 6) == Some(0);
        class.l4 = if ip.proto == Some(TCP) { 1 } else { 2 };
        class.bad_l4 = !unchecked && segment_sum(frame, ip, (start, length)) != Some(0xffff);
    }
    class
}

/// Writes the checksums that the queue's options ask for: the IPv4 header's, and that of a whole TCP or UDP segment.
pub(crate) fn fill_checksums(frame: &mut [u8], packet: &Packet, ip_header: bool, segment: bool) {
    let (Some(place), Some(ip)) = (locate(frame, packet), &packet.ip) else { return };
    if ip_header && ip.src.is_ipv4() {
        put(frame, place.ip + 10, |frame| header_sum(frame, place.ip), false);
    }
    if let (true, Some((start, length))) = (segment, place.segment) {
        let at = start + if ip.proto == Some(TCP) { 16 } else { 6 };
        put(frame, at, |frame| segment_sum(frame, ip, (start, length)), ip.proto == Some(UDP));
    }
}

/// Puts the complement of `sum` (over a zero there) at `at`. In UDP a zero would mean that there is no checksum.
fn put(frame: &mut [u8], at: usize, sum: impl Fn(&[u8]) -> Option<u16>, udp: bool) {
    let Some(old) = word(frame, at) else { return };
    write_at(frame, at, 0);
    match sum(frame) {
        Some(0xffff) if udp => write_at(frame, at, 0xffff),
        Some(sum) => write_at(frame, at, !sum),
        None => write_at(frame, at, old),
    }
}

fn write_at(frame: &mut [u8], at: usize, value: u16) {
    if let Some(place) = frame.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The Toeplitz hash over addresses and, for TCP with `ports`, ports; `None` for a frame that is not IP.
pub(crate) fn toeplitz(key: &[u8; 40], ip: &IpHeader, ports: bool) -> u32 {
    let mut input = Vec::with_capacity(36);
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => input.extend(src.octets().into_iter().chain(dst.octets())),
        (IpAddr::V6(src), IpAddr::V6(dst)) => input.extend(src.octets().into_iter().chain(dst.octets())),
        _ => return 0,
    }
    if let Some((src, dst)) = ip.ports.filter(|_| ports && ip.proto == Some(TCP)) {
        input.extend(src.to_be_bytes().into_iter().chain(dst.to_be_bytes()));
    }
    let (first, rest) = key.split_at(4);
    let mut window = first.iter().fold(0u32, |window, byte| window << 8 | u32::from(*byte));
    let mut hash = 0;
    for (byte, next) in input.iter().zip(rest) {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                hash ^= window;
            }
            window = window << 1 | u32::from(next >> bit & 1);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::parse;
    use proptest::prelude::*;

    /// The verification key and results of Microsoft's "Verifying the RSS Hash Calculation".
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca,
        0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b,
        0xbe, 0xac, 0x01, 0xfa,
    ];

    fn ip(src: &str, dst: &str, ports: (u16, u16)) -> IpHeader {
        let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
        let (a, b) = match (src, dst) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.octets(), b.octets()),
            _ => ([0; 4], [0; 4]),
        };
        let mut frame = Vec::new();
        if src.is_ipv4() {
            etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4(a, b, 9)
                .tcp(ports.0, ports.1, 1, 1)
                .write(&mut frame, &[])
                .unwrap();
        } else {
            let (IpAddr::V6(a), IpAddr::V6(b)) = (src, dst) else { unreachable!() };
            let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(a.octets(), b.octets(), 9);
            builder.tcp(ports.0, ports.1, 1, 1).write(&mut frame, &[]).unwrap();
        }
        parse(&frame).unwrap().packet.ip.unwrap()
    }

    #[test]
    fn the_hash_is_that_of_the_published_vectors() {
        let v4 = ip("66.9.149.187", "161.142.100.80", (2794, 1766));
        assert_eq!((toeplitz(&KEY, &v4, false), toeplitz(&KEY, &v4, true)), (0x323e_8fc2, 0x51cc_c178));
        let v6 = ip("3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", (2794, 1766));
        assert_eq!((toeplitz(&KEY, &v6, false), toeplitz(&KEY, &v6, true)), (0x2cc1_8cd5, 0x4020_7d3d));
    }

    fn frame(tcp: bool, v6: bool, payload: &[u8]) -> Vec<u8> {
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder =
            if v6 { builder.ipv6([1; 16], [2; 16], 9) } else { builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9) };
        let mut out = Vec::new();
        if tcp {
            builder.tcp(1000, 80, 7, 9).write(&mut out, payload).unwrap();
        } else {
            builder.udp(1000, 53).write(&mut out, payload).unwrap();
        }
        out
    }

    proptest! {
        /// A third party writes right checksums: the classes find them right, and filling them in changes nothing.
        #[test]
        fn checksums_are_those_of_a_third_party(tcp: bool, v6: bool, payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let right = frame(tcp, v6, &payload);
            let packet = parse(&right).unwrap().packet;
            let class = classify(&right, &packet);
            prop_assert_eq!((class.l3, class.l4), (if v6 { 2 } else { 1 }, if tcp { 1 } else { 2 }));
            prop_assert!(!class.bad_ip && !class.bad_l4);
            let mut filled = right.clone();
            let at = if v6 { 54 } else { 34 } + if tcp { 16 } else { 6 };
            filled[at] ^= 0x55;
            prop_assert!(classify(&filled, &packet).bad_l4);
            if !v6 {
                filled[24] ^= 0x55;
                prop_assert!(classify(&filled, &packet).bad_ip);
            }
            fill_checksums(&mut filled, &packet, true, true);
            prop_assert_eq!(filled, right);
        }

        #[test]
        fn any_frame_is_taken(mut bytes in prop::collection::vec(any::<u8>(), 14..120), v4: bool) {
            bytes[12..14].copy_from_slice(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
            let packet = parse(&bytes).unwrap().packet;
            classify(&bytes, &packet);
            let before = bytes.len();
            fill_checksums(&mut bytes, &packet, true, true);
            prop_assert_eq!(bytes.len(), before);
        }
    }

    #[test]
    fn fragments_and_arp_have_their_class() {
        let mut fragment = frame(false, false, &[0; 30]);
        fragment[20] |= 0x20;
        let class = classify(&fragment, &parse(&fragment).unwrap().packet);
        assert_eq!((class.l3, class.l4, class.bad_ip, class.bad_l4), (4, 0, true, false));
        let mut arp = vec![0xff; 60];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        let class = classify(&arp, &parse(&arp).unwrap().packet);
        assert_eq!((class.l3, class.group), (5, true));
    }

    #[test]
    fn a_udp_checksum_of_zero_is_none() {
        let mut bytes = frame(false, false, &[1, 2, 3]);
        bytes[40..42].fill(0);
        assert!(!classify(&bytes, &parse(&bytes).unwrap().packet).bad_l4);
    }
}
