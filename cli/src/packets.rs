//! Frames as the adapter's parser sees them.

use nicfw::terms::{IpHeader, Packet};
use nicfw_model::packet::{Headers, parse};

/// The headers of a frame as the adapter's parser sees them; `None` for one too short to be a frame.
pub fn packet(frame: &[u8]) -> Option<Packet> {
    parse(frame).ok().as_ref().map(seen)
}

/// What the parser sees, as a policy decides about it.
pub fn seen(headers: &Headers) -> Packet {
    let Headers { src_mac, dst_mac, outer_vlan, inner_vlan, ether_type, ip } = *headers;
    let ip = ip.map(|ip| IpHeader { src: ip.src, dst: ip.dst, proto: ip.proto, ports: ip.ports });
    Packet { src_mac, dst_mac, outer_vlan, inner_vlan, ether_type, ip }
}
