//! Which rules of a list accept the packets of connections that go on.

use super::rules::{Flat, Match, State};
use crate::terms::Verdict;

/// Parts in which a set of packets is looked for.
const MOST_PARTS: usize = 256;

/// The rules that accept some of the packets as ESTABLISHED, and which of them.
#[derive(Debug, Default)]
pub(super) struct Cover {
    /// In the order of the list; later ones may be about packets of earlier ones too.
    pub parts: Vec<(usize, Match)>,
    /// The rule that accepts all that is left.
    pub whole: Option<usize>,
    /// There are more parts than are looked for.
    pub cut: bool,
}

/// Looks for the packets of `when` in a list. Those that a deny stops before are not taken away: the denies that stand before
/// a part must stand before it in the document too.
pub(super) fn cover(list: &[Flat], when: &Match) -> Cover {
    let mut cover = Cover::default();
    for (at, flat) in list.iter().enumerate().filter(|(_, flat)| flat.when.state.has(State::ESTABLISHED)) {
        let Some(part) = when.intersect(&flat.when.stateless()) else { continue };
        let all = part == Match { sides: part.sides, ..when.clone() };
        if flat.verdict == Verdict::Deny {
            if all {
                return cover;
            }
            continue;
        }
        if cover.parts.len() == MOST_PARTS {
            cover.cut = true;
            return cover;
        }
        cover.parts.push((at, part));
        if all {
            cover.whole = Some(at);
            return cover;
        }
    }
    cover
}
