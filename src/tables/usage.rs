//! How full a table gets.

use std::fmt;

/// A scarce resource of the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Entries of the rule table.
    Rules,
    /// Ids of the subnet map.
    SubnetIds,
    /// Nodes of the subnet map.
    SubnetNodes,
    /// Ids of the remote port-range map.
    RemotePortIds,
    /// Entries of the remote port-range tree.
    RemotePortTree,
    /// Ids of the local port-range map.
    LocalPortIds,
    /// Entries of the local port-range tree.
    LocalPortTree,
    /// Combinations of match fields in use.
    Combinations,
    /// Counter pairs. Too few are no error: entries go without.
    Counters,
}

impl Table {
    /// What the shares of policies and bindings count, where it is something else than what the table holds: how many
    /// nodes an interval takes depends on all others.
    #[must_use]
    pub fn share_unit(self) -> Option<&'static str> {
        matches!(self, Self::SubnetNodes | Self::RemotePortTree | Self::LocalPortTree).then_some("intervals")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rules => "rules",
            Self::SubnetIds => "subnet ids",
            Self::SubnetNodes => "subnet nodes",
            Self::RemotePortIds => "remote port-range ids",
            Self::RemotePortTree => "remote port-range tree entries",
            Self::LocalPortIds => "local port-range ids",
            Self::LocalPortTree => "local port-range tree entries",
            Self::Combinations => "combinations of match fields",
            Self::Counters => "counters",
        })
    }
}

/// How full one table gets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Which.
    pub table: Table,
    /// What is needed. By count only: the adapter's probe limit can refuse a key before a table is full.
    pub needed: u64,
    /// What there is.
    pub available: u64,
    /// Policies by what they use, the largest first, in the table's own unit or in [`Table::share_unit`]. A class that two
    /// policies name counts for both.
    pub by_policy: Vec<(String, u64)>,
    /// Bindings (container ids) by what they use, the largest first.
    pub by_binding: Vec<(String, u64)>,
}

impl Usage {
    /// What is in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.needed.min(self.available)
    }

    /// What is left.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.available.saturating_sub(self.needed)
    }

    /// What there is too little of.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.needed.saturating_sub(self.available)
    }
}

/// What an image needs of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    pub table: Table,
    pub needed: u64,
    /// What there is.
    pub available: u64,
}

impl Need {
    /// What there is too little of.
    pub fn missing(self) -> u64 {
        self.needed.saturating_sub(self.available)
    }
}

/// Names with what they use, the largest first.
pub(crate) type Users = Vec<(String, u64)>;

pub(crate) fn by_size(mut shares: Users) -> Users {
    shares.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    shares
}
