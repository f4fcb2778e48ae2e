//! Cuts a space into classes: points that the same sets hold are one class.

use foldhash::{HashMap, HashMapExt};
use smallvec::{SmallVec, smallvec};

use crate::terms::{Interval, IntervalSet, Point};

/// A set of small numbers: places in a list of rules or of sets.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Mask(SmallVec<[u64; 2]>);

impl Clone for Mask {
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl Mask {
    pub fn of_len(len: usize) -> Self {
        Self(smallvec![0; len.div_ceil(64)])
    }

    pub fn of_places(len: usize, places: impl Iterator<Item = usize>) -> Self {
        let mut mask = Self::of_len(len);
        places.for_each(|at| mask.flip(at));
        mask
    }

    pub fn flip(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word ^= 1 << (at % 64);
        }
    }

    pub fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub fn and(&self, other: &Self) -> Self {
        self.with(other, |a, b| a & b)
    }

    /// The places of this mask that the other has not.
    pub fn without(&self, other: &Self) -> Self {
        self.with(other, |a, b| a & !b)
    }

    /// True if a place is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    fn with(&self, other: &Self, word: impl Fn(u64, u64) -> u64) -> Self {
        let mut out = self.clone();
        out.0.truncate(other.0.len());
        out.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a = word(*a, *b));
        out
    }

    /// All places, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, word)| Bits(*word).map(move |bit| i * 64 + bit))
    }

    /// True if it has no place.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Words that it takes.
    pub fn words(&self) -> usize {
        self.0.len()
    }

    /// What all three have, in rising order.
    pub fn common<'a>(a: &'a Self, b: &'a Self, c: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let words = a.0.iter().zip(&b.0).zip(&c.0).map(|((a, b), c)| a & b & c);
        words.enumerate().flat_map(|(i, word)| Bits(word).map(move |bit| i * 64 + bit))
    }
}

/// The places of the ones in a word, in rising order.
pub(crate) struct Bits(pub u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

/// Points that the same sets hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Class<T> {
    /// Places of those sets.
    pub within: Mask,
    /// The points, at least one.
    pub set: IntervalSet<T>,
}

/// What a sweep over a domain comes to.
pub(crate) enum Swept<T, S> {
    /// A piece of the domain in which no set begins or ends.
    Piece(Interval<T>),
    /// Between two pieces: a set begins here or has ended.
    End(S),
}

/// Where a set begins and where it has ended: points with its name.
pub(crate) fn ends_of<T: Point, S: Copy>(set: &IntervalSet<T>, name: S) -> impl Iterator<Item = (T, S)> {
    set.intervals().iter().flat_map(move |interval| {
        [Some(interval.first), interval.last.next()].into_iter().flatten().map(move |point| (point, name))
    })
}

/// Goes over a whole domain in order: each piece between these ends, and each end.
pub(crate) fn sweep<T: Point, S: Copy + Ord>(ends: &mut [(T, S)], mut see: impl FnMut(Swept<T, S>)) {
    ends.sort_unstable();
    let mut first = T::MIN;
    for (point, set) in ends.iter().copied() {
        if let Some(last) = point.prev().filter(|last| *last >= first) {
            see(Swept::Piece(Interval { first, last }));
            first = point;
        }
        see(Swept::End(set));
    }
    see(Swept::Piece(Interval { first, last: T::MAX }));
}

/// The pieces of the whole domain between the ends of the sets, each with the sets that hold it.
pub(crate) fn cut<T: Point>(sets: &[&IntervalSet<T>]) -> Vec<(Mask, Interval<T>)> {
    let mut ends: Vec<(T, usize)> = sets.iter().enumerate().flat_map(|(at, set)| ends_of(set, at)).collect();
    let (mut pieces, mut within) = (Vec::with_capacity(ends.len() + 1), Mask::of_len(sets.len()));
    sweep(&mut ends, |swept| match swept {
        Swept::Piece(piece) => pieces.push((within.clone(), piece)),
        Swept::End(set) => within.flip(set),
    });
    pieces
}

/// The classes into which the sets cut the domain, by their smallest points.
pub(crate) fn classes<T: Point>(sets: &[&IntervalSet<T>]) -> Vec<Class<T>> {
    if sets.len() <= 64 { few_classes(sets) } else { many_classes(sets) }
}

/// As [`classes`], of sets among which many are equal.
pub(crate) fn classes_of_repeated<T: Point>(sets: &[&IntervalSet<T>]) -> Vec<Class<T>> {
    let mut order: SmallVec<[usize; 64]> = (0..sets.len()).collect();
    order.sort_unstable_by(|a, b| sets[*a].intervals().cmp(sets[*b].intervals()));
    let alike: SmallVec<[&[usize]; 64]> = order.chunk_by(|a, b| sets[*a] == sets[*b]).collect();
    let distinct: SmallVec<[&IntervalSet<T>; 64]> = alike.iter().map(|places| sets[places[0]]).collect();
    let mut out = classes(&distinct);
    for class in &mut out {
        let places = class.within.iter().flat_map(|at| alike[at]).copied();
        class.within = Mask::of_places(sets.len(), places);
    }
    out
}

fn many_classes<T: Point>(sets: &[&IntervalSet<T>]) -> Vec<Class<T>> {
    collect(&mut cut(sets), Mask::clone)
}

/// As [`classes`], of sets whose places fit one word.
fn few_classes<T: Point>(sets: &[&IntervalSet<T>]) -> Vec<Class<T>> {
    let mut ends: SmallVec<[(T, u64); 16]> = SmallVec::new();
    sets.iter().enumerate().for_each(|(at, set)| ends.extend(ends_of(set, 1 << at)));
    let mut pieces: SmallVec<[(u64, Interval<T>); 16]> = SmallVec::with_capacity(ends.len() + 1);
    let mut within = 0_u64;
    sweep(&mut ends, |swept| match swept {
        Swept::Piece(piece) => pieces.push((within, piece)),
        Swept::End(set) => within ^= set,
    });
    collect(&mut pieces, |word| Mask(if sets.is_empty() { SmallVec::new() } else { smallvec![*word] }))
}

/// The classes that are left if only the sets of `which` count.
pub(crate) fn regroup<T: Point>(classes: &[Class<T>], which: &Mask) -> Vec<Class<T>> {
    let mut places: HashMap<Mask, usize> = HashMap::with_capacity(classes.len());
    let mut out: Vec<(Mask, SmallVec<[Interval<T>; 4]>)> = Vec::with_capacity(classes.len());
    for class in classes {
        let within = class.within.and(which);
        let place = *places.entry(within.clone()).or_insert(out.len());
        match out.get_mut(place) {
            Some((_, intervals)) => intervals.extend_from_slice(class.set.intervals()),
            None => out.push((within, class.set.intervals().into())),
        }
    }
    // The classes stand by their smallest points, and so does what is left of them.
    let class = |(within, intervals)| Class { within, set: IntervalSet::from_intervals(intervals) };
    out.into_iter().map(class).collect()
}

/// The classes that pieces of a domain are, by what holds each.
fn collect<T: Point, W: Ord>(pieces: &mut [(W, Interval<T>)], mask: impl Fn(&W) -> Mask) -> Vec<Class<T>> {
    pieces.sort_unstable();
    let class = |chunk: &[(W, Interval<T>)]| {
        let set = IntervalSet::from_intervals(chunk.iter().map(|(_, piece)| *piece));
        Class { within: mask(&chunk[0].0), set }
    };
    let mut out: Vec<Class<T>> = pieces.chunk_by(|a, b| a.0 == b.0).map(class).collect();
    out.sort_unstable_by_key(|class| class.set.intervals().first().map(|i| i.first));
    out
}

/// The points of a set, if there are at most `limit`.
pub(crate) fn points_up_to<T: Point>(set: &IntervalSet<T>, limit: usize) -> Option<Vec<T>> {
    let mut points = Vec::new();
    for interval in set.intervals() {
        let mut at = Some(interval.first);
        while let Some(point) = at.filter(|at| *at <= interval.last) {
            if points.len() == limit {
                return None;
            }
            points.push(point);
            at = point.next();
        }
    }
    Some(points)
}

/// The number of points, if there are at most `most`.
pub(crate) fn size<T: Point>(set: &IntervalSet<T>, most: usize) -> Option<usize> {
    let mut count = 0;
    for interval in set.intervals() {
        let mut at = Some(interval.first);
        while let Some(point) = at.filter(|at| *at <= interval.last) {
            count += 1;
            if count > most {
                return None;
            }
            at = point.next();
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::terms::PortSet;

    fn set(intervals: &[(u16, u16)]) -> PortSet {
        PortSet::from_intervals(intervals.iter().map(|&(first, last)| Interval { first, last }))
    }

    #[test]
    fn points_that_no_set_tells_apart_are_one_class() {
        let (a, b) = (set(&[(10, 20), (65535, 65535)]), set(&[(15, 30)]));
        let classes = classes(&[&a, &b]);
        let sets: Vec<_> = classes.iter().map(|class| class.set.to_string()).collect();
        assert_eq!(sets, ["0-9,31-65534", "10-14,65535", "15-20", "21-30"]);
        let within: Vec<_> = classes.iter().map(|c| (c.within.contains(0), c.within.contains(1))).collect();
        assert_eq!(within, [(false, false), (true, false), (true, true), (false, true)]);
        let mut only_b = Mask::of_len(2);
        only_b.flip(1);
        assert_eq!(regroup(&classes, &only_b).len(), 2);
    }

    /// Candidates are all points at which a set can begin or end, so classes that are right there are right everywhere.
    fn are_the_classes(sets: &[&PortSet], found: &[Class<u16>]) -> Result<(), TestCaseError> {
        let ends = sets.iter().flat_map(|set| set.intervals()).flat_map(|i| [i.first, i.last]);
        let points = ends.flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)]).chain([0, u16::MAX]);
        for point in points {
            let holds: Vec<&Class<u16>> = found.iter().filter(|class| class.set.contains(point)).collect();
            prop_assert_eq!(holds.len(), 1, "{} is in one class", point);
            for (at, set) in sets.iter().enumerate() {
                prop_assert_eq!(holds[0].within.contains(at), set.contains(point));
            }
        }
        let mut masks: Vec<&Mask> = found.iter().map(|class| &class.within).collect();
        let firsts: Vec<_> = found.iter().map(|class| class.set.intervals()[0].first).collect();
        prop_assert!(firsts.is_sorted(), "by their smallest points");
        masks.sort_unstable();
        masks.dedup();
        prop_assert_eq!(masks.len(), found.len(), "what the same sets hold is one class");
        Ok(())
    }

    proptest! {
        #[test]
        fn classes_are_what_the_sets_tell_apart(
            sets in prop::collection::vec(prop::collection::vec((any::<u16>(), 0u16..4000), 0..3), 0..90),
            which in prop::collection::vec(any::<bool>(), 90),
        ) {
            let sets: Vec<PortSet> =
                sets.iter().map(|of| set(&of.iter().map(|(a, n)| (*a, a.saturating_add(*n))).collect::<Vec<_>>())).collect();
            let all: Vec<&PortSet> = sets.iter().collect();
            let found = classes(&all);
            are_the_classes(&all, &found)?;
            prop_assert_eq!(&classes_of_repeated(&all), &found);
            let some: Vec<usize> = (0..all.len()).filter(|at| which[*at]).collect();
            let mask = Mask::of_places(all.len(), some.iter().copied());
            let few = regroup(&found, &mask);
            let wanted: Vec<&PortSet> = some.iter().map(|at| all[*at]).collect();
            let renamed: Vec<Class<u16>> = few
                .iter()
                .map(|class| {
                    let places = class.within.iter().map(|at| some.iter().position(|of| *of == at).unwrap());
                    Class { within: Mask::of_places(some.len(), places), set: class.set.clone() }
                })
                .collect();
            are_the_classes(&wanted, &renamed)?;
        }

        #[test]
        fn masks_are_sets_of_places(
            len in 0usize..200,
            of in prop::array::uniform3(prop::collection::btree_set(0usize..200, 0..12)),
        ) {
            let of = of.map(|of| of.into_iter().filter(|at| *at < len).collect::<BTreeSet<usize>>());
            let [a, b, c] = of.each_ref().map(|of| Mask::of_places(len, of.iter().copied()));
            let places = |mask: &Mask| mask.iter().collect::<Vec<_>>();
            let sorted = |places: BTreeSet<usize>| places.into_iter().collect::<Vec<_>>();
            prop_assert_eq!(places(&a), sorted(of[0].clone()));
            prop_assert!((0..len + 70).all(|at| a.contains(at) == of[0].contains(&at)));
            prop_assert_eq!(places(&a.and(&b)), sorted(&of[0] & &of[1]));
            prop_assert_eq!(places(&a.without(&b)), sorted(&of[0] - &of[1]));
            prop_assert_eq!(Mask::common(&a, &b, &c).collect::<Vec<_>>(), sorted(&(&of[0] & &of[1]) & &of[2]));
            prop_assert_eq!(a.meets(&b), !of[0].is_disjoint(&of[1]));
            prop_assert_eq!((a.is_empty(), a.words()), (of[0].is_empty(), len.div_ceil(64)));
            let mut flipped = a.clone();
            of[1].iter().for_each(|at| flipped.flip(*at));
            prop_assert_eq!(places(&flipped), sorted(&of[0] ^ &of[1]));
        }

        #[test]
        fn masks_of_one_word_cut_the_same_classes(
            sets in prop::collection::vec(prop::collection::vec((0u16..30, 0u16..30), 0..3), 0..6),
            high in any::<bool>(),
        ) {
            let lift = |at: u16| if high { 65535 - 29 + at } else { at };
            let lifted = |set: &Vec<(u16, u16)>| set.iter().map(|(a, b)| (lift(*a), lift(*b))).collect::<Vec<_>>();
            let sets: Vec<PortSet> = sets.iter().map(|of| set(&lifted(of))).collect();
            let sets: Vec<&PortSet> = sets.iter().collect();
            prop_assert_eq!(few_classes(&sets), many_classes(&sets));
            let twice: Vec<&PortSet> = sets.iter().chain(&sets).copied().collect();
            prop_assert_eq!(classes_of_repeated(&twice), many_classes(&twice));
        }
    }

    #[test]
    fn few_points_stops_at_the_limit() {
        assert_eq!(points_up_to(&set(&[(7, 7), (65534, 65535)]), 3), Some(vec![7, 65534, 65535]));
        assert_eq!(points_up_to(&set(&[(7, 7), (65534, 65535)]), 2), None);
        assert_eq!(points_up_to(&PortSet::full(), 100), None);
        assert_eq!(points_up_to(&PortSet::empty(), 0), Some(vec![]));
        assert_eq!(points_up_to(&PortSet::full(), 1 << 16).map(|all| all.len()), Some(1 << 16));
        assert_eq!(size(&set(&[(7, 7), (65534, 65535)]), 3), Some(3));
        assert_eq!((size(&PortSet::full(), 65_535), size(&PortSet::full(), 65_536)), (None, Some(65_536)));
        assert_eq!(size(&set(&[(7, 7), (65534, 65535)]), 2), None);
        assert_eq!(size(&PortSet::empty(), 0), Some(0));
    }
}
