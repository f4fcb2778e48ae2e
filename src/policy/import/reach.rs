//! What of a file's chains a packet can reach.

use super::ImportError;
use super::program::{Base, Program};
use super::rules::Action;
use crate::terms::Verdict;

/// Chains that some base chain reaches by jumps and gotos, whatever their conditions are.
pub(super) fn chains(program: &Program, bases: &[&[Base]]) -> Vec<bool> {
    let mut reached = vec![false; program.chains.len()];
    let mut open: Vec<usize> = bases.iter().flat_map(|bases| bases.iter().map(|base| base.chain)).collect();
    while let Some(chain) = open.pop() {
        match reached.get_mut(chain) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        open.extend(targets(program, chain).map(|(target, _)| target));
    }
    reached
}

/// Base chains so that the one that accepts most comes last. Which comes first makes no difference to the verdict.
pub(super) fn in_order(program: &Program, bases: &[Base]) -> Vec<Base> {
    let accepts = |base: &Base| {
        let reached = chains(program, &[std::slice::from_ref(base)]);
        let reached = program.chains.iter().zip(reached).filter(|(_, reached)| *reached);
        reached.map(|(chain, _)| chain.rules.iter().filter(|rule| rule.action == Action::Accept).count()).sum::<usize>()
    };
    let mut bases = bases.to_vec();
    let last = (0..bases.len())
        .max_by_key(|at| bases.get(*at).map(|base| (base.policy == Verdict::Deny, accepts(base), base.main, *at)));
    if let Some(last) = last {
        let base = bases.remove(last);
        bases.push(base);
    }
    bases
}

/// Whether a base chain, or a chain that it reaches, may deny.
pub(super) fn denies(program: &Program, base: &Base) -> bool {
    let reached = chains(program, &[std::slice::from_ref(base)]);
    let mut reached = program.chains.iter().zip(reached).filter(|(_, reached)| *reached);
    base.policy == Verdict::Deny || reached.any(|(chain, _)| chain.rules.iter().any(|rule| rule.action == Action::Drop))
}

/// Rules from a place in a chain on, those of the chains that they call included; counted up to `most`.
pub(super) fn size(program: &Program, chain: usize, next: usize, most: usize) -> usize {
    let Some(chain) = program.chains.get(chain) else { return 0 };
    let mut count = 0usize;
    for rule in chain.rules.iter().skip(next) {
        if count >= most {
            return most;
        }
        count += match rule.action {
            Action::Jump(target) | Action::Goto(target) => 1 + size(program, target, 0, most - count),
            Action::Continue => 0,
            _ => 1,
        };
    }
    count.min(most)
}

fn targets(program: &Program, chain: usize) -> impl Iterator<Item = (usize, &super::rules::Place)> {
    let rules = program.chains.get(chain).map(|chain| chain.rules.as_slice()).unwrap_or_default();
    rules.iter().filter_map(|rule| match rule.action {
        Action::Jump(target) | Action::Goto(target) => Some((target, &rule.place)),
        _ => None,
    })
}

/// Refuses chains that are reached from themselves, whether a hook reaches them or not: no kernel has such.
pub(super) fn refuse_cycles(program: &Program) -> Result<(), ImportError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks: Vec<_> = program.chains.iter().map(|chain| (Mark::New, chain)).collect();
    for start in 0..marks.len() {
        match marks.get_mut(start) {
            Some((mark @ Mark::New, _)) => *mark = Mark::Open,
            _ => continue,
        }
        let mut open = vec![(start, targets(program, start))];
        while let Some((chain, rest)) = open.last_mut() {
            let Some((target, place)) = rest.next() else {
                if let Some((mark, _)) = marks.get_mut(*chain) {
                    *mark = Mark::Done;
                }
                open.pop();
                continue;
            };
            match marks.get_mut(target) {
                Some((Mark::Open, chain)) => {
                    let chain = chain.name.clone();
                    return Err(ImportError::Cycle { line: place.line, chain, text: place.text.to_string() });
                }
                Some((mark @ Mark::New, _)) => {
                    *mark = Mark::Open;
                    open.push((target, targets(program, target)));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
