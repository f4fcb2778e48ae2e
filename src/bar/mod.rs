//! Access to a PCI memory BAR.

mod mapped;
mod mmio;
mod trapped;

pub use mapped::MappedBar;
pub use mmio::{Mmio, write_barrier};
pub use trapped::{Region, TrappedBar};
