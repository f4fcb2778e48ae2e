//! What a command is.

use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};
use zerocopy::FromBytes;

use super::controller::Mc;

/// Payload of the answer, or the error code.
pub(super) type Reply = Result<Vec<u8>, McErrno>;

/// Row of the command table.
pub(super) struct Command {
    pub cmd: Cmd,
    pub privilege: Privileges,
    /// Shortest and longest request in bytes.
    pub request: (usize, usize),
    /// Takes the number of the function and the payload.
    pub run: fn(&mut Mc, usize, &[u8]) -> Reply,
}

/// No privilege is needed.
pub(super) const GENERAL: Privileges = Privileges::empty();

/// A request that is a `T`, or longer.
pub(super) fn request<T: FromBytes>(payload: &[u8]) -> Result<T, McErrno> {
    T::read_from_prefix(payload).map(|(value, _)| value).map_err(|_| McErrno::EINVAL)
}
