//! An adapter with its journal: where a command that changes it goes on, and takes leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::AdapterInfo;
use nicfw::clock::{Clock, SystemClock, Timestamp};
use nicfw::device::Locator;
use nicfw::firewall::{Adopt, AdoptError, AttachError, Firewall, Found, Look, Recovery, Refused, Settings, look};
use nicfw::journal::{Event, FileStore, Journal, JournalError, Key, Left, Why};
use nicfw::tables::{Compiled, Target};
use nicfw::text::escaped;

use crate::args::{Cause, Device, JournalFile};
use crate::attached::{Versions, attach, chain, failed};
use crate::busy::Note;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::journals::JOURNALS;

/// Most bytes of a key's file.
const LONGEST_KEY: usize = 1 << 16;

/// A firewall that goes on where the last command stopped.
pub struct Session {
    pub firewall: Firewall<Adapter>,
    /// What was found.
    pub recovery: Recovery,
    /// The journal's file.
    pub file: PathBuf,
    locator: Locator,
    at: String,
    /// Tells others who has the adapter; `None` if it could not be written.
    note: Option<Note>,
}

/// An adapter, and its journal, which cannot be written.
pub struct ReadOnly {
    adapter: Adapter,
    journal: Journal,
    file: PathBuf,
    locator: Locator,
}

/// What there is behind a function.
pub enum Opened {
    Session(Box<Session>),
    Stranger(Box<Stranger>),
    ReadOnly(Box<ReadOnly>),
}

/// An adapter and its journal, which knows nothing of what the adapter holds.
pub struct Stranger {
    refused: Refused<Adapter, AttachError>,
    file: PathBuf,
    locator: Locator,
    at: String,
    note: Option<Note>,
}

impl Session {
    /// Goes on with an adapter.
    ///
    /// # Errors
    /// The function or the journal cannot be opened; or the journal does not explain what the adapter holds, and then it is
    /// said how to take it over.
    pub fn open(at: &Device) -> Result<Self, Failure> {
        match Self::find(&at.device, &at.journal, false)? {
            Ok(session) => Ok(session),
            Err(stranger) => Err(stranger.leave()),
        }
    }

    /// As [`Session::open`]; an adapter that the journal does not explain comes back.
    pub fn find(
        locator: &Locator,
        journal: &JournalFile,
        switch_firmware: bool,
    ) -> Result<Result<Self, Stranger>, Failure> {
        let adapter = attach(locator, journal.journal.as_deref(), switch_firmware)?;
        let file = file(journal, adapter.info());
        let at = options(locator, journal);
        match open(&file, journal, adapter.info()) {
            Ok(journal) => Ok(Self::go_on(adapter, journal, file, locator, at).map_err(|stranger| *stranger)),
            Err(unopened) => {
                adapter.detach().map_err(|e| failed(locator, &e))?;
                Err(unopened.into())
            }
        }
    }

    /// As [`Session::find`]; a journal that cannot be written is opened for reading.
    ///
    /// # Errors
    /// As [`Session::find`].
    pub fn look(at: &Device) -> Result<Opened, Failure> {
        let Device { device: locator, journal: named } = at;
        let adapter = attach(locator, named.journal.as_deref(), false)?;
        let file = file(named, adapter.info());
        let unopened = match open(&file, named, adapter.info()) {
            Ok(journal) => {
                return Ok(match Self::go_on(adapter, journal, file, locator, options(locator, named)) {
                    Ok(session) => Opened::Session(Box::new(session)),
                    Err(stranger) => Opened::Stranger(stranger),
                });
            }
            Err(unopened) => unopened,
        };
        let read = || -> Result<Journal, Failure> {
            let wrong = |e: &dyn std::error::Error| Failure::usage(about(&file, e));
            let (store, key) = (FileStore::read(&file).map_err(|e| wrong(&e))?, key(named)?);
            let journal = Journal::read(Box::new(store), key.as_ref()).map_err(|e| wrong(&e))?;
            let (journals, adapters) = (journal.adapter().to_owned(), identity(adapter.info()));
            if journals != adapters {
                return Err(wrong(&JournalError::Foreign { journal: journals, adapter: adapters }));
            }
            Ok(journal)
        };
        let failure = match &unopened {
            Unopened::Journal(_, JournalError::ReadOnly { .. }) => match read() {
                Ok(journal) => {
                    let locator = locator.clone();
                    return Ok(Opened::ReadOnly(Box::new(ReadOnly { adapter, journal, file, locator })));
                }
                Err(failure) => failure,
            },
            _ => Failure::from(unopened),
        };
        adapter.detach().map_err(|e| failed(locator, &e))?;
        Err(failure)
    }

    fn go_on(
        adapter: Adapter,
        journal: Journal,
        file: PathBuf,
        locator: &Locator,
        at: String,
    ) -> Result<Self, Box<Stranger>> {
        let note = Note::take(&file, locator).inspect_err(|e| log::warn!("{}: {e}", file.display())).ok();
        let (clock, locator) = (Arc::new(SystemClock::new()), locator.clone());
        match Firewall::attach(adapter, journal, clock, Settings::default()) {
            Ok((firewall, recovery)) => Ok(Self { firewall, recovery, file, locator, at, note }),
            Err(refused) => Err(Box::new(Stranger { refused: *refused, file, locator, at, note })),
        }
    }

    /// Tells others what this program does for longer.
    pub fn say(&mut self, doing: &str) {
        if let Some(Err(error)) = self.note.as_mut().map(|note| note.say(doing)) {
            log::warn!("{}: {error}", self.file.display());
        }
    }

    /// What was found, if it is worth a line.
    pub fn found(&self) -> Option<String> {
        let commands = self.recovery.commands;
        let mut text = match self.recovery.found {
            Found::Same => None,
            Found::Uncounted => {
                Some(format!("its management controller has rebooted: counters began anew ({commands} commands)"))
            }
            Found::Rebooted => Some(format!(
                "its management controller has rebooted and loaded other rules: the journal's were loaded by {commands} \
                 commands, all traffic blocked meanwhile"
            )),
            Found::Unread => Some(format!(
                "what the last change left could not be read: the journal's content was loaded again by {commands} commands, \
                 all traffic blocked meanwhile"
            )),
            Found::Interrupted { change } => {
                Some(format!("change {change} had not ended: what was there before it is back ({commands} commands)"))
            }
            Found::HalfAdopted { change } => Some(format!(
                "adoption {change} had not ended: it was completed by {commands} commands, all traffic blocked meanwhile"
            )),
        };
        if let Some(change) = self.recovery.rolled_back {
            let text = text.get_or_insert_default();
            let more = format!("change {change} was not confirmed in time: it is rolled back");
            *text = if text.is_empty() { more } else { format!("{text}; {more}") };
        }
        text.map(|text| format!("{}: {text}\n", self.locator))
    }

    /// As if the journal knew nothing of what the adapter holds: for taking it over again.
    pub fn forget(self) -> Stranger {
        let (engine, journal) = self.firewall.detach();
        Stranger {
            refused: Refused { error: AttachError::New, engine, journal },
            file: self.file,
            locator: self.locator,
            at: self.at,
            note: self.note,
        }
    }

    /// The function that drives the adapter.
    pub fn locator(&self) -> &Locator {
        &self.locator
    }

    /// The options by which this adapter and its journal are named.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Something failed, of which the adapter says what it holds.
    pub fn failed(&self, error: &dyn std::error::Error) -> Failure {
        failed(&self.locator, error)
    }

    /// Takes leave of the adapter; its rules stay.
    ///
    /// # Errors
    /// The adapter does not let go.
    pub fn leave(self) -> Result<(), Failure> {
        let (adapter, _journal) = self.firewall.detach();
        adapter.detach().map_err(|e| failed(&self.locator, &e))
    }

    /// Something failed: takes leave, and says what failed.
    pub fn fail(self, error: &dyn std::error::Error) -> Failure {
        let failure = failed(&self.locator, error);
        match self.leave() {
            Ok(()) => failure,
            Err(also) => Failure { text: format!("{failure}\n{also}"), ..failure },
        }
    }
}

impl Stranger {
    /// What documents are compiled for.
    pub fn target(&self) -> &Target {
        self.refused.engine.target()
    }

    /// The function that drives the adapter.
    pub fn locator(&self) -> &Locator {
        &self.locator
    }

    /// The journal's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes down that somebody else has changed the tables, and takes leave.
    ///
    /// # Errors
    /// The journal does not take it, or the adapter does not let go.
    pub fn record_drift(self) -> Result<(), Failure> {
        let Self { refused: Refused { error, engine, mut journal }, locator, .. } = self;
        if let AttachError::Foreign { expected, found, .. } = error {
            let at = SystemClock::new().wall().max(journal.status().last_at);
            let known = journal.status().drift.as_ref().is_some_and(|drift| drift.found == found);
            if !known {
                journal.append(at, Event::Drift { expected, found }).map_err(|e| failed(&locator, &e))?;
            }
        }
        engine.detach().map_err(|e| failed(&locator, &e))
    }

    /// By which `until` is decided.
    pub fn date(&self) -> Timestamp {
        self.refused.journal.date(SystemClock::new().wall())
    }

    /// The options by which this adapter and its journal are named.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Why the journal does not explain what the adapter holds.
    pub fn error(&self) -> &AttachError {
        &self.refused.error
    }

    /// Takes the adapter over.
    ///
    /// # Errors
    /// It could not be loaded; then it may drop all traffic, and that is said with the ways out.
    pub fn adopt(self, compiled: &Compiled, why: Why) -> Result<Session, Failure> {
        let Self { refused: Refused { engine, journal, .. }, file, locator, at, note } = self;
        let adopt = Adopt { compiled, journal, why };
        let adopted = Firewall::adopt(engine, adopt, Arc::new(SystemClock::new()), Settings::default());
        Self::loaded(adopted, file, locator, at, note)
    }

    /// Loads what the journal says.
    ///
    /// # Errors
    /// As [`Stranger::adopt`].
    pub fn repair(self, why: Why) -> Result<Session, Failure> {
        let Self { refused: Refused { engine, journal, .. }, file, locator, at, note } = self;
        let clock = Arc::new(SystemClock::new());
        Self::loaded(Firewall::repair(engine, journal, why, clock, Settings::default()), file, locator, at, note)
    }

    fn loaded(
        loaded: Result<Firewall<Adapter>, Box<Refused<Adapter, AdoptError>>>,
        file: PathBuf,
        locator: Locator,
        at: String,
        note: Option<Note>,
    ) -> Result<Session, Failure> {
        let recovery = Recovery { found: Found::Same, commands: 0, rolled_back: None };
        match loaded {
            Ok(firewall) => Ok(Session { firewall, recovery, file, locator, at, note }),
            Err(refused) => {
                let mut failure = failed(&locator, &refused);
                // An adapter that drops all traffic stays so: what was loaded does not protect everybody.
                if matches!(refused.error, AdoptError::Command { blocked: true, .. }) {
                    failure.text += &format!(
                        ". Apply again; or, to let everything pass: nicfw detach {at} --leave empty \
                         --reason TEXT"
                    );
                }
                Err(failure)
            }
        }
    }

    /// Takes leave of the adapter because of something else.
    pub fn give_up(self, failure: Failure) -> Failure {
        match self.refused.engine.detach() {
            Ok(()) => failure,
            Err(error) => Failure { text: format!("{failure}\n{}", failed(&self.locator, &error)), ..failure },
        }
    }

    /// Takes leave of the adapter, and says why and what the way out is.
    pub fn leave(self) -> Failure {
        let Self { refused, locator, at, .. } = self;
        let mut failure = failed(&locator, &refused);
        let way_out = match refused.error {
            AttachError::New | AttachError::Left { .. } | AttachError::Foreign { .. } => {
                if matches!(refused.error, AttachError::Foreign { .. }) {
                    failure.exit = Exit::Drift;
                }
                format!(
                    ". Nothing was changed. To drop what it holds and load a policy, with all traffic of the adapter blocked \
                     meanwhile: nicfw apply FILE {at} --adopt --reason TEXT"
                )
            }
            _ => String::new(),
        };
        failure.text += &way_out;
        if let Err(error) = refused.engine.detach() {
            failure.text += &format!("\n{}", failed(&locator, &error));
        }
        failure
    }
}

/// The options by which an adapter and its journal are named again.
pub fn options(locator: &Locator, journal: &JournalFile) -> String {
    let option = |name: &str, value: &Option<PathBuf>| {
        value.as_ref().map(|value| format!(" {name} {}", input::name(value))).unwrap_or_default()
    };
    let device = escaped(&locator.to_string()).into_owned();
    format!("--device {device}{}{}", option("--journal", &journal.journal), option("--key", &journal.key))
}

/// The journal's file.
fn file(journal: &JournalFile, info: &AdapterInfo) -> PathBuf {
    let name = || info.mac.to_string().replace(':', "");
    journal.journal.clone().unwrap_or_else(|| Path::new(JOURNALS).join(format!("{}.journal", name())))
}

/// Who a journal is about.
fn identity(info: &AdapterInfo) -> String {
    format!("{} {}", info.pci_id, info.mac)
}

/// Why there is no journal to write.
enum Unopened {
    Journal(PathBuf, JournalError),
    Other(Failure),
}

impl From<Unopened> for Failure {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Journal(file, error) => {
                let exit = if error.is_damage() { Exit::Drift } else { Exit::Usage };
                Self::new(exit, about(&file, &error))
            }
            Unopened::Other(failure) => failure,
        }
    }
}

/// What is wrong with a journal, with what caused it, on one line.
fn about(file: &Path, error: &dyn std::error::Error) -> String {
    format!("{}: {}", input::name(file), escaped(&chain(error)))
}

fn open(file: &Path, journal: &JournalFile, info: &AdapterInfo) -> Result<Journal, Unopened> {
    if journal.journal.is_none() {
        fs::create_dir_all(JOURNALS).map_err(|e| {
            let text = format!("{}: {e}; name another place with --journal FILE", input::name(file));
            Unopened::Other(Failure::usage(text))
        })?;
    }
    let key = key(journal).map_err(Unopened::Other)?;
    let wrong = |error| Unopened::Journal(file.to_owned(), error);
    let store = FileStore::open(file).map_err(wrong)?;
    Journal::open(Box::new(store), &identity(info), key.as_ref()).map_err(wrong)
}

impl ReadOnly {
    /// Compares the adapter with the journal; nothing is written, and nothing but questions sent.
    ///
    /// # Errors
    /// The adapter does not tell, or does not let go.
    pub fn compare(mut self) -> Result<(Look, Versions, PathBuf), Failure> {
        let looked = look(&mut self.adapter, &self.journal, &SystemClock::new()).map_err(|e| failed(&self.locator, &e));
        let versions = Versions::of(&mut self.adapter).map_err(|e| failed(&self.locator, &e));
        self.adapter.detach().map_err(|e| failed(&self.locator, &e))?;
        Ok((looked?, versions?, self.file))
    }
}

/// Writes down how an adapter is left, if it has a journal.
///
/// # Errors
/// The journal cannot be opened or written.
pub fn record_left(adapter: &Adapter, journal: &JournalFile, how: Left, why: Why) -> Result<Option<PathBuf>, Failure> {
    let file = file(journal, adapter.info());
    if !file.exists() {
        return Ok(None);
    }
    let mut opened = open(&file, journal, adapter.info())?;
    let at = SystemClock::new().wall().max(opened.status().last_at);
    opened.append(at, Event::Left { how, why }).map_err(|e| Failure::usage(about(&file, &e)))?;
    Ok(Some(file))
}

/// The key of a keyed journal.
///
/// # Errors
/// Its file cannot be read.
pub fn key(journal: &JournalFile) -> Result<Option<Key>, Failure> {
    journal.key.as_deref().map(read_key).transpose()
}

/// A key from its file.
///
/// # Errors
/// The file cannot be read, or is no key.
pub fn read_key(path: &Path) -> Result<Key, Failure> {
    let bytes = input::read(path, LONGEST_KEY, "a key")?;
    Key::new(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", input::name(path))))
}

impl Cause {
    /// For the journal.
    pub fn why(&self) -> Why {
        why(self.who.as_deref(), &self.reason, self.ticket.as_deref(), self.approval.as_deref())
    }
}

/// Who changes an adapter, and why.
pub fn why(who: Option<&str>, reason: &str, ticket: Option<&str>, approval: Option<&str>) -> Why {
    Why {
        who: who.map_or_else(user, str::to_owned),
        reason: reason.to_owned(),
        ticket: ticket.map(str::to_owned),
        approval: approval.map(str::to_owned),
    }
}

/// Whoever runs the program, also behind sudo; by number where there is no name.
fn user() -> String {
    let uid = nix::unistd::getuid();
    let sudo = uid.is_root().then(|| std::env::var("SUDO_USER").ok()).flatten().filter(|name| !name.is_empty());
    let named = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    sudo.or_else(named).unwrap_or_else(|| format!("uid {uid}"))
}
