//! Documents that differ in one place, and what of the tables has to follow: an entry that did not come, one that stayed,
//! one that is another than before. The proof of the increment finds what the proof of the whole finds, with what the
//! compiler believes to have changed and without it.

use super::*;
use crate::policy::Rule;
use crate::terms::{Direction, Verdict};

fn binding(document: &mut Document, at: usize) -> &mut Binding {
    Arc::make_mut(&mut document.bindings[at])
}

fn rules(document: &mut Document, policy: usize) -> &mut Vec<Rule> {
    &mut Arc::make_mut(&mut document.policies[policy]).rules
}

/// What the numbers are about: bindings 0 to 7 have policy 0 (2 and 6 a VLAN, 3 and 7 a physical port, 6 and 7 a MAC that
/// is not their own), 8 to 12 have policy 1 and neighbour discovery, the last two of them both families, 13 to 19 have
/// policy 2, and 18 and 19 a MAC that is not their own.
const CHANGES: [(&str, fn(&mut Document)); 24] = [
    ("a binding comes", |document| {
        let mut new = Binding::clone(&document.bindings[0]);
        (new.container, new.mac, new.ips) =
            ("new".to_owned(), MacAddr([2, 0, 0, 0, 7, 7]), vec![[10, 30, 7, 7].into()]);
        document.bindings.push(Arc::new(new));
    }),
    ("a binding with neighbour discovery comes", |document| {
        let mut new = Binding::clone(&document.bindings[8]);
        let ip: IpAddr = "2001:db8:7::7".parse().unwrap();
        (new.container, new.mac, new.ips) = ("new".to_owned(), MacAddr([2, 0, 0, 0, 7, 7]), vec![ip]);
        document.bindings.push(Arc::new(new));
    }),
    ("a binding with a MAC of its own goes", |document| drop(document.bindings.remove(0))),
    ("a binding with neighbour discovery goes", |document| drop(document.bindings.remove(9))),
    ("a binding with a shared MAC goes", |document| drop(document.bindings.remove(18))),
    ("a MAC is another", |document| binding(document, 1).mac = MacAddr([2, 0, 0, 0, 7, 7])),
    ("a shared MAC is another", |document| binding(document, 6).mac = MacAddr([2, 0, 0, 0, 7, 7])),
    ("a MAC is no longer the binding's own", |document| binding(document, 1).owns_mac = false),
    ("a MAC becomes the binding's own", |document| binding(document, 19).owns_mac = true),
    ("an address is another", |document| binding(document, 14).ips[0] = [10, 30, 7, 7].into()),
    ("an address of neighbour discovery is another", |document| {
        binding(document, 8).ips[0] = "2001:db8:7::7".parse().unwrap();
    }),
    ("an address comes", |document| binding(document, 14).ips.push([10, 30, 7, 7].into())),
    ("an address goes", |document| {
        binding(document, 11).ips.remove(0);
    }),
    ("neighbour discovery is closed", |document| binding(document, 10).open_nd = false),
    ("a VLAN comes", |document| binding(document, 0).vlan = Some(7)),
    ("a VLAN is another", |document| binding(document, 2).vlan = Some(8)),
    ("a VLAN goes", |document| binding(document, 2).vlan = None),
    ("a physical port is another", |document| binding(document, 3).physical_ports = vec![0]),
    ("a policy is another", |document| binding(document, 13).policy = 0),
    ("two containers exchange their policies", |document| {
        binding(document, 0).policy = 2;
        binding(document, 13).policy = 0;
    }),
    ("a rule goes", |document| drop(rules(document, 0).remove(0))),
    ("a rule of a few goes", |document| drop(rules(document, 1).remove(1))),
    ("rules change places", |document| rules(document, 0).swap(4, 5)),
    ("a rule is of the other direction", |document| {
        let rule = &mut rules(document, 2)[1];
        rule.direction = if rule.direction == Direction::Rx { Direction::Tx } else { Direction::Rx };
    }),
];

/// Images that hold an entry of the other image more, or one less, or one with the other's actions: a few of each kind.
fn half_done(was: &Image, is: &Image) -> Vec<(String, Image)> {
    let mut out = Vec::new();
    for (key, entry) in &was.rules {
        match is.rules.get(key) {
            None => out.push((format!("stays: {key:?}"), broken(is, |rules| drop(rules.insert(*key, entry.clone()))))),
            Some(new) if (new.rx.action, new.tx.action) != (entry.rx.action, entry.tx.action) => {
                out.push((format!("as it was: {key:?}"), broken(is, |rules| drop(rules.insert(*key, entry.clone())))));
            }
            Some(_) => {}
        }
    }
    for key in is.rules.keys().filter(|key| !was.rules.contains_key(key)) {
        out.push((format!("did not come: {key:?}"), broken(is, |rules| drop(rules.remove(key)))));
    }
    out
}

/// Goes from one document to the other; returns how many half-done changes there were, and how many are refused.
fn follow(what: &str, before: &Compiled, document: Document) -> (usize, usize) {
    let mut increment = Increment::new(before, document);
    increment.proved_whole(&increment.image).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut all = half_done(before.image(), &increment.image);
    let step = all.len().div_ceil(8).max(1);
    all = all.into_iter().step_by(step).chain([("nothing followed".to_owned(), before.image().clone())]).collect();
    let wholes: Vec<bool> = all.iter().map(|(_, image)| increment.proved_whole(image).is_err()).collect();
    for believed in ["told what changed", "told that nothing did"] {
        increment.proved(&increment.image).unwrap_or_else(|error| panic!("{what}, {believed}: {error}"));
        for ((which, image), whole) in all.iter().zip(&wholes) {
            assert_eq!(increment.proved(image).is_err(), *whole, "{what}, {believed}: {which}");
        }
        increment.dirty = Dirty::default();
    }
    (all.len(), wholes.iter().filter(|whole| **whole).count())
}

fn check(unbound: Verdict) {
    let document = Document { unbound, ..document() };
    let compile =
        |document: &Document| Compiled::new(document, &target(), None).unwrap_or_else(|error| panic!("{error}"));
    let before = compile(&document);
    let (mut tried, mut refused) = (0, 0);
    for (what, change) in CHANGES {
        let mut changed = document.clone();
        change(&mut changed);
        let back = follow(&format!("back from: {what}"), &compile(&changed), document.clone());
        let there = follow(what, &before, changed);
        tried += there.0 + back.0;
        refused += there.1 + back.1;
    }
    println!("{tried} half-done changes, {refused} of them refused as a whole and as increments");
    assert!(refused * 10 > tried * 8 && tried > 100, "{refused} of {tried}");
}

#[test]
fn what_did_not_follow_a_change_is_found_as_in_the_whole() {
    check(Verdict::Allow);
}

#[test]
fn what_did_not_follow_a_change_is_found_where_all_else_is_closed() {
    check(Verdict::Deny);
}

/// Of two documents the places of bindings that are others or whose rules are, and the bindings that came, went, or are
/// others, as they are and as they were.
#[test]
fn documents_differ_where_a_binding_or_its_rules_do() {
    let before = compiled();
    let is_other = |change: fn(&mut Document)| {
        let mut document = before.document().clone();
        change(&mut document);
        let (units, ids) = (&before.state.units, ImageIds::default());
        let proof = Proof { document: &document, target: before.target(), image: before.image(), units, ids: &ids };
        let Difference { anew, changed } = proof.difference(before.document());
        let changed: Vec<String> = changed.iter().map(|of| format!("{} {}", of.container, of.mac)).collect();
        (anew.into_iter().collect::<Vec<_>>(), changed)
    };
    let of = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(is_other(|_| {}), (vec![], vec![]));
    assert_eq!(is_other(|document| drop(rules(document, 2).pop())), ((13..20).collect(), vec![]));
    assert_eq!(
        is_other(|document| {
            // The bindings stand elsewhere in memory, and are the same.
            drop(rules(document, 1).pop());
            let same = Binding::clone(&document.bindings[3]);
            document.bindings[3] = Arc::new(same);
        }),
        ((8..13).collect(), vec![])
    );
    assert_eq!(
        is_other(|document| binding(document, 5).mac = MacAddr([2, 0, 0, 0, 7, 7])),
        (vec![5], of(&["c5 02:00:00:00:07:07", "c5 02:00:0a:1e:01:05"]))
    );
    assert_eq!(is_other(|document| drop(document.bindings.remove(4))), (vec![], of(&["c4 02:00:0a:1e:01:04"])));
    assert_eq!(
        is_other(|document| {
            let mut new = Binding::clone(&document.bindings[4]);
            new.container = "new".to_owned();
            document.bindings.push(Arc::new(new));
        }),
        (vec![20], of(&["new 02:00:0a:1e:01:04"]))
    );
    // A policy that stands at another place with the same rules is the same.
    assert_eq!(
        is_other(|document| {
            let same = document.policies[2].clone();
            document.policies.push(same);
            binding(document, 14).policy = 3;
        }),
        (vec![], vec![])
    );
    assert_eq!(is_other(|document| binding(document, 14).policy = 0), (vec![14], vec![]));
}
