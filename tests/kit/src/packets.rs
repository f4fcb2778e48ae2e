//! Random packets at the corners of what `texts.rs` writes.

use std::net::IpAddr;

use nicfw::terms::{IpHeader, MacAddr, Packet};
use proptest::prelude::*;
use proptest::sample::select;

use crate::frames::Shape;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 10, 30, 1, last])
}

/// The bound addresses with the MAC of their binding, and two that nobody bound.
fn local() -> impl Strategy<Value = (IpAddr, MacAddr)> {
    let four =
        [("10.30.1.17", 0x11), ("10.30.1.18", 0x12), ("10.30.2.5", 0x12), ("10.30.1.19", 0x13), ("10.30.9.9", 0x99)];
    let four = four.map(|(ip, last)| (addr(ip), mac(last)));
    let six = [("2001:db8::17", 0x14), ("2001:db8::99", 0x99)].map(|(ip, last)| (addr(ip), mac(last)));
    let host = [(addr("10.30.0.1"), MacAddr([2, 0, 10, 30, 0, 1]))];
    select([&four[..], &four[..], &six[..], &host[..]].concat())
}

fn remote(six: bool) -> impl Strategy<Value = IpAddr> {
    let four = [
        "10.20.0.1",
        "10.20.255.255",
        "10.21.0.0",
        "10.19.255.255",
        "10.22.0.0",
        "10.0.0.53",
        "10.0.0.52",
        "11.0.0.0",
        "9.255.255.255",
        "10.30.1.17",
        "10.30.1.18",
        "10.30.1.255",
        "10.30.2.0",
        "0.0.0.0",
        "224.0.0.251",
        "239.255.255.255",
        "255.255.255.255",
    ];
    let wide = ["2001:db8:1::9", "2001:db8:1::8", "2001:db8::17", "fe80::1", "ff02::1", "ff02::1:ff00:17", "::"];
    select(if six { wide.map(addr).to_vec() } else { four.map(addr).to_vec() })
}

fn port() -> impl Strategy<Value = u16> {
    let edges = [
        0, 22, 52, 53, 54, 79, 80, 81, 442, 443, 444, 1023, 1024, 7999, 8000, 8099, 8100, 32767, 32768, 60999, 61000,
        65535,
    ];
    prop_oneof![9 => select(edges.to_vec()), 1 => any::<u16>()]
}

fn proto_and_ports() -> impl Strategy<Value = (u8, Option<(u16, u16)>)> {
    let ports = prop_oneof![6 => (port(), port()).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        5 => (select(vec![6, 17, 132]), ports),
        2 => (select(vec![1, 58, 47, 2]), Just(None)),
    ]
}

/// A packet from or to one of the addresses, its MACs right or forged, tagged or not; sometimes ARP or another ether type.
pub fn packet() -> impl Strategy<Value = Packet> {
    let vlans = prop_oneof![
        4 => Just((None, None)),
        2 => Just((Some(7), None)),
        1 => Just((Some(8), None)),
        1 => Just((Some(7), Some(9))),
    ];
    let ip = local().prop_flat_map(|(local, mac)| (Just((local, mac)), remote(local.is_ipv6()), proto_and_ports()));
    let forged = prop_oneof![5 => Just(None), 1 => (0x10..0x16u8).prop_map(Some)];
    let kind = prop_oneof![12 => Just(None), 1 => Just(Some(ARP)), 1 => Just(Some(0x88cc))];
    (ip, any::<bool>(), forged, vlans, kind).prop_map(
        |((local, remote, (proto, ports)), outwards, forged, vlans, kind)| {
            let (ip, local_mac) = local;
            let local_mac = forged.map_or(local_mac, mac);
            let peer = MacAddr([2, 0, 10, 20, 0, 1]);
            let (src, dst) = if outwards { (ip, remote) } else { (remote, ip) };
            let (src_mac, dst_mac) = if outwards { (local_mac, peer) } else { (peer, local_mac) };
            let ether_type = kind.unwrap_or(if ip.is_ipv6() { IPV6 } else { IPV4 });
            let header = IpHeader { src, dst, proto: Some(proto), ports };
            let (outer_vlan, inner_vlan) = vlans;
            Packet { src_mac, dst_mac, outer_vlan, inner_vlan, ether_type, ip: kind.is_none().then_some(header) }
        },
    )
}

/// What must not matter.
pub fn shape() -> impl Strategy<Value = Shape> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..40u8).prop_map(
        |(options, first_fragment, service_tag, payload)| Shape { options, first_fragment, service_tag, payload },
    )
}
