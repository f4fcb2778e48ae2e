//! Named changes whose plans are the shortest there are: a search over all sequences of commands in a toy space.
//!
//! A state is what the tables hold. From each, every command of the vocabulary is tried: any entry of a list of keys to
//! any content of a list, and any of the maps. A sequence counts if after each command every judgement of the small
//! universe is the old one or the new one, and if at its end the tables hold the new image and nothing else.

use std::collections::{BTreeSet, HashSet};

use super::named::{base, checked, from_class, image, to_range, with_classes, with_ports};
use super::*;

/// What a command may be.
struct Vocabulary {
    keys: Vec<RuleKey>,
    contents: Vec<(Action, Action)>,
    /// Nodes and trees.
    maps: Vec<TableOp>,
}

impl Vocabulary {
    /// The keys of both images and further ones, what their entries say, and the nodes and trees that the plan writes or
    /// would take back.
    fn of(old: &Image, new: &Image, keys: &[RuleKey], plan: &Plan) -> Self {
        let keys = old.rules.keys().chain(new.rules.keys()).chain(keys).copied().collect::<BTreeSet<_>>();
        let mut maps: Vec<TableOp> = Vec::new();
        for step in &plan.steps {
            for op in [Some(&step.op), step.undo.as_ref()].into_iter().flatten() {
                if !matches!(op, TableOp::SetRule { .. }) && !maps.contains(op) {
                    maps.push(op.clone());
                }
            }
        }
        let contents = vec![(Action::None, Action::None), (ALLOW, Action::None), (DENY, DENY)];
        Self { keys: keys.into_iter().collect(), contents, maps }
    }

    fn commands(&self) -> Vec<TableOp> {
        let rules = self.keys.iter().flat_map(|key| {
            self.contents.iter().map(|(rx, tx)| TableOp::SetRule { key: *key, rx: *rx, tx: *tx, counter: None })
        });
        rules.chain(self.maps.iter().cloned()).collect()
    }
}

/// The tables without trie nodes that nothing reaches, which may hold anything.
fn reachable(tables: &Tables, sizes: &Sizes) -> Tables {
    let mut seen = BTreeSet::new();
    let mut open = vec![0];
    while let Some(id) = open.pop() {
        let Some(words) = tables.nodes.get(&id).filter(|_| seen.insert(id)) else { continue };
        let pointers = words.iter().filter(|word| u32::from(**word) < sizes.subnet_id_min);
        open.extend(pointers.map(|word| u32::from(*word) / sizes.entries_per_node));
    }
    let mut out = tables.clone();
    out.nodes.retain(|id, _| seen.contains(id));
    out
}

/// The number of commands of the shortest sequence.
fn shortest(old: &Image, new: &Image, target: &Target, vocabulary: &Vocabulary, most: usize) -> Option<usize> {
    let (universe, sizes) = (universe(), &target.sizes);
    let start = Tables::holding(old, sizes);
    let goal = reachable(&Tables::holding(new, sizes), sizes);
    let before = start.judge(&universe, sizes);
    let after = Tables::holding(new, sizes).judge(&universe, sizes);
    let commands = vocabulary.commands();
    let mut seen = HashSet::from([start.clone()]);
    let mut level = vec![start];
    for length in 0..=most {
        if level.iter().any(|tables| reachable(tables, sizes) == goal) {
            return Some(length);
        }
        let mut next_level = Vec::new();
        for (tables, command) in level.iter().flat_map(|tables| commands.iter().map(move |command| (tables, command))) {
            let mut next = tables.clone();
            next.apply(command);
            if !seen.contains(&next) {
                let judged = next.judge(&universe, sizes);
                if judged.iter().zip(before.iter().zip(&after)).all(|(now, (old, new))| now == old || now == new) {
                    next_level.push(next.clone());
                }
                seen.insert(next);
            }
        }
        level = next_level;
    }
    None
}

fn is_shortest(old: &Image, new: &Image, keys: &[RuleKey], target: &Target) {
    let plan = checked(old, new, target);
    let vocabulary = Vocabulary::of(old, new, keys, &plan);
    let shortest = shortest(old, new, target, &vocabulary, plan.steps.len());
    assert_eq!(shortest, Some(plan.steps.len()), "{:#?}", plan.steps);
}

/// A port range that splits a class: the copy, the tree, the new rule; and back.
#[test]
fn a_new_range_takes_as_few_commands_as_can_be() {
    let target = Target::profile0();
    let kept = [base(A), base(B), to_range(A, 2)];
    let old = with_ports(image(&kept), &[(0, 1), (50, 2), (200, 1)], &target);
    let mut rules = kept.to_vec();
    rules.extend([to_range(A, 3), to_range(B, 3)]);
    let new = with_ports(image(&rules), &[(0, 1), (50, 2), (100, 3), (200, 1)], &target);
    let keys = [to_range(A, 1).0, to_range(B, 1).0, to_range(B, 2).0];
    is_shortest(&old, &new, &keys, &target);
    is_shortest(&new, &old, &keys, &target);
}

/// A subnet that splits a class: a copy, a node, the root, the new rule; and back.
#[test]
fn a_new_subnet_takes_as_few_commands_as_can_be() {
    let target = Target::profile0();
    let kept = [base(A), base(B), from_class(A, 56_001, None)];
    let old = with_classes(image(&kept), &[(0, 56_000), (0x1000_0000, 56_001), (0x2000_0000, 56_000)], &target, &[]);
    let mut rules = kept.to_vec();
    rules.extend([from_class(A, 56_002, None), from_class(B, 56_002, None)]);
    // The universe has a remote address in the new subnet, 0x10000001.
    let classes = [(0, 56_000), (0x1000_0000, 56_002), (0x1100_0000, 56_001), (0x2000_0000, 56_000)];
    let new = with_classes(image(&rules), &classes, &target, &[old.subnets.as_ref().unwrap()]);
    let keys = [from_class(A, 56_000, None).0, from_class(B, 56_000, None).0, from_class(B, 56_001, None).0];
    is_shortest(&old, &new, &keys, &target);
    is_shortest(&new, &old, &keys, &target);
}

/// Where the planner does not find the shortest: it copies the group's one entry, and takes it back.
#[test]
fn one_write_of_the_root_puts_an_address_into_a_group() {
    let target = Target::profile0();
    let rules = [base(A), from_class(A, 56_001, None)];
    let group = [(0, 56_000), (0x2000_0000, 56_001), (0x3000_0000, 56_000)];
    let more = [group.as_slice(), &[(0x9000_0000, 56_001), (0xa000_0000, 56_000)]].concat();
    let old = with_classes(image(&rules), &group, &target, &[]);
    let new = with_classes(image(&rules), &more, &target, &[old.subnets.as_ref().unwrap()]);
    let plan = checked(&old, &new, &target);
    let found = shortest(&old, &new, &target, &Vocabulary::of(&old, &new, &[], &plan), 2);
    assert_eq!((found, plan.steps.len()), (Some(1), 4));
}
