//! The proof against a slow judgement of a small world: where entries of an image are others, every flow that they match,
//! before or after, is decided from the document and judged by the image, one by one. Where that disagrees, the image must
//! be refused: as a whole, and as an increment from whatever document before.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::increment::Increment;
use super::{broken, proved};
use crate::policy::regions::DIRECTIONS;
use crate::policy::{Document, Proto};
use crate::tables::compile::Compiled;
use crate::tables::{
    Action, CompileError, FieldValue, Image, ImageEntry, KeyField, LookupOrder, MatchFields, RuleKey, Target,
};
use crate::terms::{Flow, IpFlow, MacAddr, Ports, Verdict};

const DOCUMENT: &str = r#"
nicfw: 1
unbound: deny
multicast: deny
ephemeral: 40000-49999
groups:
  office: [10.20.0.0/16, 10.21.0.0/16]
management:
  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1}
  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.0/16, local: 10.30.0.5, mac: "02:00:0a:1e:00:01"}
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443, 8000-8099], remote: office}
    - {allow: out, proto: udp, remote: any, remote_ports: [53, 5000-5999]}
    - {allow: in, proto: icmp, remote: office, replies: no}
    - {allow: out, proto: any, remote: 10.40.0.0/16, replies: no}
    - {allow: in, proto: tcp, remote: 10.40.7.0/24, local_ports: 80, local: 10.30.1.17, replies: no}
  six:
    - {allow: in, proto: tcp, local_ports: 443, remote: ["2001:db8::1", 10.20.0.1]}
    - {allow: out, proto: udp, remote: "2001:db8::53", remote_ports: 53}
bindings:
  - {container: a, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web, vlan: 7}
  - {container: b, ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: sriov, policy: web, physical_ports: [1]}
  - {container: c, ip: ["2001:db8:1::a", 10.30.1.19], mac: "02:00:0a:1e:01:13", attach: sriov, policy: six, nd: open-icmpv6}
  - {container: d, ip: 10.30.1.20, mac: "02:00:0a:1e:01:14", attach: sriov, owns_mac: no, policy: web}
  - {container: e, ip: 10.30.1.21, mac: "02:00:0a:1e:01:15", attach: sriov, policy: six, vlan: 7}
"#;

/// A document that the increment starts from, in place of [`DOCUMENT`]: what stands there, and what stood before.
const BEFORE: [(&str, &str, &str); 7] = [
    ("a rule came", "    - {allow: out, proto: any, remote: 10.40.0.0/16, replies: no}\n", ""),
    ("ports moved", "8000-8099", "8000-8050"),
    ("a VLAN came", "policy: web, vlan: 7", "policy: web"),
    ("a MAC moved", "mac: \"02:00:0a:1e:01:14\"", "mac: \"02:00:0a:1e:01:24\""),
    ("a MAC became its own", "policy: web, physical_ports: [1]", "policy: web, owns_mac: no, physical_ports: [1]"),
    ("a physical port is another", "physical_ports: [1]", "physical_ports: [0]"),
    ("a policy moved", "attach: sriov, policy: six, vlan: 7", "attach: sriov, policy: web, vlan: 7"),
];

const FOREIGN: [&str; 2] = ["10.30.9.9", "2001:db8:9::9"];
const FOREIGN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 9, 9]);

fn parse(text: &str) -> Document {
    Document::parse(text, "world.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Every combination of fields that documents need, the one that names more first.
fn ranked() -> Target {
    use MatchFields as F;
    let none = F::empty();
    let options: [&[F]; 7] = [
        &[none, F::LOCAL_MAC],
        &[none, F::OUTER_VLAN],
        &[none, F::PHYSICAL_PORT],
        &[none, F::IP_PROTO],
        &[none, F::REMOTE_IP, F::REMOTE_SUBNET_ID],
        &[none, F::REMOTE_PORT, F::REMOTE_PORTRANGE_ID],
        &[none, F::LOCAL_PORT, F::LOCAL_PORTRANGE_ID],
    ];
    let mut order = vec![F::LOCAL_IP | F::ETHER_TYPE];
    for more in options {
        order = order.iter().flat_map(|of| more.iter().map(|more| *of | *more)).collect();
    }
    order.sort_by_key(|fields| std::cmp::Reverse(fields.bits().count_ones()));
    order.extend([F::LOCAL_MAC | F::ETHER_TYPE, F::LOCAL_IP, F::LOCAL_MAC, F::PHYSICAL_PORT]);
    let mut target = Target::profile0();
    target.profile.order = LookupOrder::Ranked(order);
    target.profile.combinations = 1000;
    target
}

fn unordered() -> Target {
    let mut target = Target::profile0();
    target.profile.combinations = 256;
    target
}

/// Flows of each local address, each with what the document says of it.
struct World(HashMap<IpAddr, Vec<(Flow, Verdict)>>);

impl World {
    fn new(document: &Document) -> Self {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let remotes = [
            "0.0.0.0",
            "10.20.0.1",
            "10.20.0.2",
            "10.21.255.255",
            "10.22.0.0",
            "10.40.6.255",
            "10.40.7.0",
            "224.0.0.1",
            "2001:db8::1",
            "2001:db8::53",
            "2001:db8::54",
            "ff02::1",
        ];
        let mut locals: BTreeSet<(IpAddr, MacAddr)> = FOREIGN.map(|ip| (address(ip), FOREIGN_MAC)).into();
        locals.extend(document.bindings.iter().flat_map(|of| of.ips.iter().map(|ip| (*ip, of.mac))));
        locals.insert((address("10.30.0.5"), "02:00:0a:1e:00:01".parse().unwrap()));
        locals.insert((address("ff02::1:ff00:a"), FOREIGN_MAC));
        let mut out: HashMap<IpAddr, Vec<(Flow, Verdict)>> = HashMap::new();
        for (local, own) in locals {
            let all = out.entry(local).or_default();
            for remote in remotes.map(address).into_iter().filter(|ip| ip.is_ipv4() == local.is_ipv4()) {
                for flow in with_ports(local, remote) {
                    for flow in on_links(flow, own) {
                        all.push((flow, document.decide(&flow).verdict));
                    }
                }
            }
        }
        Self(out)
    }

    /// Everything that keys could name about the flows, by local address; the maps of the image tell.
    fn names(&self, image: &Image) -> HashMap<IpAddr, Vec<RuleKey>> {
        let names = |flows: &Vec<(Flow, Verdict)>| flows.iter().map(|(flow, _)| image.names(flow)).collect();
        self.0.iter().map(|(ip, flows)| (*ip, names(flows))).collect()
    }

    /// A flow that one of these keys matches, and about which an image says something else than the document; of many that
    /// match some hundreds are asked about.
    fn difference(
        &self,
        image: &Image,
        names: &HashMap<IpAddr, Vec<RuleKey>>,
        target: &Target,
        keys: &[RuleKey],
    ) -> Option<Flow> {
        let concerns = |names: &RuleKey| keys.iter().any(|key| names.only(key.fields()) == *key);
        let near = |ip: &IpAddr| keys.iter().any(|key| key.local_ip.is_none_or(|of| of == *ip));
        let near = self.0.iter().filter(|(ip, _)| near(ip)).flat_map(|(ip, flows)| flows.iter().zip(&names[ip]));
        let concerned: Vec<&(Flow, Verdict)> =
            near.filter(|(_, names)| concerns(names)).map(|(flow, _)| flow).collect();
        let asked = || concerned.iter().step_by(concerned.len() / 300 + 1);
        let flows: Vec<Flow> = asked().map(|(flow, _)| *flow).collect();
        let judged = image.judge_all(&flows, &target.profile, 0);
        asked().zip(judged).find(|((_, decided), judged)| *decided != judged.verdict).map(|((flow, _), _)| *flow)
    }
}

fn with_ports(local: IpAddr, remote: IpAddr) -> Vec<IpFlow> {
    let mut out = Vec::new();
    for proto in [None, Some(1), Some(6), Some(17), Some(58), Some(99)] {
        out.push(IpFlow { local, remote, proto, ports: None });
        if !proto.is_some_and(Proto::has_ports) {
            continue;
        }
        for local_port in [22, 80, 443, 8000, 8099, 8100, 40_000, 50_000] {
            for remote_port in [53, 4999, 5000, 5999, 60_000] {
                let ports = Some(Ports { local: local_port, remote: remote_port });
                out.push(IpFlow { local, remote, proto, ports });
            }
        }
    }
    out
}

fn on_links(ip: IpFlow, own: MacAddr) -> Vec<Flow> {
    let mut out = Vec::new();
    for direction in DIRECTIONS {
        for (mac, outer_vlan, physical_port) in [
            (own, None, 0),
            (own, None, 1),
            (own, Some(7), 0),
            (own, Some(1), 1),
            (FOREIGN_MAC, None, 1),
            (FOREIGN_MAC, Some(7), 0),
        ] {
            out.push(Flow {
                direction,
                physical_port,
                local_mac: mac,
                outer_vlan,
                ip: Some(ip),
                ..super::flow(ip.local, ip.remote, ip.proto)
            });
        }
    }
    out
}

/// An entry in place of another one, or of none.
type Edit = (RuleKey, Option<ImageEntry>);

/// Every change of one entry: gone, with other actions, and with any field left out or of another value that the image
/// knows, beside what it was and in place of it.
fn edits(image: &Image, target: &Target) -> Vec<Vec<Edit>> {
    let mut values: HashMap<KeyField, BTreeSet<FieldValue>> = HashMap::new();
    for field in KeyField::ALL {
        values.entry(*field).or_default().extend(image.rules.keys().filter_map(|key| key.get(*field)));
    }
    let mut add = |field, value| {
        values.entry(field).or_default().insert(value);
    };
    add(KeyField::IpProto, FieldValue::Number(99));
    add(KeyField::OuterVlan, FieldValue::Number(1));
    add(KeyField::PhysicalPort, FieldValue::Number(1));
    add(KeyField::LocalMac, FieldValue::Mac(FOREIGN_MAC));
    add(KeyField::LocalIp, FieldValue::Ip(FOREIGN[0].parse().unwrap()));
    let ids = |map: Vec<u16>, field, add: &mut dyn FnMut(KeyField, FieldValue)| {
        map.into_iter().for_each(|id| add(field, FieldValue::Number(id.into())));
    };
    let subnets = image.subnets.iter().flat_map(|map| &map.classes).map(|(_, id)| id.0).collect();
    ids(subnets, KeyField::RemoteSubnet, &mut add);
    let ports = image.local_ports.iter().flat_map(|map| &map.classes).map(|(_, id)| id.0).collect();
    ids(ports, KeyField::LocalPortrange, &mut add);
    let ports = image.remote_ports.iter().flat_map(|map| &map.classes).map(|(_, id)| id.0).collect();
    ids(ports, KeyField::RemotePortrange, &mut add);
    let looked_up = |key: &RuleKey| match &target.profile.order {
        LookupOrder::Ranked(order) => order.contains(&key.fields()),
        LookupOrder::Unordered => true,
    };
    let mut out = Vec::new();
    for (key, entry) in &image.rules {
        out.push(vec![(*key, None)]);
        for action in [Action::None, Action::Allow { sample: false }, Action::Deny { sample: false }] {
            for rx in [true, false] {
                let mut other = entry.clone();
                (if rx { &mut other.rx } else { &mut other.tx }).action = action;
                if other != *entry {
                    out.push(vec![(*key, Some(other))]);
                }
            }
        }
        for field in KeyField::ALL {
            let without = key.only(key.fields().difference(field.bit()));
            let with = values[field].iter().filter_map(|value| key.with(*field, *value));
            for other in with.chain([without]) {
                if looked_up(&other) && !image.rules.contains_key(&other) {
                    out.push(vec![(*key, None), (other, Some(entry.clone()))]);
                    out.push(vec![(other, Some(entry.clone()))]);
                }
            }
        }
    }
    out
}

fn edited(image: &Image, edits: &[Edit]) -> Image {
    broken(image, |rules| {
        for (key, entry) in edits {
            match entry {
                Some(entry) => drop(rules.insert(*key, entry.clone())),
                None => drop(rules.remove(key)),
            }
        }
    })
}

/// A way to prove an image of the document, and the one that the compiler made.
type Way<'a> = (&'static str, &'a Image, Box<dyn Fn(&Image) -> Result<(), CompileError> + 'a>);

/// Breaks every `step`th of all changes, and pairs of them; counts those that make a difference, each of which must be
/// refused.
fn all_found(target: &Target, step: usize) {
    let document = parse(DOCUMENT);
    let compile = |document: &Document| Compiled::new(document, target, None).unwrap_or_else(|error| panic!("{error}"));
    let compiled = compile(&document);
    let increments = BEFORE.map(|(what, is, was)| {
        assert!(DOCUMENT.contains(is), "{what}");
        (what, Increment::new(&compile(&parse(&DOCUMENT.replacen(is, was, 1))), document.clone()))
    });
    let mut ways: Vec<Way<'_>> = vec![("the whole", compiled.image(), Box::new(|image| proved(&compiled, image)))];
    for (what, increment) in &increments {
        ways.push((what, &increment.image, Box::new(|image| increment.proved(image))));
    }
    let world = World::new(&document);
    for (number, (what, image, prove)) in ways.iter().enumerate() {
        prove(image).unwrap_or_else(|error| panic!("{what}: {error}"));
        let all = edits(image, target);
        let names = world.names(image);
        assert_eq!(world.difference(image, &names, target, &[RuleKey::default()]), None, "{what}");
        let single = all.iter().skip(number % step).step_by(step).cloned();
        let partner = |at: usize| &all[at.wrapping_mul(0x9e37_79b9) % all.len()];
        let pairs = (number..all.len()).step_by(2 * step).map(|at| [&all[at][..], &partner(at)[..]].concat());
        let (mut differ, mut tried) = (0, 0);
        for edits in single.chain(pairs) {
            let image = edited(image, &edits);
            let keys: Vec<RuleKey> = edits.iter().map(|(key, _)| *key).collect();
            tried += 1;
            if let Some(flow) = world.difference(&image, &names, target, &keys) {
                differ += 1;
                assert!(prove(&image).is_err(), "not found: {what}: {edits:?}\n{flow:?}");
            }
        }
        println!("{what}: {tried} of {} changes, {differ} of them make a difference, each found", all.len());
        assert!(differ > 20, "{what}: {differ} of {tried}");
    }
}

#[test]
fn what_makes_a_difference_is_found() {
    all_found(&unordered(), 101);
}

#[test]
fn what_makes_a_difference_under_a_ranked_order_is_found() {
    all_found(&ranked(), 67);
}
