//! The entries of an image: an ordered map whose copies share what they have in common.
//!
//! Entries with one local address stand in one block, and so do those that name no address but one MAC. A change replaces
//! the blocks that it touches; all others are shared between the image before and the one after.
#![expect(clippy::indexing_slicing, reason = "places that a search in the same block found")]

use std::net::IpAddr;
use std::sync::Arc;

use super::entry::ImageEntry;
use super::pages::Pages;
use crate::tables::RuleKey;
use crate::terms::MacAddr;

/// Names a block. Blocks in the order of their names hold the entries in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockKey {
    ip: Option<IpAddr>,
    /// Only where there is no IP.
    mac: Option<MacAddr>,
}

impl BlockKey {
    pub fn of(key: &RuleKey) -> Self {
        Self { ip: key.local_ip, mac: key.local_mac.filter(|_| key.local_ip.is_none()) }
    }

    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    pub fn mac(&self) -> Option<MacAddr> {
        self.mac
    }

    /// The least key that could stand in the block.
    pub fn first(&self) -> RuleKey {
        RuleKey { local_ip: self.ip, local_mac: self.mac, ..RuleKey::default() }
    }
}

/// Entries of one block, in order.
pub(super) type Block = Arc<Vec<(RuleKey, ImageEntry)>>;

/// Entries by what they match, in the order of [`RuleKey`]. A copy costs next to nothing.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// No block is empty.
    blocks: Pages<BlockKey, Block>,
    len: usize,
}

impl Rules {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry with this key.
    #[must_use]
    pub fn get(&self, key: &RuleKey) -> Option<&ImageEntry> {
        let block = self.blocks.get(&BlockKey::of(key))?;
        block.binary_search_by(|(other, _)| other.cmp(key)).ok().map(|at| &block[at].1)
    }

    /// The entry with this key, to be changed.
    pub fn get_mut(&mut self, key: &RuleKey) -> Option<&mut ImageEntry> {
        let block = self.blocks.get_mut(&BlockKey::of(key))?;
        let at = block.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Some(&mut Arc::make_mut(block)[at].1)
    }

    /// True if there is an entry with this key.
    #[must_use]
    pub fn contains_key(&self, key: &RuleKey) -> bool {
        self.get(key).is_some()
    }

    /// Puts an entry in; returns the one that had the key.
    pub fn insert(&mut self, key: RuleKey, entry: ImageEntry) -> Option<ImageEntry> {
        let name = BlockKey::of(&key);
        let Some(block) = self.blocks.get_mut(&name) else {
            self.blocks.insert(name, Arc::new(vec![(key, entry)]));
            self.len += 1;
            return None;
        };
        let block = Arc::make_mut(block);
        match block.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => Some(std::mem::replace(&mut block[at].1, entry)),
            Err(at) => {
                block.insert(at, (key, entry));
                self.len += 1;
                None
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &RuleKey) -> Option<ImageEntry> {
        let name = BlockKey::of(key);
        let at = self.blocks.get(&name)?.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        let block = Arc::make_mut(self.blocks.get_mut(&name)?);
        let (_, entry) = block.remove(at);
        if block.is_empty() {
            self.blocks.remove(&name);
        }
        self.len -= 1;
        Some(entry)
    }

    /// Takes out all entries but those of which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&RuleKey, &ImageEntry) -> bool) {
        let gone: Vec<RuleKey> = self.iter().filter(|(key, entry)| !keep(key, entry)).map(|(key, _)| *key).collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// All entries, by rising keys.
    pub fn iter(&self) -> impl Iterator<Item = (&RuleKey, &ImageEntry)> {
        self.blocks.iter().flat_map(|(_, block)| block.iter()).map(|(key, entry)| (key, entry))
    }

    /// All keys, rising.
    pub fn keys(&self) -> impl Iterator<Item = &RuleKey> {
        self.iter().map(|(key, _)| key)
    }

    /// All entries without their keys.
    pub fn values(&self) -> impl Iterator<Item = &ImageEntry> {
        self.iter().map(|(_, entry)| entry)
    }

    /// Keys whose entries differ, or are in one of the two alone: with the entry here and the one there. What both share
    /// is not looked at.
    pub fn changes<'a>(
        &'a self,
        other: &'a Self,
    ) -> Vec<(&'a RuleKey, Option<&'a ImageEntry>, Option<&'a ImageEntry>)> {
        let same = |a: &Block, b: &Block| Arc::ptr_eq(a, b);
        let mut out = Vec::new();
        for (_, before, after) in self.blocks.changes(&other.blocks, same) {
            let slice = |block: Option<&'a Block>| block.map_or(&[][..], |block| block.as_slice());
            let (mut before, mut after) = (slice(before).iter().peekable(), slice(after).iter().peekable());
            while let Some(key) = [before.peek(), after.peek()].into_iter().flatten().map(|(key, _)| key).min() {
                let was = before.next_if(|(at, _)| at == key).map(|(_, entry)| entry);
                let is = after.next_if(|(at, _)| at == key).map(|(_, entry)| entry);
                if was != is {
                    out.push((key, was, is));
                }
            }
        }
        out
    }

    pub(super) fn blocks(&self) -> &Pages<BlockKey, Block> {
        &self.blocks
    }

    /// Replaces a block; without entries it goes.
    pub(super) fn set_block(&mut self, name: BlockKey, block: Vec<(RuleKey, ImageEntry)>) {
        let added = block.len();
        let before =
            if block.is_empty() { self.blocks.remove(&name) } else { self.blocks.insert(name, Arc::new(block)) };
        self.len = self.len + added - before.map_or(0, |block| block.len());
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes(other).is_empty()
    }
}

impl Eq for Rules {}

impl Extend<(RuleKey, ImageEntry)> for Rules {
    fn extend<I: IntoIterator<Item = (RuleKey, ImageEntry)>>(&mut self, entries: I) {
        for (key, entry) in entries {
            self.insert(key, entry);
        }
    }
}

impl FromIterator<(RuleKey, ImageEntry)> for Rules {
    fn from_iter<I: IntoIterator<Item = (RuleKey, ImageEntry)>>(entries: I) -> Self {
        let mut out = Self::default();
        out.extend(entries);
        out
    }
}

impl std::ops::Index<&RuleKey> for Rules {
    type Output = ImageEntry;

    /// # Panics
    /// If there is no entry with this key.
    #[expect(clippy::expect_used, reason = "as other maps do")]
    fn index(&self, key: &RuleKey) -> &ImageEntry {
        self.get(key).expect("an entry with this key")
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = (&'a RuleKey, &'a ImageEntry);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn key()(ip in prop::option::of(0u8..4), mac in prop::option::of(0u8..3), port in prop::option::of(0u16..6)) -> RuleKey {
            RuleKey {
                local_ip: ip.map(|last| IpAddr::from([10, 0, 0, last])),
                local_mac: mac.map(|last| MacAddr([2, 0, 0, 0, 0, last])),
                local_port: port,
                ..RuleKey::default()
            }
        }
    }

    fn entry(counter: u32) -> ImageEntry {
        ImageEntry { counter: Some(crate::tables::CounterId(counter)), ..ImageEntry::default() }
    }

    proptest! {
        #[test]
        fn entries_stand_in_the_order_of_their_keys(
            first in prop::collection::btree_map(key(), 0u32..3, 0..40),
            edits in prop::collection::vec((key(), prop::option::of(0u32..3)), 0..40),
        ) {
            let mut model: BTreeMap<RuleKey, ImageEntry> = first.into_iter().map(|(k, c)| (k, entry(c))).collect();
            let mut rules: Rules = model.clone().into_iter().collect();
            let (before, was) = (rules.clone(), model.clone());
            for (key, counter) in edits {
                match counter {
                    Some(counter) => prop_assert_eq!(rules.insert(key, entry(counter)), model.insert(key, entry(counter))),
                    None => prop_assert_eq!(rules.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(rules.get(&key), model.get(&key));
            }
            prop_assert!(rules.iter().eq(model.iter()));
            prop_assert_eq!(rules.len(), model.len());
            let all: std::collections::BTreeSet<RuleKey> = was.keys().chain(model.keys()).copied().collect();
            let differ = all.iter().filter(|key| was.get(key) != model.get(key));
            let differ: Vec<_> = differ.map(|key| (key, was.get(key), model.get(key))).collect();
            prop_assert_eq!(before.changes(&rules), differ);
            prop_assert_eq!(before == rules, was == model);
        }
    }
}
