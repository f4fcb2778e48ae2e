//! What the proof of one address runs.

use super::super::tests::{broken, compiled};
use super::*;
use crate::tables::compile::Compiled;
use crate::tables::{Image, ImageEntry};

/// What the proof of the first address of a binding runs.
fn of_binding<T>(compiled: &Compiled, image: &Image, at: usize, of: impl FnOnce(AddressProof<'_>) -> T) -> T {
    let binding = &*compiled.document().bindings[at];
    let macs = [binding.mac].into_iter().collect();
    let task = Task { binding: Some(binding), ip: binding.ips[0], macs, vlan: binding.vlan, first: at };
    of_task(compiled, image, &task, of)
}

fn of_task<T>(compiled: &Compiled, image: &Image, task: &Task<'_>, of: impl FnOnce(AddressProof<'_>) -> T) -> T {
    let (units, ids) = (&compiled.state.units, ImageIds::of(image, None));
    let proof = Proof { document: compiled.document(), target: compiled.target(), image, units, ids: &ids };
    of(AddressProof::of(&proof, task, &mut OnePolicyDocument::of(compiled.document())))
}

#[test]
fn a_flow_of_every_protocol_that_is_named_is_run_and_of_one_that_is_not() {
    let compiled = compiled();
    let protocols = |at| of_binding(&compiled, compiled.image(), at, |proof| proof.protocols(&proof.rules()));
    let other = [Some(255), None];
    assert_eq!(protocols(0), [&[Some(1), Some(6), Some(17)][..], &other].concat());
    assert_eq!(protocols(8), [&[Some(6), Some(17), Some(58)][..], &other].concat(), "neighbour discovery is open");
    assert_eq!(protocols(13), [&[Some(6), Some(17), Some(132)][..], &other].concat(), "a rule for any");
    let ip = Some(compiled.document().bindings[0].ips[0]);
    let with = |key: RuleKey| {
        let key = RuleKey { local_ip: ip, ..key };
        let image = broken(compiled.image(), |rules| drop(rules.insert(key, ImageEntry::default())));
        of_binding(&compiled, &image, 0, |proof| proof.protocols(&proof.rules()))
    };
    let key = RuleKey::default();
    let named = with(RuleKey { ip_proto: Some(255), ..key });
    assert_eq!(named, [Some(1), Some(6), Some(17), Some(255), Some(254), None], "the highest is named");
    let ported = with(RuleKey { local_port: Some(7), ..key });
    assert_eq!(ported, [&[Some(1), Some(6), Some(17), Some(132)][..], &other].concat(), "all that have ports");
}

/// It is there with the MAC of one of them that has it open.
#[test]
fn neighbour_discovery_of_an_address_that_nobody_bound_is_run_with_any_mac() {
    let compiled = compiled();
    let bindings = &compiled.document().bindings;
    let ip = "2001:db8:ffff::1".parse().unwrap();
    for (with, is_run) in [(&[0, 8][..], true), (&[8, 0], true), (&[8, 9], true), (&[0, 13], false), (&[0], false)] {
        let macs = with.iter().map(|at| bindings[*at].mac).collect();
        let task = Task { binding: None, ip, macs, vlan: None, first: 0 };
        let protocols = of_task(&compiled, compiled.image(), &task, |proof| proof.protocols(&proof.rules()));
        assert_eq!(protocols.contains(&Some(58)), is_run, "{with:?}");
    }
}

#[test]
fn an_address_of_every_class_is_run_once() {
    let compiled = compiled();
    let classes = |image: &Image, proto: Option<u8>| {
        of_binding(&compiled, image, 13, |mut proof| {
            let rules = proof.rules();
            let names = |link: &Link| {
                let mut flow = flow(proof.task.ip, proof.task.ip, None);
                put_on(&mut flow, link);
                image.names(&flow)
            };
            let names: Vec<RuleKey> = proof.links.iter().map(names).collect();
            proof.near.match_links(&names);
            let all = proof.remotes::<u32>(&rules);
            let mut of_proto = Vec::new();
            proof.near.of_protocol(proto, &mut of_proto);
            let ips = |all: &[Remote]| -> Vec<String> { all.iter().map(|remote| remote.ip.to_string()).collect() };
            (ips(&all), ips(&told_apart(&all, proto, &rules, &of_proto)))
        })
    };
    let image = compiled.image();
    // Nobody's, that of the management rule, those of the two rules, and a group.
    let all = ["0.0.0.0", "10.20.0.1", "10.30.1.0", "10.40.0.0", "224.0.0.0"];
    assert_eq!(classes(image, Some(6)), (all.map(str::to_owned).into(), all.map(str::to_owned).into()));
    let of_any = ["0.0.0.0", "10.40.0.0", "224.0.0.0"].map(str::to_owned);
    for proto in [None, Some(1), Some(17), Some(99)] {
        assert_eq!(classes(image, proto).1, of_any, "{proto:?}");
    }
    // Entries tell apart what no rule of the protocol does.
    let id = |ip: &str| {
        let IpAddr::V4(ip) = ip.parse().unwrap() else { panic!("{ip}") };
        image.subnets.as_ref().unwrap().lookup(ip.to_bits())
    };
    let binding = &compiled.document().bindings[13];
    let local = RuleKey { local_ip: Some(binding.ips[0]), ip_proto: Some(99), ..RuleKey::default() };
    let subnet = |ip: &str| RuleKey { remote_subnet: id(ip), ..local };
    let exact = |ip: &str| RuleKey { remote_ip: Some(ip.parse().unwrap()), ..local };
    let with = |keys: &[RuleKey]| {
        let image = broken(image, |rules| keys.iter().for_each(|key| drop(rules.insert(*key, ImageEntry::default()))));
        classes(&image, Some(99)).1
    };
    assert_ne!(id("10.30.1.7"), id("0.0.0.0"));
    assert_eq!(with(&[subnet("10.30.1.7")]), ["0.0.0.0", "10.30.1.0", "10.40.0.0", "224.0.0.0"]);
    let two = with(&[exact("10.77.0.1"), exact("10.77.0.2")]);
    assert_eq!(two, ["0.0.0.0", "10.40.0.0", "10.77.0.1", "10.77.0.2", "224.0.0.0"]);
    let of_others: Vec<RuleKey> = ["10.20.0.1", "10.30.1.7"].map(subnet).into();
    assert_ne!(of_others[0], of_others[1]);
    let told = with(&of_others);
    assert!(told.contains(&"10.30.1.0".to_owned()) && told.len() >= 5, "{told:?}");
}

#[test]
fn all_links_are_run_the_own_one_first() {
    let compiled = compiled();
    let links = |at| {
        of_binding(&compiled, compiled.image(), at, |proof| {
            let own = proof.task.macs[0];
            let links = proof.links.iter();
            links.map(|link| (link.mac == own, link.vlan, link.physical_port)).collect::<Vec<_>>()
        })
    };
    let on = |vlans: &[Option<u16>], ports: [u32; 2]| -> Vec<(bool, Option<u16>, u32)> {
        let macs = [true, false];
        let all = macs.iter().flat_map(|mac| vlans.iter().map(move |vlan| (*mac, *vlan)));
        all.flat_map(|(mac, vlan)| ports.map(|port| (mac, vlan, port))).collect()
    };
    assert_eq!(links(0), on(&[None, Some(1)], [0, 1]));
    assert_eq!(links(2), on(&[Some(7), None, Some(6)], [0, 1]), "its VLAN, none, and another");
    assert_eq!(links(3), on(&[None, Some(1)], [1, 0]), "its physical port, and the other");
}
