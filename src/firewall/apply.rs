//! Carries out a plan, one command a step, and takes it back when a step is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::takeover::Doubt;
use super::{ApplyCause, ApplyError, Change, Engine, Firewall, Held, Report};
use crate::error::AdapterState;
use crate::nic::AdapterError;
use crate::policy::plan::{Local, Phase, Step};
use crate::policy::{Image, ImageEntry, Origin, Rules, Side};
use crate::tables::{Action, CounterId, RuleKey, TableOp, Verdict};

/// Entries of the rule table as they are in the adapter: receive action, transmit action, counter.
type Entries = BTreeMap<RuleKey, (Action, Action, Option<CounterId>)>;

/// How taking back ended.
enum Undone {
    All,
    /// The allows of these containers are gone; the entries that are left.
    Closed(BTreeSet<String>, Entries),
    Unknown,
}

impl<E: Engine> Firewall<E> {
    /// Carries out a change.
    ///
    /// # Errors
    /// [`ApplyError`]: `Unchanged` if all commands that were sent could be taken back, or none was sent; `Closed` if a
    /// binding could not be restored and lost all its allows; `Unknown` if a command got no answer: then
    /// [`Firewall::recover`] comes first.
    pub fn apply(&mut self, change: Change) -> Result<Report, ApplyError> {
        self.check(&change)?;
        self.await_settled();
        self.meters.prepare(&mut self.engine, &change.goal.image).map_err(|e| self.failed_beside(e))?;
        let steps = &change.plan.steps;
        let mut pauses = 0;
        for (at, step) in steps.iter().enumerate() {
            if step.pause_before {
                pauses += 1;
                self.clock.sleep(self.settings.grace);
            }
            if let Err(source) = self.send(&step.op) {
                return Err(self.fail(&change, at, source));
            }
        }
        log::info!("{} commands, generation {}: {}", steps.len(), self.generation + 1, change.reason);
        let tightened = steps.iter().any(|step| step.phase == Phase::Tighten);
        let (commands, closed_meanwhile) = (steps.len(), change.closed_meanwhile);
        if commands > 0 {
            self.settled_at = self.clock.now() + self.settings.grace;
            self.generation += 1;
        }
        self.hold(change.goal);
        self.learn_version();
        self.cache.behind |= commands > 0;
        if tightened {
            self.commit_if_due();
        }
        Ok(Report {
            commands,
            pauses,
            closed_meanwhile,
            generation: self.generation,
            version: self.version.clone(),
            cache_behind: self.cache.behind,
        })
    }

    /// Refuses what must not begin.
    fn check(&mut self, change: &Change) -> Result<(), ApplyError> {
        if self.doubt.is_some() {
            return Err(ApplyError { state: AdapterState::Unknown, ..ApplyError::unsent(ApplyCause::Unrecovered) });
        }
        if change.generation != self.generation {
            let (planned, current) = (change.generation, self.generation);
            return Err(ApplyError::unsent(ApplyCause::Stale { planned, current }));
        }
        let found = self.engine.ruleset_version().map_err(|e| self.failed_beside(e))?;
        match &self.version {
            Some(expected) if *expected != found => {
                Err(ApplyError::unsent(ApplyCause::Foreign { expected: expected.clone(), found }))
            }
            _ => Ok(()),
        }
    }

    /// A command that changes no entry failed before the first that does.
    fn failed_beside(&mut self, error: AdapterError) -> ApplyError {
        let state = error.state();
        if state == AdapterState::Unknown {
            self.doubt = Some(Doubt::default());
        }
        ApplyError { cause: error.into(), state, rule: None }
    }

    fn await_settled(&self) {
        if let Some(rest) = self.settled_at.checked_sub(self.clock.now()).filter(|rest| !rest.is_zero()) {
            self.clock.sleep(rest);
        }
    }

    /// Sends one command, with the adapter's counter in the place of the image's.
    pub(super) fn send(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        let mut op = op.clone();
        if let TableOp::SetRule { counter, .. } = &mut op {
            *counter = counter.and_then(|id| self.meters.pair(id));
        }
        self.engine.execute(&op)
    }

    pub(super) fn hold(&mut self, held: Held) {
        self.held = held;
    }

    pub(super) fn learn_version(&mut self) {
        self.version =
            self.engine.ruleset_version().inspect_err(|e| log::warn!("the version cannot be read: {e}")).ok();
    }

    pub(super) fn commit_if_due(&mut self) {
        let now = self.clock.now();
        let due = |at| now >= at + self.settings.commit_every;
        if self.cache.committed_at.is_none_or(due)
            && let Err(e) = self.commit_cache()
        {
            log::warn!("the cache is not committed; a reboot would load older tables: {e}");
        }
    }

    /// Step `at` failed: takes back what came before it.
    fn fail(&mut self, change: &Change, at: usize, source: AdapterError) -> ApplyError {
        let steps = &change.plan.steps;
        let sides = [&change.goal, &self.held];
        let rule = steps.get(at).and_then(|step| sides.into_iter().find_map(|held| asked_by(&step.op, held)));
        let sent = steps.get(..at).unwrap_or(steps);
        let undone = if harmless(&source) { self.undo(sent) } else { Undone::Unknown };
        let doubt = Doubt { keys: steps.iter().take(at + 1).filter_map(key_of).collect() };
        let cause = ApplyCause::Command { step: at + 1, steps: steps.len(), source };
        let state = match undone {
            Undone::All => AdapterState::Unchanged,
            Undone::Closed(who, entries) => {
                self.generation += 1;
                self.held.image.rules = image_rules(entries, &self.held.image);
                AdapterState::Closed(who.into_iter().collect())
            }
            Undone::Unknown => {
                self.doubt = Some(doubt);
                AdapterState::Unknown
            }
        };
        if state != AdapterState::Unknown {
            self.settled_at = self.clock.now() + self.settings.grace;
            // Trie nodes that nothing reaches may have stayed.
            self.learn_version();
        }
        ApplyError { cause, state, rule }
    }

    /// Takes steps back, newest first.
    fn undo(&mut self, done: &[Step]) -> Undone {
        let mut entries = entries_of(&self.held.image);
        done.iter().for_each(|step| track(&mut entries, &step.op));
        let mut lost = BTreeSet::new();
        for step in done.iter().rev() {
            if let Some(undo) = &step.undo {
                match (self.send(undo), stays_closed(step)) {
                    (Ok(()), _) => track(&mut entries, undo),
                    (Err(e), Some(local)) if harmless(&e) => {
                        lost.insert(local);
                    }
                    (Err(_), _) => return Undone::Unknown,
                }
            }
            if step.pause_before {
                self.clock.sleep(self.settings.grace);
            }
        }
        if lost.is_empty() { Undone::All } else { self.close(&lost, entries) }
    }

    /// Takes all allows from the containers concerned. That needs no room.
    fn close(&mut self, lost: &BTreeSet<Local>, mut entries: Entries) -> Undone {
        let names = &self.held.names;
        let who: BTreeSet<String> = lost
            .iter()
            .map(|local| names.container(local).unwrap_or("addresses that nobody bound").to_owned())
            .collect();
        let concerned = |key: &RuleKey| {
            let local = Local::of(key);
            lost.contains(&local) || names.container(&local).is_some_and(|name| who.contains(name))
        };
        let closing: Vec<TableOp> = entries
            .iter()
            .filter(|(key, _)| concerned(key))
            .map(|(key, (rx, tx, counter))| {
                let less =
                    |action: Action| if action.verdict() == Some(Verdict::Allow) { Action::None } else { action };
                TableOp::SetRule { key: *key, rx: less(*rx), tx: less(*tx), counter: *counter }
            })
            .collect();
        for op in closing {
            if self.send(&op).is_err() {
                return Undone::Unknown;
            }
            track(&mut entries, &op);
        }
        Undone::Closed(who, entries)
    }
}

/// True if the failed command certainly had no effect.
fn harmless(error: &AdapterError) -> bool {
    error.state() == AdapterState::Unchanged
}

/// Whose entry stays as the step left it if its undo is refused. `None` where that would leave something open that was
/// closed, or a map that means something else.
fn stays_closed(step: &Step) -> Option<Local> {
    match (&step.op, &step.undo) {
        (TableOp::SetRule { rx: is_rx, tx: is_tx, .. }, Some(TableOp::SetRule { key, rx, tx, .. })) => {
            let as_closed = |is: &Action, was: &Action| match is.verdict() {
                Some(Verdict::Deny) => true,
                Some(Verdict::Allow) => was.verdict() == Some(Verdict::Allow),
                None => was.verdict() != Some(Verdict::Deny),
            };
            (as_closed(is_rx, rx) && as_closed(is_tx, tx)).then(|| Local::of(key))
        }
        _ => None,
    }
}

fn track(entries: &mut Entries, op: &TableOp) {
    match op {
        TableOp::SetRule { key, rx: Action::None, tx: Action::None, .. } => {
            entries.remove(key);
        }
        TableOp::SetRule { key, rx, tx, counter } => {
            entries.insert(*key, (*rx, *tx, *counter));
        }
        TableOp::SetSubnetNode(_) | TableOp::SetRemotePortTree(_) | TableOp::SetLocalPortTree(_) => {}
    }
}

fn entries_of(image: &Image) -> Entries {
    image.rules.iter().map(|(key, entry)| (*key, (entry.rx.action, entry.tx.action, entry.counter))).collect()
}

/// Entries with their origins, as far as the image has them.
fn image_rules(entries: Entries, image: &Image) -> Rules {
    let side = |side: Option<&Side>, action: Action| {
        let origins = side.filter(|side| side.action == action).map(|side| side.origins.clone());
        Side { action, origins: origins.unwrap_or_default() }
    };
    let entry = |(key, (rx, tx, counter)): (RuleKey, (Action, Action, Option<CounterId>))| {
        let is = image.rules.get(&key);
        let (rx, tx) = (side(is.map(|entry| &entry.rx), rx), side(is.map(|entry| &entry.tx), tx));
        (key, ImageEntry { rx, tx, counter })
    };
    entries.into_iter().map(entry).collect()
}

fn key_of(step: &Step) -> Option<RuleKey> {
    match step.op {
        TableOp::SetRule { key, .. } => Some(key),
        _ => None,
    }
}

/// Who asked for the entry that a command sets.
fn asked_by(op: &TableOp, held: &Held) -> Option<Arc<Origin>> {
    let TableOp::SetRule { key, .. } = op else { return None };
    let entry = held.image.rules.get(key)?;
    let first = entry.rx.origins.iter().chain(&entry.tx.origins).next()?;
    held.source.origins.get(first).cloned()
}
