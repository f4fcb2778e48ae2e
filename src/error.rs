//! What can go wrong between the driver and an adapter.

use std::time::Duration;

/// A failed device, channel or firmware operation.
///
/// The variants say who refused and carry the numbers needed to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The function no longer answers: its registers read all ones.
    #[error("the adapter no longer answers (register reads are all ones): it was removed, reset or lost its link")]
    DeviceGone,
    /// DMA memory could not be had.
    #[error("no DMA memory: {len} bytes aligned to {align} could not be allocated")]
    Dma {
        /// Bytes asked for.
        len: usize,
        /// Alignment asked for, in bytes.
        align: usize,
    },
    /// Whoever stands between the driver and the function did not let it reach DMA memory.
    #[error("no DMA memory: {len} bytes could not be shared with the adapter")]
    DmaRefused {
        /// Bytes asked for.
        len: usize,
        /// Who refused, and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An interrupt vector could not be connected.
    #[error("interrupt vector {vector} could not be connected")]
    Interrupt {
        /// The vector.
        vector: u32,
        /// Who refused, and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The function could not be reset.
    #[error("the function could not be reset")]
    Reset,
}

/// What the adapter holds after a failed operation. Never "partly".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterState {
    /// As before the call.
    Unchanged,
    /// These bindings (container ids) are closed, everything else is as before.
    Closed(Vec<String>),
    /// Unknown: recover before anything else.
    Unknown,
}

/// How long the driver waits for the management controller to answer one command (ef10.md 4.4: 10 s in Linux and DPDK).
pub const MCDI_TIMEOUT: Duration = Duration::from_secs(10);
