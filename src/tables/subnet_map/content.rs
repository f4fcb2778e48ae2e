//! What the subnet map holds: intervals of addresses, and the trie that realises them.

use crate::tables::Sizes;

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

/// What a word of a node says.
pub(super) enum Word {
    Leaf,
    Node(u32),
}

impl Word {
    pub fn of(word: u16, sizes: &Sizes) -> Self {
        let number = u32::from(word);
        if number < sizes.subnet_id_min { Self::Node(number / sizes.entries_per_node) } else { Self::Leaf }
    }
}
