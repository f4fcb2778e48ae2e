//! Table operations to command bytes.
//!
//! Every field is checked against the adapter's [`Target`] on the way out: what the adapter cannot hold, or would read as
//! something else, is never sent.

use std::net::IpAddr;

use zerocopy::{FromBytes, IntoBytes};

use crate::mcdi::cmd::counters::RESERVED_IDS;
use crate::mcdi::wire::{
    ACTION_BLACKLIST, ACTION_NONE, ACTION_SAMPLE, ACTION_WHITELIST, COUNTER_NONE, Cmd, LEAF_NODE_KEY, MAX_PAYLOAD,
    PortrangeTreeEntry, SetSecurityRuleIn, SubnetMapSetNodeIn,
};
use crate::tables::{Action, CounterId, FieldError, PortTreeEntry, RuleKey, SubnetNode, TableOp, Target};

/// An operation that cannot be sent to this adapter, or bytes that are no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A field lies outside what the adapter takes.
    #[error("{field} {value} is outside {min} to {max}, which is what the adapter takes")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// Smallest possible value.
        min: u32,
        /// Largest possible value.
        max: u32,
    },
    /// A field of an entry cannot hold its value.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A counter id that names no allocated pair.
    #[error("counter id {id:#x} is reserved")]
    ReservedCounter {
        /// The id.
        id: u32,
    },
    /// A word of a subnet node is neither a subnet id nor a pointer to a node other than the root.
    #[error(
        "word {index} of the subnet node is {word}, neither a subnet id nor a pointer to another node than the root"
    )]
    BadSubnetWord {
        /// Which word.
        index: usize,
        /// Its value.
        word: u16,
    },
    /// An entry of a port-range tree is no leaf and lacks a child.
    #[error("entry {index} of the port-range tree is not a leaf, and its children lie outside the tree")]
    NoChild {
        /// Which entry.
        index: usize,
    },
    /// The command is none of the table operations.
    #[error("{cmd} is not a table operation")]
    NotATableCommand {
        /// The command.
        cmd: Cmd,
    },
    /// The payload has a length that the command cannot have.
    #[error("{cmd} cannot have {len} bytes")]
    BadLength {
        /// The command.
        cmd: Cmd,
        /// Length of the payload in bytes.
        len: usize,
    },
}

/// A command that is ready to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// Which command.
    pub cmd: Cmd,
    /// Length of the payload in bytes.
    pub len: usize,
}

/// Writes the command's payload to the start of `into`.
///
/// # Errors
/// See [`CodecError`]: the adapter does not take the operation. What `into` holds then is unspecified.
pub fn encode(op: &TableOp, target: &Target, into: &mut [u8; MAX_PAYLOAD]) -> Result<Encoded, CodecError> {
    match op {
        TableOp::SetRule { key, rx, tx, counter } => {
            let rule = rule_in(key, *rx, *tx, *counter, target)?;
            put(Cmd::SET_SECURITY_RULE, rule.as_bytes(), into)
        }
        TableOp::SetSubnetNode(node) => encode_node(node, target, into),
        TableOp::SetRemotePortTree(tree) => encode_tree(Cmd::REMOTE_PORTRANGE_MAP_SET_TREE, tree, target, into),
        TableOp::SetLocalPortTree(tree) => encode_tree(Cmd::LOCAL_PORTRANGE_MAP_SET_TREE, tree, target, into),
    }
}

fn put(cmd: Cmd, bytes: &[u8], into: &mut [u8; MAX_PAYLOAD]) -> Result<Encoded, CodecError> {
    let len = bytes.len();
    into.get_mut(..len).ok_or(CodecError::BadLength { cmd, len })?.copy_from_slice(bytes);
    Ok(Encoded { cmd, len })
}

pub(super) fn in_range(field: &'static str, value: u32, min: u32, max: u32) -> Result<u32, CodecError> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(CodecError::OutOfRange { field, value, min, max }) }
}

fn rule_in(
    key: &RuleKey,
    rx: Action,
    tx: Action,
    counter: Option<CounterId>,
    target: &Target,
) -> Result<SetSecurityRuleIn, CodecError> {
    target.takes(key)?;
    let counter_id = counter.map_or(COUNTER_NONE, |id| id.0);
    if counter.is_some() && RESERVED_IDS.contains(&counter_id) {
        return Err(CodecError::ReservedCounter { id: counter_id });
    }
    // Every field has its place in the command.
    let &RuleKey {
        local_ip,
        local_mac,
        physical_port,
        outer_vlan,
        inner_vlan,
        ether_type,
        ip_proto,
        remote_ip,
        remote_mac,
        remote_subnet,
        remote_port,
        remote_portrange,
        local_port,
        local_portrange,
    } = key;
    Ok(SetSecurityRuleIn {
        match_fields: key.fields().bits().into(),
        remote_mac: remote_mac.unwrap_or_default().0,
        remote_port: remote_port.unwrap_or(0).into(),
        local_mac: local_mac.unwrap_or_default().0,
        local_port: local_port.unwrap_or(0).into(),
        ether_type: ether_type.unwrap_or(0).into(),
        inner_vlan: inner_vlan.unwrap_or(0).into(),
        outer_vlan: outer_vlan.unwrap_or(0).into(),
        ip_proto: ip_proto.unwrap_or(0),
        ip_proto_high: 0,
        physical_port: physical_port.unwrap_or(0).into(),
        reserved: 0.into(),
        remote_ip: address_bytes(remote_ip),
        local_ip: address_bytes(local_ip),
        remote_subnet_id: remote_subnet.map_or(0, |id| u32::from(id.0)).into(),
        remote_portrange_id: remote_portrange.map_or(0, |id| u32::from(id.0)).into(),
        local_portrange_id: local_portrange.map_or(0, |id| u32::from(id.0)).into(),
        tx_action: action_code(tx).into(),
        rx_action: action_code(rx).into(),
        counter_id: counter_id.into(),
    })
}

/// An address as a rule carries it: IPv4 in the first 4 bytes, zeros behind.
fn address_bytes(addr: Option<IpAddr>) -> [u8; 16] {
    let mut bytes = [0; 16];
    match addr {
        None => {}
        Some(IpAddr::V4(v4)) => bytes[..4].copy_from_slice(&v4.octets()),
        Some(IpAddr::V6(v6)) => bytes = v6.octets(),
    }
    bytes
}

fn action_code(action: Action) -> u32 {
    let with = |sample| if sample { ACTION_SAMPLE } else { 0 };
    match action {
        Action::None => ACTION_NONE,
        Action::Allow { sample } => ACTION_WHITELIST | with(sample),
        Action::Deny { sample } => ACTION_BLACKLIST | with(sample),
    }
}

fn encode_node(node: &SubnetNode, target: &Target, into: &mut [u8; MAX_PAYLOAD]) -> Result<Encoded, CodecError> {
    let cmd = Cmd::SUBNET_MAP_SET_NODE;
    let sizes = &target.sizes;
    in_range("subnet node", node.id, 0, sizes.subnet_nodes.saturating_sub(1))?;
    let len = count(node.entries.len());
    in_range("words of a subnet node", len, sizes.entries_per_node, sizes.entries_per_node)?;
    for (index, word) in node.entries.iter().enumerate() {
        let value = u32::from(*word);
        let is_id = (sizes.subnet_id_min..=sizes.subnet_id_max).contains(&value);
        let is_pointer = value != 0
            && value.is_multiple_of(sizes.entries_per_node)
            && value / sizes.entries_per_node < sizes.subnet_nodes;
        if !is_id && !is_pointer {
            return Err(CodecError::BadSubnetWord { index, word: *word });
        }
    }
    let len = 4 + 2 * node.entries.len();
    let bytes = into.get_mut(..len).ok_or(CodecError::BadLength { cmd, len })?;
    let message = SubnetMapSetNodeIn::mut_from_bytes(bytes).map_err(|_| CodecError::BadLength { cmd, len })?;
    message.node_id = node.id.into();
    message.entry.iter_mut().zip(&node.entries).for_each(|(to, word)| *to = (*word).into());
    Ok(Encoded { cmd, len })
}

fn encode_tree(
    cmd: Cmd,
    tree: &[PortTreeEntry],
    target: &Target,
    into: &mut [u8; MAX_PAYLOAD],
) -> Result<Encoded, CodecError> {
    in_range("entries of the port-range tree", count(tree.len()), 1, target.sizes.port_tree_entries)?;
    check_subtree(tree, 0, target)?;
    let len = 4 * tree.len();
    let bytes = into.get_mut(..len).ok_or(CodecError::BadLength { cmd, len })?;
    let message = <[PortrangeTreeEntry]>::mut_from_bytes(bytes).map_err(|_| CodecError::BadLength { cmd, len })?;
    for (to, entry) in message.iter_mut().zip(tree) {
        *to = PortrangeTreeEntry { branch_key: entry.branch_key.into(), leaf_portrange_id: entry.leaf_id.into() };
    }
    Ok(Encoded { cmd, len })
}

/// Checks what a lookup can reach from entry `index` on. Entries out of reach do not matter.
fn check_subtree(tree: &[PortTreeEntry], index: usize, target: &Target) -> Result<(), CodecError> {
    let sizes = &target.sizes;
    let entry = tree.get(index).ok_or(CodecError::NoChild { index })?;
    if entry.branch_key == LEAF_NODE_KEY {
        return in_range("leaf id", entry.leaf_id.into(), sizes.portrange_id_min, sizes.portrange_id_max).map(drop);
    }
    // Assumption A5: heap order.
    let (left, right) = (2 * index + 1, 2 * index + 2);
    if right >= tree.len() {
        return Err(CodecError::NoChild { index });
    }
    check_subtree(tree, left, target)?;
    check_subtree(tree, right, target)
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
