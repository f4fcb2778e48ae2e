//! The three maps, from the classes of a layout.

use std::sync::Arc;

use super::ids::assign;
use super::layout::{Layout, Trie, intervals};
use super::sets::Space;
use crate::policy::Image;
use crate::tables::{MapError, PortMap, PortRangeId, Sizes, SubnetId, SubnetMap};

/// The maps and the ids of the layout's classes.
#[derive(Debug, Default)]
pub(super) struct Maps {
    /// What the maps were made from; `None` before the first.
    pub layout: Option<Layout>,
    pub subnets: Option<Arc<SubnetMap>>,
    pub remote_ports: Option<Arc<PortMap>>,
    pub local_ports: Option<Arc<PortMap>>,
    /// Of subnets, remote ports and local ports, by the places of the classes.
    pub ids: [Vec<u16>; 3],
    /// Of the points that no entry names.
    pub elsewhere: [Option<u16>; 3],
}

impl Maps {
    pub fn build(
        layout: &Layout,
        trie: Option<&Trie>,
        sizes: &Sizes,
        previous: Option<(&Image, [Option<u16>; 3])>,
    ) -> Result<Self, MapError> {
        let image = previous.map(|(image, _)| image);
        let elsewhere = previous.map_or([None; 3], |(_, ids)| ids);
        let before = image.and_then(|image| image.subnets.as_ref());
        let classes: Vec<_> = before.into_iter().flat_map(|map| &map.classes).map(|(at, id)| (*at, id.0)).collect();
        let range = sizes.subnet_id_min..=sizes.subnet_id_max;
        let subnet_ids = assign(&layout.subnets.classes, &classes, elsewhere[0], range);
        let first = trie.filter(|_| before.is_none()).and_then(|trie| trie.with_ids(&subnet_ids, sizes.subnet_id_min));
        let subnets = match first {
            Some(map) => Some(map.clone()),
            None => subnet_map(&layout.subnets, &subnet_ids, sizes, before)?,
        };
        let before = image.and_then(|image| image.remote_ports.as_ref());
        let (remote_ports, remote_ids) = port_map(&layout.remote_ports, before, elsewhere[1], sizes)?;
        let before = image.and_then(|image| image.local_ports.as_ref());
        let (local_ports, local_ids) = port_map(&layout.local_ports, before, elsewhere[2], sizes)?;
        let elsewhere = [
            elsewhere_of(&layout.subnets, &subnet_ids),
            elsewhere_of(&layout.remote_ports, &remote_ids),
            elsewhere_of(&layout.local_ports, &local_ids),
        ];
        let layout = Some(layout.clone());
        Ok(Self { layout, subnets, remote_ports, local_ports, ids: [subnet_ids, remote_ids, local_ids], elsewhere })
    }
}

fn subnet_map(
    space: &Space<u32>,
    ids: &[u16],
    sizes: &Sizes,
    before: Option<&Arc<SubnetMap>>,
) -> Result<Option<Arc<SubnetMap>>, MapError> {
    if space.classes.is_empty() {
        return Ok(None);
    }
    let classes = || intervals(space, ids).into_iter().map(|(at, id)| (at, SubnetId(id)));
    // Beside the previous trie, so that it can stay in use while this one is written; where there is no room for both,
    // the plan closes what it must.
    let others: Vec<&SubnetMap> = before.into_iter().map(Arc::as_ref).collect();
    SubnetMap::build_beside(classes(), sizes, &others)
        .or_else(|_| SubnetMap::build(classes(), sizes))
        .map(|map| Some(Arc::new(map)))
}

fn port_map(
    space: &Space<u16>,
    before: Option<&Arc<PortMap>>,
    elsewhere: Option<u16>,
    sizes: &Sizes,
) -> Result<(Option<Arc<PortMap>>, Vec<u16>), MapError> {
    let classes: Vec<_> = before.into_iter().flat_map(|map| &map.classes).map(|(at, id)| (*at, id.0)).collect();
    let ids = assign(&space.classes, &classes, elsewhere, sizes.portrange_id_min..=sizes.portrange_id_max);
    if space.classes.is_empty() {
        return Ok((None, ids));
    }
    let classes = intervals(space, &ids).into_iter().map(|(at, id)| (at, PortRangeId(id)));
    Ok((Some(Arc::new(PortMap::build(classes, sizes)?)), ids))
}

fn elsewhere_of<T>(space: &Space<T>, ids: &[u16]) -> Option<u16> {
    let at = space.classes.iter().position(|class| class.elsewhere)?;
    ids.get(at).copied()
}
