//! The entries of an image that could decide about the frames of one local address, and the ports that they tell apart.
//!
//! The assumptions about the engine, read literally: the first combination of match fields in the order of lookup that has
//! an entry with a verdict decides. Of one combination one entry at most matches a frame, so it is the entry of the least
//! rank among all that match.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::policy::judge::lookup_order;
use crate::policy::rules::BlockKey;
use crate::policy::sets::Point;
use crate::policy::{Image, Interval, IntervalSet, PortSet, Ports, Proto, Rule, RulePlace};
use crate::tables::{
    Direction, EngineProfile, MacAddr, MatchFields, PortMap, PortRangeId, RuleKey, SubnetMap, Verdict,
};

/// An entry with its rank in the order of lookup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    rank: usize,
    key: RuleKey,
    /// On RX, on TX.
    verdicts: [Option<Verdict>; 2],
}

/// All entries that name one local address or none.
#[derive(Debug)]
pub(super) struct Near {
    entries: Vec<Entry>,
    no_match: Verdict,
    /// The subnet ids that they name.
    pub subnets: BTreeSet<u16>,
}

/// Those of them that the remote address and the protocol of a frame leave.
pub(super) type Here<'a> = Vec<&'a Entry>;

impl Near {
    /// The entries that name this address, or one of these MACs and no address, or neither.
    pub fn new(image: &Image, profile: &EngineProfile, ip: Option<IpAddr>, macs: &[MacAddr]) -> Self {
        let of_ip = ip.map(|ip| RuleKey { local_ip: Some(ip), ..RuleKey::default() });
        let of_macs = macs.iter().map(|mac| RuleKey { local_mac: Some(*mac), ..RuleKey::default() });
        let names = of_ip.into_iter().chain(of_macs).chain([RuleKey::default()]);
        let blocks = names.filter_map(|key| image.rules.blocks().get(&BlockKey::of(&key)));
        let all: Vec<_> =
            blocks.flat_map(|block| block.iter()).map(|(key, entry)| (key, key.fields(), entry)).collect();
        let mut used: Vec<MatchFields> = all.iter().map(|(_, fields, _)| *fields).collect();
        used.sort_unstable();
        used.dedup();
        let order = lookup_order(used, profile, 0);
        let entry = |&(key, fields, entry): &(&RuleKey, MatchFields, &crate::policy::ImageEntry)| {
            let rank = order.iter().position(|other| *other == fields)?;
            Some(Entry { rank, key: *key, verdicts: [entry.rx.action.verdict(), entry.tx.action.verdict()] })
        };
        let entries: Vec<Entry> = all.iter().filter_map(entry).collect();
        let subnets = entries.iter().filter_map(|entry| Some(entry.key.remote_subnet?.0)).collect();
        Self { entries, no_match: profile.no_match, subnets }
    }

    pub fn keys(&self) -> impl Iterator<Item = &RuleKey> {
        self.entries.iter().map(|entry| &entry.key)
    }

    pub fn all(&self) -> Here<'_> {
        self.entries.iter().collect()
    }

    /// Those that protocol and remote address leave.
    pub fn here(&self, names: &RuleKey) -> Here<'_> {
        let fits = |key: &RuleKey| {
            says(key.ip_proto, names.ip_proto)
                && says(key.remote_ip, names.remote_ip)
                && says(key.remote_subnet, names.remote_subnet)
        };
        self.entries.iter().filter(|entry| fits(&entry.key)).collect()
    }

    /// What becomes of a frame; `names` is everything that a key could name about it.
    pub fn judge(&self, here: &Here<'_>, names: &RuleKey, direction: Direction) -> Verdict {
        let side = usize::from(direction == Direction::Tx);
        let decides = here.iter().filter_map(|entry| Some((entry.rank, entry.verdicts[side]?, &entry.key)));
        let decides = decides.filter(|(_, _, key)| matches(key, names));
        decides.min_by_key(|(rank, ..)| *rank).map_or(self.no_match, |(_, verdict, _)| verdict)
    }
}

/// True if a field names nothing or this value.
fn says<T: PartialEq>(named: Option<T>, is: Option<T>) -> bool {
    named.is_none() || named == is
}

fn matches(key: &RuleKey, names: &RuleKey) -> bool {
    says(key.local_port, names.local_port)
        && says(key.local_portrange, names.local_portrange)
        && says(key.remote_port, names.remote_port)
        && says(key.remote_portrange, names.remote_portrange)
        && says(key.local_mac, names.local_mac)
        && says(key.outer_vlan, names.outer_vlan)
        && says(key.inner_vlan, names.inner_vlan)
        && says(key.physical_port, names.physical_port)
        && says(key.ether_type, names.ether_type)
        && says(key.ip_proto, names.ip_proto)
        && says(key.remote_ip, names.remote_ip)
        && says(key.remote_subnet, names.remote_subnet)
        && says(key.remote_mac, names.remote_mac)
        && says(key.local_ip, names.local_ip)
}

/// What the ids of an image's maps mean: the points that have them.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Meaning {
    subnets: Option<Arc<SubnetMap>>,
    remote_ports: Option<Arc<PortMap>>,
    local_ports: Option<Arc<PortMap>>,
    addresses: HashMap<u16, Vec<Interval<u32>>>,
    ports: [HashMap<u16, Vec<Interval<u16>>>; 2],
}

impl Meaning {
    /// The meaning of an image's ids; `before`, if the maps are the same.
    pub fn of(image: &Image, before: &Arc<Self>) -> Arc<Self> {
        let same = same(&before.subnets, &image.subnets)
            && same(&before.remote_ports, &image.remote_ports)
            && same(&before.local_ports, &image.local_ports);
        if same {
            return before.clone();
        }
        let ports = |map: &Option<Arc<PortMap>>| points(map.as_ref().map_or(&[], |map| &map.classes), |id| id.0);
        Arc::new(Self {
            subnets: image.subnets.clone(),
            remote_ports: image.remote_ports.clone(),
            local_ports: image.local_ports.clone(),
            addresses: points(image.subnets.as_ref().map_or(&[], |map| &map.classes), |id| id.0),
            ports: [ports(&image.remote_ports), ports(&image.local_ports)],
        })
    }

    /// Where the class of an address among these ids may change.
    pub fn address_ends(&self, ids: &BTreeSet<u16>, out: &mut Vec<u32>) {
        for id in ids {
            add_ends(self.addresses.get(id).into_iter().flatten(), out);
        }
    }
}

fn same<T>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
    a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
}

fn points<T: Point, I: Copy>(classes: &[(T, I)], number: impl Fn(I) -> u16) -> HashMap<u16, Vec<Interval<T>>> {
    let mut out: HashMap<u16, Vec<Interval<T>>> = HashMap::new();
    let lasts = classes.iter().skip(1).filter_map(|(first, _)| first.prev()).chain([T::MAX]);
    for ((first, id), last) in classes.iter().zip(lasts) {
        out.entry(number(*id)).or_default().push(Interval { first: *first, last });
    }
    out
}

fn add_ends<'a, T: Point + 'a>(intervals: impl Iterator<Item = &'a Interval<T>>, out: &mut Vec<T>) {
    for interval in intervals {
        out.push(interval.first);
        out.extend(interval.last.next());
    }
}

/// The ports of flows.
pub(super) struct Cuts<'a> {
    pub image: &'a Image,
    pub meaning: &'a Meaning,
    pub ephemeral: &'a PortSet,
}

/// Ports that a frame shows, and the ids of the remote and the local one.
pub(super) type Shown = (Option<Ports>, (Option<PortRangeId>, Option<PortRangeId>));

impl Cuts<'_> {
    /// Ports of every class that these rules or entries tell apart, and none.
    pub fn of(&self, proto: Option<u8>, rules: &[(RulePlace, &Rule)], here: &Here<'_>) -> Vec<Shown> {
        let mut out = vec![(None, (None, None))];
        if !proto.is_some_and(Proto::has_ports) {
            return out;
        }
        let pairs = || rules.iter().filter_map(|(_, rule)| rule.ports.as_ref());
        let keys = || here.iter().map(|entry| &entry.key);
        let remote = self.starts(
            pairs().map(|pair| &pair.remote),
            keys().filter_map(|key| key.remote_port),
            keys().filter_map(|key| Some((0, key.remote_portrange?.0))),
        );
        let local = self.starts(
            pairs().map(|pair| &pair.local).chain([self.ephemeral]),
            keys().filter_map(|key| key.local_port),
            keys().filter_map(|key| Some((1, key.local_portrange?.0))),
        );
        let id = |map: &Option<Arc<PortMap>>, port| map.as_ref().and_then(|map| map.lookup(port));
        let local: Vec<_> = local.into_iter().map(|port| (port, id(&self.image.local_ports, port))).collect();
        for remote in remote {
            let remote_id = id(&self.image.remote_ports, remote);
            out.extend(
                local.iter().map(|(local, local_id)| (Some(Ports { local: *local, remote }), (remote_id, *local_id))),
            );
        }
        out
    }

    /// The first port of every piece between the ends of these sets, points and ids (with the place of their map).
    fn starts<'s>(
        &self,
        sets: impl Iterator<Item = &'s IntervalSet<u16>>,
        points: impl Iterator<Item = u16>,
        ids: impl Iterator<Item = (usize, u16)>,
    ) -> Vec<u16> {
        let mut out = vec![0];
        sets.for_each(|set| add_ends(set.intervals().iter(), &mut out));
        for point in points {
            out.push(point);
            out.extend(point.checked_add(1));
        }
        for (map, id) in ids {
            add_ends(self.meaning.ports[map].get(&id).into_iter().flatten(), &mut out);
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}
