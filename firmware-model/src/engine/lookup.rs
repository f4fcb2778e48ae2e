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

use nicfw::tables::{Assumption, CounterId, Direction, EngineProfile, MacAddr, MatchFields, Verdict};

use super::flat::{NO_PORT, Ports, Subnets};
use super::index::EntryId;
use super::row::{Field, Row};
use super::table::{RuleTable, Walk};
use super::values::{Candidates, Column, Values};
use super::{EngineConfig, Tables};
use crate::packet::Headers;

/// Frames that go through a step of the lookup together.
const BATCH: usize = 32;

/// What lookups need beside the tables: made from them, and made anew for what has changed.
#[derive(Debug)]
pub(super) struct Lookup {
    subnets: Flattened<Subnets>,
    remote_ports: Flattened<Ports>,
    local_ports: Flattened<Ports>,
    /// Fields that a combination looks at.
    fields: MatchFields,
    /// All combinations that are looked up.
    candidates: Candidates,
}

/// A map, flattened.
#[derive(Debug)]
struct Flattened<T> {
    map: T,
    /// Versions of the fields whose numbers are in it.
    versions: [u64; 2],
    /// The words of the map have changed.
    stale: bool,
}

impl<T> Flattened<T> {
    fn new(map: T) -> Self {
        Self { map, versions: [0; 2], stale: true }
    }

    /// True if the map is to be made anew.
    fn take_stale(&mut self, versions: [u64; 2]) -> bool {
        (std::mem::replace(&mut self.versions, versions) != versions) | std::mem::take(&mut self.stale)
    }
}

/// A map that commands write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    Subnets,
    RemotePorts,
    LocalPorts,
}

impl Lookup {
    pub fn new() -> Self {
        Self {
            subnets: Flattened::new(Subnets::none()),
            remote_ports: Flattened::new(Ports::none(Field::RemotePort, Field::RemotePortrange)),
            local_ports: Flattened::new(Ports::none(Field::LocalPort, Field::LocalPortrange)),
            fields: MatchFields::empty(),
            candidates: 0,
        }
    }

    /// The words of a map have changed.
    pub fn forget(&mut self, map: Map) {
        match map {
            Map::Subnets => self.subnets.stale = true,
            Map::RemotePorts => self.remote_ports.stale = true,
            Map::LocalPorts => self.local_ports.stale = true,
        }
    }

    /// All tables are others.
    pub fn forget_all(&mut self) {
        [Map::Subnets, Map::RemotePorts, Map::LocalPorts].into_iter().for_each(|map| self.forget(map));
    }

    /// Brings everything up to the tables.
    pub fn refresh(&mut self, tables: &mut Tables, config: &EngineConfig) {
        let learnt = tables.rules.learn();
        self.fields = tables.rules.fields();
        self.candidates = tables.rules.candidates();
        let values = tables.rules.values();
        let versions = |one: Field, other: Field| [values.column(one).version(), values.column(other).version()];
        if self.fields.contains(MatchFields::REMOTE_SUBNET_ID)
            && self.subnets.take_stale(versions(Field::RemoteSubnet, Field::RemoteSubnet))
        {
            self.subnets.map = Subnets::new(&tables.subnets, values, &config.profile, &config.sizes);
        }
        for (ports, tree, exact, range) in [
            (&mut self.remote_ports, &tables.remote_ports, Field::RemotePort, Field::RemotePortrange),
            (&mut self.local_ports, &tables.local_ports, Field::LocalPort, Field::LocalPortrange),
        ] {
            if !self.fields.intersects(exact.bit() | range.bit()) {
                continue;
            }
            let stale = ports.take_stale(versions(exact, range));
            if stale {
                ports.map.map(tree, values, &config.profile);
            }
            if stale || learnt {
                ports.map.learn(values);
            }
        }
    }

    /// Finds the entries that decide about frames at one physical port, in their order. Only after [`Self::refresh`].
    pub fn decide_all(
        &self,
        rules: &RuleTable,
        profile: &EngineProfile,
        (direction, physical_port): (Direction, u32),
        frames: &[Headers],
        mut found: impl FnMut(usize, Option<(EntryId, Verdict, CounterId)>),
    ) {
        let walk = Walk {
            none_is_absent: profile.holds(Assumption::NoneIsAbsent),
            miss_goes_on: profile.holds(Assumption::MissGoesOn),
        };
        let local_is_destination = (direction == Direction::Rx) == profile.holds(Assumption::LocalIsHostSide);
        let later_has_ports = !profile.holds(Assumption::LaterFragmentHasNoPorts);
        for (number, frames) in frames.chunks(BATCH).enumerate() {
            let mut batch = Batch {
                frames,
                sights: [Sight::default(); BATCH],
                rows: [Row::default(); BATCH],
                candidates: [self.candidates; BATCH],
            };
            batch.look(local_is_destination, later_has_ports);
            self.number(rules.values(), &mut batch, physical_port);
            let seen = batch.rows.iter().zip(batch.candidates).take(frames.len());
            for (at, (row, candidates)) in seen.enumerate() {
                found(number * BATCH + at, rules.decide(row, candidates, direction, walk));
            }
        }
    }

    /// Numbers what a batch shows, field by field.
    fn number(&self, values: &Values, batch: &mut Batch<'_>, physical_port: u32) {
        for field in Field::ALL.into_iter().filter(|field| self.fields.contains(field.bit())) {
            let column = values.column(field);
            match field {
                Field::LocalIp => batch.number(field, column, |sight, headers| match sight.local {
                    Addr::V4(four) => column.v4(four),
                    addr => addr.wide(headers).map_or(0, |addr| column.ip(addr)),
                }),
                Field::RemoteIp => batch.number(field, column, |sight, headers| match sight.remote {
                    Addr::V4(four) => column.v4(four),
                    addr => addr.wide(headers).map_or(0, |addr| column.ip(addr)),
                }),
                Field::RemoteSubnet => batch.number(field, column, |sight, _| match sight.remote {
                    Addr::V4(four) => self.subnets.map.number(four),
                    _ => 0,
                }),
                Field::LocalMac => batch.number(field, column, |sight, _| column.mac(sight.local_mac)),
                Field::RemoteMac => batch.number(field, column, |sight, _| column.mac(sight.remote_mac)),
                Field::EtherType => batch.number(field, column, |sight, _| column.word(sight.ether_type)),
                Field::IpProto => batch.number(field, column, |sight, _| column.word(sight.ip_proto)),
                Field::OuterVlan => batch.number(field, column, |sight, _| column.word(sight.outer_vlan)),
                Field::InnerVlan => batch.number(field, column, |sight, _| column.word(sight.inner_vlan)),
                Field::PhysicalPort => {
                    let number = column.port(physical_port);
                    batch.number(field, column, |_, _| number);
                }
                Field::LocalPort | Field::LocalPortrange | Field::RemotePort | Field::RemotePortrange => {}
            }
        }
        if self.fields.intersects(Field::LocalPort.bit() | Field::LocalPortrange.bit()) {
            batch.class(Field::LocalPort, Field::LocalPortrange, &self.local_ports.map, |sight| sight.local_port);
        }
        if self.fields.intersects(Field::RemotePort.bit() | Field::RemotePortrange.bit()) {
            batch.class(Field::RemotePort, Field::RemotePortrange, &self.remote_ports.map, |sight| sight.remote_port);
        }
    }
}

/// An address: what is not IPv4 is looked up in the headers.
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

    fn wide(self, headers: &Headers) -> Option<&IpAddr> {
        let ip = headers.ip.as_ref()?;
        match self {
            Self::Src => Some(&ip.src),
            Self::Dst => Some(&ip.dst),
            _ => None,
        }
    }
}

/// No protocol: a value that no entry can name.
const NO_PROTO: u16 = 1 << 8;
/// No tag: a value that no entry can name.
const NO_VLAN: u16 = u16::MAX;

/// What the engine looks at in a frame, oriented and small: a pass over all frames of a batch fetches their headers at once.
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
        let (mut src, mut dst) = (Addr::None, Addr::None);
        let (mut ip_proto, mut src_port, mut dst_port) = (NO_PROTO, NO_PORT, NO_PORT);
        if let Some(ip) = &headers.ip {
            (src, dst) = (Addr::of(&ip.src, Addr::Src), Addr::of(&ip.dst, Addr::Dst));
            ip_proto = ip.proto.map_or(NO_PROTO, u16::from);
            if let Some(ports) = if later_has_ports { ip.raw_ports } else { ip.ports } {
                (src_port, dst_port) = (ports.0.into(), ports.1.into());
            }
        }
        let ((local_mac, remote_mac), (local, remote), (local_port, remote_port)) = if LOCAL_IS_DESTINATION {
            ((headers.dst_mac, headers.src_mac), (dst, src), (dst_port, src_port))
        } else {
            ((headers.src_mac, headers.dst_mac), (src, dst), (src_port, dst_port))
        };
        let (outer_vlan, inner_vlan) = (headers.outer_vlan.unwrap_or(NO_VLAN), headers.inner_vlan.unwrap_or(NO_VLAN));
        let ether_type = headers.ether_type;
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

/// Frames on their way through the steps.
struct Batch<'a> {
    frames: &'a [Headers],
    sights: [Sight; BATCH],
    rows: [Row; BATCH],
    candidates: [Candidates; BATCH],
}

impl Batch<'_> {
    fn look(&mut self, local_is_destination: bool, later_has_ports: bool) {
        let sights = self.sights.iter_mut().zip(self.frames);
        if local_is_destination {
            sights.for_each(|(sight, headers)| *sight = Sight::of::<true>(headers, later_has_ports));
        } else {
            sights.for_each(|(sight, headers)| *sight = Sight::of::<false>(headers, later_has_ports));
        }
    }

    #[inline]
    fn number(&mut self, field: Field, column: &Column, number: impl Fn(&Sight, &Headers) -> u16) {
        let places = self.rows.iter_mut().zip(&mut self.candidates);
        for ((row, candidates), (sight, headers)) in places.zip(self.sights.iter().zip(self.frames)) {
            let number = number(sight, headers);
            row.put(field, number);
            *candidates &= column.candidates(number);
        }
    }

    #[inline]
    fn class(&mut self, exact: Field, range: Field, ports: &Ports, port: impl Fn(&Sight) -> u32) {
        let places = self.rows.iter_mut().zip(&mut self.candidates);
        for ((row, candidates), sight) in places.zip(self.sights.iter().take(self.frames.len())) {
            let class = ports.get(port(sight));
            row.put(exact, class.exact);
            row.put(range, class.range);
            *candidates &= class.candidates;
        }
    }
}
