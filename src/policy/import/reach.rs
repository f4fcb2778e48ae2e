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

#[cfg(test)]
mod tests {
    use super::super::program::Base;
    use super::super::rules::{Chain, ChainRule, every, v4};
    use super::super::text::place;
    use super::*;

    /// A chain a word, named by its number, and a rule a letter: accept, drop, return, continue; a digit jumps to the chain of
    /// that number, and `A` to `J` go to the chains from 0 on. Rules have the lines 10, 11, ... of the first chain, 20, 21, ...
    fn program(text: &str) -> Program {
        let action = |letter: char| match letter {
            'a' => Action::Accept,
            'd' => Action::Drop,
            'r' => Action::Return,
            'c' => Action::Continue,
            '0'..='9' => Action::Jump(letter as usize - '0' as usize),
            _ => Action::Goto(letter as usize - 'A' as usize),
        };
        let rule = |line: u32, letter| ChainRule { place: place(line, "x"), action: action(letter), ..every(v4()) };
        let chain = |(name, word): (u32, &str)| {
            let rules = (10 * (name + 1)..).zip(word.chars()).map(|(line, letter)| rule(line, letter)).collect();
            Chain { name: name.to_string(), rules }
        };
        Program { chains: (0..).zip(text.split(' ').map(|word| word.trim_matches('-'))).map(chain).collect() }
    }

    fn base(chain: usize, policy: Verdict, main: bool) -> Base {
        Base { chain, judges: Vec::new(), policy, place: place(1, "x"), main, untracked: false }
    }

    fn accepting(chain: usize) -> Base {
        base(chain, Verdict::Allow, false)
    }

    #[test]
    fn chains_are_reached_by_jumps_and_gotos_of_reached_ones() {
        let program = program("c1 C a 4 d 2");
        let reached = |bases: &[&[Base]]| {
            let reached = chains(&program, bases).into_iter();
            reached.map(|reached| if reached { '+' } else { '-' }).collect::<String>()
        };
        assert_eq!(reached(&[]), "------");
        assert_eq!(reached(&[&[accepting(0)]]), "+++---");
        assert_eq!(reached(&[&[accepting(3)], &[accepting(5)]]), "--++++");
        assert_eq!(reached(&[&[accepting(2), accepting(4)]]), "--+-+-");
    }

    #[test]
    fn a_base_chain_denies_by_policy_or_by_what_it_reaches() {
        let program = program("a1 a d 2");
        let of = |base: Base| denies(&program, &base);
        assert_eq!([of(accepting(0)), of(accepting(2)), of(accepting(3))], [false, true, true]);
        assert!(of(base(0, Verdict::Deny, false)));
        assert!(denies(&super::tests::program("a1 C d"), &accepting(0)), "by a goto");
    }

    /// Policy, accepts that are reached, where hosts filter, and then the place in the list.
    #[test]
    fn the_base_chain_that_accepts_most_comes_last() {
        let program = program("a aa3 dddd aaa -");
        let order = |bases: &[Base]| {
            let ordered = in_order(&program, bases);
            ordered.iter().map(|base| base.chain.to_string()).collect::<String>()
        };
        let deny = |chain| base(chain, Verdict::Deny, false);
        assert_eq!(order(&[]), "");
        assert_eq!(order(&[accepting(1), accepting(0), accepting(2)]), "021");
        assert_eq!(order(&[accepting(1), deny(2), accepting(0)]), "102");
        assert_eq!(order(&[deny(0), deny(1), deny(2)]), "021");
        assert_eq!(order(&[accepting(2), accepting(4)]), "24");
        assert_eq!(order(&[base(2, Verdict::Allow, true), accepting(4)]), "42");
        assert_eq!(order(&[base(0, Verdict::Allow, false), base(2, Verdict::Allow, true)]), "20");
    }

    #[test]
    fn rules_are_counted_with_those_of_called_chains() {
        let program = program("a1c2d ar B");
        let of = |chain, next, most| size(&program, chain, next, most);
        // a, the jump with its two, the jump with a goto and its two, d.
        assert_eq!([of(0, 0, 100), of(0, 0, 9), of(0, 0, 8), of(0, 0, 1), of(0, 0, 0)], [9, 9, 8, 1, 0]);
        assert_eq!([of(0, 1, 100), of(0, 2, 100), of(0, 4, 100), of(0, 5, 100)], [8, 5, 1, 0]);
        assert_eq!([of(1, 0, 100), of(2, 0, 100), of(9, 0, 100)], [2, 3, 0]);
    }

    #[test]
    fn chains_that_are_reached_from_themselves_are_refused() {
        let closed = |text: &str| match refuse_cycles(&program(text)) {
            Ok(()) => None,
            Err(ImportError::Cycle { line, chain, .. }) => Some((line, chain)),
            Err(error) => panic!("{error}"),
        };
        let at = |line, chain: &str| Some((line, chain.to_owned()));
        assert_eq!(closed("0"), at(10, "0"));
        assert_eq!(closed("cA"), at(11, "0"));
        assert_eq!(closed("1 a2 B"), at(30, "1"));
        // Nobody calls them, and no kernel has them.
        assert_eq!(closed("a 2 1"), at(30, "1"));
        assert_eq!(closed("12 3 3 a"), None);
        assert_eq!(closed("112 2 a"), None);
        assert_eq!(closed("1 2 3 0"), at(40, "0"));
    }
}
