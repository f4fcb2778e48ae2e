//! From a frame's headers to the entry that decides.
//!
//! ```text
//! headers -> row: each field as the number of its value (values.rs; by the flattened maps of flat.rs for ids and ports)
//!         -> candidates: the combinations that know all of its numbers, mostly one above the base
//!         -> the row, masked by each candidate in lookup order, is looked up in the rule table (table.rs)
//! ```
//!
//! Nothing is remembered from one frame to the next, and nothing is allocated.

use std::net::IpAddr;

use nicfw::adapter::Override;
use nicfw::tables::{Assumption, CounterId};
use nicfw::terms::{Direction, IpHeader, MacAddr, Packet, Verdict};

use super::config::EngineConfig;
use super::entry::EntryId;
use super::flat::{NO_PORT, Ports};
use super::judgement::{Decided, Decision};
use super::lookup::Lookup;
use super::row::{Field, Row};
use super::table::{RuleTable, Walk};
use super::values::{Candidates, Column, NO_PROTO, NO_VLAN};
use crate::packet::{ETHER_ARP, Headers};

/// What decides about a frame, if any entry does.
pub(in crate::engines) type Found = Option<(EntryId, Verdict, CounterId)>;

/// Frames in one direction at one physical port, and tables that do not change meanwhile.
pub(in crate::engines) struct Pass<'a> {
    pub rules: &'a RuleTable,
    pub lookup: &'a Lookup,
    /// By counter: what is counted in the direction.
    pub counts: &'a mut [u64],
    pub direction: Direction,
    pub physical_port: u32,
    pub overridden: Override,
    pub walk: Walk,
    pub local_is_destination: bool,
    pub later_has_ports: bool,
    non_ip_is_judged: bool,
    /// Where no entry decides.
    pub no_match: Verdict,
}

impl<'a> Pass<'a> {
    /// `lookup` is up to the tables.
    pub fn new(
        config: &EngineConfig,
        overridden: Override,
        rules: &'a RuleTable,
        lookup: &'a Lookup,
        counts: &'a mut [u64],
        direction: Direction,
        physical_port: u32,
    ) -> Self {
        let no_match = match (config.profile.no_match, config.holds(Assumption::NoMatchAccepts)) {
            (verdict, true) => verdict,
            (Verdict::Allow, false) => Verdict::Deny,
            (Verdict::Deny, false) => Verdict::Allow,
        };
        Self {
            rules,
            lookup,
            counts,
            direction,
            physical_port,
            overridden,
            walk: Walk {
                none_is_absent: config.holds(Assumption::NoneIsAbsent),
                miss_goes_on: config.holds(Assumption::MissGoesOn),
            },
            local_is_destination: (direction == Direction::Rx) == config.holds(Assumption::LocalIsHostSide),
            later_has_ports: !config.holds(Assumption::LaterFragmentHasNoPorts),
            non_ip_is_judged: config.holds(Assumption::NonIpIsJudged),
            no_match,
        }
    }

    /// Decides about a frame, and counts it.
    pub fn decide(&mut self, headers: &Headers) -> Decision {
        if self.overridden != Override::None {
            let blocked = self.overridden == Override::Block && headers.packet.ether_type != ETHER_ARP;
            let verdict = if blocked { Verdict::Deny } else { Verdict::Allow };
            return Decision { verdict, by: Decided::Override };
        }
        if headers.packet.ip.is_none() && !self.non_ip_is_judged {
            return Decision { verdict: Verdict::Allow, by: Decided::NotJudged };
        }
        let (row, candidates) =
            if self.local_is_destination { self.seen::<true>(headers) } else { self.seen::<false>(headers) };
        let found = self.rules.decide(&row, candidates, self.direction, self.walk);
        count(self.counts, self.no_match, found)
    }

    /// The row of a frame, and the combinations that can decide about it.
    #[inline]
    fn seen<const LOCAL_IS_DESTINATION: bool>(&self, headers: &Headers) -> (Row, Candidates) {
        let sight = Sight::of::<LOCAL_IS_DESTINATION>(headers, self.later_has_ports);
        let mut seen = (Row::default(), self.lookup.candidates());
        self.put(&mut seen, Field::LocalIp, |column| sight.local.number(column, &headers.packet));
        self.put(&mut seen, Field::LocalMac, |column| column.mac(sight.local_mac));
        if seen.1 == 0 {
            // An address and a MAC that no entry names, mostly: nothing else can make a difference.
            return seen;
        }
        self.put(&mut seen, Field::EtherType, |column| column.word(sight.ether_type));
        self.put(&mut seen, Field::IpProto, |column| column.word(sight.ip_proto));
        self.put(&mut seen, Field::RemoteIp, |column| sight.remote.number(column, &headers.packet));
        self.put(&mut seen, Field::RemoteSubnet, |_| match sight.remote {
            Addr::V4(four) => u16::try_from(self.lookup.subnets().number(four)).unwrap_or(0),
            _ => 0,
        });
        let (local, remote) = (self.lookup.local_ports(), self.lookup.remote_ports());
        self.put_port(&mut seen, [Field::LocalPort, Field::LocalPortrange], local, sight.local_port);
        self.put_port(&mut seen, [Field::RemotePort, Field::RemotePortrange], remote, sight.remote_port);
        self.put(&mut seen, Field::OuterVlan, |column| column.word(sight.outer_vlan));
        self.put(&mut seen, Field::InnerVlan, |column| column.word(sight.inner_vlan));
        self.put(&mut seen, Field::RemoteMac, |column| column.mac(sight.remote_mac));
        self.put(&mut seen, Field::PhysicalPort, |column| column.port(self.physical_port));
        seen
    }

    /// Numbers a field, if a combination looks at it.
    #[inline]
    fn put(&self, (row, candidates): &mut (Row, Candidates), field: Field, number: impl FnOnce(&Column) -> u16) {
        if self.lookup.fields().contains(field.bit()) {
            let column = self.rules.values().column(field);
            let number = number(column);
            row.put(field, number);
            *candidates &= column.candidates(number);
        }
    }

    #[inline]
    fn put_port(&self, (row, candidates): &mut (Row, Candidates), fields: [Field; 2], ports: &Ports, port: u32) {
        let [exact, range] = fields;
        if self.lookup.fields().intersects(exact.bit() | range.bit()) {
            let class = ports.get(port);
            row.put(exact, class.exact);
            row.put(range, class.range);
            *candidates &= class.candidates;
        }
    }
}

/// The decision that was found, once counted.
#[inline]
pub(in crate::engines) fn count(counts: &mut [u64], no_match: Verdict, found: Found) -> Decision {
    let Some((id, verdict, counter)) = found else { return Decision { verdict: no_match, by: Decided::NoMatch } };
    if let Some(count) = counts.get_mut(counter.0 as usize) {
        *count = count.wrapping_add(1);
    }
    Decision { verdict, by: Decided::Entry(id) }
}

/// An address: what is not IPv4 is looked up in the packet.
#[derive(Debug, Clone, Copy, Default)]
enum Addr {
    #[default]
    None,
    V4(u32),
    Src,
    Dst,
}

impl Addr {
    #[inline]
    fn of(addr: &IpAddr, wide: Self) -> Self {
        match addr {
            IpAddr::V4(four) => Self::V4(four.to_bits()),
            IpAddr::V6(_) => wide,
        }
    }

    #[inline]
    fn number(self, column: &Column, packet: &Packet) -> u16 {
        let wide = |of: fn(&IpHeader) -> &IpAddr| packet.ip.as_ref().map_or(0, |ip| column.ip(of(ip)));
        match self {
            Self::V4(four) => column.v4(four),
            Self::None => 0,
            Self::Src => wide(|ip| &ip.src),
            Self::Dst => wide(|ip| &ip.dst),
        }
    }
}

/// What the engine looks at in a frame, oriented.
#[derive(Debug, Clone, Copy, Default)]
struct Sight {
    local_mac: MacAddr,
    remote_mac: MacAddr,
    local: Addr,
    remote: Addr,
    /// Or [`NO_PORT`].
    local_port: u32,
    remote_port: u32,
    ether_type: u16,
    ip_proto: u16,
    outer_vlan: u16,
    inner_vlan: u16,
}

impl Sight {
    #[inline]
    fn of<const LOCAL_IS_DESTINATION: bool>(headers: &Headers, later_has_ports: bool) -> Self {
        let packet = &headers.packet;
        let (mut src, mut dst) = (Addr::None, Addr::None);
        let (mut ip_proto, mut src_port, mut dst_port) = (NO_PROTO, NO_PORT, NO_PORT);
        if let Some(ip) = &packet.ip {
            (src, dst) = (Addr::of(&ip.src, Addr::Src), Addr::of(&ip.dst, Addr::Dst));
            ip_proto = ip.proto.map_or(NO_PROTO, u16::from);
            if let Some(ports) = if later_has_ports { headers.raw_ports } else { ip.ports } {
                (src_port, dst_port) = (ports.0.into(), ports.1.into());
            }
        }
        let ((local_mac, remote_mac), (local, remote), (local_port, remote_port)) = if LOCAL_IS_DESTINATION {
            ((packet.dst_mac, packet.src_mac), (dst, src), (dst_port, src_port))
        } else {
            ((packet.src_mac, packet.dst_mac), (src, dst), (src_port, dst_port))
        };
        let (outer_vlan, inner_vlan) = (packet.outer_vlan.unwrap_or(NO_VLAN), packet.inner_vlan.unwrap_or(NO_VLAN));
        let ether_type = packet.ether_type;
        Self {
            local_mac,
            remote_mac,
            local,
            remote,
            local_port,
            remote_port,
            ether_type,
            ip_proto,
            outer_vlan,
            inner_vlan,
        }
    }
}
