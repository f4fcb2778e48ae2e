//! What lookups need beside the tables: made from them, and made anew for what has changed.

use std::sync::atomic::{AtomicU64, Ordering};

use nicfw::tables::MatchFields;

use super::config::EngineConfig;
use super::flat::{Ports, Subnets};
use super::row::Field;
use super::tables::Tables;
use super::values::Candidates;

/// The number of the next state of any lookup.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Maps, flattened, and what combinations look at.
#[derive(Debug)]
pub(in crate::engines) struct Lookup {
    subnets: Flattened<Subnets>,
    remote_ports: Flattened<Ports>,
    local_ports: Flattened<Ports>,
    /// Fields that a combination looks at.
    fields: MatchFields,
    /// All combinations that are looked up.
    candidates: Candidates,
    /// Tells one state of all of this, and of the rule table, from those of any engine.
    state: u64,
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
            state: 0,
            stale: true,
        }
    }

    /// The words of a map have changed.
    pub(super) fn forget(&mut self, map: Map) {
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
    pub(super) fn refresh(&mut self, tables: &mut Tables, config: &EngineConfig) {
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
            self.subnets.map = Subnets::new(&tables.subnets, values, config);
        }
        let mut changed = learnt;
        for (ports, tree, exact, range) in [
            (&mut self.remote_ports, &tables.remote_ports, Field::RemotePort, Field::RemotePortrange),
            (&mut self.local_ports, &tables.local_ports, Field::LocalPort, Field::LocalPortrange),
        ] {
            if !self.fields.intersects(exact.bit() | range.bit()) {
                continue;
            }
            let stale = ports.take_stale(versions(exact, range));
            if stale {
                ports.map.map(tree, values, config);
            }
            if stale || learnt {
                ports.map.learn(values);
                changed = true;
            }
        }
        if changed {
            self.state = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The state that [`Self::refresh`] came to: the same number means the same rule table and classes of ports, in the same
    /// engine.
    pub fn state(&self) -> u64 {
        self.state
    }

    /// Fields that a combination looks at.
    #[inline]
    pub fn fields(&self) -> MatchFields {
        self.fields
    }

    /// All combinations that are looked up.
    #[inline]
    pub fn candidates(&self) -> Candidates {
        self.candidates
    }

    #[inline]
    pub fn subnets(&self) -> &Subnets {
        &self.subnets.map
    }

    #[inline]
    pub fn local_ports(&self) -> &Ports {
        &self.local_ports.map
    }

    #[inline]
    pub fn remote_ports(&self) -> &Ports {
        &self.remote_ports.map
    }
}
