//! Taking over an adapter: as the journal says, or by force.
//!
//! Tables cannot be read back. What they hold is known by the adapter's hash over them: if it is the one that the last
//! record left, they hold what the record says (assumption A13).
//!
//! | journal | adapter | [`Firewall::attach`] |
//! |---|---|---|
//! | the last change ended | its hash, no reboot since | goes on, sends nothing |
//! | the last change ended | its hash, a reboot since | gives entries that count their counters again |
//! | the last change ended | another hash, no reboot since | refuses: somebody else was there |
//! | the last change ended | another hash, a reboot since | loads the content, all traffic blocked meanwhile |
//! | a change began and did not end | the hash before it, no reboot since | notes that nothing of it happened |
//! | a change began and did not end | any other | brings back the content before it |
//! | an adoption began and did not end | any | loads what was to be adopted, all traffic blocked meanwhile |
//!
//! An adapter that somebody has left blocked or empty on purpose is refused too. After that, a change that nobody confirmed in time is rolled back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counters::Meters;
use super::drive::{ChangeContext, Io};
use super::engine::read_version_until_stable;
use super::error::{AttachError, PollError, Refused};
use super::held::{CompiledSource, HeldContent};
use super::machine::Failure;
use super::script::{Item, Load, Script, block_again};
use super::state::{Cache, Doubt, FirewallId};
use super::{AdoptError, ApplyCause, ApplyError, Engine, Firewall, Report, Settings};
use crate::adapter::RulesetVersion;
use crate::clock::Clock;
use crate::error::AdapterState;
use crate::journal::{Begin, ChangeKind, Delta, Journal, Left, Pending, Reason, Status};
use crate::tables::Compiled;

/// Consent to what adopting takes: all traffic of the adapter stops, its rules are dropped, and this is loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Adopt<'a> {
    /// What is loaded.
    pub compiled: &'a Compiled,
    /// Where it is written down.
    pub journal: Journal,
    /// Who wants it, and why.
    pub why: Reason,
}

impl<'a> Adopt<'a> {
    /// Consent on behalf of nobody in particular, with a journal in memory that ends with the process.
    #[must_use]
    pub fn of(compiled: &'a Compiled) -> Self {
        Self { compiled, journal: Journal::in_memory(), why: Reason::from("adopted") }
    }

    /// With this journal.
    #[must_use]
    pub fn journal(self, journal: Journal) -> Self {
        Self { journal, ..self }
    }

    /// By this person, for this reason.
    #[must_use]
    pub fn why(self, why: impl Into<Reason>) -> Self {
        Self { why: why.into(), ..self }
    }
}

/// What attaching found, and did about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// What was found.
    pub found: Found,
    /// Commands that were sent.
    pub commands: usize,
    /// The change that nobody confirmed in time and that was rolled back.
    pub rolled_back: Option<u64>,
}

/// In which state an adapter was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// As the journal says.
    Same,
    /// With the right entries after a reboot of the management controller, which took the counters.
    Uncounted,
    /// With other entries after a reboot of the management controller. All traffic was blocked while they were loaded.
    Rebooted,
    /// With entries that the last change left and whose version could not be read then. The journal's content was loaded
    /// again, and all traffic was blocked meanwhile.
    Unread,
    /// In the middle of this change, or so the journal says; the content before it is back.
    Interrupted {
        /// Number of the change in the journal.
        change: u64,
    },
    /// In the middle of an adoption, which was completed. All traffic was blocked meanwhile.
    HalfAdopted {
        /// Number of the adoption in the journal.
        change: u64,
    },
}

/// What there is to do, once it is clear how the adapter was found.
struct Resumption {
    found: Found,
    held: HeldContent,
    script: Script,
    /// The change that the script ends.
    change: Option<u64>,
    /// The adapter has lost its counter pairs.
    uncounted: bool,
}

impl<E: Engine> Firewall<E> {
    /// Goes on where the last process stopped: the journal says what the adapter holds.
    ///
    /// # Errors
    /// [`AttachError`], which says what the adapter holds. Adapter and journal come back with it.
    pub fn attach(
        mut engine: E,
        journal: Journal,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<(Self, Recovery), Box<Refused<E, AttachError>>> {
        let version = match read_version_until_stable(&mut engine) {
            Ok(version) => version,
            Err(error) => return Err(Refused::new(error, engine, journal)),
        };
        let resumption = match decide_resumption(journal.status(), &version, &engine) {
            Ok(resumption) => resumption,
            Err(error) => return Err(Refused::new(error, engine, journal)),
        };
        let mut firewall = Self::with(engine, journal, clock, settings, resumption.held.clone());
        firewall.version = Some(version);
        match firewall.resume(resumption) {
            Ok(recovery) => Ok((firewall, recovery)),
            Err(error) => Err(firewall.refuse(error)),
        }
    }

    fn refuse<X>(self, error: X) -> Box<Refused<E, X>> {
        Refused::new(error, self.io.engine, self.io.journal)
    }

    pub(super) fn with(
        engine: E,
        journal: Journal,
        clock: Arc<dyn Clock>,
        settings: Settings,
        held: HeldContent,
    ) -> Self {
        let status = journal.status();
        let settled_at = clock.now() + settings.grace;
        // Nobody says whether what the cache lacks is a restriction: then it is.
        let behind = status.cache != status.version;
        let cache = Cache { behind, wanted: behind, committed_at: None };
        // What is left of the time to confirm, as far as the date tells; from here on the clock that nobody sets counts too.
        let believed = status.confirm.filter(|_| !journal.is_ahead_of(clock.wall()));
        let confirm_by = believed.map(|open| clock.now().saturating_add(open.by.since(journal.date(clock.wall()))));
        Self {
            id: FirewallId::next(),
            target: engine.target().clone(),
            held,
            generation: status.change.unwrap_or_default(),
            version: status.version.clone(),
            doubt: None,
            rebooted: false,
            settled_at,
            confirm_by,
            cache,
            commit_every: settings.commit_every,
            io: Io {
                meters: Meters::resume(&status.counters),
                pending_events: Vec::new(),
                grace: settings.grace,
                engine,
                journal,
                clock,
            },
        }
    }

    /// Carries a resumption out.
    fn resume(&mut self, resumption: Resumption) -> Result<Recovery, AttachError> {
        if resumption.uncounted {
            self.io.meters.lost();
        }
        let mut script = resumption.script;
        let mut context = ChangeContext::about(&self.held, resumption.change, script.commands());
        context.rebooted = resumption.uncounted;
        self.io.drive(&mut script, &mut context);
        let played = script.outcome();
        if let Some(failure) = played.failure {
            return Err(AttachError::Recover { change: resumption.change, cause: failure.into() });
        }
        if resumption.found != Found::Same {
            // Content without entries is loaded without a command to the tables.
            self.version = played.version;
        }
        if played.commands > 0 || played.reset {
            log::warn!("found {:?}, {} commands", resumption.found, played.commands);
            self.changed(None);
            self.cache.behind = true;
            self.cache.wanted = true;
            self.commit_if_due();
        }
        let rolled_back = self.roll_back_if_late()?;
        Ok(Recovery { found: resumption.found, commands: played.commands, rolled_back })
    }

    /// Rolls back the change that had to be confirmed by now.
    pub(super) fn roll_back_if_late(&mut self) -> Result<Option<u64>, PollError> {
        let late = self.io.journal.status().confirm.filter(|open| self.is_late(open));
        let Some(open) = late else { return Ok(None) };
        let why = Reason::new("nicfw", &format!("change {} was not confirmed by {}", open.change, open.by));
        match self.rollback(open.back_to, why) {
            Ok(_) => Ok(Some(open.change)),
            Err(source) => Err(PollError::Rollback { change: open.change, source: source.into() }),
        }
    }

    /// Takes over an adapter whose content no journal knows: all traffic is blocked, the rules are reset, the image is
    /// loaded, and then the rules decide. What the journal says is reserved or bound stays closed until its release, unless
    /// the document binds it or somebody has left the adapter empty.
    ///
    /// # Errors
    /// [`AdoptError`]; it says whether the adapter blocks all traffic. Adapter and journal come back with it.
    pub fn adopt(
        engine: E,
        adopt: Adopt<'_>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, Box<Refused<E, AdoptError>>> {
        let Adopt { compiled, journal, why } = adopt;
        if compiled.target() != engine.target() {
            return Err(Refused::new(AdoptError::Target, engine, journal));
        }
        let held = carried_over(journal.status(), CompiledSource::from(compiled));
        Self::with(engine, journal, clock, settings, held).load(ChangeKind::Adopt, why)
    }

    /// Loads what the journal says, whatever the adapter holds: all traffic is blocked meanwhile.
    ///
    /// # Errors
    /// [`AdoptError`]; it says whether the adapter blocks all traffic. Adapter and journal come back with it.
    pub fn repair(
        engine: E,
        journal: Journal,
        why: impl Into<Reason>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, Box<Refused<E, AdoptError>>> {
        if journal.status().change.is_none() {
            return Err(Refused::new(AdoptError::Unknown, engine, journal));
        }
        match HeldContent::restore(&journal.status().content) {
            Ok(held) => Self::with(engine, journal, clock, settings, held).load(ChangeKind::Repair, why.into()),
            Err(error) => Err(Refused::new(AdoptError::Document(error), engine, journal)),
        }
    }

    /// Loads what is to be held, whatever the adapter holds.
    pub(super) fn load(mut self, kind: ChangeKind, why: Reason) -> Result<Self, Box<Refused<E, AdoptError>>> {
        let delta = Delta::between(&self.io.journal.status().content, &self.held.content());
        let begin = Begin { kind, why, confirm_by: None, version: None, delta, between: Vec::new() };
        match self.load_behind_a_block(begin) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.refuse(error)),
        }
    }

    fn load_behind_a_block(&mut self, begin: Begin) -> Result<(), AdoptError> {
        let mut script = Load::of(&self.held.image, &self.target)?.adopt();
        let waits_for_clock = begin.kind == ChangeKind::Adopt && self.io.is_clock_behind();
        let mut context = ChangeContext {
            begin: Some(begin),
            waits_for_clock,
            ..ChangeContext::about(&self.held, None, script.commands())
        };
        self.io.meters = Meters::default();
        self.io.drive(&mut script, &mut context);
        let (played, begun) = (script.outcome(), context.change);
        match played.failure {
            None => {}
            Some(Failure::Journal(source)) => {
                return Err(AdoptError::Journal { loaded: played.failed_at == Some(Item::Done), source });
            }
            Some(Failure::Adapter(source)) => {
                let unknown = source.state() == AdapterState::Unknown;
                let blocked = if unknown { self.block_again() } else { played.blocked };
                return Err(AdoptError::Command { blocked, source });
            }
            Some(Failure::Recover(source)) => return Err(AdoptError::Recover(source)),
        }
        log::info!("adopted, {} entries", self.held.image.rules.len());
        self.version = played.version;
        self.generation = begun.unwrap_or_default();
        // The tables were empty: no frame in flight depends on what they held.
        self.settled_at = self.io.clock.now();
        self.cache = Cache { behind: true, wanted: true, committed_at: None };
        self.commit_if_due();
        Ok(())
    }

    /// After a command without an answer. True if all traffic is blocked for certain.
    fn block_again(&mut self) -> bool {
        let mut script = block_again();
        let mut context = ChangeContext::about(&self.held, None, 0);
        self.io.drive(&mut script, &mut context);
        let failure = script.outcome().failure;
        failure.iter().for_each(|error| log::error!("the adapter cannot be blocked again: {error}"));
        failure.is_none()
    }

    /// Brings the adapter back to the last certain content after a change that ended in an unknown state.
    ///
    /// Every entry that the content or the change names is sent again: allows to NONE first (under a map that gives none of
    /// their ids, where the content has none), then base denies, maps and allows of the content. After a reboot of the management controller the content is loaded into empty tables, all
    /// traffic blocked meanwhile. Does nothing if nothing is in doubt.
    ///
    /// # Errors
    /// [`ApplyError`] with state `Unknown`: try again.
    pub fn recover(&mut self) -> Result<Report, ApplyError> {
        let Some(doubt) = self.doubt.take() else { return Ok(self.report(0)) };
        match self.resolve(&doubt) {
            Ok(commands) => {
                log::info!("recovered by {commands} commands");
                self.rebooted = false;
                self.changed(None);
                self.cache.behind = true;
                self.cache.wanted = true;
                self.commit_if_due();
                Ok(self.report(commands))
            }
            Err(cause) => {
                self.doubt = Some(doubt);
                Err(ApplyError { cause, state: AdapterState::Unknown, rule: None })
            }
        }
    }

    fn resolve(&mut self, doubt: &Doubt) -> Result<usize, ApplyCause> {
        let mut usable = Script::new(vec![Item::Recover]);
        let mut context = ChangeContext::about(&self.held, doubt.change, 0);
        self.io.drive(&mut usable, &mut context);
        self.rebooted |= context.rebooted;
        if let Some(failure) = usable.outcome().failure {
            return Err(failure.into());
        }
        if *self.io.engine.target() != self.target {
            return Err(ApplyCause::TargetChanged);
        }
        if !self.rebooted && doubt.change.is_none() && self.version.is_some() {
            // The journal has heard of no change, so that no command was sent: there is nothing to bring back, and no record of
            // commands that would.
            return Ok(0);
        }
        let load = Load::of(&self.held.image, &self.target)?;
        let mut script =
            if self.rebooted { load.reload() } else { load.resend(&self.held.image, &doubt.keys, &self.target)? };
        let mut context = ChangeContext::about(&self.held, doubt.change, script.commands());
        context.rebooted = self.rebooted;
        self.io.drive(&mut script, &mut context);
        let played = script.outcome();
        match (played.failure, played.failed_at) {
            // The tables are certain; the journal hears of it before the next change.
            (Some(Failure::Journal(error)), Some(Item::Recovered)) if !error.is_broken() => {}
            (Some(failure), _) => return Err(failure.into()),
            (None, _) => {}
        }
        self.version = played.version;
        Ok(played.commands)
    }
}

/// A document's content, with what the journal says is not to open before its release.
pub(super) fn carried_over(status: &Status, source: CompiledSource) -> HeldContent {
    let taking_over =
        status.pending.as_ref().filter(|pending| matches!(pending.begin.kind, ChangeKind::Adopt | ChangeKind::Repair));
    let content = taking_over.map_or(&status.content, |pending| &pending.goal);
    if matches!(status.left, Some((Left::Empty, ..))) {
        return HeldContent::new(source.into(), BTreeMap::new());
    }
    match HeldContent::restore(content) {
        Ok(held) => held.next(source),
        // What is reserved is known without the document.
        Err(_) => HeldContent::reserving(source.into(), content.kept.clone()),
    }
}

/// How an adapter with this hash was found, and what follows.
fn decide_resumption(
    status: &Status,
    version: &RulesetVersion,
    engine: &impl Engine,
) -> Result<Resumption, AttachError> {
    let target = engine.target();
    let rebooted = matches!((status.boot, engine.boot_count()), (Some(before), Some(now)) if before != now);
    let load = |held: &HeldContent| Load::of(&held.image, target).map_err(AttachError::Content);
    let taken_over = |pending: &Pending| matches!(pending.begin.kind, ChangeKind::Adopt | ChangeKind::Repair);
    if let Some((how, at, why)) = status.left.as_ref().filter(|_| !status.pending.as_ref().is_some_and(taken_over)) {
        return Err(AttachError::Left { how: *how, at: *at, why: why.clone() });
    }
    if let Some(pending) = &status.pending {
        let change = Some(pending.change);
        if taken_over(pending) {
            let held = HeldContent::restore(&pending.goal).map_err(AttachError::Document)?;
            let (found, script) = (Found::HalfAdopted { change: pending.change }, load(&held)?.adopt_on());
            return Ok(Resumption { found, held, script, change, uncounted: true });
        }
        let held = HeldContent::restore(&status.content).map_err(AttachError::Document)?;
        let script = if rebooted {
            load(&held)?.reload()
        } else if pending.begin.version.as_ref() == Some(version) {
            Script::new(vec![Item::Undone]).knowing(version.clone())
        } else {
            let named = pending.goal.image.rules.keys().chain(&pending.begin.between).copied().collect();
            load(&held)?.resend(&held.image, &named, target).map_err(AttachError::Content)?
        };
        let found = Found::Interrupted { change: pending.change };
        return Ok(Resumption { found, held, script, change, uncounted: rebooted });
    }
    let record = status.change.ok_or(AttachError::New)?;
    let held = HeldContent::restore(&status.content).map_err(AttachError::Document)?;
    let (found, script) = match (status.version.as_ref() == Some(version), rebooted) {
        (true, false) => (Found::Same, Script::new(Vec::new())),
        (true, true) => (Found::Uncounted, load(&held)?.count_again()),
        (false, true) => (Found::Rebooted, load(&held)?.reload()),
        (false, false) if status.version.is_none() => (Found::Unread, load(&held)?.reload()),
        (false, false) => {
            let (record, at) = status.agreed.unwrap_or((record, status.last_at));
            let (expected, found) = (status.version.clone(), version.clone());
            return Err(AttachError::Foreign { record, at, expected, found });
        }
    };
    Ok(Resumption { found, held, script, change: None, uncounted: rebooted })
}
