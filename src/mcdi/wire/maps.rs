//! Messages about the subnet map and the port-range maps (ef10.md 7.3). Their replies are empty.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `MC_CMD_SUBNET_MAP_SET_NODE_IN`.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SubnetMapSetNodeIn {
    /// Node, 0 = root.
    pub node_id: U32,
    /// A subnet id (leaf), or a node id times the entries per node (pointer); 1 to 508 words.
    pub entry: [U16],
}

/// BRANCH_KEY of a leaf.
pub const LEAF_NODE_KEY: u16 = 0xffff;

/// `PORTRANGE_TREE_ENTRY`. REMOTE_ and LOCAL_PORTRANGE_MAP_SET_TREE carry 1 to 255 of them.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PortrangeTreeEntry {
    /// Ports up to this go left, others right; [`LEAF_NODE_KEY`] marks a leaf.
    pub branch_key: U16,
    /// Id of a leaf.
    pub leaf_portrange_id: U16,
}
