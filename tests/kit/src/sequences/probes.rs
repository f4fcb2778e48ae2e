//! The flows that the oracle asks the model about, as bits of a word: few enough to ask after every command.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use nicfw::policy::Document;
use nicfw::terms::{Direction, Flow, IpHeader, MacAddr, Packet, Verdict};
use nicfw_model::Model;
use nicfw_model::packet::{Headers, parse};

use crate::judged::passes;

/// Which flows pass: bit `n` is about probe `n`.
pub type Mask = u64;

/// Local addresses and MACs, by their last bytes: containers with their own, with an address that another one has too at
/// times, and with one that nobody has.
const LOCALS: [(u8, u8); 13] =
    [(1, 1), (1, 2), (1, 3), (2, 2), (2, 1), (3, 3), (4, 1), (4, 4), (5, 5), (5, 2), (9, 9), (9, 1), (9, 4)];

/// A packet to or from an address of a container, judged on that side.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Last byte of the local address.
    pub container: u8,
    /// Which way it goes.
    pub direction: Direction,
    /// Last byte of the local MAC.
    mac: u8,
    packet: Packet,
    headers: Headers,
}

/// `10.30.1.N`.
pub const fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 30, 1, last))
}

/// `02:00:0a:1e:01:N`.
pub const fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 10, 30, 1, last])
}

/// Remote address, protocol, local and remote port, direction.
type Talk = ([u8; 4], u8, u16, u16, Direction);

/// What the policies of the pool tell apart.
const TALKS: [Talk; 4] = [
    ([10, 20, 1, 1], 6, 80, 51_000, Direction::Rx),
    ([10, 21, 1, 1], 6, 443, 51_000, Direction::Rx),
    ([10, 0, 0, 53], 17, 40_000, 53, Direction::Tx),
    ([203, 0, 113, 9], 6, 22, 51_000, Direction::Rx),
];

impl Probe {
    fn new(local: u8, local_mac: u8, (remote, proto, local_port, remote_port, direction): Talk) -> Self {
        let (own, peer) = (mac(local_mac), MacAddr([2, 0, 0, 0, 0, 0x99]));
        let rx = direction == Direction::Rx;
        let (src, dst) = if rx { (IpAddr::from(remote), ip(local)) } else { (ip(local), IpAddr::from(remote)) };
        let (src_mac, dst_mac) = if rx { (peer, own) } else { (own, peer) };
        let ports = if rx { (remote_port, local_port) } else { (local_port, remote_port) };
        let header = Some(IpHeader { src, dst, proto: Some(proto), ports: Some(ports) });
        let packet = Packet { src_mac, dst_mac, outer_vlan: None, inner_vlan: None, ether_type: 0x0800, ip: header };
        let headers = parse(&frame(&packet)).expect("a whole frame");
        Self { container: local, direction, mac: local_mac, packet, headers }
    }

    /// As people write it, if its MAC is that of the container of its address.
    pub fn words(&self) -> Option<String> {
        let header = self.packet.ip.filter(|_| self.mac == self.container)?;
        let (proto, ports) = (if header.proto == Some(17) { "udp" } else { "tcp" }, header.ports?);
        let way = if self.direction == Direction::Rx { "in" } else { "out" };
        Some(format!("{proto} {}:{} > {}:{} {way}", header.src, ports.0, header.dst, ports.1))
    }

    /// As a policy sees it.
    pub fn flow(&self) -> Flow {
        self.packet.judged(self.direction, 0)
    }
}

/// Ethernet, IPv4 without options, and the ports.
fn frame(packet: &Packet) -> Vec<u8> {
    let Some(IpHeader { src: IpAddr::V4(src), dst: IpAddr::V4(dst), proto: Some(proto), ports: Some(ports) }) =
        packet.ip
    else {
        panic!("the probes are IPv4 with ports")
    };
    let mut frame = [packet.dst_mac.0, packet.src_mac.0].concat();
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0]);
    frame.extend([src.octets(), dst.octets()].concat());
    frame.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
    frame.resize(60, 0);
    frame
}

/// All of them.
pub fn probes() -> &'static [Probe] {
    static PROBES: OnceLock<Vec<Probe>> = OnceLock::new();
    PROBES.get_or_init(|| {
        let out: Vec<Probe> =
            LOCALS.iter().flat_map(|(ip, mac)| TALKS.map(|talk| Probe::new(*ip, *mac, talk))).collect();
        assert!(out.len() <= 64, "a bit each");
        out
    })
}

fn mask_of(is: impl Fn(&Probe) -> bool) -> Mask {
    probes().iter().enumerate().filter(|(_, probe)| is(probe)).fold(0, |mask, (at, _)| mask | 1 << at)
}

/// All probes.
pub fn all() -> Mask {
    mask_of(|_| true)
}

/// Those of a local address.
pub fn of_ip(last: u8) -> Mask {
    mask_of(|probe| probe.container == last)
}

/// Those of a local MAC.
pub fn of_mac(last: u8) -> Mask {
    mask_of(|probe| probe.mac == last)
}

/// What a document lets through, if it alone decides.
pub fn says(document: &Document) -> Mask {
    mask_of(|probe| document.decide(&probe.flow()).verdict == Verdict::Allow)
}

/// Which probes the model lets through.
pub fn judged(model: &Model, probes: &[Probe]) -> Vec<bool> {
    passes(model, probes.iter().map(|probe| (probe.direction, probe.headers)))
}

/// What passes now.
pub fn passing(model: &Model) -> Mask {
    judged(model, probes()).iter().enumerate().fold(0, |mask, (at, passes)| mask | u64::from(*passes) << at)
}

/// In words, for whoever reads what went wrong.
pub fn told(mask: Mask) -> String {
    let one = |probe: &Probe| {
        let talk = probe.packet.ip.expect("IPv4");
        format!("{:?} .{} mac {} {} > {}", probe.direction, probe.container, probe.mac, talk.src, talk.dst)
    };
    let words: Vec<String> =
        probes().iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1).map(|(_, probe)| one(probe)).collect();
    words.join("; ")
}
