//! The ClassBench sets against the probes that came with them: verdict and line.

use std::collections::BTreeMap;
use std::fs;

use nicfw::policy::import::Format;
use nicfw::{Direction, Verdict};

use crate::common::{Probe, decide, listed, read, rules, settings};

struct Line {
    src: u32,
    dst: u32,
    proto: u8,
    ports: (u16, u16),
    first: i64,
}

fn probes(name: &str) -> Vec<Line> {
    let text = fs::read_to_string(format!("tests/data/classbench/{name}.probe.tsv")).unwrap();
    let line = |line: &str| {
        let field: Vec<i64> = line.split('\t').map(|word| word.parse().unwrap()).collect();
        let port = |i: usize| u16::try_from(field[i]).unwrap();
        Line {
            src: u32::try_from(field[0]).unwrap(),
            dst: u32::try_from(field[1]).unwrap(),
            ports: (port(2), port(3)),
            proto: u8::try_from(field[4]).unwrap(),
            first: field[5],
        }
    };
    text.lines().filter(|text| !text.starts_with('#')).map(line).collect()
}

/// The container that most probes go to, or come from, and some others.
fn busiest(probes: &[Line], address: impl Fn(&Line) -> u32, count: usize) -> Vec<u32> {
    let mut by: BTreeMap<u32, usize> = BTreeMap::new();
    for probe in probes.iter().filter(|probe| probe.first >= 0) {
        *by.entry(address(probe)).or_default() += 1;
    }
    let mut by: Vec<_> = by.into_iter().filter(|(ip, _)| *ip >> 28 < 14 && ip >> 24 != 127 && *ip >> 24 != 0).collect();
    by.sort_by_key(|(ip, n)| (std::cmp::Reverse(*n), *ip));
    by.into_iter().take(count).map(|(ip, _)| ip).collect()
}

fn agrees(name: &str) {
    let text = fs::read_to_string(format!("tests/data/classbench/{name}.rules")).unwrap();
    let probes = probes(name);
    for direction in [Direction::Rx, Direction::Tx] {
        let local = |probe: &Line| if direction == Direction::Rx { probe.dst } else { probe.src };
        let mut checked = 0;
        for ip in busiest(&probes, local, 6) {
            let bound = std::net::Ipv4Addr::from(ip).to_string();
            let mut settings = settings(&[&bound]);
            // The sets name groups like any other address.
            (settings.unbound, settings.multicast) = (Verdict::Allow, Verdict::Allow);
            let import = read(Format::Classbench, &text, &settings).unwrap();
            assert_eq!(listed(&import), [""; 0], "{name}");
            for probe in probes.iter().filter(|probe| local(probe) == ip) {
                let packet = Probe::v4(probe.src, probe.dst, probe.proto, probe.ports.0, probe.ports.1);
                let (verdict, reason) = decide(&import.document, &packet, direction);
                let allowed = probe.first >= 0 && probe.first % 2 == 0;
                assert_eq!(verdict == Verdict::Allow, allowed, "{name}: {packet:?}, line {}: {reason:?}", probe.first);
                if probe.first >= 0 {
                    let line = format!("old:{}: ", probe.first + 1);
                    assert!(reason.as_ref().is_some_and(|reason| reason.starts_with(&line)), "{line} {reason:?}");
                }
                checked += 1;
            }
        }
        assert!(checked > 20, "{name}: only {checked} probes");
    }
}

#[test]
fn acl1_agrees_with_its_probes() {
    agrees("acl1_1k");
}

#[test]
fn fw1_agrees_with_its_probes() {
    agrees("fw1_1k");
}

#[test]
fn ipc1_agrees_with_its_probes() {
    agrees("ipc1_1k");
}

#[test]
fn a_line_is_said_from_the_container_s_side() {
    let text = "@10.0.0.0/8\t10.30.1.0/24\t0 : 65535\t80 : 88\t0x06/0xFF\t0x0000/0x0200\t\n\
                @10.30.1.17/32\t0.0.0.0/0\t53 : 53\t0 : 65535\t0x00/0x00\t0x0000/0x0000\n";
    let import = read(Format::Classbench, text, &settings(&["10.30.1.17", "10.30.2.17"])).unwrap();
    assert_eq!(
        rules(&import),
        [
            "allow: in, proto: tcp, remote: 10.0.0.0/8, local_ports: 80-88, local: 10.30.1.17, replies: no",
            "deny: in, proto: any, remote: 10.30.1.17, remote_ports: 53",
            "deny: in, proto: any",
            "allow: out, proto: tcp, remote: 10.30.1.0/24, remote_ports: 80-88, replies: no",
            "deny: out, proto: any, local_ports: 53, local: 10.30.1.17",
            "deny: out, proto: any",
        ]
    );
}

#[test]
fn a_deny_of_a_protocol_without_ports_is_widened_and_an_allow_is_left_out() {
    let text = "@0.0.0.0/0 10.30.1.17/32 0 : 65535 80 : 80 0x2f/0xFF 0x0/0x0\n\
                @0.0.0.0/0 10.30.1.17/32 0 : 65535 80 : 80 0x2f/0xFF 0x0/0x0\n";
    let import = read(Format::Classbench, text, &settings(&["10.30.1.17"])).unwrap();
    assert_eq!(
        listed(&import),
        [
            "1: left out: the adapter sees the ports of tcp, udp and sctp alone",
            "2: denies more: the adapter sees the ports of tcp, udp and sctp alone",
        ]
    );
    assert!(rules(&import).contains(&"deny: in, proto: 47"));
}
