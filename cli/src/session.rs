//! An adapter with its journal: where a command that changes it goes on, and takes leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::AdapterInfo;
use nicfw::clock::{SystemClock, Timestamp};
use nicfw::device::Locator;
use nicfw::firewall::{self, AdoptError, AttachError, Firewall, Found, Leave, LeaveError, Look, Recovery, Settings};
use nicfw::journal::{FileStore, Journal, JournalError, Key, Reason};
use nicfw::tables::{Compiled, Target};
use nicfw::text::escaped;

use crate::args::{Cause, Device, JournalFile};
use crate::attached::{Fingerprints, attach, chain, failed};
use crate::busy::Note;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::journals::JOURNALS;

/// Most bytes of a key's file.
const LONGEST_KEY: usize = 1 << 16;

/// A firewall that goes on where the last command stopped.
pub struct Session {
    life: Life,
    place: Place,
}

/// An adapter and its journal, which knows nothing of what the adapter holds.
pub struct UnknownAdapter {
    life: Life,
    error: AttachError,
    place: Place,
}

/// An adapter, and its journal, which cannot be written.
pub struct ReadOnly {
    life: Life,
    place: Place,
}

type Life = firewall::Session<Adapter>;

/// What there is behind a function.
pub enum Opened {
    Session(Session),
    Unknown(UnknownAdapter),
    ReadOnly(ReadOnly),
}

/// Where an adapter and its journal are.
struct Place {
    locator: Locator,
    /// The journal's file.
    file: PathBuf,
    /// The options by which both are named.
    at: String,
    /// Tells others who has the adapter; `None` if it could not be written.
    note: Option<Note>,
}

impl Place {
    /// Something failed, of which the adapter says what it holds.
    fn failed(&self, error: &dyn std::error::Error) -> Failure {
        failed(&self.locator, error)
    }

    /// Takes leave of the adapter; its rules stay.
    fn leave(&self, mut life: Life) -> Result<(), Failure> {
        match life.close() {
            Some(adapter) => adapter.detach().map_err(|e| self.failed(&e)),
            None => Ok(()),
        }
    }

    /// Takes leave because of something else.
    fn give_up(&self, life: Life, failure: Failure) -> Failure {
        match self.leave(life) {
            Ok(()) => failure,
            Err(also) => Failure { text: format!("{failure}\n{also}"), ..failure },
        }
    }
}

fn begin(adapter: Adapter, journal: Journal) -> Life {
    firewall::Session::new(adapter, journal, Arc::new(SystemClock::new()), Settings::default())
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
            Err(unknown) => Err(unknown.leave()),
        }
    }

    /// As [`Session::open`]; an adapter that the journal does not explain comes back.
    pub fn find(
        locator: &Locator,
        journal: &JournalFile,
        switch_firmware: bool,
    ) -> Result<Result<Self, UnknownAdapter>, Failure> {
        let adapter = attach(locator, journal.journal.as_deref(), switch_firmware)?;
        let file = file(journal, adapter.info());
        match open(&file, journal, adapter.info()) {
            Ok(opened) => {
                let place = place(locator, journal, file);
                Ok(Self::go_on(begin(adapter, opened), place).map_err(|unknown| *unknown))
            }
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
                let place = place(locator, named, file);
                return Ok(match Self::go_on(begin(adapter, journal), place) {
                    Ok(session) => Opened::Session(session),
                    Err(unknown) => Opened::Unknown(*unknown),
                });
            }
            Err(unopened) => unopened,
        };
        let read = || -> Result<Journal, Failure> {
            let wrong = |e: &dyn std::error::Error| Failure::usage(about(&file, e));
            let (store, key) = (FileStore::read(&file).map_err(|e| wrong(&e))?, key(named)?);
            let journal = Journal::read(Box::new(store), key.as_ref()).map_err(|e| wrong(&e))?;
            let (journals, adapters) = (journal.adapter().to_owned(), adapter.info().identity());
            if journals != adapters {
                return Err(wrong(&JournalError::Foreign { journal: journals, adapter: adapters }));
            }
            Ok(journal)
        };
        let failure = match &unopened {
            Unopened::Journal(_, JournalError::ReadOnly { .. }) => match read() {
                Ok(journal) => {
                    let life = begin(adapter, journal);
                    let place = Place { locator: locator.clone(), file, at: options(locator, named), note: None };
                    return Ok(Opened::ReadOnly(ReadOnly { life, place }));
                }
                Err(failure) => failure,
            },
            _ => Failure::from(unopened),
        };
        adapter.detach().map_err(|e| failed(locator, &e))?;
        Err(failure)
    }

    fn go_on(mut life: Life, place: Place) -> Result<Self, Box<UnknownAdapter>> {
        match life.resume() {
            Ok(_) => Ok(Self { life, place }),
            Err(error) => Err(Box::new(UnknownAdapter { life, error, place })),
        }
    }

    /// The firewall of the adapter, for questions.
    ///
    /// # Errors
    /// Nobody drives the adapter yet.
    pub fn firewall(&self) -> Result<&Firewall<Adapter>, Failure> {
        self.life.firewall().map_err(|e| self.failed(&e))
    }

    /// The firewall of the adapter.
    ///
    /// # Errors
    /// Nobody drives the adapter yet.
    pub fn firewall_mut(&mut self) -> Result<&mut Firewall<Adapter>, Failure> {
        let Self { life, place } = self;
        life.firewall_mut().map_err(|e| place.failed(&e))
    }

    /// What documents are compiled for.
    ///
    /// # Errors
    /// The session has no adapter.
    pub fn target(&self) -> Result<&Target, Failure> {
        self.life.target().map_err(|e| self.failed(&e))
    }

    /// By which `until` is decided.
    ///
    /// # Errors
    /// As [`Session::target`].
    pub fn date(&self) -> Result<Timestamp, Failure> {
        self.life.date().map_err(|e| self.failed(&e))
    }

    /// What was found.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.life.recovery()
    }

    /// The journal's file.
    pub fn file(&self) -> &Path {
        &self.place.file
    }

    /// Tells others what this program does for longer.
    pub fn say(&mut self, doing: &str) {
        if let Some(Err(error)) = self.place.note.as_mut().map(|note| note.say(doing)) {
            log::warn!("{}: {error}", self.place.file.display());
        }
    }

    /// What was found, if it is worth a line.
    pub fn found(&self) -> Option<String> {
        let Recovery { found, commands, rolled_back, .. } = self.recovery()?;
        let mut text = match found {
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
        if let Some(change) = rolled_back {
            let text = text.get_or_insert_default();
            let more = format!("change {change} was not confirmed in time: it is rolled back");
            *text = if text.is_empty() { more } else { format!("{text}; {more}") };
        }
        text.map(|text| format!("{}: {text}\n", self.place.locator))
    }

    /// Takes the adapter over, whatever it holds.
    ///
    /// # Errors
    /// It could not be loaded; then it may drop all traffic, and that is said with the ways out.
    pub fn adopt(self, compiled: &Compiled, why: Reason) -> Result<Self, Failure> {
        let Self { mut life, place } = self;
        let adopted = life.adopt(compiled, why);
        Self::loaded(adopted, life, place)
    }

    /// Loads what the journal says.
    ///
    /// # Errors
    /// As [`Session::adopt`].
    pub fn repair(self, why: Reason) -> Result<Self, Failure> {
        let Self { mut life, place } = self;
        let repaired = life.repair(why);
        Self::loaded(repaired, life, place)
    }

    fn loaded(loaded: Result<(), AdoptError>, life: Life, place: Place) -> Result<Self, Failure> {
        match loaded {
            Ok(()) => Ok(Self { life, place }),
            Err(error) => {
                let mut failure = place.failed(&error);
                // An adapter that drops all traffic stays so: what was loaded does not protect everybody.
                if matches!(error, AdoptError::Command { blocked: true, .. }) {
                    failure.text += &format!(
                        ". Apply again; or, to let everything pass: nicfw detach {} --leave empty \
                         --reason TEXT",
                        place.at
                    );
                }
                Err(failure)
            }
        }
    }

    /// The function that drives the adapter.
    pub fn locator(&self) -> &Locator {
        &self.place.locator
    }

    /// The options by which this adapter and its journal are named.
    pub fn at(&self) -> &str {
        &self.place.at
    }

    /// Something failed, of which the adapter says what it holds.
    pub fn failed(&self, error: &dyn std::error::Error) -> Failure {
        self.place.failed(error)
    }

    /// Takes leave of the adapter; its rules stay.
    ///
    /// # Errors
    /// The adapter does not let go.
    pub fn leave(self) -> Result<(), Failure> {
        self.place.leave(self.life)
    }

    /// Something failed: takes leave, and says what failed.
    pub fn fail(self, error: &dyn std::error::Error) -> Failure {
        let failure = self.failed(error);
        self.give_up(failure)
    }

    /// Takes leave of the adapter because of something else.
    pub fn give_up(self, failure: Failure) -> Failure {
        self.place.give_up(self.life, failure)
    }
}

impl UnknownAdapter {
    /// For taking the adapter over: nobody drives it from here on.
    pub fn into_session(self) -> Session {
        Session { life: self.life, place: self.place }
    }

    /// The journal's file.
    pub fn file(&self) -> &Path {
        &self.place.file
    }

    /// Writes down that somebody else has changed the tables, and takes leave.
    ///
    /// # Errors
    /// The journal does not take it, or the adapter does not let go.
    pub fn record_drift(mut self) -> Result<(), Failure> {
        self.life.note_drift(&self.error).map_err(|e| self.place.failed(&e))?;
        self.place.leave(self.life)
    }

    /// The options by which this adapter and its journal are named.
    pub fn at(&self) -> &str {
        &self.place.at
    }

    /// Why the journal does not explain what the adapter holds.
    pub fn error(&self) -> &AttachError {
        &self.error
    }

    /// Takes leave of the adapter, and says why and what the way out is.
    pub fn leave(self) -> Failure {
        let Self { life, error, place } = self;
        let mut failure = place.failed(&error);
        let way_out = match error {
            AttachError::New | AttachError::Left { .. } | AttachError::Foreign { .. } => {
                if matches!(error, AttachError::Foreign { .. }) {
                    failure.exit = Exit::Drift;
                }
                format!(
                    ". Nothing was changed. To drop what it holds and load a policy, with all traffic of the adapter blocked \
                     meanwhile: nicfw apply FILE {} --adopt --reason TEXT",
                    place.at
                )
            }
            _ => String::new(),
        };
        failure.text += &way_out;
        place.give_up(life, failure)
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

/// Takes the note of the journal, whose lock is held.
fn place(locator: &Locator, journal: &JournalFile, file: PathBuf) -> Place {
    let note = Note::take(&file, locator).inspect_err(|e| log::warn!("{}: {e}", file.display())).ok();
    Place { locator: locator.clone(), file, at: options(locator, journal), note }
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
    Journal::open(Box::new(store), &info.identity(), key.as_ref()).map_err(wrong)
}

impl ReadOnly {
    /// Compares the adapter with the journal; nothing is written, and nothing but questions sent.
    ///
    /// # Errors
    /// The adapter does not tell, or does not let go.
    pub fn compare(self) -> Result<(Look, Fingerprints, PathBuf), Failure> {
        let Self { mut life, place } = self;
        let looked = life.look().map_err(|e| place.failed(&e));
        let adapter = life.engine().map_err(|e| place.failed(&e))?;
        let fingerprints = Fingerprints::of(adapter).map_err(|e| place.failed(&e));
        place.leave(life)?;
        Ok((looked?, fingerprints?, place.file))
    }
}

/// Leaves an adapter as told: also one of which nothing is known, and one without a journal. Says what it holds then.
///
/// # Errors
/// The adapter or its journal cannot be opened, or a command fails, and it is said what the adapter does.
pub fn leave(locator: &Locator, journal: &JournalFile, how: Leave, why: Reason) -> Result<Fingerprints, Failure> {
    let adapter = attach(locator, journal.journal.as_deref(), false)?;
    let file = file(journal, adapter.info());
    // That its rules decide is no news for a journal.
    let opened = match how {
        Leave::Blocked | Leave::Empty if file.exists() => open(&file, journal, adapter.info())?,
        _ => Journal::in_memory(),
    };
    let mut adapter = begin(adapter, opened).leave(how, why).map_err(|e| match e {
        LeaveError::Journal(e) => Failure::usage(about(&file, &e)),
        e => failed(locator, &e),
    })?;
    let fingerprints = Fingerprints::of(&mut adapter).map_err(|e| failed(locator, &e))?;
    adapter.detach().map_err(|e| failed(locator, &e))?;
    Ok(fingerprints)
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
    pub fn why(&self) -> Reason {
        why(self.who.as_deref(), &self.reason, self.ticket.as_deref(), self.approval.as_deref())
    }
}

/// Who changes an adapter, and why.
pub fn why(who: Option<&str>, reason: &str, ticket: Option<&str>, approval: Option<&str>) -> Reason {
    let mut why = Reason::new(&who.map_or_else(user, str::to_owned), reason);
    why.ticket = ticket.map(str::to_owned);
    why.approval = approval.map(str::to_owned);
    why
}

/// Whoever runs the program, also behind sudo; by number where there is no name.
fn user() -> String {
    let uid = nix::unistd::getuid();
    let sudo = uid.is_root().then(|| std::env::var("SUDO_USER").ok()).flatten().filter(|name| !name.is_empty());
    let named = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    sudo.or_else(named).unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use nicfw::clock::VirtualClock;
    use nicfw::journal::{Begin, ChangeKind, Content, Delta, Event, Head, MemoryStore, Reason, Store};

    use super::*;

    const ADAPTER: &str = "1924:0a03 02:00:00:00:00:01";
    /// Of Linux.
    const EIO: i32 = 5;

    /// A disk that takes bytes, and fails to make them durable: after so many times that it does, so often.
    struct Failing {
        store: MemoryStore,
        calm: usize,
        times: usize,
    }

    impl Store for Failing {
        fn len(&mut self) -> io::Result<u64> {
            self.store.len()
        }

        fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
            self.store.read_at(at, into)
        }

        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.store.append(bytes)
        }

        fn sync(&mut self) -> io::Result<()> {
            if let Some(left) = self.calm.checked_sub(1) {
                self.calm = left;
            } else if let Some(left) = self.times.checked_sub(1) {
                self.times = left;
                return Err(io::Error::from_raw_os_error(EIO));
            }
            self.store.sync()
        }

        fn truncate(&mut self, len: u64) -> io::Result<()> {
            self.store.truncate(len)
        }

        fn remember(&mut self, head: &Head) -> io::Result<()> {
            self.store.remember(head)
        }

        fn remembered(&mut self) -> io::Result<Option<Head>> {
            self.store.remembered()
        }
    }

    /// What the program prints of a journal that was there before its disk began to fail.
    fn said(calm: usize, times: usize) -> String {
        let store = MemoryStore::new();
        drop(Journal::open(Box::new(store.clone()), ADAPTER, None).unwrap());
        let record = || {
            let mut journal = Journal::open(Box::new(Failing { store, calm, times }), ADAPTER, None)?;
            let mut goal = Content::default();
            goal.name = "web.yaml".into();
            let delta = Delta::between(&Content::default(), &goal);
            let begin = Begin::new(ChangeKind::Adopt, Reason::new("ann", "first rules"), delta);
            journal.append(VirtualClock::START, Event::Begin(begin))
        };
        about(Path::new("nic.journal"), &record().unwrap_err())
    }

    /// To open a journal makes durable what is there, a record makes itself so, and taking it back must last, too.
    #[test]
    fn a_disk_that_fails_to_make_durable_is_told_with_the_systems_reason() {
        let (reason, as_before) = ("Input/output error (os error 5)", "the journal is as it was before");
        let failed = |op: &str| format!("nic.journal: the journal's storage failed to {op}; {as_before}: {reason}");
        assert_eq!((said(0, 1), said(1, 1)), (failed("sync"), failed("take a record")));
        let broken = said(1, 2);
        assert!(
            broken.starts_with("nic.journal: a write to the journal failed and could not be taken back"),
            "{broken}"
        );
        assert!(broken.ends_with(&format!(": {reason}")), "{broken}");
    }
}
