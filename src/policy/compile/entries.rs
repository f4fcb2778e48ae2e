//! The entries of units and of the base, with the ids of a layout's classes.

use std::collections::BTreeMap;

use super::base::Fixed;
use super::layout::{Causes, Decided, Tail};
use super::origins::{DOCUMENT, Numbers, management};
use super::regions::Cause;
use super::units::UnitEntry;
use crate::policy::{Document, ImageEntry, OriginId, RulePlace, Side};
use crate::tables::{Action, RuleKey, Verdict};

/// The entries of a unit for one local side, by rising keys. `document` has the unit's policy, and `numbers` are its
/// rules'.
pub(super) fn of_unit(
    document: &Document,
    numbers: Numbers,
    tails: &BTreeMap<Tail, Causes>,
    ids: &[Vec<u16>; 3],
) -> Vec<UnitEntry> {
    let [subnets, remote_ports, local_ports] = ids;
    let mut out: Vec<UnitEntry> = Vec::new();
    for (tail, causes) in tails {
        let of_binding = |cause: &Cause| matches!(cause, Cause::NeighbourDiscovery | Cause::NoRule);
        let nd = [0, 1].map(|side| causes[side].causes.iter().any(of_binding));
        let [rx, tx] = [0, 1].map(|at| side(&causes[at], document, numbers));
        out.push(UnitEntry { key: tail.key([subnets, remote_ports, local_ports]), rx, tx, nd });
    }
    out.sort_unstable_by_key(|entry| entry.key);
    out
}

/// The entry for a local side. `binding`: its number.
pub(super) fn at_local(entry: &UnitEntry, local: &RuleKey, binding: Option<OriginId>) -> (RuleKey, ImageEntry) {
    let key = RuleKey {
        local_ip: local.local_ip,
        local_mac: local.local_mac,
        outer_vlan: local.outer_vlan,
        physical_port: local.physical_port,
        ether_type: local.ether_type,
        ..entry.key
    };
    let side = |side: &Side, nd: bool| {
        let mut side = side.clone();
        if nd {
            side.origins.extend(binding);
            side.origins.sort_unstable();
        }
        side
    };
    (key, ImageEntry { rx: side(&entry.rx, entry.nd[0]), tx: side(&entry.tx, entry.nd[1]), counter: None })
}

/// An entry that no rule of a policy makes.
pub(super) fn of_fixed(fixed: &Fixed) -> ImageEntry {
    let action = match fixed.verdict {
        Verdict::Allow => Action::Allow { sample: false },
        Verdict::Deny => Action::Deny { sample: false },
    };
    let rules = fixed.management.iter().map(|at| management(*at));
    let mut origins: Vec<OriginId> = rules.chain(fixed.bindings.iter().map(|number| OriginId(*number))).collect();
    if origins.is_empty() {
        origins.push(DOCUMENT);
    }
    let rx = Side { action, origins };
    let tx = if fixed.tx { rx.clone() } else { Side::default() };
    ImageEntry { rx, tx, counter: None }
}

/// What decides for several rules samples if one of them does.
fn side(decided: &Decided, document: &Document, numbers: Numbers) -> Side {
    let Some(verdict) = decided.verdict else { return Side::default() };
    let rules = || {
        decided.causes.iter().filter_map(|cause| match *cause {
            Cause::Rule { place, .. } => Some(place),
            Cause::NeighbourDiscovery | Cause::Multicast | Cause::NoRule => None,
        })
    };
    let sample = rules().any(|place| document.rule(place).is_some_and(|rule| rule.sample));
    let id = |place| match place {
        RulePlace::Management(at) => management(at),
        RulePlace::Policy(_, at) => numbers.rule(at),
    };
    let mut origins: Vec<OriginId> = rules().map(id).collect();
    if decided.causes.contains(&Cause::Multicast) {
        origins.push(DOCUMENT);
    }
    origins.sort_unstable();
    origins.dedup();
    let action = match verdict {
        Verdict::Allow => Action::Allow { sample },
        Verdict::Deny => Action::Deny { sample },
    };
    Side { action, origins }
}
