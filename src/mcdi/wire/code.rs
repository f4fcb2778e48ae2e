//! Command codes.

/// An MCDI command code (`MC_CMD_*`). Open: any number is a code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cmd(pub u16);

open_numbers! {
    Cmd: else "command";

    /// Where the MC's events go (ef10.md 3.4).
    LOG_CTRL = 0x7,
    /// Firmware version (ef10.md 5.1).
    GET_VERSION = 0x8,
    /// Announces the driver and its wish for a firmware variant (ef10.md 5.2).
    DRV_ATTACH = 0x1c,
    /// Frees what the function holds of the adapter (ef10.md 5.5).
    ENTITY_RESET = 0x20,
    /// MAC addresses of the function (ef10.md 5.3).
    GET_MAC_ADDRESSES = 0x55,
    /// Reads or changes the privileges of a function (ef10.md 4.9).
    PRIVILEGE_MASK = 0x5a,
    /// Makes an event queue (ef10.md 5.7).
    INIT_EVQ = 0x80,
    /// Takes an event queue away (ef10.md 5.7).
    FINI_EVQ = 0x83,
    /// Gives the function virtual interfaces (ef10.md 5.5).
    ALLOC_VIS = 0x8b,
    /// Takes them away (ef10.md 5.5).
    FREE_VIS = 0x8c,
    /// Physical port of the function (ef10.md 5.3).
    GET_PORT_ASSIGNMENT = 0xb8,
    /// Running firmware variant and its flags (ef10.md 5.4).
    GET_CAPABILITIES = 0xbe,
    /// With operation 3: sizes of the security tables (ef10.md 7.1).
    GET_PARSER_DISP_INFO = 0xe4,
    /// Numbers of the function (ef10.md 5.3).
    GET_FUNCTION_INFO = 0xec,
    /// Writes one rule (ef10.md 7.2).
    SET_SECURITY_RULE = 0x10f,
    /// Drops the rules of one physical port or of all (ef10.md 7.2).
    RESET_SECURITY_RULES = 0x110,
    /// Hash of all that is active (ef10.md 7.2).
    GET_SECURITY_RULESET_VERSION = 0x111,
    /// Allocates counter pairs (ef10.md 7.2).
    SECURITY_RULE_COUNTER_ALLOC = 0x112,
    /// Frees counter pairs (ef10.md 7.2).
    SECURITY_RULE_COUNTER_FREE = 0x113,
    /// Writes one node of the subnet trie (ef10.md 7.3).
    SUBNET_MAP_SET_NODE = 0x114,
    /// Writes the tree over remote ports (ef10.md 7.3).
    REMOTE_PORTRANGE_MAP_SET_TREE = 0x115,
    /// Writes the tree over local ports (ef10.md 7.3).
    LOCAL_PORTRANGE_MAP_SET_TREE = 0x116,
    /// Handles what an MC reboot loads (ef10.md 7.6).
    MANAGE_SECURITY_RULESET_CACHE = 0x11a,
    /// Blocks or admits all traffic whatever the rules say (ef10.md 7.5).
    TSA_RULESET_OVERRIDE = 0x12a,
    /// Reads or clears counter pairs (ef10.md 7.4).
    TSA_STATISTICS = 0x130,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_keep_their_number() {
        assert_eq!(Cmd::SET_SECURITY_RULE.to_string(), "SET_SECURITY_RULE");
        assert_eq!(Cmd(0x7ffe).to_string(), "command 0x7ffe");
    }
}
