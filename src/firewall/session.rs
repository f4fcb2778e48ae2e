//! One life of an adapter with its journal: opened, gone on with or taken over, changed, left.
//!
//! A [`Session`] is what a program keeps of each adapter: the command line for the time of one command, an agent for as long
//! as it runs. It knows no files, no processes and no screen; the journal lies in any [`Store`](crate::journal::Store).
//!
//! The crate's first page shows such a program whole; `examples/embed.rs` is another, on the emulated adapter.

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::error::{LeaveError, SessionError};
use super::watch::{Look, look};
use super::{Adopt, AdoptError, AttachError, AuditError, Engine, Firewall, Found, Recovery, Refused, Settings};
use crate::adapter::{AdapterError, Override};
use crate::clock::{Clock, Timestamp};
use crate::error::AdapterState;
use crate::journal::{Event, Journal, Left, Reason};
use crate::tables::{Compiled, Target};

/// An adapter and its journal, from opening to leaving.
///
/// It is in one [`SessionState`] at a time. Dropping it sends nothing: the rules go on deciding, as after
/// [`Session::close`].
pub struct Session<E> {
    state: State<E>,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

enum State<E> {
    Opened(Box<Opened<E>>),
    Running(Box<Running<E>>),
    Lost,
    Closed,
}

impl<E> State<E> {
    fn told(&self) -> SessionState {
        match self {
            Self::Opened(_) => SessionState::Opened,
            Self::Running(_) => SessionState::Running,
            Self::Lost => SessionState::Lost,
            Self::Closed => SessionState::Closed,
        }
    }
}

struct Opened<E> {
    engine: E,
    journal: Journal,
}

struct Running<E> {
    firewall: Firewall<E>,
    recovery: Recovery,
}

/// What a [`Session`] has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionState {
    /// The adapter and the journal; no firewall drives the adapter. Either nothing was tried yet, or what was tried has
    /// failed, and its error says what the adapter holds.
    Opened,
    /// A firewall, which knows what the adapter holds.
    Running,
    /// Nothing: a panic in the middle of a change of hands took the adapter with it. Whoever opens both again learns from
    /// the journal what it holds.
    Lost,
    /// Nothing: the adapter was left.
    Closed,
}

/// What an adapter does when nobody drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Its rules go on deciding.
    Rules,
    /// It drops all traffic until it is adopted or emptied, or its management controller reboots.
    Blocked,
    /// It has no rules: everything passes.
    Empty,
}

impl<E: Engine> Session<E> {
    /// A session with an adapter and its journal. Nothing is asked, sent or written.
    ///
    /// The journal must be the adapter's own ([`Journal::open`] compares the names), or one [in
    /// memory](Journal::in_memory), which ends with the session.
    #[must_use]
    pub fn new(engine: E, journal: Journal, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { state: State::Opened(Box::new(Opened { engine, journal })), clock, settings }
    }

    /// What the session has in hand.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state.told()
    }

    /// What was found when the session went on with the adapter; [`Found::Same`] after [`Session::adopt`] and
    /// [`Session::repair`], and `None` where no firewall drives the adapter.
    #[must_use]
    pub fn recovery(&self) -> Option<&Recovery> {
        if let State::Running(running) = &self.state { Some(&running.recovery) } else { None }
    }

    /// The firewall that drives the adapter, for questions.
    ///
    /// # Errors
    /// [`SessionError`] in any other state than [`SessionState::Running`].
    pub fn firewall(&self) -> Result<&Firewall<E>, SessionError> {
        match &self.state {
            State::Running(running) => Ok(&running.firewall),
            State::Opened(_) => Err(SessionError::NotRunning),
            State::Lost => Err(SessionError::Lost),
            State::Closed => Err(SessionError::Closed),
        }
    }

    /// The firewall that drives the adapter: plans, changes, confirms, reserves, releases, rolls back, audits, withdraws,
    /// counts, commits, recovers. The errors of its methods say what the adapter holds.
    ///
    /// # Errors
    /// [`SessionError`] in any other state than [`SessionState::Running`]. Nothing was sent.
    pub fn firewall_mut(&mut self) -> Result<&mut Firewall<E>, SessionError> {
        match &mut self.state {
            State::Running(running) => Ok(&mut running.firewall),
            State::Opened(_) => Err(SessionError::NotRunning),
            State::Lost => Err(SessionError::Lost),
            State::Closed => Err(SessionError::Closed),
        }
    }

    /// What has happened to the adapter.
    ///
    /// # Errors
    /// [`SessionError`] where the session has no adapter.
    pub fn journal(&self) -> Result<&Journal, SessionError> {
        self.parts().map(|(_, journal)| journal)
    }

    /// The adapter, for what concerns no rules.
    ///
    /// # Errors
    /// [`SessionError`] where the session has no adapter.
    pub fn engine(&mut self) -> Result<&mut E, SessionError> {
        self.parts_mut().map(|(engine, _)| engine)
    }

    /// The date by which deadlines and `until` are decided: the later of the clock and of the journal's last record.
    ///
    /// # Errors
    /// As [`Session::journal`].
    pub fn date(&self) -> Result<Timestamp, SessionError> {
        Ok(self.journal()?.date(self.clock.wall()))
    }

    /// What documents are compiled for.
    ///
    /// # Errors
    /// [`SessionError`] where the session has no adapter.
    pub fn target(&self) -> Result<&Target, SessionError> {
        self.parts().map(|(engine, _)| engine.target())
    }

    /// Goes on where the last session stopped: see [`Firewall::attach`]. A session that runs already has done so, and nothing is
    /// asked again.
    ///
    /// # Errors
    /// [`AttachError`], which says what the adapter holds. The session is [`SessionState::Opened`] then: where the journal does
    /// not explain the adapter ([`AttachError::New`], [`AttachError::Left`], [`AttachError::Foreign`]) nothing was sent, and
    /// [`Session::adopt`] or [`Session::repair`] takes it over.
    pub fn resume(&mut self) -> Result<Recovery, AttachError> {
        if let State::Running(running) = &self.state {
            return Ok(running.recovery.clone());
        }
        let Opened { engine, journal } = self.take()?;
        match Firewall::attach(engine, journal, self.clock.clone(), self.settings) {
            Ok((firewall, recovery)) => {
                self.run(firewall, recovery.clone());
                Ok(recovery)
            }
            Err(refused) => Err(self.put_back(*refused)),
        }
    }

    /// Takes the adapter over, or takes it over again: see [`Firewall::adopt`]. The journal goes on, and what it says is bound
    /// or reserved stays closed until its release, unless the document binds it.
    ///
    /// # Errors
    /// [`AdoptError`], which says whether the adapter blocks all traffic. After [`AdoptError::Target`] everything is as it was;
    /// after any other the session is [`SessionState::Opened`]: adopt again, or, where nothing was sent, resume.
    pub fn adopt(&mut self, compiled: &Compiled, why: impl Into<Reason>) -> Result<(), AdoptError> {
        if compiled.target() != self.target()? {
            return Err(AdoptError::Target);
        }
        let Opened { engine, journal } = self.take()?;
        let adopt = Adopt { compiled, journal, why: why.into() };
        self.loaded(Firewall::adopt(engine, adopt, self.clock.clone(), self.settings))
    }

    /// Loads what the journal says, whatever the adapter holds: see [`Firewall::repair`].
    ///
    /// # Errors
    /// As [`Session::adopt`].
    pub fn repair(&mut self, why: impl Into<Reason>) -> Result<(), AdoptError> {
        let Opened { engine, journal } = self.take()?;
        self.loaded(Firewall::repair(engine, journal, why, self.clock.clone(), self.settings))
    }

    fn loaded(&mut self, loaded: Result<Firewall<E>, Box<Refused<E, AdoptError>>>) -> Result<(), AdoptError> {
        match loaded {
            Ok(firewall) => {
                self.run(firewall, Recovery { found: Found::Same, commands: 0, rolled_back: None });
                Ok(())
            }
            Err(refused) => Err(self.put_back(*refused)),
        }
    }

    /// Compares the adapter with its journal without going on: nothing is sent but questions, and nothing is written, so that a
    /// journal will do that was opened for reading. See [`look`].
    ///
    /// # Errors
    /// [`AuditError`]. Nothing was changed.
    pub fn look(&mut self) -> Result<Look, AuditError> {
        let clock = self.clock.clone();
        let (engine, journal) = self.parts_mut()?;
        look(engine, journal, &*clock)
    }

    /// Notes in the journal that somebody else has changed the tables, where [`Session::resume`] has found that and the journal
    /// does not say so yet. Nothing is noted of other errors.
    ///
    /// # Errors
    /// [`SessionError`] where the session has no adapter; the journal's own. Nothing was sent.
    pub fn note_drift(&mut self, error: &AttachError) -> Result<(), AuditError> {
        let AttachError::Foreign { expected, found, .. } = error else { return Ok(()) };
        let at = self.date()?;
        let (_, journal) = self.parts_mut()?;
        if journal.status().drift.as_ref().is_none_or(|drift| drift.found != *found) {
            journal.append(at, Event::Drift { expected: expected.clone(), found: found.clone() })?;
        }
        Ok(())
    }

    /// Leaves the adapter as told and hands it back; the session is closed. That the rules do not decide any more is written
    /// down first, so that nobody goes on with them unawares; that they do needs no record.
    ///
    /// # Errors
    /// [`LeaveError`], which says whether the adapter blocks all traffic. The session is [`SessionState::Opened`] then, unless
    /// it had no adapter: leave once more, adopt, or close.
    pub fn leave(&mut self, how: Leave, why: impl Into<Reason>) -> Result<E, LeaveError> {
        let mut opened = self.take()?;
        let left = match how {
            Leave::Rules => Ok(()),
            Leave::Blocked => opened.block(Left::Blocked, why.into(), &*self.clock),
            Leave::Empty => {
                opened.block(Left::Empty, why.into(), &*self.clock).and_then(|()| empty(&mut opened.engine))
            }
        };
        match left {
            Ok(()) => {
                self.state = State::Closed;
                Ok(opened.engine)
            }
            Err(error) => {
                self.state = State::Opened(Box::new(opened));
                Err(error)
            }
        }
    }

    /// Lets go of the adapter without a word to it or to the journal, but for what the journal still has to hear of the last
    /// change: its rules go on deciding, or whatever the last error said. `None` where the session has no adapter.
    pub fn close(&mut self) -> Option<E> {
        let opened = self.take().ok();
        self.state = State::Closed;
        opened.map(|opened| opened.engine)
    }

    /// The adapter and its journal, whether or not a firewall drives it.
    fn parts(&self) -> Result<(&E, &Journal), SessionError> {
        match &self.state {
            State::Opened(opened) => Ok((&opened.engine, &opened.journal)),
            State::Running(running) => Ok((&running.firewall.io.engine, &running.firewall.io.journal)),
            State::Lost => Err(SessionError::Lost),
            State::Closed => Err(SessionError::Closed),
        }
    }

    fn parts_mut(&mut self) -> Result<(&mut E, &mut Journal), SessionError> {
        match &mut self.state {
            State::Opened(opened) => Ok((&mut opened.engine, &mut opened.journal)),
            State::Running(running) => {
                let io = &mut running.firewall.io;
                Ok((&mut io.engine, &mut io.journal))
            }
            State::Lost => Err(SessionError::Lost),
            State::Closed => Err(SessionError::Closed),
        }
    }

    /// Takes adapter and journal out of the session, which has lost them until they are put back.
    fn take(&mut self) -> Result<Opened<E>, SessionError> {
        match mem::replace(&mut self.state, State::Lost) {
            State::Opened(opened) => Ok(*opened),
            State::Running(running) => {
                let (engine, journal) = running.firewall.detach();
                Ok(Opened { engine, journal })
            }
            State::Lost => Err(SessionError::Lost),
            State::Closed => {
                self.state = State::Closed;
                Err(SessionError::Closed)
            }
        }
    }

    /// Puts adapter and journal back after a failure.
    fn put_back<X>(&mut self, refused: Refused<E, X>) -> X {
        let Refused { error, engine, journal } = refused;
        self.state = State::Opened(Box::new(Opened { engine, journal }));
        error
    }

    fn run(&mut self, firewall: Firewall<E>, recovery: Recovery) {
        self.state = State::Running(Box::new(Running { firewall, recovery }));
    }
}

impl<E: Engine> Opened<E> {
    /// Writes down how the adapter is left, and blocks all its traffic.
    fn block(&mut self, how: Left, why: Reason, clock: &dyn Clock) -> Result<(), LeaveError> {
        let at = self.journal.date(clock.wall());
        self.journal.append(at, Event::Left { how, why })?;
        self.engine.set_override(Override::Block).map_err(|source| LeaveError::Command { blocked: false, source })
    }
}

/// Drops the rules of an adapter that blocks all traffic. It opens last, so that what fails before leaves it closed.
fn empty(engine: &mut impl Engine) -> Result<(), LeaveError> {
    let mut empty = || {
        engine.reset_rules()?;
        engine.commit_cache()?;
        engine.set_override(Override::None)
    };
    empty().map_err(|source: AdapterError| {
        // A management controller that has rebooted meanwhile knows of no block.
        LeaveError::Command { blocked: source.state() != AdapterState::Unknown, source }
    })
}

impl<E> fmt::Debug for Session<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state.told()).finish_non_exhaustive()
    }
}
