//! How an operation on an adapter can fail.

use crate::adapter::rules::codec::CodecError;
use crate::adapter::rules::ops::TableError;
use crate::error::AdapterState;
use crate::mcdi::McdiError;

/// A failed operation on an adapter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The adapter does not take the operation. Nothing was sent.
    #[error(transparent)]
    Operation(CodecError),
    /// A command failed.
    #[error(transparent)]
    Command(McdiError),
}

impl AdapterError {
    /// What the adapter's tables hold after the error: as before the call, or unknown. Where it is unknown,
    /// [`Adapter::recover`](super::Adapter::recover) first if [`Adapter::needs_recovery`](super::Adapter::needs_recovery),
    /// then write the complete state of every key in question.
    #[must_use]
    pub fn state(&self) -> AdapterState {
        match self {
            Self::Command(error) if !error.had_no_effect() => AdapterState::Unknown,
            Self::Command(_) | Self::Operation(_) => AdapterState::Unchanged,
        }
    }

    /// True if the adapter has no room for what the operation needs (ENOSPC).
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Command(error) if error.errno() == Some(crate::mcdi::wire::McErrno::ENOSPC))
    }
}

impl From<McdiError> for AdapterError {
    fn from(error: McdiError) -> Self {
        Self::Command(error)
    }
}

impl From<TableError> for AdapterError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Codec(error) => Self::Operation(error),
            TableError::Mcdi(error) => Self::Command(error),
        }
    }
}
