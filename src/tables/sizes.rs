//! How large the tables of an adapter are.

/// Table sizes that an adapter reports (GET_SECURITY_RULE_INFO; ef10.md 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// SUBNET_MAP_NUM_NODES.
    pub subnet_nodes: u32,
    /// SUBNET_MAP_NUM_ENTRIES_PER_NODE: 2, 4, 16 or 256.
    pub entries_per_node: u32,
    /// SUBNET_ID_MIN.
    pub subnet_id_min: u32,
    /// SUBNET_ID_MAX, inclusive.
    pub subnet_id_max: u32,
    /// PORTRANGE_TREE_NUM_ENTRIES.
    pub port_tree_entries: u32,
    /// PORTRANGE_ID_MIN.
    pub portrange_id_min: u32,
    /// PORTRANGE_ID_MAX, inclusive.
    pub portrange_id_max: u32,
}

impl Sizes {
    /// Profile 0's sizes (A4, A5).
    #[must_use]
    pub fn profile0() -> Self {
        Self {
            subnet_nodes: 3500,
            entries_per_node: 16,
            subnet_id_min: 56_000,
            subnet_id_max: 65_534,
            port_tree_entries: 255,
            portrange_id_min: 1,
            portrange_id_max: 254,
        }
    }
}
