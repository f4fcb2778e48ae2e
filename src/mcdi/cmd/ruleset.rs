//! Commands about the rule set as a whole (ef10.md 7.1, 7.2, 7.5, 7.6).

use std::fmt;

use zerocopy::IntoBytes;

use super::super::wire::{
    ALL_PHYSICAL_PORTS, CACHE_COMMIT, CACHE_GET_CACHED_VERSION, CACHE_INVALIDATE, CACHE_ROLLBACK, CACHE_VALID, Cmd,
    GetParserDispInfoIn, ManageSecurityRulesetCacheIn, ManageSecurityRulesetCacheOut, OP_GET_SECURITY_RULE_INFO,
    OVERRIDE_ALLOW, OVERRIDE_BLOCK, OVERRIDE_NONE, ResetSecurityRulesIn, SecurityRuleInfoOut, TsaRulesetOverrideIn,
    zero_extended,
};
use super::super::{Channel, McdiError};

/// GET_PARSER_DISP_INFO with operation GET_SECURITY_RULE_INFO: version of the rule semantics and sizes of the maps, as the
/// firmware tells them.
///
/// # Errors
/// See [`McdiError`].
pub fn get_security_rule_info(channel: &mut Channel) -> Result<SecurityRuleInfoOut, McdiError> {
    let cmd = Cmd::GET_PARSER_DISP_INFO;
    let request = GetParserDispInfoIn { op: OP_GET_SECURITY_RULE_INFO.into() };
    let min = size_of::<SecurityRuleInfoOut>();
    let out: SecurityRuleInfoOut = zero_extended(channel.call(cmd, request.as_bytes(), min)?);
    if out.op.get() != OP_GET_SECURITY_RULE_INFO {
        return Err(McdiError::BadReply { cmd, field: "OP", value: out.op.get().into() });
    }
    Ok(out)
}

/// RESET_SECURITY_RULES: drops the rules of all physical ports.
///
/// # Errors
/// See [`McdiError`].
pub fn reset_rules(channel: &mut Channel) -> Result<(), McdiError> {
    let request = ResetSecurityRulesIn { physical_port: ALL_PHYSICAL_PORTS.into() };
    channel.call(Cmd::RESET_SECURITY_RULES, request.as_bytes(), 0).map(drop)
}

/// Opaque hash over all rules and maps of the adapter. Equal content is assumed to give equal hashes (assumption A13).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulesetVersion(Box<[u8]>);

impl RulesetVersion {
    /// The hash that a record holds.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The hash, 1 to 1,020 bytes; its length depends on the firmware.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RulesetVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RulesetVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RulesetVersion({self})")
    }
}

/// GET_SECURITY_RULESET_VERSION.
///
/// # Errors
/// See [`McdiError`].
pub fn get_version(channel: &mut Channel) -> Result<RulesetVersion, McdiError> {
    channel.call(Cmd::GET_SECURITY_RULESET_VERSION, &[], 1).map(RulesetVersion::from_bytes)
}

/// What decides instead of the rules. The rules stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// Nothing: the rules decide.
    None,
    /// All traffic is dropped but ARP and what the adapter itself needs.
    Block,
    /// All traffic passes.
    Allow,
}

/// TSA_RULESET_OVERRIDE.
///
/// # Errors
/// See [`McdiError`].
pub fn set_override(channel: &mut Channel, state: Override) -> Result<(), McdiError> {
    let state = match state {
        Override::None => OVERRIDE_NONE,
        Override::Block => OVERRIDE_BLOCK,
        Override::Allow => OVERRIDE_ALLOW,
    };
    let request = TsaRulesetOverrideIn { state: state.into() };
    channel.call(Cmd::TSA_RULESET_OVERRIDE, request.as_bytes(), 0).map(drop)
}

/// What to do with the set that an MC reboot loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOp {
    /// Tell its version.
    GetVersion,
    /// Make it the active set. ENOENT without one.
    Rollback,
    /// Replace it by the active set.
    Commit,
    /// Forget it; a reboot then loads a default set that nobody has described.
    Invalidate,
}

/// MANAGE_SECURITY_RULESET_CACHE. Returns the version of the cached set afterwards, `None` for an invalid cache.
///
/// # Errors
/// See [`McdiError`].
pub fn manage_cache(channel: &mut Channel, op: CacheOp) -> Result<Option<RulesetVersion>, McdiError> {
    let cmd = Cmd::MANAGE_SECURITY_RULESET_CACHE;
    let op = match op {
        CacheOp::GetVersion => CACHE_GET_CACHED_VERSION,
        CacheOp::Rollback => CACHE_ROLLBACK,
        CacheOp::Commit => CACHE_COMMIT,
        CacheOp::Invalidate => CACHE_INVALIDATE,
    };
    let request = ManageSecurityRulesetCacheIn { op: op.into() };
    let head = size_of::<ManageSecurityRulesetCacheOut>();
    let reply = channel.call(cmd, request.as_bytes(), head)?;
    let out: ManageSecurityRulesetCacheOut = zero_extended(reply);
    let version = reply.get(head..).unwrap_or_default();
    match out.state.get() {
        CACHE_VALID if version.is_empty() => Err(McdiError::ShortReply { cmd, len: head, min: head + 1 }),
        CACHE_VALID => Ok(Some(RulesetVersion::from_bytes(version))),
        0 => Ok(None),
        state => Err(McdiError::BadReply { cmd, field: "STATE", value: state.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcdi::fake::golden;

    /// GET_PARSER_DISP_INFO_IN: OP 3. OUT: OP 3, RULES_VERSION 0, 3500 nodes of 16, subnet ids 56000 to 65534, trees of 255,
    /// port-range ids 1 to 254.
    #[test]
    fn security_rule_info() {
        let request = "ff 00 00 00 e4 00 04 00  03 00 00 00";
        let reply = "ff 00 80 00 e4 00 24 00  03 00 00 00  00 00 00 00  ac 0d 00 00  10 00 00 00 \
                     c0 da 00 00  fe ff 00 00  ff 00 00 00  01 00 00 00  fe 00 00 00";
        let info = golden(request, reply, get_security_rule_info).unwrap();
        assert_eq!(info.rules_version.get(), 0);
        assert_eq!((info.subnet_map_num_nodes.get(), info.subnet_map_num_entries_per_node.get()), (3500, 16));
        assert_eq!((info.subnet_id_min.get(), info.subnet_id_max.get()), (56_000, 65_534));
        assert_eq!(info.portrange_tree_num_entries.get(), 255);
        assert_eq!((info.portrange_id_min.get(), info.portrange_id_max.get()), (1, 254));
        let other = reply.replacen("03 00 00 00", "01 00 00 00", 1);
        let error = golden(request, &other, get_security_rule_info).unwrap_err();
        assert!(matches!(error, McdiError::BadReply { field: "OP", value: 1, .. }), "{error}");
    }

    /// RESET_SECURITY_RULES_IN: ALL_PHYSICAL_PORTS.
    #[test]
    fn reset() {
        golden("ff 00 00 00 10 01 04 00  ff ff ff ff", "ff 00 80 00 10 01 00 00", reset_rules).unwrap();
    }

    /// GET_SECURITY_RULESET_VERSION_OUT: VERSION, here of 5 bytes.
    #[test]
    fn version() {
        let request = "ff 00 00 00 11 01 00 00";
        let version = golden(request, "ff 00 80 00 11 01 05 00  de ad be ef 01", get_version).unwrap();
        assert_eq!(version.to_string(), "deadbeef01");
        let error = golden(request, "ff 00 80 00 11 01 00 00", get_version).unwrap_err();
        assert!(matches!(error, McdiError::ShortReply { len: 0, min: 1, .. }), "{error}");
    }

    /// TSA_RULESET_OVERRIDE_IN: NONE 0, BLOCK 1, ALLOW 2.
    #[test]
    fn overrides() {
        for (state, byte) in [(Override::None, "00"), (Override::Block, "01"), (Override::Allow, "02")] {
            let request = format!("ff 00 00 00 2a 01 04 00  {byte} 00 00 00");
            golden(&request, "ff 00 80 00 2a 01 00 00", |c| set_override(c, state)).unwrap();
        }
    }

    /// MANAGE_SECURITY_RULESET_CACHE: operations 0 to 3; STATE 1 with a version, STATE 0 without.
    #[test]
    fn cache() {
        let ops = [CacheOp::GetVersion, CacheOp::Rollback, CacheOp::Commit, CacheOp::Invalidate];
        for (op, byte) in ops.into_iter().zip(["00", "01", "02", "03"]) {
            let request = format!("ff 00 00 00 1a 01 04 00  {byte} 00 00 00");
            let valid = "ff 00 80 00 1a 01 06 00  01 00 00 00  ab cd";
            let version = golden(&request, valid, |c| manage_cache(c, op)).unwrap().unwrap();
            assert_eq!(version.as_bytes(), [0xab, 0xcd]);
            let invalid = "ff 00 80 00 1a 01 04 00  00 00 00 00";
            assert_eq!(golden(&request, invalid, |c| manage_cache(c, op)).unwrap(), None);
        }
    }

    #[test]
    fn a_cache_is_valid_with_a_version_or_invalid() {
        let commit = |reply| {
            golden("ff 00 00 00 1a 01 04 00  02 00 00 00", reply, |c| manage_cache(c, CacheOp::Commit)).unwrap_err()
        };
        let error = commit("ff 00 80 00 1a 01 04 00  01 00 00 00");
        assert!(matches!(error, McdiError::ShortReply { len: 4, min: 5, .. }), "{error}");
        let error = commit("ff 00 80 00 1a 01 05 00  02 00 00 00 ab");
        assert!(matches!(error, McdiError::BadReply { field: "STATE", value: 2, .. }), "{error}");
    }
}
