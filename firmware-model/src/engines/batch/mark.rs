//! What a field tells about a frame.

use crate::engines::rules::values::Candidates;

/// What one field of a frame adds: its bits of the key, and the combinations that know its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub key: u64,
    pub candidates: Candidates,
}

impl Mark {
    /// A field that makes no difference.
    pub const ANY: Self = Self { key: 0, candidates: Candidates::MAX };

    #[inline]
    pub fn meet(&mut self, other: Self) {
        self.key |= other.key;
        self.candidates &= other.candidates;
    }
}
