//! Names for classes. A class that the previous image has keeps its id, and any other gets one that the previous image
//! does not use, so that both can be told apart while the adapter changes from one to the other.

use std::ops::RangeInclusive;

use crate::tables::naming::points::Points;
use crate::tables::naming::sets::Class;
use crate::terms::Point;

/// The ids of the classes, in their order. `before` is the previous map, `rest` its id of the points that no set
/// holds: entries do not name it, so the class keeps it whatever its points are.
///
/// Where ids are short, those come back that the previous image used for something else. Where there are too few, the
/// result is shorter than `classes`.
pub(crate) fn assign<T: Point>(
    classes: &[Class<T>],
    before: &[(T, u16)],
    rest: Option<u16>,
    range: RangeInclusive<u32>,
) -> Vec<u16> {
    let contents = Points::new(before, |id| id);
    let kept = |class: &Class<T>| {
        if class.is_rest {
            return rest;
        }
        let first = class.set.intervals().first()?.first;
        let at = before.partition_point(|(start, _)| *start <= first).checked_sub(1)?;
        let id = before.get(at)?.1;
        (Some(id) != rest && contents.of(id) == class.set.intervals()).then_some(id)
    };
    let kept: Vec<Option<u16>> =
        classes.iter().map(|class| kept(class).filter(|id| range.contains(&u32::from(*id)))).collect();
    let (mut claimed, mut used) = (vec![false; 1 << 16], vec![false; 1 << 16]);
    kept.iter().flatten().for_each(|id| claimed[usize::from(*id)] = true);
    before.iter().for_each(|(_, id)| used[usize::from(*id)] = true);
    let ids = || range.clone().filter_map(|id| u16::try_from(id).ok()).filter(|id| !claimed[usize::from(*id)]);
    let mut spare = ids().filter(|id| !used[usize::from(*id)]).chain(ids().filter(|id| used[usize::from(*id)]));
    kept.into_iter().map_while(|id| id.or_else(|| spare.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{Interval, PortSet};

    fn classes(sets: &[&PortSet]) -> Vec<Class<u16>> {
        let mut sets: Vec<PortSet> = sets.iter().copied().cloned().collect();
        sets.sort_unstable();
        let classes = &super::super::sets::Sets::new(sets).spaces[1].classes;
        classes.iter().map(|class| Class { set: class.set.clone(), is_rest: class.is_rest }).collect()
    }

    fn set(first: u16, last: u16) -> PortSet {
        PortSet::from_intervals([Interval { first, last }])
    }

    #[test]
    fn same_content_keeps_its_id_and_new_content_gets_an_unused_one() {
        let (a, b, c) = (set(80, 80), set(443, 443), set(400, 500));
        let before = assign(&classes(&[&a, &b]), &[], None, 1..=9);
        assert_eq!(before, [1, 2, 3], "rest, 80, 443");
        let map = [(0, 1), (80, 2), (81, 1), (443, 3), (444, 1)];
        assert_eq!(assign(&classes(&[&a, &c]), &map, Some(1), 1..=9), [1, 2, 4]);
        assert_eq!(assign(&classes(&[&a, &c]), &map, Some(1), 1..=3), [1, 2, 3], "short of ids: one comes back");
        assert_eq!(assign(&classes(&[&a, &c]), &map, Some(1), 1..=2), [1, 2], "too few ids");
    }
}
