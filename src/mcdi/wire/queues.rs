//! Messages about VIs and the event queue that completions go to (ef10.md 5.5 and 5.7).

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `MC_CMD_ALLOC_VIS_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AllocVisIn {
    /// Fewer do not help.
    pub min_vi_count: U32,
    /// More are not wanted.
    pub max_vi_count: U32,
}

/// FLAGS of INIT_EVQ: the queue interrupts.
pub const EVQ_INTERRUPTING: u32 = 1 << 0;
/// COUNT_MODE and TMR_MODE of INIT_EVQ: off.
pub const EVQ_TIMER_OFF: u32 = 0;

/// `MC_CMD_INIT_EVQ_IN` for a ring of one page: the event queue is there, empty and not armed.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InitEvqIn {
    /// Entries.
    pub size: U32,
    /// Number of the VI whose queue it is.
    pub instance: U32,
    /// TMR_LOAD.
    pub tmr_load: U32,
    /// TMR_RELOAD.
    pub tmr_reload: U32,
    /// [`EVQ_INTERRUPTING`].
    pub flags: U32,
    /// TMR_MODE: [`EVQ_TIMER_OFF`].
    pub tmr_mode: U32,
    /// Interrupt vector.
    pub irq_num: U32,
    /// COUNT_MODE: [`EVQ_TIMER_OFF`].
    pub count_mode: U32,
    /// COUNT_THRSHLD.
    pub count_thrshld: U32,
    /// Address of the ring.
    pub dma_addr: U64,
}

/// `MC_CMD_FINI_EVQ_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FiniEvqIn {
    /// INSTANCE of INIT_EVQ.
    pub instance: U32,
}

/// LOG_DEST of LOG_CTRL: an event queue.
pub const LOG_DEST_EVQ: u32 = 2;

/// `MC_CMD_LOG_CTRL_IN`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogCtrlIn {
    /// [`LOG_DEST_EVQ`].
    pub log_dest: U32,
    /// LOG_DEST_EVQ: number of the event queue.
    pub log_dest_evq: U32,
}
