//! The rules engine: tables as the commands wrote them, and the judgement of frames.
//!
//! Everything that is assumed about the real engine comes from one [`EngineProfile`] (assumptions A1 to A14, each
//! with its opposite). The engine shares types with the driver, but no code that turns a policy into tables or a frame
//! into a verdict: the two sides check each other.

mod counters;
pub(in crate::engines) mod flat;
mod hash;

pub(in crate::engines) mod index;
mod lookup;
mod maps;

pub(in crate::engines) mod row;
pub(in crate::engines) mod table;
pub(in crate::engines) mod values;

use std::collections::BTreeMap;
use std::fmt;

use nicfw::tables::{Action, Assumption, CounterId, EngineProfile, PortTreeEntry, RuleKey, Sizes, SubnetNode};
use nicfw::terms::{Direction, Verdict};

use crate::engines::batch::packed::{Batch, Outcome};
use crate::packet::{ETHER_ARP, Headers};
use counters::Counters;
use hash::Fnv;
pub use index::EntryId;
use lookup::{Lookup, Map};
use maps::{PortTree, Trie};
pub use table::{Entry, ProbeLimit};
use table::{RuleTable, Rules};

/// How the engine works and how large it is.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// What is assumed, or its opposite.
    pub profile: EngineProfile,
    /// Sizes of the maps.
    pub sizes: Sizes,
    /// How the hash behind the rule table gives up before the table is full; `None` = it does not.
    pub probe_limit: Option<ProbeLimit>,
    /// Width of a counter in bits, 1 to 64; it wraps.
    pub counter_width: u32,
    /// Shuffles the lookup order, where the profile leaves it open.
    pub seed: u64,
}

impl EngineConfig {
    /// Profile 0 with its default sizes.
    #[must_use]
    pub fn profile0() -> Self {
        Self {
            profile: EngineProfile::profile0(),
            sizes: Sizes::profile0(),
            probe_limit: None,
            counter_width: 48,
            seed: 0,
        }
    }
}

/// Why a command did not change the tables. The tables are as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A value that the table cannot hold.
    Invalid,
    /// An id of a map that nobody wrote, or a counter that nobody allocated.
    Unknown,
    /// No room.
    Full,
    /// The key has an entry (only where assumption A11 does not hold).
    Exists,
    /// A counter that entries use.
    Busy,
}

/// STATE of TSA_RULESET_OVERRIDE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Override {
    /// The rules decide.
    #[default]
    None,
    /// Everything but ARP is dropped.
    Block,
    /// Everything passes.
    Allow,
}

/// What became of a frame in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it passes.
    pub verdict: Verdict,
    /// What decided.
    pub by: By,
    /// The counter that moved.
    pub counter: Option<CounterId>,
}

/// What decided about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An entry.
    Entry(RuleKey),
    /// No entry (assumption A3).
    NoMatch,
    /// TSA_RULESET_OVERRIDE.
    Override,
    /// The frame shows no IP header and is not judged (only where assumption A8 does not hold).
    NotJudged,
}

/// What decided about a frame of a batch, in a form that costs little: see [`Engine::judgement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// An entry.
    Entry(EntryId),
    /// No entry (assumption A3).
    NoMatch,
    /// TSA_RULESET_OVERRIDE.
    Override,
    /// The frame shows no IP header and is not judged (only where assumption A8 does not hold).
    NotJudged,
}

/// What became of a frame of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it passes.
    pub verdict: Verdict,
    /// What decided.
    pub by: Decided,
}

/// The content of all tables: the model's read-back, which no adapter offers. For tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Entries: actions for received and for transmitted frames, and the counter.
    pub rules: BTreeMap<RuleKey, (Action, Action, Option<CounterId>)>,
    /// Nodes of the subnet trie that were written, by rising id.
    pub subnet_nodes: Vec<SubnetNode>,
    /// Remote port-range tree, once written.
    pub remote_ports: Option<Vec<PortTreeEntry>>,
    /// Local port-range tree, once written.
    pub local_ports: Option<Vec<PortTreeEntry>>,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, (rx, tx, counter)) in &self.rules {
            writeln!(f, "{key}: rx {rx:?}, tx {tx:?}, counter {counter:?}")?;
        }
        for node in &self.subnet_nodes {
            writeln!(f, "node {}: {:?}", node.id, node.entries)?;
        }
        for (name, tree) in [("remote", &self.remote_ports), ("local", &self.local_ports)] {
            if let Some(tree) = tree {
                writeln!(f, "{name} ports: {} entries", tree.len())?;
            }
        }
        Ok(())
    }
}

/// The tables that a version hash, a snapshot and the cache speak of.
#[derive(Debug, Clone, Default)]
struct Tables {
    rules: RuleTable,
    subnets: Trie,
    remote_ports: PortTree,
    local_ports: PortTree,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    tables: Tables,
    lookup: Lookup,
    /// Where a batch is looked at.
    batch: Box<Batch>,
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
            batch: Box::new(Batch::new()),
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
        let mut decision = [Decision { verdict: Verdict::Deny, by: Decided::NoMatch }];
        self.judge_all(std::slice::from_ref(headers), direction, physical_port, &mut decision);
        let [decision] = decision;
        self.judgement(decision)
    }

    /// Judges frames at a physical port, in their order, and counts them: `decisions` are as many as frames. Nothing is
    /// allocated unless commands have changed the tables since the last call.
    pub fn judge_all(
        &mut self,
        frames: &[Headers],
        direction: Direction,
        physical_port: u32,
        decisions: &mut [Decision],
    ) {
        if self.overridden != Override::None {
            let overridden = self.overridden;
            for (decision, headers) in decisions.iter_mut().zip(frames) {
                let blocked = overridden == Override::Block && headers.ether_type != ETHER_ARP;
                let verdict = if blocked { Verdict::Deny } else { Verdict::Allow };
                *decision = Decision { verdict, by: Decided::Override };
            }
            return;
        }
        self.lookup.refresh(&mut self.tables, &self.config);
        let no_match = self.no_match();
        if !self.config.profile.holds(Assumption::NonIpIsJudged) {
            for (decision, _) in decisions.iter_mut().zip(frames).filter(|(_, headers)| headers.ip.is_none()) {
                *decision = Decision { verdict: Verdict::Allow, by: Decided::NotJudged };
            }
        }
        let mut outcome = Outcome { decisions, counts: self.counters.side(direction), no_match };
        let at = (direction, physical_port);
        self.lookup.decide_all(&self.tables.rules, &self.config.profile, at, frames, &mut self.batch, &mut outcome);
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

    fn no_match(&self) -> Verdict {
        match (self.config.profile.no_match, self.config.profile.holds(Assumption::NoMatchAccepts)) {
            (verdict, true) => verdict,
            (Verdict::Allow, false) => Verdict::Deny,
            (Verdict::Deny, false) => Verdict::Allow,
        }
    }

    /// Writes the entry of a key; `writer` is the number of the function that asks.
    ///
    /// # Errors
    /// [`Refused`]; the tables are as before.
    pub fn set_rule(&mut self, key: RuleKey, entry: Entry) -> Result<(), Refused> {
        self.check_ids(&key)?;
        if entry.counter.is_some_and(|id| !self.counters.is_allocated(id)) {
            return Err(Refused::Unknown);
        }
        let before = self.tables.rules.get(&key).and_then(|entry| entry.counter);
        self.tables.rules.set(&rules(&self.config), key, entry)?;
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
        self.tables.rules.recount(&rules(&self.config));
    }

    /// The entry of a key.
    #[must_use]
    pub fn rule(&self, key: &RuleKey) -> Option<&Entry> {
        self.tables.rules.get(key)
    }

    /// Drops the entries of one physical port (those that name it), or all of them; the maps stay.
    pub fn reset_rules(&mut self, physical_port: Option<u32>) {
        let keep = |key: &RuleKey| physical_port.is_some() && key.physical_port != physical_port;
        self.tables.rules.retain(&rules(&self.config), |key, _| keep(key));
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
        let writes = if self.config.profile.holds(Assumption::VersionIsContent) { 0 } else { self.writes };
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
        if self.config.profile.holds(Assumption::RebootClearsCounters) {
            self.overridden = Override::None;
            self.counters.clear();
        }
        self.recount_all_users();
    }

    /// What a reset or detach of a function does to the rules it wrote: nothing, if assumption A12 holds.
    pub fn function_reset(&mut self, writer: usize) {
        if !self.config.profile.holds(Assumption::RulesSurviveReset) {
            self.tables.rules.retain(&rules(&self.config), |_, entry| entry.writer != writer);
            self.recount_all_users();
        }
    }

    /// Reads all tables back.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.tables.snapshot()
    }
}

fn rules(config: &EngineConfig) -> Rules<'_> {
    Rules { profile: &config.profile, probe: config.probe_limit, seed: config.seed }
}

impl Tables {
    fn snapshot(&self) -> Snapshot {
        let rules = self.rules.iter().map(|(key, entry)| (*key, (entry.rx, entry.tx, entry.counter)));
        let node = |(id, entries): (u32, &[u16])| SubnetNode { id, entries: entries.to_vec() };
        Snapshot {
            rules: rules.collect(),
            subnet_nodes: self.subnets.nodes().map(node).collect(),
            remote_ports: self.remote_ports.entries().map(<[_]>::to_vec),
            local_ports: self.local_ports.entries().map(<[_]>::to_vec),
        }
    }

    fn hash(&self, salt: u64) -> [u8; 16] {
        use std::hash::Hash;
        let mut hash = Fnv::new().u64(salt);
        let snapshot = self.snapshot();
        snapshot.rules.hash(&mut hash);
        snapshot.subnet_nodes.hash(&mut hash);
        snapshot.remote_ports.hash(&mut hash);
        snapshot.local_ports.hash(&mut hash);
        let low = hash.finish();
        let high = hash.u64(low).finish();
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }
}
