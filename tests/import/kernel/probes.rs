//! The frames that are sent through a file: at the edges of everything that the generators name, as chance has it.

use std::collections::HashSet;
use std::net::IpAddr;

use nicfw::Direction;
use nicfw::policy::import::View;
use nicfw_test_kit::dice::Dice;

use crate::frames::{ACK, Body, FIN, Frame, RST, SYN};
use crate::judge::Source;

const REMOTES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.5",
    "10.0.0.9",
    "10.0.0.10",
    "10.0.0.200",
    "10.0.0.201",
    "10.0.1.0",
    "10.0.1.9",
    "10.0.1.255",
    "10.0.2.127",
    "10.0.2.128",
    "10.0.3.5",
    "192.0.2.55",
    "198.51.100.7",
    "198.51.100.8",
    "203.0.113.127",
    "203.0.113.128",
    "8.8.8.8",
    "2001:db8:1::1",
    "2001:db8:1::5",
    "2001:db8:1::9",
    "2001:db8:1::10",
    "2001:db8:1:0:8000::1",
    "2001:db8:2::1",
    "2001:db8:2::f",
    "2001:db8:9::1",
    "fd00::1",
    "2001:4860::8888",
];
const SERVERS: &[u16] =
    &[22, 23, 53, 79, 80, 81, 82, 443, 444, 999, 1000, 1023, 1024, 2000, 2001, 8000, 8080, 65535, 1, 0];
const CLIENTS: &[u16] = &[40000, 50000, 33333, 60000, 53, 80, 1500, 22, 65535];

/// Random frames, each conversation with its own addresses and ports.
pub fn frames(source: &Source, most: usize, dice: &mut Dice) -> Vec<Frame> {
    let mut taken = HashSet::new();
    let translated = ["MASQUERADE", "SNAT", "masquerade", "snat"].iter().any(|word| source.text.contains(word));
    let mut frames = Vec::new();
    let mut id = 0;
    for _ in 0..most {
        let direction = if dice.chance(60) { Direction::Rx } else { Direction::Tx };
        let local = source.ips[dice.below(source.ips.len())];
        let remotes = REMOTES.iter().map(|ip| ip.parse::<IpAddr>().unwrap());
        let remotes: Vec<_> = remotes.filter(|ip| ip.is_ipv4() == local.is_ipv4()).collect();
        let remote = dice.pick(&remotes);
        let (src, dst) = if direction == Direction::Rx { (remote, local) } else { (local, remote) };
        id += 1;
        let body = body(source, local.is_ipv4(), id, dice);
        // Of two senders without ports and one translated source only the first gets through.
        if (translated || source.redirects()) && matches!(body, Body::Other(_)) {
            continue;
        }
        let frame = Frame { direction, src, dst, body };
        // A conversation of which another frame was a part already would not begin with this one.
        let ports = frame.ports().unwrap_or((0, 0));
        let ports = if direction == Direction::Rx { ports } else { (ports.1, ports.0) };
        let key = match body {
            Body::Icmp(_, id) => (remote, local, u16::from(frame.proto()), (id, 0)),
            _ => (remote, local, u16::from(frame.proto()), ports),
        };
        if !source.tracked || taken.insert(key) {
            frames.push(frame);
        }
    }
    frames
}

fn body(source: &Source, v4: bool, id: u16, dice: &mut Dice) -> Body {
    let client = if dice.chance(70) { 33_000 + u16::try_from(dice.below(20_000)).unwrap() } else { dice.pick(CLIENTS) };
    let server = dice.pick(SERVERS);
    let (src, dst) = if dice.chance(90) { (client, server) } else { (server, client) };
    // On a host the kernel puts fragments together before it judges them.
    // What kernels take for the ports of a later fragment is whatever bytes it has.
    let whole = source.tracked || source.view == View::Host || source.text.contains("port");
    match dice.below(20) {
        0..8 => {
            let flags = match source.tracked {
                true => dice.pick(&[SYN, SYN, SYN, ACK]),
                false => dice.pick(&[SYN, SYN, ACK, SYN | ACK, RST, FIN, FIN | ACK]),
            };
            Body::Tcp(src, dst, flags)
        }
        8..13 => Body::Udp(src, dst),
        13..15 => Body::Sctp(src, dst, 0),
        15..17 => {
            let echo = if v4 { 8 } else { 128 };
            let others: &[u8] = if v4 { &[0, 3, 5, 8, 11, 13] } else { &[1, 3, 128, 129] };
            Body::Icmp(if source.tracked { echo } else { dice.pick(others) }, id)
        }
        17 if !whole => Body::Fragment(dice.pick(&[6, 17, 17, 47])),
        _ => Body::Other(dice.pick(&[47, 50, 89, 2, 136, 33, 255, 4])),
    }
}
