//! All tables, read back.

use std::collections::BTreeMap;
use std::fmt;

use nicfw::tables::{Entry, PortTreeEntry, RuleKey, SubnetNode};

/// The content of all tables: the model's read-back, which no adapter offers. For tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Entries.
    pub rules: BTreeMap<RuleKey, Entry>,
    /// Nodes of the subnet trie that were written, by rising id.
    pub subnet_nodes: Vec<SubnetNode>,
    /// Remote port-range tree, once written.
    pub remote_ports: Option<Vec<PortTreeEntry>>,
    /// Local port-range tree, once written.
    pub local_ports: Option<Vec<PortTreeEntry>>,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, Entry { rx, tx, counter }) in &self.rules {
            writeln!(f, "{key}: rx {rx:?}, tx {tx:?}, counter {counter:?}")?;
        }
        for node in &self.subnet_nodes {
            writeln!(f, "node {}: {:?}", node.id, node.entries)?;
        }
        for (name, tree) in [("remote", &self.remote_ports), ("local", &self.local_ports)] {
            if let Some(tree) = tree {
                writeln!(f, "{name} ports: {} entries", tree.len())?;
            }
        }
        Ok(())
    }
}
