//! Commands that change the tables.

use super::{Action, CounterId, Entry, PortTreeEntry, RuleKey, SubnetNode};

/// One change of the adapter's tables: exactly one MCDI command, idempotent, carrying the complete state of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableOp {
    /// SET_SECURITY_RULE. Both actions [`Action::None`] free the entry (assumption A11).
    SetRule {
        /// What the entry matches.
        key: RuleKey,
        /// Action for received frames.
        rx: Action,
        /// Action for transmitted frames.
        tx: Action,
        /// Counter pair of the entry.
        counter: Option<CounterId>,
    },
    /// SUBNET_MAP_SET_NODE: one node, replaced atomically.
    SetSubnetNode(SubnetNode),
    /// REMOTE_PORTRANGE_MAP_SET_TREE: the whole tree, replaced atomically.
    SetRemotePortTree(Vec<PortTreeEntry>),
    /// LOCAL_PORTRANGE_MAP_SET_TREE: the whole tree, replaced atomically.
    SetLocalPortTree(Vec<PortTreeEntry>),
}

impl TableOp {
    /// Sets an entry.
    #[must_use]
    pub fn set_rule(key: RuleKey, Entry { rx, tx, counter }: Entry) -> Self {
        Self::SetRule { key, rx, tx, counter }
    }
}
