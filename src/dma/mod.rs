//! Memory that the device can reach, addressed by IOVA.
//!
//! Such memory is never a `&[u8]`: the device may write it at any time. All access is by volatile or atomic copies.

mod iova;
mod mapped;
mod memory;
mod shared;

pub use iova::{DEFAULT_WINDOW, IovaSpace};
pub use mapped::{MapError, MappedMem};
pub use memory::{DmaBuf, DmaFault, DmaSpace, Iova};
pub use shared::SharedMem;
