//! The parts of the proof, each against a slow or hand-written one.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::super::address_entries::{AddressEntries, Cuts};
use super::super::id_points::IdPoints;
use super::super::id_users::IdUsers;
use super::super::maps::{tree_says, trie_says};
use super::super::moved;
use super::super::proof::{PEER_MAC, flow};
use super::{compiled, moved_to, proved, target};
use crate::policy::regions::DIRECTIONS;
use crate::policy::{Document, Rule};
use crate::tables::rules::Block;
use crate::tables::{
    Action, CompileError, Image, ImageEntry, PortMap, PortRangeId, PortTreeEntry, RuleKey, Rules, Side, Sizes,
    SubnetId, SubnetMap, SubnetNode, Target,
};
use crate::terms::{Flow, MacAddr, PortSet, Verdict};

/// All maps that give the points from 0 on up to three ids, with borders among few points.
fn small_maps() -> Vec<Vec<(u16, u16)>> {
    let mut out = vec![vec![]];
    for borders in [&[0_u16][..], &[0, 5], &[0, 9], &[0, 5, 9], &[3, 9]] {
        for ids in 0..3_usize.pow(3) {
            let ids = [ids % 3, ids / 3 % 3, ids / 9].map(|id| u16::try_from(id).unwrap() + 1);
            out.push(borders.iter().copied().zip(ids).collect());
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

#[test]
fn ids_that_mean_other_points_are_found_point_by_point() {
    let id_at = |map: &[(u16, u16)], point: u16| map.iter().rev().find(|(first, _)| *first <= point).map(|(_, id)| *id);
    let maps = small_maps();
    assert!(maps.len() > 50);
    for was in &maps {
        for is in &maps {
            let mut expected: HashSet<u16> = HashSet::new();
            for point in 0..12 {
                let (a, b) = (id_at(was, point), id_at(is, point));
                if a != b {
                    expected.extend(a.into_iter().chain(b));
                }
            }
            assert_eq!(moved(Some(was), Some(is), |id| id), expected, "{was:?} {is:?}");
        }
        let all: HashSet<u16> = was.iter().map(|(_, id)| *id).collect();
        assert_eq!(moved(Some(was), None, |id| id), all, "no map now");
        assert_eq!(moved(None, Some(was), |id| id), all, "no map then");
    }
}

#[test]
fn a_trie_is_read_in_no_other_size_than_its_own() {
    let sizes = Sizes { subnet_nodes: 20, entries_per_node: 16, ..Sizes::profile0() };
    let id = |at: u16| SubnetId(56_000 + at);
    let classes = [(0, id(0)), (10 << 24, id(1)), ((10 << 24) + (1 << 16), id(2)), (11 << 24, id(0))];
    let map = SubnetMap::build(classes, &sizes).unwrap();
    assert!(map.nodes.len() > 3 && trie_says(&map, &sizes));
    for entries_per_node in [0, 1, 2, 4, 8, 15, 17, 32, 256] {
        assert!(!trie_says(&map, &Sizes { entries_per_node, ..sizes }), "{entries_per_node}");
    }
    let used = map.nodes.iter().map(|node| node.id).max().unwrap() + 1;
    assert!(trie_says(&map, &Sizes { subnet_nodes: used, ..sizes }));
    assert!(!trie_says(&map, &Sizes { subnet_nodes: used - 1, ..sizes }), "a node that is not there");
    let exact = Sizes { subnet_id_min: 56_000, subnet_id_max: 56_002, ..sizes };
    assert!(trie_says(&map, &exact));
    assert!(!trie_says(&map, &Sizes { subnet_id_max: 56_001, ..exact }), "an id above the last");
    assert!(!trie_says(&map, &Sizes { subnet_id_min: 56_001, ..exact }), "an id below the first");
    let with = |change: &dyn Fn(&mut SubnetMap)| {
        let mut map = map.clone();
        change(&mut map);
        trie_says(&map, &sizes)
    };
    assert!(!with(&|map| map.classes.clear()), "no classes");
    assert!(!with(&|map| map.classes[0].0 = 1), "classes that do not begin at the first address");
    assert!(!with(&|map| map.classes.swap(1, 2)), "classes out of order");
    assert!(!with(&|map| map.classes[2].0 = map.classes[1].0), "two classes that begin at one address");
    assert!(!with(&|map| map.nodes.push(map.nodes[1].clone())), "a node twice");
    assert!(!with(&|map| map.nodes[1].entries.truncate(15)), "a node with a word less");
    assert!(!with(&|map| map.nodes[1].entries.push(56_000)), "a node with a word more");
    assert!(!with(&|map| map.nodes.clear()), "no root");
    // A map of one class is one node of one word, sixteen times.
    let words =
        |word| SubnetMap { classes: vec![(0, id(0))], nodes: vec![SubnetNode { id: 0, entries: vec![word; 16] }] };
    assert!(trie_says(&words(56_000), &sizes));
    assert!(!trie_says(&words(56_001), &sizes) && !trie_says(&words(0), &sizes));
    let single = SubnetMap { classes: vec![(0, id(0))], nodes: vec![SubnetNode { id: 0, entries: vec![56_000] }] };
    assert!(!trie_says(&single, &Sizes { entries_per_node: 1, ..sizes }), "nodes of one word take no bits");
    // Two bits a node: sixteen levels, and the last words are single addresses.
    let narrow = Sizes { subnet_nodes: 400, entries_per_node: 4, ..sizes };
    let deep = SubnetMap::build([(0, id(0)), (u32::MAX - 1, id(1)), (u32::MAX, id(2))], &narrow).unwrap();
    assert!(deep.nodes.len() == 16 && trie_says(&deep, &narrow));
}

#[test]
fn a_port_tree_has_ids_and_a_length_of_the_adapter() {
    let sizes = Sizes { port_tree_entries: 7, portrange_id_min: 1, portrange_id_max: 3, ..Sizes::profile0() };
    let map = PortMap::build([(0, PortRangeId(1)), (80, PortRangeId(2)), (81, PortRangeId(3))], &sizes).unwrap();
    let tree = map.tree(&sizes).unwrap();
    assert!(tree.len() == 7 && tree_says(&tree, &map, &sizes));
    assert!(!tree_says(&tree, &map, &Sizes { port_tree_entries: 6, ..sizes }), "longer than the adapter's");
    assert!(tree_says(&tree[..5], &map, &sizes), "what no path reaches need not be there");
    assert!(!tree_says(&tree, &map, &Sizes { portrange_id_max: 2, ..sizes }), "an id above the last");
    assert!(!tree_says(&tree, &map, &Sizes { portrange_id_min: 2, ..sizes }), "an id below the first");
    let entry = |branch_key, leaf_id| PortTreeEntry { branch_key, leaf_id };
    let two = PortMap { classes: vec![(0, PortRangeId(1)), (100, PortRangeId(2))] };
    assert!(tree_says(&[entry(99, 0), entry(0xffff, 1), entry(0xffff, 2)], &two, &sizes));
    // A key that all ports of its subtree are up to tells nothing apart, and is no border.
    let idle = [entry(99, 0), entry(99, 0), entry(0xffff, 2), entry(0xffff, 1), entry(0xffff, 1)];
    assert!(!tree_says(&idle, &two, &sizes), "the last port of a subtree");
    let below = [
        entry(99, 0),
        entry(0xffff, 1),
        entry(98, 0),
        entry(0xffff, 2),
        entry(0xffff, 2),
        entry(0xffff, 2),
        entry(0xffff, 2),
    ];
    assert!(!tree_says(&below, &two, &sizes), "a key below the ports of its subtree");
    // Two leaves side by side with one id are one interval.
    let joined = [entry(99, 0), entry(50, 0), entry(0xffff, 2), entry(0xffff, 1), entry(0xffff, 1)];
    assert!(tree_says(&joined, &two, &sizes));
}

fn one_rule(rule: &str) -> Rule {
    let text = format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\nephemeral: 40000-49999\npolicies: {{web: [{rule}]}}\nbindings:\n  - \
         {{container: a, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}}\n"
    );
    Document::parse(&text, "one.yaml").unwrap_or_else(|error| panic!("{error}\n{text}")).policies[0].rules[0].clone()
}

fn entry_of(rx: Action, tx: Action) -> ImageEntry {
    let side = |action| Side { action, ..Side::default() };
    ImageEntry { rx: side(rx), tx: side(tx), counter: None }
}

const ALLOW: Action = Action::Allow { sample: false };
const DENY: Action = Action::Deny { sample: false };

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 30, 1, 17));

fn image_of(keys: &[(RuleKey, Action, Action)]) -> Image {
    let sizes = Sizes::profile0();
    let map = |classes: &[(u16, u16)]| {
        let classes = classes.iter().map(|(first, id)| (*first, PortRangeId(*id)));
        Some(Arc::new(PortMap::build(classes, &sizes).unwrap()))
    };
    let rules: Rules = keys.iter().map(|(key, rx, tx)| (*key, entry_of(*rx, *tx))).collect();
    Image {
        rules,
        subnets: None,
        remote_ports: map(&[(0, 1), (5000, 2), (6000, 1), (65_000, 3)]),
        local_ports: map(&[(0, 1), (80, 2), (81, 1)]),
    }
}

/// Local and remote ports that are shown for a protocol, besides none.
fn shown(proto: Option<u8>, rules: &[&str], key: Option<RuleKey>) -> (Vec<u16>, Vec<u16>) {
    let keys: Vec<_> = key.into_iter().map(|key| (RuleKey { local_ip: Some(LOCAL), ..key }, ALLOW, ALLOW)).collect();
    let image = image_of(&keys);
    let near = AddressEntries::new(&image, &Target::profile0(), Some(LOCAL), &[]);
    let here: Vec<_> = near.entries().collect();
    let rules: Vec<Rule> = rules.iter().map(|rule| one_rule(rule)).collect();
    let points = IdPoints::of(&image, &Arc::default());
    let ephemeral = PortSet::from_intervals([crate::terms::Interval { first: 40_000, last: 49_999 }]);
    let mut cuts = Cuts::new(&points, &ephemeral);
    let all = cuts.of(proto, rules.iter(), &here);
    assert!(all[0].ports.is_none(), "no ports come first");
    let ports: Vec<_> = all[1..].iter().map(|shown| shown.ports.unwrap()).collect();
    let locals: BTreeSet<u16> = ports.iter().map(|ports| ports.local).collect();
    let remotes: BTreeSet<u16> = ports.iter().map(|ports| ports.remote).collect();
    let every = locals.iter().flat_map(|local| remotes.iter().map(move |remote| (*local, *remote)));
    assert!(every.eq(ports.iter().map(|ports| (ports.local, ports.remote))), "every one with every other");
    (locals.into_iter().collect(), remotes.into_iter().collect())
}

#[test]
fn ports_are_cut_where_rules_and_entries_tell_them_apart() {
    let key = RuleKey::default();
    let of_rule = |rule: &str| shown(Some(6), &[rule], None);
    assert_eq!(shown(Some(6), &[], None), (vec![0], vec![0]));
    assert_eq!(of_rule("{allow: in, proto: tcp, replies: no}"), (vec![0], vec![0]));
    // Replies are let through to ephemeral ports.
    assert_eq!(of_rule("{allow: out, proto: tcp}"), (vec![0, 40_000, 50_000], vec![0]));
    assert_eq!(
        of_rule("{allow: in, proto: tcp, local_ports: [80, 8000-8099], replies: no}"),
        (vec![0, 80, 81, 8000, 8100], vec![0])
    );
    assert_eq!(
        of_rule("{allow: out, proto: tcp, remote_ports: [53, 65535], replies: no}"),
        (vec![0], vec![0, 53, 54, 65_535])
    );
    assert_eq!(
        shown(Some(17), &["{deny: in, proto: udp, local_ports: 7}", "{deny: out, proto: udp, remote_ports: 9}"], None),
        (vec![0, 7, 8], vec![0, 9, 10])
    );
    let of_key = |key| shown(Some(6), &[], Some(key));
    assert_eq!(of_key(RuleKey { local_port: Some(80), ..key }), (vec![0, 80, 81], vec![0]));
    assert_eq!(of_key(RuleKey { local_port: Some(65_535), ..key }), (vec![0, 65_535], vec![0]));
    assert_eq!(of_key(RuleKey { remote_port: Some(80), ..key }), (vec![0], vec![0, 80, 81]));
    assert_eq!(of_key(RuleKey { local_portrange: Some(PortRangeId(2)), ..key }), (vec![0, 80, 81], vec![0]));
    assert_eq!(
        of_key(RuleKey { remote_portrange: Some(PortRangeId(1)), ..key }),
        (vec![0], vec![0, 5000, 6000, 65_000])
    );
    assert_eq!(of_key(RuleKey { remote_portrange: Some(PortRangeId(3)), ..key }), (vec![0], vec![0, 65_000]));
    // Others have no ports.
    let any = ["{allow: in, proto: any}", "{allow: out, proto: any}"];
    for proto in [None, Some(1), Some(58), Some(99)] {
        assert_eq!(shown(proto, &any, Some(RuleKey { local_port: Some(80), ..key })), (vec![], vec![]), "{proto:?}");
    }
}

#[test]
fn every_port_has_the_id_of_its_map() {
    let image = image_of(&[]);
    let points = IdPoints::of(&image, &Arc::default());
    let maps = [image.remote_ports.as_ref().unwrap(), image.local_ports.as_ref().unwrap()];
    for (ports, map) in points.ports.iter().zip(maps) {
        for port in 0..=u16::MAX {
            assert_eq!(ports.id(port), map.lookup(port), "{port}");
        }
    }
    assert_eq!(IdPoints::default().ports[0].id(80), None);
}

#[test]
fn what_ids_mean_is_read_anew_for_another_map_and_kept_for_the_same() {
    let compiled = compiled();
    let image = compiled.image();
    let kept = IdPoints::of(image, &Arc::default());
    assert!(Arc::ptr_eq(&IdPoints::of(image, &kept), &kept));
    let subnets: Vec<u16> = image.subnets.iter().flat_map(|map| &map.classes).map(|(_, id)| id.0).collect();
    let subnets: Vec<u16> = BTreeSet::from_iter(subnets).into_iter().collect();
    assert!(kept.addresses_of(&subnets).count() == image.subnets.as_ref().unwrap().classes.len());
    let of_all = |points: &IdPoints| -> Vec<_> { points.addresses_of(&subnets).collect() };
    let local_ports = |points: &IdPoints| -> Vec<_> { (0..9000).map(|port| points.ports[1].id(port)).collect() };
    // Another map in one place: what the other maps mean stays, and the result is that of a reading from nothing.
    let sizes = target().sizes;
    let mut classes = image.subnets.as_ref().unwrap().classes.clone();
    classes.truncate(2);
    let other = Image { subnets: Some(Arc::new(SubnetMap::build(classes, &sizes).unwrap())), ..image.clone() };
    let read = IdPoints::of(&other, &kept);
    assert_eq!(of_all(&read), of_all(&IdPoints::of(&other, &Arc::default())));
    assert_ne!(of_all(&read), of_all(&kept));
    assert!(Arc::ptr_eq(&read.ports[1], &kept.ports[1]));
    let map = PortMap::build([(0, PortRangeId(1)), (7, PortRangeId(2))], &sizes).unwrap();
    let other = Image { local_ports: Some(Arc::new(map)), ..image.clone() };
    let read = IdPoints::of(&other, &kept);
    assert_eq!(local_ports(&read), local_ports(&IdPoints::of(&other, &Arc::default())));
    assert_ne!(local_ports(&read), local_ports(&kept));
    assert_eq!(of_all(&read), of_all(&kept));
    let other = Image { local_ports: None, ..image.clone() };
    assert!(local_ports(&IdPoints::of(&other, &kept)).iter().all(Option::is_none));
}

#[test]
fn users_of_ids_are_counted_block_by_block_as_from_nothing() {
    let compiled = compiled();
    let image = compiled.image();
    let none = [HashSet::new(), HashSet::new(), HashSet::new()];
    let of = |map: usize, id: u16| {
        let mut moved = none.clone();
        moved[map].insert(id);
        moved
    };
    let ids = |key: &RuleKey| {
        [key.remote_subnet.map(|id| id.0), key.remote_portrange.map(|id| id.0), key.local_portrange.map(|id| id.0)]
    };
    let whole = IdUsers::of(image, None);
    let mut named: [BTreeSet<u16>; 3] = Default::default();
    for key in image.rules.keys() {
        for (named, id) in named.iter_mut().zip(ids(key)) {
            named.extend(id);
        }
    }
    assert!(named[0].len() > 2 && named[2].len() > 2, "{named:?}");
    // Without each block in turn: an id has users elsewhere if an entry of another block names it.
    for (name, block) in image.rules.blocks().iter() {
        for (map, named) in named.iter().enumerate() {
            for id in named.iter().copied().chain([7, 9999]) {
                let others = image.rules.blocks().iter().filter(|(other, _)| *other != name);
                let expected = others.flat_map(|(_, block)| block.iter()).any(|(key, _)| ids(key)[map] == Some(id));
                let but = || -> std::iter::Once<&Block> { std::iter::once(block) };
                assert_eq!(whole.elsewhere(&of(map, id), but()), expected, "{map} {id}");
            }
        }
    }
    assert!(!whole.elsewhere(&none, std::iter::empty()));
    // Entries go, and come back: counted from what was.
    for key in image.rules.keys().filter(|key| ids(key).iter().any(Option::is_some)) {
        let without = super::broken(image, |rules| drop(rules.remove(key)));
        let counted = IdUsers::of(&without, Some((image, &whole)));
        let again = IdUsers::of(image, Some((&without, &counted)));
        let expected = IdUsers::of(&without, None);
        for (map, named) in named.iter().enumerate() {
            for id in named {
                let left = |users: &IdUsers| users.elsewhere(&of(map, *id), std::iter::empty());
                assert_eq!(left(&counted), left(&expected), "{key:?}");
                assert!(left(&again));
            }
        }
    }
    assert!(Arc::ptr_eq(&IdUsers::of(image, Some((image, &whole))), &whole), "nothing to count");
}

/// Entries that name nothing but a physical port: one for every port, all alike, are as one that names none.
#[test]
fn denies_of_all_physical_ports_are_one() {
    let port = |port: u32| RuleKey { physical_port: Some(port), ..RuleKey::default() };
    let ports = |keys: &[(RuleKey, Action, Action)], count: u32| -> Vec<Option<u32>> {
        let near =
            AddressEntries::new(&image_of(keys), &Target { physical_ports: count, ..Target::profile0() }, None, &[]);
        near.keys().map(|key| key.physical_port).collect()
    };
    let two = [(port(0), DENY, DENY), (port(1), DENY, DENY)];
    assert_eq!(ports(&two, 2), [None]);
    assert_eq!(ports(&two, 3), [Some(0), Some(1)], "none of the third port");
    assert_eq!(ports(&two[..1], 2), [Some(0)]);
    assert_eq!(ports(&[(port(0), DENY, DENY), (port(1), DENY, Action::None)], 2), [Some(0), Some(1)]);
    assert_eq!(ports(&[], 2), []);
    let mac = RuleKey { local_mac: Some(PEER_MAC), ..port(0) };
    let near = [two[0], two[1], (mac, DENY, DENY)];
    let near = AddressEntries::new(&image_of(&near), &Target::profile0(), None, &[PEER_MAC]);
    assert_eq!(near.keys().copied().collect::<Vec<_>>().len(), 2, "what names more stays what it is");
    assert!(near.keys().any(|key| *key == mac));
}

#[test]
fn entries_near_an_address_judge_as_the_image_does() {
    let compiled = compiled();
    let image = compiled.image();
    let target = compiled.target();
    let mut denied = 0;
    for binding in compiled.document().bindings.iter() {
        for ip in &binding.ips {
            let near = AddressEntries::new(image, target, Some(*ip), &[binding.mac, PEER_MAC]);
            for direction in DIRECTIONS {
                for (mac, outer_vlan, proto) in [
                    (binding.mac, binding.vlan, Some(58)),
                    (binding.mac, Some(1), Some(6)),
                    (PEER_MAC, None, None),
                    (binding.mac, binding.vlan, Some(6)),
                ] {
                    for port in [22, 80, 443, 5432, 8050] {
                        let mut of = flow(*ip, "10.20.0.1".parse().unwrap(), proto);
                        if ip.is_ipv6() {
                            of = flow(*ip, "2001:db8::1".parse().unwrap(), proto);
                        }
                        let mut of = Flow { direction, local_mac: mac, outer_vlan, ..of };
                        if let Some(ip) = &mut of.ip {
                            let ports = crate::terms::Ports { local: port, remote: 50_000 };
                            ip.ports = proto.filter(|proto| *proto == 6).map(|_| ports);
                        }
                        let judged = image.judge(&of, &target.profile, 0).verdict;
                        assert_eq!(near.judge(&image.names(&of), direction), judged, "{of:?}");
                        denied += usize::from(judged == Verdict::Deny);
                    }
                }
            }
        }
    }
    assert!(denied > 100);
    // Where nothing decides the adapter's answer does.
    let none = Image::default();
    for no_match in [Verdict::Allow, Verdict::Deny] {
        let mut target = target.clone();
        target.profile.no_match = no_match;
        let near = AddressEntries::new(&none, &target, Some(LOCAL), &[]);
        assert_eq!(near.judge(&none.names(&flow(LOCAL, LOCAL, None)), DIRECTIONS[0]), no_match);
    }
}

/// The flow that a refusal tells is one that the entry matches which nobody asked for.
#[test]
fn the_flow_of_a_refusal_is_one_that_the_entry_matches() {
    let compiled = compiled();
    let image = compiled.image();
    let changes: [fn(&mut RuleKey); 6] = [
        |key| key.local_mac = Some(PEER_MAC),
        |key| key.outer_vlan = Some(1),
        |key| key.inner_vlan = Some(3),
        |key| key.remote_mac = Some(MacAddr([2, 0, 0, 0, 0, 5])),
        |key| key.physical_port = Some(5),
        |key| key.local_ip = Some("10.30.77.7".parse().unwrap()),
    ];
    let mut told = 0;
    for change in changes {
        for (what, image) in
            moved_to(image, change, |key| key.local_ip.is_some() && !key.is_base()).into_iter().step_by(7)
        {
            let Err(CompileError::Disagrees { flow, .. }) = proved(&compiled, &image) else { panic!("{what}") };
            // Of ids no flow could be told: any remote address and port stands for them.
            let names = image.names(&flow);
            let shown =
                |key: &RuleKey| RuleKey { remote_subnet: None, local_portrange: None, remote_portrange: None, ..*key };
            let hit = image.rules.keys().any(|key| {
                let key = shown(key);
                names.only(key.fields()) == key
            });
            assert!(hit, "{what}: {flow:?}");
            told += 1;
        }
    }
    assert!(told > 40);
}
