//! How full each table gets, and who fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::layout::{Field, Layout, Local, Tail};
use super::pieces::Piece;
use super::regions::Cause;
use crate::policy::{Document, IntervalSet, RulePlace, sets::Point};

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

/// Names with what they use, the largest first.
pub(super) type Users = Vec<(String, u64)>;

/// The shares of policies, rules and bindings in what a layout needs.
pub(super) struct Shares<'a> {
    pub document: &'a Document,
    pub layout: &'a Layout,
    pub locals: &'a [Local],
    pub pieces: &'a [Vec<Piece>],
    /// Entries that a binding has beside those of its shapes.
    pub base: &'a BTreeMap<usize, u64>,
}

impl Shares<'_> {
    /// What the layout needs of every table.
    pub fn usage(&self) -> Vec<Usage> {
        let one = |&(table, needed, available): &(Table, u64, u64)| {
            let (by_policy, by_binding) = self.of(table);
            Usage { table, needed, available, by_policy, by_binding }
        };
        self.layout.needs.iter().map(one).collect()
    }

    /// What each policy and each binding uses of a table.
    pub fn of(&self, table: Table) -> (Users, Users) {
        let mut shapes_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for local in self.locals {
            if let Some(binding) = local.binding {
                shapes_of.entry(binding).or_default().push(local.shape);
            }
        }
        let (mut policies, mut bindings) = (BTreeMap::<&str, u64>::new(), Vec::new());
        let mut shapes_of_policy: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (index, binding) in self.document.bindings.iter().enumerate() {
            let shapes = shapes_of.remove(&index).unwrap_or_default();
            let policy = self.document.policies.get(binding.policy).map_or("", |policy| policy.name.as_str());
            let used = if table == Table::Rules {
                let own = shapes.iter().map(|shape| self.layout.counts[*shape]).fold(0, u64::saturating_add);
                let used = own.saturating_add(self.base.get(&index).copied().unwrap_or_default());
                let sum = policies.entry(policy).or_default();
                *sum = sum.saturating_add(used);
                used
            } else {
                shapes_of_policy.entry(policy).or_default().extend(&shapes);
                self.classes(table, &shapes.into_iter().collect(), |_| true)
            };
            bindings.push((binding.container.clone(), used));
        }
        policies
            .extend(shapes_of_policy.into_iter().map(|(name, shapes)| (name, self.classes(table, &shapes, |_| true))));
        (by_size(policies.into_iter().map(|(name, used)| (name.to_owned(), used)).collect()), by_size(bindings))
    }

    /// The rule that uses most of a table, among those of a policy (or of the management list).
    pub fn largest_rule(&self, table: Table, policy: Option<usize>) -> Option<RulePlace> {
        let of = |place: &RulePlace| match *place {
            RulePlace::Management(_) => policy.is_none(),
            RulePlace::Policy(of, _) => policy == Some(of),
        };
        let place = |cause: &Cause| match *cause {
            Cause::Rule { place, .. } => Some(place).filter(of),
            _ => None,
        };
        let all: BTreeSet<RulePlace> =
            self.pieces.iter().flatten().flat_map(|p| p.causes.iter().filter_map(place)).collect();
        let shapes: BTreeSet<usize> = (0..self.pieces.len()).collect();
        let used =
            |rule: RulePlace| self.classes(table, &shapes, |piece| piece.causes.iter().any(|c| place(c) == Some(rule)));
        // The first of those that use most.
        all.into_iter().rev().max_by_key(|rule| used(*rule))
    }

    /// What the chosen pieces of the shapes use, each thing counted once.
    fn classes(&self, table: Table, shapes: &BTreeSet<usize>, chosen: impl Fn(&Piece) -> bool) -> u64 {
        let layout = self.layout;
        let pieces = || shapes.iter().flat_map(|shape| &self.pieces[*shape]).filter(|piece| chosen(piece));
        let subnets = || members(&layout.subnets, pieces().map(|piece| &piece.remote.v4));
        let remote = || members(&layout.remote_ports, pieces().filter_map(|p| p.ports.as_ref()).map(|p| &p.remote));
        let local = || members(&layout.local_ports, pieces().filter_map(|p| p.ports.as_ref()).map(|p| &p.local));
        match table {
            Table::SubnetIds => subnets().len() as u64,
            Table::SubnetNodes => intervals(&layout.subnets, &subnets()),
            Table::RemotePortIds => remote().len() as u64,
            Table::RemotePortTree => intervals(&layout.remote_ports, &remote()),
            Table::LocalPortIds => local().len() as u64,
            Table::LocalPortTree => intervals(&layout.local_ports, &local()),
            Table::Combinations => {
                let fields: BTreeSet<_> = pieces().flat_map(|piece| self.combinations(piece)).collect();
                fields.len() as u64
            }
            Table::Rules | Table::Counters => pieces().map(|piece| self.entries(piece)).fold(0, u64::saturating_add),
        }
    }

    fn entries(&self, piece: &Piece) -> u64 {
        let (remote, local) = self.layout.ports(piece);
        let lengths = [self.layout.remotes(piece).len(), remote.len(), local.len()];
        lengths.into_iter().fold(1, |product: u64, len| product.saturating_mul(len as u64))
    }

    fn combinations(&self, piece: &Piece) -> BTreeSet<crate::tables::MatchFields> {
        let (remote_ports, local_ports) = self.layout.ports(piece);
        let first = |fields: &[Field<u16>]| fields.first().copied().unwrap_or(Field::Any);
        let (remote_port, local_port) = (first(&remote_ports), first(&local_ports));
        let remotes = self.layout.remotes(piece);
        let tail = |remote: &Field<_>| Tail { proto: piece.proto, remote: *remote, remote_port, local_port };
        remotes.first().map(|remote| tail(remote).fields()).into_iter().collect()
    }
}

fn members<'a, T: Point + 'a>(
    space: &super::layout::Space<T>,
    sets: impl Iterator<Item = &'a IntervalSet<T>>,
) -> BTreeSet<usize> {
    sets.filter_map(|set| space.members(set)).flatten().copied().collect()
}

fn intervals<T: Point>(space: &super::layout::Space<T>, places: &BTreeSet<usize>) -> u64 {
    places.iter().map(|place| space.classes[*place].set.intervals().len() as u64).sum()
}

pub(super) fn by_size(mut shares: Users) -> Users {
    shares.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    shares
}
