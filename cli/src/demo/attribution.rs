//! Frames on the cables against counters in the adapter: each frame must have moved just one counter, that of an entry
//! which decides it, and no counter may have moved otherwise.

use std::collections::BTreeMap;

use nicfw::tables::{CounterId, RuleKey};
use nicfw::terms::Direction;

use crate::emulated::Counts;
use crate::judge::Judgement;
use crate::words;

/// By how much each counter moved.
pub type Moved = BTreeMap<(CounterId, Direction), u64>;

/// What counted which frame.
#[derive(Debug, Default)]
pub struct Attributed {
    /// The entry that counted each judgement; `None` where an entry has no counter, or none moved.
    pub entries: Vec<Option<RuleKey>>,
    /// What does not add up.
    pub wrong: Vec<String>,
}

/// By how much the counters moved between two readings.
pub fn moved(before: &Counts, after: &Counts) -> Moved {
    let mut moved = Moved::new();
    for (counter, now) in after {
        let then = before.get(counter).copied().unwrap_or_default();
        for (direction, now, then) in [(Direction::Rx, now.rx, then.rx), (Direction::Tx, now.tx, then.tx)] {
            if now != then {
                moved.insert((*counter, direction), now.wrapping_sub(then));
            }
        }
    }
    moved
}

/// Gives each judgement the counter that counted it. Where the order of lookup lets two base entries decide a frame, either
/// may have; so those frames choose last, from what is left.
pub fn attribute(judgements: &[Judgement], mut moved: Moved) -> Attributed {
    let mut out = Attributed { entries: vec![None; judgements.len()], wrong: Vec::new() };
    let choices = |judgement: &Judgement| judgement.entries.len();
    let mut order: Vec<usize> = (0..judgements.len()).collect();
    order.sort_by_key(|index| judgements.get(*index).map(choices));
    for index in order {
        let Some(judgement) = judgements.get(index) else { continue };
        let counted = judgement.entries.iter().find(|(_, counter)| {
            let left = counter.and_then(|counter| moved.get_mut(&(counter, judgement.direction)));
            left.is_some_and(|left| {
                let some = *left > 0;
                *left -= u64::from(some);
                some
            })
        });
        if let Some(entry) = out.entries.get_mut(index) {
            *entry = counted.map(|(key, _)| *key);
        }
        if counted.is_none() && judgement.entries.iter().any(|(_, counter)| counter.is_some()) {
            out.wrong.push(format!(
                "a {} frame moved no counter: {}",
                words::direction(judgement.direction),
                judgement.words
            ));
        }
    }
    for ((counter, direction), left) in moved.into_iter().filter(|(_, left)| *left > 0) {
        out.wrong.push(format!(
            "counter {} {} moved by {left} without a frame",
            counter.0,
            words::direction(direction)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use nicfw::terms::Verdict;

    use super::*;

    fn entry(port: u16) -> RuleKey {
        RuleKey { local_port: Some(port), ..RuleKey::default() }
    }

    fn judged(candidates: &[u16]) -> Judgement {
        Judgement {
            direction: Direction::Rx,
            verdict: Verdict::Deny,
            words: "no rule".to_owned(),
            origin: None,
            entries: candidates.iter().map(|id| (entry(*id), Some(CounterId(u32::from(*id))))).collect(),
            agrees: true,
        }
    }

    fn rx(counts: &[(u32, u64)]) -> Moved {
        counts.iter().map(|(id, by)| ((CounterId(*id), Direction::Rx), *by)).collect()
    }

    #[test]
    fn frames_that_two_entries_may_decide_take_what_is_left() {
        let judgements = [judged(&[1, 2]), judged(&[1]), judged(&[2, 1])];
        let out = attribute(&judgements, rx(&[(1, 2), (2, 1)]));
        assert_eq!(out.wrong, Vec::<String>::new());
        assert_eq!(out.entries.iter().filter(|e| **e == Some(entry(1))).count(), 2);
    }

    #[test]
    fn a_frame_too_many_or_too_few_is_told() {
        let short = attribute(&[judged(&[1]), judged(&[1])], rx(&[(1, 1)]));
        assert_eq!(short.wrong, ["a rx frame moved no counter: no rule"]);
        let long = attribute(&[judged(&[1])], rx(&[(1, 1), (7, 3)]));
        assert_eq!(long.wrong, ["counter 7 rx moved by 3 without a frame"]);
    }
}
