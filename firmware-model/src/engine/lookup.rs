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

use nicfw::tables::{Assumption, Direction, MatchFields};

use super::flat::{Ports, Subnets};
use super::row::{Field, Row};
use super::table::{Entry, EntryId, RuleTable, Walk};
use super::values::{Candidates, Values};
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

/// Which side of a frame is the local one, and what is the same for all frames of a batch.
#[derive(Debug, Clone, Copy)]
struct Side {
    direction: Direction,
    local_is_destination: bool,
    later_fragments_have_ports: bool,
    /// Number of the physical port.
    physical_port: u16,
    walk: Walk,
}

impl Side {
    fn oriented<T>(&self, src: T, dst: T) -> (T, T) {
        if self.local_is_destination { (dst, src) } else { (src, dst) }
    }
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
        let versions = |one: Field, other: Field| [values.version(one), values.version(other)];
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
        config: &EngineConfig,
        (direction, physical_port): (Direction, u32),
        frames: &[Headers],
        mut found: impl FnMut(usize, Option<(EntryId, &Entry)>),
    ) {
        let profile = &config.profile;
        let side = Side {
            direction,
            local_is_destination: (direction == Direction::Rx) == profile.holds(Assumption::LocalIsHostSide),
            later_fragments_have_ports: !profile.holds(Assumption::LaterFragmentHasNoPorts),
            physical_port: rules.values().narrow(Field::PhysicalPort, physical_port.into()),
            walk: Walk {
                none_is_absent: profile.holds(Assumption::NoneIsAbsent),
                miss_goes_on: profile.holds(Assumption::MissGoesOn),
            },
        };
        let mut at = 0;
        for batch in frames.chunks(BATCH) {
            let mut seen = [(Row::default(), 0); BATCH];
            for (seen, headers) in seen.iter_mut().zip(batch) {
                *seen = self.see(rules.values(), headers, &side);
            }
            for (row, candidates) in seen.iter().take(batch.len()) {
                found(at, rules.decide(row, *candidates, side.direction, side.walk));
                at += 1;
            }
        }
    }

    /// The row of a frame, and the combinations that can decide about it.
    #[inline]
    fn see(&self, values: &Values, headers: &Headers, side: &Side) -> (Row, Candidates) {
        let mut seen = Seen { row: Row::default(), candidates: self.candidates, values };
        let looks_at = |field: Field| self.fields.contains(field.bit());
        let (local_mac, remote_mac) = side.oriented(headers.src_mac, headers.dst_mac);
        if looks_at(Field::LocalMac) {
            seen.put(Field::LocalMac, values.mac(Field::LocalMac, local_mac));
        }
        if looks_at(Field::RemoteMac) {
            seen.put(Field::RemoteMac, values.mac(Field::RemoteMac, remote_mac));
        }
        if looks_at(Field::PhysicalPort) {
            seen.put(Field::PhysicalPort, side.physical_port);
        }
        if looks_at(Field::EtherType) {
            seen.put(Field::EtherType, values.narrow(Field::EtherType, headers.ether_type.into()));
        }
        for (field, vlan) in [(Field::OuterVlan, headers.outer_vlan), (Field::InnerVlan, headers.inner_vlan)] {
            if looks_at(field) {
                seen.put(field, vlan.map_or(0, |id| values.narrow(field, id.into())));
            }
        }
        let ip = headers.ip.as_ref();
        let addrs = ip.map(|ip| side.oriented(ip.src, ip.dst));
        if looks_at(Field::LocalIp) {
            seen.put(Field::LocalIp, addrs.map_or(0, |(local, _)| values.ip(Field::LocalIp, local)));
        }
        if looks_at(Field::RemoteIp) {
            seen.put(Field::RemoteIp, addrs.map_or(0, |(_, remote)| values.ip(Field::RemoteIp, remote)));
        }
        if looks_at(Field::RemoteSubnet) {
            let number = match addrs {
                Some((_, IpAddr::V4(remote))) => self.subnets.map.number(remote.to_bits()),
                _ => 0,
            };
            seen.put(Field::RemoteSubnet, number);
        }
        if looks_at(Field::IpProto) {
            let proto = ip.and_then(|ip| ip.proto);
            seen.put(Field::IpProto, proto.map_or(0, |proto| values.narrow(Field::IpProto, proto.into())));
        }
        let ports = ip.and_then(|ip| if side.later_fragments_have_ports { ip.raw_ports } else { ip.ports });
        let ports = ports.map(|(src, dst)| side.oriented(src, dst));
        for (map, exact, range, port) in [
            (&self.local_ports.map, Field::LocalPort, Field::LocalPortrange, ports.map(|(local, _)| local)),
            (&self.remote_ports.map, Field::RemotePort, Field::RemotePortrange, ports.map(|(_, remote)| remote)),
        ] {
            if self.fields.intersects(exact.bit() | range.bit()) {
                let class = port.map_or_else(|| map.none_there(), |port| map.get(port));
                seen.row.put(exact, class.exact);
                seen.row.put(range, class.range);
                seen.candidates &= class.candidates;
            }
        }
        (seen.row, seen.candidates)
    }
}

/// A row in the making.
struct Seen<'a> {
    row: Row,
    candidates: Candidates,
    values: &'a Values,
}

impl Seen<'_> {
    #[inline]
    fn put(&mut self, field: Field, number: u16) {
        self.row.put(field, number);
        self.candidates &= self.values.candidates(field, number);
    }
}
