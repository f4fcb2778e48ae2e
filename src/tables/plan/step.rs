//! The steps of a change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::tables::{Entry, MapError, MatchFields, RuleKey, TableOp};
use crate::terms::MacAddr;

/// Entries by what they match.
pub(super) type Rules = BTreeMap<RuleKey, Entry>;

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Makes the maps fine enough for both images, and entries for what both allow.
    Refine,
    /// Takes away what the new image denies.
    Tighten,
    /// Gives what only the new image allows.
    Loosen,
    /// Brings the maps to the new image's.
    Coarsen,
    /// Removes what is out of reach.
    Retire,
}

/// One command of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What it is for.
    pub phase: Phase,
    /// The grace time passes before it is sent, and when it is taken back, after that.
    pub pause_before: bool,
    /// The command.
    pub op: TableOp,
    /// The command that takes it back; `None` where nothing depends on it (a trie node that only a later step reaches, a
    /// map that no entry of the old image names).
    pub undo: Option<TableOp>,
}

/// Local IP and MAC that an entry matches; identifies the container affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Local {
    /// Local IP address.
    pub ip: Option<IpAddr>,
    /// Local Ethernet address.
    pub mac: Option<MacAddr>,
}

impl Local {
    /// Whose flows an entry with this key matches.
    #[must_use]
    pub fn of(key: &RuleKey) -> Self {
        Self { ip: key.local_ip, mac: key.local_mac }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// An entry above the base denies: parts of such an image can say the opposite of the whole.
    #[error("an entry that names {0:?} denies; without an order of lookups entries above the base must allow")]
    DenyAboveBase(MatchFields),
    /// An entry above the base denies flows that nothing below denies: they would be open while it is exchanged.
    #[error("an entry that names {0:?} denies where no base entry does, and changes")]
    DenyWithoutBase(MatchFields),
    /// Too few entries, even with every changed flow closed meanwhile.
    #[error("the change needs {needed} entries at its peak, the adapter has {available}")]
    Rules {
        /// Entries at the peak.
        needed: usize,
        /// Entries that the profile names.
        available: usize,
    },
    /// Too few combinations of match fields, even with every changed flow closed meanwhile.
    #[error("the change needs {needed} combinations of match fields at its peak, the adapter has {available}")]
    Combinations {
        /// Combinations at the peak.
        needed: usize,
        /// Combinations that the profile names.
        available: usize,
    },
    /// The document was compiled for an adapter with other tables or firmware.
    #[error("the policy was compiled for an adapter with other tables or firmware: compile it for this one")]
    Target,
    /// A map of one of the images does not fit.
    #[error(transparent)]
    Map(#[from] MapError),
}

/// The commands that turn one image into another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The commands, in order.
    pub steps: Vec<Step>,
    /// Whose flows may be denied between Tighten and the end of Loosen although both images allow them.
    pub closes: BTreeSet<Local>,
    /// Entries at the peak.
    pub peak_rules: usize,
    /// Combinations of match fields at the peak.
    pub peak_combinations: usize,
}
