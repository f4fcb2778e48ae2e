//! What the adapter's parser sees of a frame.
//!
//! The parser is our own, and lenient on purpose: a packet library refuses a header that contradicts itself, but an adapter
//! reads fields at their offsets, and a frame that is wrong somewhere else must not escape a deny of its address. So an
//! address counts as soon as its bytes are there, and a frame that ends in its IP header is read as if zeros followed.
//! What cannot be reached is absent: then fewer entries match, and above the base those are all allows.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nicfw::terms::{IpHeader, MacAddr, Packet};

const TAG_8021Q: u16 = 0x8100;
const TAG_8021AD: u16 = 0x88a8;
/// Ether type of IPv4.
pub(crate) const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;
/// Ether type of ARP.
pub const ETHER_ARP: u16 = 0x0806;

/// Longest frame that the adapter takes: of one that comes from outside the rest is cut, one that a driver sends is refused.
pub const FRAME_MAX: usize = 16 * 1024;

const VLAN_ID: u16 = 0x0fff;
/// Bytes up to the end of an IPv6 header behind two tags. The adapter pads a host's short frame with zeros (to 60 bytes), so
/// a header that is cut reaches the wire whole: it has to be judged as it will be there.
const SHORTEST: usize = 14 + 2 * 4 + 40;
/// IPv6 extension headers that the parser walks through.
const MAX_EXTENSIONS: usize = 8;

/// What the parser sees of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Headers {
    /// The fields that entries match, not yet oriented. A field that the frame does not show is absent: the protocol of IPv6 when
    /// the chain of extension headers cannot be followed to its end, ports in a fragment that is not the first (assumption A7). Of
    /// three tags, the third one's type stands as the ether type.
    pub packet: Packet,
    /// The two words where ports would stand, whatever stands there: for the opposite of assumption A7.
    pub(crate) raw_ports: Option<(u16, u16)>,
}

/// Why a frame is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are no Ethernet frame: at least 14 are needed")]
pub struct Runt(pub usize);

/// Why the headers of a captured frame are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// No frame at all.
    #[error(transparent)]
    Runt(#[from] Runt),
    /// The capture ends before a byte that the adapter's parser looks at.
    #[error("{captured} of {len} bytes were captured, and the parser looks further")]
    Cut {
        /// Bytes that were captured.
        captured: usize,
        /// Bytes of the frame.
        len: usize,
    },
}

/// Reads the headers of a frame. Any bytes are taken; what is not there is absent.
///
/// # Errors
/// [`Runt`]: too short for an Ethernet header. An adapter discards such a frame before it looks at it.
pub fn parse(frame: &[u8]) -> Result<Headers, Runt> {
    read(&Frame::new(frame, frame.len())).ok_or(Runt(frame.len()))
}

/// Reads the headers of a frame of `len` bytes of which the first ones were captured. They are those of the whole frame: what
/// was not captured is not taken for zeros, nor for absent.
///
/// # Errors
/// [`Unread`].
pub fn parse_captured(captured: &[u8], len: usize) -> Result<Headers, Unread> {
    let len = len.max(captured.len());
    let frame = Frame::new(captured, len);
    let headers = read(&frame);
    if len >= 14 && frame.missed.get() {
        return Err(Unread::Cut { captured: captured.len(), len });
    }
    headers.ok_or(Runt(len).into())
}

fn read(frame: &Frame<'_>) -> Option<Headers> {
    let all = frame.all();
    let dst_mac = MacAddr(all.bytes(0)?);
    let src_mac = MacAddr(all.bytes(6)?);
    let mut ether_type = all.word(12)?;
    let mut at = 14;
    let mut vlans = [None; 2];
    for vlan in &mut vlans {
        if !matches!(ether_type, TAG_8021Q | TAG_8021AD) {
            break;
        }
        let (Some(tag), Some(next)) = (all.word(at), all.word(at + 2)) else { break };
        *vlan = Some(tag & VLAN_ID);
        ether_type = next;
        at += 4;
    }
    let [outer_vlan, inner_vlan] = vlans;
    let payload = all.from(at);
    let ip = match ether_type {
        ETHER_IPV4 => ipv4(payload),
        ETHER_IPV6 => ipv6(payload),
        _ => None,
    };
    let (ip, raw_ports) = (ip.map(|ip| ip.header), ip.and_then(|ip| ip.raw_ports));
    let packet = Packet { src_mac, dst_mac, outer_vlan, inner_vlan, ether_type, ip };
    Some(Headers { packet, raw_ports })
}

/// A frame as far as it was captured.
struct Frame<'a> {
    captured: &'a [u8],
    /// Bytes of the frame.
    len: usize,
    /// A byte was looked at that the frame has and the capture has not.
    missed: Cell<bool>,
}

impl<'a> Frame<'a> {
    fn new(captured: &'a [u8], len: usize) -> Self {
        Self { captured, len, missed: Cell::new(false) }
    }

    /// The whole frame, a short one padded as the adapter pads it.
    fn all(&self) -> Part<'_> {
        let end = if self.len >= 14 { self.len.max(SHORTEST) } else { self.len };
        Part { frame: self, start: 0, end }
    }
}

/// A part of a frame.
#[derive(Clone, Copy)]
struct Part<'a> {
    frame: &'a Frame<'a>,
    start: usize,
    end: usize,
}

impl Part<'_> {
    fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    fn bytes<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        let first = self.start + at;
        let last = first + N;
        if last > self.end {
            return None;
        }
        let Frame { captured, len, missed } = self.frame;
        if let Some(bytes) = captured.get(first..).and_then(<[u8]>::first_chunk) {
            return Some(*bytes);
        }
        let mut out = [0; N];
        for (byte, at) in out.iter_mut().zip(first..last) {
            match captured.get(at) {
                Some(captured) => *byte = *captured,
                None if at < *len => {
                    missed.set(true);
                    return None;
                }
                None => {}
            }
        }
        Some(out)
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.bytes(at).map(|[byte]| byte)
    }

    fn word(self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_be_bytes)
    }

    /// What begins `at` bytes further on; nothing if that is behind the end.
    fn from(self, at: usize) -> Self {
        Self { start: self.start + at, ..self }
    }

    /// Without what is behind `len` bytes.
    fn first(self, len: usize) -> Self {
        Self { end: self.end.min(self.start + len), ..self }
    }
}

/// An IP header, and the words behind it.
#[derive(Clone, Copy)]
struct Ip {
    header: IpHeader,
    raw_ports: Option<(u16, u16)>,
}

fn ipv4(packet: Part<'_>) -> Option<Ip> {
    let version_and_length = packet.byte(0)?;
    if version_and_length >> 4 != 4 {
        return None;
    }
    let src = Ipv4Addr::from(packet.bytes::<4>(12)?);
    let dst = Ipv4Addr::from(packet.bytes::<4>(16)?);
    let proto = packet.byte(9)?;
    let header = usize::from(version_and_length & 0xf) * 4;
    let later = packet.word(6)? & 0x1fff != 0;
    // Padding behind the datagram is no payload. A length of 0 was left to the card, which segments what it sends.
    let datagram = match usize::from(packet.word(2)?) {
        0 => packet,
        total => packet.first(total),
    };
    let body = if header >= 20 { datagram.from(header) } else { packet.first(0) };
    Some(Ip::new(src.into(), dst.into(), Some(proto), later, body))
}

fn ipv6(packet: Part<'_>) -> Option<Ip> {
    if packet.byte(0)? >> 4 != 6 {
        return None;
    }
    let src = Ipv6Addr::from(packet.bytes::<16>(8)?);
    let dst = Ipv6Addr::from(packet.bytes::<16>(24)?);
    let datagram = match usize::from(packet.word(4)?) {
        0 => packet,
        length => packet.first(40 + length),
    };
    let chain = extensions(packet.byte(6)?, datagram.from(40));
    Some(Ip::new(src.into(), dst.into(), chain.proto, chain.later, chain.body))
}

/// Where a chain of IPv6 extension headers ends.
struct Chain<'a> {
    proto: Option<u8>,
    later: bool,
    body: Part<'a>,
}

fn extensions(mut next: u8, mut body: Part<'_>) -> Chain<'_> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION_OPTIONS: u8 = 60;
    let unknown = Chain { proto: None, later: false, body: body.first(0) };
    for _ in 0..=MAX_EXTENSIONS {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => body.byte(1).map(|units| (usize::from(units) + 1) * 8),
            AUTHENTICATION => body.byte(1).map(|units| (usize::from(units) + 2) * 4),
            FRAGMENT => Some(8),
            proto => return Chain { proto: Some(proto), later: false, body },
        };
        let Some(length) = length.filter(|length| *length <= body.len()) else { return unknown };
        let offset = if next == FRAGMENT { body.word(2) } else { Some(0) };
        let (Some(offset), Some(behind)) = (offset, body.byte(0)) else { return unknown };
        next = behind;
        body = body.from(length);
        if offset >> 3 != 0 {
            // What follows is the middle of something: another extension header would be in the first fragment.
            let walkable = matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS);
            return Chain { proto: (!walkable).then_some(next), later: true, body };
        }
    }
    unknown
}

impl Ip {
    fn new(src: IpAddr, dst: IpAddr, proto: Option<u8>, later: bool, body: Part<'_>) -> Self {
        let has_ports = proto.is_some_and(|proto| matches!(proto, 6 | 17 | 132));
        let missed = body.frame.missed.get();
        let ports = |[a, b, c, d]: [u8; 4]| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let raw_ports = if has_ports { body.bytes(0).map(ports) } else { None };
        if later {
            // What stands there decides nothing but where assumption A7 is turned round.
            body.frame.missed.set(missed);
        }
        Self { header: IpHeader { src, dst, proto, ports: raw_ports.filter(|_| !later) }, raw_ports }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

    fn frame(parts: &[&[u8]]) -> Vec<u8> {
        [&[&MACS[..]], parts].concat().concat()
    }

    /// An IPv4 header typed from RFC 791: version and length, total length, flags and offset, protocol.
    fn v4(first: u8, total: u16, offset: u16, proto: u8) -> Vec<u8> {
        let mut header = vec![first, 0];
        header.extend(total.to_be_bytes());
        header.extend([0, 0]);
        header.extend(offset.to_be_bytes());
        header.extend([64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        header
    }

    fn ip(parts: &[&[u8]]) -> Option<IpHeader> {
        parse(&frame(parts)).unwrap().packet.ip
    }

    const PORTS: [u8; 8] = [0x01, 0xbb, 0x00, 0x50, 0, 8, 0, 0];

    #[test]
    fn ports_of_a_plain_datagram() {
        let ip = ip(&[&[8, 0], &v4(0x45, 28, 0, 17), &PORTS]).unwrap();
        assert_eq!((ip.proto, ip.ports), (Some(17), Some((443, 80))));
        assert_eq!((ip.src, ip.dst), ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn options_move_the_ports() {
        let ip = ip(&[&[8, 0], &v4(0x46, 32, 0, 6), &[1, 1, 1, 0], &PORTS]).unwrap();
        assert_eq!(ip.ports, Some((443, 80)));
    }

    #[test]
    fn only_the_first_fragment_has_ports() {
        assert_eq!(ip(&[&[8, 0], &v4(0x45, 28, 0x2000, 17), &PORTS]).unwrap().ports, Some((443, 80)));
        assert_eq!(ip(&[&[8, 0], &v4(0x45, 28, 0x0001, 17), &PORTS]).unwrap().ports, None);
    }

    #[test]
    fn padding_is_no_payload() {
        assert_eq!(ip(&[&[8, 0], &v4(0x45, 22, 0, 17), &PORTS]).unwrap().ports, None);
    }

    /// A host that leaves the cutting into segments to the card hands over frames of total length 0.
    #[test]
    fn a_total_length_of_zero_reaches_to_the_end_of_the_frame() {
        assert_eq!(ip(&[&[8, 0], &v4(0x45, 0, 0, 6), &PORTS]).unwrap().ports, Some((443, 80)));
        assert_eq!(ip(&[&[8, 0], &v4(0x46, 0, 0, 17), &[1, 1, 1, 0], &PORTS]).unwrap().ports, Some((443, 80)));
        assert_eq!(ip(&[&[8, 0], &v4(0x45, 0, 0x0001, 6), &PORTS]).unwrap().ports, None);
        assert_eq!(ip(&[&[8, 0], &v4(0x45, 1, 0, 6), &PORTS]).unwrap().ports, None);
    }

    /// Of each kind of frame: how many bytes of it the parser looks at, counted by hand.
    #[test]
    fn a_frame_that_was_cut_is_read_as_far_as_the_parser_looks() {
        let chain = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &PORTS].concat();
        let later = [&[17, 0, 0x05, 0xc8, 0, 0, 0, 1][..], &PORTS].concat();
        let kinds: [(&str, Vec<u8>, usize); 12] = [
            ("no ip", frame(&[&[0x88, 0xcc], &[0; 40]]), 14),
            ("arp", frame(&[&[8, 6], &[0; 28]]), 14),
            ("a tag before no ip", frame(&[&[0x81, 0, 0, 7, 0x88, 0xcc], &[0; 60]]), 18),
            ("udp", frame(&[&[8, 0], &v4(0x45, 28, 0, 17), &PORTS, &[0; 40]]), 14 + 20 + 4),
            ("udp behind two tags", frame(&[&tags(), &[8, 0], &v4(0x45, 28, 0, 17), &PORTS, &[0; 40]]), 22 + 20 + 4),
            ("udp behind options", frame(&[&[8, 0], &v4(0x46, 32, 0, 17), &[1; 4], &PORTS, &[0; 40]]), 14 + 24 + 4),
            ("total length 0", frame(&[&[8, 0], &v4(0x45, 0, 0, 6), &PORTS, &[0; 40]]), 14 + 20 + 4),
            ("icmp", frame(&[&[8, 0], &v4(0x45, 84, 0, 1), &[0; 64]]), 14 + 20),
            ("a later fragment", frame(&[&[8, 0], &v4(0x45, 84, 0x0010, 6), &[0; 64]]), 14 + 20),
            ("no room for ports", frame(&[&[8, 0], &v4(0x45, 22, 0, 6), &[0; 64]]), 14 + 20),
            ("ipv6 extension", frame(&[&v6(60, &chain)]), 14 + 40 + 8 + 4),
            ("ipv6 later fragment", frame(&[&v6(44, &later)]), 14 + 40 + 4),
        ];
        for (name, whole, looked_at) in kinds {
            let expected = parse(&whole).unwrap();
            for captured in 0..=whole.len() {
                let read = parse_captured(&whole[..captured], whole.len());
                if captured < looked_at {
                    assert_eq!(read, Err(Unread::Cut { captured, len: whole.len() }), "{name}, {captured} bytes");
                } else {
                    assert_eq!(read.map(|read| read.packet), Ok(expected.packet), "{name}, {captured} bytes");
                }
            }
        }
    }

    fn tags() -> [u8; 8] {
        [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9]
    }

    #[test]
    fn a_frame_that_is_short_on_the_wire_is_whole_when_all_of_it_was_captured() {
        let whole = frame(&[&[8, 0], &v4(0x45, 20, 0, 17)]);
        assert_eq!(parse_captured(&whole, whole.len()), Ok(parse(&whole).unwrap()));
        assert_eq!(parse_captured(&whole[..30], whole.len()), Err(Unread::Cut { captured: 30, len: 34 }));
        assert_eq!(parse_captured(&whole[..10], 10), Err(Runt(10).into()));
        assert_eq!(parse_captured(&[], 13), Err(Runt(13).into()));
    }

    #[test]
    fn a_header_that_contradicts_itself_still_shows_its_addresses() {
        for (first, total) in [(0x40, 28), (0x44, 28), (0x4f, 28), (0x45, 0), (0x45, 65535)] {
            let ip = ip(&[&[8, 0], &v4(first, total, 0, 17), &PORTS]).unwrap();
            assert_eq!(ip.dst, IpAddr::from([10, 0, 0, 2]), "first byte {first:#x}, total length {total}");
        }
    }

    /// A frame from a host is padded with zeros on its way out, so a cut header becomes a whole one.
    #[test]
    fn a_cut_header_shows_the_addresses_that_it_has() {
        let whole = frame(&[&[8, 0], &v4(0x45, 20, 0, 17)]);
        for len in 30..=whole.len() {
            let ip = parse(&whole[..len]).unwrap().packet.ip;
            assert_eq!(ip.map(|ip| ip.src), Some(IpAddr::from([10, 0, 0, 1])), "IPv4, {len} bytes");
        }
        let whole = frame(&[&tags(), &v6(59, &[])]);
        for len in 46..=whole.len() {
            let ip = parse(&whole[..len]).unwrap().packet.ip;
            assert_eq!(ip.map(|ip| ip.src), Some(IpAddr::from([0xfe; 16])), "IPv6, {len} bytes");
        }
    }

    #[test]
    fn another_version_is_no_ip() {
        assert_eq!(ip(&[&[8, 0], &v4(0x65, 28, 0, 17), &PORTS]), None);
    }

    #[test]
    fn two_tags_are_read_and_a_third_hides_the_rest() {
        let two = frame(&[&[0x88, 0xa8, 0x20, 7, 0x81, 0, 0, 9, 8, 0], &v4(0x45, 28, 0, 17), &PORTS]);
        let two = parse(&two).unwrap().packet;
        assert_eq!((two.outer_vlan, two.inner_vlan, two.ether_type), (Some(7), Some(9), 0x0800));
        assert!(two.ip.is_some());
        let three = frame(&[&[0x81, 0, 0, 7, 0x81, 0, 0, 9, 0x81, 0, 0, 1, 8, 0], &v4(0x45, 28, 0, 17), &PORTS]);
        let three = parse(&three).unwrap().packet;
        assert_eq!((three.ether_type, three.ip), (0x8100, None));
    }

    fn v6(next: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0x86, 0xdd, 0x60, 0, 0, 0];
        out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        out.extend([next, 64]);
        out.extend([0xfe; 16]);
        out.extend([0xfd; 16]);
        out.extend(body);
        out
    }

    #[test]
    fn ports_stand_behind_extension_headers() {
        let chain = [&[60, 0, 1, 4, 0, 0, 0, 0][..], &[17, 0, 1, 4, 0, 0, 0, 0], &PORTS].concat();
        let ip = ip(&[&v6(0, &chain)]).unwrap();
        assert_eq!((ip.proto, ip.ports), (Some(17), Some((443, 80))));
    }

    #[test]
    fn a_chain_that_breaks_off_has_no_protocol() {
        assert_eq!(ip(&[&v6(0, &[17, 9, 0, 0, 0, 0, 0, 0])]).unwrap().proto, None);
        assert_eq!(ip(&[&v6(0, &[17])]).unwrap().proto, None);
        let endless = [0, 0, 1, 4, 0, 0, 0, 0].repeat(20);
        assert_eq!(ip(&[&v6(0, &endless)]).unwrap().proto, None);
    }

    #[test]
    fn a_later_fragment_over_ipv6_has_a_protocol_and_no_ports() {
        let later = [&[17, 0, 0x05, 0xc8, 0, 0, 0, 1][..], &PORTS].concat();
        let ip = ip(&[&v6(44, &later)]).unwrap();
        assert_eq!((ip.proto, ip.ports), (Some(17), None));
        let atomic = [&[17, 0, 0, 0, 0, 0, 0, 1][..], &PORTS].concat();
        assert_eq!(self::ip(&[&v6(44, &atomic)]).unwrap().ports, Some((443, 80)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(parse(&bytes).is_err(), bytes.len() < 14);
        }

        /// What was cut off decides nothing: whatever stands there, the frame reads the same.
        #[test]
        fn what_was_not_captured_decides_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            kind in 0..3usize,
            captured in 0..120usize,
            other: u8,
        ) {
            let mut whole = bytes;
            if let Some(place) = whole.get_mut(12..15) {
                place.copy_from_slice([&[8, 0, 0x45][..], &[0x86, 0xdd, 0x60], &[0x81, 0, 0]][kind]);
            }
            let captured = captured.min(whole.len());
            if let Ok(read) = parse_captured(&whole[..captured], whole.len()) {
                whole[captured..].fill(other);
                let there = parse(&whole).unwrap();
                prop_assert_eq!(read.packet, there.packet);
            }
        }

        #[test]
        fn damage_behind_the_addresses_does_not_hide_them(at in 34..80usize, value: u8, cut in 34..80usize) {
            let mut bytes = frame(&[&[8, 0], &v4(0x45, 60, 0, 6), &[0; 46]]);
            bytes[at] = value;
            bytes.truncate(cut.max(34));
            prop_assert_eq!(parse(&bytes).unwrap().packet.ip.map(|ip| ip.dst), Some(IpAddr::from([10, 0, 0, 2])));
        }

        /// A well-formed frame reads as a third party's parser reads it.
        #[test]
        fn agrees_with_etherparse(src: [u8; 4], dst: [u8; 4], ports: (u16, u16), tcp: bool, vlan in proptest::option::of(0..4096u16)) {
            let vlan = vlan.map(|id| etherparse::VlanId::try_new(id).unwrap());
            let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
            let mut out = Vec::new();
            let written = match (vlan, tcp) {
                (None, true) => builder.ipv4(src, dst, 9).tcp(ports.0, ports.1, 1, 1).write(&mut out, &[1, 2]),
                (None, false) => builder.ipv4(src, dst, 9).udp(ports.0, ports.1).write(&mut out, &[1, 2]),
                (Some(id), true) => builder.single_vlan(id).ipv4(src, dst, 9).tcp(ports.0, ports.1, 1, 1).write(&mut out, &[]),
                (Some(id), false) => builder.single_vlan(id).ipv4(src, dst, 9).udp(ports.0, ports.1).write(&mut out, &[]),
            };
            written.unwrap();
            let headers = parse(&out).unwrap().packet;
            prop_assert_eq!((headers.src_mac.0, headers.dst_mac.0), ([2; 6], [4; 6]));
            prop_assert_eq!(headers.outer_vlan, vlan.map(|id| id.value()));
            let ip = headers.ip.unwrap();
            prop_assert_eq!((ip.src, ip.dst), (IpAddr::from(src), IpAddr::from(dst)));
            prop_assert_eq!((ip.proto, ip.ports), (Some(if tcp { 6 } else { 17 }), Some(ports)));
        }
    }
}
