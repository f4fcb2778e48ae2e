//! The frames of one protocol that show ports: remote addresses by remote ports by local ports.
//!
//! A tree is put over the grid: first cut by one dimension, then by the second, then by the third, in each of the six
//! orders. A node can be covered by the lookup that names the dimensions cut so far; what covers it counts below it, and
//! over what frames without ports show, as far as its lookup comes before. The cheapest cover of each tree is found by
//! trying the outcomes of each node; so it is exact but for nodes of more than [`MOST_OUTCOMES`](super::input::MOST_OUTCOMES) outcomes.

use std::collections::HashMap;

use super::input::{BASE, Decider, Input, MOST_CELLS, NO_PIECE, OneDirection, Output, common, distinct, meets, union};
use crate::policy::PortPair;
use crate::policy::regions::classes::{classes, points_up_to};
use crate::tables::MatchFields;
use crate::terms::{AddrSet, PortSet};

/// Too much.
const NEVER: u64 = u64::MAX;
/// Whatever comes before, comes before this.
const LAST: u32 = u32::MAX;
/// Remote addresses, remote ports, local ports.
const ORDERS: [[usize; 3]; 6] = [[2, 1, 0], [2, 0, 1], [0, 2, 1], [1, 2, 0], [1, 0, 2], [0, 1, 2]];

/// How a set of ports is named, and how many entries that takes.
fn port_name(set: &PortSet, limit: usize, exact: MatchFields, range: MatchFields) -> (MatchFields, u64) {
    let by_value = points_up_to(set, limit).filter(|points| !points.is_empty());
    by_value.map_or((range, 1), |points| (exact, points.len() as u64))
}

/// How the remote and the local ports of a region are named.
pub(super) fn names(input: &Input<'_>, ports: &PortPair) -> [MatchFields; 2] {
    let [_, remote, local] = input.limits;
    let remote_name = port_name(&ports.remote, remote, MatchFields::REMOTE_PORT, MatchFields::REMOTE_PORTRANGE_ID).0;
    let local_name = port_name(&ports.local, local, MatchFields::LOCAL_PORT, MatchFields::LOCAL_PORTRANGE_ID).0;
    let nothing = MatchFields::empty();
    match (ports.remote.is_full(), ports.local.is_full()) {
        (true, _) => [nothing, local_name],
        (false, true) => [remote_name, nothing],
        (false, false) => [remote_name, local_name],
    }
}

/// What each combination of classes is decided by.
pub(super) struct Grid<'a> {
    one: &'a OneDirection<'a>,
    rows: Vec<PortSet>,
    columns: Vec<PortSet>,
    /// Regions by index; by atom, then remote port, then local port.
    cells: Vec<u32>,
}

/// A class of one dimension: what no outcome tells apart.
struct Part {
    /// Places in the grid.
    of: Vec<usize>,
    form: Form,
    /// Entries that naming it takes.
    cost: u64,
}

/// How a class is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It is everything: not at all.
    Whole,
    Exact,
    Id,
    /// It cannot be.
    Never,
}

impl Form {
    fn of(fields: MatchFields, exact: MatchFields) -> Self {
        if fields.is_empty() {
            Self::Whole
        } else if fields == exact {
            Self::Exact
        } else {
            Self::Id
        }
    }
}

/// The grid as its outcomes and what lies below it cut it.
struct View {
    parts: [Vec<Part>; 3],
    outcomes: Vec<u16>,
    /// What decides about each class of remote addresses without the grid: place and outcome.
    under: Vec<(u32, u16)>,
    /// The place of each lookup, by the forms of its fields.
    places: [[[u32; 4]; 4]; 4],
}

/// A cover: its tree.
pub(super) struct Cover {
    pub cost: u64,
    order: [usize; 3],
    view: View,
}

/// A node: the parts of the dimensions cut so far.
type At = [Option<usize>; 3];

impl<'a> Grid<'a> {
    /// `None`: too many cells.
    pub fn new(one: &'a OneDirection<'a>, regions: &[usize]) -> Option<Self> {
        let pairs: Vec<(u32, &AddrSet, &PortPair)> = regions
            .iter()
            .filter_map(|at| {
                let region = one.regions[*at];
                Some((u32::try_from(*at).ok()?, &region.remote, region.ports.as_ref()?))
            })
            .collect();
        let side = |of: fn(&PortPair) -> &PortSet| {
            let sets = distinct(pairs.iter().map(|(_, _, ports)| of(ports)).collect());
            classes(&sets).into_iter().map(|class| class.set).collect::<Vec<_>>()
        };
        let (rows, columns) = (side(|ports| &ports.remote), side(|ports| &ports.local));
        let size = one.atoms.len().checked_mul(rows.len())?.checked_mul(columns.len())?;
        if size > MOST_CELLS {
            return None;
        }
        let mut grid = Self { one, rows, columns, cells: vec![0; size] };
        for (region, remote, ports) in pairs {
            let (rows, columns) = (within(&grid.rows, &ports.remote), within(&grid.columns, &ports.local));
            for atom in (0..one.atoms.len()).filter(|atom| meets(remote, &one.atoms[*atom])) {
                for row in &rows {
                    for column in &columns {
                        let at = grid.at(atom, *row, *column);
                        grid.cells[at] = region;
                    }
                }
            }
        }
        Some(grid)
    }

    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    fn at(&self, atom: usize, row: usize, column: usize) -> usize {
        (atom * self.rows.len() + row) * self.columns.len() + column
    }

    fn outcome(&self, atom: usize, row: usize, column: usize) -> u16 {
        self.one.outcomes[self.cells[self.at(atom, row, column)] as usize]
    }

    /// The cheapest cover over what decides about each atom without it, if it costs less than `room`.
    pub fn cheapest(&self, deciders: &[Decider], room: u64) -> Option<Cover> {
        let view = self.view(deciders);
        let mut best: Option<(u64, [usize; 3])> = None;
        for order in ORDERS.into_iter().filter(|order| view.is_proper(order)) {
            let room = best.map_or(room, |(cost, _)| cost);
            let cost = view.below(&order, 0, [None; 3], (LAST, BASE), room);
            if cost < room {
                best = Some((cost, order));
            }
        }
        best.map(|(cost, order)| Cover { cost, order, view })
    }

    fn view(&self, deciders: &[Decider]) -> View {
        let (atoms, rows, columns) = (self.one.atoms.len(), self.rows.len(), self.columns.len());
        let by_row = group(rows, |row| {
            (0..atoms).flat_map(|atom| (0..columns).map(move |column| self.outcome(atom, row, column))).collect()
        });
        let by_column = group(columns, |column| {
            let rows = by_row.iter().map(|part| part[0]);
            rows.flat_map(|row| (0..atoms).map(move |atom| self.outcome(atom, row, column))).collect()
        });
        let by_atom = group(atoms, |atom| {
            let decider = &deciders[atom];
            let [high, low] =
                [decider.place >> 16, decider.place & 0xffff].map(|half| u16::try_from(half).unwrap_or(u16::MAX));
            let cells =
                by_row.iter().flat_map(|row| by_column.iter().map(|column| self.outcome(atom, row[0], column[0])));
            [high, low, decider.outcome].into_iter().chain(cells).collect()
        });
        let under = by_atom.iter().map(|part| (deciders[part[0]].place, deciders[part[0]].outcome)).collect();
        let mut outcomes = Vec::with_capacity(by_atom.len() * by_row.len() * by_column.len());
        for atom in &by_atom {
            for row in &by_row {
                outcomes.extend(by_column.iter().map(|column| self.outcome(atom[0], row[0], column[0])));
            }
        }
        let input = self.one.input;
        let remote = |of: Vec<usize>| match input.remote(&self.remote(&of)) {
            Some((fields, cost)) => Part { of, form: Form::of(fields, MatchFields::REMOTE_IP), cost },
            None => Part { of, form: Form::Never, cost: 0 },
        };
        let [_, remote_limit, local_limit] = input.limits;
        let (one_row, one_column) = (by_row.len() == 1, by_column.len() == 1);
        let row = |of: Vec<usize>| {
            let exact = MatchFields::REMOTE_PORT;
            let (fields, cost) =
                port_name(&joined(&self.rows, &of), remote_limit, exact, MatchFields::REMOTE_PORTRANGE_ID);
            let form = if one_row { Form::Whole } else { Form::of(fields, exact) };
            Part { of, form, cost }
        };
        let column = |of: Vec<usize>| {
            let exact = MatchFields::LOCAL_PORT;
            let (fields, cost) =
                port_name(&joined(&self.columns, &of), local_limit, exact, MatchFields::LOCAL_PORTRANGE_ID);
            // An entry must name a port to leave out frames without ports.
            let form = if one_column && !one_row { Form::Whole } else { Form::of(fields, exact) };
            Part { of, form, cost }
        };
        View {
            parts: [
                by_atom.into_iter().map(remote).collect(),
                by_row.into_iter().map(row).collect(),
                by_column.into_iter().map(column).collect(),
            ],
            outcomes,
            under,
            places: places(input),
        }
    }

    fn remote(&self, of: &[usize]) -> AddrSet {
        of.iter().fold(AddrSet::empty(), |all, atom| all.union(&self.one.atoms[*atom]))
    }

    /// Makes the pieces of a cover.
    pub fn make(&self, cover: &Cover, deciders: &[Decider], proto: u8, out: &mut Output<'_>) {
        let mut maker = Maker { grid: self, cover, deciders, proto, out };
        maker.below(0, [None; 3], (LAST, BASE), NO_PIECE);
    }
}

/// The places of all lookups that name the protocol and a port.
fn places(input: &Input<'_>) -> [[[u32; 4]; 4]; 4] {
    use MatchFields as F;
    let nothing = F::empty();
    let mut out = [[[LAST; 4]; 4]; 4];
    for (r, remote) in [nothing, F::REMOTE_IP, F::REMOTE_SUBNET_ID].into_iter().enumerate() {
        for (p, remote_port) in [nothing, F::REMOTE_PORT, F::REMOTE_PORTRANGE_ID].into_iter().enumerate() {
            for (l, local_port) in [nothing, F::LOCAL_PORT, F::LOCAL_PORTRANGE_ID].into_iter().enumerate() {
                if p + l > 0 {
                    out[r][p][l] = input.place(F::IP_PROTO | remote | remote_port | local_port).unwrap_or(LAST);
                }
            }
        }
    }
    out
}

/// Places of sets that lie within one.
fn within(sets: &[PortSet], whole: &PortSet) -> Vec<usize> {
    let first = |set: &PortSet| set.intervals().first().map(|interval| interval.first);
    (0..sets.len()).filter(|at| first(&sets[*at]).is_some_and(|port| whole.contains(port))).collect()
}

fn joined(sets: &[PortSet], of: &[usize]) -> PortSet {
    PortSet::from_intervals(of.iter().flat_map(|at| sets[*at].intervals().iter().copied()))
}

/// Puts together what looks alike.
fn group(count: usize, looks: impl Fn(usize) -> Vec<u16>) -> Vec<Vec<usize>> {
    let mut places: HashMap<Vec<u16>, usize> = HashMap::new();
    let mut out: Vec<Vec<usize>> = Vec::new();
    for at in 0..count {
        let place = *places.entry(looks(at)).or_insert(out.len());
        match out.get_mut(place) {
            Some(part) => part.push(at),
            None => out.push(vec![at]),
        }
    }
    out
}

impl View {
    /// False for an order that differs from another one by where it has what is never named.
    fn is_proper(&self, order: &[usize; 3]) -> bool {
        let is_whole = |dimension: &usize| self.parts[*dimension].len() == 1;
        let wholes: Vec<usize> = order.iter().copied().skip_while(|dimension| !is_whole(dimension)).collect();
        wholes.iter().all(is_whole) && wholes.is_sorted()
    }

    fn part(&self, at: &At, dimension: usize) -> Option<&Part> {
        self.parts[dimension].get(at[dimension]?)
    }

    /// The place of the lookup that names a node, and how many entries that takes.
    fn name(&self, at: &At) -> (u32, u64) {
        let form = |dimension| self.part(at, dimension).map_or(0, |part| part.form as usize);
        let cost = (0..3).filter_map(|dimension| self.part(at, dimension)).map(|part| part.cost);
        (self.places[form(0)][form(1)][form(2)], cost.fold(1, u64::saturating_mul))
    }

    fn outcome(&self, at: &At) -> u16 {
        let [atom, row, column] = at.map(Option::unwrap_or_default);
        self.outcomes[(atom * self.parts[1].len() + row) * self.parts[2].len() + column]
    }

    /// What decides about a cell that is not covered itself.
    fn shown(&self, at: &At, decider: (u32, u16)) -> (u32, u16) {
        let under = self.under[at[0].unwrap_or_default()];
        if under.0 < decider.0 { under } else { decider }
    }

    /// What covering the children of a node costs, if it is less than `room`.
    fn below(&self, order: &[usize; 3], depth: usize, mut at: At, decider: (u32, u16), room: u64) -> u64 {
        let mut sum = 0u64;
        for part in 0..self.parts[order[depth]].len() {
            at[order[depth]] = Some(part);
            let cost = if depth == 2 {
                self.leaf(&at, decider)
            } else {
                self.node(order, depth + 1, at, decider, room - sum).0
            };
            sum = sum.saturating_add(cost);
            if sum >= room {
                return NEVER;
            }
        }
        sum
    }

    fn leaf(&self, at: &At, decider: (u32, u16)) -> u64 {
        let (place, outcome) = self.shown(at, decider);
        if outcome == self.outcome(at) {
            return 0;
        }
        let (own, cost) = self.name(at);
        if own < place { cost } else { NEVER }
    }

    /// What a node and all below it costs, and the outcome that it is covered with.
    fn node(&self, order: &[usize; 3], depth: usize, at: At, decider: (u32, u16), room: u64) -> (u64, Option<u16>) {
        let mut best = (self.below(order, depth, at, decider, room), None);
        let (place, own) = self.name(&at);
        if place >= decider.0 || best.0 <= own {
            return best;
        }
        for outcome in self.all_outcomes(order, depth, at) {
            let room = room.min(best.0);
            if own >= room {
                break;
            }
            let cost = self.below(order, depth, at, (place, outcome), room - own).saturating_add(own);
            if cost < room {
                best = (cost, Some(outcome));
            }
        }
        best
    }

    /// The most frequent outcomes of a node.
    fn all_outcomes(&self, order: &[usize; 3], depth: usize, at: At) -> Vec<u16> {
        let (second, third) = (order[1], order[2]);
        let seconds = if depth == 1 { 0..self.parts[second].len() } else { at[second].map_or(0..0, |p| p..p + 1) };
        common(seconds.flat_map(|s| {
            (0..self.parts[third].len()).map(move |t| {
                let mut at = at;
                (at[second], at[third]) = (Some(s), Some(t));
                self.outcome(&at)
            })
        }))
    }
}

/// Makes the pieces of a cover.
struct Maker<'a, 'b, 'c> {
    grid: &'a Grid<'a>,
    cover: &'a Cover,
    deciders: &'a [Decider],
    proto: u8,
    out: &'b mut Output<'c>,
}

impl Maker<'_, '_, '_> {
    fn below(&mut self, depth: usize, mut at: At, decider: (u32, u16), piece: usize) {
        let (view, order) = (&self.cover.view, &self.cover.order);
        for part in 0..view.parts[order[depth]].len() {
            at[order[depth]] = Some(part);
            if depth == 2 {
                self.leaf(&at, decider, piece);
                continue;
            }
            match view.node(order, depth + 1, at, decider, NEVER) {
                (_, Some(outcome)) => {
                    let piece = self.add(&at, outcome);
                    self.below(depth + 1, at, (view.name(&at).0, outcome), piece);
                }
                (_, None) => self.below(depth + 1, at, decider, piece),
            }
        }
    }

    fn leaf(&mut self, at: &At, decider: (u32, u16), piece: usize) {
        let view = &self.cover.view;
        let wanted = view.outcome(at);
        let shown = view.shown(at, decider);
        let own = (shown.1 != wanted).then(|| self.add(at, wanted));
        let is_under = shown != decider || decider.0 == LAST;
        let parts = [0, 1, 2].map(|dimension| view.part(at, dimension).map_or(&[][..], |part| &part.of[..]));
        for &atom in parts[0] {
            let decides = own.unwrap_or(if is_under { self.deciders[atom].piece } else { piece });
            for &row in parts[1] {
                for &column in parts[2] {
                    let region = self.grid.cells[self.grid.at(atom, row, column)] as usize;
                    self.out.owe(region, decides);
                }
            }
        }
    }

    fn add(&mut self, at: &At, outcome: u16) -> usize {
        let (grid, view) = (self.grid, &self.cover.view);
        let remote = view.part(at, 0).map_or_else(|| union(&grid.one.atoms), |part| grid.remote(&part.of));
        let side = |dimension: usize, sets: &[PortSet]| {
            view.part(at, dimension).map_or_else(PortSet::full, |part| joined(sets, &part.of))
        };
        let ports = PortPair { remote: side(1, &grid.rows), local: side(2, &grid.columns) };
        self.out.add(Some(self.proto), remote, Some(ports), outcome)
    }
}
