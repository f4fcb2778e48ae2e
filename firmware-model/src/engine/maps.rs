//! The maps that turn a remote address or a port into an id, as the commands wrote them: words, walked anew for each frame.

use nicfw::tables::{Assumption, EngineProfile, PortRangeId, PortTreeEntry, Sizes, SubnetId};

use super::Refused;

/// BRANCH_KEY of a leaf.
const LEAF: u16 = 0xffff;

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

    /// The id of an address; absent where the walk reaches a node that nobody wrote, or no leaf in 32 bits.
    pub fn lookup(&self, profile: &EngineProfile, sizes: &Sizes, addr: u32) -> Option<SubnetId> {
        let bits = sizes.entries_per_node.checked_ilog2().filter(|bits| *bits > 0)?;
        let mut node = 0;
        for level in 0..32 / bits {
            let shift = if profile.holds(Assumption::TrieMsbFirst) { 32 - bits * (level + 1) } else { bits * level };
            let index = addr >> shift & (sizes.entries_per_node - 1);
            let entries = self.nodes.get(usize::try_from(node).ok()?)?.as_ref()?;
            let word = *entries.get(usize::try_from(index).ok()?)?;
            if is_id(sizes, word) {
                return Some(SubnetId(word));
            }
            node = u32::from(word) / sizes.entries_per_node;
        }
        None
    }

    /// The nodes that were written, by rising id.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, &[u16])> {
        (0..).zip(&self.nodes).filter_map(|(id, node)| Some((id, &**node.as_ref()?)))
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

    /// The id of a port; absent where the walk leaves the tree.
    pub fn lookup(&self, profile: &EngineProfile, port: u16) -> Option<PortRangeId> {
        let entries = self.entries.as_ref()?;
        let mut at = 0;
        // Each step at least doubles the index, so the walk ends.
        loop {
            let entry = entries.get(at)?;
            if entry.branch_key == LEAF {
                return Some(PortRangeId(entry.leaf_id));
            }
            let low = port <= entry.branch_key;
            let left = low == profile.holds(Assumption::PortTreeHeapOrder);
            at = 2 * at + if left { 1 } else { 2 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opposite(assumption: Assumption) -> EngineProfile {
        EngineProfile { opposite: vec![assumption], ..EngineProfile::profile0() }
    }

    #[test]
    fn the_trie_takes_four_bits_a_level() {
        let (sizes, profile) = (Sizes::profile0(), EngineProfile::profile0());
        let mut trie = Trie::default();
        assert_eq!(trie.lookup(&profile, &sizes, 0), None);
        let mut root = [56_000; 16];
        root[0] = 16;
        let mut second = [56_001; 16];
        second[10] = 56_002;
        trie.set(&sizes, 1, &second).unwrap();
        assert!(!trie.is_set());
        trie.set(&sizes, 0, &root).unwrap();
        let id = |addr: [u8; 4]| trie.lookup(&profile, &sizes, u32::from_be_bytes(addr));
        assert_eq!(id([10, 1, 2, 3]), Some(SubnetId(56_002)));
        assert_eq!(id([11, 1, 2, 3]), Some(SubnetId(56_001)));
        assert_eq!(id([192, 0, 2, 1]), Some(SubnetId(56_000)));
        let lsb = opposite(Assumption::TrieMsbFirst);
        assert_eq!(trie.lookup(&lsb, &sizes, 0x0a00_00a0), Some(SubnetId(56_002)));
    }

    #[test]
    fn a_trie_that_points_in_circles_has_no_id() {
        let sizes = Sizes::profile0();
        let mut trie = Trie::default();
        trie.set(&sizes, 0, &[0; 16]).unwrap();
        assert_eq!(trie.lookup(&EngineProfile::profile0(), &sizes, 0x0a00_0001), None);
    }

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
    fn the_port_tree_is_a_heap() {
        let entry = |branch_key, leaf_id| PortTreeEntry { branch_key, leaf_id };
        let mut tree = PortTree::default();
        let entries = [
            entry(100, 0),
            entry(LEAF, 1),
            entry(200, 0),
            entry(LEAF, 1),
            entry(LEAF, 1),
            entry(LEAF, 2),
            entry(LEAF, 3),
        ];
        tree.set(&Sizes::profile0(), &entries).unwrap();
        let profile = EngineProfile::profile0();
        let id = |port| tree.lookup(&profile, port).map(|id| id.0);
        assert_eq!([0, 100, 101, 200, 201, 65535].map(id), [Some(1), Some(1), Some(2), Some(2), Some(3), Some(3)]);
        assert_eq!(tree.lookup(&opposite(Assumption::PortTreeHeapOrder), 100), Some(PortRangeId(3)));
        tree.set(&Sizes::profile0(), &[entry(100, 0), entry(LEAF, 1)]).unwrap();
        assert_eq!(tree.lookup(&profile, 101), None, "the walk leaves the tree");
        assert_eq!(tree.set(&Sizes::profile0(), &[entry(LEAF, 255)]), Err(Refused::Invalid));
    }
}
