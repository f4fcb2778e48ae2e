//! Frames on their way through the steps of a batch.
#![expect(clippy::indexing_slicing, reason = "places are masked or bounded by the batch")]

use super::mark::Mark;
use crate::engines::rules::values::Candidates;

/// Frames that go through a step together.
pub(super) const BATCH: usize = 32;

/// Frames of a batch with a local side that entries name, one behind the other, and what the later steps look at.
#[derive(Debug)]
pub(super) struct Batch {
    pub keys: [u64; BATCH],
    pub candidates: [Candidates; BATCH],
    pub remotes: [u32; BATCH],
    /// Or [`NO_PORT`](crate::engines::rules::flat::NO_PORT).
    pub local_ports: [u32; BATCH],
    pub remote_ports: [u32; BATCH],
    /// Or [`NO_PROTO`](crate::engines::rules::values::NO_PROTO).
    pub protos: [u16; BATCH],
    /// Where they stand.
    pub places: [usize; BATCH],
    pub len: usize,
    /// Where the frames stand of which neither address nor MAC nor anything else makes a difference.
    pub simple: Places,
    /// Where those stand that are not judged here.
    pub others: Places,
}

/// Places of frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    places: [usize; BATCH],
    len: usize,
}

impl Places {
    const NONE: Self = Self { places: [0; BATCH], len: 0 };

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn push(&mut self, place: usize) {
        self.places[self.len & (BATCH - 1)] = place;
        self.len += 1;
    }

    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.places.iter().take(self.len).copied()
    }
}

impl Batch {
    pub fn new() -> Self {
        Self {
            keys: [0; BATCH],
            candidates: [0; BATCH],
            remotes: [0; BATCH],
            local_ports: [0; BATCH],
            remote_ports: [0; BATCH],
            protos: [0; BATCH],
            places: [0; BATCH],
            len: 0,
            simple: Places::NONE,
            others: Places::NONE,
        }
    }

    /// No frames.
    pub fn clear(&mut self) {
        self.len = 0;
        (self.simple, self.others) = (Places::NONE, Places::NONE);
    }

    /// Adds to each frame what one of its fields tells.
    #[inline]
    pub fn meet(&mut self, mark: impl Fn(&Self, usize) -> Mark) {
        for at in 0..self.len.min(BATCH) {
            let mark = mark(self, at);
            self.keys[at] |= mark.key;
            self.candidates[at] &= mark.candidates;
        }
    }
}
