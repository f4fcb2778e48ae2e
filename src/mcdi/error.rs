//! How a command can fail, and what is then known about its effect.

use std::time::Duration;

use super::wire::{Cmd, McErrno};
use crate::error::Error;

/// A failed command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McdiError {
    /// The firmware answered with an error. The command had no effect.
    #[error("{cmd} failed: {errno}{}", argument(*.arg))]
    Refused {
        /// The command.
        cmd: Cmd,
        /// Why.
        errno: McErrno,
        /// Index of the bad argument, or the handle of a proxied command.
        arg: Option<u32>,
    },
    /// No answer in time. The command may still take effect.
    #[error("{cmd} was not answered within {after:?}")]
    Timeout {
        /// The command.
        cmd: Cmd,
        /// How long the driver waited.
        after: Duration,
    },
    /// The management controller has rebooted. The command may have taken effect before, and the rules are others.
    #[error("the adapter's management controller has rebooted (seen by {cmd})")]
    Rebooted {
        /// The command that saw it.
        cmd: Cmd,
    },
    /// The function no longer answers.
    #[error("{cmd} failed")]
    Gone {
        /// The command.
        cmd: Cmd,
        /// Always [`Error::DeviceGone`].
        #[source]
        source: Error,
    },
    /// The response's header is all ones although the function still answers.
    #[error("{cmd} was answered by a header of all ones")]
    AllOnes {
        /// The command.
        cmd: Cmd,
    },
    /// The response is one to another request.
    #[error("{cmd} with sequence number {sent} was answered with sequence number {got}")]
    WrongSequence {
        /// The command.
        cmd: Cmd,
        /// Sequence number of the request.
        sent: u8,
        /// Sequence number of the response.
        got: u8,
    },
    /// The response is one to another command, or has the other header form.
    #[error("{cmd} was answered by a response to {got}, or in the other header form")]
    WrongCommand {
        /// The command.
        cmd: Cmd,
        /// The response's command.
        got: Cmd,
    },
    /// The response claims more bytes than a message can have.
    #[error("{cmd} was answered with {len} bytes, at most {max} are possible")]
    LongReply {
        /// The command.
        cmd: Cmd,
        /// Bytes claimed.
        len: usize,
        /// Bytes possible.
        max: usize,
    },
    /// The response lacks bytes that the command always answers. Whether it took effect is unknown.
    #[error("{cmd} was answered with {len} bytes, at least {min} are needed")]
    ShortReply {
        /// The command.
        cmd: Cmd,
        /// Bytes received.
        len: usize,
        /// Bytes needed.
        min: usize,
    },
    /// A field of the response has a value that it cannot have. Whether the command took effect is unknown.
    #[error("{cmd} was answered with {field} = {value:#x}, which cannot be")]
    BadReply {
        /// The command.
        cmd: Cmd,
        /// Field of the response, as the protocol names it.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The request is longer than a message can be. Nothing was sent.
    #[error("{cmd} needs {len} bytes, a message has at most {max}")]
    RequestTooLong {
        /// The command.
        cmd: Cmd,
        /// Bytes needed.
        len: usize,
        /// Bytes possible.
        max: usize,
    },
    /// An earlier command left the channel in an unknown state. Nothing was sent.
    #[error("{cmd} was not sent: an earlier command left the channel in an unknown state; recover first")]
    Poisoned {
        /// The command.
        cmd: Cmd,
    },
    /// The management controller does not run.
    #[error("the adapter's management controller does not run (status {status:#010x})")]
    NotRunning {
        /// MC_SFT_STATUS.
        status: u32,
    },
    /// The BAR does not hold the registers.
    #[error("the register BAR has {len} bytes, {need} are needed")]
    SmallBar {
        /// Length of the BAR in bytes.
        len: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The function failed below the protocol. Nothing was sent.
    #[error("the function could not be prepared for commands")]
    Device(#[from] Error),
}

fn argument(arg: Option<u32>) -> String {
    arg.map_or_else(String::new, |arg| format!(" (argument {arg:#x})"))
}

impl McdiError {
    /// True if the command certainly had no effect.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::RequestTooLong { .. } | Self::SmallBar { .. } | Self::Device(_))
    }

    /// The firmware's error code, if it refused the command.
    #[must_use]
    pub fn errno(&self) -> Option<McErrno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// True if the channel cannot be used until it is restarted: what it does is then unknown.
    pub(crate) fn poisons(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Rebooted { .. }
            | Self::Gone { .. }
            | Self::AllOnes { .. }
            | Self::WrongSequence { .. }
            | Self::WrongCommand { .. }
            | Self::LongReply { .. }
            | Self::NotRunning { .. } => true,
            // A sound header around a payload that makes no sense: request and response still go in pairs.
            Self::ShortReply { .. } | Self::BadReply { .. } => false,
            Self::Refused { .. }
            | Self::RequestTooLong { .. }
            | Self::Poisoned { .. }
            | Self::SmallBar { .. }
            | Self::Device(_) => false,
        }
    }
}
