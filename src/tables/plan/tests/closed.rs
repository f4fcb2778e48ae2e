//! What closes meanwhile, and what a plan says of itself.

use super::named::{base, checked, from_class, image, to_port, with_classes};
use super::*;

fn closed(locals: &[u32]) -> BTreeSet<Local> {
    locals.iter().map(|local| Local { ip: Some(ip(*local)), mac: None }).collect()
}

/// One side names a class of a map that is written with no allow naming it, the other side names none: what both allow
/// closes, whichever side it is.
#[test]
fn an_allow_without_an_id_closes_with_one_that_names_an_id_of_a_closed_map() {
    let mut target = Target::profile0();
    target.sizes.subnet_id_max = 56_001;
    let (near, far) = (0x1000_0000, 0x9000_0000);
    let bases = [base(A), base(B)];
    let old = [&bases[..], &[from_class(A, 56_001, None), to_port(B, 50)]].concat();
    let new = [&bases[..], &[to_port(A, 50), from_class(B, 56_001, None)]].concat();
    let old = with_classes(image(&old), &[(0, 56_000), (near, 56_001), (0x2000_0000, 56_000)], &target, &[]);
    let new = with_classes(image(&new), &[(0, 56_000), (far, 56_001), (0xa000_0000, 56_000)], &target, &[]);
    for plan in [checked(&old, &new, &target), checked(&new, &old, &target)] {
        assert_eq!(plan.closes, closed(&[A, B]));
        // A frame that is under way may have its id of the map before.
        let last = plan.steps.iter().rposition(|step| matches!(step.op, TableOp::SetSubnetNode(_))).unwrap();
        let next = &plan.steps[last + 1];
        assert!(next.pause_before && matches!(next.op, TableOp::SetRule { .. }), "{next:?}");
    }
    // With ids to spare nothing closes.
    target.sizes.subnet_id_max = 56_010;
    assert_eq!(checked(&old, &new, &target).closes, closed(&[]));
}

/// What both images allow takes more entries than the table has, though most of them lie in others: then all that changes
/// closes first, and nothing closes that is not named.
#[test]
fn where_common_entries_are_too_many_the_changed_flows_are_closed_by_name() {
    let mut target = Target::profile0();
    target.profile.rules = 8;
    let whole = RuleKey { local_ip: Some(ip(A)), ether_type: Some(0x0800), ..RuleKey::default() };
    let allow = |key: RuleKey| (key, to_port(A, 50).1);
    let from = |port: u16| allow(RuleKey { ip_proto: Some(6), remote_port: Some(port), ..whole });
    let mac = allow(RuleKey { local_mac: Some(MACS[0]), ..whole });
    let [p, q, r] = PORTS;
    let old = image(&[base(A), allow(whole), from(p), from(q), from(r)]);
    let new = image(&[base(A), mac, to_port(A, p), to_port(A, q), to_port(A, r)]);
    // The container, and the part of its flows that both wide entries match.
    let mut both = closed(&[A]);
    both.insert(Local { ip: Some(ip(A)), mac: Some(MACS[0]) });
    let plan = checked(&old, &new, &target);
    assert_eq!((&plan.closes, plan.peak_rules), (&both, 5));
    let back = checked(&new, &old, &target);
    assert_eq!((&back.closes, back.peak_rules), (&both, 5));
    // Old, new and base entries.
    target.profile.rules = 32;
    assert_eq!(checked(&old, &new, &target).closes, closed(&[]));
}

#[test]
fn a_plan_says_how_long_it_takes_and_what_it_touches() {
    let target = Target::profile0();
    let (latency, grace) = (Duration::from_millis(2), Duration::from_millis(100));
    let said = |plan: &Plan| (plan.steps.len(), plan.pauses(), plan.duration(latency, grace).as_millis());
    let old = image(&[base(A), base(B), to_port(A, 50), to_port(A, 150)]);
    let new = image(&[base(A), base(B), to_port(A, 60_000), to_port(B, 150)]);
    let nothing = checked(&old, &old, &target);
    assert_eq!((said(&nothing), nothing.keys().count()), ((0, 0, 0), 0));
    let begins = checked(&image(&[base(A)]), &image(&[base(A), to_port(A, 50)]), &target);
    assert_eq!(said(&begins), (1, 0, 2));
    // Between what goes and what comes the grace time passes.
    let swap = checked(&old, &new, &target);
    assert_eq!(said(&swap), (4, 1, 4 * 2 + 100));
    let keys: Vec<RuleKey> = swap.keys().copied().collect();
    assert_eq!(keys, [to_port(A, 50).0, to_port(A, 150).0, to_port(A, 60_000).0, to_port(B, 150).0]);
    // A class is split: after the map for both images, and after the last map.
    let rules = [base(A), from_class(A, 56_001, None)];
    let group = [(0, 56_000), (0x2000_0000, 56_001), (0x3000_0000, 56_000)];
    let more = [group.as_slice(), &[(0x9000_0000, 56_001), (0xa000_0000, 56_000)]].concat();
    let old = with_classes(image(&rules), &group, &target, &[]);
    let new = with_classes(image(&rules), &more, &target, &[old.subnets.as_ref().unwrap()]);
    let split = checked(&old, &new, &target);
    assert_eq!(said(&split), (4, 2, 4 * 2 + 2 * 100));
    assert!(split.keys().all(|key| key.remote_subnet.is_some()) && split.keys().count() == 2);
    let most = split.duration(Duration::MAX, Duration::MAX);
    assert_eq!(most, Duration::MAX);
}

#[test]
fn a_table_that_is_just_large_enough_is() {
    let mut target = Target::profile0();
    let old = image(&[base(A), to_port(A, 50)]);
    let new = image(&[base(A), to_port(A, 50), from_class(A, 56_000, None), from_class(A, 56_000, Some(50))]);
    let new = with_classes(new, &[(0, 56_000)], &target, &[]);
    (target.profile.rules, target.profile.combinations) = (4, 4);
    let plan = checked(&old, &new, &target);
    assert_eq!((plan.peak_rules, plan.peak_combinations, plan.closes.len()), (4, 4, 0));
    target.profile.rules = 3;
    assert_eq!(Plan::new(&old, &new, &target), Err(PlanError::Rules { needed: 4, available: 3 }));
    (target.profile.rules, target.profile.combinations) = (4, 3);
    assert_eq!(Plan::new(&old, &new, &target), Err(PlanError::Combinations { needed: 4, available: 3 }));
}

/// A combination that has gone makes room for another: two of them, one after the other, besides the base.
#[test]
fn combinations_that_went_are_not_counted() {
    let mut target = Target::profile0();
    target.profile.combinations = 2;
    let to = |local: u32, mac: Option<MacAddr>, port: u16| {
        let (key, entry) = to_port(local, port);
        (RuleKey { local_mac: mac, ..key }, entry)
    };
    let old = image(&[base(A), base(B), to(A, None, 50), to(B, None, 50)]);
    let new = image(&[base(A), base(B), to(A, Some(MACS[0]), 150), to(B, Some(MACS[1]), 60_000)]);
    let plan = checked(&old, &new, &target);
    assert_eq!((plan.peak_rules, plan.peak_combinations), (4, 2));
}
