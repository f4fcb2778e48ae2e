//! Which entries count together: those of one binding that the same rules put there.
//!
//! The slots of a binding are a group; so are those of all entries that belong to no single binding. While counters
//! suffice for all slots a change looks at the groups that it touches, and every other slot keeps its counter.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::policy::Document;
use crate::tables::pages::Pages;
use crate::tables::parallel;
use crate::tables::rules::BlockKey;
use crate::tables::usage::{Table, Usage, by_size};
use crate::tables::{CounterId, ImageEntry, OriginId, RuleKey, Rules};

/// What one counter pair counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct CounterSlot {
    /// The base entry that it counts alone; `None` = all entries of the container with these origins.
    pub base: Option<RuleKey>,
    /// Container id of the binding; `None` for entries of no single binding.
    pub container: Option<String>,
    /// Who asked for the entries on RX.
    pub rx: Vec<OriginId>,
    /// Who asked for the entries on TX.
    pub tx: Vec<OriginId>,
}

/// Groups that are worth a thread.
const WORTH: usize = 64;

/// The number of a binding; `None` for entries of no single one.
pub(super) type Group = Option<u32>;

/// Entries that count together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// The least of their keys.
    first: RuleKey,
    entries: usize,
    counter: Option<CounterId>,
}

/// Entries of one block that are to be put into an image.
pub(super) type Built = (BlockKey, Vec<(RuleKey, ImageEntry)>);

/// The slots of an image.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    groups: Pages<Group, Arc<Vec<Slot>>>,
    in_use: Vec<u64>,
    /// Slots needed.
    pub needed: u64,
    /// Entries that go without.
    pub uncounted: usize,
}

/// What the previous image says about counters.
pub(super) struct Before<'a> {
    pub rules: &'a Rules,
    pub counters: &'a Counters,
    /// The previous number of each binding; the same where the map does not say.
    pub numbers: Option<HashMap<u32, u32>>,
}

impl Before<'_> {
    fn group(&self, group: Group) -> Option<Group> {
        match (&self.numbers, group) {
            (Some(numbers), Some(number)) => numbers.get(&number).copied().map(Some),
            _ => Some(group),
        }
    }

    /// The counter that an entry of a group had, if it belonged to the same one.
    fn counter(&self, group: Group, key: &RuleKey) -> Option<CounterId> {
        let counter = self.rules.get(key)?.counter?;
        let slots = self.counters.groups.get(&self.group(group)?)?;
        let mut those = slots.iter().filter(|slot| slot.counter == Some(counter));
        those.any(|slot| slot.first.is_base() == key.is_base()).then_some(counter)
    }
}

/// A slot, with its part of the group's places.
struct Fresh {
    slot: Slot,
    is_base: bool,
    places: Range<usize>,
    kept: Option<CounterId>,
}

/// The slots of a group, and the places of its entries: block, place in it.
struct Slots {
    group: Group,
    slots: Vec<Fresh>,
    places: Vec<(usize, usize)>,
}

/// An entry by what it counts with, block and place.
struct Place {
    is_base: bool,
    /// The first who asked for it on RX, one more than its number; 0 without any.
    first: u64,
    block: usize,
    at: usize,
}

impl Place {
    fn of((key, entry): &(RuleKey, ImageEntry), block: usize, at: usize) -> Self {
        let first = entry.rx.origins.first().map_or(0, |origin| u64::from(origin.0) + 1);
        Self { is_base: key.is_base(), first, block, at }
    }

    fn entry<'a>(&self, blocks: &'a [Built]) -> &'a (RuleKey, ImageEntry) {
        &blocks[self.block].1[self.at]
    }

    /// Base entries first, by their keys; then by origins.
    fn order(&self, other: &Self, blocks: &[Built]) -> Ordering {
        match (self.is_base, other.is_base) {
            (true, true) => self.entry(blocks).0.cmp(&other.entry(blocks).0),
            (false, false) if self.first != other.first => self.first.cmp(&other.first),
            (false, false) => {
                let ((_, a), (_, b)) = (self.entry(blocks), other.entry(blocks));
                a.rx.origins.cmp(&b.rx.origins).then_with(|| a.tx.origins.cmp(&b.tx.origins))
            }
            (base, other) => other.cmp(&base),
        }
    }
}

/// The slots of a group's entries: one for each base entry, then one for all entries of the same origins.
fn slots(blocks: &[Built], group: Group, of: &[usize], kept: impl Fn(&RuleKey) -> Option<CounterId>) -> Slots {
    let places = of.iter().flat_map(|block| blocks[*block].1.iter().enumerate().map(move |(at, of)| (*block, at, of)));
    let mut places: Vec<Place> = places.map(|(block, at, of)| Place::of(of, block, at)).collect();
    places.sort_by(|a, b| a.order(b, blocks));
    let mut slots = Vec::new();
    let mut from = 0;
    for chunk in places.chunk_by(|a, b| a.order(b, blocks) == Ordering::Equal) {
        slots.push(Fresh {
            slot: Slot { first: chunk[0].entry(blocks).0, entries: chunk.len(), counter: None },
            is_base: chunk[0].is_base,
            places: from..from + chunk.len(),
            kept: chunk.iter().find_map(|place| kept(&place.entry(blocks).0)),
        });
        from += chunk.len();
    }
    Slots { group, slots, places: places.into_iter().map(|place| (place.block, place.at)).collect() }
}

impl Counters {
    /// Gives counters to the entries of these groups, base entries first; `all` are all of the image. An entry keeps the
    /// counter that it had in the previous image if it belongs to the same container. A group without blocks ends.
    ///
    /// `blocks` are the contents of the groups' blocks, without counters. Returns false, and has done nothing, if
    /// counters are short before or after it and not all groups are given.
    pub fn assign(
        &mut self,
        blocks: &mut [Built],
        groups: &[(Group, Vec<usize>)],
        all: bool,
        available: u32,
        before: Option<&Before<'_>>,
    ) -> bool {
        let kept = |group: Group| move |key: &RuleKey| before?.counter(group, key).filter(|id| id.0 < available);
        let of_group =
            |(): &mut (), (group, of): &(Group, Vec<usize>)| slots(blocks, *group, of, |key| kept(*group)(key));
        let mut fresh: Vec<Slots> = parallel::map(groups, groups.len() / WORTH, || (), of_group);
        let ended =
            groups.iter().filter_map(|(group, _)| self.groups.get(group)).map(|slots| slots.len() as u64).sum::<u64>();
        let begun = fresh.iter().map(|of| of.slots.len() as u64).sum::<u64>();
        let needed = self.needed - ended + begun;
        let short = needed > u64::from(available);
        if !all && (short || self.needed > u64::from(available)) {
            return false;
        }
        let mut free = self.release(groups, before, available);
        let mut claim = |fresh: &mut Vec<Slots>, base: bool, keep: bool| {
            for slot in fresh.iter_mut().flat_map(|of| &mut of.slots).filter(|slot| slot.is_base == base) {
                if keep {
                    slot.slot.counter = slot.kept.filter(|id| free.claim(*id));
                } else if slot.slot.counter.is_none() {
                    slot.slot.counter = free.next();
                }
            }
        };
        // Base denies own a counter whatever else is counted, so where counters are short only they keep theirs.
        claim(&mut fresh, true, true);
        if !short {
            claim(&mut fresh, false, true);
        }
        claim(&mut fresh, true, false);
        claim(&mut fresh, false, false);
        self.in_use = free.in_use;
        self.needed = needed;
        for Slots { group, slots, places } in fresh {
            for fresh in &slots {
                for (block, at) in &places[fresh.places.clone()] {
                    blocks[*block].1[*at].1.counter = fresh.slot.counter;
                }
                self.uncounted += if fresh.slot.counter.is_none() { fresh.slot.entries } else { 0 };
            }
            if !slots.is_empty() {
                self.groups.insert(group, Arc::new(slots.into_iter().map(|fresh| fresh.slot).collect()));
            }
        }
        true
    }

    /// Takes the slots of groups out; what may be given then.
    fn release(&mut self, groups: &[(Group, Vec<usize>)], before: Option<&Before<'_>>, available: u32) -> Free {
        for (group, _) in groups {
            for slot in self.groups.remove(group).iter().flat_map(|slots| slots.iter()) {
                match slot.counter {
                    Some(id) => set_bit(&mut self.in_use, id.0, false),
                    None => self.uncounted -= slot.entries,
                }
            }
        }
        let was = before.map(|before| before.counters.in_use.clone()).unwrap_or_default();
        Free { in_use: std::mem::take(&mut self.in_use), was, available, next: 0, again: false }
    }

    /// The same slots with other counters: those of the entries with their keys.
    pub fn renamed(&self, counter: impl Fn(&RuleKey) -> Option<CounterId>) -> Self {
        let mut out = Self { needed: self.needed, ..Self::default() };
        for (group, slots) in self.groups.iter() {
            let slots = slots.iter().map(|slot| Slot { counter: counter(&slot.first), ..slot.clone() });
            let slots: Vec<Slot> = slots.collect();
            for slot in &slots {
                match slot.counter {
                    Some(id) => set_bit(&mut out.in_use, id.0, true),
                    None => out.uncounted += slot.entries,
                }
            }
            out.groups.insert(*group, Arc::new(slots));
        }
        out
    }

    /// What each counter counts.
    pub fn slots(&self, rules: &Rules, container: impl Fn(u32) -> Option<String>) -> BTreeMap<CounterId, CounterSlot> {
        let slot = |group: Group, slot: &Slot| {
            let entry = rules.get(&slot.first)?;
            let base = slot.first.is_base().then_some(slot.first);
            let (rx, tx) = (entry.rx.origins.clone(), entry.tx.origins.clone());
            Some((slot.counter?, CounterSlot { base, container: group.and_then(&container), rx, tx }))
        };
        self.groups.iter().flat_map(|(group, slots)| slots.iter().filter_map(move |one| slot(*group, one))).collect()
    }

    pub fn usage(&self, document: &Document, numbers: &[u32], available: u32) -> Usage {
        let used = |number: u32| {
            let slots = self.groups.get(&Some(number))?;
            Some(slots.iter().filter(|slot| slot.counter.is_some()).count() as u64)
        };
        let by_binding: Vec<(usize, u64)> =
            numbers.iter().enumerate().filter_map(|(at, number)| Some((at, used(*number)?))).collect();
        let mut policies: Vec<(String, u64)> = document.policies.iter().map(|p| (p.name.clone(), 0)).collect();
        for (at, used) in &by_binding {
            if let Some((_, sum)) = document.bindings.get(*at).and_then(|b| policies.get_mut(b.policy)) {
                *sum += used;
            }
        }
        let name = |at: usize| document.bindings.get(at).map(|binding| binding.container.clone()).unwrap_or_default();
        Usage {
            table: Table::Counters,
            needed: self.needed,
            available: available.into(),
            by_policy: by_size(policies),
            by_binding: by_size(by_binding.into_iter().filter(|(_, n)| *n > 0).map(|(at, n)| (name(at), n)).collect()),
        }
    }
}

/// Counters that may be given: first those that the previous image does not use.
struct Free {
    in_use: Vec<u64>,
    was: Vec<u64>,
    available: u32,
    next: u32,
    again: bool,
}

impl Free {
    /// Takes this one; false if it is in use.
    fn claim(&mut self, id: CounterId) -> bool {
        let free = !bit(&self.in_use, id.0);
        set_bit(&mut self.in_use, id.0, true);
        free
    }

    fn next(&mut self) -> Option<CounterId> {
        loop {
            if self.next >= self.available {
                if std::mem::replace(&mut self.again, true) {
                    return None;
                }
                self.next = 0;
                continue;
            }
            let id = self.next;
            let word = |words: &Vec<u64>| words.get(id as usize / 64).copied().unwrap_or_default();
            // Whole words in use are passed over.
            if word(&self.in_use) == u64::MAX && id.is_multiple_of(64) {
                self.next = id.saturating_add(64);
                continue;
            }
            self.next = id + 1;
            if !bit(&self.in_use, id) && (self.again || !bit(&self.was, id)) {
                set_bit(&mut self.in_use, id, true);
                return Some(CounterId(id));
            }
        }
    }
}

fn bit(words: &[u64], at: u32) -> bool {
    words.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn set_bit(words: &mut Vec<u64>, at: u32, is: bool) {
    let word = at as usize / 64;
    if words.len() <= word {
        words.resize(word + 1, 0);
    }
    words[word] = words[word] & !(1 << (at % 64)) | u64::from(is) << (at % 64);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(ids: &BTreeSet<u32>) -> Vec<u64> {
        let mut words = Vec::new();
        ids.iter().for_each(|id| set_bit(&mut words, *id, true));
        words
    }

    /// Ids, of which some words are whole.
    fn ids() -> impl Strategy<Value = BTreeSet<u32>> {
        let ids = prop::collection::btree_set(0u32..200, 0..40);
        (ids, prop::collection::btree_set(0u32..3, 0..3)).prop_map(|(mut ids, words)| {
            ids.extend(words.iter().flat_map(|word| 64 * word..64 * word + 64));
            ids
        })
    }

    proptest! {
        #[test]
        fn counters_that_were_not_in_use_are_given_first(
            in_use in ids(),
            was in ids(),
            claims in prop::collection::vec(0u32..200, 0..20),
            available in prop_oneof![1 => Just(0), 9 => 0u32..200],
        ) {
            let mut free = Free { in_use: bits(&in_use), was: bits(&was), available, next: 0, again: false };
            let mut taken = in_use;
            for id in claims {
                prop_assert_eq!(free.claim(CounterId(id)), taken.insert(id));
            }
            let left = || (0..available).filter(|id| !taken.contains(id));
            let expected: Vec<u32> =
                left().filter(|id| !was.contains(id)).chain(left().filter(|id| was.contains(id))).collect();
            let given: Vec<u32> = std::iter::from_fn(|| free.next()).map(|id| id.0).take(300).collect();
            prop_assert_eq!(&given, &expected);
            prop_assert_eq!(free.next(), None);
            taken.extend(given);
            prop_assert!((0..300).all(|id| bit(&free.in_use, id) == taken.contains(&id)));
            taken.iter().for_each(|id| set_bit(&mut free.in_use, *id, false));
            prop_assert!(free.in_use.iter().all(|word| *word == 0));
        }
    }
}
