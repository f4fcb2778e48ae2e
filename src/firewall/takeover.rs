//! Taking over an adapter whose content is unknown: at attach, and after a command whose outcome is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{AdoptError, ApplyCause, ApplyError, Cache, Engine, Firewall, Held, Report, Settings, Source};
use crate::clock::Clock;
use crate::error::AdapterState;
use crate::nic::{AdapterError, Override};
use crate::policy::{Compiled, Image};
use crate::tables::{Action, MapError, RuleKey, Sizes, TableOp};

/// Consent to what attaching takes: all traffic of the adapter stops, its rules are dropped, and this is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Adopt<'a>(pub &'a Compiled);

/// Which entries may be other than [`Held`] says.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Those that the change has sent.
    pub keys: BTreeSet<RuleKey>,
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
    /// [`AdoptError`]; it says whether the adapter blocks all traffic.
    pub fn attach(engine: E, adopt: Adopt<'_>, clock: Arc<dyn Clock>, settings: Settings) -> Result<Self, AdoptError> {
        if adopt.0.target() != engine.target() {
            return Err(AdoptError::Target);
        }
        Self::load(engine, Source::from(adopt.0), clock, settings)
    }

    pub(super) fn load(
        engine: E,
        source: Source,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, AdoptError> {
        let held = Held::new(source.into(), Default::default());
        let settled_at = clock.now();
        let target = engine.target().clone();
        let mut firewall = Self {
            engine,
            target,
            clock,
            settings,
            held,
            generation: 1,
            version: None,
            doubt: None,
            rebooted: false,
            settled_at,
            cache: Cache { behind: true, committed_at: None },
            meters: Default::default(),
        };
        let load = Load::of(&firewall.held.image, &firewall.target.sizes)?;
        firewall.block_and_load(&load).map_err(|(blocked, source)| {
            let blocked = if source.state() == AdapterState::Unknown { firewall.blocked_again() } else { blocked };
            AdoptError::Command { blocked, source }
        })?;
        log::info!("attached, {} entries", firewall.held.image.rules.len());
        firewall.learn_version();
        firewall.commit_if_due();
        Ok(firewall)
    }

    /// On failure also tells whether the override is BLOCK.
    fn block_and_load(&mut self, load: &Load) -> Result<usize, (bool, AdapterError)> {
        self.engine.set_override(Override::Block).map_err(|e| (false, e))?;
        log::warn!("all traffic of the adapter is blocked while its rules are loaded");
        let blocked = |e| (true, e);
        self.engine.reset_rules().map_err(blocked)?;
        self.engine.reclaim_counters().map_err(blocked)?;
        self.meters.prepare(&mut self.engine, &self.held.image).map_err(blocked)?;
        let mut commands = 0;
        for op in load.all() {
            self.send(op).map_err(blocked)?;
            commands += 1;
        }
        self.engine.set_override(Override::None).map_err(blocked)?;
        Ok(commands)
    }

    /// After a command without an answer, which may have been a reboot of the management controller: that ends an override
    /// (assumption A14). True if all traffic is blocked for certain.
    fn blocked_again(&mut self) -> bool {
        let recovered = self.engine.recover().inspect_err(|e| log::error!("the adapter cannot be blocked again: {e}"));
        recovered.is_ok()
            && self
                .engine
                .set_override(Override::Block)
                .inspect_err(|e| log::error!("blocking again failed: {e}"))
                .is_ok()
    }

    /// Brings the adapter back to the last known content after a change that ended in an unknown state.
    ///
    /// Every entry that the old image names or the change has sent is sent again, allows to NONE first, then base denies, maps
    /// and allows of the old image. After a reboot of the management controller the adapter is taken over
    /// as by [`Firewall::attach`]. Does nothing if nothing is in doubt.
    ///
    /// # Errors
    /// [`ApplyError`] with state `Unknown`: try again.
    pub fn recover(&mut self) -> Result<Report, ApplyError> {
        let mut commands = 0;
        if let Some(doubt) = self.doubt.take() {
            commands = self.resolve(&doubt).map_err(|cause| {
                self.doubt = Some(doubt);
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

    fn resolve(&mut self, doubt: &Doubt) -> Result<usize, ApplyCause> {
        let found = self.engine.recover().map_err(|e| ApplyCause::Recover(e.into()))?;
        if found.rebooted {
            self.rebooted = true;
            self.meters.lost();
        }
        if *self.engine.target() != self.target {
            return Err(ApplyCause::TargetChanged);
        }
        let load = Load::of(&self.held.image, &self.target.sizes)?;
        if !self.rebooted {
            return Ok(self.resend(doubt, &load)?);
        }
        let commands = self.block_and_load(&load).map_err(|(_, e)| e)?;
        self.rebooted = false;
        Ok(commands)
    }

    fn resend(&mut self, doubt: &Doubt, load: &Load) -> Result<usize, AdapterError> {
        let none = |key: &RuleKey| TableOp::SetRule { key: *key, rx: Action::None, tx: Action::None, counter: None };
        let held = &self.held.image.rules;
        let above = |key: &&RuleKey| !key.is_base();
        let allows: Vec<TableOp> = held.keys().chain(&doubt.keys).filter(above).map(none).collect();
        let strangers: Vec<TableOp> =
            doubt.keys.iter().filter(|key| key.is_base() && !held.contains_key(key)).map(none).collect();
        let mut commands = 0;
        for group in [&allows, &load.base, &load.maps, &load.rest, &strangers] {
            for op in group {
                self.send(op)?;
                commands += 1;
            }
            self.clock.sleep(self.settings.grace);
        }
        Ok(commands)
    }
}
