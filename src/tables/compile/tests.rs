//! What a change leaves as it is, and who has which counter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::policy::{Binding, Document};
use crate::tables::rules::BlockKey;
use crate::tables::{Table, Target};

/// Containers with four rules each, and a rule about addresses of the host.
fn document(containers: &[u8]) -> Document {
    let rules: String = (1..=4)
        .map(|at| format!("  - {{allow: in, proto: tcp, remote: 10.2{at}.0.0/16, local_ports: {at}}}\n"))
        .collect();
    let binding = |at: &u8| {
        format!(
            "- {{container: c{at}, ip: 10.30.1.{at}, mac: \"02:00:00:00:00:{at:02x}\", attach: sriov, policy: web}}\n"
        )
    };
    let bindings: String = containers.iter().map(binding).collect();
    let text = format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\nmanagement:\n\
         - {{allow: in, proto: tcp, local_ports: 22, local: 10.40.0.0/30, mac: \"02:00:00:00:00:99\"}}\n\
         policies:\n  idle: []\n  web:\n{rules}bindings:\n{bindings}"
    );
    Document::parse(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn compiled(document: &Document, target: &Target, previous: Option<&Compiled>) -> Compiled {
    Compiled::new(document, target, previous).unwrap_or_else(|error| panic!("{error}"))
}

/// A copy of the image costs nothing where nothing changed: blocks that a change does not touch are those of the image before.
#[test]
fn blocks_of_others_stay_where_they_are() {
    let target = Target::profile0();
    let before = document(&[1, 2, 3, 4]);
    let old = compiled(&before, &target, None);
    let mut changed = before.clone();
    let binding: &mut Binding = Arc::make_mut(&mut changed.bindings[1]);
    binding.vlan = Some(7);
    let own = [
        BlockKey::of(&crate::tables::RuleKey { local_ip: Some(binding.ips[0]), ..Default::default() }),
        BlockKey::of(&crate::tables::RuleKey { local_mac: Some(binding.mac), ..Default::default() }),
    ];
    let new = compiled(&changed, &target, Some(&old));
    let blocks = |compiled: &Compiled| {
        compiled.image().rules.blocks().iter().map(|(name, block)| (*name, block.clone())).collect::<BTreeMap<_, _>>()
    };
    let (was, is) = (blocks(&old), blocks(&new));
    // Of each container one by its address and one by its MAC; four of the host.
    assert_eq!((was.len(), is.len()), (4 * 2 + 4, 4 * 2 + 4));
    for (name, block) in &is {
        assert_eq!(Arc::ptr_eq(block, &was[name]), !own.contains(name), "{name:?}");
    }
}

#[test]
fn a_change_is_compiled_once() {
    let target = Target::profile0();
    // Addresses of the host depend on which others are bound, so with such rules a change of these is compiled as a whole.
    let without_host = |containers: &[u8]| {
        let mut document = document(containers);
        document.management.clear();
        document
    };
    let mut before = compiled(&without_host(&[1, 2]), &target, None);
    for containers in [&[1, 2, 3][..], &[3, 2], &[2], &[2, 5, 6, 1]] {
        let mut begun = Vec::new();
        let document = without_host(containers);
        before = Compiled::watched(&document, &target, Some(&before), &mut |step| begun.push(step)).unwrap();
        let entries = before.image().rules.len();
        let rules = Progress::Rules { policies: 2, bindings: containers.len() };
        assert_eq!(begun, [rules, Progress::Tables, Progress::Proof { entries }]);
    }
}

/// The counters of a container's entries.
fn counters(compiled: &Compiled, container: u8) -> BTreeSet<u32> {
    let of = |slot: &CounterSlot| slot.container.as_deref() == Some(&*format!("c{container}"));
    compiled.counter_slots().iter().filter(|(_, slot)| of(slot)).map(|(id, _)| id.0).collect()
}

fn with_counters(counters: u32) -> Target {
    let mut target = Target::profile0();
    target.profile.counters = counters;
    target
}

/// A container has seven: for its address, its MAC, its ARP, and one for each rule; those of the host count together.
const EACH: u32 = 7;

#[test]
fn counters_stay_with_those_who_stay_and_new_ones_are_others() {
    let target = with_counters(64);
    let first = compiled(&document(&[1, 2]), &target, None);
    let (one, two) = (counters(&first, 1), counters(&first, 2));
    assert_eq!((one.len(), two.len(), first.counter_slots().len()), (7, 7, 15));
    assert!(one.is_disjoint(&two));
    // What the first container counted with is not given to the third, whose entries come while the others go.
    let second = compiled(&document(&[2, 3]), &target, Some(&first));
    assert_eq!(counters(&second, 2), two);
    let three = counters(&second, 3);
    assert!(three.len() == 7 && three.is_disjoint(&one) && three.is_disjoint(&two));
    // Later it is given again.
    let third = compiled(&document(&[2, 3, 4]), &target, Some(&second));
    assert_eq!(counters(&third, 4), one);
    assert_eq!((counters(&third, 2), counters(&third, 3)), (two, three));
}

/// An adapter with fewer counters than the one before: whoever had one that it does not have gets another.
#[test]
fn no_counter_is_kept_that_the_adapter_does_not_have() {
    let first = compiled(&document(&[1, 2]), &with_counters(64), None);
    let second = compiled(&document(&[2]), &with_counters(64), Some(&first));
    let two = counters(&second, 2);
    let last = *two.last().unwrap();
    assert!(last > EACH, "{two:?}");
    for available in [last + 1, last, last - 1] {
        let third = compiled(&document(&[2]), &with_counters(available), Some(&second));
        let now = counters(&third, 2);
        assert_eq!(now.len(), two.len(), "{available} suffice");
        assert!(now.iter().all(|id| *id < available), "{available}: {now:?}");
        let kept = two.iter().filter(|id| **id < available);
        assert!(kept.clone().all(|id| now.contains(id)), "{available}: {now:?}, {two:?} before");
        let resumed = Compiled::resume(third.document(), third.target(), third.image()).unwrap().unwrap();
        assert_eq!(counters(&resumed, 2), now);
    }
}

#[test]
fn usage_of_counters_is_what_entries_count_with() {
    let usage = |counters: u32| {
        let compiled = compiled(&document(&[1, 2]), &with_counters(counters), None);
        let of = |table: Table| compiled.usage().iter().find(|usage| usage.table == table).cloned().unwrap();
        let usage = of(Table::Counters);
        let pairs = |all: &[(String, u64)]| all.iter().map(|(name, used)| format!("{name} {used}")).collect::<Vec<_>>();
        let words = (pairs(&usage.by_policy), pairs(&usage.by_binding));
        (usage.needed, usage.available, usage.missing(), words.0.join(", "), words.1.join(", "))
    };
    let said = |policies: &str, bindings: &str| (policies.to_owned(), bindings.to_owned());
    let (policies, bindings) = said("web 14, idle 0", "c1 7, c2 7");
    assert_eq!(usage(64), (15, 64, 0, policies.clone(), bindings.clone()));
    assert_eq!(usage(15), (15, 15, 0, policies, bindings));
    // The four base denies first; then the host's entries, then container by container.
    let (policies, bindings) = said("web 9, idle 0", "c1 7, c2 2");
    assert_eq!(usage(10), (15, 10, 5, policies, bindings));
    let (policies, bindings) = said("web 4, idle 0", "c1 2, c2 2");
    assert_eq!(usage(4), (15, 4, 11, policies, bindings));
    let (policies, bindings) = said("web 3, idle 0", "c1 2, c2 1");
    assert_eq!(usage(3), (15, 3, 12, policies, bindings));
    let (policies, _) = said("idle 0, web 0", "");
    assert_eq!(usage(0), (15, 0, 15, policies, String::new()));
}

/// Warnings of the document stand first, then what is not counted, then policies that deny later fragments.
#[test]
fn warnings_of_the_tables_stand_behind_those_of_the_document() {
    let after = |document: &Document, target: &Target| {
        let compiled = compiled(document, target, None);
        let (all, own) = (compiled.warnings(), document.warnings());
        assert!(all.iter().zip(&own).all(|(said, own)| *said == own.to_string()) && all.len() >= own.len());
        all[own.len()..].to_vec()
    };
    // A policy without rules denies all, and is no surprise.
    let fragments = "t.yaml:8: all rules of policy web name ports, so later fragments are denied";
    let few = "5 entries go without a counter: 15 counters are needed, the adapter has 10";
    assert_eq!(after(&document(&[1, 2]), &with_counters(15)), [fragments]);
    assert_eq!(after(&document(&[1, 2]), &with_counters(10)), [few, fragments]);
    let mut whole = document(&[1, 2]);
    Arc::make_mut(&mut whole.policies[1]).rules[2].ports = None;
    assert_eq!(after(&whole, &with_counters(15)), [""; 0]);
}

/// What each table holds, counted by hand: for each container four rules, two base denies and ARP; four addresses of the
/// host; four prefixes of 16 bits that begin alike, which take the root and three nodes below it; no port is more than one.
#[test]
fn usage_of_tables_is_what_stands_in_them() {
    let compiled = compiled(&document(&[1, 2]), &Target::profile0(), None);
    let words =
        |all: &[(String, u64)]| all.iter().map(|(name, used)| format!("{name} {used}")).collect::<Vec<_>>().join(", ");
    let said: Vec<_> = compiled
        .usage()
        .iter()
        .map(|usage| (usage.table, usage.needed, words(&usage.by_policy), words(&usage.by_binding)))
        .collect();
    let expected = [
        (Table::Rules, 2 * 7 + 4, "web 14", "c1 7, c2 7"),
        (Table::SubnetIds, 4 + 1, "web 4", "c1 4, c2 4"),
        (Table::SubnetNodes, 4, "web 4", "c1 4, c2 4"),
        (Table::RemotePortIds, 0, "web 0", "c1 0, c2 0"),
        (Table::RemotePortTree, 0, "web 0", "c1 0, c2 0"),
        (Table::LocalPortIds, 0, "web 0", "c1 0, c2 0"),
        (Table::LocalPortTree, 0, "web 0", "c1 0, c2 0"),
        (Table::Combinations, 3 + 1 + 1, "web 1", "c1 1, c2 1"),
        (Table::Counters, 15, "web 14, idle 0", "c1 7, c2 7"),
    ];
    let expected =
        expected.map(|(table, needed, policies, bindings)| (table, needed, policies.to_owned(), bindings.to_owned()));
    assert_eq!(said, expected);
    assert_eq!(compiled.image().rules.len(), 18);
}
