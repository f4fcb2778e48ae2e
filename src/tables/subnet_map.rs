//! The subnet map: a trie over IPv4 addresses that gives each remote address the id of its class.
//!
//! The way of the data: intervals of addresses with their ids -> [`SubnetMap::build`] -> [`SubnetNode`]s, one
//! SUBNET_MAP_SET_NODE command each. Nodes of equal content are one node. [`SubnetMap::build_beside`] takes over what
//! other tries hold already and puts everything else at indices that they do not use, so that a new trie can be written
//! while the old one is in use, and becomes reachable by the one command that writes the root. Where a trie differs little
//! from the only other one, just the paths to what differs are made anew ([`edit`]).

mod content;
mod edit;

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;

use self::content::Word;
pub use self::content::{SubnetId, SubnetMap, SubnetNode};
use super::classes::{check_ids, joined};
use super::{MapError, Sizes};

const MAP: &str = "subnet map";

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
        let bits = sizes.bits_per_node()?;
        let classes = joined(MAP, classes)?;
        check_ids(MAP, classes.iter().map(|(_, id)| id.0), sizes.subnet_id_min, sizes.subnet_id_max)?;
        if let [before] = others
            && let Some(nodes) = edit::nodes(before, &classes, sizes, bits)
        {
            return Ok(Self { classes, nodes });
        }
        let mut builder = Builder::new(sizes, bits, others);
        let root = builder.words(0, 0, &classes);
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

/// Marks the id of a class among the words of a trie that is built. All others are pointers, which may be larger than a
/// word of the adapter where nodes are missing, so that their count is right.
const LEAF: u32 = 1 << 31;

/// A node by its content.
struct Known {
    id: u32,
    /// The new trie has it.
    used: bool,
}

struct Builder<'a> {
    sizes: &'a Sizes,
    /// Address bits a node.
    bits: u32,
    /// The nodes of the other tries, and those made here.
    by_content: HashMap<Vec<u32>, Known>,
    /// Indices that no other trie uses, lowest first.
    free: Vec<u32>,
    /// Nodes made here; may pass the number of free indices.
    made: usize,
}

impl<'a> Builder<'a> {
    fn new(sizes: &'a Sizes, bits: u32, others: &[&SubnetMap]) -> Self {
        let mut taken: BTreeMap<u32, Option<&Vec<u16>>> = BTreeMap::new();
        for node in others.iter().flat_map(|map| &map.nodes).filter(|node| node.id != 0) {
            let content = taken.entry(node.id).or_insert(Some(&node.entries));
            *content = content.filter(|entries| **entries == node.entries);
        }
        let word = |word: &u16| u32::from(*word) | if u32::from(*word) < sizes.subnet_id_min { 0 } else { LEAF };
        let words = |entries: &Vec<u16>| entries.iter().map(word).collect();
        let known =
            |(id, content): (&u32, &Option<&Vec<u16>>)| Some((words((*content)?), Known { id: *id, used: false }));
        let by_content = taken.iter().filter_map(known).collect();
        let free = (1..sizes.subnet_nodes).filter(|id| !taken.contains_key(id)).collect();
        Self { sizes, bits, by_content, free, made: 0 }
    }

    /// The words of the node that stands `level` nodes below the root at the address `base`. The first of the classes
    /// holds `base`, and the others begin in the node's range.
    fn words(&mut self, level: u32, base: u32, classes: &[(u32, SubnetId)]) -> Vec<u32> {
        let below = 32 - self.bits * (level + 1);
        let rest = u32::MAX.checked_shr(32 - below).unwrap_or(0);
        let mut words = Vec::with_capacity(self.sizes.entries_per_node as usize);
        let mut here = classes;
        for i in 0..self.sizes.entries_per_node {
            let first = base | (i << below);
            while let [_, after @ ..] = here
                && after.first().is_some_and(|(next, _)| *next <= first)
            {
                here = after;
            }
            let last = first | rest;
            words.push(match here {
                [(_, id), after @ ..] if after.first().is_none_or(|(next, _)| *next > last) => LEAF | u32::from(id.0),
                _ => {
                    let end = here.iter().skip(1).position(|(next, _)| *next > last);
                    let within = end.and_then(|end| here.get(..=end)).unwrap_or(here);
                    let words = self.words(level + 1, first, within);
                    self.node(words)
                }
            });
        }
        words
    }

    /// The pointer to a node.
    fn node(&mut self, words: Vec<u32>) -> u32 {
        let past_the_end = || self.sizes.subnet_nodes.saturating_add(u32::try_from(self.made).unwrap_or(u32::MAX));
        let id = self.free.get(self.made).copied().unwrap_or_else(past_the_end);
        let known = self.by_content.entry(words).or_insert_with(|| {
            self.made += 1;
            Known { id, used: false }
        });
        known.used = true;
        known.id.saturating_mul(self.sizes.entries_per_node)
    }

    /// The finished trie, or how many nodes are missing.
    fn finish(self, root: Vec<u32>) -> Result<Vec<SubnetNode>, MapError> {
        if self.made > self.free.len() {
            return Err(MapError::Nodes { needed: self.made + 1, available: self.free.len() + 1 });
        }
        // All indices are the adapter's, and so their pointers are words.
        let raw = |words: &[u32]| words.iter().map(|word| u16::try_from(word & !LEAF).unwrap_or(u16::MAX)).collect();
        let used = self.by_content.iter().filter(|(_, known)| known.used);
        let below = used.map(|(words, known)| SubnetNode { id: known.id, entries: raw(words) });
        let mut nodes: Vec<SubnetNode> = below.chain([SubnetNode { id: 0, entries: raw(&root) }]).collect();
        nodes.sort_unstable_by_key(|node| node.id);
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::BadSize;

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
            Err(MapError::Size(BadSize {
                name: "subnet_id_min",
                value: 56_000,
                expected: "more than (subnet_nodes - 1) * entries_per_node"
            }))
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

    /// The same intervals, but for `many` of them.
    fn changed(classes: &[(u32, SubnetId)], many: usize) -> Vec<(u32, SubnetId)> {
        let id = |at: usize, id: u16| if at % 40 < many { 56_000 + (id + 1) % 5 } else { id };
        classes.iter().enumerate().map(|(at, (first, of))| (*first, SubnetId(id(at, of.0)))).collect()
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

        #[test]
        fn an_edited_trie_is_as_small_as_one_made_anew(
            old in classes(),
            many in 0usize..3,
            per_node in prop::sample::select(vec![2u32, 4, 16]),
        ) {
            let sizes = sizes(per_node, 56_000 / per_node);
            let before = SubnetMap::build(old.clone(), &sizes).unwrap();
            let new = changed(&old, many);
            let alone = SubnetMap::build(new.clone(), &sizes).unwrap();
            let edited = edit::nodes(&before, &joined(MAP, new).unwrap(), &sizes, sizes.entries_per_node.ilog2()).unwrap();
            prop_assert_eq!(edited.len(), alone.nodes.len());
            let edited = SubnetMap { classes: alone.classes, nodes: edited };
            for (start, _) in &edited.classes {
                prop_assert_eq!(Some(walk(&edited, &sizes, *start)), edited.lookup(*start));
            }
            for node in edited.nodes.iter().filter(|node| node.id != 0) {
                let old = before.nodes.iter().find(|old| old.id == node.id);
                prop_assert!(old.is_none_or(|old| old == node), "node {} is in use with other content", node.id);
            }
        }
    }
}
