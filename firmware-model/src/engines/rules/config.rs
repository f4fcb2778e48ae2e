//! How the engine is assumed to work.

use nicfw::tables::{Assumption, EngineProfile, Sizes};

/// How the engine works and how large it is.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// What is assumed.
    pub profile: EngineProfile,
    /// Assumptions of which the engine shows the opposite.
    pub opposite: Vec<Assumption>,
    /// Sizes of the maps.
    pub sizes: Sizes,
    /// How the hash behind the rule table gives up before the table is full; `None` = it does not.
    pub probe_limit: Option<ProbeLimit>,
    /// Width of a counter in bits, 1 to 64; it wraps.
    pub counter_width: u32,
    /// Shuffles the lookup order, where the profile leaves it open.
    pub seed: u64,
}

impl EngineConfig {
    /// Profile 0 with its default sizes.
    #[must_use]
    pub fn profile0() -> Self {
        Self {
            profile: EngineProfile::profile0(),
            opposite: Vec::new(),
            sizes: Sizes::profile0(),
            probe_limit: None,
            counter_width: 48,
            seed: 0,
        }
    }

    /// Whether the engine is as assumed.
    #[must_use]
    pub fn holds(&self, assumption: Assumption) -> bool {
        !self.opposite.contains(&assumption)
    }
}

/// How the hash behind the table gives up: at most so many entries in one bucket of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeLimit {
    /// Number of buckets.
    pub buckets: u64,
    /// Entries that one bucket takes.
    pub depth: u32,
}
