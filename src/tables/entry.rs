//! One entry of the rule table, with who asked for it.

use super::{Action, CounterId};

/// Names one origin of an entry: an index into the compiled document's list of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub u32);

/// One entry of the rule table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageEntry {
    /// What it does to received frames.
    pub rx: Side,
    /// What it does to transmitted frames.
    pub tx: Side,
    /// Its counter pair.
    pub counter: Option<CounterId>,
}

/// One direction of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// What it does.
    pub action: Action,
    /// Who asked for it, sorted; empty for [`Action::None`].
    pub origins: Vec<OriginId>,
}
