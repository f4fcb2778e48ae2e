//! What the adapter's parser sees of a frame.
//!
//! The parser is our own, and lenient on purpose: a packet library refuses a header that contradicts itself, but an adapter
//! reads fields at their offsets, and a frame that is wrong somewhere else must not escape a deny of its address. So an
//! address counts as soon as its bytes are there, and a frame that ends in its IP header is read as if zeros followed.
//! What cannot be reached is absent: then fewer entries match, and above the base those are all allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nicfw::tables::MacAddr;

const TAG_8021Q: u16 = 0x8100;
const TAG_8021AD: u16 = 0x88a8;
/// Ether type of IPv4.
pub(crate) const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;
/// Ether type of ARP.
pub const ETHER_ARP: u16 = 0x0806;

const VLAN_ID: u16 = 0x0fff;
/// Bytes up to the end of an IPv6 header behind two tags. The adapter pads a host's short frame with zeros (to 60 bytes), so
/// a header that is cut reaches the wire whole: it has to be judged as it will be there.
const SHORTEST: usize = 14 + 2 * 4 + 40;
/// IPv6 extension headers that the parser walks through.
const MAX_EXTENSIONS: usize = 8;

/// The fields that entries match, not yet oriented. A field that the frame does not show is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Headers {
    /// Destination MAC.
    pub dst_mac: MacAddr,
    /// Source MAC.
    pub src_mac: MacAddr,
    /// VLAN id of the first tag.
    pub outer_vlan: Option<u16>,
    /// VLAN id of the second tag.
    pub inner_vlan: Option<u16>,
    /// The two bytes behind the tags: ether type, or length of an 802.3 frame. A third tag's type stands here as it is.
    pub ether_type: u16,
    /// The IP header, if the frame has one where the parser looks.
    pub ip: Option<Ip>,
}

/// The fields of an IP header, and of what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ip {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Protocol behind the IPv6 extension headers; absent when the chain cannot be followed to its end.
    pub proto: Option<u8>,
    /// Source and destination port of TCP, UDP and SCTP; absent in a fragment that is not the first (assumption A7).
    pub ports: Option<(u16, u16)>,
    /// The two words where ports would stand, whatever stands there: for the opposite of assumption A7.
    pub(crate) raw_ports: Option<(u16, u16)>,
}

/// Why a frame is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are no Ethernet frame: at least 14 are needed")]
pub struct Runt(pub usize);

/// Reads the headers of a frame. Any bytes are taken; what is not there is absent.
///
/// # Errors
/// [`Runt`]: too short for an Ethernet header. An adapter discards such a frame before it looks at it.
pub fn parse(frame: &[u8]) -> Result<Headers, Runt> {
    let runt = Runt(frame.len());
    let mut padded = [0; SHORTEST];
    let frame = match padded.get_mut(..frame.len()) {
        Some(start) if frame.len() >= 14 => {
            start.copy_from_slice(frame);
            &padded
        }
        _ => frame,
    };
    let dst_mac = MacAddr(bytes(frame, 0).ok_or(runt)?);
    let src_mac = MacAddr(bytes(frame, 6).ok_or(runt)?);
    let mut ether_type = word(frame, 12).ok_or(runt)?;
    let mut at = 14;
    let mut vlans = [None; 2];
    for vlan in &mut vlans {
        if !matches!(ether_type, TAG_8021Q | TAG_8021AD) {
            break;
        }
        let (Some(tag), Some(next)) = (word(frame, at), word(frame, at + 2)) else { break };
        *vlan = Some(tag & VLAN_ID);
        ether_type = next;
        at += 4;
    }
    let [outer_vlan, inner_vlan] = vlans;
    let payload = frame.get(at..).unwrap_or_default();
    let ip = match ether_type {
        ETHER_IPV4 => ipv4(payload),
        ETHER_IPV6 => ipv6(payload),
        _ => None,
    };
    Ok(Headers { dst_mac, src_mac, outer_vlan, inner_vlan, ether_type, ip })
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

fn word(from: &[u8], at: usize) -> Option<u16> {
    bytes(from, at).map(u16::from_be_bytes)
}

fn ipv4(packet: &[u8]) -> Option<Ip> {
    let version_and_length = *packet.first()?;
    if version_and_length >> 4 != 4 {
        return None;
    }
    let src = Ipv4Addr::from(bytes::<4>(packet, 12)?);
    let dst = Ipv4Addr::from(bytes::<4>(packet, 16)?);
    let proto = *packet.get(9)?;
    let header = usize::from(version_and_length & 0xf) * 4;
    let total = usize::from(word(packet, 2)?);
    let later = word(packet, 6)? & 0x1fff != 0;
    // Padding behind the datagram is no payload.
    let body = if header >= 20 { packet.get(header..packet.len().min(total)) } else { None };
    Some(Ip::new(src.into(), dst.into(), Some(proto), later, body.unwrap_or_default()))
}

fn ipv6(packet: &[u8]) -> Option<Ip> {
    if packet.first()? >> 4 != 6 {
        return None;
    }
    let src = Ipv6Addr::from(bytes::<16>(packet, 8)?);
    let dst = Ipv6Addr::from(bytes::<16>(packet, 24)?);
    let length = usize::from(word(packet, 4)?);
    let end = if length == 0 { packet.len() } else { packet.len().min(40 + length) };
    let chain = extensions(*packet.get(6)?, packet.get(40..end).unwrap_or_default());
    Some(Ip::new(src.into(), dst.into(), chain.proto, chain.later, chain.body))
}

/// Where a chain of IPv6 extension headers ends.
struct Chain<'a> {
    proto: Option<u8>,
    later: bool,
    body: &'a [u8],
}

fn extensions(mut next: u8, mut body: &[u8]) -> Chain<'_> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION_OPTIONS: u8 = 60;
    let unknown = Chain { proto: None, later: false, body: &[] };
    for _ in 0..=MAX_EXTENSIONS {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => body.get(1).map(|units| (usize::from(*units) + 1) * 8),
            AUTHENTICATION => body.get(1).map(|units| (usize::from(*units) + 2) * 4),
            FRAGMENT => Some(8),
            proto => return Chain { proto: Some(proto), later: false, body },
        };
        let Some((header, rest)) = length.and_then(|length| body.split_at_checked(length)) else { return unknown };
        let fragmented = next == FRAGMENT && word(header, 2).is_some_and(|offset| offset >> 3 != 0);
        let Some(behind) = header.first() else { return unknown };
        next = *behind;
        body = rest;
        if fragmented {
            // What follows is the middle of something: another extension header would be in the first fragment.
            let walkable = matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS);
            return Chain { proto: (!walkable).then_some(next), later: true, body };
        }
    }
    unknown
}

impl Ip {
    fn new(src: IpAddr, dst: IpAddr, proto: Option<u8>, later: bool, body: &[u8]) -> Self {
        let has_ports = proto.is_some_and(|proto| matches!(proto, 6 | 17 | 132));
        let raw_ports = if has_ports { word(body, 0).zip(word(body, 2)) } else { None };
        Self { src, dst, proto, ports: raw_ports.filter(|_| !later), raw_ports }
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

    fn ip(parts: &[&[u8]]) -> Option<Ip> {
        parse(&frame(parts)).unwrap().ip
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
            let ip = parse(&whole[..len]).unwrap().ip;
            assert_eq!(ip.map(|ip| ip.src), Some(IpAddr::from([10, 0, 0, 1])), "IPv4, {len} bytes");
        }
        let tags = [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9];
        let whole = frame(&[&tags, &v6(59, &[])]);
        for len in 46..=whole.len() {
            let ip = parse(&whole[..len]).unwrap().ip;
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
        let two = parse(&two).unwrap();
        assert_eq!((two.outer_vlan, two.inner_vlan, two.ether_type), (Some(7), Some(9), 0x0800));
        assert!(two.ip.is_some());
        let three = frame(&[&[0x81, 0, 0, 7, 0x81, 0, 0, 9, 0x81, 0, 0, 1, 8, 0], &v4(0x45, 28, 0, 17), &PORTS]);
        let three = parse(&three).unwrap();
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

        #[test]
        fn damage_behind_the_addresses_does_not_hide_them(at in 34..80usize, value: u8, cut in 34..80usize) {
            let mut bytes = frame(&[&[8, 0], &v4(0x45, 60, 0, 6), &[0; 46]]);
            bytes[at] = value;
            bytes.truncate(cut.max(34));
            prop_assert_eq!(parse(&bytes).unwrap().ip.map(|ip| ip.dst), Some(IpAddr::from([10, 0, 0, 2])));
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
            let headers = parse(&out).unwrap();
            prop_assert_eq!((headers.src_mac.0, headers.dst_mac.0), ([2; 6], [4; 6]));
            prop_assert_eq!(headers.outer_vlan, vlan.map(|id| id.value()));
            let ip = headers.ip.unwrap();
            prop_assert_eq!((ip.src, ip.dst), (IpAddr::from(src), IpAddr::from(dst)));
            prop_assert_eq!((ip.proto, ip.ports), (Some(if tcp { 6 } else { 17 }), Some(ports)));
        }
    }
}
