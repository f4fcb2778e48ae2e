//! How far a compilation is, for whoever waits for it.

use std::fmt;

/// What a compilation begins to do. One that takes what stays from the compilation before it may go back to the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The rules of so many policies are cut for so many bindings.
    Rules {
        /// Policies of the document.
        policies: usize,
        /// Its bindings.
        bindings: usize,
    },
    /// The tables are filled.
    Tables,
    /// So many entries are compared with the document.
    Proof {
        /// Entries of the rule table.
        entries: usize,
    },
}

impl fmt::Display for Progress {
    /// As in `proving 4750 entries`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules { policies, bindings } => write!(f, "policies: {policies}, bindings: {bindings}"),
            Self::Tables => f.write_str("filling the tables"),
            Self::Proof { entries } => write!(f, "proving {entries} entries"),
        }
    }
}
