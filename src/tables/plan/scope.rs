//! The part of two images that a change can concern: the entries that differ, those that may match what these match, and
//! those that name an id of a map that differs. What lies beside it is counted, and no more.

use std::collections::{BTreeMap, BTreeSet};

use super::maps::{Kind, Map};
use super::step::Rules;
use crate::tables::rules::{Block, BlockKey};
use crate::tables::{Entry, Image, MatchFields, RuleKey};
use crate::terms::MacAddr;

/// Entries that a change cannot concern.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub rules: usize,
    /// By combination of match fields.
    pub combinations: BTreeMap<MatchFields, usize>,
}

/// Which blocks of entries a change can concern.
#[derive(Debug)]
pub(super) struct Scope {
    blocks: BTreeSet<BlockKey>,
}

impl Scope {
    pub fn new(old: &Image, new: &Image) -> Self {
        let changed = old.rules.changes(&new.rules);
        let mut blocks: BTreeSet<BlockKey> = changed.into_iter().map(|(key, ..)| BlockKey::of(key)).collect();
        // An entry without an address may match what any other one matches whose MAC is no other.
        let wide = blocks.iter().any(|name| name.ip().is_none() && name.mac().is_none());
        let macs: BTreeSet<MacAddr> =
            blocks.iter().filter(|name| name.ip().is_none()).filter_map(BlockKey::mac).collect();
        let maps: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| Map::of(old, *kind) != Map::of(new, *kind)).collect();
        let beside = |key: &RuleKey| !macs.is_empty() && key.local_mac.is_none_or(|mac| macs.contains(&mac));
        let meets = |key: &RuleKey| wide || beside(key) || maps.iter().any(|kind| kind.id(key).is_some());
        for image in [old, new] {
            if wide || !macs.is_empty() || !maps.is_empty() {
                let all = image.rules.blocks().iter();
                let met = all.filter(|(_, block)| block.iter().any(|(key, _)| meets(key)));
                blocks.extend(met.map(|(name, _)| *name));
            }
            let all = image.rules.blocks().iter();
            blocks.extend(all.take_while(|(name, _)| name.ip().is_none()).map(|(name, _)| *name));
        }
        Self { blocks }
    }

    /// The entries of an image that the change can concern and that say anything.
    pub fn rules(&self, image: &Image) -> Rules {
        let blocks = self.blocks.iter().filter_map(|name| image.rules.blocks().get(name));
        blocks.flat_map(entries_of).collect()
    }

    /// The others.
    pub fn rest(&self, image: &Image) -> Rest {
        let mut rest = Rest::default();
        let blocks = image.rules.blocks().iter().filter(|(name, _)| !self.blocks.contains(name));
        for (key, _) in blocks.flat_map(|(_, block)| entries_of(block)) {
            rest.rules += 1;
            *rest.combinations.entry(key.fields()).or_default() += 1;
        }
        rest
    }
}

fn entries_of(block: &Block) -> impl Iterator<Item = (RuleKey, Entry)> {
    let all = block.iter().map(|(key, entry)| (*key, Entry::from(entry)));
    all.filter(|(_, entry)| !entry.is_none())
}
