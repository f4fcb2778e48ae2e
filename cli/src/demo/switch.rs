//! What carries frames between cables.

use nicfw::terms::Direction;

use super::cast::{Party, Place};

/// What carries a frame from a cable's end to others: the adapter.
pub trait Switch: Send {
    /// Puts one frame in at `from`.
    fn carry(&mut self, from: Place, frame: &[u8]) -> Carried;
}

/// What became of one frame in the adapter, which does not change frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// Where it came out. Empty = it was dropped, or it was for nobody.
    pub reached: Vec<Place>,
    /// Which sides judged it, in their order.
    pub judged: Vec<Direction>,
}

/// One frame that somebody put on a cable, and where it came out of the adapter.
#[derive(Debug, Clone)]
pub struct Crossing {
    /// Who sent it.
    pub from: Party,
    /// The whole frame, without FCS.
    pub frame: Vec<u8>,
    /// What became of it.
    pub carried: Carried,
}
