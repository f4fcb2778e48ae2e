//! The course of a change: one command a step, and all of them back when one is refused or the journal fails.
//!
//! ```text
//! version -> begin -> meter -> step, step, ... -> version -> done
//!    |         |        |       |                    |        |
//! foreign   unsent   undone    undo newest first <----------- journal fails
//!                               |            |       |
//!                             undone      closing  unknown
//! ```
//! A step whose undo is refused leaves a flow shut, never open: all allows of the bindings concerned go, and the change ends
//! *closed*. Whatever gets no answer ends it *unknown*.

use std::collections::BTreeSet;

use super::ApplyCause;
use super::machine::{Answer, Effect, Failure, Machine, Note};
use super::names::Names;
use crate::adapter::RulesetVersion;
use crate::tables::plan::{Local, Phase, Step};
use crate::tables::{Action, Entry, Image, ImageEntry, RuleKey, Rules, Side, TableOp, Tables};
use crate::terms::Verdict;

/// A change under way.
#[derive(Debug)]
pub(super) struct Apply<'a> {
    steps: &'a [Step],
    /// What the tables hold before.
    held: &'a Image,
    names: &'a Names,
    /// The adapter's hash before, if it is known.
    expected: Option<&'a RulesetVersion>,
    state: State,
    /// What went wrong first.
    cause: Option<ApplyCause>,
    version: Option<RulesetVersion>,
    pauses: usize,
    /// What the rule table holds, while steps are taken back.
    tables: Tables,
    lost: BTreeSet<Local>,
    closing: Vec<TableOp>,
    ended: Option<Ended>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Checking,
    Beginning,
    Metering,
    /// The pause before step `.0`.
    Pausing(usize),
    Sending(usize),
    Reading,
    Recording,
    /// Step `.0` is being taken back.
    Undoing(usize),
    /// The pause after step `.0` was taken back.
    Settling(usize),
    Closing(usize),
    /// The version after taking back.
    Rereading,
    /// The journal hears how it ended.
    Ending,
    Finished,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// Nothing was sent, or all of it was taken back.
    Unchanged,
    /// The allows of these containers are gone.
    Closed {
        who: BTreeSet<String>,
        rules: Rules,
    },
    Unknown,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub ended: Ended,
    /// `None` exactly if it is done.
    pub cause: Option<ApplyCause>,
    pub version: Option<RulesetVersion>,
    pub pauses: usize,
}

impl<'a> Apply<'a> {
    pub fn new(steps: &'a [Step], held: &'a Image, names: &'a Names, expected: Option<&'a RulesetVersion>) -> Self {
        Self {
            steps,
            held,
            names,
            expected,
            state: State::Start,
            cause: None,
            version: None,
            pauses: 0,
            tables: Tables::default(),
            lost: BTreeSet::new(),
            closing: Vec::new(),
            ended: None,
        }
    }

    pub fn outcome(self) -> Outcome {
        // A machine that was stopped half-way has not said what holds.
        let ended = self.ended.unwrap_or(Ended::Unknown);
        Outcome { ended, cause: self.cause, version: self.version, pauses: self.pauses }
    }

    fn end(&mut self, ended: Ended) -> Effect<'_> {
        self.ended = Some(ended);
        self.state = State::Finished;
        Effect::Finish
    }

    fn begin(&mut self) -> Effect<'_> {
        self.state = State::Beginning;
        Effect::Write(Note::Begin)
    }

    /// Step `at`, or what comes after the last.
    fn step(&mut self, at: usize) -> Effect<'_> {
        match self.steps.get(at) {
            Some(step) if step.pause_before => {
                self.pauses += 1;
                self.state = State::Pausing(at);
                Effect::Pause
            }
            Some(_) => self.send(at),
            None => {
                self.state = State::Reading;
                Effect::Version
            }
        }
    }

    fn send(&mut self, at: usize) -> Effect<'_> {
        self.state = State::Sending(at);
        self.steps.get(at).map_or(Effect::Finish, |step| Effect::Send(&step.op))
    }

    fn record(&mut self) -> Effect<'_> {
        self.state = State::Recording;
        Effect::Write(Note::Done(self.version.clone()))
    }

    /// The steps before `at` were carried out: takes them back.
    fn take_back(&mut self, at: usize) -> Effect<'_> {
        self.tables = Tables::of_rules(self.held);
        self.steps.iter().take(at).for_each(|step| self.tables.apply(&step.op));
        self.undo_before(at)
    }

    /// Takes back the step before `at`.
    fn undo_before(&mut self, at: usize) -> Effect<'_> {
        let Some(at) = at.checked_sub(1) else { return self.all_taken_back() };
        match self.steps.get(at).and_then(|step| step.undo.as_ref()) {
            Some(undo) => {
                self.state = State::Undoing(at);
                Effect::Send(undo)
            }
            None => self.settle(at),
        }
    }

    /// Step `at` is taken back.
    fn settle(&mut self, at: usize) -> Effect<'_> {
        if self.steps.get(at).is_some_and(|step| step.pause_before) {
            self.state = State::Settling(at);
            return Effect::Pause;
        }
        self.undo_before(at)
    }

    fn undone(&mut self, at: usize, answer: &Answer) -> Effect<'_> {
        let Some(step) = self.steps.get(at) else { return self.unknown() };
        match (answer, stays_closed(step)) {
            (Answer::Failed(failure), Some(local)) if failure.is_harmless() => {
                self.lost.insert(local);
            }
            (Answer::Failed(_), _) => return self.unknown(),
            _ => step.undo.iter().for_each(|undo| self.tables.apply(undo)),
        }
        self.settle(at)
    }

    fn all_taken_back(&mut self) -> Effect<'_> {
        if self.lost.is_empty() {
            return self.reread(Ended::Unchanged);
        }
        let who = self.who();
        let concerned = |key: &RuleKey| {
            let local = Local::of(key);
            self.lost.contains(&local) || self.names.container(&local).is_some_and(|name| who.contains(name))
        };
        let less = |action: Action| if action.verdict() == Some(Verdict::Allow) { Action::None } else { action };
        let allows = |entry: &Entry| [entry.rx, entry.tx].iter().any(|is| is.verdict() == Some(Verdict::Allow));
        let entries = self.tables.rules.iter().filter(|(key, entry)| allows(entry) && concerned(key));
        let shut = |entry: &Entry| Entry { rx: less(entry.rx), tx: less(entry.tx), ..*entry };
        let shut = entries.map(|(key, entry)| TableOp::set_rule(*key, shut(entry)));
        self.closing = shut.collect();
        self.close(0)
    }

    /// The containers that lose their allows.
    fn who(&self) -> BTreeSet<String> {
        let name = |local: &Local| self.names.container(local).unwrap_or("addresses that nobody bound").to_owned();
        self.lost.iter().map(name).collect()
    }

    fn close(&mut self, at: usize) -> Effect<'_> {
        if at < self.closing.len() {
            self.state = State::Closing(at);
            return self.closing.get(at).map_or(Effect::Finish, Effect::Send);
        }
        self.closing.iter().for_each(|op| self.tables.apply(op));
        let rules = image_rules(std::mem::take(&mut self.tables), self.held);
        let who = self.who();
        self.reread(Ended::Closed { who, rules })
    }

    /// Trie nodes that nothing reaches may have stayed, so the version may be another.
    fn reread(&mut self, ended: Ended) -> Effect<'_> {
        self.ended = Some(ended);
        self.state = State::Rereading;
        Effect::Version
    }

    fn unknown(&mut self) -> Effect<'_> {
        self.ended = Some(Ended::Unknown);
        self.tell()
    }

    /// Tells the journal how it ended.
    fn tell(&mut self) -> Effect<'_> {
        self.state = State::Ending;
        let why = self.cause.as_ref().map(super::error::chain).unwrap_or_default();
        let version = self.version.clone();
        Effect::Write(match &self.ended {
            Some(Ended::Unchanged) => Note::Undone(why, version),
            Some(Ended::Closed { who, rules }) => {
                Note::Closed { why, version, who: who.iter().cloned().collect(), rules: rules.clone() }
            }
            Some(Ended::Done | Ended::Unknown) | None => Note::Unknown(why),
        })
    }

    /// What failed before the first step.
    fn beside(&mut self, failure: Failure) -> bool {
        let harmless = failure.is_harmless();
        self.cause = Some(failure.into());
        harmless
    }

    fn failed_step(&mut self, at: usize, failure: Failure) -> Effect<'_> {
        let harmless = failure.is_harmless();
        self.cause = Some(match failure {
            Failure::Adapter(source) => ApplyCause::Command { step: at + 1, steps: self.steps.len(), source },
            other => other.into(),
        });
        if harmless { self.take_back(at) } else { self.unknown() }
    }
}

impl Machine for Apply<'_> {
    fn next(&mut self, answer: Answer) -> Effect<'_> {
        match (self.state, answer) {
            (State::Start, _) if self.expected.is_some() => {
                self.state = State::Checking;
                Effect::Version
            }
            (State::Start, _) => self.begin(),
            (State::Checking, Answer::Version(found)) => match self.expected {
                Some(expected) if *expected != found => {
                    self.cause = Some(ApplyCause::Foreign { expected: expected.clone(), found });
                    self.end(Ended::Unchanged)
                }
                _ => self.begin(),
            },
            (State::Checking, Answer::Failed(failure)) => {
                let harmless = self.beside(failure);
                self.end(if harmless { Ended::Unchanged } else { Ended::Unknown })
            }
            (State::Beginning, Answer::Failed(failure)) => {
                self.beside(failure);
                self.end(Ended::Unchanged)
            }
            (State::Beginning, _) => {
                self.state = State::Metering;
                Effect::Meter
            }
            (State::Metering, Answer::Failed(failure)) => {
                if self.beside(failure) {
                    self.reread(Ended::Unchanged)
                } else {
                    self.unknown()
                }
            }
            (State::Metering, _) => self.step(0),
            (State::Pausing(at), _) => self.send(at),
            (State::Sending(at), Answer::Failed(failure)) => self.failed_step(at, failure),
            (State::Sending(at), _) => self.step(at + 1),
            (State::Reading, Answer::Failed(failure)) if !failure.is_harmless() => {
                self.beside(failure);
                self.unknown()
            }
            (State::Reading, Answer::Version(version)) => {
                self.version = Some(version);
                self.record()
            }
            (State::Reading, _) => self.record(),
            (State::Recording, Answer::Failed(failure)) => {
                // A record that may be there makes the change one that took effect: nothing is taken back then.
                let absent = self.beside(failure);
                self.version = None;
                if absent { self.take_back(self.steps.len()) } else { self.unknown() }
            }
            (State::Recording, _) => self.end(Ended::Done),
            (State::Undoing(at), answer) => self.undone(at, &answer),
            (State::Settling(at), _) => self.undo_before(at),
            (State::Closing(_), Answer::Failed(_)) => self.unknown(),
            (State::Closing(at), _) => self.close(at + 1),
            (State::Rereading, answer) => {
                match answer {
                    Answer::Version(version) => self.version = Some(version),
                    Answer::Failed(failure) if !failure.is_harmless() => self.ended = Some(Ended::Unknown),
                    _ => {}
                }
                self.tell()
            }
            (State::Ending | State::Finished, _) => {
                self.state = State::Finished;
                Effect::Finish
            }
            (State::Checking, _) => self.begin(),
        }
    }
}

/// True if a step of the plan takes something away.
pub(super) fn tightens(steps: &[Step]) -> bool {
    steps.iter().any(|step| step.phase == Phase::Tighten)
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

/// Entries with their origins, as far as the image has them.
fn image_rules(tables: Tables, image: &Image) -> Rules {
    let side = |side: Option<&Side>, action: Action| {
        let origins = side.filter(|side| side.action == action).map(|side| side.origins.clone());
        Side { action, origins: origins.unwrap_or_default() }
    };
    let entry = |(key, Entry { rx, tx, counter }): (RuleKey, Entry)| {
        let is = image.rules.get(&key);
        let (rx, tx) = (side(is.map(|entry| &entry.rx), rx), side(is.map(|entry| &entry.tx), tx));
        (key, ImageEntry { rx, tx, counter })
    };
    tables.rules.into_iter().map(entry).collect()
}
