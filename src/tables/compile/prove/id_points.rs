//! What the ids of an image mean: the addresses and ports that have them.

use std::sync::Arc;

use crate::tables::naming::points::Points;
use crate::tables::{Image, PortMap, PortRangeId, SubnetId, SubnetMap};
use crate::terms::Interval;

/// The points that have each id of an image's maps.
#[derive(Debug, Clone, Default)]
pub(super) struct IdPoints {
    subnets: Option<Arc<SubnetMap>>,
    addresses: Arc<Points<u32>>,
    /// Of remote and local ports.
    pub ports: [Arc<PortIdPoints>; 2],
}

/// The ports that have each id of a port-range map.
#[derive(Debug, Clone, Default)]
pub(super) struct PortIdPoints {
    map: Option<Arc<PortMap>>,
    pub points: Points<u16>,
    /// Where the intervals that begin in each 256 ports begin in the map, and where the last ones end.
    begins: Vec<u32>,
}

impl PortIdPoints {
    fn of(map: Option<&Arc<PortMap>>) -> Self {
        let classes = map.map_or(&[][..], |map| &map.classes);
        let mut begins = vec![0_u32; 257];
        classes.iter().for_each(|(first, _)| begins[usize::from(first >> 8) + 1] += 1);
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        Self { map: map.cloned(), points: Points::new(classes, |id| id.0), begins }
    }

    /// The id of a port.
    pub fn id(&self, port: u16) -> Option<PortRangeId> {
        let classes = &self.map.as_ref()?.classes;
        let (from, to) = (self.begins[usize::from(port >> 8)], self.begins[usize::from(port >> 8) + 1]);
        let here = classes.get(from as usize..to as usize)?;
        let after = from as usize + here.iter().take_while(|(first, _)| *first <= port).count();
        Some(classes.get(after.checked_sub(1)?)?.1)
    }
}

impl IdPoints {
    /// Those of an image; `before`, if the maps are the same.
    pub fn of(image: &Image, before: &Arc<Self>) -> Arc<Self> {
        let same_subnets = same(&before.subnets, &image.subnets);
        let maps = [&image.remote_ports, &image.local_ports];
        if same_subnets && before.ports.iter().zip(maps).all(|(ports, map)| same(&ports.map, map)) {
            return before.clone();
        }
        let ports = |at: usize| {
            let (was, map) = (&before.ports[at], maps[at]);
            if same(&was.map, map) { was.clone() } else { Arc::new(PortIdPoints::of(map.as_ref())) }
        };
        let addresses = || Points::new(image.subnets.as_ref().map_or(&[], |map| &map.classes), |id| id.0);
        Arc::new(Self {
            subnets: image.subnets.clone(),
            addresses: if same_subnets { before.addresses.clone() } else { Arc::new(addresses()) },
            ports: [ports(0), ports(1)],
        })
    }

    /// The addresses of these subnet ids, each interval with its id.
    pub fn addresses_of(&self, ids: &[u16]) -> impl Iterator<Item = (Interval<u32>, SubnetId)> {
        ids.iter().flat_map(|id| self.addresses.of(*id).iter().map(|interval| (*interval, SubnetId(*id))))
    }
}

fn same<T>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
    a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
}
