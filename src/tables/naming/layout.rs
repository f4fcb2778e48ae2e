//! How the pieces of all shapes become entries: which addresses and ports are named by exact values and which by ids.
//!
//! Ids, tree entries, combinations and rules trade against each other, for the whole document at once. A few ways to
//! choose are counted; of those that fit, the one with the fewest rules wins, then the fewest combinations, then the
//! fewest ids.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::policy::PortPair;
use crate::policy::regions::DIRECTIONS;
use crate::policy::regions::classes::{points_up_to, size};
use crate::tables::arrange::pieces::Piece;
use crate::tables::naming::sets::{Sets, Space};
use crate::tables::units::Units;
use crate::tables::units::unit::{UnitKey, Used};
use crate::tables::usage::{Need, Table};
use crate::tables::{MatchFields, PortRangeId, RuleKey, SubnetId, Target};
use crate::terms::{IntervalSet, Point, PortSet};

/// A value of a match field, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field<T> {
    /// The field is not named.
    Any,
    /// A class of the layout, by its place.
    Class(u32),
    Is(T),
}

/// What an entry matches but for the local side, with classes in place of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tail {
    pub proto: Option<u8>,
    pub remote: Field<IpAddr>,
    pub remote_port: Field<u16>,
    pub local_port: Field<u16>,
}

/// The sets of all pieces in the fields of the three maps.
#[derive(Debug, Clone)]
pub(crate) struct AllSets {
    pub remotes: Arc<Sets<u32>>,
    pub remote_ports: Arc<Sets<u16>>,
    pub local_ports: Arc<Sets<u16>>,
}

/// Of the remote addresses, the remote and the local ports.
pub(crate) type NamedSets<'a> = (Option<&'a IntervalSet<u32>>, Option<&'a PortSet>, Option<&'a PortSet>);

/// The sets that entries name where a piece has these.
pub(crate) fn named_sets(piece: &Piece) -> NamedSets<'_> {
    let remote = Some(&piece.remote.v4).filter(|set| !set.is_full() && !set.is_empty());
    let Some(PortPair { remote: remote_ports, local }) = &piece.ports else { return (remote, None, None) };
    // An entry must name a port to leave out frames without ports: where both sides are full it names the local one.
    let local_is_named = !local.is_full() || remote_ports.is_full();
    (remote, Some(remote_ports).filter(|set| !set.is_full()), Some(local).filter(|_| local_is_named))
}

impl AllSets {
    /// The numbers of each piece's sets.
    pub fn numbers(&self, pieces: &[Piece]) -> Vec<SetNumbers> {
        fn number<T: Point + std::hash::Hash>(all: &Sets<T>, set: Option<&IntervalSet<T>>) -> Option<u32> {
            u32::try_from(all.number(set?)?).ok()
        }
        let of = |(remote, remote_ports, local_ports): NamedSets<'_>| {
            let ports = [number(&self.remote_ports, remote_ports), number(&self.local_ports, local_ports)];
            [number(&self.remotes, remote), ports[0], ports[1]]
        };
        pieces.iter().map(named_sets).map(of).collect()
    }

    /// True if one of the pieces has one of these sets, by number.
    fn has(&self, pieces: &[Piece], sets: &[HashSet<usize>; 3]) -> bool {
        fn named<T: Point + std::hash::Hash>(all: &Sets<T>, set: Option<&IntervalSet<T>>, of: &HashSet<usize>) -> bool {
            !of.is_empty() && set.and_then(|set| all.number(set)).is_some_and(|number| of.contains(&number))
        }
        pieces.iter().map(named_sets).any(|(remote, remote_ports, local_ports)| {
            named(&self.remotes, remote, &sets[0])
                || named(&self.remote_ports, remote_ports, &sets[1])
                || named(&self.local_ports, local_ports, &sets[2])
        })
    }

    /// The units that have one of these sets, by number.
    pub fn users_of<'u>(
        &self,
        units: &'u Units,
        sets: &[HashSet<usize>; 3],
    ) -> impl Iterator<Item = (&'u UnitKey, &'u Arc<Used>)> {
        let any = sets.iter().any(|sets| !sets.is_empty());
        let all = any.then(|| units.used.iter()).into_iter().flatten();
        all.filter(move |(_, used)| self.has(&used.unit.pieces, sets))
    }

    /// All ways to choose that make a difference, the usual one first.
    pub fn layouts(&self) -> Vec<Layout> {
        let mut out = Vec::new();
        for subnets in &self.remotes.spaces {
            for remote_ports in &self.remote_ports.spaces {
                for local_ports in &self.local_ports.spaces {
                    let (subnets, remote_ports, local_ports) =
                        (subnets.clone(), remote_ports.clone(), local_ports.clone());
                    out.push(Layout { subnets, remote_ports, local_ports });
                }
            }
        }
        out
    }
}

/// One way to choose: the classes of the three maps, and what is named by value.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub subnets: Arc<Space<u32>>,
    pub remote_ports: Arc<Space<u16>>,
    pub local_ports: Arc<Space<u16>>,
}

/// The numbers of a piece's sets, in the three maps.
pub(crate) type SetNumbers = [Option<u32>; 3];

/// Values of one field: most pieces have one.
type Fields<T> = SmallVec<[Field<T>; 4]>;

/// The values of a set by number: its classes, or its points.
fn fields<T: Point>(space: &Space<T>, number: Option<u32>, set: &IntervalSet<T>) -> Fields<T> {
    match number.and_then(|number| space.members(number as usize)) {
        Some(members) => members.iter().map(|place| Field::Class(*place)).collect(),
        None => points_up_to(set, space.limit).unwrap_or_default().into_iter().map(Field::Is).collect(),
    }
}

impl Tail {
    /// A number that rises as tails do, as far as it goes.
    fn rank(&self) -> u128 {
        let port = |field| match field {
            Field::Any => 0,
            Field::Class(place) => 1 << 32 | u128::from(place),
            Field::Is(port) => 2 << 32 | u128::from(port),
        };
        let remote = match self.remote {
            Field::Any => 0,
            Field::Class(place) => 1 << 32 | u128::from(place),
            Field::Is(IpAddr::V4(addr)) => 2 << 32 | u128::from(addr.to_bits()),
            Field::Is(IpAddr::V6(addr)) => 3 << 32 | addr.to_bits() >> 96,
        };
        let proto = self.proto.map_or(0, |proto| u128::from(proto) + 1);
        proto << 102 | remote << 68 | port(self.remote_port) << 34 | port(self.local_port)
    }

    /// The key of this tail, with the ids of the classes of the three maps (0 where they are not known).
    pub fn key(&self, ids: [&[u16]; 3]) -> RuleKey {
        let id = |map: usize, place: u32| ids[map].get(place as usize).copied().unwrap_or_default();
        let mut key = RuleKey { ip_proto: self.proto, ..RuleKey::default() };
        match self.remote {
            Field::Any => {}
            Field::Is(addr) => key.remote_ip = Some(addr),
            Field::Class(place) => key.remote_subnet = Some(SubnetId(id(0, place))),
        }
        match self.remote_port {
            Field::Any => {}
            Field::Is(port) => key.remote_port = Some(port),
            Field::Class(place) => key.remote_portrange = Some(PortRangeId(id(1, place))),
        }
        match self.local_port {
            Field::Any => {}
            Field::Is(port) => key.local_port = Some(port),
            Field::Class(place) => key.local_portrange = Some(PortRangeId(id(2, place))),
        }
        key
    }
}

/// What a unit's entries for one local side need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub entries: u64,
    /// Combinations of match fields, sorted.
    pub fields: Vec<MatchFields>,
}

impl Layout {
    /// True if this is the same choice of the same classes.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.subnets, &other.subnets)
            && Arc::ptr_eq(&self.remote_ports, &other.remote_ports)
            && Arc::ptr_eq(&self.local_ports, &other.local_ports)
    }

    /// Up to how many points a set is named by exact values, in the three maps.
    pub fn limits(&self) -> [usize; 3] {
        [self.subnets.limit, self.remote_ports.limit, self.local_ports.limit]
    }

    /// What the classes need, and what there is: ids, nodes and trees.
    pub fn needs(&self, nodes: u64, target: &Target) -> [Need; 6] {
        let sizes = &target.sizes;
        let ids = |min: u32, max: u32| u64::from(max.saturating_add(1).saturating_sub(min));
        let subnet_ids = ids(sizes.subnet_id_min, sizes.subnet_id_max);
        let port_ids = ids(sizes.portrange_id_min, sizes.portrange_id_max);
        let need = |table, needed, available| Need { table, needed, available };
        let tree = |intervals: usize| (2 * intervals as u64).saturating_sub(1);
        [
            need(Table::SubnetIds, self.subnets.classes.len() as u64, subnet_ids),
            need(Table::SubnetNodes, nodes, sizes.subnet_nodes.into()),
            need(Table::RemotePortIds, self.remote_ports.classes.len() as u64, port_ids),
            need(Table::RemotePortTree, tree(self.remote_ports.intervals()), sizes.port_tree_entries.into()),
            need(Table::LocalPortIds, self.local_ports.classes.len() as u64, port_ids),
            need(Table::LocalPortTree, tree(self.local_ports.intervals()), sizes.port_tree_entries.into()),
        ]
    }

    pub fn ids(&self) -> usize {
        self.subnets.classes.len() + self.remote_ports.classes.len() + self.local_ports.classes.len()
    }

    fn remotes(&self, piece: &Piece, number: Option<u32>) -> Fields<IpAddr> {
        if piece.remote.v4.is_full() || piece.remote.v6.is_full() {
            return smallvec![Field::Any];
        }
        if !piece.remote.v6.is_empty() {
            let points = points_up_to(&piece.remote.v6, usize::MAX).unwrap_or_default();
            return points.into_iter().map(|at| Field::Is(Ipv6Addr::from_bits(at).into())).collect();
        }
        let addr = |field| match field {
            Field::Any => Field::Any,
            Field::Is(at) => Field::Is(Ipv4Addr::from_bits(at).into()),
            Field::Class(place) => Field::Class(place),
        };
        fields(&self.subnets, number, &piece.remote.v4).into_iter().map(addr).collect()
    }

    /// Remote and local port fields of a piece.
    fn ports(&self, piece: &Piece, numbers: &SetNumbers) -> (Fields<u16>, Fields<u16>) {
        let (_, remote, local) = named_sets(piece);
        let any = || smallvec![Field::Any];
        (
            remote.map_or_else(any, |set| fields(&self.remote_ports, numbers[1], set)),
            local.map_or_else(any, |set| fields(&self.local_ports, numbers[2], set)),
        )
    }

    /// How many entries a piece takes for one local side, and the match fields that they name beside the local ones.
    pub fn cost(&self, piece: &Piece, numbers: &SetNumbers) -> (u64, MatchFields) {
        use MatchFields as F;
        let (subnets, remote_ports, local_ports) = named_sets(piece);
        let (mut entries, mut fields) = (1_u64, if piece.proto.is_some() { F::IP_PROTO } else { F::empty() });
        let mut by = |(values, by_class): (u64, bool), exact, class| {
            entries = entries.saturating_mul(values);
            fields |= if by_class { class } else { exact };
        };
        if !piece.remote.v6.is_empty() && !piece.remote.v6.is_full() && !piece.remote.v4.is_full() {
            let points = points_up_to(&piece.remote.v6, usize::MAX).unwrap_or_default();
            by((points.len() as u64, false), F::REMOTE_IP, F::REMOTE_IP);
        } else if let Some(set) = subnets.filter(|_| !piece.remote.v6.is_full()) {
            by(values(&self.subnets, numbers[0], set), F::REMOTE_IP, F::REMOTE_SUBNET_ID);
        }
        if let Some(set) = remote_ports {
            by(values(&self.remote_ports, numbers[1], set), F::REMOTE_PORT, F::REMOTE_PORTRANGE_ID);
        }
        if let Some(set) = local_ports {
            by(values(&self.local_ports, numbers[2], set), F::LOCAL_PORT, F::LOCAL_PORTRANGE_ID);
        }
        (entries, fields)
    }

    /// What the entries of a unit need for one local side. Where they are more than `room` they are only counted, as few
    /// as they may be.
    pub fn count(&self, pieces: &[Piece], numbers: &[SetNumbers], room: u64) -> Count {
        let costs = pieces.iter().zip(numbers).map(|(piece, numbers)| self.cost(piece, numbers));
        let (mut most, mut fields): (u64, Vec<MatchFields>) = (0, Vec::new());
        for (entries, of) in costs {
            most = most.saturating_add(entries);
            if !fields.contains(&of) {
                fields.push(of);
            }
        }
        fields.sort_unstable();
        let both_ways = DIRECTIONS.iter().all(|direction| pieces.iter().any(|piece| piece.direction == *direction));
        let entries = if !both_ways {
            // Pieces of one direction are disjoint.
            most
        } else if most.div_ceil(2) > room {
            // One entry may serve both directions: no fewer than half are needed.
            most.div_ceil(2)
        } else {
            self.tails(pieces, numbers).chunk_by(|a, b| a.0 == b.0).count() as u64
        };
        Count { entries, fields }
    }

    /// What the pieces of a unit match for one local side, each with the place of its piece, in order: one entry a tail.
    pub fn tails(&self, pieces: &[Piece], numbers: &[SetNumbers]) -> Vec<(Tail, usize)> {
        let mut tails = Vec::with_capacity(pieces.len());
        for (at, (piece, numbers)) in pieces.iter().zip(numbers).enumerate() {
            let (remote_ports, local_ports) = self.ports(piece, numbers);
            for remote in self.remotes(piece, numbers[0]) {
                for &remote_port in &remote_ports {
                    for &local_port in &local_ports {
                        tails.push((Tail { proto: piece.proto, remote, remote_port, local_port }, at));
                    }
                }
            }
        }
        tails.sort_by_cached_key(|(tail, _)| tail.rank());
        if !tails.is_sorted() {
            tails.sort_unstable();
        }
        tails
    }

    /// The classes of sets, in the three maps.
    pub fn classes<'a>(&self, numbers: impl Iterator<Item = &'a SetNumbers>) -> [BTreeSet<usize>; 3] {
        let mut out = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        let at = |number: Option<u32>| number.map_or(usize::MAX, |number| number as usize);
        for numbers in numbers {
            let members = [
                self.subnets.members(at(numbers[0])),
                self.remote_ports.members(at(numbers[1])),
                self.local_ports.members(at(numbers[2])),
            ];
            for (out, members) in out.iter_mut().zip(members) {
                out.extend(members.into_iter().flatten().map(|place| *place as usize));
            }
        }
        out
    }
}

/// How many values name a set, and whether they are classes.
fn values<T: Point>(space: &Space<T>, number: Option<u32>, set: &IntervalSet<T>) -> (u64, bool) {
    match number.and_then(|number| space.members(number as usize)) {
        Some(members) => (members.len() as u64, true),
        None => (size(set, space.limit).unwrap_or(0) as u64, false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::{AddrSet, Direction, Interval, Verdict};

    fn field<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Field<T>> {
        prop_oneof![
            Just(Field::Any),
            prop::sample::select(vec![0, 1, 2, 70_000, u32::MAX]).prop_map(Field::Class),
            value.prop_map(Field::Is)
        ]
    }

    prop_compose! {
        fn tail()(
            proto in prop::option::of(prop::sample::select(vec![0, 1, 6, 255])),
            remote in field(prop_oneof![
                prop::sample::select(vec![0, 1, 0x0a00_0001, u32::MAX]).prop_map(|at| IpAddr::from(Ipv4Addr::from_bits(at))),
                prop::sample::select(vec![0, 1, 1 << 96, 7 << 96, u128::MAX]).prop_map(|at| IpAddr::from(Ipv6Addr::from_bits(at))),
            ]),
            remote_port in field(prop::sample::select(vec![0, 1, 80, u16::MAX])),
            local_port in field(prop::sample::select(vec![0, 1, 80, u16::MAX])),
        ) -> Tail {
            Tail { proto, remote, remote_port, local_port }
        }
    }

    fn port_set() -> impl Strategy<Value = PortSet> {
        let interval = (0u16..6, 0u16..12).prop_map(|(at, more)| Interval { first: at * 9000, last: at * 9000 + more });
        let some = prop::collection::vec(interval, 1..3).prop_map(PortSet::from_intervals);
        prop_oneof![1 => Just(PortSet::full()), 4 => some]
    }

    fn remote() -> impl Strategy<Value = AddrSet> {
        let v4 = prop::collection::vec((0u32..6, 0u32..12), 1..3).prop_map(|all| {
            let of = |(at, more): (u32, u32)| Interval { first: at << 28, last: (at << 28) + more };
            AddrSet { v4: IntervalSet::from_intervals(all.into_iter().map(of)), ..AddrSet::empty() }
        });
        let v6 = prop::collection::btree_set(0u128..9, 1..5).prop_map(|all| {
            let of = |at| Interval { first: at, last: at };
            AddrSet { v6: IntervalSet::from_intervals(all.into_iter().map(of)), ..AddrSet::empty() }
        });
        let full = AddrSet { v4: IntervalSet::full(), ..AddrSet::empty() };
        let full_v6 = AddrSet { v6: IntervalSet::full(), ..AddrSet::empty() };
        prop_oneof![1 => Just(full), 1 => Just(full_v6), 4 => v4, 1 => v6]
    }

    /// Pieces of which those of one direction are disjoint, by protocol; both directions may have the same.
    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let ports = prop::option::of((port_set(), port_set()));
        prop::collection::vec((remote(), ports, any::<(bool, bool)>()), 0..6).prop_map(|all| {
            type Drawn = (AddrSet, Option<(PortSet, PortSet)>, (bool, bool));
            let piece = |(at, (remote, ports, ways)): (usize, Drawn)| {
                let ways = [(ways.0, Direction::Rx), (ways.1, Direction::Tx)].into_iter().filter(|(is, _)| *is);
                let piece = move |(_, direction)| Piece {
                    direction,
                    proto: (at > 0).then(|| u8::try_from(at).unwrap()),
                    remote: remote.clone(),
                    ports: ports.clone().map(|(remote, local)| PortPair { remote, local }),
                    verdict: Verdict::Allow,
                    causes: smallvec![],
                };
                ways.map(piece).collect::<Vec<_>>()
            };
            all.into_iter().enumerate().flat_map(piece).collect()
        })
    }

    fn all_sets(pieces: &[Piece]) -> AllSets {
        fn sets<T: Point + std::hash::Hash>(all: impl Iterator<Item = IntervalSet<T>>) -> Arc<Sets<T>> {
            Arc::new(Sets::new(all.collect::<BTreeSet<_>>().into_iter().collect()))
        }
        let named = || pieces.iter().map(named_sets);
        AllSets {
            remotes: sets(named().filter_map(|sets| sets.0.cloned())),
            remote_ports: sets(named().filter_map(|sets| sets.1.cloned())),
            local_ports: sets(named().filter_map(|sets| sets.2.cloned())),
        }
    }

    proptest! {
        /// Equal ranks are of tails that are equal but for the low bits of an IPv6 address.
        #[test]
        fn ranks_rise_as_tails_do(a in tail(), mut b in tail(), alike in any::<[bool; 3]>()) {
            if alike[0] { b.proto = a.proto; }
            if alike[1] { b.remote = a.remote; }
            if alike[2] { b.remote_port = a.remote_port; }
            let (by_rank, whole) = (a.rank().cmp(&b.rank()), a.cmp(&b));
            let high = |tail: &Tail| match tail.remote {
                Field::Is(IpAddr::V6(addr)) => Tail { remote: Field::Is(Ipv6Addr::from_bits(addr.to_bits() >> 96 << 96).into()), ..*tail },
                _ => *tail,
            };
            prop_assert_eq!(by_rank, high(&a).cmp(&high(&b)));
            prop_assert!(by_rank == whole || high(&a).remote == high(&b).remote);
        }

        #[test]
        fn entries_are_counted_as_they_are_made(pieces in pieces()) {
            let sets = all_sets(&pieces);
            let numbers = sets.numbers(&pieces);
            for layout in sets.layouts() {
                let ids: Vec<u16> = (0..200).collect();
                let tails = layout.tails(&pieces, &numbers);
                prop_assert!(tails.is_sorted());
                let key = |tail: &Tail| tail.key([&ids, &ids, &ids]);
                for (at, piece) in pieces.iter().enumerate() {
                    let own: Vec<&Tail> = tails.iter().filter(|(_, of)| *of == at).map(|(tail, _)| tail).collect();
                    let (entries, fields) = layout.cost(piece, &numbers[at]);
                    prop_assert_eq!(entries, own.len() as u64);
                    prop_assert!(own.iter().all(|tail| key(tail).fields() == fields), "{:?} {:?}", own, fields);
                    // Where both sides are full, one is named: an entry without ports is for frames without ports too.
                    let ported = |tail: &&Tail| tail.remote_port != Field::Any || tail.local_port != Field::Any;
                    prop_assert!(own.iter().all(|tail| ported(tail) == piece.ports.is_some()));
                }
                let distinct: BTreeSet<Tail> = tails.iter().map(|(tail, _)| *tail).collect();
                let fields: BTreeSet<MatchFields> = distinct.iter().map(|tail| key(tail).fields()).collect();
                let (most, exact) = (tails.len() as u64, distinct.len() as u64);
                let both = DIRECTIONS.iter().all(|direction| pieces.iter().any(|piece| piece.direction == *direction));
                let half = most.div_ceil(2);
                for room in [0, half.saturating_sub(1), half, half + 1, u64::MAX] {
                    let count = layout.count(&pieces, &numbers, room);
                    let expected = if both && half > room { half } else { exact };
                    prop_assert_eq!((count.entries, both || exact == most), (expected, true), "room for {}", room);
                    prop_assert_eq!(count.fields, fields.iter().copied().collect::<Vec<_>>());
                }
            }
        }
    }
}
