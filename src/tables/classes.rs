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
