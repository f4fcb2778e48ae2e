//! Receive filters: which queues of a function get a frame (FILTER_OP, ef10.md 6).
//!
//! A filter names some fields and a value for each. The combinations of fields that are possible stand in one list,
//! [`MATCHES`], sorted by decreasing priority: of all combinations in which a frame finds a filter, the first decides.
//! Which combinations a firmware has, and in which order, is not published (ef10.md 6.2): the list is the model's own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bitflags::bitflags;
use nicfw::mcdi::wire::McErrno;
use nicfw::terms::{IpHeader, MacAddr, Packet};

use crate::mc::words::filter_op_ext_in_bits as at;
use crate::vnic::toeplitz;

/// Filters of a function at most. The capacity of the hardware is not published.
const MAX_FILTERS: usize = 4096;
/// RSS contexts of a function at most. The model's own choice.
const MAX_CONTEXTS: usize = 16;
/// Key of the shared contexts. The hardware's is not published.
const SHARED_KEY: [u8; 40] = [0x6d; 40];
/// Entries of an indirection table.
pub(crate) const INDIRECTIONS: usize = 128;
/// Queues that an indirection table can name (ef10.md 5.9).
const MAX_SPREAD: u32 = 64;

bitflags! {
    /// MATCH_FIELDS of FILTER_OP.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Match: u32 {
        const SRC_IP = 1 << at::MATCH_SRC_IP;
        const DST_IP = 1 << at::MATCH_DST_IP;
        const SRC_MAC = 1 << at::MATCH_SRC_MAC;
        const SRC_PORT = 1 << at::MATCH_SRC_PORT;
        const DST_MAC = 1 << at::MATCH_DST_MAC;
        const DST_PORT = 1 << at::MATCH_DST_PORT;
        const ETHER_TYPE = 1 << at::MATCH_ETHER_TYPE;
        const INNER_VLAN = 1 << at::MATCH_INNER_VLAN;
        const OUTER_VLAN = 1 << at::MATCH_OUTER_VLAN;
        const IP_PROTO = 1 << at::MATCH_IP_PROTO;
        const UNKNOWN_MCAST_DST = 1 << at::MATCH_UNKNOWN_MCAST_DST;
        const UNKNOWN_UCAST_DST = 1 << at::MATCH_UNKNOWN_UCAST_DST;
        const _ = !0;
    }
}

const FLOW: Match = Match::ETHER_TYPE.union(Match::IP_PROTO).union(Match::DST_IP);
const UNKNOWN: Match = Match::UNKNOWN_MCAST_DST.union(Match::UNKNOWN_UCAST_DST);

/// The combinations of fields, the first that matches wins.
pub(crate) const MATCHES: [Match; 10] = [
    FLOW.union(Match::SRC_IP).union(Match::SRC_PORT).union(Match::DST_PORT),
    FLOW.union(Match::DST_PORT),
    FLOW.union(Match::SRC_IP),
    FLOW,
    Match::ETHER_TYPE.union(Match::DST_MAC),
    Match::OUTER_VLAN.union(Match::DST_MAC),
    Match::DST_MAC,
    Match::OUTER_VLAN.union(Match::UNKNOWN_MCAST_DST),
    Match::UNKNOWN_MCAST_DST,
    Match::UNKNOWN_UCAST_DST,
];

/// A combination of fields with their values; fields that are not named are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spec {
    pub fields: Match,
    pub src_mac: [u8; 6],
    pub src_port: u16,
    pub dst_mac: [u8; 6],
    pub dst_port: u16,
    pub ether_type: u16,
    pub inner_vlan: u16,
    pub outer_vlan: u16,
    pub ip_proto: u16,
    /// An IPv4 address stands in the first 4 bytes.
    pub src_ip: [u8; 16],
    pub dst_ip: [u8; 16],
}

impl Spec {
    /// The values that a frame has in these fields; `None` if it lacks one.
    fn of(fields: Match, packet: &Packet) -> Option<Self> {
        let group = packet.dst_mac.is_group();
        let unknown = fields & UNKNOWN;
        if unknown == Match::UNKNOWN_MCAST_DST && !group || unknown == Match::UNKNOWN_UCAST_DST && group {
            return None;
        }
        let ip = |field, take: fn(&IpHeader) -> IpAddr| match fields.contains(field) {
            true => packet.ip.as_ref().map(|ip| octets(take(ip))),
            false => Some([0; 16]),
        };
        let port = |field, take: fn((u16, u16)) -> u16| match fields.contains(field) {
            true => packet.ip.as_ref().and_then(|ip| ip.ports).map(take),
            false => Some(0),
        };
        let mac = |field, mac: MacAddr| if fields.contains(field) { mac.0 } else { [0; 6] };
        // A frame without a tag has the VLAN id 0.
        let word = |field, value: u16| if fields.contains(field) { value } else { 0 };
        let proto = match fields.contains(Match::IP_PROTO) {
            true => packet.ip.as_ref()?.proto?.into(),
            false => 0,
        };
        Some(Self {
            fields,
            src_mac: mac(Match::SRC_MAC, packet.src_mac),
            src_port: port(Match::SRC_PORT, |(src, _)| src)?,
            dst_mac: mac(Match::DST_MAC, packet.dst_mac),
            dst_port: port(Match::DST_PORT, |(_, dst)| dst)?,
            ether_type: word(Match::ETHER_TYPE, packet.ether_type),
            inner_vlan: word(Match::INNER_VLAN, packet.inner_vlan.unwrap_or(0)),
            outer_vlan: word(Match::OUTER_VLAN, packet.outer_vlan.unwrap_or(0)),
            ip_proto: proto,
            src_ip: ip(Match::SRC_IP, |ip| ip.src)?,
            dst_ip: ip(Match::DST_IP, |ip| ip.dst)?,
        })
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Where a filter sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dest {
    Drop,
    /// A queue; with an RSS context, the first of those that it spreads over.
    Queue {
        first: u32,
        context: Option<u32>,
    },
}

/// A context that spreads frames over queues.
#[derive(Debug, Clone)]
pub(crate) struct RssContext {
    pub queues: u32,
    pub key: [u8; 40],
    pub table: [u8; INDIRECTIONS],
    pub flags: u32,
    /// Key and table are given, and stay.
    pub shared: bool,
}

/// FLAGS of an RSS context: hash over the addresses, and over the ports of TCP, by family.
pub(crate) mod rss_flags {
    use crate::mc::words::rss_context_set_flags_in_bits as at;

    pub const IPV4: u32 = 1 << at::TOEPLITZ_IPV4_EN;
    pub const TCPV4: u32 = 1 << at::TOEPLITZ_TCPV4_EN;
    pub const IPV6: u32 = 1 << at::TOEPLITZ_IPV6_EN;
    pub const TCPV6: u32 = 1 << at::TOEPLITZ_TCPV6_EN;
    pub const ALL: u32 = IPV4 | TCPV4 | IPV6 | TCPV6;
}

impl RssContext {
    /// The hash of a frame, zero where the flags exclude it.
    fn hash(&self, packet: &Packet) -> u32 {
        let Some(ip) = &packet.ip else { return 0 };
        let (addresses, tcp) =
            if ip.src.is_ipv4() { (rss_flags::IPV4, rss_flags::TCPV4) } else { (rss_flags::IPV6, rss_flags::TCPV6) };
        let ports = self.flags & tcp != 0 && ip.proto == Some(6) && ip.ports.is_some();
        if ports || self.flags & addresses != 0 { toeplitz(&self.key, ip, ports) } else { 0 }
    }
}

/// What the filters of one function want of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Filters that name what they want.
    Named,
    /// The same, and those that take what nobody at the port has named.
    Unknown,
}

/// A queue that gets a frame, and the hash that is told with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub queue: u32,
    pub hash: u32,
}

/// The filters and RSS contexts of one function.
#[derive(Debug, Default)]
pub(crate) struct Steering {
    filters: BTreeMap<u64, (Spec, Dest)>,
    by_spec: BTreeMap<Spec, Vec<u64>>,
    contexts: BTreeMap<u32, RssContext>,
}

impl Steering {
    pub fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Its filters and RSS contexts.
    pub fn held(&self) -> [usize; 2] {
        [self.filters.len(), self.contexts.len()]
    }

    /// Inserts a filter under a handle that no other has; `shared` lets others with the same match be there.
    pub fn insert(&mut self, handle: u64, spec: Spec, dest: Dest, shared: bool) -> Result<(), McErrno> {
        if !MATCHES.contains(&spec.fields) {
            return Err(McErrno::ENOTSUP);
        }
        self.check(dest)?;
        if self.filters.len() >= MAX_FILTERS {
            return Err(McErrno::ENOSPC);
        }
        let same = self.by_spec.entry(spec).or_default();
        if !shared && !same.is_empty() {
            return Err(McErrno::EEXIST);
        }
        same.push(handle);
        self.filters.insert(handle, (spec, dest));
        Ok(())
    }

    pub fn remove(&mut self, handle: u64) -> Result<(), McErrno> {
        let (spec, _) = self.filters.remove(&handle).ok_or(McErrno::ENOENT)?;
        if let Some(same) = self.by_spec.get_mut(&spec) {
            same.retain(|other| *other != handle);
            if same.is_empty() {
                self.by_spec.remove(&spec);
            }
        }
        Ok(())
    }

    pub fn remove_filters(&mut self) {
        self.filters.clear();
        self.by_spec.clear();
    }

    /// Gives a filter another destination.
    pub fn retarget(&mut self, handle: u64, dest: Dest) -> Result<(), McErrno> {
        self.check(dest)?;
        let (_, place) = self.filters.get_mut(&handle).ok_or(McErrno::ENOENT)?;
        *place = dest;
        Ok(())
    }

    fn check(&self, dest: Dest) -> Result<(), McErrno> {
        match dest {
            Dest::Queue { context: Some(id), .. } if !self.contexts.contains_key(&id) => Err(McErrno::EINVAL),
            _ => Ok(()),
        }
    }

    /// A new context: EXCLUSIVE with an empty table and key; SHARED, for a power of two of queues, with a table that goes
    /// round and a key that stay (ef10.md 5.9).
    pub fn add_context(&mut self, id: u32, queues: u32, shared: bool) -> Result<(), McErrno> {
        let possible = if shared { queues >= 2 && queues.is_power_of_two() } else { queues >= 1 };
        if !possible || queues > MAX_SPREAD {
            return Err(McErrno::EINVAL);
        }
        if self.contexts.len() >= MAX_CONTEXTS {
            return Err(McErrno::ENOSPC);
        }
        let mut context = RssContext { queues, key: [0; 40], table: [0; INDIRECTIONS], flags: rss_flags::ALL, shared };
        if shared {
            context.key = SHARED_KEY;
            let round = (0..queues).filter_map(|queue| u8::try_from(queue).ok()).cycle();
            context.table.iter_mut().zip(round).for_each(|(entry, queue)| *entry = queue);
        }
        self.contexts.insert(id, context);
        Ok(())
    }

    pub fn context(&mut self, id: u32) -> Result<&mut RssContext, McErrno> {
        self.contexts.get_mut(&id).ok_or(McErrno::ENOENT)
    }

    /// A context whose key and table may be changed. No document tells the code for one that is shared.
    pub fn own_context(&mut self, id: u32) -> Result<&mut RssContext, McErrno> {
        let context = self.context(id)?;
        if context.shared { Err(McErrno::EPERM) } else { Ok(context) }
    }

    /// Frees a context. Filters may still use it, as the kernel's driver frees the old one first when it changes its number of
    /// queues: their frames are spread no longer.
    pub fn free_context(&mut self, id: u32) -> Result<(), McErrno> {
        self.contexts.remove(&id).map(|_| ()).ok_or(McErrno::ENOENT)
    }

    /// Whether a filter names the frame's destination MAC.
    fn names_mac(&self, packet: &Packet) -> bool {
        let mut named = [Match::DST_MAC, Match::DST_MAC.union(Match::OUTER_VLAN)].into_iter();
        named.any(|fields| Spec::of(fields, packet).is_some_and(|spec| self.by_spec.contains_key(&spec)))
    }

    /// Where a frame goes; `None` when no filter of this scope wants it. The filters of a function without the frame's
    /// destination MAC hold only for frames that are meant for it: for its MAC, `own`, or one that another filter names, as a
    /// container's MACVLAN has it.
    pub fn find(&self, packet: &Packet, own: MacAddr, scope: Scope) -> Option<Vec<Recipient>> {
        let promiscuous = scope == Scope::Unknown && !packet.dst_mac.is_group() && {
            let unknown = Spec::of(Match::UNKNOWN_UCAST_DST, packet);
            unknown.is_some_and(|spec| self.by_spec.contains_key(&spec))
        };
        let meant = promiscuous || packet.dst_mac == own || packet.dst_mac.is_group() || self.names_mac(packet);
        let usable = |fields: &Match| {
            let named = fields.contains(Match::DST_MAC);
            let unknown = fields.intersects(UNKNOWN);
            if unknown { scope == Scope::Unknown } else { named || meant }
        };
        let found = MATCHES
            .iter()
            .filter(|fields| usable(fields))
            .find_map(|fields| Spec::of(*fields, packet).and_then(|spec| self.by_spec.get(&spec)))?;
        let mut recipients: Vec<Recipient> = Vec::new();
        for handle in found {
            let Some((_, Dest::Queue { first, context })) = self.filters.get(handle) else { continue };
            let recipient = self.spread(*first, *context, packet);
            // A queue gets one copy, however many filters name it.
            if !recipients.iter().any(|other| other.queue == recipient.queue) {
                recipients.push(recipient);
            }
        }
        Some(recipients)
    }

    fn spread(&self, first: u32, context: Option<u32>, packet: &Packet) -> Recipient {
        let Some(context) = context.and_then(|id| self.contexts.get(&id)) else {
            return Recipient { queue: first, hash: 0 };
        };
        let hash = context.hash(packet);
        let slot = usize::try_from(hash).unwrap_or(0) % INDIRECTIONS;
        let offset = context.table.get(slot).copied().unwrap_or(0);
        Recipient { queue: first.saturating_add(offset.into()), hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::parse;

    const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
    const BROADCAST: MacAddr = MacAddr([0xff; 6]);

    fn spec(fields: Match) -> Spec {
        Spec {
            fields,
            src_mac: [0; 6],
            src_port: 0,
            dst_mac: [0; 6],
            dst_port: 0,
            ether_type: 0,
            inner_vlan: 0,
            outer_vlan: 0,
            ip_proto: 0,
            src_ip: [0; 16],
            dst_ip: [0; 16],
        }
    }

    fn to(dst: MacAddr) -> Spec {
        Spec { dst_mac: dst.0, ..spec(Match::DST_MAC) }
    }

    fn queue(first: u32) -> Dest {
        Dest::Queue { first, context: None }
    }

    fn frame(dst: MacAddr, port: u16) -> Packet {
        let mut bytes = Vec::new();
        let builder = etherparse::PacketBuilder::ethernet2([4; 6], dst.0).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9);
        builder.tcp(1000, port, 1, 1).write(&mut bytes, &[]).unwrap();
        parse(&bytes).unwrap().packet
    }

    fn queues(steering: &Steering, packet: &Packet, scope: Scope) -> Option<Vec<u32>> {
        let found = steering.find(packet, OWN, scope)?;
        Some(found.iter().map(|recipient| recipient.queue).collect())
    }

    fn flow(port: u16) -> Spec {
        let mut dst_ip = [0; 16];
        dst_ip[..4].copy_from_slice(&[10, 0, 0, 2]);
        let fields = FLOW.union(Match::DST_PORT);
        Spec { dst_port: port, ether_type: 0x0800, ip_proto: 6, dst_ip, ..spec(fields) }
    }

    #[test]
    fn the_first_combination_of_the_list_decides() {
        let mut steering = Steering::default();
        steering.insert(1, to(OWN), queue(1), false).unwrap();
        steering.insert(2, flow(80), queue(2), false).unwrap();
        steering.insert(3, flow(81), Dest::Drop, false).unwrap();
        assert_eq!(queues(&steering, &frame(OWN, 80), Scope::Named), Some(vec![2]));
        assert_eq!(queues(&steering, &frame(OWN, 81), Scope::Named), Some(vec![]), "dropped");
        assert_eq!(queues(&steering, &frame(OWN, 82), Scope::Named), Some(vec![1]));
        assert_eq!(queues(&steering, &frame(OTHER, 80), Scope::Named), None, "not meant for this function");
        steering.remove(2).unwrap();
        assert_eq!(queues(&steering, &frame(OWN, 80), Scope::Named), Some(vec![1]));
        assert_eq!(steering.remove(2), Err(McErrno::ENOENT));
        steering.retarget(1, queue(7)).unwrap();
        assert_eq!(queues(&steering, &frame(OWN, 80), Scope::Named), Some(vec![7]));
        assert_eq!(steering.retarget(9, queue(7)), Err(McErrno::ENOENT));
    }

    /// A container's MACVLAN: the driver has a filter for its MAC, and one for a connection of it.
    #[test]
    fn a_flow_of_a_mac_that_a_filter_names_is_steered() {
        let mut steering = Steering::default();
        steering.insert(1, flow(80), queue(2), false).unwrap();
        assert_eq!(queues(&steering, &frame(OTHER, 80), Scope::Named), None, "nobody has asked for this MAC");
        steering.insert(2, to(OTHER), queue(1), false).unwrap();
        assert_eq!(queues(&steering, &frame(OTHER, 80), Scope::Named), Some(vec![2]));
        assert_eq!(queues(&steering, &frame(OTHER, 81), Scope::Named), Some(vec![1]));
        let tagged = Spec { dst_mac: OTHER.0, ..spec(Match::DST_MAC.union(Match::OUTER_VLAN)) };
        steering.remove(2).unwrap();
        steering.insert(3, tagged, queue(3), false).unwrap();
        assert_eq!(queues(&steering, &frame(OTHER, 80), Scope::Named), Some(vec![2]), "VLAN 0: without a tag");
    }

    #[test]
    fn unknown_destinations_are_taken_only_when_asked() {
        let mut steering = Steering::default();
        steering.insert(1, spec(Match::UNKNOWN_UCAST_DST), queue(1), true).unwrap();
        steering.insert(2, spec(Match::UNKNOWN_MCAST_DST), queue(2), true).unwrap();
        assert_eq!(queues(&steering, &frame(OTHER, 80), Scope::Named), None);
        assert_eq!(queues(&steering, &frame(OTHER, 80), Scope::Unknown), Some(vec![1]));
        assert_eq!(queues(&steering, &frame(BROADCAST, 80), Scope::Unknown), Some(vec![2]));
    }

    #[test]
    fn subscriptions_share_a_match_and_each_queue_gets_one_copy() {
        let mut steering = Steering::default();
        for (handle, first) in [(1, 1), (2, 2), (3, 1)] {
            steering.insert(handle, to(BROADCAST), queue(first), true).unwrap();
        }
        assert_eq!(queues(&steering, &frame(BROADCAST, 80), Scope::Named), Some(vec![1, 2]));
        assert_eq!(steering.insert(4, to(BROADCAST), queue(1), false), Err(McErrno::EEXIST));
    }

    #[test]
    fn what_the_list_does_not_have_is_refused() {
        let mut steering = Steering::default();
        let refused = steering.insert(1, spec(Match::SRC_MAC), queue(1), false);
        assert_eq!(refused, Err(McErrno::ENOTSUP));
        let nowhere = Dest::Queue { first: 0, context: Some(5) };
        assert_eq!(steering.insert(1, to(OWN), nowhere, false), Err(McErrno::EINVAL));
        for handle in 0..4096u16 {
            steering.insert(handle.into(), flow(handle), queue(0), false).unwrap();
        }
        assert_eq!(steering.insert(4096, to(OWN), queue(0), false), Err(McErrno::ENOSPC));
    }

    #[test]
    fn a_context_spreads_by_its_table() {
        let mut steering = Steering::default();
        steering.add_context(5, 2, false).unwrap();
        steering.context(5).unwrap().key = [0x6d; 40];
        for (slot, entry) in (0u8..).zip(steering.context(5).unwrap().table.iter_mut()) {
            *entry = slot % 2;
        }
        steering.insert(1, to(OWN), Dest::Queue { first: 4, context: Some(5) }, false).unwrap();
        let seen: Vec<u32> =
            (0..64).flat_map(|port| queues(&steering, &frame(OWN, port), Scope::Named).unwrap()).collect();
        assert!(seen.contains(&4) && seen.contains(&5) && seen.iter().all(|queue| (4..6).contains(queue)), "{seen:?}");
        steering.free_context(5).unwrap();
        assert_eq!(queues(&steering, &frame(OWN, 7), Scope::Named), Some(vec![4]), "no longer spread");
        assert_eq!(steering.free_context(5), Err(McErrno::ENOENT));
        assert_eq!(steering.add_context(6, 65, false), Err(McErrno::EINVAL));
    }
}
