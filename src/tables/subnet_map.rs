//! The subnet map: a trie over IPv4 addresses that gives each remote address the id of its class.
//!
//! The way of the data: intervals of addresses with their ids -> [`SubnetMap::build`] -> [`SubnetNode`]s, one
//! SUBNET_MAP_SET_NODE command each. Nodes of equal content are one node. [`SubnetMap::build_beside`] takes over what
//! other tries hold already and puts everything else at indices that they do not use, so that a new trie can be written
//! while the old one is in use, and becomes reachable by the one command that writes the root.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::classes::{check_ids, joined};
use super::{MapError, Sizes};

const MAP: &str = "subnet map";

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
    /// The map of these intervals: `(first address, id)` in rising order from address 0. Neighbours of one id are joined.
    ///
    /// # Errors
    /// [`MapError`] if the intervals are out of order, an id is not the adapter's, or there are too few nodes.
    pub fn build(classes: impl IntoIterator<Item = (u32, SubnetId)>, sizes: &Sizes) -> Result<Self, MapError> {
        Self::build_beside(classes, sizes, &[])
    }

    /// As [`Self::build`], beside tries that are in use: a node that one of them holds with the same content is taken
    /// over, and every other node but the root stands at an index that none of them uses.
    ///
    /// Where two of the tries use one index for different contents, neither is taken over.
    ///
    /// # Errors
    /// As [`Self::build`]; [`MapError::Nodes`] counts only what cannot be taken over.
    pub fn build_beside(
        classes: impl IntoIterator<Item = (u32, SubnetId)>,
        sizes: &Sizes,
        others: &[&Self],
    ) -> Result<Self, MapError> {
        let bits = check_sizes(sizes)?;
        let classes = joined(MAP, classes)?;
        check_ids(MAP, classes.iter().map(|(_, id)| id.0), sizes.subnet_id_min, sizes.subnet_id_max)?;
        let mut builder = Builder::new(&classes, sizes, bits, others);
        let root = builder.words(0, 0);
        let nodes = builder.finish(root)?;
        Ok(Self { classes, nodes })
    }

    /// The class of an address.
    #[must_use]
    pub fn lookup(&self, addr: u32) -> Option<SubnetId> {
        let after = self.classes.partition_point(|(first, _)| *first <= addr);
        Some(self.classes.get(after.checked_sub(1)?)?.1)
    }

    /// The nodes in an order in which each comes after all that it points to; the root is the last.
    #[must_use]
    pub fn leaves_up(&self, sizes: &Sizes) -> Vec<&SubnetNode> {
        let by_id: BTreeMap<u32, &SubnetNode> = self.nodes.iter().map(|node| (node.id, node)).collect();
        let (mut done, mut out) = (BTreeSet::new(), Vec::with_capacity(self.nodes.len()));
        visit(0, &by_id, sizes, &mut done, &mut out);
        out
    }
}

fn visit<'a>(
    id: u32,
    nodes: &BTreeMap<u32, &'a SubnetNode>,
    sizes: &Sizes,
    done: &mut BTreeSet<u32>,
    out: &mut Vec<&'a SubnetNode>,
) {
    let Some(node) = nodes.get(&id).filter(|_| done.insert(id)) else { return };
    for word in &node.entries {
        if let Word::Node(child) = Word::of(*word, sizes) {
            visit(child, nodes, sizes, done, out);
        }
    }
    out.push(node);
}

/// Checks assumption A4 and returns the address bits that one node takes.
fn check_sizes(sizes: &Sizes) -> Result<u32, MapError> {
    let last_pointer = sizes.subnet_nodes.saturating_sub(1).saturating_mul(sizes.entries_per_node);
    let ids_fit = sizes.subnet_id_max <= u32::from(u16::MAX) && last_pointer < sizes.subnet_id_min;
    if matches!(sizes.entries_per_node, 2 | 4 | 16 | 256) && ids_fit && sizes.subnet_nodes > 0 {
        return Ok(sizes.entries_per_node.ilog2());
    }
    Err(MapError::Sizes {
        entries_per_node: sizes.entries_per_node,
        nodes: sizes.subnet_nodes,
        id_min: sizes.subnet_id_min,
    })
}

/// A word of a node while the trie is built: a node past the last index has a number too, so that the count is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Leaf(SubnetId),
    Node(u32),
}

impl Word {
    fn of(word: u16, sizes: &Sizes) -> Self {
        let number = u32::from(word);
        if number < sizes.subnet_id_min {
            Self::Node(number / sizes.entries_per_node)
        } else {
            Self::Leaf(SubnetId(word))
        }
    }

    /// `None` for a node past the last index.
    fn raw(self, sizes: &Sizes) -> Option<u16> {
        match self {
            Self::Leaf(id) => Some(id.0),
            Self::Node(id) if id < sizes.subnet_nodes => u16::try_from(id * sizes.entries_per_node).ok(),
            Self::Node(_) => None,
        }
    }
}

struct Builder<'a> {
    classes: &'a [(u32, SubnetId)],
    sizes: &'a Sizes,
    /// Address bits a node.
    bits: u32,
    /// Node of each content: those of the other tries, and those made here.
    by_content: HashMap<Vec<Word>, u32>,
    /// Indices that no other trie uses, lowest first.
    free: Vec<u32>,
    /// Nodes made here; may pass the number of free indices.
    made: usize,
    /// The nodes below the root, by id.
    used: BTreeMap<u32, Vec<Word>>,
}

impl<'a> Builder<'a> {
    fn new(classes: &'a [(u32, SubnetId)], sizes: &'a Sizes, bits: u32, others: &[&SubnetMap]) -> Self {
        let mut taken: BTreeMap<u32, Option<&Vec<u16>>> = BTreeMap::new();
        for node in others.iter().flat_map(|map| &map.nodes).filter(|node| node.id != 0) {
            let content = taken.entry(node.id).or_insert(Some(&node.entries));
            *content = content.filter(|entries| **entries == node.entries);
        }
        let words = |entries: &Vec<u16>| entries.iter().map(|word| Word::of(*word, sizes)).collect();
        let by_content = taken.iter().filter_map(|(id, content)| Some((words((*content)?), *id))).collect();
        let free = (1..sizes.subnet_nodes).filter(|id| !taken.contains_key(id)).collect();
        Self { classes, sizes, bits, by_content, free, made: 0, used: BTreeMap::new() }
    }

    /// The words of the node that stands `level` nodes below the root at the address `base`.
    fn words(&mut self, level: u32, base: u32) -> Vec<Word> {
        let below = 32 - self.bits * (level + 1);
        (0..self.sizes.entries_per_node).map(|i| self.word(level, base | (i << below), below)).collect()
    }

    /// The word for the addresses that share all but the low `below` bits with `base`.
    fn word(&mut self, level: u32, base: u32, below: u32) -> Word {
        let last = base | u32::MAX.checked_shr(32 - below).unwrap_or(0);
        // The first class begins at 0, so there is one that holds `base`.
        let (upto, after) = self.classes.split_at(self.classes.partition_point(|(first, _)| *first <= base));
        if let Some((_, id)) = upto.last()
            && after.first().is_none_or(|(next, _)| *next > last)
        {
            return Word::Leaf(*id);
        }
        let words = self.words(level + 1, base);
        Word::Node(self.node(words))
    }

    fn node(&mut self, words: Vec<Word>) -> u32 {
        let id = match self.by_content.get(&words) {
            Some(id) => *id,
            None => self.new_node(&words),
        };
        self.used.insert(id, words);
        id
    }

    fn new_node(&mut self, words: &[Word]) -> u32 {
        let past_the_end = || self.sizes.subnet_nodes.saturating_add(u32::try_from(self.made).unwrap_or(u32::MAX));
        let id = self.free.get(self.made).copied().unwrap_or_else(past_the_end);
        self.made += 1;
        self.by_content.insert(words.to_vec(), id);
        id
    }

    /// The finished trie, or how many nodes are missing.
    fn finish(self, root: Vec<Word>) -> Result<Vec<SubnetNode>, MapError> {
        if self.made > self.free.len() {
            return Err(MapError::Nodes { needed: self.made + 1, available: self.free.len() + 1 });
        }
        let nodes = std::iter::once((0, root)).chain(self.used);
        let raw = |words: Vec<Word>| words.into_iter().filter_map(|word| word.raw(self.sizes)).collect();
        Ok(nodes.map(|(id, words)| SubnetNode { id, entries: raw(words) }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sizes(entries_per_node: u32, subnet_nodes: u32) -> Sizes {
        Sizes { entries_per_node, subnet_nodes, ..Sizes::profile0() }
    }

    /// Walks the trie as the adapter does, through the raw words.
    fn walk(map: &SubnetMap, sizes: &Sizes, addr: u32) -> SubnetId {
        let bits = sizes.entries_per_node.ilog2();
        let (mut node, mut shift) = (0, 32 - bits);
        loop {
            let entries = &map.nodes.iter().find(|n| n.id == node).unwrap().entries;
            let word = entries[(addr >> shift & (sizes.entries_per_node - 1)) as usize];
            if u32::from(word) >= sizes.subnet_id_min {
                return SubnetId(word);
            }
            node = u32::from(word) / sizes.entries_per_node;
            shift -= bits;
        }
    }

    fn prefix(addr: u32, len: u32, inside: u16, outside: u16) -> Vec<(u32, SubnetId)> {
        let end = u64::from(addr) + (1u64 << (32 - len));
        let end = u32::try_from(end).ok().map(|end| (end, SubnetId(outside)));
        let start = (addr > 0).then_some((0, SubnetId(outside)));
        start.into_iter().chain([(addr, SubnetId(inside))]).chain(end).collect()
    }

    #[test]
    fn one_prefix_by_hand() {
        // 10.0.0.0/8 with 16 entries a node: the root's entry 0 leads to a node whose entry 10 is the prefix.
        let map = SubnetMap::build(prefix(0x0a00_0000, 8, 56_001, 56_000), &Sizes::profile0()).unwrap();
        let mut root = vec![56_000; 16];
        root[0] = 16;
        let mut leaf = vec![56_000; 16];
        leaf[10] = 56_001;
        assert_eq!(map.nodes, [SubnetNode { id: 0, entries: root }, SubnetNode { id: 1, entries: leaf }]);
    }

    #[test]
    fn errors_count_exactly() {
        // A host route takes the root and 7 nodes.
        let host = prefix(0x0a00_0001, 32, 56_001, 56_000);
        assert_eq!(SubnetMap::build(host.clone(), &sizes(16, 7)), Err(MapError::Nodes { needed: 8, available: 7 }));
        assert_eq!(SubnetMap::build(host.clone(), &sizes(16, 8)).unwrap().nodes.len(), 8);
        assert_eq!(SubnetMap::build(host.clone(), &sizes(2, 1)), Err(MapError::Nodes { needed: 32, available: 1 }));
        let one_id = Sizes { subnet_id_max: 56_000, ..Sizes::profile0() };
        assert_eq!(SubnetMap::build(host, &one_id), Err(MapError::Ids { map: MAP, needed: 2, available: 1 }));
        assert_eq!(
            SubnetMap::build([(0, SubnetId(65_535))], &Sizes::profile0()),
            Err(MapError::IdRange { map: MAP, id: 65_535, min: 56_000, max: 65_534 })
        );
        assert_eq!(
            SubnetMap::build([(0, SubnetId(56_000))], &sizes(16, 3502)),
            Err(MapError::Sizes { entries_per_node: 16, nodes: 3502, id_min: 56_000 })
        );
    }

    #[test]
    fn equal_nodes_are_one_node() {
        let every_tenth =
            (0..16u32).flat_map(|i| [(i << 28, 56_000), (i << 28 | 10 << 24, 56_001), (i << 28 | 11 << 24, 56_000)]);
        let map = SubnetMap::build(every_tenth.map(|(a, id)| (a, SubnetId(id))), &Sizes::profile0()).unwrap();
        assert_eq!(map.nodes.len(), 2, "sixteen equal subtrees are one");
    }

    #[test]
    fn beside_another_trie_only_new_content_takes_new_indices() {
        let old = SubnetMap::build(prefix(0x0a00_0000, 16, 56_001, 56_000), &Sizes::profile0()).unwrap();
        let more =
            [(0, 56_000), (0x0a00_0000, 56_001), (0x0a01_0000, 56_000), (0xc0a8_0000, 56_002), (0xc0a9_0000, 56_000)];
        let more = more.map(|(first, id)| (first, SubnetId(id)));
        let new = SubnetMap::build_beside(more, &Sizes::profile0(), &[&old]).unwrap();
        let kept = new.nodes.iter().filter(|node| old.nodes.contains(node)).count();
        assert_eq!((old.nodes.len(), kept, new.nodes.len()), (4, 3, 7), "all but the root is kept");
        let order: Vec<u32> = new.leaves_up(&Sizes::profile0()).iter().map(|node| node.id).collect();
        assert_eq!((order.len(), order.last()), (7, Some(&0)));
    }

    prop_compose! {
        fn classes()(
            starts in prop::collection::btree_map((1u32..=u32::MAX, 0u32..32).prop_map(|(a, low)| a >> low << low | 1 << low), 56_000u16..56_005, 0..12),
            first in 56_000u16..56_005,
        ) -> Vec<(u32, SubnetId)> {
            std::iter::once((0, first)).chain(starts).map(|(addr, id)| (addr, SubnetId(id))).collect()
        }
    }

    proptest! {
        #[test]
        fn the_trie_gives_every_address_its_class(
            old in classes(),
            new in classes(),
            per_node in prop::sample::select(vec![2u32, 4, 16, 256]),
        ) {
            let sizes = sizes(per_node, 56_000 / per_node);
            let before = SubnetMap::build(old.clone(), &sizes).unwrap();
            // 256 entries a node leave 218 indices: enough for one trie, not always for two.
            let beside = SubnetMap::build_beside(new.clone(), &sizes, &[&before]);
            for (map, intervals) in [(Some(&before), &old), (beside.as_ref().ok(), &new)] {
                let Some(map) = map else { continue };
                for (i, &(start, id)) in intervals.iter().enumerate() {
                    let end = intervals.get(i + 1).map_or(u32::MAX, |(next, _)| next - 1);
                    for addr in [start, start + (end - start) / 2, end] {
                        prop_assert_eq!((walk(map, &sizes, addr), map.lookup(addr)), (id, Some(id)));
                    }
                }
            }
            if let Ok(after) = &beside {
                for node in after.nodes.iter().filter(|node| node.id != 0) {
                    let old = before.nodes.iter().find(|old| old.id == node.id);
                    prop_assert!(old.is_none_or(|old| old == node), "node {} is in use with other content", node.id);
                }
            }
        }
    }
}
