//! Changes with a name, and how many commands each takes.

use super::*;

fn entry(rx: Action, tx: Action) -> ImageEntry {
    let side = |action| Side { action, origins: vec![] };
    ImageEntry { rx: side(rx), tx: side(tx), counter: None }
}

pub(super) fn base(local: u32) -> (RuleKey, ImageEntry) {
    (RuleKey { local_ip: Some(ip(local)), ..RuleKey::default() }, entry(DENY, DENY))
}

/// An allow for received TCP from a remote class.
pub(super) fn from_class(local: u32, class: u16, port: Option<u16>) -> (RuleKey, ImageEntry) {
    let key = RuleKey {
        local_ip: Some(ip(local)),
        ether_type: Some(0x0800),
        ip_proto: port.map(|_| 6),
        remote_subnet: Some(SubnetId(class)),
        local_port: port,
        ..RuleKey::default()
    };
    (key, entry(ALLOW, Action::None))
}

/// An allow for received TCP to a port.
pub(super) fn to_port(local: u32, port: u16) -> (RuleKey, ImageEntry) {
    let key = RuleKey {
        local_ip: Some(ip(local)),
        ether_type: Some(0x0800),
        ip_proto: Some(6),
        local_port: Some(port),
        ..RuleKey::default()
    };
    (key, entry(ALLOW, Action::None))
}

pub(super) fn image(rules: &[(RuleKey, ImageEntry)]) -> Image {
    Image { rules: rules.iter().cloned().collect(), ..Image::default() }
}

pub(super) fn with_classes(image: Image, classes: &[(u32, u16)], target: &Target, others: &[&SubnetMap]) -> Image {
    let classes = classes.iter().map(|(first, id)| (*first, SubnetId(*id)));
    let map = SubnetMap::build_beside(classes, &target.sizes, others).unwrap();
    Image { subnets: Some(map.into()), ..image }
}

pub(super) fn checked(old: &Image, new: &Image, target: &Target) -> Plan {
    let plan = Plan::new(old, new, target).unwrap();
    check(old, new, target, &plan).unwrap();
    plan
}

/// Commands a phase.
fn counts(plan: &Plan) -> Vec<(Phase, usize)> {
    let mut counts = BTreeMap::new();
    for step in &plan.steps {
        *counts.entry(step.phase).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn one_rule_in_and_out_is_one_command_each() {
    let target = Target::profile0();
    let without = image(&[base(A), to_port(A, 50)]);
    let with = image(&[base(A), to_port(A, 50), to_port(A, 150)]);
    assert_eq!(counts(&checked(&without, &with, &target)), [(Phase::Loosen, 1)]);
    assert_eq!(counts(&checked(&with, &without, &target)), [(Phase::Tighten, 1)]);
}

#[test]
fn a_rule_that_narrows_is_there_before_the_wide_one_goes() {
    let target = Target::profile0();
    let (wide, narrow) = (to_port(A, 50), from_class(A, 56_001, Some(50)));
    let classes = [(0, 56_000), (0x1000_0000, 56_001), (0x2000_0000, 56_000)];
    let old = image(&[base(A), wide]);
    let new = with_classes(image(&[base(A), narrow]), &classes, &target, &[]);
    let plan = checked(&old, &new, &target);
    // The root of the trie and the narrow rule; then the wide one goes.
    assert_eq!(counts(&plan), [(Phase::Refine, 2), (Phase::Tighten, 1)]);
    assert_eq!(counts(&checked(&new, &old, &target)), [(Phase::Loosen, 1), (Phase::Coarsen, 1)]);
    assert!(plan.closes.is_empty());
}

#[test]
fn a_new_binding_is_its_entries() {
    let target = Target::profile0();
    let old = image(&[base(A), to_port(A, 50)]);
    let new = image(&[base(A), to_port(A, 50), base(B), to_port(B, 50), to_port(B, 150)]);
    let plan = checked(&old, &new, &target);
    assert_eq!(counts(&plan), [(Phase::Refine, 2), (Phase::Tighten, 1)], "no flow of the container is interrupted");
    let reserved = image(&[base(A), to_port(A, 50), base(B)]);
    assert_eq!(counts(&checked(&old, &reserved, &target)), [(Phase::Tighten, 1)]);
    assert_eq!(counts(&checked(&reserved, &new, &target)), [(Phase::Loosen, 2)]);
}

#[test]
fn a_new_prefix_copies_the_entries_of_its_class_once() {
    let target = Target::profile0();
    let old_classes = [(0, 56_000), (0x1000_0000, 56_001), (0x2000_0000, 56_000)];
    let new_classes =
        [(0, 56_000), (0x1000_0000, 56_001), (0x1800_0000, 56_002), (0x1900_0000, 56_001), (0x2000_0000, 56_000)];
    let kept = [base(A), base(B), from_class(A, 56_001, None), from_class(B, 56_001, Some(50))];
    let old = with_classes(image(&kept), &old_classes, &target, &[]);
    let mut rules = kept.to_vec();
    rules.extend([from_class(A, 56_002, None), from_class(B, 56_002, Some(50)), from_class(B, 56_002, Some(150))]);
    let new = with_classes(image(&rules), &new_classes, &target, &[old.subnets.as_ref().unwrap()]);
    let plan = checked(&old, &new, &target);
    // Two copies, one new node and the root; then the one new rule.
    assert_eq!(counts(&plan), [(Phase::Refine, 4), (Phase::Loosen, 1)]);
    assert_eq!(counts(&checked(&new, &old, &target)), [(Phase::Tighten, 1), (Phase::Coarsen, 1), (Phase::Retire, 2)]);
}

pub(super) fn with_ports(image: Image, classes: &[(u16, u16)], target: &Target) -> Image {
    let classes = classes.iter().map(|(first, id)| (*first, PortRangeId(*id)));
    Image { local_ports: Some(Arc::new(PortMap::build(classes, &target.sizes).unwrap())), ..image }
}

/// An allow for received TCP to a class of ports.
pub(super) fn to_range(local: u32, range: u16) -> (RuleKey, ImageEntry) {
    let (key, entry) = to_port(local, 0);
    (RuleKey { local_port: None, local_portrange: Some(PortRangeId(range)), ..key }, entry)
}

#[test]
fn a_new_range_copies_the_entries_of_the_class_that_it_splits() {
    let target = Target::profile0();
    let kept = [base(A), base(B), to_range(A, 2)];
    let old = with_ports(image(&kept), &[(0, 1), (50, 2), (200, 1)], &target);
    let mut rules = kept.to_vec();
    rules.extend([to_range(A, 3), to_range(B, 3)]);
    let new = with_ports(image(&rules), &[(0, 1), (50, 2), (100, 3), (200, 1)], &target);
    // The copy and the tree; then the new rule. Back: the rule goes, the tree is joined, the copy goes.
    assert_eq!(counts(&checked(&old, &new, &target)), [(Phase::Refine, 2), (Phase::Loosen, 1)]);
    assert_eq!(counts(&checked(&new, &old, &target)), [(Phase::Tighten, 1), (Phase::Coarsen, 1), (Phase::Retire, 1)]);
}

/// The class of a group that several rules name becomes larger: what moves has an id of its own meanwhile, with a copy of
/// each entry of the group. Not the shortest: the root alone would do where nothing is denied by it, or nothing allowed.
#[test]
fn an_address_into_a_group_and_out_of_it_copies_the_entries_of_the_group() {
    let target = Target::profile0();
    let old_classes = [(0, 56_000), (0x2000_0000, 56_001), (0x3000_0000, 56_000)];
    let new_classes =
        [(0, 56_000), (0x2000_0000, 56_001), (0x3000_0000, 56_000), (0x9000_0000, 56_001), (0xa000_0000, 56_000)];
    let rules =
        [base(A), base(B), from_class(A, 56_001, None), from_class(A, 56_001, Some(50)), from_class(B, 56_001, None)];
    let old = with_classes(image(&rules), &old_classes, &target, &[]);
    let new = with_classes(image(&rules), &new_classes, &target, &[old.subnets.as_ref().unwrap()]);
    let (there, back) = (checked(&old, &new, &target), checked(&new, &old, &target));
    assert_eq!(counts(&there), [(Phase::Refine, 1), (Phase::Loosen, 3), (Phase::Coarsen, 1), (Phase::Retire, 3)]);
    assert_eq!(counts(&back), [(Phase::Refine, 4), (Phase::Tighten, 3), (Phase::Coarsen, 1)]);
    assert!(there.closes.is_empty() && back.closes.is_empty());
}

#[test]
fn a_whole_swap_takes_what_was_and_gives_what_is() {
    let target = Target::profile0();
    let old = image(&[base(A), base(B), to_port(A, 50), to_port(A, 150), to_port(B, 50)]);
    let new = image(&[base(A), base(B), to_port(A, 60_000), to_port(B, 150), to_port(B, 60_000)]);
    assert_eq!(counts(&checked(&old, &new, &target)), [(Phase::Tighten, 3), (Phase::Loosen, 3)]);
    // What both have is not touched.
    let new = image(&[base(A), base(B), to_port(A, 50), to_port(B, 150), to_port(B, 60_000)]);
    assert_eq!(counts(&checked(&old, &new, &target)), [(Phase::Tighten, 2), (Phase::Loosen, 2)]);
}

/// An unbind leaves the denies; the release takes them.
#[test]
fn an_unbind_is_the_allows_and_a_release_the_denies() {
    let target = Target::profile0();
    let bound = image(&[base(A), to_port(A, 50), base(B), to_port(B, 50), to_port(B, 150)]);
    let unbound = image(&[base(A), to_port(A, 50), base(B)]);
    let released = image(&[base(A), to_port(A, 50)]);
    assert_eq!(counts(&checked(&bound, &unbound, &target)), [(Phase::Tighten, 2)]);
    assert_eq!(counts(&checked(&unbound, &released, &target)), [(Phase::Loosen, 1)]);
}

#[test]
fn a_trie_at_the_same_indices_is_written_beside_first() {
    let target = Target::profile0();
    let old_classes =
        [(0, 56_000), (0x0500_0000, 56_001), (0x0600_0000, 56_000), (0x2900_0000, 56_002), (0x2a00_0000, 56_000)];
    let new_classes = [(0, 56_000), (0x2900_0000, 56_002), (0x2a00_0000, 56_000)];
    let rules = [base(A), from_class(A, 56_002, None), from_class(A, 56_001, None)];
    let old = with_classes(image(&rules), &old_classes, &target, &[]);
    let new = with_classes(image(&rules[..2]), &new_classes, &target, &[]);
    let first = |image: &Image| image.subnets.as_ref().unwrap().nodes[1].clone();
    assert_eq!(first(&old).id, first(&new).id);
    assert_ne!(first(&old), first(&new), "the indices clash");
    let plan = checked(&old, &new, &target);
    let in_use: BTreeSet<u32> = old.subnets.as_ref().unwrap().nodes.iter().map(|node| node.id).collect();
    let before_the_root = plan.steps.iter().take_while(|s| !matches!(&s.op, TableOp::SetSubnetNode(n) if n.id == 0));
    for step in before_the_root {
        assert!(!matches!(&step.op, TableOp::SetSubnetNode(node) if in_use.contains(&node.id)), "{step:?}");
    }
}

#[test]
fn without_spare_ids_the_plan_names_who_is_closed_meanwhile() {
    let mut target = Target::profile0();
    target.sizes.subnet_id_max = 56_001;
    let (near, far) = (0x1000_0000, 0x9000_0000);
    let rules = [base(A), base(B), from_class(A, 56_001, None), to_port(B, 50)];
    let old = with_classes(image(&rules), &[(0, 56_000), (near, 56_001)], &target, &[]);
    let new = with_classes(image(&rules), &[(0, 56_000), (far, 56_001)], &target, &[]);
    let plan = checked(&old, &new, &target);
    assert_eq!(plan.closes, BTreeSet::from([Local { ip: Some(ip(A)), mac: None }]));
    target.sizes.subnet_id_max = 56_002;
    assert!(checked(&old, &new, &target).closes.is_empty(), "one more id is enough");
}

#[test]
fn a_full_table_closes_first_and_too_small_a_table_is_refused_with_numbers() {
    let mut target = Target::profile0();
    target.profile.rules = 3;
    let old = image(&[base(A), to_port(A, 50), to_port(A, 150)]);
    let new = image(&[base(A), to_port(A, 60_000), from_class(A, 56_000, Some(50))]);
    let new = with_classes(new, &[(0, 56_000)], &target, &[]);
    let plan = checked(&old, &new, &target);
    assert_eq!(plan.peak_rules, 3);
    target.profile.rules = 2;
    assert_eq!(Plan::new(&old, &new, &target), Err(PlanError::Rules { needed: 3, available: 2 }));
    target.profile = EngineProfile { combinations: 2, ..EngineProfile::profile0() };
    assert_eq!(Plan::new(&old, &new, &target), Err(PlanError::Combinations { needed: 3, available: 2 }));
}

/// A deny for received TCP from a remote class, above the base.
fn except_class(local: u32, class: u16) -> (RuleKey, ImageEntry) {
    let (key, _) = from_class(local, class, Some(50));
    (key, entry(DENY, Action::None))
}

fn ranked() -> Target {
    let mut target = Target::profile0();
    target.profile.order = crate::tables::LookupOrder::Ranked(vec![]);
    target
}

#[test]
fn an_exception_comes_between_its_allow_going_and_coming() {
    let classes = [(0, 56_000), (A, 56_001), (B, 56_000)];
    let with = |rules: &[(RuleKey, ImageEntry)]| with_classes(image(rules), &classes, &ranked(), &[]);
    let old = with(&[base(A), to_port(A, 50)]);
    let new = with(&[base(A), to_port(A, 50), except_class(A, 56_001)]);
    let plan = Plan::new(&old, &new, &ranked()).unwrap();
    let set = |step: &Step| match &step.op {
        TableOp::SetRule { key, rx, .. } => Some((*key, *rx)),
        _ => None,
    };
    let sets: Vec<(RuleKey, Action)> = plan.steps.iter().filter_map(set).collect();
    let (allow, deny) = (to_port(A, 50).0, except_class(A, 56_001).0);
    assert_eq!(sets, [(allow, Action::None), (deny, DENY), (allow, ALLOW)]);
    assert_eq!(plan.closes.iter().map(|local| local.ip).collect::<Vec<_>>(), [Some(ip(A))]);
}

#[test]
fn an_exception_is_refused_without_an_order_and_without_a_base_deny() {
    let classes = [(0, 56_000), (A, 56_001), (B, 56_000)];
    let with = |rules: &[(RuleKey, ImageEntry)]| with_classes(image(rules), &classes, &ranked(), &[]);
    let fields = except_class(A, 56_001).0.fields();
    let plan = |rules: &[(RuleKey, ImageEntry)], target: &Target| Plan::new(&with(&rules[..1]), &with(rules), target);
    let guarded = [base(A), except_class(A, 56_001)];
    assert_eq!(plan(&guarded, &Target::profile0()), Err(PlanError::DenyAboveBase(fields)));
    assert!(plan(&guarded, &ranked()).is_ok());
    let unguarded = [base(B), except_class(A, 56_001)];
    assert_eq!(plan(&unguarded, &ranked()), Err(PlanError::DenyWithoutBase(fields)));
}
