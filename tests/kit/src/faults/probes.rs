//! Packets at the corners of documents, and a few by chance: what the oracle looks at after each command.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nicfw::policy::Document;
use nicfw::terms::{Direction, Interval, IpHeader, MacAddr, Packet, Verdict};
use nicfw_model::Model;
use nicfw_model::packet::{Headers, parse};

use crate::dice::Dice;
use crate::judged::passes;

/// The containers of all workloads: `10.30.1.N` with the MAC `02:00:0a:1e:01:N`.
pub const CONTAINERS: [u8; 4] = [1, 2, 3, 9];

/// A packet to or from a container, judged on that side.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub container: u8,
    pub direction: Direction,
    packet: Packet,
    headers: Headers,
}

/// Remote address, protocol, local and remote port.
type Corner = (u32, u8, Option<(u16, u16)>);

impl Probe {
    fn new(container: u8, direction: Direction, (remote, proto, ports): Corner) -> Self {
        let (local_mac, remote_mac) = (MacAddr([2, 0, 10, 30, 1, container]), MacAddr([2, 0, 0, 0, 0, 0x99]));
        let (local, remote) = (IpAddr::from([10, 30, 1, container]), IpAddr::from(Ipv4Addr::from(remote)));
        let rx = direction == Direction::Rx;
        let (src, dst) = if rx { (remote, local) } else { (local, remote) };
        let (src_mac, dst_mac) = if rx { (remote_mac, local_mac) } else { (local_mac, remote_mac) };
        let ports = ports.map(|(local, remote)| if rx { (remote, local) } else { (local, remote) });
        let ip = Some(IpHeader { src, dst, proto: Some(proto), ports });
        let packet = Packet { src_mac, dst_mac, outer_vlan: None, inner_vlan: None, ether_type: 0x0800, ip };
        Self::of(container, direction, packet, &frame(&packet))
    }

    fn of(container: u8, direction: Direction, packet: Packet, frame: &[u8]) -> Self {
        Self { container, direction, packet, headers: parse(frame).expect("a whole frame") }
    }

    /// The same packet as a later fragment: what stands in the place of its ports is payload.
    fn later_fragment(&self) -> Self {
        let mut frame = frame(&self.packet);
        frame[20..22].copy_from_slice(&[0x00, 0x10]);
        let ip = self.packet.ip.map(|ip| IpHeader { ports: None, ..ip });
        Self::of(self.container, self.direction, Packet { ip, ..self.packet }, &frame)
    }

    /// LLDP, from and to the same neighbours.
    fn without_ip(&self) -> Self {
        let packet = Packet { ether_type: 0x88cc, ip: None, ..self.packet };
        let mut frame = [packet.dst_mac.0, packet.src_mac.0].concat();
        frame.extend(packet.ether_type.to_be_bytes());
        frame.resize(60, 0);
        Self::of(self.container, self.direction, packet, &frame)
    }

    /// What a document says, if it alone decides.
    fn decided(&self, document: &Document) -> Verdict {
        document.decide(&self.packet.judged(self.direction, 0)).verdict
    }
}

/// Ethernet, IPv4 without options, and the first bytes of what follows.
fn frame(packet: &Packet) -> Vec<u8> {
    let Some(IpHeader { src: IpAddr::V4(src), dst: IpAddr::V4(dst), proto: Some(proto), ports }) = packet.ip else {
        panic!("the matrix is IPv4")
    };
    let mut frame = [packet.dst_mac.0, packet.src_mac.0].concat();
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0]);
    frame.extend(src.octets());
    frame.extend(dst.octets());
    let (from, to) = ports.unwrap_or((0x0800, 0));
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// The ends of intervals, and the points beside them.
fn ends<T: Copy>(intervals: &[Interval<T>], prev: fn(T) -> T, next: fn(T) -> T) -> Vec<T> {
    intervals.iter().flat_map(|i| [prev(i.first), i.first, i.last, next(i.last)]).collect()
}

/// The corners of some documents: the ends of all their sets, at every container and both ways.
fn corners(documents: &[&Document]) -> Vec<Probe> {
    let rules = || documents.iter().flat_map(|document| &document.policies).flat_map(|policy| &policy.rules);
    let (mut remotes, mut ports) = (BTreeSet::new(), BTreeSet::from([40_000]));
    remotes.extend(CONTAINERS.map(|n| u32::from(Ipv4Addr::new(10, 30, 1, n))));
    for rule in rules() {
        remotes.extend(ends(rule.remote.set.v4.intervals(), |a| a.saturating_sub(1), |a| a.saturating_add(1)));
        for pair in rule.ports.iter() {
            for set in [&pair.local, &pair.remote] {
                ports.extend(ends(set.intervals(), |a| a.saturating_sub(1), |a| a.saturating_add(1)));
            }
        }
    }
    let mut out = Vec::new();
    for remote in remotes {
        let mut corners: Vec<Corner> = vec![(remote, 1, None)];
        for port in &ports {
            corners.extend([6, 17].map(|proto| (remote, proto, Some((*port, 40_000)))));
            corners.extend([6, 17].map(|proto| (remote, proto, Some((40_001, *port)))));
        }
        for corner in corners {
            for container in CONTAINERS.into_iter().filter(|n| remote != u32::from(Ipv4Addr::new(10, 30, 1, *n))) {
                out.extend([Direction::Rx, Direction::Tx].map(|direction| Probe::new(container, direction, corner)));
            }
        }
    }
    let ported = out.iter().filter(|probe| probe.packet.ip.is_some_and(|ip| ip.ports.is_some()));
    let fragments: Vec<Probe> = ported.map(Probe::later_fragment).collect();
    out.extend(fragments);
    out
}

/// The corners of a change, by what the documents before and after it say of them.
pub struct Corners {
    /// Only one of them lets it through.
    differ: Vec<Probe>,
    /// Both let it through, by a rule.
    allowed: Vec<Probe>,
    /// Neither does.
    denied: Vec<Probe>,
    /// Of no container that any of them binds.
    unbound: Vec<Probe>,
}

impl Corners {
    /// Documents with the containers that have base denies and nothing else.
    pub fn new(before: (&Document, &[u8]), after: (&Document, &[u8])) -> Self {
        let mut out = Self { differ: Vec::new(), allowed: Vec::new(), denied: Vec::new(), unbound: Vec::new() };
        let all = corners(&[before.0, after.0]);
        let passes = |side: (&Document, &[u8])| decided(side.0, side.1, &all);
        let (was, is) = (passes(before), passes(after));
        let bound = |n| [before, after].iter().any(|(document, closed)| closed.contains(&n) || binds(document, n));
        for (at, probe) in all.into_iter().enumerate() {
            let class = match (was[at], is[at]) {
                _ if !bound(probe.container) => &mut out.unbound,
                (true, true) => &mut out.allowed,
                (false, false) => &mut out.denied,
                _ => &mut out.differ,
            };
            class.push(probe);
        }
        out
    }

    /// Some of each, and a few packets by dice.
    pub fn some(&self, dice: &mut Dice) -> Vec<Probe> {
        let mut out = Vec::new();
        for (class, most) in [(&self.differ, 32), (&self.allowed, 40), (&self.denied, 40), (&self.unbound, 4)] {
            let draws = if class.len() <= most { 0 } else { most };
            out.extend((0..draws).map(|_| class[dice.below(class.len())]));
            out.extend(class.iter().filter(|_| draws == 0));
        }
        for _ in 0..12 {
            let number = dice.word().to_le_bytes();
            let port = |at: usize| u16::from_le_bytes([number[at], number[at + 1]]);
            let remote = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
            let container = CONTAINERS[dice.below(CONTAINERS.len())];
            let direction = if dice.below(2) == 0 { Direction::Rx } else { Direction::Tx };
            out.push(Probe::new(container, direction, (remote, 6, Some((port(4), port(6))))));
        }
        let without_ip: Vec<Probe> = out.iter().rev().take(4).map(Probe::without_ip).collect();
        // Fragments whose bytes look like the ports of what passes: they do not.
        let ported = out.iter().filter(|probe| probe.packet.ip.is_some_and(|ip| ip.ports.is_some()));
        let fragments: Vec<Probe> = ported.take(8).map(Probe::later_fragment).collect();
        out.extend(without_ip);
        out.extend(fragments);
        out
    }
}

fn binds(document: &Document, container: u8) -> bool {
    let name = format!("shop-{container}");
    document.bindings.iter().any(|binding| binding.container == name)
}

/// Which of them a document lets through; containers in `closed` have base denies and nothing else.
pub fn decided(document: &Document, closed: &[u8], probes: &[Probe]) -> Vec<bool> {
    let passes = |probe: &Probe| !closed.contains(&probe.container) && probe.decided(document) == Verdict::Allow;
    probes.iter().map(passes).collect()
}

/// Which of them the model lets through.
pub fn judged(model: &Model, probes: &[Probe]) -> Vec<bool> {
    passes(model, probes.iter().map(|probe| (probe.direction, probe.headers)))
}
