//! Entries without origins.

use crate::tables::{Action, CounterId, ImageEntry, RuleKey};
use crate::terms::Direction;
use std::collections::BTreeMap;

/// What an entry says, without its origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Content {
    pub rx: Action,
    pub tx: Action,
    pub counter: Option<CounterId>,
}

impl Content {
    pub fn action(&self, direction: Direction) -> Action {
        match direction {
            Direction::Rx => self.rx,
            Direction::Tx => self.tx,
        }
    }

    pub fn set(&mut self, direction: Direction, action: Action) {
        match direction {
            Direction::Rx => self.rx = action,
            Direction::Tx => self.tx = action,
        }
    }

    pub fn is_none(&self) -> bool {
        self.rx == Action::None && self.tx == Action::None
    }
}

impl From<&ImageEntry> for Content {
    fn from(entry: &ImageEntry) -> Self {
        Self { rx: entry.rx.action, tx: entry.tx.action, counter: entry.counter }
    }
}

/// Entries by what they match.
pub(super) type Rules = BTreeMap<RuleKey, Content>;
