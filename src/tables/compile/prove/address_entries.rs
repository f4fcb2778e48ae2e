//! The entries of an image that could decide about the frames of one local address, and the ports that they tell apart.
//!
//! The assumptions about the engine, read literally: the first combination of match fields in the order of lookup that has
//! an entry with a verdict decides. Of one combination one entry at most matches a frame, so it is the entry of the least
//! rank among all that match.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::id_points::IdPoints;
use crate::policy::{Proto, Rule};
use crate::tables::judge::lookup_order;
use crate::tables::rules::BlockKey;
use crate::tables::{Image, ImageEntry, MatchFields, PortRangeId, RuleKey, SubnetId, Target};
use crate::terms::{Direction, Interval, MacAddr, Point, PortSet, Ports, Verdict};

/// What is known of a frame before its remote address, and what is behind the IP header, is looked at.
const LINK: MatchFields = MatchFields::NAMED.difference(
    MatchFields::REMOTE_IP
        .union(MatchFields::REMOTE_SUBNET_ID)
        .union(MatchFields::IP_PROTO)
        .union(MatchFields::REMOTE_PORT)
        .union(MatchFields::REMOTE_PORTRANGE_ID)
        .union(MatchFields::LOCAL_PORT)
        .union(MatchFields::LOCAL_PORTRANGE_ID),
);

/// An entry that could decide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    key: RuleKey,
    /// On RX, on TX.
    verdicts: [Option<Verdict>; 2],
    /// The links on which it matches, of those given to [`AddressEntries::match_links`]: one bit each.
    links: u64,
}

impl Entry {
    pub fn key(&self) -> &RuleKey {
        &self.key
    }

    pub fn verdict(&self, direction: Direction) -> Option<Verdict> {
        self.verdicts[usize::from(direction == Direction::Tx)]
    }

    /// True if it matches frames of a link, by its place.
    pub fn is_at(&self, link: usize) -> bool {
        self.links >> link & 1 == 1
    }

    /// True if it matches frames with this remote address, which has this subnet id.
    pub fn hears(&self, remote: IpAddr, subnet: Option<SubnetId>) -> bool {
        says(self.key.remote_subnet, subnet) && says(self.key.remote_ip, Some(remote))
    }

    pub fn names_ports(&self) -> bool {
        let key = &self.key;
        key.local_port.is_some()
            || key.local_portrange.is_some()
            || key.remote_port.is_some()
            || key.remote_portrange.is_some()
    }

    fn matches_ports(&self, shown: &Shown) -> bool {
        says(self.key.local_port, shown.ports.map(|ports| ports.local))
            && says(self.key.local_portrange, shown.local_id)
            && says(self.key.remote_port, shown.ports.map(|ports| ports.remote))
            && says(self.key.remote_portrange, shown.remote_id)
    }
}

/// All entries that name one local address or none, by rank.
#[derive(Debug)]
pub(super) struct AddressEntries {
    entries: Vec<Entry>,
    no_match: Verdict,
    /// The subnet ids that they name, in order.
    pub subnets: Vec<u16>,
}

impl AddressEntries {
    /// The entries that name this address, or one of these MACs and no address, or neither.
    pub fn new(image: &Image, target: &Target, ip: Option<IpAddr>, macs: &[MacAddr]) -> Self {
        let profile = &target.profile;
        let of_ip = ip.map(|ip| block_of_ip(image, ip));
        let of_macs = macs.iter().map(|mac| block_of_mac(image, *mac));
        let blocks = of_ip.into_iter().chain(of_macs).chain([block_of(image, &RuleKey::default())]);
        let all: Vec<_> = blocks.flatten().map(|(key, entry)| (key, key.fields(), entry)).collect();
        let mut used: Vec<MatchFields> = all.iter().map(|(_, fields, _)| *fields).collect();
        used.sort_unstable();
        used.dedup();
        let order = lookup_order(used, profile, 0);
        // One rank after the other, in each by their keys.
        let mut entries = Vec::with_capacity(all.len());
        for fields in order {
            for (key, _, entry) in all.iter().filter(|(_, of, _)| *of == fields) {
                let verdicts = [entry.rx.action.verdict(), entry.tx.action.verdict()];
                entries.push(Entry { key: **key, verdicts, links: 0 });
            }
        }
        let mut subnets: Vec<u16> = entries.iter().filter_map(|entry| Some(entry.key.remote_subnet?.0)).collect();
        subnets.sort_unstable();
        subnets.dedup();
        join_ports(&mut entries, target.physical_ports);
        Self { entries, no_match: profile.no_match, subnets }
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &RuleKey> {
        self.entries.iter().map(|entry| &entry.key)
    }

    /// Finds out on which links each entry matches; `links` are names of frames on them, at most 64.
    pub fn match_links(&mut self, links: &[RuleKey]) {
        for entry in &mut self.entries {
            entry.links = entry.key.matching(LINK, links);
        }
    }

    /// A number for each of so many links: it is the same where the same entries match.
    pub fn columns(&self, links: usize) -> SmallVec<[u8; 16]> {
        let mut firsts: SmallVec<[usize; 8]> = SmallVec::new();
        let same = |a: usize, b: usize| self.entries.iter().all(|entry| entry.is_at(a) == entry.is_at(b));
        let number = |link: usize| {
            let known = firsts.iter().position(|first| same(*first, link));
            let number = known.unwrap_or_else(|| {
                firsts.push(link);
                firsts.len() - 1
            });
            u8::try_from(number).unwrap_or(u8::MAX)
        };
        (0..links).map(number).collect()
    }

    /// Those that match frames of a protocol on some link.
    pub fn of_protocol<'a>(&'a self, proto: Option<u8>, out: &mut Vec<&'a Entry>) {
        out.clear();
        out.extend(self.entries.iter().filter(|entry| entry.links != 0 && says(entry.key.ip_proto, proto)));
    }

    /// What becomes of a frame; `names` is everything that a key could name about it.
    pub fn judge(&self, names: &RuleKey, direction: Direction) -> Verdict {
        let mut decides = self.entries.iter().filter(|entry| matches(&entry.key, names));
        decides.find_map(|entry| entry.verdict(direction)).unwrap_or(self.no_match)
    }

    /// What becomes of a frame on a link that shows these ports, where all else leaves these entries.
    pub fn first(&self, here: &[&Entry], link: usize, shown: &Shown, direction: Direction) -> Verdict {
        let mut decides = here.iter().filter(|entry| entry.is_at(link) && entry.matches_ports(shown));
        decides.find_map(|entry| entry.verdict(direction)).unwrap_or(self.no_match)
    }
}

/// True if a field names nothing or this value.
fn says<T: PartialEq>(named: Option<T>, is: Option<T>) -> bool {
    named.is_none() || named == is
}

fn matches(key: &RuleKey, names: &RuleKey) -> bool {
    key.matching(MatchFields::NAMED, std::slice::from_ref(names)) != 0
}

/// Entries of a block of an image that does not have it: none.
pub(super) fn block_of<'a>(image: &'a Image, key: &RuleKey) -> &'a [(RuleKey, ImageEntry)] {
    image.rules.blocks().get(&BlockKey::of(key)).map_or(&[], |block| block.as_slice())
}

/// The entries that name a local address.
pub(super) fn block_of_ip(image: &Image, ip: IpAddr) -> &[(RuleKey, ImageEntry)] {
    block_of(image, &RuleKey { local_ip: Some(ip), ..RuleKey::default() })
}

/// The entries that name a local MAC and no address.
pub(super) fn block_of_mac(image: &Image, mac: MacAddr) -> &[(RuleKey, ImageEntry)] {
    block_of(image, &RuleKey { local_mac: Some(mac), ..RuleKey::default() })
}

/// Entries that name nothing but a physical port are one if there is one for each and all decide alike: every frame matches
/// one of them, and they have one rank.
fn join_ports(entries: &mut Vec<Entry>, physical_ports: u32) {
    fn is_of_port(entry: &Entry) -> bool {
        entry.key.fields() == MatchFields::PHYSICAL_PORT
    }
    let of_ports = || entries.iter().filter(|entry| is_of_port(entry));
    let there = |port: &u32| of_ports().any(|entry| entry.key.physical_port == Some(*port));
    let Some(first) = of_ports().next().copied() else { return };
    if of_ports().all(|entry| entry.verdicts == first.verdicts) && (0..physical_ports).all(|port| there(&port)) {
        entries.retain(|entry| !is_of_port(entry) || entry.key == first.key);
        entries.iter_mut().filter(|entry| entry.key == first.key).for_each(|entry| entry.key.physical_port = None);
    }
}

/// The first points of intervals, and the first ones after them.
pub(super) fn add_ends<'a, T: Point + 'a>(intervals: impl Iterator<Item = &'a Interval<T>>, out: &mut Vec<T>) {
    for interval in intervals {
        out.push(interval.first);
        if let Some(after) = interval.last.next() {
            out.push(after);
        }
    }
}

/// Ports that a frame shows, and their ids.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    pub ports: Option<Ports>,
    remote_id: Option<PortRangeId>,
    local_id: Option<PortRangeId>,
}

/// Finds the ports of flows.
pub(super) struct Cuts<'a> {
    points: &'a IdPoints,
    ephemeral: &'a PortSet,
    remote: Vec<u16>,
    local: Vec<u16>,
    shown: Vec<Shown>,
}

impl<'a> Cuts<'a> {
    pub fn new(points: &'a IdPoints, ephemeral: &'a PortSet) -> Self {
        Self { points, ephemeral, remote: Vec::new(), local: Vec::new(), shown: Vec::new() }
    }

    /// Ports of every class that these rules or entries tell apart, and none, which comes first.
    pub fn of<'r>(
        &mut self,
        proto: Option<u8>,
        rules: impl Iterator<Item = &'r Rule> + Clone,
        here: &[&Entry],
    ) -> &[Shown] {
        self.shown.clear();
        self.shown.push(Shown::default());
        if !proto.is_some_and(Proto::has_ports) {
            return &self.shown;
        }
        self.remote.clear();
        self.local.clear();
        self.remote.push(0);
        self.local.push(0);
        // Of replies alone ephemeral ports decide.
        if rules.clone().any(|rule| rule.replies) {
            add_ends(self.ephemeral.intervals().iter(), &mut self.local);
        }
        for pair in rules.filter_map(|rule| rule.ports.as_ref()) {
            add_ends(pair.remote.intervals().iter(), &mut self.remote);
            add_ends(pair.local.intervals().iter(), &mut self.local);
        }
        let [remote_ids, local_ids] = &self.points.ports;
        for Entry { key, .. } in here {
            add_port(key.remote_port, &mut self.remote);
            add_port(key.local_port, &mut self.local);
            key.remote_portrange.iter().for_each(|id| add_ends(remote_ids.points.of(id.0).iter(), &mut self.remote));
            key.local_portrange.iter().for_each(|id| add_ends(local_ids.points.of(id.0).iter(), &mut self.local));
        }
        for starts in [&mut self.remote, &mut self.local] {
            starts.sort_unstable();
            starts.dedup();
        }
        for &local in &self.local {
            let local_id = local_ids.id(local);
            for &remote in &self.remote {
                let remote_id = remote_ids.id(remote);
                self.shown.push(Shown { ports: Some(Ports { local, remote }), remote_id, local_id });
            }
        }
        &self.shown
    }
}

fn add_port(port: Option<u16>, out: &mut Vec<u16>) {
    out.extend(port);
    out.extend(port.and_then(|port| port.checked_add(1)));
}
