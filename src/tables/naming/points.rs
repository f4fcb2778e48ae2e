//! What the ids of a map mean: the points that have them.

use crate::terms::{Interval, Point};

/// The intervals of each id of a map, in rising order.
#[derive(Debug, Clone)]
pub(crate) struct Points<T> {
    /// The least id.
    least: u16,
    /// Where the intervals of each id begin, counted from the least one, and where the last ones end.
    begins: Vec<u32>,
    intervals: Vec<Interval<T>>,
}

impl<T> Default for Points<T> {
    fn default() -> Self {
        Self { least: 0, begins: Vec::new(), intervals: Vec::new() }
    }
}

impl<T: Point> Points<T> {
    /// Of a map: `(first point, id)` in rising order. By counting, because the ids of a map are close to each other.
    pub fn new<I: Copy>(map: &[(T, I)], number: impl Fn(I) -> u16) -> Self {
        let ids = || map.iter().map(|(_, id)| number(*id));
        let (Some(least), Some(last)) = (ids().min(), ids().max()) else { return Self::default() };
        let mut begins = vec![0_u32; usize::from(last - least) + 2];
        ids().for_each(|id| begins[usize::from(id - least) + 1] += 1);
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        let mut next = begins.clone();
        let mut intervals = vec![Interval { first: T::MIN, last: T::MAX }; map.len()];
        let lasts = map.iter().skip(1).filter_map(|(first, _)| first.prev()).chain([T::MAX]);
        for ((first, id), last) in map.iter().zip(lasts) {
            let place = &mut next[usize::from(number(*id) - least)];
            intervals[*place as usize] = Interval { first: *first, last };
            *place += 1;
        }
        Self { least, begins, intervals }
    }

    /// The intervals of an id; none if the map does not have it.
    pub fn of(&self, id: u16) -> &[Interval<T>] {
        let intervals = || {
            let at = usize::from(id.checked_sub(self.least)?);
            let (from, to) = (*self.begins.get(at)?, *self.begins.get(at + 1)?);
            self.intervals.get(from as usize..to as usize)
        };
        intervals().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_has_its_intervals() {
        let points = Points::new(&[(0_u16, 7_u16), (80, 9), (81, 7), (443, 12)], |id| id);
        let ends = |id| points.of(id).iter().map(|i| (i.first, i.last)).collect::<Vec<_>>();
        assert_eq!(ends(7), [(0, 79), (81, 442)]);
        assert_eq!((ends(9), ends(12)), (vec![(80, 80)], vec![(443, 65535)]));
        assert_eq!((ends(6), ends(8), ends(13)), (vec![], vec![], vec![]));
        assert!(Points::<u16>::new(&[], |id: u16| id).of(0).is_empty());
    }
}
