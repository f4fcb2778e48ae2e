//! Command codes: those that the driver sends, and those that the firmware model answers to other drivers.

/// An MCDI command code (`MC_CMD_*`). Open: any number is a code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cmd(pub u16);

open_numbers! {
    Cmd: else "command";

    /// From where the MC has booted.
    GET_BOOT_STATUS = 0x5,
    /// Whether the firmware failed an assertion (ef10.md 5.1).
    GET_ASSERTS = 0x6,
    /// Where the MC's events go (ef10.md 3.4).
    LOG_CTRL = 0x7,
    /// Firmware version (ef10.md 5.1).
    GET_VERSION = 0x8,
    /// Precision time. The model does not know it: ENOSYS.
    PTP = 0xb,
    /// Name of the board, and the MACs of its ports.
    GET_BOARD_CFG = 0x18,
    /// Announces the driver and its wish for a firmware variant (ef10.md 5.2).
    DRV_ATTACH = 0x1c,
    /// Frees what the function holds of the adapter (ef10.md 5.5).
    ENTITY_RESET = 0x20,
    /// What the PHY is (ef10.md 5.8).
    GET_PHY_CFG = 0x24,
    /// Starts a self-test.
    START_BIST = 0x25,
    /// How the self-test came out.
    POLL_BIST = 0x26,
    /// Loopback modes of the port (ef10.md 5.8).
    GET_LOOPBACK_MODES = 0x28,
    /// State of the link (ef10.md 5.8).
    GET_LINK = 0x29,
    /// Capabilities of the link to use (ef10.md 5.8).
    SET_LINK = 0x2a,
    /// Makes the port blink (ef10.md 5.8).
    SET_ID_LED = 0x2b,
    /// MTU and flow control of the port (ef10.md 5.8).
    SET_MAC = 0x2c,
    /// Counters of the PHY. The model does not know it: ENOSYS.
    PHY_STATS = 0x2d,
    /// Statistics of the port (ef10.md 5.8).
    MAC_STATS = 0x2e,
    /// Multicast hash of older adapters. The model does not know it: ENOSYS.
    SET_MCAST_HASH = 0x35,
    /// Kinds of non-volatile memory.
    NVRAM_TYPES = 0x36,
    /// Size and flags of a partition of the non-volatile memory.
    NVRAM_INFO = 0x37,
    /// Reads a partition of the non-volatile memory. The model does not know it: ENOSYS.
    NVRAM_READ = 0x39,
    /// Reboots the MC (ef10.md 4.7).
    REBOOT = 0x3d,
    /// Sensors of the board.
    SENSOR_INFO = 0x41,
    /// Values of the sensors. The model does not know it: ENOSYS.
    READ_SENSORS = 0x42,
    /// Whether the PHY works (ef10.md 5.8).
    GET_PHY_STATE = 0x43,
    /// Switches a workaround on or off (ef10.md 5.5).
    WORKAROUND = 0x4a,
    /// What the module in the port's cage tells of itself.
    GET_PHY_MEDIA_INFO = 0x4b,
    /// Tests a partition of the non-volatile memory. The model does not know it: ENOSYS.
    NVRAM_TEST = 0x4c,
    /// Partitions of the non-volatile memory.
    NVRAM_PARTITIONS = 0x51,
    /// Version of what a partition of the non-volatile memory holds.
    NVRAM_METADATA = 0x52,
    /// MAC addresses of the function (ef10.md 5.3).
    GET_MAC_ADDRESSES = 0x55,
    /// Which workarounds there are, and which are on (ef10.md 5.5).
    GET_WORKAROUNDS = 0x59,
    /// Reads or changes the privileges of a function (ef10.md 4.9).
    PRIVILEGE_MASK = 0x5a,
    /// Changes the MAC of a vadaptor (ef10.md 5.10).
    VADAPTOR_SET_MAC = 0x5d,
    /// Reads the MAC of a vadaptor (ef10.md 5.10).
    VADAPTOR_GET_MAC = 0x5e,
    /// Changes the privileges of several functions. The model does not know it: ENOSYS.
    PRIVILEGE_MODIFY = 0x60,
    /// Flags and tags of a vadaptor (ef10.md 5.6).
    VADAPTOR_QUERY = 0x61,
    /// Whether the function has a vswitch (ef10.md 5.10).
    VSWITCH_QUERY = 0x63,
    /// Makes an event queue (ef10.md 5.7).
    INIT_EVQ = 0x80,
    /// Makes a receive queue (ef10.md 5.7).
    INIT_RXQ = 0x81,
    /// Makes a transmit queue (ef10.md 5.7).
    INIT_TXQ = 0x82,
    /// Takes an event queue away (ef10.md 5.7).
    FINI_EVQ = 0x83,
    /// Drains a receive queue and takes it away (ef10.md 5.7).
    FINI_RXQ = 0x84,
    /// Drains a transmit queue and takes it away (ef10.md 5.7).
    FINI_TXQ = 0x85,
    /// Sends an event of the driver to one of its queues (ef10.md 3.4).
    DRIVER_EVENT = 0x86,
    /// Inserts, removes or redirects a receive filter (ef10.md 6).
    FILTER_OP = 0x8a,
    /// Gives the function virtual interfaces (ef10.md 5.5).
    ALLOC_VIS = 0x8b,
    /// Takes them away (ef10.md 5.5).
    FREE_VIS = 0x8c,
    /// VIs of the function (ef10.md 5.5).
    GET_VI_ALLOC_INFO = 0x8d,
    /// A buffer for programmed I/O. The model does not know it: ENOSYS.
    ALLOC_PIOBUF = 0x8f,
    /// Makes a vswitch (ef10.md 5.6).
    VSWITCH_ALLOC = 0x94,
    /// Takes a vswitch away (ef10.md 5.10).
    VSWITCH_FREE = 0x95,
    /// Makes a vport on the vswitch (ef10.md 5.6).
    VPORT_ALLOC = 0x96,
    /// Takes a vport away (ef10.md 5.10).
    VPORT_FREE = 0x97,
    /// Links the function to a port (ef10.md 5.6).
    VADAPTOR_ALLOC = 0x98,
    /// Takes that link away (ef10.md 5.6).
    VADAPTOR_FREE = 0x99,
    /// Gives a vport to a virtual function. The model does not know it: ENOSYS.
    EVB_PORT_ASSIGN = 0x9a,
    /// Makes an RSS context (ef10.md 5.9).
    RSS_CONTEXT_ALLOC = 0x9e,
    /// Frees an RSS context (ef10.md 5.9).
    RSS_CONTEXT_FREE = 0x9f,
    /// Key of an RSS context (ef10.md 5.9).
    RSS_CONTEXT_SET_KEY = 0xa0,
    /// The same, read.
    RSS_CONTEXT_GET_KEY = 0xa1,
    /// Indirection table of an RSS context (ef10.md 5.9).
    RSS_CONTEXT_SET_TABLE = 0xa2,
    /// The same, read.
    RSS_CONTEXT_GET_TABLE = 0xa3,
    /// Gives a vport a MAC (ef10.md 5.10).
    VPORT_ADD_MAC_ADDRESS = 0xa8,
    /// Takes a MAC from a vport (ef10.md 5.10).
    VPORT_DEL_MAC_ADDRESS = 0xa9,
    /// MACs of a vport; a virtual function asks for its own by it (ef10.md 5.10).
    VPORT_GET_MAC_ADDRESSES = 0xaa,
    /// Frequencies of the clocks (ef10.md 5.7).
    GET_CLOCK = 0xac,
    /// Physical functions of the adapter.
    GET_PF_COUNT = 0xb6,
    /// Physical port of the function (ef10.md 5.3).
    GET_PORT_ASSIGNMENT = 0xb8,
    /// Running firmware variant and its flags (ef10.md 5.4).
    GET_CAPABILITIES = 0xbe,
    /// Interrupt vectors of a function.
    GET_VECTOR_CFG = 0xbf,
    /// Whether what is received is padded.
    GET_RXDP_CONFIG = 0xc2,
    /// Licences (ef10.md 5.3).
    LICENSING_V3 = 0xd0,
    /// Whether a feature has its licence. The model does not know it: ENOSYS.
    GET_LICENSED_V3_APP_STATE = 0xd2,
    /// What an RSS context hashes (ef10.md 5.9).
    RSS_CONTEXT_SET_FLAGS = 0xe1,
    /// The same, read.
    RSS_CONTEXT_GET_FLAGS = 0xe2,
    /// Raises an interrupt, for a self-test.
    TRIGGER_INTERRUPT = 0xe3,
    /// With operation 3: sizes of the security tables (ef10.md 7.1).
    GET_PARSER_DISP_INFO = 0xe4,
    /// Changes the MACs and tags of a vport. The model does not know it: ENOSYS.
    VPORT_RECONFIGURE = 0xeb,
    /// Numbers of the function (ef10.md 5.3).
    GET_FUNCTION_INFO = 0xec,
    /// Prepares the adapter for self-tests that stop its traffic.
    ENABLE_OFFLINE_BIST = 0xed,
    /// Licences of older adapters. The model does not know it: ENOSYS.
    LICENSING = 0xf3,
    /// Which ports the board has, of which speeds.
    GET_PORT_MODES = 0xff,
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
    /// UDP ports of tunnels. The model does not know it: ENOSYS.
    SET_TUNNEL_ENCAP_UDP_PORTS = 0x117,
    /// Handles what an MC reboot loads (ef10.md 7.6).
    MANAGE_SECURITY_RULESET_CACHE = 0x11a,
    /// Timer of an event queue (ef10.md 5.7).
    SET_EVQ_TMR = 0x120,
    /// What timers can do (ef10.md 5.7).
    GET_EVQ_TMR_PROPERTIES = 0x122,
    /// Blocks or admits all traffic whatever the rules say (ef10.md 7.5).
    TSA_RULESET_OVERRIDE = 0x12a,
    /// Reads or clears counter pairs (ef10.md 7.4).
    TSA_STATISTICS = 0x130,
    /// Prefixes of EF100. The model does not know it: ENOSYS.
    GET_RX_PREFIX_ID = 0x13b,
    /// How addresses of DMA are translated. The model does not know it: ENOSYS.
    GET_DESC_ADDR_INFO = 0x1b7,
    /// Handle of another client. The model does not know it: ENOSYS.
    GET_CLIENT_HANDLE = 0x1c3,
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
