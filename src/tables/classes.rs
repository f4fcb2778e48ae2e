//! What the subnet map and the port-range maps have in common: classes of points, and the ways in which they do not fit.

use super::sizes::BadSize;

/// Why classes cannot be written as a map of this adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The classes are not in rising order from point 0.
    #[error("the classes of the {map} do not cover it in rising order from 0 (entry {at})")]
    NotTotal {
        /// Which map.
        map: &'static str,
        /// Index of the first class that is out of place.
        at: usize,
    },
    /// More classes than the adapter has ids.
    #[error("the {map} needs {needed} ids, the adapter has {available}")]
    Ids {
        /// Which map.
        map: &'static str,
        /// Ids needed.
        needed: usize,
        /// Ids that the adapter has.
        available: usize,
    },
    /// An id that the adapter does not know.
    #[error("id {id} of the {map} is outside of {min}-{max}")]
    IdRange {
        /// Which map.
        map: &'static str,
        /// The id.
        id: u16,
        /// Smallest id of the adapter.
        min: u32,
        /// Largest id of the adapter.
        max: u32,
    },
    /// The subnet map needs more nodes than are free.
    #[error("the subnet map needs {needed} nodes, {available} are free")]
    Nodes {
        /// Nodes needed, beyond those that are there already with the same content.
        needed: usize,
        /// Nodes that are free.
        available: usize,
    },
    /// A port-range map needs more tree entries than there are.
    #[error("the {map} needs {needed} tree entries, the adapter has {available}")]
    TreeEntries {
        /// Which map.
        map: &'static str,
        /// Entries needed: two less one for each interval.
        needed: usize,
        /// Entries that the tree has.
        available: usize,
    },
    /// No map can be built with such a size.
    #[error("no map can be built with {0}")]
    Size(#[from] BadSize),
}

/// Checks that the classes start at 0 and rise, and joins neighbours of one id.
pub(super) fn joined<P: Copy + Ord + Default, I: Copy + Eq>(
    map: &'static str,
    classes: impl IntoIterator<Item = (P, I)>,
) -> Result<Vec<(P, I)>, MapError> {
    let mut out: Vec<(P, I)> = Vec::new();
    let mut last = None;
    for (at, (first, id)) in classes.into_iter().enumerate() {
        if last.map_or(first != P::default(), |last| first <= last) {
            return Err(MapError::NotTotal { map, at });
        }
        last = Some(first);
        if out.last().is_none_or(|(_, before)| *before != id) {
            out.push((first, id));
        }
    }
    if out.is_empty() { Err(MapError::NotTotal { map, at: 0 }) } else { Ok(out) }
}

/// Checks number and range of the ids.
pub(super) fn check_ids(
    map: &'static str,
    ids: impl IntoIterator<Item = u16>,
    min: u32,
    max: u32,
) -> Result<(), MapError> {
    let (mut used, mut outside) = ([0_u64; 1 << 10], None::<u16>);
    for id in ids {
        if let Some(word) = used.get_mut(usize::from(id / 64)) {
            *word |= 1 << (id % 64);
        }
        if !(min..=max).contains(&u32::from(id)) {
            outside = Some(outside.map_or(id, |least| least.min(id)));
        }
    }
    let needed = used.iter().map(|word| word.count_ones() as usize).sum();
    let available = (max.saturating_add(1)).saturating_sub(min) as usize;
    if needed > available {
        return Err(MapError::Ids { map, needed, available });
    }
    match outside {
        Some(id) => Err(MapError::IdRange { map, id, min, max }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "map";

    #[test]
    fn classes_begin_at_the_first_point_and_rise_and_neighbours_of_one_id_are_joined() {
        let joined = |classes: &[(u16, u8)]| joined(MAP, classes.iter().copied());
        assert_eq!(joined(&[(0, 1), (5, 1), (7, 2), (9, 1)]), Ok(vec![(0, 1), (7, 2), (9, 1)]));
        let out_of_place = |at| Err(MapError::NotTotal { map: MAP, at });
        assert_eq!(joined(&[]), out_of_place(0));
        assert_eq!(joined(&[(1, 1)]), out_of_place(0));
        assert_eq!(joined(&[(0, 1), (0, 2)]), out_of_place(1));
        assert_eq!(joined(&[(0, 1), (7, 1), (6, 2)]), out_of_place(2), "what was joined counts");
        assert_eq!(joined(&[(0, 1), (7, 1), (7, 1)]), out_of_place(2));
    }

    #[test]
    fn ids_are_counted_once_each_and_lie_within_those_of_the_adapter() {
        let check = |ids: &[u16], min, max| check_ids(MAP, ids.iter().copied(), min, max);
        assert_eq!(check(&[7, 9, 7, 8], 7, 9), Ok(()));
        assert_eq!(check(&[0, 63, 64, 65_535], 0, 65_535), Ok(()));
        let outside = |id, min, max| Err(MapError::IdRange { map: MAP, id, min, max });
        assert_eq!(check(&[7, 9], 8, 9), outside(7, 8, 9));
        assert_eq!(check(&[10, 7], 7, 9), outside(10, 7, 9));
        assert_eq!(check(&[11, 10, 12], 1, 9), outside(10, 1, 9), "the least of them");
        let too_many = |needed, available| Err(MapError::Ids { map: MAP, needed, available });
        assert_eq!(check(&[1, 2, 3, 4, 2], 1, 3), too_many(4, 3), "before what lies outside");
        assert_eq!(check(&[1, 65], 2, 1), too_many(2, 0));
    }
}
