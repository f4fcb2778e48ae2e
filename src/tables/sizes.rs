//! How large the tables of an adapter are, and which sizes make sense.

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

/// A size with which no tables can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} = {value}, expected {expected}")]
#[non_exhaustive]
pub struct BadSize {
    /// Which, as [`Target::named_sizes`](super::Target::named_sizes) calls it.
    pub name: &'static str,
    /// Its value.
    pub value: u32,
    /// What would make sense.
    pub expected: &'static str,
}

/// The largest word of a map.
const LARGEST: u32 = u16::MAX as u32;

fn must(holds: bool, name: &'static str, value: u32, expected: &'static str) -> Result<(), BadSize> {
    if holds { Ok(()) } else { Err(BadSize { name, value, expected }) }
}

fn range(min: u32, max: u32) -> bool {
    min <= max && max <= LARGEST
}

impl Sizes {
    /// The sizes, if an adapter can have them (A4, A5): whoever takes sizes from an adapter or from a caller asks here.
    ///
    /// # Errors
    /// The first size that makes no sense.
    pub fn check(self) -> Result<Self, BadSize> {
        self.bits_per_node()?;
        let entries = self.port_tree_entries;
        must((1..=255).contains(&entries), "port_tree_entries", entries, "1 to 255")?;
        let (min, max) = (self.portrange_id_min, self.portrange_id_max);
        must(range(min, max), "portrange_id_max", max, "portrange_id_min to 65535")?;
        Ok(self)
    }

    /// Bits of an address that one node of the subnet map takes.
    ///
    /// # Errors
    /// The first size with which no subnet map can be built.
    pub(super) fn bits_per_node(&self) -> Result<u32, BadSize> {
        let (nodes, per_node) = (self.subnet_nodes, self.entries_per_node);
        must(matches!(per_node, 2 | 4 | 16 | 256), "entries_per_node", per_node, "2, 4, 16 or 256")?;
        must(nodes >= 1, "subnet_nodes", nodes, "at least 1")?;
        let last_pointer = (nodes - 1).saturating_mul(per_node);
        must(last_pointer <= LARGEST, "subnet_nodes", nodes, "(subnet_nodes - 1) * entries_per_node of at most 65535")?;
        let (min, max) = (self.subnet_id_min, self.subnet_id_max);
        must(range(min, max), "subnet_id_max", max, "subnet_id_min to 65535")?;
        // A word of a node is an id or a pointer to another node.
        must(last_pointer < min, "subnet_id_min", min, "more than (subnet_nodes - 1) * entries_per_node")?;
        Ok(per_node.ilog2())
    }

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
