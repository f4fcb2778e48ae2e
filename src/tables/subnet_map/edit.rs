//! A trie from another one that differs in few places: only the nodes on the paths there are made anew.

use super::content::{SubnetId, SubnetMap, SubnetNode, Word};
use crate::tables::Sizes;

/// Intervals with other ids than before, up to which a trie is edited: each new node is looked for among all that there
/// are.
const MOST: usize = 64;

/// The nodes for these classes beside another trie: as [`SubnetMap::build_beside`] makes them, but for the choice of
/// indices. `None` where too much differs, or where there is no room.
pub(super) fn nodes(
    before: &SubnetMap,
    classes: &[(u32, SubnetId)],
    sizes: &Sizes,
    bits: u32,
) -> Option<Vec<SubnetNode>> {
    let changed = changed(&before.classes, classes)?;
    let old = Old::of(before, sizes)?;
    let mut edit = Edit { classes, sizes, bits, changed, old, new: Vec::new(), next: 1 };
    let root = edit.words(0, 0, edit.old.node(0))?;
    edit.reachable(root)
}

/// The addresses whose ids are not what they were, as intervals.
fn changed(was: &[(u32, SubnetId)], is: &[(u32, SubnetId)]) -> Option<Vec<(u32, u32)>> {
    let (mut a, mut b) = (was.iter().peekable(), is.iter().peekable());
    let (mut old, mut new) = (None, None);
    let mut out: Vec<(u32, u32)> = Vec::new();
    loop {
        let at = match (a.peek(), b.peek()) {
            (None, None) => return Some(out),
            (Some((x, _)), Some((y, _))) => *x.min(y),
            (Some((x, _)), None) | (None, Some((x, _))) => *x,
        };
        old = a.next_if(|(first, _)| *first == at).map(|(_, id)| *id).or(old);
        new = b.next_if(|(first, _)| *first == at).map(|(_, id)| *id).or(new);
        if old != new {
            let next = [a.peek(), b.peek()].into_iter().flatten().map(|(first, _)| *first).min();
            out.push((at, next.map_or(u32::MAX, |next| next - 1)));
            if out.len() > MOST {
                return None;
            }
        }
    }
}

/// The nodes of the other trie by index.
struct Old<'a> {
    nodes: &'a [SubnetNode],
    /// The place of each index among them, and one more; 0 where it is free.
    places: Vec<u32>,
}

impl<'a> Old<'a> {
    /// `None` if they are not by rising indices of the adapter.
    fn of(map: &'a SubnetMap, sizes: &Sizes) -> Option<Self> {
        let mut places = vec![0; sizes.subnet_nodes as usize];
        for (place, node) in (1..).zip(&map.nodes) {
            *places.get_mut(node.id as usize)? = place;
        }
        Some(Self { nodes: &map.nodes, places })
    }

    fn node(&self, id: u32) -> Option<&'a [u16]> {
        let place = self.places.get(id as usize)?.checked_sub(1)?;
        Some(&self.nodes.get(place as usize)?.entries)
    }
}

struct Edit<'a> {
    classes: &'a [(u32, SubnetId)],
    sizes: &'a Sizes,
    /// Address bits a node.
    bits: u32,
    changed: Vec<(u32, u32)>,
    old: Old<'a>,
    new: Vec<SubnetNode>,
    /// The least index that may be free.
    next: u32,
}

impl Edit<'_> {
    /// The words of the node that stands `level` nodes below the root at the address `base`; `old` are those that stood
    /// there. `None` if there is no room.
    fn words(&mut self, level: u32, base: u32, old: Option<&[u16]>) -> Option<Vec<u16>> {
        let below = 32 - self.bits * (level + 1);
        let rest = u32::MAX.checked_shr(32 - below).unwrap_or(0);
        let mut words = Vec::with_capacity(self.sizes.entries_per_node as usize);
        for (at, i) in (0..self.sizes.entries_per_node).enumerate() {
            let first = base | (i << below);
            let last = first | rest;
            let old = old.and_then(|old| old.get(at)).copied();
            let same = !self.changed.iter().any(|(from, to)| *from <= last && *to >= first);
            if let Some(word) = old.filter(|_| same) {
                words.push(word);
                continue;
            }
            let after = self.classes.partition_point(|(start, _)| *start <= first);
            let (_, id) = self.classes.get(after.checked_sub(1)?)?;
            if self.classes.get(after).is_none_or(|(next, _)| *next > last) {
                words.push(id.0);
                continue;
            }
            let child = match old.map(|word| Word::of(word, self.sizes)) {
                Some(Word::Node(id)) => self.old.node(id),
                _ => None,
            };
            let child = self.words(level + 1, first, child)?;
            words.push(self.pointer(child)?);
        }
        Some(words)
    }

    /// The pointer to a node with this content: one that is there, or a new one.
    fn pointer(&mut self, words: Vec<u16>) -> Option<u16> {
        let known = self.old.nodes.iter().chain(&self.new).find(|node| node.id != 0 && node.entries == words);
        let id = match known {
            Some(node) => node.id,
            None => {
                while *self.old.places.get(self.next as usize)? != 0 {
                    self.next += 1;
                }
                self.new.push(SubnetNode { id: self.next, entries: words });
                self.next += 1;
                self.next - 1
            }
        };
        u16::try_from(id * self.sizes.entries_per_node).ok()
    }

    /// The root and all nodes that are reached from it, by rising indices.
    fn reachable(self, root: Vec<u16>) -> Option<Vec<SubnetNode>> {
        let mut reached = vec![false; self.sizes.subnet_nodes as usize];
        let mut open = vec![&root[..]];
        while let Some(words) = open.pop() {
            for word in words {
                let Word::Node(id) = Word::of(*word, self.sizes) else { continue };
                if !std::mem::replace(reached.get_mut(id as usize)?, true) {
                    let new = || self.new.iter().find(|node| node.id == id).map(|node| &node.entries[..]);
                    open.push(self.old.node(id).or_else(new)?);
                }
            }
        }
        let is_reached = |node: &&SubnetNode| reached.get(node.id as usize).is_some_and(|is| *is);
        let mut out: Vec<SubnetNode> = self.old.nodes.iter().chain(&self.new).filter(is_reached).cloned().collect();
        out.push(SubnetNode { id: 0, entries: root });
        out.sort_by_key(|node| node.id);
        Some(out)
    }
}
