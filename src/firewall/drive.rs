//! Carries out what a [`Machine`] decides: on the adapter, the journal and the clock.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::counters::Meters;
use super::engine::read_version_until_stable;
use super::held::HeldContent;
use super::machine::{Answer, Effect, Failure, Machine, Note};
use crate::adapter::AdapterError;
use crate::clock::{Clock, Timestamp};
use crate::journal::{Begin, Delta, Event, Journal, JournalError};
use crate::tables::{Image, TableOp};

/// All that a firewall acts on.
pub(super) struct Io<E> {
    pub engine: E,
    pub journal: Journal,
    pub clock: Arc<dyn Clock>,
    pub grace: Duration,
    pub meters: Meters,
    /// Ends of changes that the journal did not take, oldest first.
    pub pending_events: Vec<Event>,
}

/// What effects are about.
pub(super) struct ChangeContext<'a> {
    /// What the journal hears before the first command.
    pub begin: Option<Begin>,
    /// What the tables hold before.
    pub held: &'a HeldContent,
    /// The content to come.
    pub goal: &'a Image,
    /// Record of the change, once it has begun.
    pub change: Option<u64>,
    /// Commands of the change.
    pub commands: usize,
    /// The management controller has rebooted.
    pub rebooted: bool,
    /// The change opens something, and the clock is behind: it is refused.
    pub waits_for_clock: bool,
}

impl<'a> ChangeContext<'a> {
    /// What concerns the content that is held, and perhaps a change that the journal has heard of.
    pub fn about(held: &'a HeldContent, change: Option<u64>, commands: usize) -> Self {
        Self { begin: None, held, goal: &held.image, change, commands, rebooted: false, waits_for_clock: false }
    }
}

impl<E: Engine> Io<E> {
    /// Does what the machine says until it has nothing more to say.
    pub fn drive(&mut self, machine: &mut impl Machine, context: &mut ChangeContext<'_>) {
        let mut answer = Answer::Done;
        loop {
            answer = match machine.next(answer) {
                Effect::Finish => return,
                effect => self.carry_out(effect, context).unwrap_or_else(Answer::Failed),
            };
        }
    }

    fn carry_out(&mut self, effect: Effect<'_>, context: &mut ChangeContext<'_>) -> Result<Answer, Failure> {
        match effect {
            Effect::Version => return Ok(Answer::Version(read_version_until_stable(&mut self.engine)?)),
            Effect::Recover => self.recover(context)?,
            Effect::Write(note) => self.write(note, context)?,
            Effect::Meter => self.meters.prepare(&mut self.engine, context.goal)?,
            Effect::Reclaim => self.engine.reclaim_counters()?,
            Effect::Send(op) => self.send(op)?,
            Effect::Pause => self.clock.sleep(self.grace),
            Effect::Override(state) => self.engine.set_override(state)?,
            Effect::Reset => self.engine.reset_rules()?,
            Effect::Finish => {}
        }
        Ok(Answer::Done)
    }

    fn recover(&mut self, context: &mut ChangeContext<'_>) -> Result<(), Failure> {
        let recovered = self.engine.recover().map_err(|e| Failure::Recover(e.into()))?;
        if recovered.rebooted {
            context.rebooted = true;
            self.meters.lost();
        }
        Ok(())
    }

    /// Sends one command, with the adapter's counter in the place of the image's.
    fn send(&mut self, op: &TableOp) -> Result<(), AdapterError> {
        match op {
            TableOp::SetRule { key, rx, tx, counter: Some(id) } => {
                let counter = self.meters.pair(*id);
                self.engine.execute(&TableOp::SetRule { key: *key, rx: *rx, tx: *tx, counter })
            }
            op => self.engine.execute(op),
        }
    }

    fn write(&mut self, note: Note, context: &mut ChangeContext<'_>) -> Result<(), JournalError> {
        if note == Note::Begin {
            self.write_pending()?;
            if let Some(begin) = context.begin.take() {
                // A clock that was set back, or had been ahead, keeps nobody from closing.
                let at = if context.waits_for_clock { self.clock.wall() } else { self.date() };
                context.change = Some(self.journal.append(at, Event::Begin(begin))?);
            }
            return Ok(());
        }
        let Some(event) = self.event(note, context) else { return Ok(()) };
        // What is not recorded as done is taken back, and what is unknown without a record is unknown as well.
        let matters = !matches!(event, Event::Done { .. } | Event::Unknown { .. });
        let written = self.write_pending().and_then(|()| self.record(event.clone()));
        if let Err(error) = &written
            && matters
        {
            log::error!("how a change ended is not in the journal yet: {error}");
            self.pending_events.push(event);
        }
        written
    }

    /// `None` if the journal has heard of no change that this could end.
    fn event(&self, note: Note, context: &ChangeContext<'_>) -> Option<Event> {
        let (boot, counters) = (self.engine.boot_count(), self.meters.pairs());
        let commands = u64::try_from(context.commands).unwrap_or(u64::MAX);
        Some(match note {
            Note::Begin => return None,
            Note::Done(version) => Event::Done { change: context.change?, version, boot, counters, commands },
            Note::Undone(why, version) => Event::Undone { change: context.change?, why, version },
            Note::Unknown(why) => Event::Unknown { change: context.change?, why },
            Note::Closed { why, version, who, rules } => {
                let mut content = context.held.content();
                let before = content.clone();
                content.image.rules = rules;
                let content = Delta::between(&before, &content);
                Event::Closed { change: context.change?, why, who, content, version }
            }
            Note::Recovered(version) => {
                let (change, rebooted) = (context.change, context.rebooted);
                Event::Recovered { change, version, boot, counters, commands, rebooted }
            }
        })
    }

    /// The date by which everything is decided: never earlier than the last record's.
    pub fn date(&self) -> Timestamp {
        self.journal.date(self.clock.wall())
    }

    /// True if the clock cannot be believed.
    pub fn is_clock_behind(&self) -> bool {
        self.journal.is_ahead_of(self.clock.wall())
    }

    /// Writes down what has happened.
    pub fn record(&mut self, event: Event) -> Result<(), JournalError> {
        self.journal.append(self.date(), event).map(drop)
    }

    /// Writes what earlier changes owe.
    pub fn write_pending(&mut self) -> Result<(), JournalError> {
        while let Some(event) = self.pending_events.first() {
            self.journal.append(self.date(), event.clone())?;
            self.pending_events.remove(0);
        }
        Ok(())
    }
}
