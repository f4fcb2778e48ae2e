//! One entry of the rule table: as the tables hold it, and with who asked for it.

use super::{Action, CounterId};
use crate::terms::Direction;

/// Names one origin of an entry: an index into the compiled document's list of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub u32);

/// One entry of the rule table, as the adapter holds it. The default says nothing, which frees the entry (assumption A11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Entry {
    /// What it does to received frames.
    pub rx: Action,
    /// What it does to transmitted frames.
    pub tx: Action,
    /// Its counter pair.
    pub counter: Option<CounterId>,
}

impl Entry {
    pub(crate) fn action(&self, direction: Direction) -> Action {
        match direction {
            Direction::Rx => self.rx,
            Direction::Tx => self.tx,
        }
    }

    pub(crate) fn set(&mut self, direction: Direction, action: Action) {
        match direction {
            Direction::Rx => self.rx = action,
            Direction::Tx => self.tx = action,
        }
    }

    /// True if it has no action, whatever its counter: the adapter holds no such entry.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.rx == Action::None && self.tx == Action::None
    }
}

impl From<&ImageEntry> for Entry {
    fn from(entry: &ImageEntry) -> Self {
        Self { rx: entry.rx.action, tx: entry.tx.action, counter: entry.counter }
    }
}

/// One entry of the rule table, with who asked for it.
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
