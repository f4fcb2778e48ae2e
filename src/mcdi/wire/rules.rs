//! Messages about rules and the whole rule set (ef10.md 7.1, 7.2, 7.5, 7.6).

use zerocopy::little_endian::U32;
use zerocopy::network_endian::U16 as NetU16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Operation GET_SECURITY_RULE_INFO of GET_PARSER_DISP_INFO.
pub const OP_GET_SECURITY_RULE_INFO: u32 = 3;

/// `MC_CMD_GET_PARSER_DISP_INFO_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetParserDispInfoIn {
    /// What to tell.
    pub op: U32,
}

/// `MC_CMD_GET_PARSER_DISP_SECURITY_RULE_INFO_OUT`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecurityRuleInfoOut {
    /// The operation, echoed.
    pub op: U32,
    /// Version of the rule semantics; 0 is SF-114946-SW draft C.
    pub rules_version: U32,
    /// Nodes of the subnet trie.
    pub subnet_map_num_nodes: U32,
    /// 16-bit words in each node.
    pub subnet_map_num_entries_per_node: U32,
    /// Smallest subnet id.
    pub subnet_id_min: U32,
    /// Largest subnet id.
    pub subnet_id_max: U32,
    /// Entries of a port-range tree.
    pub portrange_tree_num_entries: U32,
    /// Smallest port-range id.
    pub portrange_id_min: U32,
    /// Largest port-range id.
    pub portrange_id_max: U32,
}

/// TX_ACTION and RX_ACTION: no decision.
pub const ACTION_NONE: u32 = 0;
/// TX_ACTION and RX_ACTION: accept.
pub const ACTION_WHITELIST: u32 = 1;
/// TX_ACTION and RX_ACTION: drop.
pub const ACTION_BLACKLIST: u32 = 2;
/// TX_ACTION and RX_ACTION: bit to send a sample too.
pub const ACTION_SAMPLE: u32 = 4;
/// TX_ACTION and RX_ACTION: leave as it is. The driver never sends it: each command carries the complete state of its key.
pub const ACTION_UNCHANGED: u32 = 0xffff_ffff;

/// COUNTER_ID: no counter.
pub const COUNTER_NONE: u32 = 0;
/// COUNTER_ID: one of the MC's choice. The driver never sends it.
pub const COUNTER_SW_AUTO: u32 = 0xeeee_eeee;
/// COUNTER_ID: hardware counter (Medford2). The driver never sends it.
pub const COUNTER_HW: u32 = 0xffff_ffff;

/// `MC_CMD_SET_SECURITY_RULE_IN`. A field counts only if its bit in MATCH_FIELDS is set, and is zero otherwise.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetSecurityRuleIn {
    /// Which fields to match: `tables::MatchFields`.
    pub match_fields: U32,
    /// Remote Ethernet address.
    pub remote_mac: [u8; 6],
    /// Remote port.
    pub remote_port: NetU16,
    /// Local Ethernet address.
    pub local_mac: [u8; 6],
    /// Local port.
    pub local_port: NetU16,
    /// Ether type.
    pub ether_type: NetU16,
    /// VLAN id of the second tag, 12 bits.
    pub inner_vlan: NetU16,
    /// VLAN id of the first tag, 12 bits.
    pub outer_vlan: NetU16,
    /// IP_PROTO, low byte: the protocol (as in FILTER_OP, ef10.md 6.1).
    pub ip_proto: u8,
    /// IP_PROTO, high byte: 0.
    pub ip_proto_high: u8,
    /// Physical port.
    pub physical_port: U32,
    /// 0.
    pub reserved: U32,
    /// Remote IP address; IPv4 in the first 4 bytes and zeros behind (as in FILTER_OP, ef10.md 6.1).
    pub remote_ip: [u8; 16],
    /// Local IP address, in the same form.
    pub local_ip: [u8; 16],
    /// Id from the subnet map.
    pub remote_subnet_id: U32,
    /// Id from the remote port-range map.
    pub remote_portrange_id: U32,
    /// Id from the local port-range map.
    pub local_portrange_id: U32,
    /// What becomes of transmitted frames.
    pub tx_action: U32,
    /// What becomes of received frames.
    pub rx_action: U32,
    /// Counter pair.
    pub counter_id: U32,
}

/// `MC_CMD_SET_SECURITY_RULE_OUT`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetSecurityRuleOut {
    /// Rules that use the counter.
    pub counter_refcnt: U32,
    /// For tracing only.
    pub lue_match_bits: [u8; 12],
    /// For tracing only.
    pub lue_discriminator: U32,
    /// For tracing only.
    pub lue_probe_base: U32,
    /// For tracing only.
    pub lue_probe_step: U32,
    /// Counter pair of the rule.
    pub counter_id: U32,
}

/// PHYSICAL_PORT of RESET_SECURITY_RULES: all ports.
pub const ALL_PHYSICAL_PORTS: u32 = 0xffff_ffff;

/// `MC_CMD_RESET_SECURITY_RULES_IN`; the reply is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ResetSecurityRulesIn {
    /// Whose rules to drop.
    pub physical_port: U32,
}

/// STATE of TSA_RULESET_OVERRIDE: the rules decide.
pub const OVERRIDE_NONE: u32 = 0;
/// STATE of TSA_RULESET_OVERRIDE: everything is dropped but ARP and the adapter's own traffic.
pub const OVERRIDE_BLOCK: u32 = 1;
/// STATE of TSA_RULESET_OVERRIDE: everything passes.
pub const OVERRIDE_ALLOW: u32 = 2;

/// `MC_CMD_TSA_RULESET_OVERRIDE_IN`; the reply is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TsaRulesetOverrideIn {
    /// State to take.
    pub state: U32,
}

/// OP of MANAGE_SECURITY_RULESET_CACHE: tell the version of the cached set.
pub const CACHE_GET_CACHED_VERSION: u32 = 0;
/// OP of MANAGE_SECURITY_RULESET_CACHE: make the cached set the active one.
pub const CACHE_ROLLBACK: u32 = 1;
/// OP of MANAGE_SECURITY_RULESET_CACHE: copy the active set to the cache.
pub const CACHE_COMMIT: u32 = 2;
/// OP of MANAGE_SECURITY_RULESET_CACHE: forget the cached set.
pub const CACHE_INVALIDATE: u32 = 3;

/// `MC_CMD_MANAGE_SECURITY_RULESET_CACHE_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ManageSecurityRulesetCacheIn {
    /// What to do.
    pub op: U32,
}

/// `MC_CMD_MANAGE_SECURITY_RULESET_CACHE_OUT`: this, then the version hash, which is empty for an invalid cache.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ManageSecurityRulesetCacheOut {
    /// 0 invalid, 1 valid.
    pub state: U32,
}

/// STATE of a valid cache.
pub const CACHE_VALID: u32 = 1;
