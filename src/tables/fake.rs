//! The adapter's tables as values, for unit tests: they take every operation, and check nothing.

use std::collections::BTreeMap;

use super::{Action, CounterId, PortTreeEntry, RuleKey, TableOp};

/// What the tables hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tables {
    pub rules: BTreeMap<RuleKey, (Action, Action, Option<CounterId>)>,
    pub nodes: BTreeMap<u32, Vec<u16>>,
    /// Remote, then local.
    pub trees: [Vec<PortTreeEntry>; 2],
}

impl Tables {
    pub fn execute(&mut self, op: &TableOp) {
        match op.clone() {
            TableOp::SetRule { key, rx: Action::None, tx: Action::None, .. } => {
                self.rules.remove(&key);
            }
            TableOp::SetRule { key, rx, tx, counter } => {
                self.rules.insert(key, (rx, tx, counter));
            }
            TableOp::SetSubnetNode(node) => {
                self.nodes.insert(node.id, node.entries);
            }
            TableOp::SetRemotePortTree(tree) => self.trees[0] = tree,
            TableOp::SetLocalPortTree(tree) => self.trees[1] = tree,
        }
    }
}
