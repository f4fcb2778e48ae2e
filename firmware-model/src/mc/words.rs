//! Where the fields of messages stand and which numbers mean what: one table, from the public header `efx_regs_mcdi.h`.
//!
//! Names are those of the header without `MC_CMD_`. A test compares each with `mcdi.txt`, which was made from the header and
//! not by hand, so that a number that is wrong here is not repeated by the tests of the commands.

/// Offsets of fields in bytes: module `m` and field `F` are the header's `M_F_OFST`.
macro_rules! offsets {
    ($($message:ident { $($field:ident = $value:literal),+ $(,)? })+) => {
        $(pub(crate) mod $message { $(pub const $field: usize = $value;)+ })+
        #[cfg(test)]
        const OFFSETS: &[(&str, &str, u64)] = &[$($((stringify!($message), stringify!($field), $value)),+),+];
    };
}

/// Numbers of bits in their fields: module `m_bits` and field `F` are the header's `M_F_LBN`.
macro_rules! bits {
    ($($message:ident { $($field:ident = $value:literal),+ $(,)? })+) => {
        $(pub(crate) mod $message { $(pub const $field: u32 = $value;)+ })+
        #[cfg(test)]
        const BITS: &[(&str, &str, u64)] = &[$($((stringify!($message), stringify!($field), $value)),+),+];
    };
}

/// Values by the prefix that their names have in the header.
macro_rules! values {
    ($($group:ident: $kind:ty, $prefix:literal { $($name:ident = $value:literal),+ $(,)? })+) => {
        $(pub(crate) mod $group { $(pub const $name: $kind = $value;)+ })+
        #[cfg(test)]
        const VALUES: &[(&str, &str, u64)] = &[$($(($prefix, stringify!($name), $value)),+),+];
    };
}

offsets! {
    vswitch_query_in { UPSTREAM_PORT_ID = 0 }
    vswitch_alloc_in { UPSTREAM_PORT_ID = 0, TYPE = 4, NUM_VLAN_TAGS = 12 }
    vswitch_free_in { UPSTREAM_PORT_ID = 0 }
    vport_alloc_in { UPSTREAM_PORT_ID = 0, TYPE = 4, NUM_VLAN_TAGS = 12 }
    vport_free_in { VPORT_ID = 0 }
    vport_add_mac_address_in { VPORT_ID = 0, MACADDR = 4 }
    vport_del_mac_address_in { VPORT_ID = 0, MACADDR = 4 }
    vport_get_mac_addresses_in { VPORT_ID = 0 }
    get_asserts_out { GLOBAL_FLAGS = 0 }
    log_ctrl_in { LOG_DEST = 0, LOG_DEST_EVQ = 4 }
    reboot_in { FLAGS = 0 }
    workaround_in { TYPE = 0, ENABLED = 4 }
    licensing_v3_in { OP = 0 }
    licensing_v3_out { LICENSING_SELF_TEST = 20 }
    get_phy_cfg_out { FLAGS = 0, SUPPORTED_CAP = 8, NAME = 24, MEDIA_TYPE = 44, REVISION = 52 }
    get_link_out { CAP = 0, LP_CAP = 4, LINK_SPEED = 8, FLAGS = 16, FCNTL = 20 }
    set_link_in { LOOPBACK_MODE = 8 }
    set_id_led_in { STATE = 0 }
    set_mac_in { FCNTL = 20 }
    mac_stats_in { DMA_ADDR = 0, CMD = 8, DMA_LEN = 12 }
    alloc_vis_in { MIN_VI_COUNT = 0, MAX_VI_COUNT = 4 }
    alloc_vis_out { VI_COUNT = 0, VI_BASE = 4 }
    get_vi_alloc_info_out { VI_COUNT = 0, VI_BASE = 4 }
    init_evq_in { SIZE = 0, INSTANCE = 4, FLAGS = 16, IRQ_NUM = 24, DMA_ADDR = 36 }
    init_evq_out { IRQ = 0 }
    init_rxq_in { SIZE = 0, TARGET_EVQ = 4, LABEL = 8, INSTANCE = 12, FLAGS = 16, PORT_ID = 24, DMA_ADDR = 28 }
    init_txq_in { SIZE = 0, TARGET_EVQ = 4, LABEL = 8, INSTANCE = 12, FLAGS = 16, PORT_ID = 24, DMA_ADDR = 28 }
    fini_evq_in { INSTANCE = 0 }
    fini_rxq_in { INSTANCE = 0 }
    fini_txq_in { INSTANCE = 0 }
    driver_event_in { EVQ = 0, DATA = 4 }
    trigger_interrupt_in { INTR_LEVEL = 0 }
    set_evq_tmr_in { INSTANCE = 0, TMR_LOAD_REQ_NS = 4, TMR_RELOAD_REQ_NS = 8 }
    set_evq_tmr_out { TMR_LOAD_ACT_NS = 0, TMR_RELOAD_ACT_NS = 4 }
    get_evq_tmr_properties_out { TMR_REG_NS_PER_COUNT = 4, TMR_REG_MAX_COUNT = 8, TMR_REG_STEP = 12, MCDI_TMR_MAX_NS = 16, MCDI_TMR_STEP_NS = 20 }
    get_clock_out { SYS_FREQ = 0, DPCPU_FREQ = 4 }
    vadaptor_alloc_in { UPSTREAM_PORT_ID = 0, FLAGS = 8, NUM_VLANS = 12, NUM_VLAN_TAGS = 16, MACADDR = 24 }
    vadaptor_free_in { UPSTREAM_PORT_ID = 0 }
    vadaptor_set_mac_in { UPSTREAM_PORT_ID = 0, MACADDR = 4 }
    vadaptor_get_mac_in { UPSTREAM_PORT_ID = 0 }
    vadaptor_query_in { UPSTREAM_PORT_ID = 0 }
    vadaptor_query_out { VADAPTOR_FLAGS = 4 }
    filter_op_ext_in { OP = 0, HANDLE = 4, PORT_ID = 12, MATCH_FIELDS = 16, RX_DEST = 20, RX_QUEUE = 24, RX_MODE = 28, RX_CONTEXT = 32, SRC_MAC = 44, SRC_PORT = 50, DST_MAC = 52, DST_PORT = 58, ETHER_TYPE = 60, INNER_VLAN = 62, OUTER_VLAN = 64, IP_PROTO = 66, SRC_IP = 76, DST_IP = 92 }
    filter_op_ext_out { OP = 0, HANDLE = 4 }
    rss_context_alloc_in { UPSTREAM_PORT_ID = 0, TYPE = 4, NUM_QUEUES = 8 }
    rss_context_free_in { RSS_CONTEXT_ID = 0 }
    rss_context_set_key_in { RSS_CONTEXT_ID = 0, TOEPLITZ_KEY = 4 }
    rss_context_get_key_in { RSS_CONTEXT_ID = 0 }
    rss_context_get_key_out { TOEPLITZ_KEY = 4 }
    rss_context_set_table_in { RSS_CONTEXT_ID = 0, INDIRECTION_TABLE = 4 }
    rss_context_get_table_in { RSS_CONTEXT_ID = 0 }
    rss_context_get_table_out { INDIRECTION_TABLE = 4 }
    rss_context_set_flags_in { RSS_CONTEXT_ID = 0, FLAGS = 4 }
    rss_context_get_flags_in { RSS_CONTEXT_ID = 0 }
    rss_context_get_flags_out { FLAGS = 4 }
    get_boot_status_out { BOOT_OFFSET = 0, FLAGS = 4 }
    get_board_cfg_out {
        BOARD_NAME = 4, MAC_ADDR_BASE_PORT0 = 44, MAC_ADDR_BASE_PORT1 = 50, MAC_COUNT_PORT0 = 56, MAC_COUNT_PORT1 = 60,
        MAC_STRIDE_PORT0 = 64, MAC_STRIDE_PORT1 = 68,
    }
    start_bist_in { TYPE = 0 }
    poll_bist_out { RESULT = 0 }
    get_phy_media_info_in { PAGE = 0 }
    get_phy_media_info_out { DATALEN = 0, DATA = 4 }
    nvram_metadata_in { TYPE = 0 }
    nvram_metadata_out { TYPE = 0, FLAGS = 4, VERSION_W = 12 }
    get_vector_cfg_out { VEC_BASE = 0, VECS_PER_PF = 4, VECS_PER_VF = 8 }
    get_rxdp_config_out { DATA = 0 }
    get_port_modes_out { MODES = 0, DEFAULT_MODE = 4, CURRENT_MODE = 8 }
}

bits! {
    get_boot_status_out_bits { FLAGS_PRIMARY = 1 }
    get_capabilities_out_bits {
        VADAPTOR_QUERY = 5, VADAPTOR_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED = 11,
        TX_MAC_SECURITY_FILTERING = 12, RX_PREFIX_LEN_0 = 22, RX_PREFIX_LEN_14 = 23, RX_DISABLE_SCATTER = 28, EVB = 30,
    }
    get_capabilities_v2_out_bits { INIT_EVQ_V2 = 7 }
    phy_bits { CAP_10000FDX = 7, CAP_PAUSE = 8 }
    get_phy_cfg_out_bits { PRESENT = 0 }
    get_link_out_bits { LINK_UP = 0, FULL_DUPLEX = 1, PHY_LINK = 3 }
    mac_stats_in_bits {
        DMA = 0, CLEAR = 1, PERIODIC_CHANGE = 2, PERIODIC_ENABLE = 3, PERIODIC_CLEAR = 4, PERIODIC_NOEVENT = 5,
        PERIOD_MS = 16,
    }
    init_evq_in_bits { FLAG_INTERRUPTING = 0, FLAG_INT_ARMD = 2 }
    init_rxq_in_bits { FLAG_PREFIX = 8, FLAG_DISABLE_SCATTER = 9 }
    init_rxq_ext_in_bits { DMA_MODE = 10 }
    init_txq_in_bits { FLAG_IP_CSUM_DIS = 1, FLAG_TCP_CSUM_DIS = 2 }
    init_txq_ext_in_bits { FLAG_TSOV2_EN = 12 }
    vadaptor_alloc_in_bits { FLAG_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED = 1 }
    filter_op_ext_in_bits {
        MATCH_SRC_IP = 0, MATCH_DST_IP = 1, MATCH_SRC_MAC = 2, MATCH_SRC_PORT = 3, MATCH_DST_MAC = 4, MATCH_DST_PORT = 5,
        MATCH_ETHER_TYPE = 6, MATCH_INNER_VLAN = 7, MATCH_OUTER_VLAN = 8, MATCH_IP_PROTO = 9, MATCH_UNKNOWN_MCAST_DST = 30,
        MATCH_UNKNOWN_UCAST_DST = 31,
    }
    rss_context_set_flags_in_bits {
        TOEPLITZ_IPV4_EN = 0, TOEPLITZ_TCPV4_EN = 1, TOEPLITZ_IPV6_EN = 2, TOEPLITZ_TCPV6_EN = 3,
    }
    nvram_metadata_out_bits { VERSION_VALID = 1 }
}

values! {
    boot: u32, "MC_CMD_GET_BOOT_STATUS_OUT_BOOT_OFFSET_" { NULL = 0xdead_beef }
    bist: u32, "MC_CMD_" { MC_MEM_BIST = 6, PORT_MEM_BIST = 7, REG_BIST = 8 }
    bist_result: u32, "MC_CMD_POLL_BIST_" { PASSED = 2 }
    reboot: u32, "MC_CMD_REBOOT_FLAGS_" { AFTER_ASSERTION = 1 }
    port: u32, "EVB_PORT_ID_" { ASSIGNED = 0x0100_0000 }
    vswitch_type: u32, "MC_CMD_VSWITCH_ALLOC_IN_VSWITCH_TYPE_" { VEB = 2 }
    vport_type: u32, "MC_CMD_VPORT_ALLOC_IN_VPORT_TYPE_" { NORMAL = 4 }
    log_dest: u32, "MC_CMD_LOG_CTRL_IN_LOG_DEST_" { UART = 1, EVQ = 2 }
    license: u32, "MC_CMD_LICENSING_V3_" { IN_OP_REPORT_LICENSE = 1, OUT_SELF_TEST_PASS = 1 }
    media: u32, "MC_CMD_MEDIA_" { SFP_PLUS = 5 }
    flow_control: u32, "MC_CMD_FCNTL_" { BIDIR = 2, AUTO = 3 }
    filter_op: u32, "MC_CMD_FILTER_OP_IN_OP_" { INSERT = 0, REMOVE = 1, SUBSCRIBE = 2, UNSUBSCRIBE = 3, REPLACE = 4 }
    filter_dest: u32, "MC_CMD_FILTER_OP_IN_RX_DEST_" { DROP = 0, HOST = 1 }
    filter_mode: u32, "MC_CMD_FILTER_OP_IN_RX_MODE_" { SIMPLE = 0, RSS = 1 }
    rss_type: u32, "MC_CMD_RSS_CONTEXT_ALLOC_IN_TYPE_" { EXCLUSIVE = 0, SHARED = 1 }
    parser_op: u32, "MC_CMD_GET_PARSER_DISP_INFO_IN_OP_" { GET_SUPPORTED_RX_MATCHES = 1 }
    partition: u32, "NVRAM_PARTITION_TYPE_" {
        MC_FIRMWARE = 0x100, EXPANSION_ROM = 0x300, SUC_FIRMWARE = 0xc00, EXPANSION_UEFI = 0xd00, BUNDLE = 0x1e00,
    }
    // Words of the statistics block, the first generation of it.
    mac: usize, "MC_CMD_MAC_" {
        GENERATION_START = 0x0, TX_PKTS = 0x1, TX_UNICAST_PKTS = 0x4, TX_BYTES = 0x7, TX_64_PKTS = 0xa, RX_PKTS = 0x1c,
        RX_GOOD_PKTS = 0x1e, RX_UNICAST_PKTS = 0x20, RX_BYTES = 0x23, RX_64_PKTS = 0x25, RX_NODESC_DROPS = 0x36,
        VADAPTER_RX_UNICAST_PACKETS = 0x4c, VADAPTER_RX_OVERFLOW = 0x54, VADAPTER_TX_UNICAST_PACKETS = 0x57,
        GENERATION_END = 0x60, NSTATS = 0x61,
    }
}

/// Names of the header and their numbers.
#[cfg(test)]
pub(super) fn facts() -> std::collections::BTreeMap<&'static str, u64> {
    let lines = include_str!("mcdi.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            (name, u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use nicfw::mcdi::wire::{self, Cmd, McErrno, Privileges};

    use super::*;

    /// Compares what the code says with the header, and tells how much was compared.
    fn compare(said: impl IntoIterator<Item = (String, u64)>) -> usize {
        let facts = facts();
        let said: Vec<_> = said.into_iter().collect();
        let wrong: Vec<_> = said.iter().filter(|(name, value)| facts.get(&**name) != Some(value)).collect();
        assert!(wrong.is_empty(), "the header has it otherwise, or not at all: {wrong:#x?}");
        said.len()
    }

    #[test]
    fn the_table_says_what_the_header_says() {
        let upper = |message: &str| message.trim_end_matches("_bits").to_uppercase();
        let offsets = OFFSETS.iter().map(|(m, field, value)| (format!("MC_CMD_{}_{field}_OFST", upper(m)), *value));
        let bits = BITS.iter().map(|(m, field, value)| (format!("MC_CMD_{}_{field}_LBN", upper(m)), *value));
        let values = VALUES.iter().map(|(prefix, name, value)| (format!("{prefix}{name}"), *value));
        assert!(compare(offsets.chain(bits).chain(values)) > 200);
    }

    #[test]
    fn command_and_error_codes_are_the_headers() {
        let codes = |prefix: &'static str, name: fn(u32) -> Option<&'static str>| {
            (0..0x2000).filter_map(move |code| Some((format!("{prefix}{}", name(code)?), u64::from(code))))
        };
        let commands = codes("MC_CMD_", |code| Cmd(u16::try_from(code).unwrap()).name());
        let errors = codes("MC_CMD_ERR_", |code| McErrno(code).name());
        assert!(compare(commands) > 80);
        assert!(compare(errors) > 20);
        let privileges = Privileges::all().iter_names().map(|(name, bits)| (name, u64::from(bits.bits())));
        compare(privileges.map(|(name, bits)| (format!("MC_CMD_PRIVILEGE_MASK_IN_GRP_{name}"), bits)));
    }

    /// The messages that driver and model share: a wrong place would be the same on both sides.
    #[test]
    fn shared_messages_have_the_headers_places() {
        let mut said = Vec::new();
        macro_rules! place {
            ($($kind:ident, $message:literal: $($field:ident $name:literal)+;)+) => {
                $($(said.push((format!("MC_CMD_{}_{}_OFST", $message, $name), offset_of!(wire::$kind, $field) as u64));)+)+
            };
        }
        place! {
            GetVersionOut, "GET_VERSION_OUT": firmware "FIRMWARE" pcol "PCOL" supported_funcs "SUPPORTED_FUNCS"
                version "VERSION";
            DrvAttachIn, "DRV_ATTACH_IN": new_state "NEW_STATE" update "UPDATE" firmware_id "FIRMWARE_ID";
            DrvAttachOut, "DRV_ATTACH_EXT_OUT": old_state "OLD_STATE" func_flags "FUNC_FLAGS";
            EntityResetIn, "ENTITY_RESET_IN": flag "FLAG";
            GetPortAssignmentOut, "GET_PORT_ASSIGNMENT_OUT": port "PORT";
            GetMacAddressesOut, "GET_MAC_ADDRESSES_OUT": mac_addr_base "MAC_ADDR_BASE" mac_count "MAC_COUNT"
                mac_stride "MAC_STRIDE";
            GetFunctionInfoOut, "GET_FUNCTION_INFO_OUT": pf "PF" vf "VF";
            PrivilegeMaskIn, "PRIVILEGE_MASK_IN": pf "FUNCTION" new_mask "NEW_MASK";
            PrivilegeMaskOut, "PRIVILEGE_MASK_OUT": old_mask "OLD_MASK";
            GetCapabilitiesOut, "GET_CAPABILITIES_V2_OUT": flags1 "FLAGS1" rx_dpcpu_fw_id "RX_DPCPU_FW_ID"
                tx_dpcpu_fw_id "TX_DPCPU_FW_ID" rxpd_fw_version "RXPD_FW_VERSION" txpd_fw_version "TXPD_FW_VERSION"
                flags2 "FLAGS2" pfs_to_ports_assignment "PFS_TO_PORTS_ASSIGNMENT" num_vis_per_port "NUM_VIS_PER_PORT"
                num_pio_buffs "NUM_PIO_BUFFS" size_pio_buff "SIZE_PIO_BUFF";
            GetParserDispInfoIn, "GET_PARSER_DISP_INFO_IN": op "OP";
            SetSecurityRuleIn, "SET_SECURITY_RULE_IN": match_fields "MATCH_FIELDS" remote_mac "REMOTE_MAC"
                remote_port "REMOTE_PORT" local_mac "LOCAL_MAC" local_port "LOCAL_PORT" ether_type "ETHER_TYPE"
                inner_vlan "INNER_VLAN" outer_vlan "OUTER_VLAN" ip_proto "IP_PROTO" physical_port "PHYSICAL_PORT"
                reserved "RESERVED" remote_ip "REMOTE_IP" local_ip "LOCAL_IP" remote_subnet_id "REMOTE_SUBNET_ID"
                remote_portrange_id "REMOTE_PORTRANGE_ID" local_portrange_id "LOCAL_PORTRANGE_ID"
                tx_action "TX_ACTION" rx_action "RX_ACTION" counter_id "COUNTER_ID";
            SetSecurityRuleOut, "SET_SECURITY_RULE_OUT": counter_refcnt "COUNTER_REFCNT" lue_match_bits "LUE_MATCH_BITS"
                lue_discriminator "LUE_DISCRIMINATOR" lue_probe_base "LUE_PROBE_BASE" lue_probe_step "LUE_PROBE_STEP"
                counter_id "COUNTER_ID";
            ResetSecurityRulesIn, "RESET_SECURITY_RULES_IN": physical_port "PHYSICAL_PORT";
            TsaRulesetOverrideIn, "TSA_RULESET_OVERRIDE_IN": state "STATE";
            ManageSecurityRulesetCacheIn, "MANAGE_SECURITY_RULESET_CACHE_IN": op "OP";
            ManageSecurityRulesetCacheOut, "MANAGE_SECURITY_RULESET_CACHE_OUT": state "STATE";
            SecurityRuleCounterAllocIn, "SECURITY_RULE_COUNTER_ALLOC_IN": num_counters "NUM_COUNTERS";
            SecurityRuleCounterIds, "SECURITY_RULE_COUNTER_FREE_IN": num_counters "NUM_COUNTERS";
            TsaStatisticsReadClearIn, "TSA_STATISTICS_IN_READ_CLEAR": op_code "OP_CODE" flags "FLAGS" mode "MODE"
                num_stats "NUM_STATS";
            SubnetMapSetNodeIn, "SUBNET_MAP_SET_NODE_IN": node_id "NODE_ID";
            AllocVisIn, "ALLOC_VIS_IN": min_vi_count "MIN_VI_COUNT" max_vi_count "MAX_VI_COUNT";
            InitEvqIn, "INIT_EVQ_IN": size "SIZE" instance "INSTANCE" tmr_load "TMR_LOAD" tmr_reload "TMR_RELOAD"
                flags "FLAGS" tmr_mode "TMR_MODE" irq_num "IRQ_NUM" count_mode "COUNT_MODE"
                count_thrshld "COUNT_THRSHLD" dma_addr "DMA_ADDR";
            FiniEvqIn, "FINI_EVQ_IN": instance "INSTANCE";
            LogCtrlIn, "LOG_CTRL_IN": log_dest "LOG_DEST" log_dest_evq "LOG_DEST_EVQ";
        }
        assert!(compare(said) > 70);
    }

    /// No command reads or writes at a number: the places come from the table.
    #[test]
    fn places_come_from_the_table() {
        let sources = [
            include_str!("commands/board.rs"),
            include_str!("commands/evb.rs"),
            include_str!("commands/health.rs"),
            include_str!("commands/port.rs"),
            include_str!("commands/queues.rs"),
            include_str!("commands/vadaptor.rs"),
        ];
        let calls = [".u32(", ".u64(", ".be16(", ".quads(", ".bytes("];
        for line in sources.into_iter().flat_map(str::lines) {
            let numbered =
                |call: &str| line.split(call).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(!calls.into_iter().any(numbered), "a place without a name: {line}");
        }
    }
}
