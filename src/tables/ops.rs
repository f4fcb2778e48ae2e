//! Table operations on an adapter.

use super::codec::{CodecError, encode};
use super::{TableOp, Target};
use crate::mcdi::wire::{MAX_PAYLOAD, SetSecurityRuleOut};
use crate::mcdi::{Channel, McdiError};

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
    channel.call(encoded.cmd, &payload[..encoded.len], min_reply)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcdi::fake::{FakeNic, refuse, respond};
    use crate::mcdi::wire::McErrno;
    use crate::tables::{Action, RuleKey, SubnetNode};

    fn rule() -> TableOp {
        TableOp::SetRule { key: RuleKey::default(), rx: Action::None, tx: Action::None, counter: None }
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
