//! The maps that turn a remote address or a port into an id, as the commands wrote them: words. `flat.rs` makes of them what
//! frames are judged by.

use std::ops::RangeInclusive;

use nicfw::tables::{Assumption, PortTreeEntry, Sizes};

use super::config::EngineConfig;
use super::refused::Refused;

/// BRANCH_KEY of a leaf.
const LEAF: u16 = 0xffff;

/// Ports of one leaf.
pub(super) type Leaf = (RangeInclusive<u16>, u16);

/// The subnet trie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trie {
    nodes: Vec<Option<Box<[u16]>>>,
}

impl Trie {
    /// Replaces one node.
    pub fn set(&mut self, sizes: &Sizes, id: u32, entries: &[u16]) -> Result<(), Refused> {
        let per_node = usize::try_from(sizes.entries_per_node).unwrap_or(usize::MAX);
        if id >= sizes.subnet_nodes || entries.len() != per_node || !entries.iter().all(|word| is_entry(sizes, *word)) {
            return Err(Refused::Invalid);
        }
        let at = usize::try_from(id).map_err(|_| Refused::Invalid)?;
        if self.nodes.len() <= at {
            self.nodes.resize(at + 1, None);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            *node = Some(entries.into());
        }
        Ok(())
    }

    /// True once the root is written.
    pub fn is_set(&self) -> bool {
        matches!(self.nodes.first(), Some(Some(_)))
    }

    /// Address bits that a node looks at; `None` for a width that assumption A4 does not know, and then no address has an id.
    pub fn digit(sizes: &Sizes) -> Option<u32> {
        matches!(sizes.entries_per_node, 2 | 4 | 16 | 256).then(|| sizes.entries_per_node.ilog2())
    }

    /// The nodes that were written, by rising id.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, &[u16])> {
        (0..).zip(&self.nodes).filter_map(|(id, node)| Some((id, &**node.as_ref()?)))
    }
}

/// What a word of a node says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A subnet id.
    Id(u16),
    /// The node with the next bits.
    Pointer(u32),
}

impl Word {
    pub fn of(sizes: &Sizes, word: u16) -> Self {
        if is_id(sizes, word) { Self::Id(word) } else { Self::Pointer(u32::from(word) / sizes.entries_per_node) }
    }
}

fn is_id(sizes: &Sizes, word: u16) -> bool {
    (sizes.subnet_id_min..=sizes.subnet_id_max).contains(&word.into())
}

fn is_entry(sizes: &Sizes, word: u16) -> bool {
    let word_ = u32::from(word);
    let pointer = word_.is_multiple_of(sizes.entries_per_node) && word_ / sizes.entries_per_node < sizes.subnet_nodes;
    is_id(sizes, word) || pointer
}

/// One port-range tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PortTree {
    entries: Option<Box<[PortTreeEntry]>>,
}

impl PortTree {
    /// Replaces the whole tree.
    pub fn set(&mut self, sizes: &Sizes, entries: &[PortTreeEntry]) -> Result<(), Refused> {
        let fits = u32::try_from(entries.len()).is_ok_and(|len| (1..=sizes.port_tree_entries).contains(&len));
        let ids = sizes.portrange_id_min..=sizes.portrange_id_max;
        let is_entry = |entry: &PortTreeEntry| entry.branch_key != LEAF || ids.contains(&entry.leaf_id.into());
        if !fits || !entries.iter().all(is_entry) {
            return Err(Refused::Invalid);
        }
        self.entries = Some(entries.into());
        Ok(())
    }

    /// The entries, once written.
    pub fn entries(&self) -> Option<&[PortTreeEntry]> {
        self.entries.as_deref()
    }

    /// The leaves that a walk can reach, with their ports and ids. A walk that leaves the tree finds no id.
    pub fn leaves(&self, config: &EngineConfig) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        let low_first = config.holds(Assumption::PortTreeHeapOrder);
        self.descend(0, 0, u16::MAX, low_first, &mut leaves);
        leaves
    }

    /// Each step at least doubles the index, so the descent ends.
    fn descend(&self, at: usize, first: u16, last: u16, low_first: bool, leaves: &mut Vec<Leaf>) {
        let Some(entry) = self.entries.as_ref().and_then(|entries| entries.get(at)) else { return };
        if entry.branch_key == LEAF {
            leaves.push((first..=last, entry.leaf_id));
            return;
        }
        let (low, high) = if low_first { (2 * at + 1, 2 * at + 2) } else { (2 * at + 2, 2 * at + 1) };
        if first <= entry.branch_key {
            self.descend(low, first, last.min(entry.branch_key), low_first, leaves);
        }
        if last > entry.branch_key {
            self.descend(high, first.max(entry.branch_key + 1), last, low_first, leaves);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_checked() {
        let sizes = Sizes::profile0();
        let mut trie = Trie::default();
        assert_eq!(trie.set(&sizes, 3500, &[56_000; 16]), Err(Refused::Invalid));
        assert_eq!(trie.set(&sizes, 0, &[56_000; 15]), Err(Refused::Invalid));
        assert_eq!(trie.set(&sizes, 0, &[17; 16]), Err(Refused::Invalid), "neither a pointer nor an id");
        assert_eq!(trie.set(&sizes, 0, &[65_535; 16]), Err(Refused::Invalid), "past the largest id");
    }

    #[test]
    fn leaves_have_ids() {
        let leaf = PortTreeEntry { branch_key: LEAF, leaf_id: 255 };
        assert_eq!(PortTree::default().set(&Sizes::profile0(), &[leaf]), Err(Refused::Invalid));
    }
}
