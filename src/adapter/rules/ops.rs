//! Table operations on an adapter.

use super::codec::{CodecError, encode};
use crate::mcdi::wire::{MAX_PAYLOAD, SetSecurityRuleOut};
use crate::mcdi::{Channel, McdiError};
use crate::tables::{TableOp, Target};

/// A table operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The adapter does not take the operation. Nothing was sent.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The command failed.
    #[error(transparent)]
    Mcdi(#[from] McdiError),
}

/// Carries out one operation: one command.
///
/// # Errors
/// See [`TableError`]; [`McdiError::had_no_effect`] tells whether the tables are certainly unchanged.
pub fn execute(channel: &mut Channel, target: &Target, op: &TableOp) -> Result<(), TableError> {
    let mut payload = [0; MAX_PAYLOAD];
    let encoded = encode(op, target, &mut payload)?;
    let min_reply = if matches!(op, TableOp::SetRule { .. }) { size_of::<SetSecurityRuleOut>() } else { 0 };
    channel.call(encoded.cmd, payload.get(..encoded.len).unwrap_or_default(), min_reply)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcdi::fake::{FakeNic, golden, refuse, respond};
    use crate::mcdi::wire::McErrno;
    use crate::tables::{Action, PortTreeEntry, RuleKey, SubnetNode};

    fn rule() -> TableOp {
        TableOp::SetRule { key: RuleKey::default(), rx: Action::None, tx: Action::None, counter: None }
    }

    /// Whole frames: a v2 header each. SET_SECURITY_RULE_IN with no field, TX_ACTION and RX_ACTION NONE, COUNTER_ID NONE; OUT:
    /// COUNTER_REFCNT 0, the LUE fields, COUNTER_ID 0. The maps have empty replies.
    #[test]
    fn frames_are_those_of_the_documents() {
        let run = |op: &TableOp, request: &str, reply: &str| {
            golden(request, reply, |channel| execute(channel, &Target::profile0(), op)).unwrap();
        };
        let request = format!("ff 00 00 00 0f 01 5c 00 {}", " 00".repeat(92));
        let reply = "ff 00 80 00 0f 01 20 00  00 00 00 00  01 02 03 04 05 06 07 08 09 0a 0b 0c  0d 00 00 00 \
                     10 00 00 00  01 00 00 00  00 00 00 00";
        run(&rule(), &request, reply);
        let node = TableOp::SetSubnetNode(SubnetNode { id: 2, entries: vec![56_000; 16] });
        let request = format!("ff 00 00 00 14 01 24 00  02 00 00 00 {}", " c0 da".repeat(16));
        run(&node, &request, "ff 00 80 00 14 01 00 00");
        let tree = vec![PortTreeEntry { branch_key: 0xffff, leaf_id: 3 }];
        let remote = TableOp::SetRemotePortTree(tree.clone());
        run(&remote, "ff 00 00 00 15 01 04 00  ff ff 03 00", "ff 00 80 00 15 01 00 00");
        let local = TableOp::SetLocalPortTree(tree);
        run(&local, "ff 00 00 00 16 01 04 00  ff ff 03 00", "ff 00 80 00 16 01 00 00");
    }

    #[test]
    fn a_rule_needs_its_whole_reply_and_a_node_none() {
        let nic = FakeNic::new(|request| respond(request, &[0; 31]));
        let error = execute(&mut nic.channel(), &Target::profile0(), &rule()).unwrap_err();
        assert!(matches!(error, TableError::Mcdi(McdiError::ShortReply { len: 31, min: 32, .. })), "{error}");
        let nic = FakeNic::new(|request| respond(request, &[]));
        let node = TableOp::SetSubnetNode(SubnetNode { id: 0, entries: vec![56_000; 16] });
        execute(&mut nic.channel(), &Target::profile0(), &node).unwrap();
    }

    #[test]
    fn what_the_adapter_does_not_take_is_not_sent() {
        let nic = FakeNic::new(|_| panic!("sent"));
        let node = TableOp::SetSubnetNode(SubnetNode { id: 0, entries: vec![0; 16] });
        let error = execute(&mut nic.channel(), &Target::profile0(), &node).unwrap_err();
        assert!(matches!(error, TableError::Codec(CodecError::BadSubnetWord { .. })), "{error}");
    }

    #[test]
    fn refusals_come_through() {
        let nic = FakeNic::new(|request| refuse(request, 0x1c));
        let TableError::Mcdi(error) = execute(&mut nic.channel(), &Target::profile0(), &rule()).unwrap_err() else {
            panic!("sent")
        };
        assert_eq!(error.errno(), Some(McErrno::ENOSPC));
    }
}
