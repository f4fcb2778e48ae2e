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

use nicfw::tables::{Assumption, CounterId, Direction, EngineProfile, MatchFields, Verdict};

use super::flat::{Ports, Subnets};
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
            let mut batch = Batch { frames, rows: [Row::default(); BATCH], candidates: [self.candidates; BATCH] };
            if local_is_destination {
                self.see::<true>(rules.values(), &mut batch, physical_port, later_has_ports);
            } else {
                self.see::<false>(rules.values(), &mut batch, physical_port, later_has_ports);
            }
            let seen = batch.rows.iter().zip(batch.candidates).take(frames.len());
            for (at, (row, candidates)) in seen.enumerate() {
                found(number * BATCH + at, rules.decide(row, candidates, direction, walk));
            }
        }
    }

    /// Numbers what a batch shows, field by field.
    fn see<const LOCAL_IS_DESTINATION: bool>(
        &self,
        values: &Values,
        batch: &mut Batch<'_>,
        physical_port: u32,
        later_has_ports: bool,
    ) {
        fn sides<const LOCAL_IS_DESTINATION: bool, T>(src: T, dst: T) -> (T, T) {
            if LOCAL_IS_DESTINATION { (dst, src) } else { (src, dst) }
        }
        let macs = |headers: &Headers| sides::<LOCAL_IS_DESTINATION, _>(headers.src_mac, headers.dst_mac);
        fn addrs<const LOCAL_IS_DESTINATION: bool>(headers: &Headers) -> Option<(&IpAddr, &IpAddr)> {
            headers.ip.as_ref().map(|ip| sides::<LOCAL_IS_DESTINATION, _>(&ip.src, &ip.dst))
        }
        let ports = |headers: &Headers| {
            let ports = headers.ip.as_ref().and_then(|ip| if later_has_ports { ip.raw_ports } else { ip.ports });
            ports.map(|(src, dst)| sides::<LOCAL_IS_DESTINATION, _>(src, dst))
        };
        let column = |field: Field| self.fields.contains(field.bit()).then(|| values.column(field));
        if let Some(column) = column(Field::LocalIp) {
            let number = |headers: &Headers| addrs::<LOCAL_IS_DESTINATION>(headers).map_or(0, |(ip, _)| column.ip(ip));
            batch.number(Field::LocalIp, column, number);
        }
        if let Some(column) = column(Field::LocalMac) {
            batch.number(Field::LocalMac, column, |headers| column.mac(macs(headers).0));
        }
        if let Some(column) = column(Field::EtherType) {
            batch.number(Field::EtherType, column, |headers| column.word(headers.ether_type));
        }
        if let Some(column) = column(Field::IpProto) {
            let proto = |headers: &Headers| headers.ip.and_then(|ip| ip.proto);
            batch.number(Field::IpProto, column, |headers| proto(headers).map_or(0, |proto| column.word(proto.into())));
        }
        if let Some(column) = column(Field::RemoteIp) {
            let number = |headers: &Headers| addrs::<LOCAL_IS_DESTINATION>(headers).map_or(0, |(_, ip)| column.ip(ip));
            batch.number(Field::RemoteIp, column, number);
        }
        if let Some(column) = column(Field::RemoteSubnet) {
            batch.number(Field::RemoteSubnet, column, |headers| match addrs::<LOCAL_IS_DESTINATION>(headers) {
                Some((_, IpAddr::V4(remote))) => self.subnets.map.number(remote.to_bits()),
                _ => 0,
            });
        }
        if self.fields.intersects(Field::LocalPort.bit() | Field::LocalPortrange.bit()) {
            let port = |headers: &Headers| ports(headers).map(|(local, _)| local);
            batch.class(Field::LocalPort, Field::LocalPortrange, &self.local_ports.map, port);
        }
        if self.fields.intersects(Field::RemotePort.bit() | Field::RemotePortrange.bit()) {
            let port = |headers: &Headers| ports(headers).map(|(_, remote)| remote);
            batch.class(Field::RemotePort, Field::RemotePortrange, &self.remote_ports.map, port);
        }
        if let Some(column) = column(Field::OuterVlan) {
            batch.number(Field::OuterVlan, column, |headers| headers.outer_vlan.map_or(0, |id| column.word(id)));
        }
        if let Some(column) = column(Field::InnerVlan) {
            batch.number(Field::InnerVlan, column, |headers| headers.inner_vlan.map_or(0, |id| column.word(id)));
        }
        if let Some(column) = column(Field::RemoteMac) {
            batch.number(Field::RemoteMac, column, |headers| column.mac(macs(headers).1));
        }
        if let Some(column) = column(Field::PhysicalPort) {
            let number = column.port(physical_port);
            batch.number(Field::PhysicalPort, column, |_| number);
        }
    }
}

/// Frames on their way through the steps.
struct Batch<'a> {
    frames: &'a [Headers],
    rows: [Row; BATCH],
    candidates: [Candidates; BATCH],
}

impl Batch<'_> {
    #[inline]
    fn number(&mut self, field: Field, column: &Column, number: impl Fn(&Headers) -> u16) {
        for ((row, candidates), headers) in self.rows.iter_mut().zip(&mut self.candidates).zip(self.frames) {
            let number = number(headers);
            row.put(field, number);
            *candidates &= column.candidates(number);
        }
    }

    #[inline]
    fn class(&mut self, exact: Field, range: Field, ports: &Ports, port: impl Fn(&Headers) -> Option<u16>) {
        for ((row, candidates), headers) in self.rows.iter_mut().zip(&mut self.candidates).zip(self.frames) {
            let class = port(headers).map_or_else(|| ports.none_there(), |port| ports.get(port));
            row.put(exact, class.exact);
            row.put(range, class.range);
            *candidates &= class.candidates;
        }
    }
}
