//! The engine: what commands do to its tables, and the judgement of one frame.

use nicfw::adapter::Override;
use nicfw::tables::{Assumption, CounterId, Entry, PortTreeEntry, RuleKey};
use nicfw::terms::Direction;

use super::config::{EngineConfig, ProbeLimit};
use super::counters::Counters;
use super::judgement::{By, Decided, Decision, Judgement};
use super::lookup::{Lookup, Map};
use super::pass::Pass;
use super::refused::Refused;
use super::snapshot::Snapshot;
use super::tables::Tables;
use crate::packet::Headers;

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    tables: Tables,
    lookup: Lookup,
    cache: Option<Tables>,
    counters: Counters,
    overridden: Override,
    /// Commands that changed a table: part of the version hash where assumption A13 does not hold.
    writes: u64,
}

impl Engine {
    /// An engine with empty tables.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            config,
            tables: Tables::default(),
            lookup: Lookup::new(),
            cache: None,
            counters: Counters::default(),
            overridden: Override::None,
            writes: 0,
        }
    }

    /// How it works.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Judges a frame at a physical port, and counts it.
    pub fn judge(&mut self, headers: &Headers, direction: Direction, physical_port: u32) -> Judgement {
        let decision = self.pass(direction, physical_port).decide(headers);
        self.judgement(decision)
    }

    /// The tables, for frames in one direction at one physical port. Nothing is allocated unless commands have changed the tables
    /// since the last call.
    pub(in crate::engines) fn pass(&mut self, direction: Direction, physical_port: u32) -> Pass<'_> {
        if self.overridden == Override::None {
            self.lookup.refresh(&mut self.tables, &self.config);
        }
        let counts = self.counters.side(direction);
        let (rules, lookup) = (&self.tables.rules, &self.lookup);
        Pass::new(&self.config, self.overridden, rules, lookup, counts, direction, physical_port)
    }

    /// A decision in full, until a command changes the tables.
    #[must_use]
    pub fn judgement(&self, decision: Decision) -> Judgement {
        let judgement = |by, counter| Judgement { verdict: decision.verdict, by, counter };
        match decision.by {
            Decided::NoMatch => judgement(By::NoMatch, None),
            Decided::Override => judgement(By::Override, None),
            Decided::NotJudged => judgement(By::NotJudged, None),
            Decided::Entry(id) => match self.tables.rules.entry(id) {
                Some((key, entry)) => {
                    judgement(By::Entry(*key), entry.counter.filter(|id| self.counters.is_allocated(*id)))
                }
                None => judgement(By::NoMatch, None),
            },
        }
    }

    /// Writes the entry of a key; `writer` is the number of the function that asks.
    ///
    /// # Errors
    /// [`Refused`]; the tables are as before.
    pub fn set_rule(&mut self, key: RuleKey, entry: Entry, writer: usize) -> Result<(), Refused> {
        self.check_ids(&key)?;
        if entry.counter.is_some_and(|id| !self.counters.is_allocated(id)) {
            return Err(Refused::Unknown);
        }
        let before = self.tables.rules.get(&key).and_then(|entry| entry.counter);
        self.tables.rules.set(&self.config, key, entry, writer)?;
        let after = self.tables.rules.get(&key).and_then(|entry| entry.counter);
        self.counters.change_user(before, after);
        self.writes += 1;
        Ok(())
    }

    /// Ids lie in their range, and their map is written (ef10.md 7.2: it must be set up before).
    fn check_ids(&self, key: &RuleKey) -> Result<(), Refused> {
        let sizes = &self.config.sizes;
        let subnets = sizes.subnet_id_min..=sizes.subnet_id_max;
        let ranges = sizes.portrange_id_min..=sizes.portrange_id_max;
        let ids = [
            key.remote_subnet.map(|id| (subnets.contains(&id.0.into()), self.tables.subnets.is_set())),
            key.remote_portrange
                .map(|id| (ranges.contains(&id.0.into()), self.tables.remote_ports.entries().is_some())),
            key.local_portrange.map(|id| (ranges.contains(&id.0.into()), self.tables.local_ports.entries().is_some())),
        ];
        for (in_range, written) in ids.into_iter().flatten() {
            if !in_range {
                return Err(Refused::Invalid);
            }
            if !written {
                return Err(Refused::Unknown);
            }
        }
        Ok(())
    }

    /// From here on the rule table takes so many entries, and its hash gives up there. What it holds stays.
    pub fn limit_rules(&mut self, entries: u32, probe: Option<ProbeLimit>) {
        self.config.profile.rules = entries;
        self.config.probe_limit = probe;
        self.tables.rules.recount(&self.config);
    }

    /// The entry of a key.
    #[must_use]
    pub fn rule(&self, key: &RuleKey) -> Option<&Entry> {
        self.tables.rules.get(key)
    }

    /// Drops the entries of one physical port (those that name it), or all of them; the maps stay.
    pub fn reset_rules(&mut self, physical_port: Option<u32>) {
        let keep = |key: &RuleKey| physical_port.is_some() && key.physical_port != physical_port;
        self.tables.rules.retain(&self.config, |key, _| keep(key));
        self.recount_all_users();
        self.writes += 1;
    }

    fn recount_all_users(&mut self) {
        self.counters.set_users(self.tables.rules.iter().filter_map(|(_, entry)| entry.counter));
    }

    /// Writes a node of the subnet trie.
    ///
    /// # Errors
    /// [`Refused::Invalid`]; the node is as before.
    pub fn set_subnet_node(&mut self, id: u32, entries: &[u16]) -> Result<(), Refused> {
        self.tables.subnets.set(&self.config.sizes, id, entries)?;
        self.lookup.forget(Map::Subnets);
        self.writes += 1;
        Ok(())
    }

    /// Writes the tree over remote ports.
    ///
    /// # Errors
    /// [`Refused::Invalid`]; the tree is as before.
    pub fn set_remote_ports(&mut self, entries: &[PortTreeEntry]) -> Result<(), Refused> {
        self.tables.remote_ports.set(&self.config.sizes, entries)?;
        self.lookup.forget(Map::RemotePorts);
        self.writes += 1;
        Ok(())
    }

    /// Writes the tree over local ports.
    ///
    /// # Errors
    /// [`Refused::Invalid`]; the tree is as before.
    pub fn set_local_ports(&mut self, entries: &[PortTreeEntry]) -> Result<(), Refused> {
        self.tables.local_ports.set(&self.config.sizes, entries)?;
        self.lookup.forget(Map::LocalPorts);
        self.writes += 1;
        Ok(())
    }

    /// Allocates up to `count` counter pairs, which start at 0.
    ///
    /// # Errors
    /// [`Refused::Full`] if not even one is left.
    pub fn alloc_counters(&mut self, count: u32) -> Result<Vec<CounterId>, Refused> {
        self.counters.alloc(count, self.config.profile.counters)
    }

    /// Frees counter pairs, all or none.
    ///
    /// # Errors
    /// [`Refused::Unknown`] if one is not allocated, [`Refused::Busy`] if an entry uses one.
    pub fn free_counters(&mut self, ids: &[CounterId]) -> Result<(), Refused> {
        self.counters.free(ids)
    }

    /// Entries that use a counter; `None` if it is not allocated.
    #[must_use]
    pub fn counter_users(&self, id: CounterId) -> Option<u32> {
        self.counters.users(id)
    }

    /// Reads a counter pair, transmitted frames first, each modulo its width; `None` if it is not allocated.
    #[must_use]
    pub fn counter(&self, id: CounterId) -> Option<(u64, u64)> {
        self.counters.read(id, self.config.counter_width)
    }

    /// Sets a counter pair, transmitted frames first. For tests of wrapping counters.
    pub fn preset_counter(&mut self, id: CounterId, tx: u64, rx: u64) {
        self.counters.preset(id, tx, rx);
    }

    /// Overrides the rules, or no longer.
    pub fn set_override(&mut self, state: Override) {
        self.overridden = state;
    }

    /// The override that is on.
    #[must_use]
    pub fn overridden(&self) -> Override {
        self.overridden
    }

    /// Version hash of the active tables.
    #[must_use]
    pub fn version(&self) -> [u8; 16] {
        let writes = if self.config.holds(Assumption::VersionIsContent) { 0 } else { self.writes };
        self.tables.hash(writes)
    }

    /// Version hash of the cached tables, if the cache is valid.
    #[must_use]
    pub fn cached_version(&self) -> Option<[u8; 16]> {
        self.cache.as_ref().map(|tables| tables.hash(0))
    }

    /// Copies the active tables to the cache, which a reboot loads.
    pub fn commit_cache(&mut self) {
        self.cache = Some(self.tables.clone());
    }

    /// Forgets the cached tables.
    pub fn invalidate_cache(&mut self) {
        self.cache = None;
    }

    /// Makes the cached tables the active ones.
    ///
    /// # Errors
    /// [`Refused::Unknown`] without a valid cache; the tables are as before.
    pub fn roll_back_to_cache(&mut self) -> Result<(), Refused> {
        self.tables = self.cache.clone().ok_or(Refused::Unknown)?;
        self.lookup.forget_all();
        self.recount_all_users();
        self.writes += 1;
        Ok(())
    }

    /// What an MC reboot does: the cache, or nothing, becomes active; override and counters are lost (A12, A14).
    pub fn reboot(&mut self) {
        self.tables = self.cache.clone().unwrap_or_default();
        self.lookup.forget_all();
        if self.config.holds(Assumption::RebootClearsCounters) {
            self.overridden = Override::None;
            self.counters.clear();
        }
        self.recount_all_users();
    }

    /// What a reset or detach of a function does to the rules it wrote: nothing, if assumption A12 holds.
    pub fn function_reset(&mut self, writer: usize) {
        if !self.config.holds(Assumption::RulesSurviveReset) {
            self.tables.rules.retain(&self.config, |_, wrote| wrote != writer);
            self.recount_all_users();
        }
    }

    /// Reads all tables back.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.tables.snapshot()
    }
}
