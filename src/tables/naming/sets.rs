//! The sets that the entries of a document could name through one map, and the classes that they cut.
//!
//! A [`Sets`] is made anew only where a set comes or goes; all images whose units name the same sets share it. The
//! *numbers* of sets and classes are places in it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use smallvec::SmallVec;

use crate::policy::regions::classes::{Swept, ends_of, size, sweep};
use crate::tables::arrange::lookups::USUAL_LIMIT;
use crate::terms::{Interval, IntervalSet, Point};

/// All limits that are tried, the usual one first.
const LIMITS: [usize; 3] = [USUAL_LIMIT, 0, MOST_BY_VALUE];
/// The largest of them.
pub(crate) const MOST_BY_VALUE: usize = 8;

/// Places or numbers in order: most sets are one class, and most points are in one set or none.
type Numbers = SmallVec<[u32; 4]>;

/// Points that the same sets hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Class<T> {
    pub set: IntervalSet<T>,
    /// No set holds them: no entry names the class.
    pub is_rest: bool,
}

/// The classes of one map, with a limit for exact values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Space<T> {
    /// Up to how many points a set is named by exact values.
    pub limit: usize,
    /// By their smallest points.
    pub classes: Vec<Class<T>>,
    /// The intervals of all classes in rising order: first point, and place of the class.
    starts: Vec<(T, u32)>,
    /// The classes of each set, by its number; `None` where it is named by exact values.
    members: Vec<Option<Numbers>>,
}

/// All sets that the pieces of a document have in one field.
#[derive(Debug, Default)]
pub(crate) struct Sets<T> {
    /// In order.
    pub all: Vec<IntervalSet<T>>,
    numbers: HashMap<IntervalSet<T>, u32>,
    /// The classes under each limit that makes a difference for these sets, the usual one first.
    pub spaces: Vec<Arc<Space<T>>>,
}

impl<T: Point + std::hash::Hash> Sets<T> {
    /// `all` are in order, each once.
    pub fn new(all: Vec<IntervalSet<T>>) -> Self {
        let numbers = all.iter().cloned().zip(0..).collect();
        let sizes: BTreeSet<usize> = all.iter().filter_map(|set| size(set, MOST_BY_VALUE)).collect();
        let by_value = |limit: usize| sizes.iter().filter(|size| (1..=limit).contains(*size)).count();
        let mut seen = BTreeSet::new();
        let limits = LIMITS.into_iter().filter(|limit| seen.insert(by_value(*limit)));
        let spaces = limits.map(|limit| Arc::new(Space::new(limit, &all))).collect();
        Self { all, numbers, spaces }
    }

    pub fn number(&self, set: &IntervalSet<T>) -> Option<usize> {
        self.numbers.get(set).map(|number| *number as usize)
    }

    /// The numbers in this and another list of every set that both have.
    pub fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (usize, usize)> + 'a {
        let mut there = other.all.iter().enumerate().peekable();
        self.all.iter().enumerate().filter_map(move |(at, set)| {
            while there.next_if(|(_, other)| *other < set).is_some() {}
            there.next_if(|(_, other)| *other == set).map(|(number, _)| (at, number))
        })
    }
}

impl Space<u32> {
    /// Nodes that a trie of this many entries a node has at least: a node for each range that intervals cut, where a class
    /// of one interval tells the node from all others.
    pub fn least_nodes(&self, entries_per_node: u32) -> u64 {
        let bits = entries_per_node.max(2).ilog2();
        let alone = |place: u32| self.classes.get(place as usize).is_some_and(|class| class.set.intervals().len() == 1);
        let mut nodes = 1;
        let mut last = vec![None; (32 / bits) as usize];
        for pair in self.starts.windows(2) {
            let [(_, before), (at, after)] = pair else { continue };
            if !alone(*before) && !alone(*after) {
                continue;
            }
            for (level, last) in (1..32 / bits).zip(&mut last) {
                let below = 32 - bits * level;
                let range = at >> below;
                // Deeper ranges begin here too.
                if range << below == *at {
                    break;
                }
                nodes += u64::from(last.replace(range) != Some(range));
            }
        }
        nodes
    }
}

impl<T: Point> Space<T> {
    fn new(limit: usize, all: &[IntervalSet<T>]) -> Self {
        let named: Vec<usize> =
            (0..all.len()).filter(|at| !all[*at].is_empty() && size(&all[*at], limit).is_none()).collect();
        let mut members: Vec<Option<Numbers>> = all.iter().map(|_| None).collect();
        for at in &named {
            members[*at] = Some(Numbers::new());
        }
        if named.is_empty() {
            return Self { limit, classes: Vec::new(), starts: Vec::new(), members };
        }
        // Pieces rise, and so do the smallest points of classes by the order in which they are found.
        let mut places: HashMap<Numbers, usize> = HashMap::with_capacity(2 * named.len() + 1);
        let mut found: Vec<SmallVec<[Interval<T>; 2]>> = Vec::with_capacity(2 * named.len() + 1);
        let (mut rest, mut starts) = (None, Vec::with_capacity(2 * named.len() + 1));
        each_piece(&named, all, |piece, within| {
            if within.is_empty() {
                rest.get_or_insert(found.len());
            }
            let place = *places.entry(Numbers::from_slice(within)).or_insert(found.len());
            let number = u32::try_from(place).unwrap_or(u32::MAX);
            starts.push((piece.first, number));
            match found.get_mut(place) {
                Some(pieces) => pieces.push(piece),
                None => {
                    within.iter().for_each(|set| members[*set as usize].get_or_insert_default().push(number));
                    found.push(SmallVec::from_slice(&[piece]));
                }
            }
        });
        let class = |(place, pieces): (usize, SmallVec<_>)| Class {
            set: IntervalSet::from_intervals(pieces),
            is_rest: rest == Some(place),
        };
        Self { limit, classes: found.into_iter().enumerate().map(class).collect(), starts, members }
    }

    /// The classes of a set; `None` where it is named by exact values.
    pub fn members(&self, set: usize) -> Option<&[u32]> {
        self.members.get(set)?.as_deref()
    }

    /// How many intervals the classes have.
    pub fn intervals(&self) -> usize {
        self.starts.len()
    }

    /// The intervals of all classes in rising order, with the ids of their classes.
    pub fn map<I: Copy>(&self, ids: &[u16], id: impl Fn(u16) -> I) -> impl Iterator<Item = (T, I)> {
        self.starts.iter().filter_map(move |(first, place)| Some((*first, id(*ids.get(*place as usize)?))))
    }

    /// True if a set consists of the same classes here, by one number, as there, by another.
    pub fn cuts_alike(&self, set: usize, there: &Self, other: usize) -> bool {
        match (self.members(set), there.members(other)) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                let here = a.iter().map(|place| &self.classes[*place as usize].set);
                here.eq(b.iter().map(|place| &there.classes[*place as usize].set))
            }
            _ => false,
        }
    }
}

/// The pieces of the whole domain between the ends of the sets, in order, each with the numbers of the sets that hold it.
fn each_piece<T: Point>(named: &[usize], all: &[IntervalSet<T>], mut see: impl FnMut(Interval<T>, &Numbers)) {
    let mut ends: Vec<(T, u32)> = Vec::with_capacity(2 * named.len());
    for at in named {
        let number = u32::try_from(*at).unwrap_or(u32::MAX);
        ends.extend(ends_of(&all[*at], number));
    }
    let mut within = Numbers::new();
    sweep(&mut ends, |swept| match swept {
        Swept::Piece(piece) => see(piece, &within),
        Swept::End(set) => match within.binary_search(&set) {
            Ok(place) => drop(within.remove(place)),
            Err(place) => within.insert(place, set),
        },
    });
}

/// A list of sets, and how many units have each.
#[derive(Debug, Clone)]
pub(crate) struct Used<T> {
    pub sets: Arc<Sets<T>>,
    users: Vec<u32>,
}

impl<T: Point + std::hash::Hash> Default for Used<T> {
    fn default() -> Self {
        Self { sets: Arc::new(Sets::new(Vec::new())), users: Vec::new() }
    }
}

impl<T: Point + std::hash::Hash> Used<T> {
    /// Takes the sets of some units out and puts those of others in.
    pub fn change<'a>(
        &mut self,
        out: impl Iterator<Item = &'a IntervalSet<T>>,
        into: impl Iterator<Item = &'a IntervalSet<T>>,
    ) where
        T: 'a,
    {
        let mut fresh: HashMap<&IntervalSet<T>, u32> = HashMap::new();
        let mut ended = false;
        for set in into {
            match self.sets.number(set) {
                Some(number) => self.users[number] += 1,
                None => *fresh.entry(set).or_default() += 1,
            }
        }
        for set in out {
            if let Some(users) = self.sets.number(set).and_then(|number| self.users.get_mut(number)) {
                *users = users.saturating_sub(1);
                ended |= *users == 0;
            }
        }
        if !ended && fresh.is_empty() {
            return;
        }
        let stay = self.sets.all.iter().zip(self.users.iter().copied()).filter(|(_, users)| *users > 0);
        let mut all: Vec<(&IntervalSet<T>, u32)> = stay.chain(fresh).collect();
        all.sort_unstable();
        self.users = all.iter().map(|(_, users)| *users).collect();
        self.sets = Arc::new(Sets::new(all.into_iter().map(|(set, _)| set.clone()).collect()));
    }
}

/// The sets, by their numbers in `now`, whose classes are not what they were under some limit.
pub(crate) fn cut_anew<T: Point + std::hash::Hash>(was: &Sets<T>, now: &Sets<T>) -> HashSet<usize> {
    if std::ptr::eq(was, now) {
        return HashSet::new();
    }
    let differs = |(old, new): &(usize, usize)| {
        was.spaces.iter().zip(&now.spaces).any(|(was, now)| !was.cuts_alike(*old, now, *new))
    };
    was.common(now).filter(differs).map(|(_, new)| new).collect()
}

/// Sets with their classes under one layout and the ids of those.
pub(crate) struct Cut<'a, T> {
    pub sets: &'a Sets<T>,
    pub space: &'a Space<T>,
    pub ids: &'a [u16],
}

/// The sets, by their numbers in the second list, whose ids are not what they were.
pub(crate) fn named_anew<T: Point + std::hash::Hash>(was: &Cut<'_, T>, now: &Cut<'_, T>) -> HashSet<usize> {
    if std::ptr::eq(was.space, now.space) {
        return HashSet::new();
    }
    let differs = |(old, new): &(usize, usize)| match (was.space.members(*old), now.space.members(*new)) {
        (None, None) => false,
        (Some(a), Some(b)) => {
            let id = |ids: &[u16], place: &u32| ids.get(*place as usize).copied();
            !a.iter().map(|place| id(was.ids, place)).eq(b.iter().map(|place| id(now.ids, place)))
        }
        _ => true,
    };
    was.sets.common(now.sets).filter(differs).map(|(_, new)| new).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::PortSet;

    fn set(first: u16, last: u16) -> PortSet {
        PortSet::from_intervals([Interval { first, last }])
    }

    #[test]
    fn points_that_no_set_tells_apart_are_one_class() {
        let both = set(10, 20).union(&set(65535, 65535));
        let sets = Sets::new(vec![set(7, 7), both.clone(), set(15, 30)]);
        let space = &sets.spaces[0];
        let classes: Vec<_> = space.classes.iter().map(|class| class.set.to_string()).collect();
        assert_eq!(classes, ["0-9,31-65534", "10-14,65535", "15-20", "21-30"]);
        assert_eq!(space.members(sets.number(&both).unwrap()), Some(&[1, 2][..]));
        assert_eq!(space.members(sets.number(&set(7, 7)).unwrap()), None, "named by value");
        assert!(space.classes[0].is_rest && !space.classes[1].is_rest);
        let limits: Vec<_> = sets.spaces.iter().map(|space| space.limit).collect();
        assert_eq!(limits, [1, 0], "no set of two to eight points");
    }

    #[test]
    fn sets_are_shared_until_one_comes_or_goes() {
        let (a, b) = (set(10, 20), set(15, 30));
        let mut used = Used::default();
        used.change([].into_iter(), [&a, &a, &b].into_iter());
        let before = used.clone();
        used.change([&a].into_iter(), [&b].into_iter());
        assert!(Arc::ptr_eq(&before.sets, &used.sets));
        used.change([&a].into_iter(), [].into_iter());
        assert_eq!(used.sets.all, std::slice::from_ref(&b));
        let [(old, new)] = before.sets.common(&used.sets).collect::<Vec<_>>()[..] else { panic!("b is in both") };
        assert!(!before.sets.spaces[0].cuts_alike(old, &used.sets.spaces[0], new), "a cut it in two");
    }

    fn sets() -> impl Strategy<Value = Vec<PortSet>> {
        let interval =
            (0u16..60, 0u16..30).prop_map(|(at, more)| Interval { first: at * 1000, last: at * 1000 + more });
        let set = prop::collection::vec(interval, 1..4).prop_map(PortSet::from_intervals);
        prop::collection::btree_set(set, 0..10).prop_map(|sets| sets.into_iter().collect())
    }

    /// The points of a set as those of its classes, which are what tells the points apart.
    fn points(space: &Space<u16>, set: usize) -> Option<Vec<PortSet>> {
        Some(space.members(set)?.iter().map(|place| space.classes[*place as usize].set.clone()).collect())
    }

    proptest! {
        #[test]
        fn spaces_cut_their_sets_into_classes(all in sets(), port in any::<u16>()) {
            let sets = Sets::new(all.clone());
            for space in &sets.spaces {
                let named: Vec<&PortSet> = all.iter().filter(|set| size(set, space.limit).is_none()).collect();
                prop_assert_eq!(space.classes.is_empty(), named.is_empty());
                prop_assert_eq!(space.intervals(), space.classes.iter().map(|class| class.set.intervals().len()).sum::<usize>());
                for (at, set) in all.iter().enumerate() {
                    let Some(parts) = points(space, at) else {
                        prop_assert!(size(set, space.limit).is_some());
                        continue;
                    };
                    prop_assert!(size(set, space.limit).is_none());
                    let whole = parts.iter().fold(PortSet::empty(), |all, part| all.union(part));
                    prop_assert_eq!(&whole, set);
                    prop_assert!(parts.iter().all(|part| !part.is_empty()));
                }
                let near = all.iter().flat_map(PortSet::intervals).flat_map(|i| [i.first, i.last, i.last + 1]);
                for port in near.chain([port, 0, u16::MAX]) {
                    let held = named.iter().filter(|set| set.contains(port)).count();
                    let here: Vec<_> = space.classes.iter().filter(|class| class.set.contains(port)).collect();
                    prop_assert_eq!(here.len(), usize::from(!named.is_empty()));
                    // A class has the same sets in all its points, and its own are told from all others.
                    for class in here {
                        prop_assert_eq!(class.is_rest, held == 0);
                        let first = class.set.intervals()[0].first;
                        prop_assert!(named.iter().all(|set| set.contains(port) == set.contains(first)));
                    }
                }
                let ids: Vec<u16> = (0..).take(space.classes.len()).map(|at| 7 + at).collect();
                let map: Vec<(u16, u16)> = space.map(&ids, |id| id).collect();
                prop_assert!(map.is_sorted_by(|a, b| a.0 < b.0) && map.len() == space.intervals());
                for (first, id) in map {
                    prop_assert!(space.classes[usize::from(id - 7)].set.contains(first));
                }
            }
            // Limits that name the same sets by value are one.
            let by_value = |limit: usize| all.iter().filter(|set| size(set, limit).is_some()).collect::<Vec<_>>();
            let limits: Vec<usize> = sets.spaces.iter().map(|space| space.limit).collect();
            prop_assert_eq!(limits[0], USUAL_LIMIT);
            for limit in LIMITS {
                prop_assert_eq!(limits.iter().filter(|other| by_value(**other) == by_value(limit)).count(), 1);
            }
        }

        #[test]
        fn what_is_cut_or_named_anew_is_told_from_what_stays(was in sets(), more in sets(), kept in any::<[bool; 10]>()) {
            let stay = was.iter().zip(kept).filter(|(_, kept)| *kept).map(|(set, _)| set.clone());
            let now: BTreeSet<PortSet> = stay.chain(more.into_iter().take(2)).collect();
            let (was, now) = (Sets::new(was), Sets::new(now.into_iter().collect()));
            let both: Vec<(usize, usize)> = was.common(&now).collect();
            let expected: Vec<(usize, usize)> =
                was.all.iter().enumerate().filter_map(|(at, set)| Some((at, now.all.iter().position(|of| of == set)?))).collect();
            prop_assert_eq!(&both, &expected);
            let anew = cut_anew(&was, &now);
            for (old, new) in &both {
                let pairs = || was.spaces.iter().zip(&now.spaces);
                let same = pairs().all(|(was, now)| points(was, *old) == points(now, *new));
                prop_assert_eq!(anew.contains(new), !same);
                prop_assert!(pairs().all(|(was, now)| was.cuts_alike(*old, now, *new) == (points(was, *old) == points(now, *new))));
            }
            prop_assert!(anew.iter().all(|at| both.iter().any(|(_, new)| new == at)));
            prop_assert!(cut_anew(&was, &was).is_empty());
            // Ids of the classes, some of which are others.
            let ids = |space: &Space<u16>, skip: u16| (0..).take(space.classes.len()).map(|at: u16| at + skip * (at / 3)).collect::<Vec<_>>();
            let (here, there) = (&was.spaces[0], &now.spaces[0]);
            let (a, b) = (ids(here, 0), ids(there, u16::from(kept[0])));
            let named = named_anew(&Cut { sets: &was, space: here, ids: &a }, &Cut { sets: &now, space: there, ids: &b });
            let of = |space: &Space<u16>, ids: &[u16], set: usize| {
                Some(space.members(set)?.iter().map(|place| ids[*place as usize]).collect::<Vec<_>>())
            };
            for (old, new) in &both {
                prop_assert_eq!(named.contains(new), of(here, &a, *old) != of(there, &b, *new));
            }
            prop_assert!(named.iter().all(|at| both.iter().any(|(_, new)| new == at)));
        }

        /// As a list that is made anew each time.
        #[test]
        fn sets_are_there_while_something_has_them(lists in prop::collection::vec((sets(), sets()), 1..6)) {
            let (mut used, mut all) = (Used::default(), Vec::<PortSet>::new());
            for (into, out) in &lists {
                let gone: Vec<PortSet> = out.iter().filter(|set| all.contains(set)).cloned().collect();
                let gone: Vec<PortSet> = gone.into_iter().chain(all.first().cloned()).collect();
                let mut left = all.clone();
                let gone: Vec<PortSet> = gone
                    .into_iter()
                    .filter(|set| left.iter().position(|of| of == set).map(|at| left.remove(at)).is_some())
                    .collect();
                let before = used.sets.clone();
                // Some are had twice.
                let into: Vec<&PortSet> = into.iter().chain(into.first()).collect();
                used.change(gone.iter(), into.iter().copied());
                all = left.into_iter().chain(into.into_iter().cloned()).collect();
                let expected: BTreeSet<&PortSet> = all.iter().collect();
                prop_assert_eq!(used.sets.all.iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
                prop_assert_eq!(Arc::ptr_eq(&before, &used.sets), before.all == used.sets.all);
                for (at, set) in used.sets.all.iter().enumerate() {
                    prop_assert_eq!(used.sets.number(set), Some(at));
                    prop_assert_eq!(used.users[at] as usize, all.iter().filter(|of| *of == set).count());
                }
            }
        }
    }
}
