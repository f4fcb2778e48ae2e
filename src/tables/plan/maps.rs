//! How each map gets from the old image's to the new one's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::step::Rules;
use crate::tables::{Image, MapError, PortMap, PortRangeId, RuleKey, Sizes, SubnetId, SubnetMap};

/// The three maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Subnets,
    RemotePorts,
    LocalPorts,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Subnets, Self::RemotePorts, Self::LocalPorts];

    /// The id that a key names.
    pub fn id(self, key: &RuleKey) -> Option<u16> {
        match self {
            Self::Subnets => key.remote_subnet.map(|id| id.0),
            Self::RemotePorts => key.remote_portrange.map(|id| id.0),
            Self::LocalPorts => key.local_portrange.map(|id| id.0),
        }
    }

    pub fn with_id(self, key: &RuleKey, id: Option<u16>) -> RuleKey {
        let mut key = *key;
        match self {
            Self::Subnets => key.remote_subnet = id.map(SubnetId),
            Self::RemotePorts => key.remote_portrange = id.map(PortRangeId),
            Self::LocalPorts => key.local_portrange = id.map(PortRangeId),
        }
        key
    }

    /// Whether the one address or port that a key names has this id in the map; `None` if it names none.
    pub fn exact_has(self, key: &RuleKey, map: Option<&Map>, id: u16) -> Option<bool> {
        let point = match self {
            Self::Subnets => match key.remote_ip? {
                IpAddr::V4(addr) => addr.to_bits(),
                // The subnet map is for IPv4 alone (A4): an IPv6 address has no id.
                IpAddr::V6(_) => return Some(false),
            },
            Self::RemotePorts => key.remote_port?.into(),
            Self::LocalPorts => key.local_port?.into(),
        };
        Some(map.and_then(|map| map.lookup(point)) == Some(id))
    }

    fn named(self, rules: &Rules) -> BTreeSet<u16> {
        rules.keys().filter_map(|key| self.id(key)).collect()
    }
}

/// One of the maps, with its points and ids as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Map {
    Subnets(Arc<SubnetMap>),
    Ports(Arc<PortMap>),
}

impl Map {
    pub fn of(image: &Image, kind: Kind) -> Option<Self> {
        match kind {
            Kind::Subnets => image.subnets.clone().map(Self::Subnets),
            Kind::RemotePorts => image.remote_ports.clone().map(Self::Ports),
            Kind::LocalPorts => image.local_ports.clone().map(Self::Ports),
        }
    }

    fn classes(&self) -> Vec<(u32, u16)> {
        match self {
            Self::Subnets(map) => map.classes.iter().map(|(first, id)| (*first, id.0)).collect(),
            Self::Ports(map) => map.classes.iter().map(|(first, id)| (u32::from(*first), id.0)).collect(),
        }
    }

    fn lookup(&self, point: u32) -> Option<u16> {
        match self {
            Self::Subnets(map) => map.lookup(point).map(|id| id.0),
            Self::Ports(map) => map.lookup(u16::try_from(point).ok()?).map(|id| id.0),
        }
    }

    pub fn ids(&self) -> BTreeSet<u16> {
        self.classes().into_iter().map(|(_, id)| id).collect()
    }
}

/// The points that have one id in the old map and one in the new.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub old: u16,
    pub new: u16,
    /// Its id while both images matter. An id of the old map only if it means just this cell of it, and the same for the
    /// new map: so entries under it are right before, during and after.
    pub id: u16,
}

/// How a map gets from the old image's to the new one's.
#[derive(Debug)]
pub(super) enum Route {
    /// It stays.
    Keep,
    /// No old entry names it: the new map comes first.
    First(Map),
    /// No new entry names it: the new map comes last.
    Last(Map),
    /// Through a map that tells apart what either tells apart.
    Refined { cells: Vec<Cell>, through: Map, last: Map },
    /// Too few ids or nodes for that: while the map is written no allow names it.
    Closed(Map),
}

impl Route {
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

/// Chooses the route of one map.
pub(super) fn route(kind: Kind, images: [&Image; 2], rules: [&Rules; 2], sizes: &Sizes, short: bool) -> Route {
    let [old, new] = images.map(|image| Map::of(image, kind));
    let Some(new) = new.filter(|new| old.as_ref() != Some(new)) else { return Route::Keep };
    let [old_named, new_named] = rules.map(|rules| kind.named(rules));
    if old_named.is_empty() {
        return Route::First(new);
    }
    if new_named.is_empty() {
        return Route::Last(new);
    }
    let refined = old.filter(|_| !short).and_then(|old| refine(&old, &new, &old_named, sizes));
    refined.unwrap_or(Route::Closed(new))
}

/// The route through the common cells; `None` if ids, nodes or tree entries are too few.
fn refine(old: &Map, new: &Map, old_named: &BTreeSet<u16>, sizes: &Sizes) -> Option<Route> {
    let overlay = overlay(&old.classes(), &new.classes());
    let cells = name_cells(&overlay, &(&old.ids() | old_named), &new.ids(), &id_range(old, sizes))?;
    let by_pair: BTreeMap<_, _> = cells.iter().map(|cell| ((cell.old, cell.new), cell.id)).collect();
    let mut classes: Vec<(u32, u16)> = Vec::new();
    for (first, pair) in overlay {
        let id = *by_pair.get(&pair)?;
        if classes.last().is_none_or(|(_, before)| *before != id) {
            classes.push((first, id));
        }
    }
    let through = through(&classes, old, new, sizes).ok()?;
    Some(Route::Refined { cells, through, last: new.clone() })
}

/// `(first point, (old id, new id))` in rising order.
fn overlay(old: &[(u32, u16)], new: &[(u32, u16)]) -> Vec<(u32, (u16, u16))> {
    let starts: BTreeSet<u32> = old.iter().chain(new).map(|(first, _)| *first).collect();
    let at = |classes: &[(u32, u16)], point: u32| {
        let after = classes.partition_point(|(first, _)| *first <= point);
        Some(classes.get(after.checked_sub(1)?)?.1)
    };
    starts.into_iter().filter_map(|first| Some((first, (at(old, first)?, at(new, first)?)))).collect()
}

fn id_range(map: &Map, sizes: &Sizes) -> Vec<u16> {
    let (min, max) = match map {
        Map::Subnets(_) => (sizes.subnet_id_min, sizes.subnet_id_max),
        Map::Ports(_) => (sizes.portrange_id_min, sizes.portrange_id_max),
    };
    (min..=max).filter_map(|id| u16::try_from(id).ok()).collect()
}

/// Gives each cell an id: one that it has, where that means nothing else, or else one that neither map uses.
fn name_cells(
    overlay: &[(u32, (u16, u16))],
    old_ids: &BTreeSet<u16>,
    new_ids: &BTreeSet<u16>,
    range: &[u16],
) -> Option<Vec<Cell>> {
    let pairs: BTreeSet<(u16, u16)> = overlay.iter().map(|(_, pair)| *pair).collect();
    let mut used: BTreeSet<u16> = pairs.iter().filter(|(old, new)| old == new).map(|(id, _)| *id).collect();
    let mut spare = range.iter().copied().filter(|id| !old_ids.contains(id) && !new_ids.contains(id));
    let mut cells = Vec::with_capacity(pairs.len());
    for (old, new) in pairs {
        let id = if old == new {
            old
        } else if !old_ids.contains(&new) && used.insert(new) {
            new
        } else if !new_ids.contains(&old) && used.insert(old) {
            old
        } else {
            spare.next()?
        };
        cells.push(Cell { old, new, id });
    }
    Some(cells)
}

/// The map of the common cells, such that each switch, to it and from it, takes effect by one command.
fn through(classes: &[(u32, u16)], old: &Map, new: &Map, sizes: &Sizes) -> Result<Map, MapError> {
    match (old, new) {
        (Map::Subnets(a), Map::Subnets(b)) => {
            let clash = clash(a, b);
            if let Some(same) = [old, new].into_iter().find(|map| !clash && map.classes() == classes) {
                return Ok(same.clone());
            }
            let classes = classes.iter().map(|(first, id)| (*first, SubnetId(*id)));
            SubnetMap::build_beside(classes, sizes, &[a, b]).map(|map| Map::Subnets(Arc::new(map)))
        }
        _ => {
            let port = |first: u32| u16::try_from(first).unwrap_or(u16::MAX);
            let classes = classes.iter().map(|(first, id)| (port(*first), PortRangeId(*id)));
            PortMap::build(classes, sizes).map(|map| Map::Ports(Arc::new(map)))
        }
    }
}

/// True if the tries use one index below the root for different contents.
fn clash(a: &SubnetMap, b: &SubnetMap) -> bool {
    let by_id: BTreeMap<u32, _> = a.nodes.iter().map(|node| (node.id, node)).collect();
    b.nodes.iter().any(|node| node.id != 0 && by_id.get(&node.id).is_some_and(|other| *other != node))
}
