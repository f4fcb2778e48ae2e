//! The subnet map: a trie over IPv4 addresses that gives each remote address the id of its class.

/// Class of remote IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubnetId(pub u16);

/// Content of one trie node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubnetNode {
    /// Node id, 0 = root.
    pub id: u32,
    /// One word per entry: a [`SubnetId`] or a node id times the entries per node.
    pub entries: Vec<u16>,
}

/// A complete assignment of ids to the IPv4 space, together with the trie that realises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetMap {
    /// `(first address, id)` in rising order, from address 0; an interval ends where the next begins, neighbours differ.
    pub classes: Vec<(u32, SubnetId)>,
    /// The nodes in use, by rising id; the first is the root.
    pub nodes: Vec<SubnetNode>,
}

impl SubnetMap {
    /// The class of an address.
    #[must_use]
    pub fn lookup(&self, addr: u32) -> Option<SubnetId> {
        let after = self.classes.partition_point(|(first, _)| *first <= addr);
        Some(self.classes.get(after.checked_sub(1)?)?.1)
    }
}
