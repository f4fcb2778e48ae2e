//! Which ids the entries of an image name: read from the entries alone, and brought up to date block by block.

use std::collections::HashSet;
use std::sync::Arc;

use crate::policy::Image;
use crate::policy::rules::Block;
use crate::tables::RuleKey;

/// How many entries name each id of the three maps.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Named([Vec<u32>; 3]);

impl Named {
    /// Those of an image; `before` is another image with what it names.
    pub fn of(image: &Image, before: Option<(&Image, &Arc<Self>)>) -> Arc<Self> {
        let Some((old, named)) = before else {
            let mut out = Self::default();
            image.rules.blocks().iter().for_each(|(_, block)| out.count(block, true));
            return Arc::new(out);
        };
        let changes = old.rules.blocks().changes(image.rules.blocks(), |a: &Block, b: &Block| Arc::ptr_eq(a, b));
        if changes.is_empty() {
            return named.clone();
        }
        let mut out = Self::clone(named);
        for (_, was, is) in changes {
            is.into_iter().for_each(|block| out.count(block, true));
            was.into_iter().for_each(|block| out.count(block, false));
        }
        Arc::new(out)
    }

    fn count(&mut self, block: &Block, more: bool) {
        for (key, _) in block.iter() {
            for (counts, id) in self.0.iter_mut().zip(ids(key)) {
                let Some(id) = id.map(usize::from) else { continue };
                if counts.len() <= id {
                    counts.resize(id + 1, 0);
                }
                counts[id] = if more { counts[id] + 1 } else { counts[id].saturating_sub(1) };
            }
        }
    }

    /// True if an entry names one of these ids, and none of these blocks has it.
    pub fn elsewhere<'a>(&self, moved: &[HashSet<u16>; 3], but: impl Iterator<Item = &'a Block>) -> bool {
        let mut own = Self::default();
        but.for_each(|block| own.count(block, true));
        let count = |counts: &Vec<u32>, id: &u16| counts.get(usize::from(*id)).copied().unwrap_or_default();
        let left = |map: usize, id: &u16| count(&self.0[map], id) > count(&own.0[map], id);
        (0..3).any(|map| moved[map].iter().any(|id| left(map, id)))
    }
}

/// The ids that a key names, in the three maps.
fn ids(key: &RuleKey) -> [Option<u16>; 3] {
    [key.remote_subnet.map(|id| id.0), key.remote_portrange.map(|id| id.0), key.local_portrange.map(|id| id.0)]
}
