//! What the adapter is sent of a map, against the classes that entries rely on: the nodes of the trie word by word, and the
//! entries of the port-range trees one by one. The assumptions A4 and A5, read literally.

use crate::tables::{PortMap, PortTreeEntry, Sizes, SubnetId, SubnetMap};
use crate::terms::Interval;

/// Marks a leaf of a port-range tree.
const LEAF: u16 = 0xffff;

/// True if the trie gives every address the id of its class: each word is the id of its addresses, or leads to a node
/// where they have several.
pub(super) fn trie_says(map: &SubnetMap, sizes: &Sizes) -> bool {
    let mut nodes: Vec<Option<&[u16]>> = vec![None; sizes.subnet_nodes as usize];
    for node in &map.nodes {
        match nodes.get_mut(node.id as usize) {
            Some(place @ None) => *place = Some(&node.entries),
            _ => return false,
        }
    }
    let has_id = |(_, id): &(u32, SubnetId)| (sizes.subnet_id_min..=sizes.subnet_id_max).contains(&u32::from(id.0));
    let rises = map.classes.first().is_some_and(|(first, _)| *first == 0) && map.classes.is_sorted_by(|a, b| a.0 < b.0);
    let bits = sizes.entries_per_node.checked_ilog2().filter(|bits| sizes.entries_per_node == 1 << bits && *bits > 0);
    let Some(bits) = bits.filter(|_| rises && map.classes.iter().all(has_id)) else { return false };
    Walk { nodes, sizes, bits }.node(0, 0, 0, &map.classes)
}

struct Walk<'a> {
    /// The words of each node.
    nodes: Vec<Option<&'a [u16]>>,
    sizes: &'a Sizes,
    /// Address bits that a node takes.
    bits: u32,
}

impl Walk<'_> {
    /// Of the node that stands `level` nodes below the root at the address `base`. The first of the classes holds `base`,
    /// and the others begin in the node's range.
    fn node(&self, id: u32, level: u32, base: u32, classes: &[(u32, SubnetId)]) -> bool {
        let Some(Some(words)) = self.nodes.get(id as usize) else { return false };
        let Some(below) = 32_u32.checked_sub(self.bits * (level + 1)) else { return false };
        if words.len() != self.sizes.entries_per_node as usize {
            return false;
        }
        let mut here = classes;
        for (at, word) in (0..).zip(*words) {
            let first = base | (at << below);
            let last = first | u32::MAX.checked_shr(32 - below).unwrap_or(0);
            let passed = here.iter().skip(1).take_while(|(next, _)| *next <= first).count();
            here = &here[passed..];
            let within = 1 + here.iter().skip(1).take_while(|(next, _)| *next <= last).count();
            let is_right = match &here[..within] {
                [(_, id)] => *word == id.0,
                several => {
                    let (word, step) = (u32::from(*word), self.sizes.entries_per_node);
                    let is_pointer = word < self.sizes.subnet_id_min && word.is_multiple_of(step) && word > 0;
                    is_pointer && self.node(word / step, level + 1, first, several)
                }
            };
            if !is_right {
                return false;
            }
        }
        true
    }
}

/// True if the tree gives every port the id of its class.
pub(super) fn tree_says(tree: &[PortTreeEntry], map: &PortMap, sizes: &Sizes) -> bool {
    let mut found: Vec<(u16, u16)> = Vec::with_capacity(map.classes.len());
    let has_id = |id: u16| (sizes.portrange_id_min..=sizes.portrange_id_max).contains(&u32::from(id));
    tree.len() <= sizes.port_tree_entries as usize
        && leaves(tree, 0, Interval { first: 0, last: u16::MAX }, &mut found)
        && found.iter().all(|(_, id)| has_id(*id))
        && found.iter().copied().eq(map.classes.iter().map(|(first, id)| (*first, id.0)))
}

/// The intervals of ports that the subtree of an entry tells apart, each with its id; false if it does not say of all ports
/// that come to it.
fn leaves(tree: &[PortTreeEntry], at: usize, ports: Interval<u16>, out: &mut Vec<(u16, u16)>) -> bool {
    let Some(entry) = tree.get(at) else { return false };
    if entry.branch_key == LEAF {
        if out.last().is_none_or(|(_, before)| *before != entry.leaf_id) {
            out.push((ports.first, entry.leaf_id));
        }
        return true;
    }
    let key = entry.branch_key;
    (ports.first..ports.last).contains(&key)
        && leaves(tree, 2 * at + 1, Interval { last: key, ..ports }, out)
        && leaves(tree, 2 * at + 2, Interval { first: key + 1, ..ports }, out)
}
