//! What an edit may save, guessed from where the rules of a policy cut addresses and ports: whatever is compiled decides.

use std::collections::BTreeSet;

use crate::policy::{Proto, Rule};
use crate::tables::Table;
use crate::terms::{IntervalSet, Point, Verdict};

/// What the rules of a policy need of a table, roughly.
pub(super) fn need(rules: &[Rule], table: Table) -> u64 {
    let ports = || rules.iter().filter_map(|rule| rule.ports.as_ref());
    match table {
        Table::SubnetIds | Table::SubnetNodes => cuts(rules.iter().map(|rule| &rule.remote.set.v4)).len() as u64,
        Table::RemotePortIds | Table::RemotePortTree => cuts(ports().map(|ports| &ports.remote)).len() as u64,
        Table::LocalPortIds | Table::LocalPortTree => cuts(ports().map(|ports| &ports.local)).len() as u64,
        Table::Combinations => rules.iter().map(form).collect::<BTreeSet<_>>().len() as u64,
        Table::Rules | Table::Counters => pieces(rules),
    }
}

/// Where sets and what is outside of them begin.
fn cuts<'a, T: Point + 'a>(sets: impl Iterator<Item = &'a IntervalSet<T>>) -> BTreeSet<T> {
    let starts = |set: &IntervalSet<T>| set.intervals().iter().map(|interval| interval.first).collect::<Vec<T>>();
    sets.flat_map(|set| [starts(set), starts(&set.complement())].concat()).collect()
}

/// What an entry for a rule names: protocol; remote, remote port and local port by value, by id or not at all.
fn form(rule: &Rule) -> (bool, u8, u8, u8) {
    fn of<T: Point>(set: &IntervalSet<T>) -> u8 {
        if set.is_full() { 0 } else { 1 + u8::from(set.as_point().is_none()) }
    }
    let ports = rule.ports.as_ref().map_or((0, 0), |ports| (of(&ports.remote), of(&ports.local)));
    (rule.proto == Proto::Any, of(&rule.remote.set.v4), ports.0, ports.1)
}

/// Pieces of the allows, as all rules cut them; twice where replies need entries of their own.
fn pieces(rules: &[Rule]) -> u64 {
    let remotes = cuts(rules.iter().map(|rule| &rule.remote.set.v4));
    let ports = || rules.iter().filter_map(|rule| rule.ports.as_ref());
    let (remote_ports, local_ports) =
        (cuts(ports().map(|ports| &ports.remote)), cuts(ports().map(|ports| &ports.local)));
    fn within<T: Point>(cuts: &BTreeSet<T>, set: &IntervalSet<T>) -> u64 {
        set.intervals().iter().map(|interval| cuts.range(interval.first..=interval.last).count() as u64).sum()
    }
    let of = |rule: &Rule| {
        let ports = rule.ports.as_ref().map_or(1, |ports| {
            let local = if ports.local.is_full() { 1 } else { within(&local_ports, &ports.local) };
            let remote = if ports.remote.is_full() { 1 } else { within(&remote_ports, &ports.remote) };
            remote.saturating_mul(local)
        });
        let remotes = if rule.remote.set.v4.is_full() { 1 } else { within(&remotes, &rule.remote.set.v4) };
        remotes.saturating_mul(ports).saturating_mul(1 + u64::from(rule.replies))
    };
    let allows = rules.iter().filter(|rule| rule.action == Verdict::Allow);
    allows.map(of).fold(0, u64::saturating_add)
}
