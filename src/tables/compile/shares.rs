//! Who fills the tables: the shares of policies, rules and bindings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::policy::regions::Cause;
use crate::policy::{Document, RulePlace};
use crate::tables::arrange::pieces::Piece;
use crate::tables::base::of_binding;
use crate::tables::naming::Naming;
use crate::tables::naming::layout::{Layout, SetNumbers};
use crate::tables::refuse::{CompileError, LargestUser, document_origin};
use crate::tables::units::Units;
use crate::tables::units::unit::Unit;
use crate::tables::usage::{Need, Table, Usage, Users, by_size};
use crate::terms::{Point, Verdict};

/// The shares of policies, rules and bindings in what a layout needs.
pub(super) struct Shares<'a> {
    pub document: &'a Document,
    pub layout: &'a Layout,
    pub needs: &'a [Need],
    /// The units of the bindings' local sides, by the places of the bindings: unit, and entries for one local side.
    pub units: Vec<Vec<(&'a Unit, u64)>>,
    /// Those of addresses that nobody bound.
    pub unbound: Vec<&'a Unit>,
    /// The numbers of the sets of each unit's pieces.
    pub numbers: HashMap<*const Unit, Vec<SetNumbers>>,
}

impl Shares<'_> {
    /// What the layout needs of every table.
    pub fn usage(&self) -> Vec<Usage> {
        let one = |&Need { table, needed, available }: &Need| {
            let (by_policy, by_binding) = self.of(table);
            Usage { table, needed, available, by_policy, by_binding }
        };
        self.needs.iter().map(one).collect()
    }

    /// What each policy and each binding uses of a table.
    pub fn of(&self, table: Table) -> (Users, Users) {
        let closed = self.document.unbound == Verdict::Deny;
        let (mut policies, mut bindings) = (BTreeMap::<&str, u64>::new(), Vec::new());
        let mut units_of_policy: BTreeMap<&str, Vec<&Unit>> = BTreeMap::new();
        for (binding, units) in self.document.bindings.iter().zip(&self.units) {
            let policy = self.document.policies.get(binding.policy).map_or("", |policy| policy.name.as_str());
            let used = if table == Table::Rules {
                let own = units.iter().map(|(_, entries)| *entries).fold(0, u64::saturating_add);
                let used = own.saturating_add(of_binding(binding, closed).len() as u64);
                let sum = policies.entry(policy).or_default();
                *sum = sum.saturating_add(used);
                used
            } else {
                units_of_policy.entry(policy).or_default().extend(units.iter().map(|(unit, _)| *unit));
                self.classes(table, units.iter().map(|(unit, _)| *unit), |_| true)
            };
            bindings.push((binding.container.clone(), used));
        }
        let of_policy = |(name, units): (_, Vec<&Unit>)| (name, self.classes(table, units.into_iter(), |_| true));
        policies.extend(units_of_policy.into_iter().map(of_policy));
        (by_size(policies.into_iter().map(|(name, used)| (name.to_owned(), used)).collect()), by_size(bindings))
    }

    /// The rule that uses most of a table, among those of a policy (or of the management list).
    pub fn largest_rule(&self, table: Table, policy: Option<usize>) -> Option<RulePlace> {
        let bound = self.document.bindings.iter().zip(&self.units);
        let bound = bound.filter(|(binding, _)| policy.is_none_or(|policy| binding.policy == policy));
        let unbound = self.unbound.iter().filter(|_| policy.is_none()).copied();
        let units: Vec<&Unit> =
            distinct(bound.flat_map(|(_, units)| units.iter().map(|(unit, _)| *unit)).chain(unbound));
        // Units name the rules of their policy as if it were the first one.
        let place = |cause: &Cause| match (*cause, policy) {
            (Cause::Rule { place: place @ RulePlace::Management(_), .. }, None) => Some(place),
            (Cause::Rule { place: RulePlace::Policy(_, at), .. }, Some(policy)) => Some(RulePlace::Policy(policy, at)),
            _ => None,
        };
        let pieces = units.iter().flat_map(|unit| &unit.pieces);
        let all: BTreeSet<RulePlace> = pieces.flat_map(|piece| piece.causes.iter().filter_map(place)).collect();
        let of = |piece: &Piece, rule| piece.causes.iter().any(|cause| place(cause) == Some(rule));
        let used = |rule: RulePlace| self.classes(table, units.iter().copied(), |piece| of(piece, rule));
        // The first of those that use most.
        all.into_iter().rev().max_by_key(|rule| used(*rule))
    }

    /// What the chosen pieces of the units use, each thing counted once.
    fn classes<'u>(&self, table: Table, units: impl Iterator<Item = &'u Unit>, chosen: impl Fn(&Piece) -> bool) -> u64 {
        let (layout, units) = (self.layout, distinct(units));
        let pieces = || units.iter().flat_map(|unit| self.numbers(unit)).filter(|(piece, _)| chosen(piece));
        let classes = |map: usize| std::mem::take(&mut layout.classes(pieces().map(|(_, numbers)| numbers))[map]);
        let costs = || pieces().map(|(piece, numbers)| layout.cost(piece, numbers));
        match table {
            Table::SubnetIds => classes(0).len() as u64,
            Table::SubnetNodes => intervals(&layout.subnets, &classes(0)),
            Table::RemotePortIds => classes(1).len() as u64,
            Table::RemotePortTree => intervals(&layout.remote_ports, &classes(1)),
            Table::LocalPortIds => classes(2).len() as u64,
            Table::LocalPortTree => intervals(&layout.local_ports, &classes(2)),
            Table::Combinations => costs().map(|(_, fields)| fields).collect::<BTreeSet<_>>().len() as u64,
            Table::Rules | Table::Counters => costs().map(|(entries, _)| entries).fold(0, u64::saturating_add),
        }
    }

    /// The pieces of a unit with the numbers of their sets.
    fn numbers<'u>(&'u self, unit: &'u Unit) -> impl Iterator<Item = (&'u Piece, &'u SetNumbers)> {
        let numbers = self.numbers.get(&std::ptr::from_ref(unit)).map_or(&[][..], Vec::as_slice);
        unit.pieces.iter().zip(numbers)
    }
}

fn distinct<'a>(units: impl Iterator<Item = &'a Unit>) -> Vec<&'a Unit> {
    let mut seen = BTreeSet::new();
    units.filter(|unit| seen.insert(std::ptr::from_ref(*unit))).collect()
}

fn intervals<T: Point>(space: &crate::tables::naming::sets::Space<T>, places: &BTreeSet<usize>) -> u64 {
    places.iter().map(|place| space.classes[*place].set.intervals().len() as u64).sum()
}

/// The shares in what units need; `None` before a layout is chosen.
pub(super) fn shares<'a>(document: &'a Document, units: &'a Units, naming: &'a Naming) -> Option<Shares<'a>> {
    let of_unit = |key| Some((&**units.unit(key)?, naming.entries_of_one(key)));
    let of_bindings = units.bindings.iter().map(|of| {
        let locals = units.bound.get(&of.number).into_iter().flat_map(|bound| &bound.locals);
        locals.filter_map(|(_, key)| of_unit(key)).collect()
    });
    let unbound = units.unbound.iter().filter_map(|(_, key)| Some(&**units.unit(key)?)).collect();
    let layout = naming.layout()?;
    let lists = naming.all_sets();
    let all = units.used.iter().map(|(_, used)| (Arc::as_ptr(&used.unit), lists.numbers(&used.unit.pieces)));
    let (numbers, units) = (all.collect(), of_bindings.collect());
    Some(Shares { document, layout, needs: naming.needs(), units, unbound, numbers })
}

/// The refusal, where a table is too small; the origin is the rule that uses most of it.
pub(super) fn does_not_fit(document: &Document, units: &Units, naming: &Naming) -> Option<CompileError> {
    let Need { table, needed, available } = *naming.needs().iter().find(|need| need.missing() > 0)?;
    let shares = shares(document, units, naming)?;
    let largest = shares.of(table).0.into_iter().next().filter(|(_, used)| *used > 0);
    let policy = largest.as_ref().and_then(|(name, _)| document.policies.iter().position(|p| p.name == *name));
    let place = shares.largest_rule(table, policy);
    let at = place.and_then(|place| document.rule(place)).map(|rule| rule.origin.clone());
    let used = largest.as_ref().map_or(0, |(_, used)| *used);
    let largest = LargestUser { policy: largest.map(|(name, _)| name), used };
    let (at, missing) = (at.unwrap_or_else(|| document_origin(document)), needed - available);
    Some(CompileError::DoesNotFit { at, table, missing, largest, usage: shares.usage() })
}
