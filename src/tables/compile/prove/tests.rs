//! Images that are broken on purpose, in one place each, and proved in both ways: as a whole, and as an increment to the
//! image before.

#![expect(clippy::type_complexity, reason = "tables of named changes")]

mod changes;
mod extra;
mod increment;
mod parts;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::increment::Increment;
use super::ids::ImageIds;
use super::proof::{ARP, PEER_MAC, flow};
use super::*;
use crate::policy::regions::DIRECTIONS;
use crate::tables::{Action, ImageEntry, PortRangeId, PortTreeEntry, Rules, SubnetId, Target};
use crate::terms::Flow;

/// Three policies and twenty containers, of every kind: IPv4, IPv6 and both; alone on a MAC and not; with VLANs and
/// physical ports; with neighbour discovery; with rules that hold for one address.
fn document() -> Document {
    let mut text = r#"
nicfw: 1
unbound: allow
multicast: deny
groups:
  office: [10.20.0.0/16, 10.21.0.0/16]
management:
  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1}
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443, 8000-8099], remote: office}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53}
    - {allow: in, proto: icmp, remote: office}
    - {allow: out, proto: udp, remote: 0.0.0.0/0, remote_ports: 123, replies: no}
    - {deny: in, proto: tcp, remote: 10.30.1.0/24, local_ports: 8080}
    - {allow: in, proto: tcp, remote: 10.30.0.0/16, local_ports: 8000-8099, replies: no}
    - {allow: in, proto: tcp, remote: 10.99.0.0/16, local_ports: 9000, local: 10.30.1.18, replies: no}
  six:
    - {allow: in, proto: tcp, local_ports: 443, remote: ["2001:db8::1", "2001:db8::2"]}
    - {allow: out, proto: udp, remote: "2001:db8::53", remote_ports: 53}
  db:
    - {allow: in, proto: tcp, local_ports: 5432, remote: 10.30.1.0/24}
    - {allow: out, proto: any, remote: 10.40.0.0/16, replies: no}
bindings:
"#
    .to_owned();
    for at in 0..20_u32 {
        let mac = format!("02:00:0a:1e:01:{at:02x}");
        let v4 = format!("10.30.1.{}", 17 + at);
        let v6 = format!("2001:db8:1::{at:x}:{:x}", 0x100 + at);
        let (ip, more) = match at {
            0..8 => (v4, ["", "", ", vlan: 7", ", physical_ports: [1]"][at as usize % 4].to_owned() + ", policy: web"),
            8..11 => (v6, ", policy: six, nd: open-icmpv6".to_owned()),
            11..13 => (format!("[{v4}, \"{v6}\"]"), ", policy: six, nd: open-icmpv6".to_owned()),
            _ => (v4, ", policy: db".to_owned()),
        };
        let ip = if ip.contains("::") && !ip.starts_with('[') { format!("\"{ip}\"") } else { ip };
        let shared = if matches!(at, 6 | 7 | 18 | 19) { ", owns_mac: no" } else { "" };
        text += &format!("  - {{container: c{at}, ip: {ip}, mac: \"{mac}\", attach: sriov{shared}{more}}}\n");
    }
    Document::parse(&text, "broken.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn target() -> Target {
    let mut target = Target::profile0();
    target.profile.combinations = 256;
    target
}

pub(super) fn compiled() -> Compiled {
    Compiled::new(&document(), &target(), None).unwrap_or_else(|error| panic!("{error}"))
}

fn proved(compiled: &Compiled, image: &Image) -> Result<(), CompileError> {
    let (units, ids) = (&compiled.state.units, ImageIds::of(image, None));
    Proof { document: compiled.document(), target: compiled.target(), image, units, ids: &ids }.all()
}

/// Both ways of proving: the whole, and increments to what was before.
struct Ways {
    compiled: Compiled,
    increments: Vec<(&'static str, Increment)>,
    /// Breaks that were found, by kind.
    found: BTreeMap<&'static str, usize>,
}

impl Ways {
    fn new() -> Self {
        let compiled = compiled();
        let all: [(&str, fn(&mut Document)); 4] = [
            ("one binding of another policy moves to another VLAN", |document| {
                Arc::make_mut(&mut document.bindings[13]).vlan = Some(9);
            }),
            ("a rule less in a policy", |document| {
                Arc::make_mut(&mut document.policies[2]).rules.pop();
            }),
            ("a rule of the largest policy is another", |document| {
                let office = document.policies[0].rules[0].remote.clone();
                Arc::make_mut(&mut document.policies[0]).rules[5].remote = office;
            }),
            ("a binding goes", |document| {
                document.bindings.remove(19);
            }),
        ];
        let increments = all.map(|(what, change)| {
            let mut document = compiled.document().clone();
            change(&mut document);
            let increment = Increment::new(&compiled, document);
            increment.proved(&increment.image).unwrap_or_else(|error| panic!("{what}: {error}"));
            (what, increment)
        });
        proved(&compiled, compiled.image()).unwrap();
        Self { compiled, increments: increments.into(), found: BTreeMap::new() }
    }

    /// Breaks every image in the same ways, and proves it. `breaks` gives all broken images, each with what is wrong.
    #[track_caller]
    fn all_found(&mut self, kind: &'static str, breaks: impl Fn(&Image) -> Vec<(String, Image)>) {
        let mut found = 0;
        for (what, image) in breaks(self.compiled.image()) {
            assert!(proved(&self.compiled, &image).is_err(), "not found in the whole: {kind}: {what}");
            found += 1;
        }
        for (change, increment) in &self.increments {
            for (what, image) in breaks(&increment.image) {
                assert!(increment.proved(&image).is_err(), "not found after {change}: {kind}: {what}");
                found += 1;
            }
        }
        assert!(found > 0, "{kind}: nothing was broken");
        self.found.insert(kind, found);
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        let ways = 1 + self.increments.len();
        for (kind, found) in &self.found {
            println!("{kind}: {found} single breaks in {ways} images, each found");
        }
    }
}

pub(super) fn broken(image: &Image, change: impl FnOnce(&mut Rules)) -> Image {
    let mut image = image.clone();
    change(&mut image.rules);
    image
}

/// Entries put in another place, where none stands yet.
fn moved_to(image: &Image, change: impl Fn(&mut RuleKey), of: impl Fn(&RuleKey) -> bool) -> Vec<(String, Image)> {
    let mut out = Vec::new();
    for key in image.rules.keys().filter(|key| of(key)) {
        let mut other = *key;
        change(&mut other);
        if other != *key && !image.rules.contains_key(&other) {
            let moved = broken(image, |rules| {
                let entry = rules.remove(key).unwrap();
                rules.insert(other, entry);
            });
            out.push((format!("{key:?} as {other:?}"), moved));
        }
    }
    out
}

#[test]
fn an_entry_that_is_missing_is_found() {
    let mut ways = Ways::new();
    assert!(ways.compiled.document().bindings.len() == 20 && ways.compiled.document().policies.len() == 3);
    ways.all_found("taken away", |image| {
        let without = |key: &RuleKey| broken(image, |rules| drop(rules.remove(key)));
        image.rules.keys().map(|key| (format!("{key:?}"), without(key))).collect()
    });
    ways.all_found("a block taken away", |image| {
        let names: BTreeSet<_> = image.rules.keys().map(|key| (key.local_ip, key.local_mac)).collect();
        let ips: BTreeSet<IpAddr> = names.into_iter().filter_map(|(ip, _)| ip).collect();
        let without = |ip: IpAddr| broken(image, |rules| rules.retain(|key, _| key.local_ip != Some(ip)));
        ips.into_iter().map(|ip| (ip.to_string(), without(ip))).collect()
    });
}

#[test]
fn a_verdict_that_is_another_is_found() {
    let actions: [(&str, fn(Action) -> Action); 2] = [
        ("the other verdict", |action| match action {
            Action::None => Action::None,
            Action::Deny { .. } => Action::Allow { sample: false },
            Action::Allow { .. } => Action::Deny { sample: false },
        }),
        ("no verdict", |_| Action::None),
    ];
    let mut ways = Ways::new();
    for (kind, other) in actions {
        ways.all_found(kind, |image| {
            let mut out = Vec::new();
            for (key, entry) in &image.rules {
                for rx in [true, false] {
                    let was = if rx { entry.rx.action } else { entry.tx.action };
                    if other(was) == was {
                        continue;
                    }
                    let changed = broken(image, |rules| {
                        let entry = rules.get_mut(key).unwrap();
                        if rx { entry.rx.action = other(was) } else { entry.tx.action = other(was) }
                    });
                    out.push((format!("{key:?}, rx: {rx}"), changed));
                }
            }
            out
        });
    }
}

#[test]
fn an_entry_that_matches_more_is_found() {
    let wider: [(&str, fn(&mut RuleKey)); 7] = [
        ("wider: protocol", |key| key.ip_proto = None),
        ("wider: remote address", |key| (key.remote_ip, key.remote_subnet) = (None, None)),
        ("wider: remote port", |key| (key.remote_port, key.remote_portrange) = (None, None)),
        ("wider: local port", |key| (key.local_port, key.local_portrange) = (None, None)),
        ("wider: MAC", |key| key.local_mac = None),
        ("wider: VLAN", |key| key.outer_vlan = None),
        ("wider: physical port", |key| key.physical_port = None),
    ];
    let mut ways = Ways::new();
    for (kind, wide) in wider {
        ways.all_found(kind, |image| moved_to(image, wide, |_| true));
    }
}

#[test]
fn an_entry_that_matches_less_is_found() {
    let narrower: [(&str, fn(&mut RuleKey)); 9] = [
        ("narrower: MAC", |key| key.local_mac = Some(PEER_MAC)),
        ("narrower: VLAN", |key| key.outer_vlan = Some(1)),
        ("narrower: inner VLAN", |key| key.inner_vlan = Some(1)),
        ("narrower: physical port", |key| key.physical_port = Some(0)),
        ("narrower: peer's MAC", |key| key.remote_mac = Some(PEER_MAC)),
        ("narrower: protocol", |key| key.ip_proto = key.ip_proto.or(Some(99))),
        ("narrower: remote port", |key| key.remote_port = Some(7)),
        ("narrower: local port", |key| key.local_port = Some(7)),
        ("narrower: ether type", |key| key.ether_type = Some(0x88cc)),
    ];
    let mut ways = Ways::new();
    for (kind, narrow) in narrower {
        ways.all_found(kind, |image| moved_to(image, narrow, |_| true));
    }
}

/// The addresses of the document, each with the next one of its family.
fn neighbours(image: &Image) -> BTreeMap<IpAddr, IpAddr> {
    let ips: BTreeSet<IpAddr> = image.rules.keys().filter_map(|key| key.local_ip).collect();
    let next =
        |ip: &IpAddr| ips.iter().cycle().skip_while(|at| *at != ip).skip(1).find(|at| at.is_ipv4() == ip.is_ipv4());
    ips.iter().filter_map(|ip| Some((*ip, *next(ip)?))).collect()
}

#[test]
fn an_entry_that_is_another_containers_is_found() {
    let mut ways = Ways::new();
    ways.all_found("moved to the neighbour's address", |image| {
        let next = neighbours(image);
        let of_neighbour = |key: &mut RuleKey| key.local_ip = key.local_ip.and_then(|ip| next.get(&ip).copied());
        moved_to(image, of_neighbour, |key| key.local_ip.is_some_and(|ip| next[&ip] != ip))
    });
    ways.all_found("copied to the neighbour, with its link", |image| {
        let next = neighbours(image);
        let mut out = Vec::new();
        for (key, entry) in &image.rules {
            let Some(ip) = key.local_ip.map(|ip| next[&ip]) else { continue };
            let link = image.rules.keys().find(|other| other.local_ip == Some(ip) && !other.is_base());
            let Some(link) = link else { continue };
            let (local_mac, outer_vlan, physical_port) = (link.local_mac, link.outer_vlan, link.physical_port);
            let other = RuleKey { local_ip: Some(ip), local_mac, outer_vlan, physical_port, ..*key };
            if key.is_base() || image.rules.contains_key(&other) {
                continue;
            }
            out.push((
                format!("{key:?} as {other:?}"),
                broken(image, |rules| drop(rules.insert(other, entry.clone()))),
            ));
        }
        out
    });
    ways.all_found("moved to an address that nobody has", |image| {
        moved_to(image, |key| key.local_ip = Some(IpAddr::from([10, 30, 77, 7])), |key| key.local_ip.is_some())
    });
    ways.all_found("exchanged with the next entry", |image| {
        let all: Vec<(&RuleKey, &ImageEntry)> = image.rules.iter().collect();
        let differ = |a: &ImageEntry, b: &ImageEntry| (a.rx.action, a.tx.action) != (b.rx.action, b.tx.action);
        let exchange = |a: (&RuleKey, &ImageEntry), b: (&RuleKey, &ImageEntry)| {
            broken(image, |rules| {
                rules.insert(*a.0, b.1.clone());
                rules.insert(*b.0, a.1.clone());
            })
        };
        let pairs = all.windows(2).filter(|pair| differ(pair[0].1, pair[1].1));
        pairs.map(|pair| (format!("{:?} and {:?}", pair[0].0, pair[1].0), exchange(pair[0], pair[1]))).collect()
    });
}

#[test]
fn an_id_that_is_another_is_found() {
    let mut ways = Ways::new();
    // Of each map the ids that entries name, each with the next one.
    let next = |ids: BTreeSet<u16>, id: u16| ids.range(id + 1..).chain(&ids).next().copied().unwrap();
    ways.all_found("another subnet id", |image| {
        let ids: BTreeSet<u16> = image.subnets.iter().flat_map(|map| &map.classes).map(|(_, id)| id.0).collect();
        let other =
            |key: &mut RuleKey| key.remote_subnet = key.remote_subnet.map(|id| SubnetId(next(ids.clone(), id.0)));
        moved_to(image, other, |key| key.remote_subnet.is_some())
    });
    ways.all_found("another id of local ports", |image| {
        let ids: BTreeSet<u16> = image.local_ports.iter().flat_map(|map| &map.classes).map(|(_, id)| id.0).collect();
        let other = |key: &mut RuleKey| {
            key.local_portrange = key.local_portrange.map(|id| PortRangeId(next(ids.clone(), id.0)))
        };
        moved_to(image, other, |key| key.local_portrange.is_some())
    });
}

/// The image with another subnet map.
fn with_subnets(image: &Image, change: impl FnOnce(&mut SubnetMap)) -> Image {
    let mut map = SubnetMap::clone(image.subnets.as_ref().unwrap());
    change(&mut map);
    Image { subnets: Some(Arc::new(map)), ..image.clone() }
}

#[test]
fn ids_that_mean_something_else_are_found() {
    let mut ways = Ways::new();
    let sizes = ways.compiled.target().sizes;
    // The trie says the same as the classes: only entries tell that both are wrong.
    let named =
        |image: &Image| -> BTreeSet<SubnetId> { image.rules.keys().filter_map(|key| key.remote_subnet).collect() };
    ways.all_found("a class of subnets with the id of another, in the trie too", |image| {
        let map = image.subnets.as_ref().unwrap();
        let wrong = |at: usize| {
            let mut classes = map.classes.clone();
            classes[at].1 = classes[(at + 1) % classes.len()].1;
            Image { subnets: Some(Arc::new(SubnetMap::build(classes, &sizes).unwrap())), ..image.clone() }
        };
        let named = named(image);
        let tells = |at: &usize| {
            let (a, b) = (map.classes[*at].1, map.classes[(*at + 1) % map.classes.len()].1);
            a != b && (named.contains(&a) || named.contains(&b))
        };
        (0..map.classes.len()).filter(tells).map(|at| (format!("class {at}"), wrong(at))).collect()
    });
    ways.all_found("two ids of subnets exchanged", |image| {
        let named: Vec<SubnetId> = named(image).into_iter().collect();
        let exchange = |pair: &[SubnetId]| {
            let other = |id: SubnetId| match id {
                id if id == pair[0] => pair[1],
                id if id == pair[1] => pair[0],
                id => id,
            };
            let classes = image.subnets.as_ref().unwrap().classes.iter().map(|(first, id)| (*first, other(*id)));
            Image { subnets: Some(Arc::new(SubnetMap::build(classes, &sizes).unwrap())), ..image.clone() }
        };
        named.windows(2).map(|pair| (format!("{pair:?}"), exchange(pair))).collect()
    });
    ways.all_found("a class of local ports with the id of another", |image| {
        let map = image.local_ports.as_ref().unwrap();
        let wrong = |at: usize| {
            let mut classes = map.classes.clone();
            classes[at].1 = classes[(at + 1) % classes.len()].1;
            Image { local_ports: Some(Arc::new(PortMap::build(classes, &sizes).unwrap())), ..image.clone() }
        };
        let differ = |at: &usize| map.classes[*at].1 != map.classes[(*at + 1) % map.classes.len()].1;
        (0..map.classes.len()).filter(differ).map(|at| (format!("class {at}"), wrong(at))).collect()
    });
}

/// For every word of the trie: each change of it, and the place.
fn words(map: &SubnetMap) -> impl Iterator<Item = (usize, usize)> + '_ {
    map.nodes.iter().enumerate().flat_map(|(node, of)| (0..of.entries.len()).map(move |word| (node, word)))
}

#[test]
fn a_node_of_the_trie_that_is_another_is_found() {
    let mut ways = Ways::new();
    ways.all_found("a class that the trie does not have", |image| {
        let classes = &image.subnets.as_ref().unwrap().classes;
        let wrong = |at: usize| with_subnets(image, |map| map.classes[at].1 = classes[(at + 1) % classes.len()].1);
        let differ = |at: &usize| classes[*at].1 != classes[(*at + 1) % classes.len()].1;
        (0..classes.len()).filter(differ).map(|at| (format!("class {at}"), wrong(at))).collect()
    });
    ways.all_found("a node taken away", |image| {
        let len = image.subnets.as_ref().unwrap().nodes.len();
        let without = |at: usize| with_subnets(image, |map| drop(map.nodes.remove(at)));
        (0..len).map(|at| (format!("node {at}"), without(at))).collect()
    });
    ways.all_found("two nodes exchanged", |image| {
        let nodes = &image.subnets.as_ref().unwrap().nodes;
        let exchange = |at: usize| {
            with_subnets(image, |map| {
                let first = std::mem::take(&mut map.nodes[at].entries);
                let second = std::mem::replace(&mut map.nodes[at + 1].entries, first);
                map.nodes[at].entries = second;
            })
        };
        (0..nodes.len() - 1).map(|at| (format!("nodes {at} and {}", at + 1), exchange(at))).collect()
    });
    ways.all_found("a word of a node that is another", |image| {
        let map = image.subnets.as_ref().unwrap();
        let mut out = Vec::new();
        for (node, word) in words(map) {
            let was = map.nodes[node].entries[word];
            let others = [56_000, map.classes[map.classes.len() - 1].1.0 + 1, 16, 0, was.wrapping_add(1)];
            for other in others.into_iter().filter(|other| *other != was) {
                let changed = with_subnets(image, |map| map.nodes[node].entries[word] = other);
                out.push((format!("node {node}, word {word}: {other} for {was}"), changed));
            }
        }
        out
    });
    ways.all_found("two words of a node exchanged", |image| {
        let map = image.subnets.as_ref().unwrap();
        let differ = |(node, word): &(usize, usize)| {
            let entries = &map.nodes[*node].entries;
            entries.get(word + 1).is_some_and(|next| *next != entries[*word])
        };
        let exchange =
            |(node, word): (usize, usize)| with_subnets(image, |map| map.nodes[node].entries.swap(word, word + 1));
        words(map).filter(differ).map(|at| (format!("{at:?}"), exchange(at))).collect()
    });
}

#[test]
fn an_entry_of_a_port_tree_that_is_another_is_found() {
    let compiled = compiled();
    let sizes = compiled.target().sizes;
    let map = compiled.image().local_ports.as_ref().unwrap();
    let tree = map.tree(&sizes).unwrap();
    assert!(tree_says(&tree, map, &sizes));
    let reached = 2 * map.classes.len() - 1;
    assert!(reached > 8, "{map:?}");
    let mut found = 0;
    let mut is_found = |tree: Vec<PortTreeEntry>, what: String| {
        assert!(!tree_says(&tree, map, &sizes), "not found: {what}");
        found += 1;
    };
    for at in 0..reached {
        let changed = |change: &dyn Fn(&mut PortTreeEntry)| {
            let mut tree = tree.clone();
            change(&mut tree[at]);
            tree
        };
        let is_leaf = tree[at].branch_key == 0xffff;
        is_found(tree[..at].to_vec(), format!("cut before {at}"));
        if is_leaf {
            is_found(changed(&|entry| entry.leaf_id += 1), format!("leaf {at}: another id"));
            is_found(changed(&|entry| entry.leaf_id = 0), format!("leaf {at}: no id"));
            is_found(changed(&|entry| entry.branch_key = 80), format!("leaf {at}: no leaf"));
        } else {
            is_found(changed(&|entry| entry.branch_key += 1), format!("entry {at}: a higher key"));
            is_found(changed(&|entry| entry.branch_key -= 1), format!("entry {at}: a lower key"));
            is_found(changed(&|entry| entry.branch_key = 0xffff), format!("entry {at}: a leaf"));
        }
        if at + 1 < reached && tree[at] != tree[at + 1] {
            let mut exchanged = tree.clone();
            exchanged.swap(at, at + 1);
            is_found(exchanged, format!("entries {at} and {} exchanged", at + 1));
        }
    }
    println!("entries of a port tree: {found} single breaks, each found");
}

/// Addresses of the host that nobody bound, where all else is closed: there every entry for them counts, and so do the
/// denies of physical ports and ARP.
#[test]
fn entries_of_the_host_and_of_nobody_are_found() {
    let text = r#"
nicfw: 1
unbound: deny
multicast: deny
management:
  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.0/16, local: 10.30.0.4/30, mac: "02:00:0a:1e:00:01"}
  - {allow: in, proto: udp, local_ports: 53, local: 10.30.0.5, mac: "02:00:0a:1e:00:02"}
policies:
  web: [{allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16}]
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
"#;
    let document = Document::parse(text, "closed.yaml").unwrap_or_else(|error| panic!("{error}"));
    let compiled = Compiled::new(&document, &target(), None).unwrap_or_else(|error| panic!("{error}"));
    let image = compiled.image();
    proved(&compiled, image).unwrap();
    let mut changed = document.clone();
    Arc::make_mut(&mut changed.policies[0]).rules[0].replies = false;
    let increment = Increment::new(&compiled, changed);
    increment.proved(&increment.image).unwrap();
    let of_host = |key: &RuleKey| key.local_ip.is_some_and(|ip| ip.to_string().starts_with("10.30.0."));
    let counts = |key: &RuleKey| of_host(key) || key.physical_port.is_some() || key.ether_type == Some(ARP);
    let mut found = 0;
    for key in image.rules.keys().filter(|key| counts(key)) {
        let without = |image: &Image| broken(image, |rules| drop(rules.remove(key)));
        assert!(proved(&compiled, &without(image)).is_err(), "{key:?} is missing");
        assert!(increment.proved(&without(&increment.image)).is_err(), "{key:?} is missing after a change");
        found += 2;
    }
    let more: [(&str, fn(&mut RuleKey)); 4] = [
        ("another host's address", |key| key.local_ip = Some(IpAddr::from([10, 30, 0, 9]))),
        ("another MAC", |key| key.local_mac = Some(PEER_MAC)),
        ("any port", |key| key.local_port = None),
        ("any remote", |key| key.remote_subnet = None),
    ];
    for (what, change) in more {
        for (broken, other) in moved_to(image, change, of_host) {
            assert!(proved(&compiled, &other).is_err(), "{what}: {broken}");
            found += 1;
        }
    }
    println!("the host and nobody, where all else is closed: {found} single breaks, each found");
    assert!(found > 20, "{found}");
}

#[test]
fn what_was_not_brought_up_to_date_is_found() {
    // The entries are those of the document before: the compiler believes that nothing changed.
    let compiled = compiled();
    let changes: [(&str, fn(&mut Document)); 5] = [
        ("a policy", |document| drop(Arc::make_mut(&mut document.policies[0]).rules.remove(1))),
        ("another policy", |document| Arc::make_mut(&mut document.bindings[1]).policy = 2),
        ("a MAC", |document| Arc::make_mut(&mut document.bindings[1]).mac = PEER_MAC),
        ("an address", |document| Arc::make_mut(&mut document.bindings[1]).ips[0] = IpAddr::from([10, 30, 9, 9])),
        ("no binding", |document| drop(document.bindings.remove(1))),
    ];
    for (what, change) in changes {
        let mut document = compiled.document().clone();
        change(&mut document);
        let mut increment = Increment::new(&compiled, document);
        increment.proved(&increment.image).unwrap();
        increment.dirty = Dirty::default();
        increment.proved(&increment.image).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(increment.proved(compiled.image()).is_err(), "not found: {what}");
    }
}

#[test]
fn the_link_step_sees_of_a_remote_whether_it_is_a_group() {
    let document = document();
    let others = ["0.0.0.0", "10.20.0.1", "10.30.1.18", "127.0.0.1", "223.255.255.255", "240.0.0.0", "255.255.255.254"];
    let groups = ["224.0.0.0", "224.0.0.1", "239.255.255.255", "255.255.255.255"];
    let others_v6 = ["::", "2001:db8::1", "fe80::1", "feff:ffff::1"];
    let groups_v6 = ["ff00::", "ff02::1:ff00:1", "ffff:ffff::1"];
    let mut seen = Vec::new();
    for (at, binding) in document.bindings.iter().enumerate() {
        for (direction, proto) in
            DIRECTIONS.into_iter().flat_map(|direction| [1, 6, 58].map(|proto| (direction, proto)))
        {
            let by_link = |remote: &str| {
                let remote: IpAddr = remote.parse().unwrap();
                let local: IpAddr = if remote.is_ipv4() { "10.30.1.17" } else { "2001:db8::17" }.parse().unwrap();
                let flow = flow(local, remote, Some(proto));
                let flow =
                    Flow { direction, local_mac: binding.mac, outer_vlan: binding.vlan, physical_port: 1, ..flow };
                document.decide_link(&flow, &flow.ip.unwrap(), at, binding)
            };
            for same in [&others[..], &groups[..], &others_v6[..], &groups_v6[..]] {
                assert!(same.iter().all(|remote| by_link(remote) == by_link(same[0])), "{direction:?} {proto}");
                seen.push(by_link(same[0]).is_some());
            }
        }
    }
    assert!(seen.contains(&true) && seen.contains(&false), "groups are denied on TX alone");
}

#[test]
fn the_error_is_that_of_the_first_local_side() {
    let compiled = compiled();
    let rules = compiled.image().rules.iter().filter(|(key, _)| key.is_base());
    let rules: Rules = rules.map(|(key, entry)| (*key, entry.clone())).collect();
    let image = Image { rules, ..compiled.image().clone() };
    let Err(CompileError::Disagrees { at, .. }) = proved(&compiled, &image) else { panic!("not found") };
    assert_eq!(at, compiled.document().bindings[0].origin);
}
