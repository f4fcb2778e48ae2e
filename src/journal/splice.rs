//! The difference between two sequences: what they share at both ends, and what stands between.

/// Replaces all of a sequence but its first `keep` and its last `tail` items by `put`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice<T> {
    /// How long the sequence is that it is for.
    pub of: usize,
    pub keep: usize,
    pub tail: usize,
    pub put: Vec<T>,
}

impl<T: Clone + PartialEq> Splice<T> {
    /// `None` if the two are equal.
    pub fn between(old: &[T], new: &[T]) -> Option<Self> {
        let keep = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        if keep == old.len() && keep == new.len() {
            return None;
        }
        let (old_rest, new_rest) = (old.get(keep..)?, new.get(keep..)?);
        let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
        let put = new_rest.get(..new_rest.len() - tail)?.to_vec();
        Some(Self { of: old.len(), keep, tail, put })
    }

    /// `None` if it is for another sequence.
    pub fn apply(&self, old: &[T]) -> Option<Vec<T>> {
        let end = old.len().checked_sub(self.tail).filter(|end| *end >= self.keep && old.len() == self.of)?;
        Some([old.get(..self.keep)?, &self.put, old.get(end..)?].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_differs_is_put() {
        let splice = Splice::between(b"one rule\n", b"one old rule\n").unwrap();
        assert_eq!((splice.keep, splice.tail, splice.put.as_slice()), (4, 5, b"old ".as_slice()));
        assert_eq!(Splice::between(b"same", b"same"), None);
        let repeated = Splice::between(b"aa", b"aaa").unwrap();
        assert_eq!((repeated.keep, repeated.tail, repeated.put.len()), (2, 0, 1), "no item is kept twice");
    }

    #[test]
    fn a_splice_for_another_sequence_is_refused() {
        for splice in [
            Splice { of: 2, keep: 0, tail: 0, put: vec![1] },
            Splice { of: 3, keep: 2, tail: 2, put: vec![] },
            Splice { of: 3, keep: 4, tail: 0, put: vec![] },
            Splice { of: 3, keep: 0, tail: usize::MAX, put: vec![] },
            Splice { of: 3, keep: usize::MAX, tail: 1, put: vec![] },
        ] {
            assert_eq!(splice.apply(&[7, 8, 9]), None, "{splice:?}");
        }
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_other(old: Vec<bool>, new: Vec<bool>) {
            let there = Splice::between(&old, &new).map_or(Some(old.clone()), |splice| splice.apply(&old));
            prop_assert_eq!(there, Some(new));
        }
    }
}
