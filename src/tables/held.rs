//! What the adapter's tables hold.

use std::collections::BTreeMap;

use super::{Entry, PortTreeEntry, RuleKey, TableOp};

/// What the adapter's tables hold, as far as it is known: what commands put there. They are taken as they come, and nothing
/// is checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tables {
    /// Entries of the rule table.
    pub rules: BTreeMap<RuleKey, Entry>,
    /// Words of the nodes of the subnet map, by the ids of the nodes.
    pub nodes: BTreeMap<u32, Vec<u16>>,
    /// The port-range trees: of remote ports, of local ports.
    pub trees: [Vec<PortTreeEntry>; 2],
}

impl Tables {
    /// The entries of an image, and no maps.
    #[cfg(feature = "device")]
    #[must_use]
    pub fn of_rules(image: &super::Image) -> Self {
        let rules = image.rules.iter().map(|(key, entry)| (*key, entry.into())).collect();
        Self { rules, ..Self::default() }
    }

    /// Does what a command does.
    pub fn apply(&mut self, op: &TableOp) {
        match op {
            TableOp::SetRule { key, rx, tx, counter } => {
                self.set(*key, Entry { rx: *rx, tx: *tx, counter: *counter });
            }
            TableOp::SetSubnetNode(node) => {
                self.nodes.insert(node.id, node.entries.clone());
            }
            TableOp::SetRemotePortTree(tree) => self.trees[0].clone_from(tree),
            TableOp::SetLocalPortTree(tree) => self.trees[1].clone_from(tree),
        }
    }

    /// Sets one entry; one without any action frees it. What was there before.
    pub fn set(&mut self, key: RuleKey, entry: Entry) -> Option<Entry> {
        if entry.is_none() { self.rules.remove(&key) } else { self.rules.insert(key, entry) }
    }
}
