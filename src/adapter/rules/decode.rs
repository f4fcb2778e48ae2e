//! Command bytes to table operations, for models and tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::FromBytes;

use super::codec::{CodecError, in_range};
use crate::mcdi::cmd::counters::RESERVED_IDS;
use crate::mcdi::wire::{
    ACTION_BLACKLIST, ACTION_NONE, ACTION_SAMPLE, ACTION_WHITELIST, COUNTER_NONE, Cmd, PortrangeTreeEntry,
    SetSecurityRuleIn, SubnetMapSetNodeIn,
};
use crate::tables::{
    Action, CounterId, MatchFields, PortRangeId, PortTreeEntry, RuleKey, SubnetId, SubnetNode, TableOp,
};
use crate::terms::MacAddr;

/// Reads a command back: the inverse of [`encode`](super::codec::encode). What depends on an adapter's sizes is not checked.
///
/// # Errors
/// The command is none of the table operations, or a field has a value that no operation has.
pub fn decode(cmd: Cmd, payload: &[u8]) -> Result<TableOp, CodecError> {
    let bad_length = CodecError::BadLength { cmd, len: payload.len() };
    match cmd {
        Cmd::SET_SECURITY_RULE => {
            let rule = SetSecurityRuleIn::ref_from_bytes(payload).map_err(|_| bad_length)?;
            decode_rule(rule)
        }
        Cmd::SUBNET_MAP_SET_NODE => {
            let node = SubnetMapSetNodeIn::ref_from_bytes(payload).map_err(|_| bad_length)?;
            let entries = node.entry.iter().map(|word| word.get()).collect();
            Ok(TableOp::SetSubnetNode(SubnetNode { id: node.node_id.get(), entries }))
        }
        Cmd::REMOTE_PORTRANGE_MAP_SET_TREE => Ok(TableOp::SetRemotePortTree(decode_tree(payload).ok_or(bad_length)?)),
        Cmd::LOCAL_PORTRANGE_MAP_SET_TREE => Ok(TableOp::SetLocalPortTree(decode_tree(payload).ok_or(bad_length)?)),
        _ => Err(CodecError::NotATableCommand { cmd }),
    }
}

fn decode_rule(rule: &SetSecurityRuleIn) -> Result<TableOp, CodecError> {
    use MatchFields as F;
    let fields = rule.match_fields.get();
    let known = F::NAMED.bits();
    if fields & !known != 0 {
        return Err(CodecError::OutOfRange { field: "MATCH_FIELDS", value: fields, min: 0, max: known });
    }
    let has = |field: F| fields & field.bits() != 0;
    let class = |field, name, id: u32| {
        let id = if has(field) { in_range(name, id, 0, 0xffff)? } else { 0 };
        Ok::<_, CodecError>(has(field).then_some(u16::try_from(id).unwrap_or(u16::MAX)))
    };
    let vlan = |field, name, id: u16| match has(field) {
        true => in_range(name, id.into(), 0, 4095).map(|_| Some(id)),
        false => Ok(None),
    };
    if has(F::IP_PROTO) {
        in_range("IP_PROTO, high byte", rule.ip_proto_high.into(), 0, 0)?;
    }
    let key = RuleKey {
        local_ip: has(F::LOCAL_IP).then(|| address(rule.local_ip)),
        local_mac: has(F::LOCAL_MAC).then_some(MacAddr(rule.local_mac)),
        physical_port: has(F::PHYSICAL_PORT).then(|| rule.physical_port.get()),
        outer_vlan: vlan(F::OUTER_VLAN, "outer VLAN", rule.outer_vlan.get())?,
        inner_vlan: vlan(F::INNER_VLAN, "inner VLAN", rule.inner_vlan.get())?,
        ether_type: has(F::ETHER_TYPE).then(|| rule.ether_type.get()),
        ip_proto: has(F::IP_PROTO).then_some(rule.ip_proto),
        remote_ip: has(F::REMOTE_IP).then(|| address(rule.remote_ip)),
        remote_mac: has(F::REMOTE_MAC).then_some(MacAddr(rule.remote_mac)),
        remote_subnet: class(F::REMOTE_SUBNET_ID, "remote subnet id", rule.remote_subnet_id.get())?.map(SubnetId),
        remote_port: has(F::REMOTE_PORT).then(|| rule.remote_port.get()),
        remote_portrange: class(F::REMOTE_PORTRANGE_ID, "remote port-range id", rule.remote_portrange_id.get())?
            .map(PortRangeId),
        local_port: has(F::LOCAL_PORT).then(|| rule.local_port.get()),
        local_portrange: class(F::LOCAL_PORTRANGE_ID, "local port-range id", rule.local_portrange_id.get())?
            .map(PortRangeId),
    };
    let counter = match rule.counter_id.get() {
        COUNTER_NONE => None,
        id if RESERVED_IDS.contains(&id) => return Err(CodecError::ReservedCounter { id }),
        id => Some(CounterId(id)),
    };
    let rx = action("RX_ACTION", rule.rx_action.get())?;
    let tx = action("TX_ACTION", rule.tx_action.get())?;
    Ok(TableOp::SetRule { key, rx, tx, counter })
}

/// The address in a rule's 16 bytes; the inverse of [`address_bytes`].
fn address(bytes: [u8; 16]) -> IpAddr {
    match bytes {
        [a, b, c, d, rest @ ..] if rest == [0; 12] => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from(bytes).into(),
    }
}

fn action(field: &'static str, code: u32) -> Result<Action, CodecError> {
    let sample = code & ACTION_SAMPLE != 0;
    match code & !ACTION_SAMPLE {
        ACTION_NONE if !sample => Ok(Action::None),
        ACTION_WHITELIST => Ok(Action::Allow { sample }),
        ACTION_BLACKLIST => Ok(Action::Deny { sample }),
        _ => Err(CodecError::OutOfRange { field, value: code, min: 0, max: ACTION_BLACKLIST | ACTION_SAMPLE }),
    }
}

fn decode_tree(payload: &[u8]) -> Option<Vec<PortTreeEntry>> {
    let entries = <[PortrangeTreeEntry]>::ref_from_bytes(payload).ok().filter(|entries| !entries.is_empty())?;
    let entry =
        |e: &PortrangeTreeEntry| PortTreeEntry { branch_key: e.branch_key.get(), leaf_id: e.leaf_portrange_id.get() };
    Some(entries.iter().map(entry).collect())
}
