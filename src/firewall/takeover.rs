//! Taking over an adapter whose content is unknown: at attach, and after a command whose outcome is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ApplyCause, ApplyError, AttachError, Cache, Engine, Firewall, Held, Meter, Report, Settings};
use crate::clock::Clock;
use crate::error::AdapterState;
use crate::mcdi::McdiError;
use crate::mcdi::cmd::ruleset::Override;
use crate::policy::{Document, Image};
use crate::tables::{Action, MapError, RuleKey, Sizes, TableOp};

/// Consent to what attaching takes: all traffic of the adapter stops, its rules are dropped, and this image is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Adopt<'a> {
    /// The document.
    pub document: &'a Document,
    /// Its image.
    pub image: &'a Image,
}

/// Which entries may be other than [`Held`] says.
#[derive(Debug)]
pub(super) struct Doubt {
    keys: BTreeSet<RuleKey>,
    /// The management controller has rebooted: it may hold anything.
    rebooted: bool,
}

impl Doubt {
    pub fn after(error: &McdiError, keys: impl IntoIterator<Item = RuleKey>) -> Self {
        Self { keys: keys.into_iter().collect(), rebooted: matches!(error, McdiError::Rebooted { .. }) }
    }
}

/// The commands that load an image into empty tables: base entries, maps, and then the entries above the base.
struct Load {
    base: Vec<TableOp>,
    maps: Vec<TableOp>,
    rest: Vec<TableOp>,
}

impl Load {
    fn of(image: &Image, sizes: &Sizes) -> Result<Self, MapError> {
        let set = |base: bool| {
            let rules = image.rules.iter().filter(move |(key, _)| key.is_base() == base);
            let op = rules.map(|(key, entry)| TableOp::SetRule {
                key: *key,
                rx: entry.rx.action,
                tx: entry.tx.action,
                counter: entry.counter,
            });
            op.collect()
        };
        let nodes = image.subnets.iter().flat_map(|map| map.leaves_up(sizes));
        let mut maps: Vec<TableOp> = nodes.cloned().map(TableOp::SetSubnetNode).collect();
        if let Some(map) = &image.remote_ports {
            maps.push(TableOp::SetRemotePortTree(map.tree(sizes)?));
        }
        if let Some(map) = &image.local_ports {
            maps.push(TableOp::SetLocalPortTree(map.tree(sizes)?));
        }
        Ok(Self { base: set(true), maps, rest: set(false) })
    }

    fn all(&self) -> impl Iterator<Item = &TableOp> {
        self.base.iter().chain(&self.maps).chain(&self.rest)
    }
}

impl<E: Engine> Firewall<E> {
    /// Takes over an adapter. Its tables cannot be read back, so whatever they hold is dropped: all traffic is blocked, the
    /// rules are reset, the image is loaded, and then the rules decide.
    ///
    /// # Errors
    /// [`AttachError`]; it says whether the adapter blocks all traffic.
    pub fn attach(engine: E, adopt: Adopt<'_>, clock: Arc<dyn Clock>, settings: Settings) -> Result<Self, AttachError> {
        let held = Held::new(adopt.document, adopt.image, Default::default());
        let settled_at = clock.now();
        let meter = Meter::new(engine.counter_bits());
        let mut firewall = Self {
            engine,
            clock,
            settings,
            held,
            generation: 1,
            version: None,
            doubt: None,
            settled_at,
            cache: Cache { behind: true, committed_at: None },
            meter,
        };
        let load = Load::of(&firewall.held.image, &firewall.engine.target().sizes)?;
        firewall.block_and_load(&load).map_err(|(blocked, source)| AttachError::Command { blocked, source })?;
        log::info!("attached, {} entries", firewall.held.image.rules.len());
        firewall.learn_version();
        firewall.commit_if_due();
        Ok(firewall)
    }

    /// On failure also tells whether the override is BLOCK.
    fn block_and_load(&mut self, load: &Load) -> Result<usize, (bool, McdiError)> {
        self.engine.set_override(Override::Block).map_err(|e| (false, e))?;
        log::warn!("all traffic of the adapter is blocked while its rules are loaded");
        let blocked = |e| (true, e);
        self.engine.reset_rules().map_err(blocked)?;
        let mut commands = 0;
        for op in load.all() {
            self.engine.execute(op).map_err(blocked)?;
            commands += 1;
        }
        let counters: Vec<_> = self.counter_users().into_keys().collect();
        let raw = self.engine.read_counters(&counters).map_err(blocked)?;
        counters.into_iter().zip(raw).for_each(|(id, raw)| self.meter.start(id, raw));
        self.engine.set_override(Override::None).map_err(blocked)?;
        Ok(commands)
    }

    /// Brings the adapter back to the last known content after a change that ended in an unknown state.
    ///
    /// Every entry that the old image, the new one or the plan between them names is sent again, allows to NONE first, then
    /// base denies, maps and allows of the old image. After a reboot of the management controller the adapter is taken over
    /// as by [`Firewall::attach`]. Does nothing if nothing is in doubt.
    ///
    /// # Errors
    /// [`ApplyError`] with state `Unknown`: try again.
    pub fn recover(&mut self) -> Result<Report, ApplyError> {
        let mut commands = 0;
        if let Some(doubt) = self.doubt.take() {
            let outcome = self.resolve(&doubt);
            commands = outcome.map_err(|(rebooted, cause)| {
                self.doubt = Some(Doubt { rebooted: doubt.rebooted || rebooted, keys: doubt.keys });
                ApplyError { cause, state: AdapterState::Unknown, rule: None }
            })?;
            log::info!("recovered by {commands} commands");
            self.generation += 1;
            self.settled_at = self.clock.now() + self.settings.grace;
            self.learn_version();
            self.cache.behind = true;
            self.commit_if_due();
        }
        Ok(Report {
            commands,
            pauses: 0,
            closed_meanwhile: Vec::new(),
            generation: self.generation,
            version: self.version.clone(),
            cache_behind: self.cache.behind,
        })
    }

    /// On failure also tells whether the management controller has rebooted.
    fn resolve(&mut self, doubt: &Doubt) -> Result<usize, (bool, ApplyCause)> {
        let rebooted = |e: &McdiError| matches!(e, McdiError::Rebooted { .. });
        let reboot = self.engine.restart().map_err(|e| (rebooted(&e), e.into()))? || doubt.rebooted;
        let load = Load::of(&self.held.image, &self.engine.target().sizes).map_err(|e| (reboot, e.into()))?;
        if reboot {
            self.meter.cleared();
            return self.block_and_load(&load).map_err(|(_, e)| (true, e.into()));
        }
        self.resend(doubt, &load).map_err(|e| (rebooted(&e), e.into()))
    }

    fn resend(&mut self, doubt: &Doubt, load: &Load) -> Result<usize, McdiError> {
        let none = |key: &RuleKey| TableOp::SetRule { key: *key, rx: Action::None, tx: Action::None, counter: None };
        let held = &self.held.image.rules;
        let above = |key: &&RuleKey| !key.is_base();
        let allows: Vec<TableOp> = held.keys().chain(&doubt.keys).filter(above).map(none).collect();
        let strangers: Vec<TableOp> =
            doubt.keys.iter().filter(|key| key.is_base() && !held.contains_key(*key)).map(none).collect();
        let mut commands = 0;
        for group in [&allows, &load.base, &load.maps, &load.rest, &strangers] {
            for op in group {
                self.engine.execute(op)?;
                commands += 1;
            }
            self.clock.sleep(self.settings.grace);
        }
        Ok(commands)
    }
}
