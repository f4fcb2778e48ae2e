//! Why a command is refused.

/// Why a command did not change the tables. The tables are as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A value that the table cannot hold.
    Invalid,
    /// An id of a map that nobody wrote, or a counter that nobody allocated.
    Unknown,
    /// No room.
    Full,
    /// The key has an entry (only where assumption A11 does not hold).
    Exists,
    /// A counter that entries use.
    Busy,
}
