//! Messages about the adapter and one function of it (ef10.md 4.9, 5.1 to 5.5).

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `MC_CMD_GET_VERSION_OUT`; the request is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetVersionOut {
    /// Build time in seconds since 1970 UTC, or the mark of a boot ROM.
    pub firmware: U32,
    /// Version of the MCDI protocol.
    pub pcol: U32,
    /// Bit set of the commands that are supported.
    pub supported_funcs: [u8; 16],
    /// VERSION, the most significant number first.
    pub version: [U16; 4],
}

bitflags! {
    /// NEW_STATE and OLD_STATE of DRV_ATTACH.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct AttachState: u32 {
        /// A driver is attached.
        const ATTACH = 1 << 0;
        /// The driver is a boot ROM's.
        const PREBOOT = 1 << 1;
        /// The driver knows firmware subvariants.
        const SUBVARIANT_AWARE = 1 << 2;
        const _ = !0;
    }
}

/// FIRMWARE_ID of DRV_ATTACH: the rules engine.
pub const FW_RULES_ENGINE: u32 = 5;
/// FIRMWARE_ID of DRV_ATTACH: low latency, which the kernel's driver asks for.
pub const FW_LOW_LATENCY: u32 = 1;
/// FIRMWARE_ID of DRV_ATTACH: full featured.
pub const FW_FULL_FEATURED: u32 = 0;
/// FIRMWARE_ID of DRV_ATTACH: no preference.
pub const FW_DONT_CARE: u32 = 0xffff_ffff;

/// `MC_CMD_DRV_ATTACH_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DrvAttachIn {
    /// [`AttachState`] to take.
    pub new_state: U32,
    /// 1 takes the state, 0 only reports.
    pub update: U32,
    /// Firmware variant that the driver prefers.
    pub firmware_id: U32,
}

bitflags! {
    /// FUNC_FLAGS of DRV_ATTACH.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct FuncFlags: u32 {
        /// First function of its port.
        const PRIMARY = 1 << 0;
        /// May control the link.
        const LINKCTRL = 1 << 1;
        /// Trusted.
        const TRUSTED = 1 << 2;
        /// Its port is not in use.
        const NO_ACTIVE_PORT = 1 << 3;
        const _ = !0;
    }
}

/// `MC_CMD_DRV_ATTACH_EXT_OUT`; old firmware sends OLD_STATE only.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DrvAttachOut {
    /// [`AttachState`] before the command.
    pub old_state: U32,
    /// [`FuncFlags`] of the function.
    pub func_flags: U32,
}

/// `MC_CMD_ENTITY_RESET_IN`: the reply is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EntityResetIn {
    /// Bit 0, FUNCTION_RESOURCE_RESET: free what the function holds.
    pub flag: U32,
}

/// `MC_CMD_GET_PORT_ASSIGNMENT_OUT`; the request is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetPortAssignmentOut {
    /// Physical port of the function, 0xffffffff for none.
    pub port: U32,
}

/// `MC_CMD_GET_MAC_ADDRESSES_OUT`; the request is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetMacAddressesOut {
    /// First address, in wire order.
    pub mac_addr_base: [u8; 6],
    /// Reserved.
    pub reserved: [u8; 2],
    /// How many addresses the function has.
    pub mac_count: U32,
    /// Distance between two of them.
    pub mac_stride: U32,
}

/// `MC_CMD_GET_FUNCTION_INFO_OUT`; the request is empty.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetFunctionInfoOut {
    /// Number of the physical function.
    pub pf: U32,
    /// Number of the virtual function, [`VF_NULL`] for the physical function itself.
    pub vf: U32,
}

/// VF of a physical function.
pub const VF_NULL: u16 = 0xffff;

bitflags! {
    /// Privilege groups of a function (ef10.md 4.9).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Privileges: u32 {
        /// Administrator of the adapter.
        const ADMIN = 1 << 0;
        /// Link control.
        const LINK = 1 << 1;
        /// Onload.
        const ONLOAD = 1 << 2;
        /// Precision time.
        const PTP = 1 << 3;
        /// Filters that see the traffic of others.
        const INSECURE_FILTERS = 1 << 4;
        /// Any source MAC and change of the own one; deprecated.
        const MAC_SPOOFING = 1 << 5;
        /// Receive unicast.
        const UNICAST = 1 << 6;
        /// Receive multicast.
        const MULTICAST = 1 << 7;
        /// Receive broadcast.
        const BROADCAST = 1 << 8;
        /// Receive all multicast.
        const ALL_MULTICAST = 1 << 9;
        /// Receive everything.
        const PROMISCUOUS = 1 << 10;
        /// Send any source MAC.
        const MAC_SPOOFING_TX = 1 << 11;
        /// Change the own MAC.
        const CHANGE_MAC = 1 << 12;
        /// Filters on any VLAN.
        const UNRESTRICTED_VLAN = 1 << 13;
        /// Insecure commands.
        const INSECURE = 1 << 14;
        /// Administrator as long as no controller is bound: the rule commands.
        const ADMIN_TSA_UNBOUND = 1 << 15;
        const _ = !0;
    }
}

/// `MC_CMD_PRIVILEGE_MASK_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PrivilegeMaskIn {
    /// FUNCTION, low half: number of the physical function.
    pub pf: U16,
    /// FUNCTION, high half: number of the virtual function, or [`VF_NULL`].
    pub vf: U16,
    /// NEW_MASK: with bit 31 (DO_CHANGE) the mask to set; 0 only reads.
    pub new_mask: U32,
}

/// `MC_CMD_PRIVILEGE_MASK_OUT`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PrivilegeMaskOut {
    /// [`Privileges`] before the command.
    pub old_mask: U32,
}

bitflags! {
    /// FLAGS2 of GET_CAPABILITIES: what concerns the rules engine.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct CapabilityFlags2: u32 {
        /// The firmware has the rule commands.
        const TSA_SUPPORT = 1 << 16;
        /// The adapter is bound to a controller.
        const TSA_BOUND = 1 << 17;
        const _ = !0;
    }
}

/// RX_DPCPU_FW_ID and TX_DPCPU_FW_ID of the rules engine.
pub const DPCPU_FW_RULES_ENGINE: u16 = 5;
/// FW_VERSION_TYPE (the high 4 bits of RXPD_FW_VERSION and TXPD_FW_VERSION) of the rules engine.
pub const PD_FW_TYPE_RULES_ENGINE: u16 = 8;
/// Smallest PFS_TO_PORTS_ASSIGNMENT value that is no port: 0xfc incompatible, 0xfd not assigned, 0xfe not present, 0xff
/// not permitted.
pub const PF_NO_PORT: u8 = 0xfc;

/// `MC_CMD_GET_CAPABILITIES_V3_OUT`; the request is empty. V1 ends after 20 bytes, V2 after 72.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetCapabilitiesOut {
    /// FLAGS1.
    pub flags1: U32,
    /// Firmware of the receive datapath.
    pub rx_dpcpu_fw_id: U16,
    /// Firmware of the transmit datapath.
    pub tx_dpcpu_fw_id: U16,
    /// Receive parser: revision in the low 12 bits, type in the high 4.
    pub rxpd_fw_version: U16,
    /// Transmit parser: revision in the low 12 bits, type in the high 4.
    pub txpd_fw_version: U16,
    /// HW_CAPABILITIES.
    pub hw_capabilities: U32,
    /// LICENSE_CAPABILITIES.
    pub license_capabilities: U32,
    /// FLAGS2: [`CapabilityFlags2`].
    pub flags2: U32,
    /// TX_TSO_V2_N_CONTEXTS.
    pub tx_tso_v2_n_contexts: U16,
    /// Physical port of each physical function; [`PF_NO_PORT`] and above are no ports.
    pub pfs_to_ports_assignment: [u8; 16],
    /// NUM_VFS_PER_PF.
    pub num_vfs_per_pf: [u8; 16],
    /// NUM_VIS_PER_PORT.
    pub num_vis_per_port: [U16; 4],
    /// RX_DESC_CACHE_SIZE.
    pub rx_desc_cache_size: u8,
    /// TX_DESC_CACHE_SIZE.
    pub tx_desc_cache_size: u8,
    /// NUM_PIO_BUFFS.
    pub num_pio_buffs: U16,
    /// SIZE_PIO_BUFF.
    pub size_pio_buff: U16,
    /// VI_WINDOW_MODE: see [`vi_stride`](crate::regs::ef10::vi_stride).
    pub vi_window_mode: u8,
    /// VFIFO_STUFFING_NUM_VFIFOS.
    pub vfifo_stuffing_num_vfifos: u8,
    /// VFIFO_STUFFING_NUM_CP_BUFFERS.
    pub vfifo_stuffing_num_cp_buffers: U16,
}

/// Length of GET_CAPABILITIES_V1_OUT in bytes.
pub const CAPABILITIES_V1_LEN: usize = 20;
/// Length of GET_CAPABILITIES_V2_OUT in bytes.
pub const CAPABILITIES_V2_LEN: usize = 72;
