//! Changes: planned, carried out, confirmed, rolled back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::apply::{Apply, Ended, tightens};
use super::drive::ChangeContext;
use super::error::ConfirmError;
use super::held::{CompiledSource, HeldContent};
use super::report::Reserved;
use super::state::{Doubt, FirewallId};
use super::{ApplyCause, ApplyError, Engine, Firewall, Report};
use crate::adapter::RulesetVersion;
use crate::clock::Timestamp;
use crate::error::AdapterState;
use crate::journal::{Begin, ChangeKind, Delta, Event, Reason, Unconfirmed};
use crate::policy::{Document, Origin, newly_allows};
use crate::tables::plan::{Phase, Plan, PlanError, Step};
use crate::tables::{Compiled, RuleKey, TableOp, Target};

/// A planned change. It is good for the content that it was planned for, and for no other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The commands.
    pub plan: Plan,
    /// Containers whose flows may be denied meanwhile although old and new policy allow them, sorted.
    pub closed_meanwhile: Vec<String>,
    /// What it reserves: addresses that the document no longer gives to a container.
    pub reserves: Vec<Reserved>,
    /// Who wants it, and why.
    pub why: Reason,
    /// It is taken back unless [`Firewall::confirm`] comes within this time.
    pub confirm_within: Option<Duration>,
    kind: ChangeKind,
    /// Who planned it.
    firewall: FirewallId,
    generation: u64,
    goal: HeldContent,
}

impl Change {
    /// The change is taken back unless somebody confirms it in time: see [`Firewall::confirm`].
    #[must_use]
    pub fn confirm_within(self, time: Duration) -> Self {
        Self { confirm_within: Some(time), ..self }
    }
}

impl<E: Engine> Firewall<E> {
    /// The commands that bring the tables to another compiled document. Sends nothing.
    ///
    /// # Errors
    /// [`PlanError`] if the change does not fit, or the document was compiled for another adapter.
    pub fn plan(&self, compiled: &Compiled, why: impl Into<Reason>) -> Result<Change, PlanError> {
        if *compiled.target() != self.target {
            return Err(PlanError::Target);
        }
        let held = &self.held.source;
        if *compiled.document() == held.document && self.io.journal.status().closed.is_empty() {
            // Its meaning is in place, whatever ids another compilation gives to the same classes.
            return self.change(ChangeKind::Apply, self.held.next_shared(held.clone()), why.into());
        }
        self.plan_source(CompiledSource::from(compiled), why)
    }

    pub(super) fn plan_source(&self, source: CompiledSource, why: impl Into<Reason>) -> Result<Change, PlanError> {
        self.change(ChangeKind::Apply, self.held.next(source), why.into())
    }

    pub(super) fn change(&self, kind: ChangeKind, goal: HeldContent, why: Reason) -> Result<Change, PlanError> {
        let plan = Plan::new(&self.held.image, &goal.image, &self.target)?;
        let who: BTreeSet<String> = plan
            .closes
            .iter()
            .flat_map(|local| [&self.held.names, &goal.names].map(|names| names.container(local).map(str::to_owned)))
            .flatten()
            .collect();
        let closed_meanwhile = who.into_iter().collect();
        Ok(Change {
            plan,
            closed_meanwhile,
            reserves: goal.newly_reserved(&self.held),
            why,
            confirm_within: None,
            kind,
            firewall: self.id,
            generation: self.generation,
            goal,
        })
    }

    /// Carries out a change. It takes effect completely or not at all.
    ///
    /// # Errors
    /// [`ApplyError`]: `Unchanged` if all commands that were sent could be taken back, or none was sent; `Closed` if a
    /// binding could not be restored and lost all its allows; `Unknown` if a command got no answer: then
    /// [`Firewall::recover`] comes first.
    pub fn apply(&mut self, change: Change) -> Result<Report, ApplyError> {
        self.check(&change)?;
        self.await_settled();
        let mut context = context_of(&self.held, &change, self.version.clone(), self.date());
        context.waits_for_clock = self.io.is_clock_behind() && self.opens(&change);
        let mut course = Apply::new(&change.plan.steps, &self.held.image, &self.held.names, self.version.as_ref());
        self.io.drive(&mut course, &mut context);
        let (outcome, begun) = (course.outcome(), context.change);
        match outcome.cause {
            None => {
                self.version = outcome.version;
                Ok(self.took_effect(change, begun, outcome.pauses))
            }
            Some(cause) => {
                let version = outcome.version.or_else(|| self.version.take());
                self.version = version;
                Err(self.failed(change, begun, cause, outcome.ended))
            }
        }
    }

    /// Rejects a stale change, one made during recovery, or one while another awaits confirmation.
    fn check(&self, change: &Change) -> Result<(), ApplyError> {
        if self.doubt.is_some() {
            return Err(ApplyError { state: AdapterState::Unknown, ..ApplyError::unsent(ApplyCause::Unrecovered) });
        }
        if change.firewall != self.id {
            return Err(ApplyError::unsent(ApplyCause::Elsewhere));
        }
        if change.generation != self.generation {
            let (planned, current) = (change.generation, self.generation);
            return Err(ApplyError::unsent(ApplyCause::Stale { planned, current }));
        }
        match &self.io.journal.status().confirm {
            Some(open) if matches!(change.kind, ChangeKind::Apply | ChangeKind::Withdraw) => {
                Err(ApplyError::unsent(ApplyCause::Unconfirmed { change: open.change, by: open.by }))
            }
            _ => Ok(()),
        }
    }

    /// True if the change may allow a flow that is not allowed now.
    fn opens(&self, change: &Change) -> bool {
        let loosens = || change.plan.steps.iter().any(|step| step.phase == Phase::Loosen);
        let allows = || {
            let (old, new) = (self.held.in_force(), change.goal.in_force());
            // Management reaches what is bound, not what is reserved.
            let managed = !new.management.is_empty() && self.held.is_bound_by(&change.goal);
            self.reopens(&change.goal.source.document)
                || managed
                || newly_allows(&old, &new, self.target.physical_ports)
        };
        match change.kind {
            ChangeKind::Apply => loosens() && allows(),
            ChangeKind::Adopt | ChangeKind::Release => true,
            ChangeKind::Reserve | ChangeKind::Rollback { .. } | ChangeKind::Withdraw | ChangeKind::Repair => false,
        }
    }

    /// True if a container that a failed change has closed, or one of its addresses, is bound again: ARP at least opens.
    fn reopens(&self, next: &Document) -> bool {
        let closed = &self.io.journal.status().closed;
        let bound = &self.held.source.document.bindings;
        closed.iter().any(|name| match bound.iter().find(|binding| binding.container == *name) {
            Some(was) => next.bindings.iter().any(|binding| {
                binding.container == *name
                    || binding.mac == was.mac
                    || binding.ips.iter().any(|ip| was.ips.contains(ip))
            }),
            None => true,
        })
    }

    fn took_effect(&mut self, change: Change, begun: Option<u64>, pauses: usize) -> Report {
        let commands = change.plan.steps.len();
        if !matches!(change.kind, ChangeKind::Reserve | ChangeKind::Release) {
            self.confirm_by = change.confirm_within.map(|time| self.io.clock.now().saturating_add(time));
        }
        log::info!("{commands} commands: {}", change.why.reason);
        self.held = change.goal.clone();
        self.changed(begun);
        self.cache.behind |= commands > 0;
        self.cache.wanted |= tightens(&change.plan.steps);
        self.commit_if_due();
        let report = self.report(commands);
        let Change { closed_meanwhile, reserves, .. } = change;
        Report { pauses, closed_meanwhile, reserves, change: begun, ..report }
    }

    /// These commands were sent.
    pub(super) fn report(&self, commands: usize) -> Report {
        Report {
            commands,
            pauses: 0,
            closed_meanwhile: Vec::new(),
            reserves: Vec::new(),
            open: Vec::new(),
            still_held: Vec::new(),
            generation: self.generation,
            change: None,
            family: Target::FAMILY,
            fingerprint: self.version.clone(),
            cache_behind: self.cache.behind,
        }
    }

    /// The tables are others: ids that were retired may be used after the grace time.
    pub(super) fn changed(&mut self, record: Option<u64>) {
        self.generation = record.unwrap_or(self.generation).max(self.generation + 1);
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        self.settled_at = self.io.clock.now() + self.io.grace;
    }

    fn failed(&mut self, change: Change, begun: Option<u64>, cause: ApplyCause, ended: Ended) -> ApplyError {
        let steps = &change.plan.steps;
        let failed_step = match &cause {
            ApplyCause::Command { step, .. } => step.checked_sub(1).and_then(|at| steps.get(at)),
            _ => None,
        };
        let sides = [&change.goal, &self.held];
        let rule = failed_step.and_then(|step| sides.into_iter().find_map(|held| asked_by(&step.op, held)));
        let state = match ended {
            Ended::Done | Ended::Unchanged => AdapterState::Unchanged,
            Ended::Closed { who, rules } => {
                self.held.image.rules = rules;
                self.changed(begun);
                (self.cache.behind, self.cache.wanted) = (true, true);
                AdapterState::Closed(who.into_iter().collect())
            }
            Ended::Unknown => {
                let keys = if begun.is_some() { steps.iter().filter_map(key_of).collect() } else { BTreeSet::new() };
                self.doubt = Some(Doubt { keys, change: begun });
                AdapterState::Unknown
            }
        };
        self.settle();
        ApplyError { cause, state, rule }
    }

    fn await_settled(&self) {
        let rest = self.settled_at.checked_sub(self.io.clock.now());
        if let Some(rest) = rest.filter(|rest| !rest.is_zero()) {
            self.io.clock.sleep(rest);
        }
    }

    /// The change that waits for confirmation is to stay. Returns its number in the journal.
    ///
    /// # Errors
    /// [`ConfirmError`]. Nothing is confirmed then, and [`Firewall::poll`] rolls back in time.
    pub fn confirm(&mut self) -> Result<u64, ConfirmError> {
        let open = self.io.journal.status().confirm.ok_or(ConfirmError::Nothing)?;
        if self.is_late(&open) {
            return Err(ConfirmError::Late { change: open.change, by: open.by, now: self.date() });
        }
        self.io.write_pending()?;
        self.io.record(Event::Confirmed { change: open.change })?;
        self.confirm_by = None;
        self.commit_if_due();
        Ok(open.change)
    }

    /// The time to confirm is over: by the date, or by the clock that nobody sets. Whoever has neither is too late.
    pub(super) fn is_late(&self, open: &Unconfirmed) -> bool {
        let by_clock = self.confirm_by.map_or_else(|| self.io.is_clock_behind(), |by| self.io.clock.now() >= by);
        self.date() >= open.by || by_clock
    }

    /// Brings back the content that the change of this number in the journal made. A container that the content does not
    /// name keeps its base denies, and one that was released meanwhile is bound again.
    ///
    /// # Errors
    /// [`ApplyError`], which says what the adapter holds.
    pub fn rollback(&mut self, to: u64, why: impl Into<Reason>) -> Result<Report, ApplyError> {
        let content = self.io.journal.content_at(to).map_err(|e| ApplyError::unsent(e.into()))?;
        let back = HeldContent::restore(&content).map_err(|e| ApplyError::unsent(ApplyCause::Document(e)))?;
        let mut goal = self.held.next_shared(back.source.clone());
        goal.retain_guards(back.kept);
        let change =
            self.change(ChangeKind::Rollback { to }, goal, why.into()).map_err(|e| ApplyError::unsent(e.into()))?;
        self.apply(change)
    }
}

/// What the journal hears of a change, and what it is about. `date`: from when on the time to confirm counts.
fn context_of<'a>(
    held: &'a HeldContent,
    change: &'a Change,
    version: Option<RulesetVersion>,
    date: Timestamp,
) -> ChangeContext<'a> {
    let begin = Begin {
        kind: change.kind,
        why: change.why.clone(),
        confirm_by: change.confirm_within.map(|time| date.after(time)),
        version,
        delta: Delta::between(&held.content(), &change.goal.content()),
        between: between(held, change),
    };
    let commands = change.plan.steps.len();
    let goal = &change.goal.image;
    ChangeContext { begin: Some(begin), held, goal, change: None, commands, rebooted: false, waits_for_clock: false }
}

/// Keys that the plan uses on the way and neither content has: those of copies under ids of the way.
fn between(held: &HeldContent, change: &Change) -> Vec<RuleKey> {
    let [old, new] = [&held.image.rules, &change.goal.image.rules];
    let keys: BTreeSet<&RuleKey> = change.plan.keys().collect();
    keys.into_iter().filter(|key| !old.contains_key(key) && !new.contains_key(key)).copied().collect()
}

fn key_of(step: &Step) -> Option<RuleKey> {
    match step.op {
        TableOp::SetRule { key, .. } => Some(key),
        _ => None,
    }
}

/// Who asked for the entry that a command sets.
fn asked_by(op: &TableOp, held: &HeldContent) -> Option<Arc<Origin>> {
    let TableOp::SetRule { key, .. } = op else { return None };
    let entry = held.image.rules.get(key)?;
    let first = entry.rx.origins.iter().chain(&entry.tx.origins).next()?;
    held.source.origins.get(first).cloned()
}
