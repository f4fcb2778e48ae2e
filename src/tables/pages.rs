//! An ordered map whose copies share what they have in common.
//!
//! Entries lie in order in pages of at most [`MOST`]; a copy shares all pages, and a change copies one page and the list of
//! pages. So a copy of a large map that differs in one entry costs next to nothing, and [`Pages::changes`] finds the
//! difference without a look at what is shared.
#![expect(clippy::indexing_slicing, reason = "pages and places that it finds itself")]

use std::borrow::Borrow;
use std::sync::Arc;

/// Entries of a page.
const MOST: usize = 64;

/// An ordered map of shared pages. No page is empty.
#[derive(Debug, Clone)]
pub(super) struct Pages<K, V> {
    pages: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for Pages<K, V> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone> Pages<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pages.iter().flat_map(|page| page.iter()).map(|(key, value)| (key, value))
    }

    /// The entries whose keys are not below `from`.
    pub fn starting_at<'a>(&'a self, from: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        let at = self.pages.partition_point(|page| page.last().is_some_and(|(last, _)| last < from));
        let skip = self.pages.get(at).map_or(0, |page| page.partition_point(|(key, _)| key < from));
        self.pages[at..].iter().flat_map(|page| page.iter()).skip(skip).map(|(key, value)| (key, value))
    }

    /// Page and place of a key, or where it would stand.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<(usize, usize), (usize, usize)>
    where
        K: Borrow<Q>,
    {
        let after = self.pages.partition_point(|page| page.first().is_some_and(|(first, _)| first.borrow() <= key));
        let at = after.saturating_sub(1);
        let Some(page) = self.pages.get(at) else { return Err((0, 0)) };
        match page.binary_search_by(|(other, _)| other.borrow().cmp(key)) {
            Ok(place) => Ok((at, place)),
            Err(place) => Err((at, place)),
        }
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (page, place) = self.find(key).ok()?;
        Some(&self.pages[page][place].1)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (page, place) = self.find(key).ok()?;
        Some(&mut Arc::make_mut(&mut self.pages[page])[place].1)
    }

    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((page, place)) => Some(std::mem::replace(&mut Arc::make_mut(&mut self.pages[page])[place].1, value)),
            Err((at, place)) => {
                self.len += 1;
                let Some(page) = self.pages.get_mut(at) else {
                    self.pages.push(Arc::new(vec![(key, value)]));
                    return None;
                };
                let page = Arc::make_mut(page);
                page.insert(place, (key, value));
                if page.len() > MOST {
                    let upper = page.split_off(MOST / 2);
                    self.pages.insert(at + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key).ok()?;
        self.len -= 1;
        let page = Arc::make_mut(&mut self.pages[at]);
        let (_, value) = page.remove(place);
        if page.is_empty() {
            self.pages.remove(at);
        }
        Some(value)
    }

    /// Where this map and another differ: each key with its value here and there. Entries of shared pages are not looked
    /// at; of the others those whose values are not `same`.
    pub fn changes<'a>(
        &'a self,
        other: &'a Self,
        same: impl Fn(&V, &V) -> bool,
    ) -> Vec<(&'a K, Option<&'a V>, Option<&'a V>)> {
        let mut out = Vec::new();
        let (mut a, mut b) = (Cursor::new(&self.pages), Cursor::new(&other.pages));
        loop {
            a.skip_shared(&mut b);
            match (a.entry(), b.entry()) {
                (None, None) => return out,
                (Some((key, value)), other) if other.is_none_or(|(at, _)| key < at) => {
                    out.push((key, Some(value), None));
                    a.step();
                }
                (here, Some((key, value))) => {
                    let here = here.filter(|(at, _)| *at == key);
                    if here.is_none_or(|(_, was)| !same(was, value)) {
                        out.push((key, here.map(|(_, was)| was), Some(value)));
                    }
                    if here.is_some() {
                        a.step();
                    }
                    b.step();
                }
                (Some(_), None) => return out,
            }
        }
    }
}

/// A place in a list of pages.
struct Cursor<'a, K, V> {
    pages: &'a [Arc<Vec<(K, V)>>],
    place: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn new(pages: &'a [Arc<Vec<(K, V)>>]) -> Self {
        Self { pages, place: 0 }
    }

    fn entry(&self) -> Option<(&'a K, &'a V)> {
        let (key, value) = self.pages.first()?.get(self.place)?;
        Some((key, value))
    }

    fn step(&mut self) {
        self.place += 1;
        if self.pages.first().is_some_and(|page| self.place == page.len()) {
            (self.pages, self.place) = (&self.pages[1..], 0);
        }
    }

    fn skip_shared(&mut self, other: &mut Self) {
        while let (0, 0, [a, rest @ ..], [b, others @ ..]) = (self.place, other.place, self.pages, other.pages)
            && Arc::ptr_eq(a, b)
        {
            (self.pages, other.pages) = (rest, others);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_ordered_map_and_finds_what_changed(
            first in prop::collection::btree_map(0u16..600, 0u8..4, 0..400),
            edits in prop::collection::vec((0u16..600, prop::option::of(0u8..4)), 0..200),
            from in 0u16..600,
        ) {
            let mut before = Pages::default();
            for (key, value) in &first {
                before.insert(*key, *value);
            }
            let (mut pages, mut model) = (before.clone(), first.clone());
            for (key, value) in edits {
                match value {
                    Some(value) => prop_assert_eq!(pages.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(pages.remove(&key), model.remove(&key)),
                }
            }
            prop_assert_eq!(pages.len(), model.len());
            prop_assert!(pages.iter().eq(model.iter()));
            prop_assert!(pages.starting_at(&from).eq(model.range(from..)));
            prop_assert_eq!(pages.get(&from), model.get(&from));
            prop_assert!(before.iter().eq(first.iter()), "the copy before the edits is as it was");
            let keys: std::collections::BTreeSet<u16> = first.keys().chain(model.keys()).copied().collect();
            let differ = keys.iter().filter(|key| first.get(key) != model.get(key));
            let differ: Vec<_> = differ.map(|key| (key, first.get(key), model.get(key))).collect();
            prop_assert_eq!(before.changes(&pages, |a, b| a == b), differ);
            let as_map: BTreeMap<u16, u8> = pages.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(as_map, model);
        }
    }
}
