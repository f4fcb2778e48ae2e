//! The sets that the entries of a document could name through one map, and the classes that they cut.
//!
//! A [`Sets`] is made anew only where a set comes or goes; all images whose units name the same sets share it. The
//! *numbers* of sets and classes are places in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::classes::few_points;
use crate::policy::sets::Point;
use crate::policy::{Interval, IntervalSet};

/// Up to how many points a set may be named by exact values, the usual limit first.
const LIMITS: [usize; 3] = [1, 0, 8];

/// Points that the same sets hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell<T> {
    pub set: IntervalSet<T>,
    /// No set holds them: no entry names the class.
    pub elsewhere: bool,
}

/// The classes of one map, with a limit for exact values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Space<T> {
    /// Up to how many points a set is named by exact values.
    pub limit: usize,
    /// By their smallest points.
    pub classes: Vec<Cell<T>>,
    /// The classes of each set, by its number; `None` where it is named by exact values.
    members: Vec<Option<Vec<u32>>>,
}

/// All sets that the pieces of a document have in one field.
#[derive(Debug, Default)]
pub(super) struct Sets<T> {
    /// In order.
    pub all: Vec<IntervalSet<T>>,
    numbers: HashMap<IntervalSet<T>, u32>,
    /// The classes under each limit that makes a difference for these sets, the usual one first.
    pub spaces: Vec<Arc<Space<T>>>,
}

impl<T: Point + std::hash::Hash> Sets<T> {
    pub fn new(all: BTreeSet<IntervalSet<T>>) -> Self {
        let all: Vec<IntervalSet<T>> = all.into_iter().collect();
        let numbers = all.iter().cloned().zip(0..).collect();
        let sizes: BTreeSet<usize> = all.iter().filter_map(|set| Some(few_points(set, 8)?.len())).collect();
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
        self.all.iter().enumerate().filter_map(|(at, set)| Some((at, other.number(set)?)))
    }
}

impl<T: Point> Space<T> {
    fn new(limit: usize, all: &[IntervalSet<T>]) -> Self {
        let named: Vec<usize> =
            (0..all.len()).filter(|at| !all[*at].is_empty() && few_points(&all[*at], limit).is_none()).collect();
        let mut members = vec![None; all.len()];
        for at in &named {
            members[*at] = Some(Vec::new());
        }
        if named.is_empty() {
            return Self { limit, classes: Vec::new(), members };
        }
        let mut by_sets: HashMap<Vec<u32>, Vec<Interval<T>>> = HashMap::new();
        for (piece, within) in pieces(&named, all) {
            by_sets.entry(within).or_default().push(piece);
        }
        let mut found: Vec<(Vec<u32>, Vec<Interval<T>>)> = by_sets.into_iter().collect();
        found.sort_unstable_by_key(|(_, pieces)| pieces[0].first);
        let mut classes = Vec::with_capacity(found.len());
        for (place, (within, pieces)) in (0..).zip(found) {
            for set in &within {
                members[*set as usize].get_or_insert_default().push(place);
            }
            classes.push(Cell { set: IntervalSet::from_intervals(pieces), elsewhere: within.is_empty() });
        }
        Self { limit, classes, members }
    }

    /// The classes of a set; `None` where it is named by exact values.
    pub fn members(&self, set: usize) -> Option<&[u32]> {
        self.members.get(set)?.as_deref()
    }

    pub fn intervals(&self) -> usize {
        self.classes.iter().map(|class| class.set.intervals().len()).sum()
    }

    /// True if a set consists of the same classes here, by one number, as there, by another.
    pub fn cuts_alike(&self, set: usize, there: &Self, other: usize) -> bool {
        match (self.members(set), there.members(other)) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                let class = |space: &Self, at: u32| space.classes[at as usize].set.clone();
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| class(self, *a) == class(there, *b))
            }
            _ => false,
        }
    }
}

/// The pieces of the whole domain between the ends of the sets, each with the numbers of the sets that hold it, in order.
fn pieces<T: Point>(named: &[usize], all: &[IntervalSet<T>]) -> Vec<(Interval<T>, Vec<u32>)> {
    let mut ends: Vec<(T, u32)> = Vec::new();
    for at in named {
        let number = u32::try_from(*at).unwrap_or(u32::MAX);
        for interval in all[*at].intervals() {
            ends.push((interval.first, number));
            ends.extend(interval.last.next().map(|after| (after, number)));
        }
    }
    ends.sort_unstable();
    let (mut out, mut at, mut within) = (Vec::new(), T::MIN, Vec::<u32>::new());
    for (point, set) in ends {
        if let Some(last) = point.prev().filter(|last| *last >= at) {
            out.push((Interval { first: at, last }, within.clone()));
            at = point;
        }
        match within.binary_search(&set) {
            Ok(place) => drop(within.remove(place)),
            Err(place) => within.insert(place, set),
        }
    }
    out.push((Interval { first: at, last: T::MAX }, within));
    out
}

/// A list of sets, and how many units have each.
#[derive(Debug, Clone)]
pub(super) struct Used<T> {
    pub sets: Arc<Sets<T>>,
    users: Vec<u32>,
}

impl<T: Point + std::hash::Hash> Default for Used<T> {
    fn default() -> Self {
        Self { sets: Arc::new(Sets::new(BTreeSet::new())), users: Vec::new() }
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
        let stay = self.sets.all.iter().zip(&self.users).filter(|(_, users)| **users > 0);
        let stay: BTreeMap<IntervalSet<T>, u32> = stay.map(|(set, users)| (set.clone(), *users)).collect();
        let all: BTreeMap<_, _> = stay.into_iter().chain(fresh.into_iter().map(|(set, n)| (set.clone(), n))).collect();
        self.users = all.values().copied().collect();
        self.sets = Arc::new(Sets::new(all.into_keys().collect()));
    }
}

/// The sets, by their numbers in `now`, whose classes are not what they were under some limit.
pub(super) fn cut_anew<T: Point + std::hash::Hash>(was: &Sets<T>, now: &Sets<T>) -> HashSet<usize> {
    if std::ptr::eq(was, now) {
        return HashSet::new();
    }
    let differs = |(old, new): &(usize, usize)| {
        was.spaces.iter().zip(&now.spaces).any(|(was, now)| !was.cuts_alike(*old, now, *new))
    };
    was.common(now).filter(differs).map(|(_, new)| new).collect()
}

/// The sets, by their numbers in the second list, whose ids are not what they were.
pub(super) fn named_anew<T: Point + std::hash::Hash>(
    (was, before): (&Sets<T>, &Space<T>),
    (now, after): (&Sets<T>, &Space<T>),
    ids: [&[u16]; 2],
) -> HashSet<usize> {
    if std::ptr::eq(before, after) {
        return HashSet::new();
    }
    let names = |space: &Space<T>, set: usize, ids: &[u16]| {
        let members = space.members(set)?;
        Some(members.iter().map(|place| ids.get(*place as usize).copied()).collect::<Vec<_>>())
    };
    let differs = |(old, new): &(usize, usize)| names(before, *old, ids[0]) != names(after, *new, ids[1]);
    was.common(now).filter(differs).map(|(_, new)| new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PortSet;

    fn set(first: u16, last: u16) -> PortSet {
        PortSet::from_intervals([Interval { first, last }])
    }

    #[test]
    fn points_that_no_set_tells_apart_are_one_class() {
        let both = set(10, 20).union(&set(65535, 65535));
        let sets = Sets::new([both.clone(), set(15, 30), set(7, 7)].into());
        let space = &sets.spaces[0];
        let classes: Vec<_> = space.classes.iter().map(|class| class.set.to_string()).collect();
        assert_eq!(classes, ["0-9,31-65534", "10-14,65535", "15-20", "21-30"]);
        assert_eq!(space.members(sets.number(&both).unwrap()), Some(&[1, 2][..]));
        assert_eq!(space.members(sets.number(&set(7, 7)).unwrap()), None, "named by value");
        assert!(space.classes[0].elsewhere && !space.classes[1].elsewhere);
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
}
