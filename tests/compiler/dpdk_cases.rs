//! DPDK's own cases (`tests/data/README.md`) under ranked lookup orders: image, model and `explain` against the document,
//! which `tests/import` compares with the file.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use nicfw::policy::Why;
use nicfw::policy::import::{Format, Settings, import};
use nicfw::tables::{Compiled, MatchFields, Target};
use nicfw::terms::{Direction, Flow, IpFlow, MacAddr, Ports, Verdict};
use nicfw_test_kit::orders::{ranked, shuffled, specific_first};
use serde_json::Value;

use crate::is_sound;
use crate::universe::{engine, seen};

const MAC: MacAddr = MacAddr([0x02, 0, 0x0a, 0x1e, 0x01, 0x11]);

fn flow(packet: &Value, local: IpAddr, vlan: Option<u16>, proto: u8) -> Flow {
    let number = |name: &str| u16::try_from(packet[name].as_u64().unwrap()).unwrap();
    let ports = matches!(proto, 6 | 17 | 132).then(|| Ports { local: number("dport"), remote: number("sport") });
    let remote = packet["src"].as_str().unwrap().parse().unwrap();
    Flow {
        direction: Direction::Rx,
        physical_port: 0,
        local_mac: MAC,
        remote_mac: MacAddr([0x02, 0, 0, 0, 0, 0x99]),
        outer_vlan: vlan,
        inner_vlan: None,
        ether_type: 0x0800,
        ip: Some(IpFlow { local, remote, proto: Some(proto), ports }),
    }
}

/// How many orders took a document, how many refused it, and flows compared.
fn run(seeds: std::ops::Range<u64>) -> (usize, usize, usize) {
    use MatchFields as F;
    let text = fs::read_to_string("tests/data/dpdk-acl/acl_test.json").unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut by_domain: BTreeMap<(u16, u16), BTreeMap<IpAddr, Vec<&Value>>> = BTreeMap::new();
    for packet in json["packets"].as_array().unwrap() {
        let number = |name: &str| u16::try_from(packet[name].as_u64().unwrap()).unwrap();
        let dst: Ipv4Addr = packet["dst"].as_str().unwrap().parse().unwrap();
        // Nobody can bind that one.
        let dst = if dst.is_unspecified() { Ipv4Addr::new(100, 64, 0, 1) } else { dst };
        if number("vlan") <= 4094 {
            let here = by_domain.entry((number("vlan"), number("domain"))).or_default();
            here.entry(dst.into()).or_default().push(packet);
        }
    }
    let (mut taken, mut refused, mut flows) = (0, 0, 0);
    let local = F::LOCAL_IP | F::LOCAL_MAC | F::ETHER_TYPE;
    for ((vlan, domain), packets) in by_domain {
        let mut settings = Settings::new("shop-1", packets.keys().copied().collect(), MAC);
        (settings.vlan, settings.domain) = (Some(vlan), Some(domain));
        let document = import(Format::DpdkAcl, text.as_bytes(), "old", &settings).unwrap().document;
        for seed in seeds.clone() {
            let tails = if seed % 2 == 0 { specific_first(seed) } else { shuffled(seed) };
            let mut target = Target::profile0();
            target.profile.order = ranked(&tails, &[local, local | F::OUTER_VLAN]);
            let compiled = match Compiled::new(&document, &target, None) {
                Ok(compiled) => compiled,
                Err(error) => {
                    assert!(seed % 2 == 1 && is_sound(&error), "{error}");
                    refused += 1;
                    continue;
                }
            };
            taken += 1;
            let mut engine = engine(compiled.image(), &target, seed);
            for (dst, packets) in &packets {
                for packet in packets {
                    for proto in [u8::try_from(packet["proto"].as_u64().unwrap()).unwrap(), 6, 17] {
                        let flow = flow(packet, *dst, Some(vlan).filter(|vlan| *vlan != 0), proto);
                        let expected = document.decide(&flow);
                        let judged = compiled.image().judge(&flow, &target.profile, 0);
                        assert_eq!(judged.verdict, expected.verdict, "image: {flow:?} {}", compiled.explain(&flow));
                        assert_eq!(engine.judge(&seen(&flow), Direction::Rx, 0).verdict, expected.verdict, "{flow:?}");
                        let explained = compiled.explain(&flow);
                        assert_eq!(explained.decision, expected);
                        let entry = explained.entry.filter(|entry| !entry.key.is_base());
                        if let (Some(entry), Why::Rule { place, .. }) = (&entry, expected.why) {
                            let mut rules = entry.origins.iter().filter_map(|id| compiled.origin(*id)?.rule);
                            assert!(rules.any(|rule| rule == place), "{}: {flow:?}", entry.key);
                        }
                        assert!(entry.is_some() || expected.verdict == Verdict::Deny);
                        flows += 1;
                    }
                }
            }
        }
    }
    (taken, refused, flows)
}

#[test]
fn a_sample_of_dpdk_cases_agrees() {
    let (taken, refused, flows) = run(0..2);
    assert!(taken > refused && flows > 100, "{taken} {refused} {flows}");
}

#[test]
#[ignore = "takes a minute: tests/long/rule-sets"]
fn dpdk_cases_agree_under_twenty_orders() {
    let (taken, refused, flows) = run(0..20);
    println!("{taken} compiled, {refused} refused, {flows} flows compared");
}
