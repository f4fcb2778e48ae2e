//! Units after changes of a document, against what the document says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::diff::same_binding;
use super::unit::{NO_POLICY, UnitKey, UnitShape};
use super::{Linked, Units};
use crate::policy::{Binding, Document, Policy};
use crate::tables::base;
use crate::tables::rules::BlockKey;
use crate::tables::{CompileError, MatchFields, RuleKey, Table, Target};
use crate::terms::Verdict;

fn document() -> Document {
    let text = r#"
nicfw: 1
unbound: deny
multicast: deny
management:
  - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1}
  - {allow: in, proto: tcp, local_ports: 23, remote: 10.20.0.1, local: 10.40.0.0/30, mac: "02:00:00:00:00:09"}
policies:
  web:
    - {allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/16}
    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53}
    - {allow: in, proto: tcp, local_ports: 9000, remote: 10.20.0.0/16, local: 10.30.1.2}
  db:
    - {allow: in, proto: tcp, local_ports: 5432, remote: 10.30.0.0/16}
  none: []
bindings:
  - {container: a, ip: 10.30.1.1, mac: "02:00:00:00:00:01", attach: sriov, policy: web}
  - {container: b, ip: 10.30.1.2, mac: "02:00:00:00:00:02", attach: sriov, policy: web}
  - {container: c, ip: [10.30.1.3, 10.30.1.4], mac: "02:00:00:00:00:03", attach: sriov, policy: web}
  - {container: d, ip: 10.30.1.5, mac: "02:00:00:00:00:04", attach: sriov, policy: db, owns_mac: no}
  - {container: e, ip: 10.30.1.6, mac: "02:00:00:00:00:04", attach: sriov, policy: db, owns_mac: no}
  - {container: f, ip: "2001:db8::7", mac: "02:00:00:00:00:05", attach: sriov, policy: none, nd: open-icmpv6}
"#;
    Document::parse(text, "t.yaml").unwrap_or_else(|error| panic!("{error}"))
}

fn target() -> Target {
    Target { physical_ports: 2, ..Target::profile0() }
}

fn update(units: Units, before: Option<&Document>, document: &Document) -> Linked {
    units.update(before, document, &target()).unwrap_or_else(|error| panic!("{error}"))
}

/// The name of a unit's policy, and its shape.
fn named<'a>(units: &Units, document: &'a Document, (name, shape): &UnitKey) -> (&'a str, UnitShape) {
    let at = units.policies.iter().position(|policy| policy.name == *name);
    assert!(at.is_some() || *name == NO_POLICY, "{name} is no policy");
    (at.map_or("", |at| &document.policies[at].name), UnitShape::clone(shape))
}

/// Units hold what the document says, and nothing of the documents before it.
fn hold(units: &Units, document: &Document) {
    let target = target();
    assert_eq!((units.policies.len(), units.bindings.len()), (document.policies.len(), document.bindings.len()));
    for (of, policy) in units.policies.iter().zip(document.policies.iter()) {
        assert!(of.numbers.room as usize >= policy.rules.len());
    }
    let names: BTreeSet<u32> = units.policies.iter().map(|of| of.name).collect();
    assert_eq!(names.len(), units.policies.len(), "no two have one name");
    // Every number stands for one thing.
    let rules = units.policies.iter().flat_map(|of| of.numbers.first..of.numbers.first + of.numbers.room);
    let numbers: Vec<u32> = rules.chain(units.bindings.iter().map(|of| of.number)).chain(0..2).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    assert!(numbers.iter().all(|number| *number < units.next.number));

    let container: BTreeMap<u32, &str> = units
        .bindings
        .iter()
        .zip(document.bindings.iter())
        .map(|(of, binding)| (of.number, &*binding.container))
        .collect();
    let macs: BTreeSet<_> = units.macs.iter().map(|((mac, number), ())| (*mac, container[number])).collect();
    assert_eq!(macs, document.bindings.iter().map(|binding| (binding.mac, &*binding.container)).collect());
    assert_eq!(units.macs.len(), macs.len());

    assert_eq!(units.bound.len(), document.bindings.len());
    let mut users: BTreeMap<(&str, UnitShape), BTreeMap<MatchFields, u32>> = BTreeMap::new();
    for (of, binding) in units.bindings.iter().zip(document.bindings.iter()) {
        let bound = units.bound.get(&of.number).unwrap();
        assert!(same_binding(&bound.binding, binding), "{}", binding.container);
        assert_eq!(of.policy, units.policies[binding.policy].name);
        let sides = binding.ips.iter().flat_map(|ip| base::local_keys(binding, *ip, &target));
        assert_eq!(bound.locals.iter().map(|(side, _)| *side).collect::<Vec<_>>(), sides.collect::<Vec<_>>());
        for (side, key) in &bound.locals {
            let shape =
                crate::policy::regions::Shape::of(document, binding.policy, binding.open_nd, side.local_ip.unwrap());
            let (policy, unit) = named(units, document, key);
            let at_first = |place: &crate::policy::RulePlace| match *place {
                crate::policy::RulePlace::Policy(_, at) => crate::policy::RulePlace::Policy(0, at),
                place => place,
            };
            let rules: Vec<_> = shape.rules.iter().map(at_first).collect();
            assert_eq!(
                (policy, &unit.shape.rules, unit.shape.v6),
                (&*document.policies[binding.policy].name, &rules, shape.v6)
            );
            *users.entry((policy, unit)).or_default().entry(side.fields()).or_default() += 1;
        }
        assert_eq!(
            binding.ips.iter().map(|ip| Units::locals_of(&bound.locals, *ip).count()).sum::<usize>(),
            bound.locals.len()
        );
    }
    for (local, key) in units.unbound.iter() {
        *users.entry(named(units, document, key)).or_default().entry(local.fields()).or_default() += 1;
    }
    let used: BTreeMap<_, _> = units
        .used
        .iter()
        .map(|(key, used)| {
            let locals = used.locals.iter().filter(|(_, count)| **count > 0).map(|(fields, count)| (*fields, *count));
            (named(units, document, key), locals.collect())
        })
        .collect();
    assert_eq!(used, users);
    assert_eq!(units.used.len(), users.len(), "no unit is left that nothing has");
    assert_eq!(units.steps, units.used.iter().map(|(_, used)| used.unit.steps).sum::<u64>());

    let mut entries = base::of_document(document, &target);
    for (of, binding) in units.bindings.iter().zip(document.bindings.iter()) {
        for (key, fresh) in base::of_binding(binding, document.unbound == Verdict::Deny) {
            entries.entry(key).or_insert(fresh).bindings.insert(of.number);
        }
    }
    assert_eq!(units.base.len(), entries.len());
    for (key, entry) in &entries {
        assert_eq!(units.base.get(key), Some(entry), "{key}");
    }
    let fields: BTreeSet<MatchFields> = entries.keys().map(RuleKey::fields).collect();
    assert_eq!(units.base.fields().copied().collect::<BTreeSet<_>>(), fields);
}

#[test]
fn units_hold_what_the_document_says() {
    let document = document();
    let Linked { units, dirty, changes } = update(Units::default(), None, &document);
    hold(&units, &document);
    assert_eq!(dirty.bindings, (0..6).collect());
    assert!(dirty.unbound && dirty.ended.is_empty());
    assert_eq!(changes.fresh.len(), units.used.len());
    // Four addresses of the host; b has a rule of its own.
    assert_eq!((units.unbound.len(), units.used.len()), (4, 5));
    // Units of one policy and shape have one name in memory.
    let mut places = BTreeMap::new();
    for (name, shape) in units.bound.iter().flat_map(|(_, bound)| bound.locals.iter().map(|(_, key)| key)) {
        let place = places.entry((name, UnitShape::clone(shape))).or_insert(shape.place());
        assert_eq!(*place, shape.place());
    }
    assert_eq!(places.len(), 4);
}

/// What is done to the document; places of bindings that are made anew, and how many end, and how many policies differ.
type Change = (&'static str, fn(&mut Document), &'static [usize], usize, usize);

fn binding(document: &mut Document, at: usize) -> &mut Binding {
    Arc::make_mut(&mut document.bindings[at])
}

fn policy(document: &mut Document, at: usize) -> &mut Policy {
    Arc::make_mut(&mut document.policies[at])
}

const CHANGES: [Change; 17] = [
    ("nothing", |_| (), &[], 0, 0),
    (
        "other places in memory",
        |document| {
            document.policies.iter_mut().for_each(|policy| *policy = Arc::new(Policy::clone(policy)));
            document.bindings.iter_mut().for_each(|binding| *binding = Arc::new(Binding::clone(binding)));
        },
        &[],
        0,
        0,
    ),
    ("another MAC", |document| binding(document, 0).mac.0[5] = 0x11, &[0], 0, 0),
    ("another VLAN", |document| binding(document, 1).vlan = Some(7), &[1], 0, 0),
    ("a physical port", |document| binding(document, 1).physical_ports = vec![1], &[1], 0, 0),
    ("another address", |document| binding(document, 2).ips[1] = "10.30.1.14".parse().unwrap(), &[2], 0, 0),
    ("an address less", |document| binding(document, 2).ips.truncate(1), &[2], 0, 0),
    ("no open neighbour discovery", |document| binding(document, 5).open_nd = false, &[5], 0, 0),
    ("another policy", |document| binding(document, 1).policy = 1, &[1], 0, 0),
    ("a rule less", |document| drop(policy(document, 0).rules.pop()), &[0, 2], 0, 1),
    (
        "two rules more",
        |document| {
            let rules = document.policies[0].rules.clone();
            policy(document, 1).rules.extend(rules);
        },
        &[1, 3, 4],
        0,
        1,
    ),
    ("a binding goes", |document| drop(document.bindings.remove(3)), &[], 1, 0),
    (
        "it comes back, elsewhere",
        |document| {
            let mut again = Binding::clone(&document.bindings[3]);
            again.container = "g".to_owned();
            again.ips = vec!["10.30.1.77".parse().unwrap()];
            document.bindings.insert(1, Arc::new(again));
        },
        &[1],
        0,
        0,
    ),
    (
        "a policy comes first",
        |document| {
            let first = Policy { name: "first".to_owned(), ..Policy::clone(&document.policies[1]) };
            document.policies.insert(0, Arc::new(first));
            (0..document.bindings.len()).for_each(|at| binding(document, at).policy += 1);
        },
        &[],
        0,
        1,
    ),
    ("and has a binding", |document| binding(document, 4).policy = 0, &[4], 0, 0),
    ("bindings are turned round", |document| document.bindings.rotate_left(2), &[], 0, 0),
    (
        "the first policy goes with its binding",
        |document| {
            document.bindings.retain(|binding| binding.policy != 0);
            document.policies.remove(0);
            (0..document.bindings.len()).for_each(|at| binding(document, at).policy -= 1);
        },
        &[],
        1,
        0,
    ),
];

#[test]
fn after_each_change_units_hold_what_the_document_says() {
    let mut before = document();
    let mut units = update(Units::default(), None, &before).units;
    let first = (before.clone(), units.clone());
    for (what, change, bindings, ended, policies) in CHANGES {
        println!("{what}");
        let mut document = before.clone();
        change(&mut document);
        let was = units.clone();
        let linked = update(units, Some(&before), &document);
        hold(&linked.units, &document);
        let dirty = &linked.dirty;
        assert_eq!(dirty.bindings, bindings.iter().copied().collect(), "{what}");
        assert_eq!((dirty.ended.len(), dirty.policies.len(), dirty.unbound), (ended, policies, false), "{what}");
        // Units that nothing changed about are those that were there, and no other one is made.
        let changes = &linked.changes;
        for (key, used) in linked.units.used.iter() {
            let is_kept = was.used.get(key).is_some_and(|was| Arc::ptr_eq(&was.unit, &used.unit));
            assert_eq!(is_kept, !changes.fresh.contains(key), "{what}");
            assert!(
                changes.touched.contains_key(key) || was.used.get(key).is_some_and(|was| was.locals == used.locals)
            );
        }
        assert!(changes.fresh.iter().all(|key| linked.units.used.get(key).is_some()));
        (before, units) = (document, linked.units);
    }
    // Back in one step.
    let linked = update(units, Some(&before), &first.0);
    hold(&linked.units, &first.0);
}

/// Blocks of base entries are made anew where these come, go, or have other bindings.
#[test]
fn blocks_of_base_entries_are_those_that_changed() {
    let before = document();
    let units = update(Units::default(), None, &before).units;
    let mut document = before.clone();
    binding(&mut document, 0).mac.0[5] = 0x11;
    let dirty = update(units, Some(&before), &document).dirty;
    let of = |ip: Option<&str>, mac: Option<&str>| {
        let (local_ip, local_mac) = (ip.map(|ip| ip.parse().unwrap()), mac.map(|mac| mac.parse().unwrap()));
        BlockKey::of(&RuleKey { local_ip, local_mac, ..RuleKey::default() })
    };
    let [old, new] = ["02:00:00:00:00:01", "02:00:00:00:00:11"];
    let expected = [of(Some("10.30.1.1"), None), of(None, Some(old)), of(None, Some(new))];
    assert_eq!(dirty.blocks, expected.into_iter().collect());
}

/// A document whose management rule is about these addresses of the host, one of which is bound.
fn host(local: &str, bound: &str) -> Document {
    let nd = if bound.contains(':') { ", nd: open-icmpv6" } else { "" };
    let text = format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\nmanagement:\n\
         - {{allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1, local: {local}, mac: \"02:00:00:00:00:09\"}}\n\
         policies: {{p: []}}\nbindings:\n\
         - {{container: a, ip: {bound}, mac: \"02:00:00:00:00:01\", attach: sriov{nd}, policy: p}}\n"
    );
    Document::parse(&text, "host.yaml").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn addresses_of_the_host_are_entries_as_far_as_there_are_entries() {
    let with = |rules: u32| {
        let mut target = target();
        target.profile.rules = rules;
        target
    };
    let all = super::unit::unbound(&host("10.40.0.0/28", "10.40.0.3"), &with(15)).unwrap();
    let last = |key: &RuleKey| match key.local_ip {
        Some(std::net::IpAddr::V4(ip)) => ip.octets()[3],
        _ => panic!("{key}"),
    };
    let expected: Vec<u8> = (0..16).filter(|at| *at != 3).collect();
    assert_eq!(all.iter().map(|(key, _)| last(key)).collect::<Vec<_>>(), expected);
    assert!(all.iter().all(|(key, _)| key.local_mac == Some("02:00:00:00:00:09".parse().unwrap())));
    let (v4, v6) = ("10.40.0.0/28", "\"2001:db8::/124\"");
    for (local, bound, rules, missing, used) in [
        (v4, "10.40.0.3", 14, 1, 15),
        (v4, "10.41.0.3", 15, 1, 16),
        ("10.0.0.0/8", "10.40.0.3", 1000, 16_776_215, 16_777_215),
        (v6, "\"2001:db8::3\"", 14, 1, 15),
        (v6, "\"2001:db9::3\"", 10, 6, 16),
        ("\"2001:db8::/32\"", "\"2001:db8::3\"", 10, u64::MAX - 10, u64::MAX),
    ] {
        let document = host(local, bound);
        let refusal = super::unit::unbound(&document, &with(rules)).unwrap_err();
        let CompileError::DoesNotFit { at, table, missing: fewer, largest, .. } = refusal else { panic!("{local}") };
        assert_eq!((at.line, table, fewer), (5, Table::Rules, missing), "{local} {bound}");
        assert_eq!((largest.policy, largest.used), (None, used), "{local} {bound}");
        if let Some(enough) = u32::try_from(used).ok().filter(|used| *used <= 16) {
            assert_eq!(super::unit::unbound(&document, &with(enough)).unwrap().len() as u64, used);
        }
    }
}
