//! A change of a document compiled after the document before it, against the same compiled from nothing: both say the
//! same, but for the names of ids, nodes, counters and origins.

use std::collections::BTreeSet;
use std::sync::Arc;

use nicfw::policy::{Binding, Document, Policy, Rule};
use nicfw::tables::{
    Action, Compiled, CounterSlot, OriginId, OriginSource, PortMap, PortRangeId, Progress, RuleKey, SubnetId,
    SubnetMap, Target,
};
use nicfw::terms::Verdict;
use nicfw_test_kit::documents::document;
use proptest::prelude::*;
use proptest::test_runner::Config;

/// The points that have an id.
type Points = Vec<(u32, u32)>;

fn points(classes: impl Iterator<Item = (u32, u16)>, last: u32, id: u16) -> Points {
    let classes: Vec<(u32, u16)> = classes.collect();
    let ends = classes.iter().skip(1).map(|(first, _)| first - 1).chain([last]);
    classes.iter().zip(ends).filter(|((_, of), _)| *of == id).map(|((first, _), last)| (*first, last)).collect()
}

fn addresses(map: Option<&SubnetMap>, id: SubnetId) -> Points {
    points(map.unwrap().classes.iter().map(|(first, id)| (*first, id.0)), u32::MAX, id.0)
}

fn ports(map: Option<&PortMap>, id: PortRangeId) -> Points {
    points(map.unwrap().classes.iter().map(|(first, id)| (u32::from(*first), id.0)), 65535, id.0)
}

type Who = BTreeSet<String>;
/// What an entry matches, what it does, for whom, and what counts it.
type Entry = (RuleKey, [Option<Points>; 3], [(Action, Who); 2], Option<String>);

fn who(compiled: &Compiled, origins: &[OriginId]) -> Who {
    let say = |OriginSource { rule, binding, origin, .. }: OriginSource| format!("{rule:?} {binding:?} {origin:?}");
    origins.iter().map(|id| say(compiled.origin(*id).unwrap())).collect()
}

fn content(compiled: &Compiled, counters: bool) -> Vec<Entry> {
    let image = compiled.image();
    let count = |CounterSlot { base, container, rx, tx, .. }: &CounterSlot| {
        format!("{base:?} {container:?} {:?} {:?}", who(compiled, rx), who(compiled, tx))
    };
    let mut out: Vec<Entry> = image
        .rules
        .iter()
        .map(|(key, entry)| {
            let means = [
                key.remote_subnet.map(|id| addresses(image.subnets.as_deref(), id)),
                key.remote_portrange.map(|id| ports(image.remote_ports.as_deref(), id)),
                key.local_portrange.map(|id| ports(image.local_ports.as_deref(), id)),
            ];
            let unnamed = RuleKey { remote_subnet: None, remote_portrange: None, local_portrange: None, ..*key };
            let sides = [&entry.rx, &entry.tx].map(|side| (side.action, who(compiled, &side.origins)));
            let counter = entry.counter.map(|id| count(&compiled.counter_slots()[&id]));
            (unnamed, means, sides, counter.filter(|_| counters))
        })
        .collect();
    out.sort();
    out
}

/// Edits a document as one number of three says.
fn edit(document: &mut Document, other: &Document, (kind, a, b): (u8, usize, usize)) {
    let policies = document.policies.len();
    let rules = |policy: &mut Arc<Policy>, change: &dyn Fn(&mut Vec<Rule>)| change(&mut Arc::make_mut(policy).rules);
    let policy = &mut document.policies[a % policies];
    let (len, from) = (policy.rules.len(), &other.policies[b % other.policies.len()].rules);
    match kind {
        0 if len > 0 => rules(policy, &|rules| drop(rules.remove(b % len))),
        1 if !from.is_empty() => rules(policy, &|rules| rules.insert(b % (len + 1), from[a % from.len()].clone())),
        2 if len > 0 && !from.is_empty() => rules(policy, &|rules| rules[b % len].remote = from[0].remote.clone()),
        3 if len > 1 => rules(policy, &|rules| rules.swap(0, b % len)),
        4 if len > 0 && !from.is_empty() => rules(policy, &|rules| rules[b % len].ports = from[0].ports.clone()),
        5 if document.bindings.len() > 1 => {
            let at = a % document.bindings.len();
            document.bindings.remove(at);
        }
        6 => {
            let taken: BTreeSet<_> = document.bindings.iter().map(|binding| binding.container.clone()).collect();
            if let Some(binding) = other.bindings.iter().find(|binding| !taken.contains(&binding.container)) {
                let policy = a % policies;
                let at = b % (document.bindings.len() + 1);
                document.bindings.insert(at, Arc::new(Binding { policy, ..Binding::clone(binding) }));
            }
        }
        7 => {
            let at = a % document.bindings.len();
            Arc::make_mut(&mut document.bindings[at]).policy = b % policies;
        }
        8 => {
            let policy = Policy { name: format!("new{b}"), ..Policy::clone(&other.policies[0]) };
            document.policies.insert(0, Arc::new(policy));
            document.bindings.iter_mut().for_each(|binding| Arc::make_mut(binding).policy += 1);
        }
        9 => document.bindings.rotate_left(1),
        // Equal content in other places of memory.
        10 => {
            document.policies.iter_mut().for_each(|policy| *policy = Arc::new(Policy::clone(policy)));
            document.bindings.iter_mut().for_each(|binding| *binding = Arc::new(Binding::clone(binding)));
        }
        _ => {}
    }
}

/// From its document and its image alone the same compilation comes back, and goes on in the same way.
fn is_resumed(before: &Compiled) -> Result<(), TestCaseError> {
    let resumed = Compiled::resume(before.document(), before.target(), before.image()).unwrap();
    let Some(resumed) = resumed else { return Err(TestCaseError::fail("compiling does not lead to the image")) };
    prop_assert_eq!(content(&resumed, true), content(before, true));
    let slots = |compiled: &Compiled| compiled.counter_slots().keys().copied().collect::<Vec<_>>();
    prop_assert_eq!(slots(&resumed), slots(before));
    let keys = |compiled: &Compiled| compiled.image().rules.keys().copied().collect::<Vec<_>>();
    prop_assert_eq!(keys(&resumed), keys(before));
    prop_assert_eq!(&resumed.image().subnets, &before.image().subnets);
    Ok(())
}

fn same_as_from_nothing(
    document: &Document,
    target: &Target,
    previous: &Compiled,
) -> Result<Option<Compiled>, TestCaseError> {
    let mut begun = 0;
    let mut watch = |step| begun += usize::from(matches!(step, Progress::Rules { .. }));
    match (Compiled::watched(document, target, Some(previous), &mut watch), Compiled::new(document, target, None)) {
        (Ok(after), Ok(alone)) => {
            // What a change makes is not thrown away for a whole compilation. Where tables are small it may not fit beside
            // what was there.
            prop_assert!(begun == 1 || target.sizes != Target::profile0().sizes, "compiled twice");
            let needed = |compiled: &Compiled| {
                compiled
                    .usage()
                    .iter()
                    .map(|usage| (usage.table, usage.needed, usage.by_binding.clone()))
                    .collect::<Vec<_>>()
            };
            prop_assert_eq!(after.steps(), alone.steps(), "what is gone is given back to the budget");
            let enough = alone.usage().iter().all(|usage| usage.missing() == 0);
            prop_assert_eq!(content(&after, enough), content(&alone, enough));
            // Where counters are short, which entries above the base have one is a matter of names.
            prop_assert_eq!(after.counter_slots().len(), alone.counter_slots().len());
            if enough {
                prop_assert_eq!(needed(&after), needed(&alone));
                prop_assert_eq!(after.warnings(), alone.warnings());
                is_resumed(&after)?;
            }
            Ok(Some(after))
        }
        (Err(after), Err(alone)) => {
            prop_assert_eq!(after.to_string(), alone.to_string());
            Ok(None)
        }
        // Beside the previous trie there may be too few nodes; then the maps are not the least ones.
        (after, alone) => Err(TestCaseError::fail(format!("{:?} {:?}", after.err(), alone.err()))),
    }
}

fn changes_equal_whole_compilations(
    document: Document,
    other: &Document,
    edits: &[(u8, usize, usize)],
    target: &Target,
) -> Result<(), TestCaseError> {
    let mut document = document;
    let Ok(mut before) = Compiled::new(&document, target, None) else { return Ok(()) };
    for change in edits {
        let mut changed = document.clone();
        edit(&mut changed, other, *change);
        // A refused change is taken back, as an operator would.
        if let Some(after) = same_as_from_nothing(&changed, target, &before)? {
            (document, before) = (changed, after);
        }
    }
    Ok(())
}

fn edits() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
    prop::collection::vec((0u8..11, 0usize..60, 0usize..60), 1..8)
}

proptest! {
    #![proptest_config(Config { cases: 300, ..Config::default() })]

    #[test]
    fn a_change_is_compiled_as_the_whole(document in document(4), other in document(4), edits in edits()) {
        changes_equal_whole_compilations(document, &other, &edits, &Target::profile0())?;
    }

    #[test]
    fn a_change_is_compiled_as_the_whole_where_counters_and_entries_are_short(
        document in document(3),
        other in document(3),
        edits in edits(),
    ) {
        changes_equal_whole_compilations(document, &other, &edits, &super::tiny())?;
    }
}

#[test]
fn an_image_of_another_document_is_not_resumed() {
    let parse = |ports: &str| {
        let text = format!(
            "nicfw: 1\nunbound: allow\nmulticast: deny\nowner: o\npolicies:\n  web:\n  - {{allow: in, proto: tcp, \
             remote: 10.20.0.0/16, local_ports: {ports}, reason: r}}\nbindings:\n- {{container: a, ip: 10.30.1.1, mac: \
             \"02:00:00:00:00:01\", attach: sriov, policy: web}}\n"
        );
        Document::parse(&text, "t.yaml").unwrap()
    };
    let (one, other) = (parse("[80, 443]"), parse("[80, 8443]"));
    let target = Target::profile0();
    let compiled = Compiled::new(&one, &target, None).unwrap();
    assert!(Compiled::resume(&one, &target, compiled.image()).unwrap().is_some());
    assert!(Compiled::resume(&other, &target, compiled.image()).unwrap().is_none());
}

fn two_bindings(second: bool) -> Document {
    let second = if second {
        "- {container: b, ip: 10.30.1.2, mac: \"02:00:00:00:00:02\", attach: sriov, policy: web}\n"
    } else {
        ""
    };
    let rules: String = (1..=4)
        .map(|at| format!("  - {{allow: in, proto: tcp, remote: 10.2{at}.0.0/16, local_ports: {at}}}\n"))
        .collect();
    let text = format!(
        "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n{rules}bindings:\n- {{container: a, ip: 10.30.1.1, \
         mac: \"02:00:00:00:00:01\", attach: sriov, policy: web}}\n{second}"
    );
    Document::parse(&text, "t.yaml").unwrap()
}

/// A base deny owns a counter whatever else is counted: one that comes late takes it from an allow.
#[test]
fn base_denies_have_counters_where_allows_had_them_all() {
    let (one, both) = (two_bindings(false), two_bindings(true));
    let all = Compiled::new(&one, &Target::profile0(), None).unwrap();
    let needed = u32::try_from(all.counter_slots().len()).unwrap();
    let mut target = Target::profile0();
    target.profile.counters = needed;
    let before = Compiled::new(&one, &target, None).unwrap();
    let counted = |compiled: &Compiled| compiled.image().rules.values().filter(|entry| entry.counter.is_some()).count();
    assert_eq!(counted(&before), before.image().rules.len(), "all counters are taken");
    let base = |compiled: &Compiled| {
        let all = compiled.image().rules.iter().filter(|(key, _)| key.is_base());
        all.map(|(_, entry)| entry.counter).collect::<Vec<_>>()
    };
    assert!(base(&before).len() < needed as usize, "some count what rules allow");
    let after = Compiled::new(&both, &target, Some(&before)).unwrap();
    assert_eq!(base(&after).len(), 2 * base(&before).len());
    assert!(base(&after).iter().all(Option::is_some), "{:?}", base(&after));
    assert!(after.warnings().iter().any(|warning| warning.contains("go without a counter")));
}

/// What rules cost while they were there does not count once they are gone.
#[test]
fn many_changes_of_a_document_leave_its_budget_as_it_was() {
    let (document, target) = (two_bindings(true), Target::profile0());
    let alone = Compiled::new(&document, &target, None).unwrap();
    let mut compiled = alone.clone();
    for at in 0..40 {
        let mut other = document.clone();
        let rules = &mut Arc::make_mut(&mut other.policies[0]).rules;
        rules.truncate(1 + at % 3);
        compiled = Compiled::new(&other, &target, Some(&compiled)).unwrap();
        compiled = Compiled::new(&document, &target, Some(&compiled)).unwrap();
    }
    assert!(alone.steps() > 0);
    assert_eq!(compiled.steps(), alone.steps());
}

/// What an adapter refuses whatever the sizes of its tables it refuses of a change too, in the same words.
#[test]
fn a_change_that_no_table_could_hold_is_refused() {
    let (document, target) = (two_bindings(true), Target { physical_ports: 2, ..Target::profile0() });
    let before = Compiled::new(&document, &target, None).unwrap();
    let changed = |change: &dyn Fn(&mut Document)| {
        let mut changed = document.clone();
        change(&mut changed);
        match same_as_from_nothing(&changed, &target, &before).unwrap() {
            Some(_) => String::new(),
            None => Compiled::new(&changed, &target, Some(&before)).unwrap_err().to_string(),
        }
    };
    let port = |port: u32| {
        move |document: &mut Document| Arc::make_mut(&mut document.bindings[1]).physical_ports = vec![0, port]
    };
    assert_eq!(changed(&port(1)), "");
    assert_eq!(changed(&port(2)), "t.yaml:12: physical port 2: the adapter has 2, counted from 0. Nothing was sent");
    let sampled = |action: Verdict| {
        move |document: &mut Document| {
            let rule = &mut Arc::make_mut(&mut document.policies[0]).rules[2];
            (rule.action, rule.replies, rule.sample) = (action, false, true);
        }
    };
    assert_eq!(changed(&sampled(Verdict::Allow)), "");
    assert_eq!(
        changed(&sampled(Verdict::Deny)),
        "t.yaml:8: a deny is not an entry of its own under this adapter's lookup order, so it cannot be sampled. Leave \
         sample out. Nothing was sent"
    );
}
