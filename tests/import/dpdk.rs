//! DPDK's own cases: each packet with the container, VLAN and domain that it is about.

use std::fs;

use nicfw::policy::import::Format;
use nicfw::{Direction, Verdict};
use serde_json::Value;

use crate::common::{Probe, listed, read, settings};

const FILE: &str = "tests/data/dpdk-acl/acl_test.json";

/// Whether a rule of the file matches a packet, as its fields read.
fn matches(rule: &Value, packet: &Value) -> bool {
    let masked = |name: &str| {
        let mask = rule[format!("{name}_mask")].as_u64().unwrap();
        rule[name].as_u64().unwrap() & mask == packet[name].as_u64().unwrap() & mask
    };
    let addr = |name: &str| {
        let (net, len) = rule[name].as_str().unwrap().split_once('/').unwrap();
        let bits = |text: &str| u64::from(text.parse::<std::net::Ipv4Addr>().unwrap().to_bits());
        let shift = 32 - len.parse::<u32>().unwrap();
        bits(net) >> shift == bits(packet[name].as_str().unwrap()) >> shift
    };
    let port = |name: &str| {
        let (first, last) = (rule[name][0].as_u64().unwrap(), rule[name][1].as_u64().unwrap());
        (first, last) == (0, 65535) || {
            // The adapter sees ports of these alone.
            let has_ports = [6, 17, 132].contains(&packet["proto"].as_u64().unwrap());
            has_ports && (first..=last).contains(&packet[name].as_u64().unwrap())
        }
    };
    masked("proto")
        && masked("vlan")
        && masked("domain")
        && addr("src")
        && addr("dst")
        && port("sport")
        && port("dport")
}

fn best<'a>(rules: &'a [Value], packet: &Value, category: &str) -> Option<&'a Value> {
    let of = rules.iter().filter(|rule| rule["category"] == category && matches(rule, packet));
    of.max_by_key(|rule| rule["priority"].as_i64())
}

/// The packets of the file as they are, with other addresses where nobody can bind theirs, and once more as TCP.
fn packets(json: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for packet in json["packets"].as_array().unwrap() {
        for proto in [packet["proto"].as_u64().unwrap(), 6, 17] {
            let mut packet = packet.clone();
            packet["proto"] = Value::from(proto);
            if packet["dst"] == "0.0.0.0" {
                packet["dst"] = Value::from("100.64.0.1");
            }
            all.push(packet);
        }
    }
    all
}

#[test]
fn cases_of_dpdk_agree_under_the_vlan_and_domain_that_are_given() {
    let text = fs::read_to_string(FILE).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let rules = json["rules"].as_array().unwrap();
    let (mut allowed, mut denied, mut widened) = (0, 0, 0);
    for packet in packets(&json) {
        let number = |name: &str| u16::try_from(packet[name].as_u64().unwrap()).unwrap();
        // A VLAN tag of a frame has 12 bits of VLAN; the file's other values cannot be bound.
        if number("vlan") > 4094 {
            continue;
        }
        let mut settings = settings(&[packet["dst"].as_str().unwrap()]);
        (settings.vlan, settings.domain) = (Some(number("vlan")), Some(number("domain")));
        let import = read(Format::DpdkAcl, &text, &settings).unwrap();
        let bits = |name: &str| packet[name].as_str().unwrap().parse::<std::net::Ipv4Addr>().unwrap().to_bits();
        let proto = u8::try_from(number("proto")).unwrap();
        let probe = Probe::v4(bits("src"), bits("dst"), proto, number("sport"), number("dport"));
        let vlan = settings.vlan.filter(|vlan| *vlan != 0);
        let decision = import.document.decide(&probe.flow(Direction::Rx, vlan));
        let (allow, deny) = (best(rules, &packet, "allow"), best(rules, &packet, "deny"));
        let expected = allow.is_some() && deny.is_none();
        if decision.verdict == Verdict::Deny && expected {
            // A rule about ports of a protocol without ports denies more, never less, and its own row says so.
            let origin = import.document.origin(&decision.why).and_then(|origin| origin.reason.clone());
            let line =
                origin.as_deref().and_then(|reason| reason.split(':').nth(1)).unwrap_or_else(|| panic!("{packet}"));
            let row = format!("{line}: denies more: ");
            assert!(listed(&import).iter().any(|listed| listed.starts_with(&row)), "{packet}: rule of line {line}");
            widened += 1;
        } else {
            assert_eq!(decision.verdict == Verdict::Allow, expected, "{packet} {allow:?} {deny:?}");
        }
        if decision.verdict == Verdict::Allow { allowed += 1 } else { denied += 1 }
    }
    assert!(allowed > 40 && denied > 40 && widened < denied, "{allowed} {denied} {widened}");
}

/// The file's own expectations are what [`matches`] says, ports of every protocol counted.
#[test]
fn this_test_reads_the_file_as_dpdk_does() {
    let json: Value = serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
    let rules = json["rules"].as_array().unwrap();
    let portless = rules.iter().filter(|rule| rule["sport"][1] == 65535 && rule["dport"][1] == 65535).cloned();
    let portless: Vec<Value> = portless.collect();
    for packet in json["packets"].as_array().unwrap() {
        for category in ["allow", "deny"] {
            let expected = packet[format!("expect_{category}_rule")].as_u64().unwrap();
            if portless.iter().any(|rule| rule["id"] == expected) {
                assert_eq!(best(&portless, packet, category).map(|rule| rule["id"].as_u64().unwrap()), Some(expected));
            }
        }
    }
}

#[test]
fn without_vlan_and_domain_denies_widen_and_allows_are_left_out() {
    let text = fs::read_to_string(FILE).unwrap();
    let import = read(Format::DpdkAcl, &text, &settings(&["192.168.2.50"])).unwrap();
    let unknown = [
        "132: left out: the vlan",
        "153: left out: the vlan",
        "174: denies more: the vlan",
        "195: left out: the domain",
        "216: left out: the domain",
        "237: denies more: the domain",
    ]
    .map(|line| format!("{line} of the container's traffic was not given"));
    // Ports of every protocol.
    let ports = [
        "258: left out",
        "279: left out",
        "300: denies more",
        "321: denies more",
        "342: left out",
        "363: left out",
        "384: denies more",
        "405: denies more",
    ]
    .map(|line| format!("{line}: the adapter sees the ports of tcp, udp and sctp alone"));
    assert_eq!(listed(&import), [&unknown[..], &ports[..]].concat());
    let probe = Probe::v4(0x0a00_0001, 0xc0a8_0232, 6, 1, 2);
    assert_eq!(
        import.document.decide(&probe.flow(Direction::Rx, None)).verdict,
        Verdict::Deny,
        "rule 9 became any VLAN"
    );
}
