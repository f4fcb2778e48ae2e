//! What the ports of units take of the port-range trees at least, whatever the layout.

use super::layout::{NamedSets, named_sets};
use super::sets::MOST_BY_VALUE;
use crate::policy::Document;
use crate::policy::regions::classes::points_up_to;
use crate::tables::Target;
use crate::tables::refuse::CompileError;
use crate::tables::units::too_much::{MOST_TIMES, Taking, far_too_much};
use crate::tables::units::unit::Unit;
use crate::tables::units::{UnitChanges, Units};
use crate::tables::usage::{Need, Table};
use crate::terms::PortSet;

/// Entries of a port-range tree that are counted exactly even where there are far fewer.
const MOST_TREE_ENTRIES: u64 = 4096;

/// Ports where a set of them begins or ends, one bit each.
type Ends = Box<[u64; 1 << 10]>;

/// Ports of one side, of those that a piece names.
type PortsOf = fn(NamedSets<'_>) -> Option<&PortSet>;

/// Puts the ends of a set in, if it has too many points to be named by value.
fn add_ends(set: Option<&PortSet>, ends: &mut Ends) {
    for interval in
        set.filter(|set| points_up_to(set, MOST_BY_VALUE).is_none()).into_iter().flat_map(PortSet::intervals)
    {
        for port in [Some(interval.first), interval.last.checked_add(1)].into_iter().flatten().filter(|port| *port > 0)
        {
            ends[usize::from(port / 64)] |= 1 << (port % 64);
        }
    }
}

/// Entries of a tree that these ends take.
fn tree_entries(ends: &Ends) -> u64 {
    1 + 2 * ends.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
}

/// The refusal where the ports of the units that are new take far more entries of a port-range tree than there are, counted
/// before they are cut into classes.
pub(super) fn too_many_ports(
    units: &Units,
    changes: &UnitChanges,
    document: &Document,
    target: &Target,
) -> Option<CompileError> {
    let available = u64::from(target.sizes.port_tree_entries);
    let fresh = || changes.touched.keys().filter_map(|key| units.unit(key));
    let of: [(Table, PortsOf); 2] = [(Table::RemotePortTree, |sets| sets.1), (Table::LocalPortTree, |sets| sets.2)];
    let ends_of = |unit: &Unit, ports: PortsOf, ends: &mut Ends| {
        unit.pieces.iter().for_each(|piece| add_ends(ports(named_sets(piece)), ends));
    };
    of.into_iter().find_map(|(table, ports)| {
        let mut all = Ends::new([0; 1 << 10]);
        fresh().for_each(|unit| ends_of(unit, ports, &mut all));
        let needed = tree_entries(&all);
        if needed <= available.saturating_mul(MOST_TIMES).max(MOST_TREE_ENTRIES) {
            return None;
        }
        let takes = |unit: &Unit| {
            let mut own = Ends::new([0; 1 << 10]);
            ends_of(unit, ports, &mut own);
            tree_entries(&own)
        };
        let largest = fresh().map(|unit| Taking { unit, takes: takes(unit) }).max_by_key(|of| of.takes)?;
        Some(far_too_much(document, Need { table, needed, available }, &[largest]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::naming::sets::Sets;
    use crate::terms::Interval;

    proptest! {
        /// The layout that names most by value needs as many entries, and none fewer.
        #[test]
        fn ends_take_what_the_least_layout_needs(
            sets in prop::collection::vec(prop::collection::vec((any::<u16>(), prop_oneof![0u16..12, 0u16..9000]), 0..4), 0..8),
        ) {
            let set = |of: &Vec<(u16, u16)>| {
                PortSet::from_intervals(of.iter().map(|(at, more)| Interval { first: *at, last: at.saturating_add(*more) }))
            };
            let sets: Vec<PortSet> = sets.iter().map(set).collect();
            let mut ends = Ends::new([0; 1 << 10]);
            sets.iter().for_each(|set| add_ends(Some(set), &mut ends));
            add_ends(None, &mut ends);
            let mut all = sets;
            all.sort_unstable();
            all.dedup();
            let needs = Sets::new(all).spaces.iter().map(|space| (2 * space.intervals() as u64).max(2) - 1).min();
            prop_assert_eq!(Some(tree_entries(&ends)), needs);
        }
    }
}
