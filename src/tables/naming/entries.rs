//! The entries of units and of the base, with the ids of a layout's classes.

use std::net::IpAddr;

use crate::policy::regions::{Cause, DIRECTIONS};
use crate::policy::{Document, RulePlace};
use crate::tables::arrange::pieces::Piece;
use crate::tables::base::BaseEntry;
use crate::tables::naming::layout::Tail;
use crate::tables::units::origins::{DOCUMENT, Numbers, management};
use crate::tables::units::unit::Unit;
use crate::tables::{Action, ImageEntry, OriginId, RuleKey, Side};
use crate::terms::Verdict;

/// An entry without its local side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitEntry {
    pub key: RuleKey,
    pub rx: Side,
    pub tx: Side,
    /// On RX, on TX: the binding itself asked for it too.
    pub nd: [bool; 2],
}

/// The entries of a unit for one local side, by rising keys, from what its pieces match, in order. `document` has the
/// unit's policy, and `numbers` are its rules'.
pub(crate) fn of_unit(
    document: &Document,
    numbers: Numbers,
    unit: &Unit,
    tails: &[(Tail, usize)],
    ids: &[Vec<u16>; 3],
) -> Vec<UnitEntry> {
    let ([subnets, remote_ports, local_ports], pieces) = (ids, &unit.pieces);
    let document = unit.samples.then_some(document);
    let mut out: Vec<UnitEntry> = Vec::with_capacity(tails.len());
    for alike in tails.chunk_by(|a, b| a.0 == b.0) {
        let of = |direction| alike.iter().map(|(_, at)| &pieces[*at]).filter(move |piece| piece.direction == direction);
        let of_binding = |cause: &Cause| matches!(cause, Cause::NeighbourDiscovery | Cause::NoRule);
        let nd = DIRECTIONS.map(|direction| of(direction).any(|piece| piece.causes.iter().any(of_binding)));
        let [rx, tx] = DIRECTIONS.map(|direction| side(of(direction), document, numbers));
        out.push(UnitEntry { key: alike[0].0.key([subnets, remote_ports, local_ports]), rx, tx, nd });
    }
    if !out.is_sorted_by_key(|entry| order(&entry.key)) {
        out.sort_by_cached_key(|entry| order(&entry.key));
    }
    out
}

/// The order of keys without a local side, as what is compared in no time.
fn order(key: &RuleKey) -> (Option<u8>, Option<IpAddr>, u128) {
    let number = |value: Option<u16>| value.map_or(0, |value| u128::from(value) + 1);
    let numbers = [
        key.remote_subnet.map(|id| id.0),
        key.remote_port,
        key.remote_portrange.map(|id| id.0),
        key.local_port,
        key.local_portrange.map(|id| id.0),
    ];
    (key.ip_proto, key.remote_ip, numbers.into_iter().fold(0, |all, value| all << 17 | number(value)))
}

/// The entry for a local side. `binding`: its number.
pub(crate) fn at_local(entry: &UnitEntry, local: &RuleKey, binding: Option<OriginId>) -> (RuleKey, ImageEntry) {
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
pub(crate) fn of_base(base: &BaseEntry) -> ImageEntry {
    let action = match base.verdict {
        Verdict::Allow => Action::Allow { sample: false },
        Verdict::Deny => Action::Deny { sample: false },
    };
    let rules = base.management.iter().map(|at| management(*at));
    let mut origins: Vec<OriginId> = rules.chain(base.bindings.iter().map(|number| OriginId(*number))).collect();
    if origins.is_empty() {
        origins.push(DOCUMENT);
    }
    let rx = Side { action, origins };
    let tx = if base.tx { rx.clone() } else { Side::default() };
    ImageEntry { rx, tx, counter: None }
}

/// What pieces of one direction decide, if there are any. What decides for several rules samples if one of them does;
/// `document`, where one does.
fn side<'a>(pieces: impl Iterator<Item = &'a Piece> + Clone, document: Option<&Document>, numbers: Numbers) -> Side {
    let Some(verdict) = pieces.clone().last().map(|piece| piece.verdict) else { return Side::default() };
    let (mut sample, mut origins) = (false, Vec::with_capacity(1));
    for cause in pieces.flat_map(|piece| &piece.causes) {
        match *cause {
            Cause::Rule { place, .. } => {
                sample |= document.and_then(|document| document.rule(place)).is_some_and(|rule| rule.sample);
                origins.push(match place {
                    RulePlace::Management(at) => management(at),
                    RulePlace::Policy(_, at) => numbers.rule(at),
                });
            }
            Cause::Multicast => origins.push(DOCUMENT),
            Cause::NeighbourDiscovery | Cause::NoRule => {}
        }
    }
    origins.sort_unstable();
    origins.dedup();
    let action = match verdict {
        Verdict::Allow => Action::Allow { sample },
        Verdict::Deny => Action::Deny { sample },
    };
    Side { action, origins }
}
