//! Names for classes. A class that the previous image has keeps its id, and any other gets one that the previous image
//! does not use, so that both can be told apart while the adapter changes from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::sets::Cell;
use crate::policy::sets::Point;
use crate::policy::{Interval, IntervalSet};

/// The ids of the classes, in their order. `before` is the previous map, `elsewhere` its id of the points that no set
/// holds: entries do not name it, so the class keeps it whatever its points are.
///
/// Where ids are short, those come back that the previous image used for something else. Where there are too few, the
/// result is shorter than `classes`.
pub(super) fn assign<T: Point>(
    classes: &[Cell<T>],
    before: &[(T, u16)],
    elsewhere: Option<u16>,
    range: RangeInclusive<u32>,
) -> Vec<u16> {
    let contents = contents(before);
    let kept = |class: &Cell<T>| {
        if class.elsewhere { elsewhere } else { contents.get(&class.set).copied().filter(|id| Some(*id) != elsewhere) }
    };
    let kept: Vec<Option<u16>> =
        classes.iter().map(|class| kept(class).filter(|id| range.contains(&u32::from(*id)))).collect();
    let claimed: BTreeSet<u16> = kept.iter().flatten().copied().collect();
    let used: BTreeSet<u16> = before.iter().map(|(_, id)| *id).collect();
    let ids = || range.clone().filter_map(|id| u16::try_from(id).ok()).filter(|id| !claimed.contains(id));
    let mut spare = ids().filter(|id| !used.contains(id)).chain(ids().filter(|id| used.contains(id)));
    kept.into_iter().map_while(|id| id.or_else(|| spare.next())).collect()
}

/// The ids of the previous map by what they mean.
fn contents<T: Point>(map: &[(T, u16)]) -> BTreeMap<IntervalSet<T>, u16> {
    let mut by_id: BTreeMap<u16, Vec<Interval<T>>> = BTreeMap::new();
    let lasts = map.iter().skip(1).filter_map(|(first, _)| first.prev()).chain([T::MAX]);
    for ((first, id), last) in map.iter().zip(lasts) {
        by_id.entry(*id).or_default().push(Interval { first: *first, last });
    }
    by_id.into_iter().map(|(id, intervals)| (IntervalSet::from_intervals(intervals), id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PortSet;

    fn classes(sets: &[&PortSet]) -> Vec<Cell<u16>> {
        let mut sets: Vec<PortSet> = sets.iter().copied().cloned().collect();
        sets.sort_unstable();
        super::super::sets::Sets::new(sets).spaces[1].classes.clone()
    }

    fn set(first: u16, last: u16) -> PortSet {
        PortSet::from_intervals([Interval { first, last }])
    }

    #[test]
    fn same_content_keeps_its_id_and_new_content_gets_an_unused_one() {
        let (a, b, c) = (set(80, 80), set(443, 443), set(400, 500));
        let before = assign(&classes(&[&a, &b]), &[], None, 1..=9);
        assert_eq!(before, [1, 2, 3], "elsewhere, 80, 443");
        let map = [(0, 1), (80, 2), (81, 1), (443, 3), (444, 1)];
        assert_eq!(assign(&classes(&[&a, &c]), &map, Some(1), 1..=9), [1, 2, 4]);
        assert_eq!(assign(&classes(&[&a, &c]), &map, Some(1), 1..=3), [1, 2, 3], "short of ids: one comes back");
        assert_eq!(assign(&classes(&[&a, &c]), &map, Some(1), 1..=2), [1, 2], "too few ids");
    }
}
