//! How the pieces of all shapes become entries: which addresses and ports are named by exact values and which by ids.
//!
//! Ids, tree entries, combinations and rules trade against each other, for the whole document at once. A few ways to
//! choose are laid out in full; of those that fit, the one with the fewest rules wins, then the fewest combinations, then
//! the fewest ids.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::classes::{Class, classes, few_points};
use super::pieces::Piece;
use super::regions::Cause;
use super::usage::Table;
use crate::policy::sets::Point;
use crate::policy::{IntervalSet, PortPair, PortSet};
use crate::tables::{Direction, MapError, MatchFields, PortRangeId, RuleKey, SubnetId, SubnetMap, Target};

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

/// What allows the frames of a tail: on RX, on TX.
pub(super) type Causes = [Vec<Cause>; 2];

/// Up to how many single values are named by exact values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Strategy {
    remote: usize,
    remote_port: usize,
    local_port: usize,
}

/// The classes of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Space<T> {
    /// Up to how many points a set is named by exact values.
    exact: usize,
    pub classes: Vec<Class<T>>,
    /// The sets that entries name, with the places of their classes.
    sets: BTreeMap<IntervalSet<T>, Vec<usize>>,
}

impl<T: Point> Space<T> {
    fn new<'a>(exact: usize, sets: impl Iterator<Item = &'a IntervalSet<T>>) -> Self
    where
        T: 'a,
    {
        let sets: BTreeSet<&IntervalSet<T>> = sets.filter(|set| few_points(set, exact).is_none()).collect();
        let sets: Vec<_> = sets.into_iter().collect();
        let classes = if sets.is_empty() { Vec::new() } else { classes(&sets) };
        let mut members = vec![Vec::new(); sets.len()];
        for (place, class) in classes.iter().enumerate() {
            for set in class.within.iter() {
                members[set].push(place);
            }
        }
        Self { exact, classes, sets: sets.into_iter().cloned().zip(members).collect() }
    }

    fn fields(&self, set: &IntervalSet<T>) -> Vec<Field<T>> {
        if let Some(members) = self.members(set) {
            return members.iter().map(|place| Field::Class(*place)).collect();
        }
        few_points(set, self.exact).unwrap_or_default().into_iter().map(Field::Is).collect()
    }

    pub fn members(&self, set: &IntervalSet<T>) -> Option<&[usize]> {
        self.sets.get(set).map(Vec::as_slice)
    }

    pub fn intervals(&self) -> usize {
        self.classes.iter().map(|class| class.set.intervals().len()).sum()
    }
}

/// The local side that a shape's entries are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    /// Local IP, MAC, VLAN, physical port, ether type.
    pub key: RuleKey,
    /// Place of its shape.
    pub shape: usize,
    /// Its binding; `None` for an address that nobody bound.
    pub binding: Option<usize>,
}

/// All entries above the base that local addresses of the document need, with classes in place of ids.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub subnets: Space<u32>,
    pub remote_ports: Space<u16>,
    pub local_ports: Space<u16>,
    /// By shape; `None` where there are too many.
    pub tails: Vec<Option<BTreeMap<Tail, Causes>>>,
    /// Entries of each shape, for one local side.
    pub counts: Vec<u64>,
    pub combinations: BTreeSet<MatchFields>,
    /// What is needed, and what there is.
    pub needs: Vec<(Table, u64, u64)>,
}

/// What is laid out.
pub(super) struct Request<'a> {
    /// The pieces of each shape.
    pub pieces: &'a [Vec<Piece>],
    pub locals: &'a [Local],
    /// Entries of the base and others that no shape makes.
    pub fixed: &'a [RuleKey],
    pub target: &'a Target,
}

impl Request<'_> {
    /// The best layout; what is missing is in [`Layout::missing`].
    pub fn layout(&self) -> Layout {
        let ports = || self.all_pieces().filter_map(|piece| piece.ports.as_ref());
        let remotes = thresholds(self.all_pieces().map(|piece| &piece.remote.v4));
        let remote_ports = thresholds(ports().map(|ports| &ports.remote));
        let local_ports = thresholds(ports().map(|ports| &ports.local));
        let mut best: Option<(_, Layout)> = None;
        for &remote in &remotes {
            for &remote_port in &remote_ports {
                for &local_port in &local_ports {
                    let layout = self.by(Strategy { remote, remote_port, local_port });
                    let rank = layout.rank();
                    if best.as_ref().is_none_or(|(before, _)| rank < *before) {
                        best = Some((rank, layout));
                    }
                }
            }
        }
        best.map_or_else(|| self.by(Strategy { remote: 1, remote_port: 1, local_port: 1 }), |(_, layout)| layout)
    }

    fn all_pieces(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().flatten()
    }

    fn by(&self, strategy: Strategy) -> Layout {
        let remotes = self.all_pieces().map(|piece| &piece.remote.v4).filter(|set| !set.is_full() && !set.is_empty());
        let ports = || self.all_pieces().filter_map(|piece| piece.ports.as_ref());
        let subnets = Space::new(strategy.remote, remotes);
        let remote_ports = Space::new(strategy.remote_port, ports().map(|p| &p.remote).filter(|set| !set.is_full()));
        // An entry must name a port to leave out frames without ports: where both sides are full it names the local one.
        let named = |p: &&PortPair| !p.local.is_full() || p.remote.is_full();
        let local_ports = Space::new(strategy.local_port, ports().filter(named).map(|p| &p.local));
        let mut layout = Layout {
            subnets,
            remote_ports,
            local_ports,
            tails: Vec::new(),
            counts: Vec::new(),
            combinations: self.fixed.iter().map(RuleKey::fields).collect(),
            needs: Vec::new(),
        };
        let mut room = u64::from(self.target.profile.rules);
        for pieces in self.pieces {
            let (tails, count) = layout.of_shape(pieces, room);
            room = room.saturating_sub(count);
            layout.tails.push(tails);
            layout.counts.push(count);
        }
        self.add_combinations(&mut layout);
        self.measure(&mut layout);
        layout
    }

    fn add_combinations(&self, layout: &mut Layout) {
        let mut by_shape: Vec<BTreeSet<MatchFields>> = vec![BTreeSet::new(); self.pieces.len()];
        for local in self.locals {
            by_shape[local.shape].insert(local.key.fields());
        }
        for (tails, locals) in layout.tails.iter().zip(by_shape) {
            let tails: BTreeSet<MatchFields> = tails.iter().flatten().map(|(tail, _)| tail.fields()).collect();
            for local in locals {
                layout.combinations.extend(tails.iter().map(|tail| *tail | local));
            }
        }
    }

    fn measure(&self, layout: &mut Layout) {
        let (sizes, profile) = (&self.target.sizes, &self.target.profile);
        let rules = self.locals.iter().map(|local| layout.counts[local.shape]).fold(0, u64::saturating_add);
        let rules = rules.saturating_add(self.fixed.len() as u64);
        let ids = |min: u32, max: u32| u64::from(max.saturating_add(1).saturating_sub(min));
        let subnet_ids = ids(sizes.subnet_id_min, sizes.subnet_id_max);
        let port_ids = ids(sizes.portrange_id_min, sizes.portrange_id_max);
        let tree = |intervals: usize| (2 * intervals as u64).saturating_sub(1);
        layout.needs = vec![
            (Table::Rules, rules, profile.rules.into()),
            (Table::SubnetIds, layout.subnets.classes.len() as u64, subnet_ids),
            (Table::SubnetNodes, self.nodes(&layout.subnets), sizes.subnet_nodes.into()),
            (Table::RemotePortIds, layout.remote_ports.classes.len() as u64, port_ids),
            (Table::RemotePortTree, tree(layout.remote_ports.intervals()), sizes.port_tree_entries.into()),
            (Table::LocalPortIds, layout.local_ports.classes.len() as u64, port_ids),
            (Table::LocalPortTree, tree(layout.local_ports.intervals()), sizes.port_tree_entries.into()),
            (Table::Combinations, layout.combinations.len() as u64, profile.combinations.into()),
        ];
    }

    /// Trie nodes that the classes take. Ids do not matter, so the count holds with too few of them as well.
    fn nodes(&self, space: &Space<u32>) -> u64 {
        if space.classes.is_empty() {
            return 0;
        }
        let id = |place: usize| u16::try_from(place).map_or(u16::MAX, |at| at.saturating_add(id_min(self.target)));
        let ids: Vec<_> = (0..space.classes.len()).map(|place| SubnetId(id(place))).collect();
        let sizes = crate::tables::Sizes { subnet_id_max: u16::MAX.into(), ..self.target.sizes };
        match SubnetMap::build(intervals(space, &ids), &sizes) {
            Ok(map) => map.nodes.len() as u64,
            Err(MapError::Nodes { needed, .. }) => needed as u64,
            // Sizes that no trie can be built for are refused when it is built.
            Err(_) => 0,
        }
    }
}

/// The limits for exact values that make a difference for these sets, the usual one first.
fn thresholds<'a, T: Point + 'a>(sets: impl Iterator<Item = &'a IntervalSet<T>>) -> Vec<usize> {
    let sizes: BTreeSet<usize> = sets.filter_map(|set| few_points(set, 8)).map(|points| points.len()).collect();
    let by_value = |most: usize| sizes.iter().filter(|size| (1..=most).contains(*size)).count();
    let mut seen = BTreeSet::new();
    [1, 0, 8].into_iter().filter(|most| seen.insert(by_value(*most))).collect()
}

fn id_min(target: &Target) -> u16 {
    u16::try_from(target.sizes.subnet_id_min).unwrap_or(u16::MAX)
}

/// The intervals of all classes in rising order, with the ids of their classes.
pub(super) fn intervals<T: Point, I: Copy>(space: &Space<T>, ids: &[I]) -> Vec<(T, I)> {
    let of_class =
        |(class, id): (&Class<T>, I)| class.set.intervals().iter().map(move |i| (i.first, id)).collect::<Vec<_>>();
    let mut out: Vec<(T, I)> = space.classes.iter().zip(ids.iter().copied()).flat_map(of_class).collect();
    out.sort_unstable_by_key(|(first, _)| *first);
    out
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

impl Layout {
    /// What is missing, then rules, combinations and ids: the least is best.
    fn rank(&self) -> (u64, u64, usize, usize) {
        let ids = self.subnets.classes.len() + self.remote_ports.classes.len() + self.local_ports.classes.len();
        let missing = self.missing().map(|(_, missing)| missing).fold(0, u64::saturating_add);
        let rules = self.needs.first().map_or(0, |(_, needed, _)| *needed);
        (missing, rules, self.combinations.len(), ids)
    }

    /// The tables that are too small, and by how much.
    pub fn missing(&self) -> impl Iterator<Item = (Table, u64)> {
        self.needs
            .iter()
            .filter(|(_, needed, there)| needed > there)
            .map(|(table, needed, there)| (*table, needed - there))
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
        self.subnets.fields(&piece.remote.v4).into_iter().map(addr).collect()
    }

    /// Remote and local port fields of a piece.
    pub fn ports(&self, piece: &Piece) -> (Vec<Field<u16>>, Vec<Field<u16>>) {
        let Some(ports) = &piece.ports else { return (vec![Field::Any], vec![Field::Any]) };
        let fields = |space: &Space<u16>, set: &PortSet, any: bool| {
            if any { vec![Field::Any] } else { space.fields(set) }
        };
        let remote = fields(&self.remote_ports, &ports.remote, ports.remote.is_full());
        (remote, fields(&self.local_ports, &ports.local, ports.local.is_full() && !ports.remote.is_full()))
    }

    /// The entries of a shape for one local side, and their number. Without room for them they are only counted, as few
    /// as they may be.
    fn of_shape(&self, pieces: &[Piece], room: u64) -> (Option<BTreeMap<Tail, Causes>>, u64) {
        let fields: Vec<_> = pieces.iter().map(|piece| (self.remotes(piece), self.ports(piece))).collect();
        let sizes = fields.iter().map(|(r, (rp, lp))| [r.len() as u64, rp.len() as u64, lp.len() as u64]);
        let most = sizes.map(|[r, rp, lp]| r.saturating_mul(rp).saturating_mul(lp)).fold(0, u64::saturating_add);
        // One entry may serve both directions: no fewer than half are needed.
        let fewest = most.div_ceil(2);
        if fewest > room {
            return (None, fewest);
        }
        let mut tails: BTreeMap<Tail, Causes> = BTreeMap::new();
        for (piece, (remotes, (remote_ports, local_ports))) in pieces.iter().zip(&fields) {
            for &remote in remotes {
                for &remote_port in remote_ports {
                    for &local_port in local_ports {
                        let tail = Tail { proto: piece.proto, remote, remote_port, local_port };
                        let side = usize::from(piece.direction == Direction::Tx);
                        tails.entry(tail).or_default()[side].extend_from_slice(&piece.causes);
                    }
                }
            }
        }
        let count = tails.len() as u64;
        (Some(tails), count)
    }
}
