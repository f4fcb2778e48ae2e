//! The tables as the commands wrote them.

use nicfw::tables::SubnetNode;

use super::hash::Fnv;
use super::maps::{PortTree, Trie};
use super::snapshot::Snapshot;
use super::table::RuleTable;

/// The tables that a version hash, a snapshot and the cache speak of.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub rules: RuleTable,
    pub subnets: Trie,
    pub remote_ports: PortTree,
    pub local_ports: PortTree,
}

impl Tables {
    pub fn snapshot(&self) -> Snapshot {
        let rules = self.rules.iter().map(|(key, entry)| (*key, *entry));
        let node = |(id, entries): (u32, &[u16])| SubnetNode { id, entries: entries.to_vec() };
        Snapshot {
            rules: rules.collect(),
            subnet_nodes: self.subnets.nodes().map(node).collect(),
            remote_ports: self.remote_ports.entries().map(<[_]>::to_vec),
            local_ports: self.local_ports.entries().map(<[_]>::to_vec),
        }
    }

    /// A hash over their content, and over `salt`.
    pub fn hash(&self, salt: u64) -> [u8; 16] {
        use std::hash::Hash;
        let mut hash = Fnv::new().u64(salt);
        let snapshot = self.snapshot();
        snapshot.rules.hash(&mut hash);
        snapshot.subnet_nodes.hash(&mut hash);
        snapshot.remote_ports.hash(&mut hash);
        snapshot.local_ports.hash(&mut hash);
        let low = hash.finish();
        let high = hash.u64(low).finish();
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }
}
