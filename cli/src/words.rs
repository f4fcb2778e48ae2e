//! Decisions and frames in few words, for tables.

use std::net::SocketAddr;

use nicfw::policy::{Decision, Document, Proto, RulePlace, Why};
use nicfw::terms::{Direction, Flow, IpHeader, Packet, Verdict};

use crate::entries;

/// What decided, as `web rule 1, shop.yaml:12 CHG-1042`. Short on purpose: without the file's folder, since all of a
/// document is in one file. `Document::describe` says it in full.
pub fn short(document: &Document, decision: &Decision) -> String {
    let reason = reason(document, &decision.why);
    let Some(origin) = document.origin(&decision.why) else { return reason };
    let file = origin.file.rsplit('/').next().unwrap_or_default();
    // A binding's ticket says nothing about why its frames are denied.
    let ticket = origin.ticket.as_deref().filter(|_| matches!(decision.why, Why::Rule { .. }));
    let ticket = ticket.map(|ticket| format!(" {ticket}")).unwrap_or_default();
    format!("{reason}, {file}:{}{ticket}", origin.line)
}

fn reason(document: &Document, why: &Why) -> String {
    let container = |binding: usize| document.bindings.get(binding).map_or("?", |b| b.container.as_str());
    let policy = |index: usize| document.policies.get(index).map_or("?", |policy| policy.name.as_str());
    match *why {
        Why::Rule { place, reply, .. } => {
            let reply = if reply { "reply to " } else { "" };
            match place {
                RulePlace::Management(rule) => format!("{reply}management rule {}", rule + 1),
                RulePlace::Policy(of, rule) => format!("{reply}{} rule {}", policy(of), rule + 1),
            }
        }
        Why::NoRule { binding } => {
            let of = document.bindings.get(binding).map_or("?", |b| policy(b.policy));
            format!("no rule of {of}")
        }
        Why::ForeignMac { binding } => format!("{}'s IP, foreign MAC", container(binding)),
        Why::ForeignVlan { binding } => format!("{}'s IP, foreign VLAN", container(binding)),
        Why::ForeignPort { binding } => format!("{}'s IP, foreign port", container(binding)),
        Why::OwnedMac { binding } => format!("{}'s MAC, foreign IP", container(binding)),
        Why::NeighbourDiscovery { .. } => "nd: open-icmpv6".to_owned(),
        Why::Multicast { .. } => "multicast: deny".to_owned(),
        Why::Arp => "arp that IPv4 needs".to_owned(),
        Why::Unbound => format!("unbound: {}", verdict(document.unbound)),
    }
}

/// A verdict in a word.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}

/// A direction in a word.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Rx => "rx",
        Direction::Tx => "tx",
    }
}

/// A frame in few words: what it is, who sends it to whom, and its tags.
pub fn packet(packet: &Packet) -> String {
    let mut words = match packet.ip {
        Some(ip) => {
            let proto = ip.proto.map_or("unknown".to_owned(), |number| Proto::Is(number).to_string());
            let (src, dst) = match ip.ports {
                Some((src, dst)) => {
                    (SocketAddr::new(ip.src, src).to_string(), SocketAddr::new(ip.dst, dst).to_string())
                }
                None => (ip.src.to_string(), ip.dst.to_string()),
            };
            format!("{proto} {src} > {dst}")
        }
        None => format!("{} {} > {}", entries::ether_type(packet.ether_type), packet.src_mac, packet.dst_mac),
    };
    for vlan in packet.outer_vlan.iter().chain(&packet.inner_vlan) {
        words.push_str(&format!(" vlan {vlan}"));
    }
    words
}

/// A judgement in few words: the frame, seen from the wire, and where it is judged.
pub fn flow(flow: &Flow) -> String {
    let rx = flow.direction == Direction::Rx;
    let turned = |local, remote| if rx { (remote, local) } else { (local, remote) };
    let (src_mac, dst_mac) = if rx { (flow.remote_mac, flow.local_mac) } else { (flow.local_mac, flow.remote_mac) };
    let ip = flow.ip.map(|ip| {
        let (src, dst) = if rx { (ip.remote, ip.local) } else { (ip.local, ip.remote) };
        IpHeader { src, dst, proto: ip.proto, ports: ip.ports.map(|ports| turned(ports.local, ports.remote)) }
    });
    let (outer_vlan, inner_vlan, ether_type) = (flow.outer_vlan, flow.inner_vlan, flow.ether_type);
    let words = packet(&Packet { src_mac, dst_mac, outer_vlan, inner_vlan, ether_type, ip });
    format!("{words} {}", if rx { "in" } else { "out" })
}
