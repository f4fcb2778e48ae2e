//! Group addresses.

use std::net::{IpAddr, Ipv6Addr};

/// The solicited-node group of an address (RFC 4291, 2.7.1): ff02::1:ff and its low 24 bits.
pub(crate) fn solicited_node(ip: Ipv6Addr) -> IpAddr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c])).into()
}
