//! Which command changes what.

use nicfw::mcdi::wire::Cmd;
use nicfw::tables::TableOp;

/// The command that carries a table operation.
pub fn command(op: &TableOp) -> Cmd {
    match op {
        TableOp::SetRule { .. } => Cmd::SET_SECURITY_RULE,
        TableOp::SetSubnetNode(_) => Cmd::SUBNET_MAP_SET_NODE,
        TableOp::SetRemotePortTree(_) => Cmd::REMOTE_PORTRANGE_MAP_SET_TREE,
        TableOp::SetLocalPortTree(_) => Cmd::LOCAL_PORTRANGE_MAP_SET_TREE,
    }
}
