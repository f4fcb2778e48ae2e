//! The port-range maps: a binary tree over ports that gives each port the id of its class.

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
    /// The class of a port.
    #[must_use]
    pub fn lookup(&self, port: u16) -> Option<PortRangeId> {
        let after = self.classes.partition_point(|(first, _)| *first <= port);
        Some(self.classes.get(after.checked_sub(1)?)?.1)
    }
}
