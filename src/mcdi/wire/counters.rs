//! Messages about counters (ef10.md 7.2, 7.4). An id names a pair: one counter for TX, one for RX.

use bitflags::bitflags;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `MC_CMD_SECURITY_RULE_COUNTER_ALLOC_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecurityRuleCounterAllocIn {
    /// How many pairs.
    pub num_counters: U32,
}

/// Ids that one ALLOC or FREE message carries.
pub const MAX_COUNTER_IDS: usize = 254;

/// `MC_CMD_SECURITY_RULE_COUNTER_ALLOC_OUT` and `MC_CMD_SECURITY_RULE_COUNTER_FREE_IN`: the same layout.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecurityRuleCounterIds {
    /// How many; ALLOC may give fewer than asked for.
    pub num_counters: U32,
    /// Their ids.
    pub counter_id: [U32],
}

/// OP_CODE of TSA_STATISTICS: how many counters, and how wide.
pub const STATISTICS_GET_CONFIG: u32 = 0;
/// OP_CODE of TSA_STATISTICS: read and clear.
pub const STATISTICS_READ_CLEAR: u32 = 1;

/// `MC_CMD_TSA_STATISTICS_IN_GET_CONFIG`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TsaStatisticsGetConfigIn {
    /// [`STATISTICS_GET_CONFIG`].
    pub op_code: U32,
}

/// `MC_CMD_TSA_STATISTICS_OUT_GET_CONFIG`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TsaStatisticsGetConfigOut {
    /// Counter pairs of the adapter.
    pub max_stats: U32,
    /// Width of a counter in bits; it wraps.
    pub stats_width: U32,
}

bitflags! {
    /// FLAGS of TSA_STATISTICS READ_CLEAR. Both together read, then clear.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct StatisticsFlags: u32 {
        /// Read.
        const READ = 1 << 0;
        /// Clear.
        const CLEAR = 1 << 1;
        const _ = !0;
    }
}

/// MODE of TSA_STATISTICS READ_CLEAR: each counter by its id.
pub const STATISTICS_LIST: u32 = 0;
/// MODE of TSA_STATISTICS READ_CLEAR: NUM_STATS counters from one id on.
pub const STATISTICS_RANGE: u32 = 1;
/// Counter pairs that one reply carries.
pub const MAX_STATISTICS: usize = 63;

/// `MC_CMD_TSA_STATISTICS_IN_READ_CLEAR`.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TsaStatisticsReadClearIn {
    /// [`STATISTICS_READ_CLEAR`].
    pub op_code: U32,
    /// [`StatisticsFlags`].
    pub flags: U32,
    /// [`STATISTICS_LIST`] or [`STATISTICS_RANGE`].
    pub mode: U32,
    /// How many pairs.
    pub num_stats: U32,
    /// Their ids, or the first id of a range.
    pub counter_id: [U32],
}

/// `MC_CMD_TSA_STATISTICS_OUT_READ_CLEAR`: the pairs in the order of the request.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TsaStatisticsReadClearOut {
    /// How many pairs follow.
    pub num_stats: U32,
    /// Bytes 4 to 7, which no document names.
    pub unnamed: [u8; 4],
    /// The pairs.
    pub stats_counters: [TsaStatisticsEntry],
}

/// `MC_TSA_STATISTICS_ENTRY`: one counter pair.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TsaStatisticsEntry {
    /// Transmitted frames.
    pub tx_stat: U64,
    /// Received frames.
    pub rx_stat: U64,
}
