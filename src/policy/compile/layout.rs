//! How the pieces of all shapes become entries: which addresses and ports are named by exact values and which by ids.
//!
//! Ids, tree entries, combinations and rules trade against each other, for the whole document at once. A few ways to
//! choose are counted; of those that fit, the one with the fewest rules wins, then the fewest combinations, then the
//! fewest ids.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::classes::few_points;
use super::pieces::Piece;
use super::regions::{Cause, DIRECTIONS};
use super::sets::{Sets, Space};
use super::usage::Table;
use crate::policy::sets::Point;
use crate::policy::{IntervalSet, PortPair, PortSet};
use crate::tables::{Direction, MapError, MatchFields, PortRangeId, RuleKey, SubnetId, SubnetMap, Target, Verdict};

/// A value of a match field, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field<T> {
    /// The field is not named.
    Any,
    Is(T),
    /// A class of the layout, by its place.
    Class(usize),
}

/// What an entry matches but for the local side, with classes in place of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Tail {
    pub proto: Option<u8>,
    pub remote: Field<IpAddr>,
    pub remote_port: Field<u16>,
    pub local_port: Field<u16>,
}

/// What a tail decides, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Decided {
    /// `None`: nothing.
    pub verdict: Option<Verdict>,
    pub causes: Vec<Cause>,
}

/// What a tail decides on RX, on TX.
pub(super) type Causes = [Decided; 2];

/// The sets of all pieces in the fields of the three maps.
#[derive(Debug, Clone)]
pub(super) struct AllSets {
    pub remotes: Arc<Sets<u32>>,
    pub remote_ports: Arc<Sets<u16>>,
    pub local_ports: Arc<Sets<u16>>,
}

/// Of the remote addresses, the remote and the local ports.
pub(super) type NamedSets<'a> = (Option<&'a IntervalSet<u32>>, Option<&'a PortSet>, Option<&'a PortSet>);

/// The sets that entries name where a piece has these.
pub(super) fn named_sets(piece: &Piece) -> NamedSets<'_> {
    let remote = Some(&piece.remote.v4).filter(|set| !set.is_full() && !set.is_empty());
    let Some(PortPair { remote: remote_ports, local }) = &piece.ports else { return (remote, None, None) };
    // An entry must name a port to leave out frames without ports: where both sides are full it names the local one.
    let local_is_named = !local.is_full() || remote_ports.is_full();
    (remote, Some(remote_ports).filter(|set| !set.is_full()), Some(local).filter(|_| local_is_named))
}

impl AllSets {
    /// True if these are the same lists.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.remotes, &other.remotes)
            && Arc::ptr_eq(&self.remote_ports, &other.remote_ports)
            && Arc::ptr_eq(&self.local_ports, &other.local_ports)
    }

    /// True if one of the pieces has one of these sets, by number.
    pub fn has(&self, pieces: &[Piece], sets: &[HashSet<usize>; 3]) -> bool {
        fn named<T: Point + std::hash::Hash>(all: &Sets<T>, set: Option<&IntervalSet<T>>, of: &HashSet<usize>) -> bool {
            !of.is_empty() && set.and_then(|set| all.number(set)).is_some_and(|number| of.contains(&number))
        }
        pieces.iter().map(named_sets).any(|(remote, remote_ports, local_ports)| {
            named(&self.remotes, remote, &sets[0])
                || named(&self.remote_ports, remote_ports, &sets[1])
                || named(&self.local_ports, local_ports, &sets[2])
        })
    }

    /// All ways to choose that make a difference, the usual one first.
    pub fn layouts(&self) -> Vec<Layout> {
        let mut out = Vec::new();
        for subnets in &self.remotes.spaces {
            for remote_ports in &self.remote_ports.spaces {
                for local_ports in &self.local_ports.spaces {
                    let (subnets, remote_ports, local_ports) =
                        (subnets.clone(), remote_ports.clone(), local_ports.clone());
                    out.push(Layout { sets: self.clone(), subnets, remote_ports, local_ports });
                }
            }
        }
        out
    }
}

/// One way to choose: the classes of the three maps, and what is named by value.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    sets: AllSets,
    pub subnets: Arc<Space<u32>>,
    pub remote_ports: Arc<Space<u16>>,
    pub local_ports: Arc<Space<u16>>,
}

/// The intervals of all classes in rising order, with the ids of their classes.
pub(super) fn intervals<T: Point, I: Copy>(space: &Space<T>, ids: &[I]) -> Vec<(T, I)> {
    let mut out: Vec<(T, I)> = Vec::new();
    for (class, id) in space.classes.iter().zip(ids.iter().copied()) {
        out.extend(class.set.intervals().iter().map(|interval| (interval.first, id)));
    }
    out.sort_unstable_by_key(|(first, _)| *first);
    out
}

/// Trie nodes that classes take. Ids do not matter, so the count holds with too few of them as well.
pub(super) fn nodes(space: &Space<u32>, target: &Target) -> u64 {
    if space.classes.is_empty() {
        return 0;
    }
    let first = u16::try_from(target.sizes.subnet_id_min).unwrap_or(u16::MAX);
    let id = |place: usize| u16::try_from(place).map_or(u16::MAX, |at| at.saturating_add(first));
    let ids: Vec<_> = (0..space.classes.len()).map(|place| SubnetId(id(place))).collect();
    let sizes = crate::tables::Sizes { subnet_id_max: u16::MAX.into(), ..target.sizes };
    match SubnetMap::build(intervals(space, &ids), &sizes) {
        Ok(map) => map.nodes.len() as u64,
        Err(MapError::Nodes { needed, .. }) => needed as u64,
        // Sizes that no trie can be built for are refused when it is built.
        Err(_) => 0,
    }
}

/// A place in a list of classes.
fn place(of: &[u32]) -> impl Iterator<Item = usize> {
    of.iter().map(|place| *place as usize)
}

/// The values of a set by number: its classes, or its points.
fn fields<T: Point + std::hash::Hash>(sets: &Sets<T>, space: &Space<T>, set: &IntervalSet<T>) -> Vec<Field<T>> {
    match sets.number(set).and_then(|number| space.members(number)) {
        Some(members) => place(members).map(Field::Class).collect(),
        None => few_points(set, space.limit).unwrap_or_default().into_iter().map(Field::Is).collect(),
    }
}

impl Tail {
    pub fn fields(&self) -> MatchFields {
        self.key([&[], &[], &[]]).fields()
    }

    /// The key of this tail, with the ids of the classes of the three maps (0 where they are not known).
    pub fn key(&self, ids: [&[u16]; 3]) -> RuleKey {
        let id = |map: usize, place: usize| ids[map].get(place).copied().unwrap_or_default();
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
pub(super) struct Count {
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
    pub fn needs(&self, nodes: u64, target: &Target) -> [(Table, u64, u64); 6] {
        let sizes = &target.sizes;
        let ids = |min: u32, max: u32| u64::from(max.saturating_add(1).saturating_sub(min));
        let subnet_ids = ids(sizes.subnet_id_min, sizes.subnet_id_max);
        let port_ids = ids(sizes.portrange_id_min, sizes.portrange_id_max);
        let tree = |intervals: usize| (2 * intervals as u64).saturating_sub(1);
        [
            (Table::SubnetIds, self.subnets.classes.len() as u64, subnet_ids),
            (Table::SubnetNodes, nodes, sizes.subnet_nodes.into()),
            (Table::RemotePortIds, self.remote_ports.classes.len() as u64, port_ids),
            (Table::RemotePortTree, tree(self.remote_ports.intervals()), sizes.port_tree_entries.into()),
            (Table::LocalPortIds, self.local_ports.classes.len() as u64, port_ids),
            (Table::LocalPortTree, tree(self.local_ports.intervals()), sizes.port_tree_entries.into()),
        ]
    }

    pub fn ids(&self) -> usize {
        self.subnets.classes.len() + self.remote_ports.classes.len() + self.local_ports.classes.len()
    }

    pub fn remotes(&self, piece: &Piece) -> Vec<Field<IpAddr>> {
        if piece.remote.v4.is_full() || piece.remote.v6.is_full() {
            return vec![Field::Any];
        }
        if !piece.remote.v6.is_empty() {
            let points = few_points(&piece.remote.v6, usize::MAX).unwrap_or_default();
            return points.into_iter().map(|at| Field::Is(Ipv6Addr::from_bits(at).into())).collect();
        }
        let addr = |field| match field {
            Field::Any => Field::Any,
            Field::Is(at) => Field::Is(Ipv4Addr::from_bits(at).into()),
            Field::Class(place) => Field::Class(place),
        };
        fields(&self.sets.remotes, &self.subnets, &piece.remote.v4).into_iter().map(addr).collect()
    }

    /// Remote and local port fields of a piece.
    pub fn ports(&self, piece: &Piece) -> (Vec<Field<u16>>, Vec<Field<u16>>) {
        let (_, remote, local) = named_sets(piece);
        let any = || vec![Field::Any];
        (
            remote.map_or_else(any, |set| fields(&self.sets.remote_ports, &self.remote_ports, set)),
            local.map_or_else(any, |set| fields(&self.sets.local_ports, &self.local_ports, set)),
        )
    }

    /// What the entries of a unit need for one local side. Where they are more than `room` they are only counted, as few
    /// as they may be.
    pub fn count(&self, pieces: &[Piece], room: u64) -> Count {
        let all: Vec<_> = pieces.iter().map(|piece| (self.remotes(piece), self.ports(piece))).collect();
        let sizes = all.iter().map(|(r, (rp, lp))| [r.len() as u64, rp.len() as u64, lp.len() as u64]);
        let most = sizes.map(|[r, rp, lp]| r.saturating_mul(rp).saturating_mul(lp)).fold(0, u64::saturating_add);
        let first = |piece: &Piece, (remotes, (remote_ports, local_ports)): &(Vec<_>, (Vec<_>, Vec<_>))| {
            let (remote, remote_port, local_port) = (*remotes.first()?, *remote_ports.first()?, *local_ports.first()?);
            Some(Tail { proto: piece.proto, remote, remote_port, local_port }.fields())
        };
        let mut fields: Vec<MatchFields> =
            pieces.iter().zip(&all).filter_map(|(piece, all)| first(piece, all)).collect();
        fields.sort_unstable();
        fields.dedup();
        let both_ways = DIRECTIONS.map(|direction| pieces.iter().any(|piece| piece.direction == direction));
        let entries = if both_ways != [true; 2] {
            // Pieces of one direction are disjoint.
            most
        } else if most.div_ceil(2) > room {
            // One entry may serve both directions: no fewer than half are needed.
            most.div_ceil(2)
        } else {
            self.tails(pieces).len() as u64
        };
        Count { entries, fields }
    }

    /// The entries of a unit for one local side.
    pub fn tails(&self, pieces: &[Piece]) -> BTreeMap<Tail, Causes> {
        let mut tails: BTreeMap<Tail, Causes> = BTreeMap::new();
        for piece in pieces {
            let (remote_ports, local_ports) = self.ports(piece);
            for remote in self.remotes(piece) {
                for &remote_port in &remote_ports {
                    for &local_port in &local_ports {
                        let tail = Tail { proto: piece.proto, remote, remote_port, local_port };
                        let side = usize::from(piece.direction == Direction::Tx);
                        let decided = &mut tails.entry(tail).or_default()[side];
                        decided.verdict = Some(piece.verdict);
                        decided.causes.extend_from_slice(&piece.causes);
                    }
                }
            }
        }
        tails
    }

    /// The classes of the pieces' sets, in the three maps.
    pub fn classes<'a>(&self, pieces: impl Iterator<Item = &'a Piece>) -> [Vec<usize>; 3] {
        let mut out = [Vec::new(), Vec::new(), Vec::new()];
        for piece in pieces {
            let (remote, remote_ports, local_ports) = named_sets(piece);
            out[0].extend(members(&self.sets.remotes, &self.subnets, remote));
            out[1].extend(members(&self.sets.remote_ports, &self.remote_ports, remote_ports));
            out[2].extend(members(&self.sets.local_ports, &self.local_ports, local_ports));
        }
        for classes in &mut out {
            classes.sort_unstable();
            classes.dedup();
        }
        out
    }
}

fn members<'a, T: Point + std::hash::Hash>(
    sets: &Sets<T>,
    space: &'a Space<T>,
    set: Option<&IntervalSet<T>>,
) -> impl Iterator<Item = usize> + use<'a, T> {
    let members = set.and_then(|set| sets.number(set)).and_then(|number| space.members(number));
    place(members.unwrap_or_default())
}
