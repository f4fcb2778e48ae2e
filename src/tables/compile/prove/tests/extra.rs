//! Entries that nobody asked for, beside those that the compiler made.

use super::increment::Increment;
use super::*;
use crate::tables::Side;
use crate::terms::Verdict;

fn entry(rx: Action, tx: Action) -> ImageEntry {
    let side = |action| Side { action, ..Side::default() };
    ImageEntry { rx: side(rx), tx: side(tx), counter: None }
}

/// Entries that are wrong beside whatever tables: what they name no frame of a binding has, or no entry may name alone, or
/// they say what an entry of their place never does.
fn extras(document: &Document) -> Vec<(&'static str, RuleKey, ImageEntry)> {
    let none = RuleKey::default();
    let own = document.bindings[0].mac;
    let foreign = MacAddr([2, 0, 0, 0, 9, 9]);
    let nobodys = Some(IpAddr::from([10, 30, 77, 7]));
    // A binding of policy `db`, alone on its MAC, without a VLAN.
    let (ip, mac) = (Some(document.bindings[14].ips[0]), document.bindings[14].mac);
    let v4 = Some(0x0800);
    let bound = RuleKey { local_ip: ip, local_mac: Some(mac), ether_type: v4, ..none };
    let (allow, deny) = (Action::Allow { sample: false }, Action::Deny { sample: false });
    let (allows, denies) = (entry(allow, allow), entry(deny, deny));
    vec![
        ("a port that is not there", RuleKey { physical_port: Some(2), ..none }, denies.clone()),
        ("a VLAN of a MAC", RuleKey { local_mac: Some(own), outer_vlan: Some(1), ..none }, denies.clone()),
        ("a VLAN alone", RuleKey { outer_vlan: Some(5), ..none }, denies.clone()),
        ("an inner VLAN alone", RuleKey { inner_vlan: Some(5), ..none }, denies.clone()),
        ("a peer's MAC alone", RuleKey { remote_mac: Some(PEER_MAC), ..none }, denies.clone()),
        ("all IPv4", RuleKey { ether_type: v4, ..none }, denies.clone()),
        ("all IPv6", RuleKey { ether_type: Some(0x86dd), ..none }, denies.clone()),
        ("IPv4 of a MAC", RuleKey { local_mac: Some(foreign), ether_type: v4, ..none }, allows.clone()),
        ("a MAC, received", RuleKey { local_mac: Some(foreign), ..none }, entry(allow, Action::None)),
        ("a MAC, sent", RuleKey { local_mac: Some(foreign), ..none }, entry(Action::None, allow)),
        ("nobody's address", RuleKey { local_ip: nobodys, ..none }, denies.clone()),
        (
            "a protocol of nobody's",
            RuleKey { local_ip: nobodys, ether_type: v4, ip_proto: Some(6), ..none },
            allows.clone(),
        ),
        ("another MAC", RuleKey { local_mac: Some(foreign), ..bound }, allows.clone()),
        ("a VLAN", RuleKey { outer_vlan: Some(8), ..bound }, allows.clone()),
        ("an inner VLAN", RuleKey { inner_vlan: Some(8), ..bound }, allows.clone()),
        ("a peer's MAC", RuleKey { remote_mac: Some(PEER_MAC), ..bound }, allows.clone()),
        ("the other family", RuleKey { ether_type: Some(0x86dd), ..bound }, allows.clone()),
        ("no IP", RuleKey { ether_type: Some(ARP), ..bound }, allows.clone()),
        ("a port that is not there, of an address", RuleKey { physical_port: Some(2), ..bound }, allows.clone()),
        // What they deny is denied, but nothing tells which of two that match is asked first.
        ("a deny above the base, received", RuleKey { ip_proto: Some(99), ..bound }, entry(deny, Action::None)),
        ("a deny above the base, sent", RuleKey { ip_proto: Some(99), ..bound }, entry(Action::None, deny)),
        ("an allow in the base", RuleKey { local_ip: ip, physical_port: Some(1), ..none }, allows),
    ]
}

#[test]
fn an_entry_that_nobody_asked_for_is_found() {
    for unbound in [Verdict::Allow, Verdict::Deny] {
        let document = Document { unbound, ..document() };
        let compiled = Compiled::new(&document, &target(), None).unwrap_or_else(|error| panic!("{error}"));
        let mut changed = document.clone();
        Arc::make_mut(&mut changed.policies[0]).rules.pop();
        let increment = Increment::new(&compiled, changed);
        for (what, key, entry) in extras(&document) {
            let with = |image: &Image| {
                assert!(!image.rules.contains_key(&key), "{what}");
                broken(image, |rules| drop(rules.insert(key, entry.clone())))
            };
            assert!(proved(&compiled, &with(compiled.image())).is_err(), "{unbound:?}: {what}");
            assert!(increment.proved(&with(&increment.image)).is_err(), "{unbound:?}, after a change: {what}");
        }
    }
}

/// The group of neighbour discovery is received, ICMPv6 alone, and by nothing else.
#[test]
fn a_group_of_neighbour_discovery_has_its_one_entry_and_no_other() {
    let compiled = compiled();
    let image = compiled.image();
    let group = |key: &&RuleKey| key.local_ip.is_some_and(|ip| ip.to_string().starts_with("ff02::1:ff"));
    let groups: Vec<RuleKey> = image.rules.keys().filter(group).copied().collect();
    assert_eq!(groups.len(), 5);
    let (allow, deny) = (Action::Allow { sample: false }, Action::Deny { sample: false });
    for key in groups {
        assert_eq!((key.ether_type, key.ip_proto, key.fields().bits().count_ones()), (Some(0x86dd), Some(58), 3));
        let made = image.rules.get(&key).unwrap();
        assert_eq!((made.rx.action, made.tx.action), (allow, Action::None));
        for (rx, tx) in
            [(allow, allow), (allow, deny), (Action::None, Action::None), (deny, Action::None), (Action::None, allow)]
        {
            let other = broken(image, |rules| drop(rules.insert(key, entry(rx, tx))));
            assert!(proved(&compiled, &other).is_err(), "{key}: {rx:?} {tx:?}");
        }
        for more in [
            RuleKey { ip_proto: Some(6), ..key },
            RuleKey { ip_proto: None, ..key },
            RuleKey { remote_port: Some(7), ..key },
        ] {
            let other = broken(image, |rules| drop(rules.insert(more, entry(allow, Action::None))));
            assert!(proved(&compiled, &other).is_err(), "{more}");
        }
    }
}
