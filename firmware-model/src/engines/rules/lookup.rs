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

use nicfw::tables::{Assumption, EngineProfile, MatchFields};
use nicfw::terms::{Direction, MacAddr};

use super::flat::{NO_PORT, Ports, Subnets};
use super::row::{Field, Row};
use super::table::{RuleTable, Walk};
use super::values::{Candidates, Column, NO_PROTO, NO_VLAN, Values};
use super::{EngineConfig, Tables};
use crate::engines::batch::packed::{BATCH, Batch, Found, Maps, Outcome, Packed, Places};
use crate::packet::{Headers, Ip};

/// What lookups need beside the tables: made from them, and made anew for what has changed.
#[derive(Debug)]
pub(in crate::engines) struct Lookup {
    subnets: Flattened<Subnets>,
    remote_ports: Flattened<Ports>,
    local_ports: Flattened<Ports>,
    /// Fields that a combination looks at.
    fields: MatchFields,
    /// All combinations that are looked up.
    candidates: Candidates,
    packed: Packed,
    /// All of the above is of other tables.
    stale: bool,
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
pub(in crate::engines) enum Map {
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
            packed: Packed::new(),
            stale: true,
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
        self.stale = true;
    }

    /// Brings everything up to the tables.
    pub fn refresh(&mut self, tables: &mut Tables, config: &EngineConfig) {
        let learnt = tables.rules.learn() | std::mem::take(&mut self.stale);
        if learnt {
            self.fields = tables.rules.fields();
            self.candidates = tables.rules.candidates();
        }
        let values = tables.rules.values();
        let versions = |one: Field, other: Field| [values.column(one).version(), values.column(other).version()];
        if self.fields.contains(MatchFields::REMOTE_SUBNET_ID)
            && self.subnets.take_stale(versions(Field::RemoteSubnet, Field::RemoteSubnet))
        {
            self.subnets.map = Subnets::new(&tables.subnets, values, &config.profile, &config.sizes);
        }
        let mut repack = learnt;
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
                repack = true;
            }
        }
        if repack {
            let (subnets, local_ports, remote_ports) =
                (&self.subnets.map, &self.local_ports.map, &self.remote_ports.map);
            self.packed.refresh(&tables.rules, &Maps { values, subnets, local_ports, remote_ports });
        }
    }

    /// Finds the entries that decide about the frames at one physical port that are judged: those of a batch in any order.
    /// Only after [`Self::refresh`].
    pub fn decide_all(
        &self,
        rules: &RuleTable,
        profile: &EngineProfile,
        (direction, physical_port): (Direction, u32),
        frames: &[Headers],
        batch: &mut Batch,
        outcome: &mut Outcome<'_>,
    ) {
        // Each frame has a decision.
        let frames = frames.get(..outcome.decisions.len()).unwrap_or(frames);
        let walk = Walk {
            none_is_absent: profile.holds(Assumption::NoneIsAbsent),
            miss_goes_on: profile.holds(Assumption::MissGoesOn),
        };
        let local_is_destination = (direction == Direction::Rx) == profile.holds(Assumption::LocalIsHostSide);
        let later_has_ports = !profile.holds(Assumption::LaterFragmentHasNoPorts);
        let look = Look { lookup: self, rules, values: rules.values(), later_has_ports, physical_port };
        let maps = Maps {
            values: rules.values(),
            subnets: &self.subnets.map,
            local_ports: &self.local_ports.map,
            remote_ports: &self.remote_ports.map,
        };
        let non_ip_is_judged = profile.holds(Assumption::NonIpIsJudged);
        let packed = walk.none_is_absent && walk.miss_goes_on && !later_has_ports;
        let at = (direction, physical_port);
        let Outcome { decisions, counts, no_match } = outcome;
        for (frames, decisions) in frames.chunks(BATCH).zip(decisions.chunks_mut(BATCH)) {
            let mut outcome = Outcome { decisions, counts, no_match: *no_match };
            match (packed, local_is_destination) {
                (false, _) => batch.others = Places::ALL,
                (true, true) => self.packed.decide::<true>(&maps, frames, at, batch, &mut outcome),
                (true, false) => self.packed.decide::<false>(&maps, frames, at, batch, &mut outcome),
            }
            for place in batch.others.iter() {
                let Some(headers) = frames.get(place) else { break };
                if headers.ip.is_none() && !non_ip_is_judged {
                    continue;
                }
                let found = if local_is_destination {
                    look.found::<true>(headers, direction, walk)
                } else {
                    look.found::<false>(headers, direction, walk)
                };
                outcome.put(place, found);
            }
        }
    }
}

/// How the frames of one call are looked at.
struct Look<'a> {
    lookup: &'a Lookup,
    rules: &'a RuleTable,
    values: &'a Values,
    later_has_ports: bool,
    physical_port: u32,
}

impl Look<'_> {
    /// What decides about a frame, whatever it is.
    #[inline(never)]
    fn found<const LOCAL_IS_DESTINATION: bool>(&self, headers: &Headers, direction: Direction, walk: Walk) -> Found {
        let (row, candidates) = self.at::<LOCAL_IS_DESTINATION>(headers);
        self.rules.decide(&row, candidates, direction, walk)
    }

    /// The row of a frame, and the combinations that can decide about it.
    #[inline]
    fn at<const LOCAL_IS_DESTINATION: bool>(&self, headers: &Headers) -> (Row, Candidates) {
        let sight = Sight::of::<LOCAL_IS_DESTINATION>(headers, self.later_has_ports);
        let mut seen = (Row::default(), self.lookup.candidates);
        self.put(&mut seen, Field::LocalIp, |column| sight.local.number(column, headers));
        self.put(&mut seen, Field::LocalMac, |column| column.mac(sight.local_mac));
        if seen.1 == 0 {
            // Nobody's address and MAC, mostly: nothing else can make a difference.
            return seen;
        }
        self.put(&mut seen, Field::EtherType, |column| column.word(sight.ether_type));
        self.put(&mut seen, Field::IpProto, |column| column.word(sight.ip_proto));
        self.put(&mut seen, Field::RemoteIp, |column| sight.remote.number(column, headers));
        self.put(&mut seen, Field::RemoteSubnet, |_| match sight.remote {
            Addr::V4(four) => u16::try_from(self.lookup.subnets.map.number(four)).unwrap_or(0),
            _ => 0,
        });
        let (local, remote) = (&self.lookup.local_ports.map, &self.lookup.remote_ports.map);
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
        if self.lookup.fields.contains(field.bit()) {
            let column = self.values.column(field);
            let number = number(column);
            row.put(field, number);
            *candidates &= column.candidates(number);
        }
    }

    #[inline]
    fn put_port(&self, (row, candidates): &mut (Row, Candidates), fields: [Field; 2], ports: &Ports, port: u32) {
        let [exact, range] = fields;
        if self.lookup.fields.intersects(exact.bit() | range.bit()) {
            let class = ports.get(port);
            row.put(exact, class.exact);
            row.put(range, class.range);
            *candidates &= class.candidates;
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

    #[inline]
    fn number(self, column: &Column, headers: &Headers) -> u16 {
        let wide = |of: fn(&Ip) -> &IpAddr| headers.ip.as_ref().map_or(0, |ip| column.ip(of(ip)));
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
