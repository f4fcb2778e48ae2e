//! Which ids the entries of an image name: read from the entries alone, and brought up to date block by block.

use std::collections::HashSet;
use std::sync::Arc;

use crate::tables::rules::Block;
use crate::tables::{Image, RuleKey};

/// How many entries name each id of the three maps.
#[derive(Debug, Clone, Default)]
pub(super) struct IdUsers([Counts; 3]);

/// Of ids from a least one on.
#[derive(Debug, Clone, Default)]
struct Counts {
    least: u16,
    counts: Vec<u32>,
}

impl Counts {
    fn of(&self, id: u16) -> u32 {
        let at = id.checked_sub(self.least).map(usize::from);
        at.and_then(|at| self.counts.get(at)).copied().unwrap_or_default()
    }

    fn count(&mut self, id: u16, more: bool) {
        if self.counts.is_empty() {
            self.least = id;
        } else if let Some(below) = self.least.checked_sub(id) {
            self.counts.splice(0..0, std::iter::repeat_n(0, below.into()));
            self.least = id;
        }
        let at = usize::from(id - self.least);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = if more { self.counts[at] + 1 } else { self.counts[at].saturating_sub(1) };
    }
}

impl IdUsers {
    /// Those of an image; `before` is another image with what it names.
    pub fn of(image: &Image, before: Option<(&Image, &Arc<Self>)>) -> Arc<Self> {
        let Some((old, users)) = before else {
            let mut out = Self::default();
            image.rules.blocks().iter().for_each(|(_, block)| out.count(block, true));
            return Arc::new(out);
        };
        let changes = old.rules.blocks().changes(image.rules.blocks(), |a: &Block, b: &Block| Arc::ptr_eq(a, b));
        if changes.is_empty() {
            return users.clone();
        }
        let mut out = Self::clone(users);
        for (_, was, is) in changes {
            is.into_iter().for_each(|block| out.count(block, true));
            was.into_iter().for_each(|block| out.count(block, false));
        }
        Arc::new(out)
    }

    fn count(&mut self, block: &Block, more: bool) {
        for (key, _) in block.iter() {
            for (counts, id) in self.0.iter_mut().zip(ids(key)) {
                if let Some(id) = id {
                    counts.count(id, more);
                }
            }
        }
    }

    /// True if an entry names one of these ids, and none of these blocks has it.
    pub fn elsewhere<'a>(&self, moved: &[HashSet<u16>; 3], but: impl Iterator<Item = &'a Block>) -> bool {
        let mut own = Self::default();
        but.for_each(|block| own.count(block, true));
        let left = |map: usize, id: &u16| self.0[map].of(*id) > own.0[map].of(*id);
        (0..3).any(|map| moved[map].iter().any(|id| left(map, id)))
    }
}

/// The ids that a key names, in the three maps.
fn ids(key: &RuleKey) -> [Option<u16>; 3] {
    [key.remote_subnet.map(|id| id.0), key.remote_portrange.map(|id| id.0), key.local_portrange.map(|id| id.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_below_the_least_are_counted_too() {
        let mut counts = Counts::default();
        for id in [700, 703, 698, 700] {
            counts.count(id, true);
        }
        counts.count(703, false);
        assert_eq!([697, 698, 699, 700, 703, 704].map(|id| counts.of(id)), [0, 1, 0, 2, 0, 0]);
    }
}
