//! The port-range maps: a binary tree over ports that gives each port the id of its class.
//!
//! The way of the data: intervals of ports with their ids -> [`PortMap`] -> [`PortMap::tree`], the entries that one
//! SET_TREE command carries. The tree is a complete one, so `n` intervals take `2n - 1` entries and no path is more than
//! one step longer than another.

use super::classes::{check_ids, joined};
use super::{MapError, Sizes};

/// LEAF_NODE_KEY: marks a leaf of the tree.
const LEAF_NODE_KEY: u16 = 0xffff;

const MAP: &str = "port-range map";

/// Class of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRangeId(pub u16);

/// PORTRANGE_TREE_ENTRY: 4 bytes, both words little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortTreeEntry {
    /// A port up to this goes to the left child; 0xffff marks a leaf.
    pub branch_key: u16,
    /// Id of a leaf; 0 elsewhere.
    pub leaf_id: u16,
}

/// A complete assignment of ids to the ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMap {
    /// `(first port, id)` in rising order, from port 0; an interval ends where the next begins, neighbours differ.
    pub classes: Vec<(u16, PortRangeId)>,
}

impl PortMap {
    /// The map of these intervals: `(first port, id)` in rising order from port 0. Neighbours of one id are joined.
    ///
    /// # Errors
    /// [`MapError`] if the intervals are out of order, an id is not the adapter's, or the tree has too few entries.
    pub fn build(classes: impl IntoIterator<Item = (u16, PortRangeId)>, sizes: &Sizes) -> Result<Self, MapError> {
        let classes = joined(MAP, classes)?;
        check_ids(MAP, classes.iter().map(|(_, id)| id.0), sizes.portrange_id_min, sizes.portrange_id_max)?;
        let (needed, available) = (2 * classes.len() - 1, sizes.port_tree_entries as usize);
        if needed > available {
            return Err(MapError::TreeEntries { map: MAP, needed, available });
        }
        Ok(Self { classes })
    }

    /// The class of a port.
    #[must_use]
    pub fn lookup(&self, port: u16) -> Option<PortRangeId> {
        let after = self.classes.partition_point(|(first, _)| *first <= port);
        Some(self.classes.get(after.checked_sub(1)?)?.1)
    }

    /// The tree as SET_TREE takes it: all [`Sizes::port_tree_entries`] entries, entry `i` with its children at `2i + 1`
    /// (port <= key) and `2i + 2` (assumption A5). Entries that no path reaches are leaves of the first class.
    ///
    /// # Errors
    /// [`MapError::TreeEntries`] if the tree has too few entries, [`MapError::NotTotal`] if the map is empty.
    pub fn tree(&self, sizes: &Sizes) -> Result<Vec<PortTreeEntry>, MapError> {
        let (_, first) = *self.classes.first().ok_or(MapError::NotTotal { map: MAP, at: 0 })?;
        let (needed, available) = (2 * self.classes.len() - 1, sizes.port_tree_entries as usize);
        if needed > available {
            return Err(MapError::TreeEntries { map: MAP, needed, available });
        }
        let mut tree = vec![PortTreeEntry { branch_key: LEAF_NODE_KEY, leaf_id: first.0 }; available];
        fill(tree.get_mut(..needed).unwrap_or_default(), 0, &mut self.classes.iter().peekable());
        Ok(tree)
    }
}

/// Fills the subtree at `at`, left to right, with the next intervals; the key of an entry is the last port to its left.
fn fill<'a>(
    tree: &mut [PortTreeEntry],
    at: usize,
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a (u16, PortRangeId)>>,
) {
    if 2 * at + 1 >= tree.len() {
        // A complete tree of n leaves has n - 1 entries with children, so every leaf finds its interval.
        if let (Some((_, id)), Some(entry)) = (rest.next(), tree.get_mut(at)) {
            *entry = PortTreeEntry { branch_key: LEAF_NODE_KEY, leaf_id: id.0 };
        }
        return;
    }
    fill(tree, 2 * at + 1, rest);
    let right = rest.peek().map_or(LEAF_NODE_KEY, |(first, _)| *first);
    if let Some(entry) = tree.get_mut(at) {
        *entry = PortTreeEntry { branch_key: right.saturating_sub(1), leaf_id: 0 };
    }
    fill(tree, 2 * at + 2, rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(tree: &[PortTreeEntry], port: u16) -> (u16, usize) {
        let (mut at, mut depth) = (0, 0);
        while tree[at].branch_key != LEAF_NODE_KEY {
            at = if port <= tree[at].branch_key { 2 * at + 1 } else { 2 * at + 2 };
            depth += 1;
        }
        (tree[at].leaf_id, depth)
    }

    fn tiny(entries: u32) -> Sizes {
        Sizes { port_tree_entries: entries, ..Sizes::profile0() }
    }

    #[test]
    fn three_intervals_by_hand() {
        let map = PortMap::build([(0, PortRangeId(1)), (80, PortRangeId(2)), (81, PortRangeId(1))], &tiny(7)).unwrap();
        let entry = |branch_key, leaf_id| PortTreeEntry { branch_key, leaf_id };
        // 80 splits off the last interval, 79 the first two; the last two entries are out of reach.
        let leaf = |id| entry(0xffff, id);
        assert_eq!(
            map.tree(&tiny(7)).unwrap(),
            [entry(80, 0), entry(79, 0), leaf(1), leaf(1), leaf(2), leaf(1), leaf(1)]
        );
    }

    #[test]
    fn errors_count_exactly() {
        let ids = |n: u16| (0..n).map(|i| (i * 10, PortRangeId(i + 1)));
        assert_eq!(
            PortMap::build(ids(9), &tiny(15)),
            Err(MapError::TreeEntries { map: MAP, needed: 17, available: 15 })
        );
        assert!(PortMap::build(ids(8), &tiny(15)).is_ok());
        assert!(PortMap::build(ids(128), &Sizes::profile0()).is_ok());
        let few = Sizes { portrange_id_max: 3, ..Sizes::profile0() };
        assert_eq!(PortMap::build(ids(4), &few), Err(MapError::Ids { map: MAP, needed: 4, available: 3 }));
        assert_eq!(
            PortMap::build([(0, PortRangeId(255))], &Sizes::profile0()),
            Err(MapError::IdRange { map: MAP, id: 255, min: 1, max: 254 })
        );
        for bad in [vec![], vec![(1, PortRangeId(1))]] {
            assert_eq!(PortMap::build(bad, &tiny(15)), Err(MapError::NotTotal { map: MAP, at: 0 }));
        }
        let falling = [(0, PortRangeId(1)), (9, PortRangeId(2)), (9, PortRangeId(3))];
        assert_eq!(PortMap::build(falling, &tiny(15)), Err(MapError::NotTotal { map: MAP, at: 2 }));
    }

    proptest! {
        #[test]
        fn the_tree_gives_every_port_its_class_on_a_short_path(
            starts in prop::collection::btree_map(1u16.., 1u16..=9, 0..128),
            first in 1u16..=9,
            spare in 0u32..20,
        ) {
            let intervals: Vec<_> =
                std::iter::once((0, first)).chain(starts).map(|(port, id)| (port, PortRangeId(id))).collect();
            let map = PortMap::build(intervals.clone(), &Sizes::profile0()).unwrap();
            let needed = u32::try_from(2 * map.classes.len() - 1).unwrap();
            let tree = map.tree(&tiny(needed + spare)).unwrap();
            prop_assert_eq!(tree.len(), (needed + spare) as usize);
            let deepest = map.classes.len().next_power_of_two().ilog2() as usize;
            for (i, &(start, id)) in intervals.iter().enumerate() {
                let end = intervals.get(i + 1).map_or(u16::MAX, |(next, _)| next - 1);
                for port in [start, start + (end - start) / 2, end] {
                    let (found, depth) = walk(&tree, port);
                    prop_assert_eq!((PortRangeId(found), map.lookup(port)), (id, Some(id)));
                    prop_assert!(depth <= deepest);
                }
            }
        }
    }
}
