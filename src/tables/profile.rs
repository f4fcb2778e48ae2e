//! What is assumed about the rules engine, in one type: the adapter's lookup order and more is not published
//! (ef10.md 7.8). The firmware model is configured by the same type.

use super::{MatchFields, Sizes};
use crate::terms::Verdict;

/// In which order the engine looks at the combinations of match fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupOrder {
    /// Nothing is known but assumption A1; every entry above the base is an allow.
    Unordered,
    /// Combinations in falling precedence; the first hit with a verdict decides. Others are never looked up.
    Ranked(Vec<MatchFields>),
}

/// One assumption about the rules engine, by its number in docs/assumptions.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assumption {
    /// A1: an entry that names nothing but local IP, local MAC or physical port ranks below every entry that names more.
    BaseRanksLowest,
    /// A2: RX: local = destination; TX: local = source; between two functions TX is judged first, then RX.
    LocalIsHostSide,
    /// A3: no decision = accept.
    NoMatchAccepts,
    /// A4: the subnet trie starts at node 0 and takes the most significant address bits first.
    TrieMsbFirst,
    /// A5: in the port-range tree entry i has its children at 2i+1 (port <= key) and 2i+2.
    PortTreeHeapOrder,
    /// A6: the tables take as many entries as the profile says.
    TableSizes,
    /// A7: a fragment that is not the first has no ports.
    LaterFragmentHasNoPorts,
    /// A8: frames without an IP header are judged by MAC, ether type, VLAN and physical port.
    NonIpIsJudged,
    /// A9: NONE in a direction is as if the entry were absent for that direction.
    NoneIsAbsent,
    /// A10: a miss in one combination goes on to the next.
    MissGoesOn,
    /// A11: SET on a key that exists replaces it; both directions NONE frees the entry.
    SetReplaces,
    /// A12: rules survive FLR, ENTITY_RESET and detach.
    RulesSurviveReset,
    /// A13: the version hash depends on content alone.
    VersionIsContent,
    /// A14: override state and counters are lost in an MC reboot.
    RebootClearsCounters,
}

impl Assumption {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::BaseRanksLowest,
        Self::LocalIsHostSide,
        Self::NoMatchAccepts,
        Self::TrieMsbFirst,
        Self::PortTreeHeapOrder,
        Self::TableSizes,
        Self::LaterFragmentHasNoPorts,
        Self::NonIpIsJudged,
        Self::NoneIsAbsent,
        Self::MissGoesOn,
        Self::SetReplaces,
        Self::RulesSurviveReset,
        Self::VersionIsContent,
        Self::RebootClearsCounters,
    ];
}

/// How the rules engine is assumed to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineProfile {
    /// RULES_VERSION that this profile describes.
    pub rules_version: u32,
    /// Lookup order above the base.
    pub order: LookupOrder,
    /// Verdict when no entry decides (A3).
    pub no_match: Verdict,
    /// Entries of the rule table (A6).
    pub rules: u32,
    /// Counter pairs (A6); the adapter's MAX_STATS, where smaller, wins.
    pub counters: u32,
    /// Combinations of match fields in use at a time (A6).
    pub combinations: u32,
}

impl EngineProfile {
    /// Profile 0, for RULES_VERSION 0 (SF-114946-SW draft C).
    #[must_use]
    pub fn profile0() -> Self {
        Self {
            rules_version: 0,
            order: LookupOrder::Unordered,
            no_match: Verdict::Allow,
            rules: 8192,
            counters: 1024,
            combinations: 24,
        }
    }

    /// The profile for a RULES_VERSION, or `None` if nobody has described it.
    #[must_use]
    pub fn for_version(rules_version: u32) -> Option<Self> {
        (rules_version == 0).then(Self::profile0)
    }
}

/// What a document is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How the engine works.
    pub profile: EngineProfile,
    /// How large its tables are.
    pub sizes: Sizes,
    /// Physical ports of the adapter.
    pub physical_ports: u32,
}

impl Target {
    /// Profile 0 with its default sizes and two physical ports.
    #[must_use]
    pub fn profile0() -> Self {
        Self { profile: EngineProfile::profile0(), sizes: Sizes::profile0(), physical_ports: 2 }
    }
}
