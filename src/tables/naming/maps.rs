//! The three maps, from the classes of a layout.

use std::sync::Arc;

use crate::tables::naming::ids::assign;
use crate::tables::naming::layout::Layout;
use crate::tables::naming::sets::Space;
use crate::tables::{Image, MapError, PortMap, PortRangeId, Sizes, SubnetId, SubnetMap};

/// The maps and the ids of the layout's classes.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    /// What the maps were made from; `None` before the first.
    pub layout: Option<Layout>,
    pub subnets: Option<Arc<SubnetMap>>,
    pub remote_ports: Option<Arc<PortMap>>,
    pub local_ports: Option<Arc<PortMap>>,
    /// Of subnets, remote ports and local ports, by the places of the classes.
    pub ids: [Vec<u16>; 3],
    /// Of the points that no entry names.
    pub rest: Ids,
}

/// An id of subnets, of remote ports and of local ports.
pub(crate) type Ids = [Option<u16>; 3];

/// The maps of the image before, whose ids are kept.
#[derive(Clone, Copy)]
pub(crate) struct PreviousIds<'a> {
    pub image: &'a Image,
    /// Its ids of the points that no entry names.
    pub rest: Ids,
}

impl Maps {
    pub fn build(
        layout: &Layout,
        trie: Option<&Trie>,
        sizes: &Sizes,
        previous: Option<&PreviousIds<'_>>,
    ) -> Result<Self, MapError> {
        let image = previous.map(|before| before.image);
        let was = previous.map_or([None; 3], |before| before.rest);
        let before = image.and_then(|image| image.subnets.as_ref());
        let (subnets, subnet_ids) = match trie.and_then(|trie| trie.beside(before, was[0])) {
            Some((map, ids)) => (Some(map), ids),
            None => {
                let classes: Vec<_> = numbered(before);
                let range = sizes.subnet_id_min..=sizes.subnet_id_max;
                let ids = assign(&layout.subnets.classes, &classes, was[0], range);
                (subnet_map(&layout.subnets, &ids, sizes, before)?, ids)
            }
        };
        let before = image.and_then(|image| image.remote_ports.as_ref());
        let (remote_ports, remote_ids) = port_map(&layout.remote_ports, before, was[1], sizes)?;
        let before = image.and_then(|image| image.local_ports.as_ref());
        let (local_ports, local_ids) = port_map(&layout.local_ports, before, was[2], sizes)?;
        let rest = [
            rest_of(&layout.subnets, &subnet_ids),
            rest_of(&layout.remote_ports, &remote_ids),
            rest_of(&layout.local_ports, &local_ids),
        ];
        let layout = Some(layout.clone());
        Ok(Self { layout, subnets, remote_ports, local_ports, ids: [subnet_ids, remote_ids, local_ids], rest })
    }
}

/// The trie of a space, made beside the one of the space before it with the same limit, whether its layout is chosen or
/// not: how many nodes it takes is known only then.
#[derive(Debug)]
pub(crate) struct Trie {
    pub limit: usize,
    pub nodes: u64,
    map: Option<Arc<SubnetMap>>,
    /// Of the classes; too few where the adapter has too few.
    ids: Vec<u16>,
    rest: Option<u16>,
    /// Beside which trie this one stands, and the id that points of no set had there.
    before: (Option<Arc<SubnetMap>>, Option<u16>),
}

impl Trie {
    /// `exact`: the nodes are counted even where it is plain that they are more than there are; else they are then at least
    /// as many as said.
    pub fn of(space: &Space<u32>, before: Option<&Self>, sizes: &Sizes, exact: bool) -> Self {
        let before = before.map_or((None, None), |before| (before.map.clone(), before.rest));
        let range = sizes.subnet_id_min..=sizes.subnet_id_max;
        let ids = assign(&space.classes, &numbered(before.0.as_ref()), before.1, range);
        let least = space.least_nodes(sizes.entries_per_node);
        let built = if !exact && least > u64::from(sizes.subnet_nodes) {
            Err(MapError::Nodes { needed: usize::try_from(least).unwrap_or(usize::MAX), available: 0 })
        } else if ids.len() == space.classes.len() {
            subnet_map(space, &ids, sizes, before.0.as_ref())
        } else {
            // Ids do not matter to the count, so it holds with too few of them as well.
            let id = |at: u32| u16::try_from(sizes.subnet_id_min.saturating_add(at)).unwrap_or(u16::MAX);
            let ids: Vec<u16> = (0..).map(id).take(space.classes.len()).collect();
            subnet_map(space, &ids, &Sizes { subnet_id_max: u16::MAX.into(), ..*sizes }, None)
        };
        let (map, nodes) = match built {
            Ok(map) => (map.clone(), map.map_or(0, |map| map.nodes.len() as u64)),
            Err(MapError::Nodes { needed, .. }) => (None, needed as u64),
            // Sizes that no trie can be built for are refused when it is built.
            Err(_) => (None, 0),
        };
        let rest = rest_of(space, &ids);
        Self { limit: space.limit, nodes, map: map.filter(|_| ids.len() == space.classes.len()), ids, rest, before }
    }

    /// The trie and its ids, if it was made beside this one, or beside none.
    fn beside(&self, map: Option<&Arc<SubnetMap>>, rest: Option<u16>) -> Option<(Arc<SubnetMap>, Vec<u16>)> {
        let same = self.before.0.as_ref().map(Arc::as_ptr) == map.map(Arc::as_ptr) && self.before.1 == rest;
        Some((self.map.clone().filter(|_| same)?, self.ids.clone()))
    }
}

/// The classes of a map with their ids as numbers.
fn numbered(map: Option<&Arc<SubnetMap>>) -> Vec<(u32, u16)> {
    map.into_iter().flat_map(|map| &map.classes).map(|(at, id)| (*at, id.0)).collect()
}

fn subnet_map(
    space: &Space<u32>,
    ids: &[u16],
    sizes: &Sizes,
    before: Option<&Arc<SubnetMap>>,
) -> Result<Option<Arc<SubnetMap>>, MapError> {
    if space.classes.is_empty() {
        return Ok(None);
    }
    let classes = || space.map(ids, SubnetId);
    // Beside the previous trie, so that it can stay in use while this one is written; where there is no room for both,
    // the plan closes what it must.
    let beside = before.and_then(|before| SubnetMap::build_beside(classes(), sizes, &[before]).ok());
    beside.map_or_else(|| SubnetMap::build(classes(), sizes), Ok).map(|map| Some(Arc::new(map)))
}

fn port_map(
    space: &Space<u16>,
    before: Option<&Arc<PortMap>>,
    rest: Option<u16>,
    sizes: &Sizes,
) -> Result<(Option<Arc<PortMap>>, Vec<u16>), MapError> {
    let classes: Vec<_> = before.into_iter().flat_map(|map| &map.classes).map(|(at, id)| (*at, id.0)).collect();
    let ids = assign(&space.classes, &classes, rest, sizes.portrange_id_min..=sizes.portrange_id_max);
    if space.classes.is_empty() {
        return Ok((None, ids));
    }
    Ok((Some(Arc::new(PortMap::build(space.map(&ids, PortRangeId), sizes)?)), ids))
}

fn rest_of<T>(space: &Space<T>, ids: &[u16]) -> Option<u16> {
    let at = space.classes.iter().position(|class| class.is_rest)?;
    ids.get(at).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::naming::sets::Sets;
    use crate::terms::{Interval, IntervalSet};

    proptest! {
        #[test]
        fn a_trie_takes_the_nodes_that_it_takes_at_least(
            sets in prop::collection::btree_set(
                prop::collection::vec((any::<u32>(), 0u32..32), 1..4).prop_map(|prefixes| {
                    let of = |(at, low): (u32, u32)| Interval { first: at >> low << low, last: at | ((1 << low) - 1) };
                    IntervalSet::from_intervals(prefixes.into_iter().map(of))
                }),
                1..12,
            ),
            entries_per_node in prop::sample::select(vec![2_u32, 4, 16]),
        ) {
            let sizes = Sizes { entries_per_node, subnet_nodes: 56_000 / entries_per_node, ..Sizes::profile0() };
            for space in &Sets::new(sets.into_iter().collect()).spaces {
                let trie = Trie::of(space, None, &sizes, true);
                prop_assert!(space.classes.is_empty() || space.least_nodes(entries_per_node) <= trie.nodes);
            }
        }

        /// Each interval is a set of its own, so each node is told from all others and is counted.
        #[test]
        fn a_trie_of_single_intervals_takes_just_the_nodes_that_it_takes_at_least(
            ends in prop::collection::btree_set(any::<u32>(), 2..24),
            low in 0u32..28,
            entries_per_node in prop::sample::select(vec![2_u32, 4, 16]),
        ) {
            let sizes = Sizes { entries_per_node, subnet_nodes: 56_000 / entries_per_node, ..Sizes::profile0() };
            let ends: std::collections::BTreeSet<u32> = ends.into_iter().map(|end| end >> low << low).collect();
            let ends: Vec<u32> = ends.into_iter().collect();
            let set = |pair: &[u32]| IntervalSet::from_intervals([Interval { first: pair[0], last: pair[1] - 1 }]);
            let sets: Vec<IntervalSet<u32>> = ends.chunks_exact(2).map(set).collect();
            for space in &Sets::new(sets).spaces {
                let trie = Trie::of(space, None, &sizes, true);
                prop_assert!(space.classes.is_empty() || space.least_nodes(entries_per_node) == trie.nodes);
            }
        }
    }
}
