//! Cuts the remote addresses and ports of a shape into classes, and puts together what is decided alike.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::budget::Budget;
use super::found::{self, RegionParts, shown};
use super::shape::{Cause, DIRECTIONS, Decided, Region, Shape};
use crate::policy::regions::classes::{
    Bits, Class, Mask, Swept, classes, classes_of_repeated, ends_of, regroup, sweep,
};
use crate::policy::{Document, PortPair, Proto, Rule, RulePlace};
use crate::terms::{AddrSet, Direction, Interval, IntervalSet, Point, PortSet, Verdict};

/// The regions of a shape: disjoint, and together all IP frames of the family. `protocols` are told apart; they hold at
/// least those of [`Shape::protocols`].
pub(crate) fn regions(document: &Document, shape: &Shape, protocols: &[u8]) -> Vec<Region> {
    regions_within(document, shape, protocols, Wanted::All, &Budget::of(u64::MAX)).unwrap_or_default()
}

/// Which regions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    /// Those that are allowed; in a direction in which a rule may allow frames without ports, those that are denied too:
    /// they could lie beside what an entry without ports allows.
    Allowed,
}

/// As [`regions`], within a budget; `None` if that is spent.
pub(crate) fn regions_within(
    document: &Document,
    shape: &Shape,
    protocols: &[u8],
    wanted: Wanted,
    budget: &Budget,
) -> Option<Vec<Region>> {
    if shape.v6 {
        Cutter::<u128>::new(document, shape, budget).all(protocols, wanted)
    } else {
        Cutter::<u32>::new(document, shape, budget).all(protocols, wanted)
    }
}

/// The points of one address family.
pub(super) trait Family: Point {
    fn of(set: &AddrSet) -> &IntervalSet<Self>;
    fn wrap(set: IntervalSet<Self>) -> AddrSet;
}

impl Family for u32 {
    fn of(set: &AddrSet) -> &IntervalSet<Self> {
        &set.v4
    }

    fn wrap(v4: IntervalSet<Self>) -> AddrSet {
        AddrSet { v4, ..AddrSet::empty() }
    }
}

impl Family for u128 {
    fn of(set: &AddrSet) -> &IntervalSet<Self> {
        &set.v6
    }

    fn wrap(v6: IntervalSet<Self>) -> AddrSet {
        AddrSet { v6, ..AddrSet::empty() }
    }
}

/// The classes of a shape. Places in masks are places in the list of rules; the one behind it is that of the groups
/// among remote addresses, of the ephemeral ports among local ports, and always set among remote ports.
pub(super) struct Cutter<'a, T> {
    pub(super) shape: &'a Shape,
    pub(super) rules: Vec<(RulePlace, &'a Rule)>,
    pub(super) remotes: Vec<Class<T>>,
    pub(super) ephemeral: &'a PortSet,
    pub(super) budget: &'a Budget,
}

impl<'a, T: Family> Cutter<'a, T> {
    pub(super) fn new(document: &'a Document, shape: &'a Shape, budget: &'a Budget) -> Self {
        let rules: Vec<_> = shape.rules.iter().filter_map(|place| Some((*place, document.rule(*place)?))).collect();
        let groups = AddrSet::groups();
        let mut remotes: Vec<_> = rules.iter().map(|(_, rule)| T::of(&rule.remote.set)).collect();
        remotes.push(T::of(&groups));
        let remotes = classes_of_repeated(&remotes);
        Self { shape, remotes, ephemeral: &document.ephemeral, rules, budget }
    }

    fn all(&self, protocols: &[u8], wanted: Wanted) -> Option<Vec<Region>> {
        let scopes = DIRECTIONS.map(|direction| self.scope(direction, wanted));
        let mut by_direction = [Vec::new(), Vec::new()];
        for proto in protocols.iter().map(|number| Some(*number)).chain([None]) {
            let found = self.of_protocol(proto, scopes)?;
            for ((out, direction), found) in by_direction.iter_mut().zip(DIRECTIONS).zip(found) {
                found::join(found, |(ports, (verdict, cause)), remote| {
                    let ports = ports.map(|(remote, local)| PortPair { remote, local });
                    out.push(Region { direction, proto, ports, verdict, cause, remote: T::wrap(remote) });
                });
            }
        }
        Some(by_direction.into_iter().flatten().collect())
    }

    /// What has to be looked at in a direction.
    fn scope(&self, direction: Direction, wanted: Wanted) -> Scope {
        let mut allowing = self.rules.iter().filter(|(_, rule)| allows(rule, direction)).peekable();
        if wanted == Wanted::All || self.shape.open_nd {
            Scope::All
        } else if allowing.peek().is_none() {
            Scope::Nothing
        } else if allowing.all(|(_, rule)| rule.ports.is_some()) {
            Scope::AllowedPorts
        } else {
            Scope::All
        }
    }

    /// What is found for each direction.
    fn of_protocol(&self, proto: Option<u8>, scopes: [Scope; 2]) -> Option<[RegionParts<T>; 2]> {
        let ported = proto.is_some_and(Proto::has_ports);
        let idle = |scope: &Scope| *scope == Scope::Nothing || (*scope == Scope::AllowedPorts && !ported);
        if scopes.iter().all(idle) {
            return Some([RegionParts::<T>::new(), RegionParts::new()]);
        }
        let fits = |rule: &Rule| match rule.proto {
            Proto::Any => ported || rule.ports.is_none(),
            Proto::Is(number) => proto == Some(number) && (ported || rule.ports.is_none()),
        };
        let (with_ports, without) = (self.mask(fits), self.mask(|rule| fits(rule) && rule.ports.is_none()));
        let mut found = [RegionParts::<T>::new(), RegionParts::new()];
        let effort = with_ports.words() + 16;
        self.budget.spend(self.remotes.len() * effort)?;
        for remote in regroup(&self.remotes, &with_ports) {
            self.budget.spend(effort)?;
            let here: Places = remote.within.iter().filter(|at| *at < self.rules.len()).collect();
            let (mut sides, mut strip) = (None, None);
            for ((found, direction), scope) in found.iter_mut().zip(DIRECTIONS).zip(scopes) {
                let acts = |at: &usize| self.rules.get(*at).is_some_and(|(_, rule)| acts(rule, direction));
                let acted = ported && scope != Scope::Nothing && here.iter().any(acts);
                if scope == Scope::All {
                    let none = self.decide(direction, proto, [&remote.within, &without, &without], false);
                    found.push(((shown(None), none), remote.set.clone()));
                    if ported && !acted {
                        let ports = (PortSet::full(), PortSet::full());
                        found.push(((shown(Some(ports)), none), remote.set.clone()));
                    }
                }
                if !acted {
                    continue;
                }
                let wanted = |decided: &Decided| scope == Scope::All || decided.0 == Verdict::Allow;
                if strip.is_none() && self.is_strip(&here) {
                    let cut = self.strip(&here);
                    self.budget.spend((1 + 2 * cut.len()).saturating_mul(effort))?;
                    strip = Some(cut);
                }
                if let Some(strip) = &strip {
                    let decided = self.of_strip(direction, proto, &remote.within, &here, strip).into_iter();
                    let decided = decided.filter(|(decided, _)| wanted(decided));
                    let ports = |intervals: Intervals| Some((PortSet::full(), PortSet::from_intervals(intervals)));
                    found.extend(decided.map(|(decided, of)| ((shown(ports(of)), decided), remote.set.clone())));
                    continue;
                }
                if sides.is_none() {
                    let (rows, columns) = self.sides(&remote.within.and(&with_ports));
                    self.budget.spend((rows.len() + columns.len()).saturating_mul(effort))?;
                    self.budget.spend(rows.len().saturating_mul(columns.len()).saturating_mul(effort))?;
                    sides = Some((rows, columns));
                }
                let Some((rows, columns)) = &sides else { continue };
                let grid = self.grid(direction, proto, &remote.within, rows, columns).into_iter();
                let grid = grid.filter(|(_, decided)| wanted(decided));
                found.extend(grid.map(|(ports, decided)| ((shown(Some(ports)), decided), remote.set.clone())));
            }
        }
        Some(found)
    }

    /// True if these rules tell no remote ports apart.
    fn is_strip(&self, here: &Places) -> bool {
        let whole = |at: &usize| self.rules[*at].1.ports.as_ref().is_none_or(|ports| ports.remote.is_full());
        here.len() < 64 && here.iter().all(whole)
    }

    /// The pieces into which these rules, fewer than 64, cut the local ports: one bit for each rule that holds the piece,
    /// and the highest for ephemeral ports, where they make a difference.
    fn strip(&self, here: &Places) -> Strip {
        let bits = here.iter().enumerate().map(|(bit, at)| (1 << bit, self.rules[*at].1));
        let named = bits.filter_map(|(bit, rule)| Some((bit, &rule.ports.as_ref()?.local)));
        let named = named.filter(|(_, set)| !set.is_full());
        let confined = here.iter().any(|at| self.rules[*at].1.replies && is_confined(self.rules[*at].1));
        let mut ends: SmallVec<[(u16, u64); 16]> = SmallVec::new();
        for (bit, set) in named.chain(confined.then_some((EPHEMERAL, self.ephemeral))) {
            ends.extend(ends_of(set, bit));
        }
        let full = |at: &usize| self.rules[*at].1.ports.as_ref().is_none_or(|ports| ports.local.is_full());
        let everywhere = here.iter().enumerate().filter(|(_, at)| full(at));
        let mut within = everywhere.fold(0_u64, |all, (bit, _)| all | 1 << bit);
        let mut out = Strip::with_capacity(ends.len() + 1);
        sweep(&mut ends, |swept| match swept {
            Swept::Piece(piece) => out.push((within, piece)),
            Swept::End(bit) => within ^= bit,
        });
        out
    }

    /// What is decided about the pieces of a strip, pieces that are decided alike together.
    fn of_strip(
        &self,
        direction: Direction,
        proto: Option<u8>,
        remote: &Mask,
        here: &Places,
        strip: &Strip,
    ) -> SmallVec<[(Decided, Intervals); 4]> {
        let mut same: SmallVec<[(Decided, Intervals); 4]> = SmallVec::new();
        let group = remote.contains(self.rules.len());
        for (within, piece) in strip {
            let matching = Bits(within & !EPHEMERAL).map(|bit| here[bit]);
            let decided = self.decide_among(direction, proto, group, matching, within & EPHEMERAL != 0);
            match same.iter_mut().find(|(other, _)| *other == decided) {
                Some((_, intervals)) => intervals.push(*piece),
                None => same.push((decided, smallvec![*piece])),
            }
        }
        same
    }

    /// The classes into which these rules cut remote and local ports.
    pub(super) fn sides(&self, here: &Mask) -> (Vec<Class<u16>>, Vec<Class<u16>>) {
        let places: SmallVec<[usize; 8]> = here.iter().filter(|at| *at < self.rules.len()).collect();
        let full = PortSet::full();
        let side = |of: fn(&PortPair) -> &PortSet, last: &PortSet| {
            let sets = places.iter().map(|at| self.rules[*at].1.ports.as_ref().map_or(&full, of));
            let sets: SmallVec<[&PortSet; 8]> = sets.chain([last]).collect();
            if sets.iter().all(|set| set.is_full()) {
                let within = places.iter().copied().chain([self.rules.len()]);
                return vec![Class { within: Mask::of_places(self.rules.len() + 1, within), set: PortSet::full() }];
            }
            let mut classes = classes(&sets);
            for class in &mut classes {
                let place = |at: usize| places.get(at).copied().unwrap_or(self.rules.len());
                let within = class.within.iter().map(place);
                class.within = Mask::of_places(self.rules.len() + 1, within);
            }
            classes
        };
        // Where no rule matches it does not matter which ports are ephemeral.
        let ephemeral = if places.is_empty() { &full } else { self.ephemeral };
        (side(|ports| &ports.remote, &full), side(|ports| &ports.local, ephemeral))
    }

    pub(super) fn mask(&self, fits: impl Fn(&Rule) -> bool) -> Mask {
        let mut mask = Mask::of_len(self.rules.len() + 1);
        for at in (0..self.rules.len()).filter(|at| fits(self.rules[*at].1)).chain([self.rules.len()]) {
            mask.flip(at);
        }
        mask
    }

    /// What the ports decide for one class of remote addresses, as boxes.
    fn grid(
        &self,
        direction: Direction,
        proto: Option<u8>,
        remote: &Mask,
        rows: &[Class<u16>],
        columns: &[Class<u16>],
    ) -> Vec<((PortSet, PortSet), Decided)> {
        let decide = |row: &Class<u16>, column: &Class<u16>| {
            let ephemeral = column.within.contains(self.rules.len());
            self.decide(direction, proto, [remote, &row.within, &column.within], ephemeral)
        };
        if let [row] = rows {
            return one_row(row, columns, decide);
        }
        let by_row = boxes(rows, columns, decide);
        if by_row.len() <= 2 {
            return by_row.into_iter().map(|(rows, columns, decided)| ((rows, columns), decided)).collect();
        }
        let by_column = boxes(columns, rows, |column, row| decide(row, column));
        if by_row.len() <= by_column.len() {
            by_row.into_iter().map(|(rows, columns, decided)| ((rows, columns), decided)).collect()
        } else {
            by_column.into_iter().map(|(columns, rows, decided)| ((rows, columns), decided)).collect()
        }
    }

    /// Decides one combination of classes; `matching` has in common the rules that match.
    pub(super) fn decide(
        &self,
        direction: Direction,
        proto: Option<u8>,
        matching: [&Mask; 3],
        ephemeral: bool,
    ) -> Decided {
        let group = matching[0].contains(self.rules.len());
        let matching = Mask::common(matching[0], matching[1], matching[2]);
        self.decide_among(direction, proto, group, matching, ephemeral)
    }

    /// As [`Self::decide`], with the rules that match in rising order; `group`: the remote addresses are groups.
    fn decide_among(
        &self,
        direction: Direction,
        proto: Option<u8>,
        group: bool,
        matching: impl Iterator<Item = usize>,
        ephemeral: bool,
    ) -> Decided {
        if self.shape.open_nd && proto == Some(58) {
            return (Verdict::Allow, Cause::NeighbourDiscovery);
        }
        let closed_group = self.shape.closed_groups && group;
        if closed_group && direction == Direction::Tx {
            return (Verdict::Deny, Cause::Multicast);
        }
        let ported = proto.is_some_and(Proto::has_ports);
        // Management rules and policy rules are two lists: only the list that a rule stands in can hide its mirror.
        let (mut mirror_is_open, mut list) = (!closed_group, None);
        for at in matching {
            let Some((place, rule)) = self.rules.get(at) else { continue };
            let this_list = std::mem::discriminant(place);
            if list.replace(this_list) != Some(this_list) {
                mirror_is_open = !closed_group;
            }
            if rule.direction == direction {
                return (rule.action, Cause::Rule { place: *place, reply: false });
            }
            let confined = ported && is_confined(rule);
            if mirror_is_open && rule.replies && (!confined || ephemeral) {
                return (Verdict::Allow, Cause::Rule { place: *place, reply: true });
            }
            mirror_is_open = false;
        }
        (Verdict::Deny, Cause::NoRule)
    }
}

/// What of a direction has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// Only what is allowed, and only frames with ports are.
    AllowedPorts,
    Nothing,
}

/// True if a rule may allow frames of a direction, itself or by its replies.
fn allows(rule: &Rule, direction: Direction) -> bool {
    (rule.direction == direction && rule.action == Verdict::Allow) || rule.replies
}

/// True if a rule admits replies to ephemeral ports alone, where there are ports.
fn is_confined(rule: &Rule) -> bool {
    rule.direction == Direction::Tx && !rule.names_local_ports
}

/// True if a rule may decide about a direction, itself or by its replies.
fn acts(rule: &Rule, direction: Direction) -> bool {
    rule.direction == direction || rule.replies
}

/// Intervals of a few columns.
type Intervals = SmallVec<[Interval<u16>; 4]>;

/// Places of rules.
type Places = SmallVec<[usize; 8]>;

/// Pieces of the local ports in rising order, each with what holds it.
type Strip = SmallVec<[(u64, Interval<u16>); 16]>;

/// What holds ephemeral ports.
const EPHEMERAL: u64 = 1 << 63;

/// Puts the columns of one row together that are decided alike.
fn one_row(
    row: &Class<u16>,
    columns: &[Class<u16>],
    decide: impl Fn(&Class<u16>, &Class<u16>) -> Decided,
) -> Vec<((PortSet, PortSet), Decided)> {
    let mut same: SmallVec<[(Decided, Intervals); 4]> = SmallVec::new();
    for column in columns {
        let decided = decide(row, column);
        match same.iter_mut().find(|(other, _)| *other == decided) {
            Some((_, intervals)) => intervals.extend_from_slice(column.set.intervals()),
            None => same.push((decided, column.set.intervals().into())),
        }
    }
    let columns = |intervals| (row.set.clone(), PortSet::from_intervals(intervals));
    same.into_iter().map(|(decided, intervals)| (columns(intervals), decided)).collect()
}

/// Puts rows together that are decided alike in the same columns: `(rows, columns, decision)`.
fn boxes(
    rows: &[Class<u16>],
    columns: &[Class<u16>],
    decide: impl Fn(&Class<u16>, &Class<u16>) -> Decided,
) -> Vec<(PortSet, PortSet, Decided)> {
    let mut same: BTreeMap<(Decided, Vec<usize>), Vec<Interval<u16>>> = BTreeMap::new();
    for row in rows {
        let mut by_decision: BTreeMap<Decided, Vec<usize>> = BTreeMap::new();
        for (i, column) in columns.iter().enumerate() {
            by_decision.entry(decide(row, column)).or_default().push(i);
        }
        for key in by_decision {
            same.entry(key).or_default().extend_from_slice(row.set.intervals());
        }
    }
    let union = |columns_in: &[usize]| {
        PortSet::from_intervals(columns_in.iter().flat_map(|i| columns[*i].set.intervals().iter().copied()))
    };
    same.into_iter().map(|((decided, at), rows)| (PortSet::from_intervals(rows), union(&at), decided)).collect()
}
