//! What calls return, what an adapter holds after an error, and both in words.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{CStr, c_char, c_int};

use crate::{nicfw_code, nicfw_state};

impl nicfw_code {
    /// Every code.
    pub const ALL: [Self; 23] = [
        Self::NICFW_OK,
        Self::NICFW_E_ARGUMENT,
        Self::NICFW_E_HANDLE,
        Self::NICFW_E_UNSUPPORTED,
        Self::NICFW_E_INTERNAL,
        Self::NICFW_E_CALLBACK,
        Self::NICFW_E_LIMIT,
        Self::NICFW_E_BUFFER,
        Self::NICFW_E_NOT_FOUND,
        Self::NICFW_E_IO,
        Self::NICFW_E_POLICY,
        Self::NICFW_E_FLOW,
        Self::NICFW_E_FIT,
        Self::NICFW_E_EXPRESS,
        Self::NICFW_E_OPEN,
        Self::NICFW_E_ATTACH,
        Self::NICFW_E_ADAPTER,
        Self::NICFW_E_ORDER,
        Self::NICFW_E_STALE,
        Self::NICFW_E_FOREIGN,
        Self::NICFW_E_RECOVER,
        Self::NICFW_E_HELD,
        Self::NICFW_E_FORK,
    ];

    fn text(self) -> &'static CStr {
        match self {
            Self::NICFW_OK => c"done",
            Self::NICFW_E_ARGUMENT => c"an argument is NULL, malformed or out of range",
            Self::NICFW_E_HANDLE => c"the handle is closed, of another kind, or none",
            Self::NICFW_E_UNSUPPORTED => c"a structure says what this version of the library does not know",
            Self::NICFW_E_INTERNAL => c"an error of the library itself; please report it",
            Self::NICFW_E_CALLBACK => c"the library may not be called from its own callbacks",
            Self::NICFW_E_LIMIT => c"too many handles are open",
            Self::NICFW_E_BUFFER => c"the buffer is too small",
            Self::NICFW_E_NOT_FOUND => c"there is no such thing",
            Self::NICFW_E_IO => c"a file cannot be read",
            Self::NICFW_E_POLICY => c"the policy is wrong",
            Self::NICFW_E_FLOW => c"the text of the flow is wrong",
            Self::NICFW_E_FIT => c"the adapter's tables are too small",
            Self::NICFW_E_EXPRESS => c"the adapter's tables cannot say what the policy says",
            Self::NICFW_E_OPEN => c"the function cannot be opened",
            Self::NICFW_E_ATTACH => c"nicfw does not work with the adapter",
            Self::NICFW_E_ADAPTER => c"the adapter refused or lost a command",
            Self::NICFW_E_ORDER => c"the call comes too early or too late",
            Self::NICFW_E_STALE => c"the plan was made for other tables",
            Self::NICFW_E_FOREIGN => c"somebody else has changed the tables",
            Self::NICFW_E_RECOVER => c"the adapter is in an unknown state: recover first",
            Self::NICFW_E_HELD => c"another container holds the address",
            Self::NICFW_E_FORK => c"a forked child may not use the library of its parent",
        }
    }
}

/// The code in words: static text, never NULL, also for a number that is no code.
#[unsafe(no_mangle)]
pub extern "C" fn nicfw_strerror(code: c_int) -> *const c_char {
    let known = nicfw_code::ALL.into_iter().find(|known| *known as c_int == code);
    known.map_or(c"unknown code", nicfw_code::text).as_ptr()
}

/// What an adapter holds, in words: static text, never NULL, also for a number that is no state.
#[unsafe(no_mangle)]
pub extern "C" fn nicfw_state_text(state: c_int) -> *const c_char {
    use nicfw_state::{NICFW_STATE_BLOCKED, NICFW_STATE_CLOSED, NICFW_STATE_UNCHANGED, NICFW_STATE_UNKNOWN};
    let text = match state {
        _ if state == NICFW_STATE_UNCHANGED as c_int => c"unchanged",
        _ if state == NICFW_STATE_CLOSED as c_int => c"some containers are closed, everything else is unchanged",
        _ if state == NICFW_STATE_UNKNOWN as c_int => c"unknown, recover before anything else",
        _ if state == NICFW_STATE_BLOCKED as c_int => c"all traffic is blocked",
        _ => c"unknown state",
    };
    text.as_ptr()
}
