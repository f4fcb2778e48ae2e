//! What is read of a file.

use super::program::{Base, Program};
use crate::terms::AddrSet;

/// What a reader makes of a file.
pub(super) struct Read {
    pub(super) program: Program,
    /// Base chains of each direction, in the order in which a packet meets them.
    pub(super) rx: Vec<Base>,
    pub(super) tx: Vec<Base>,
    /// Addresses of the IP versions that the file is about. Others are closed.
    pub(super) family: AddrSet,
    /// Packets may be judged by connection state.
    pub(super) stateful: bool,
}
