//! The records of one adapter, each chained to the one before.

use std::time::Duration;

use super::frame::{Place, frame};
use super::hash::Hashing;
use super::header::Header;
use super::replay::Checkpoints;
use super::{
    Begin, ChangeKind, Content, Event, Hash, Head, JournalError, Key, MemoryStore, Reason, Record, Status, Store,
    frame, header, wire,
};
use crate::clock::Timestamp;

/// How far the clock may be set back without being noticed: adjustments by a time service.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// A journal that is open.
pub struct Journal {
    pub(super) store: Box<dyn Store>,
    pub(super) hashing: Hashing,
    pub(super) header: Header,
    /// The header's hash and length.
    pub(super) start: (Hash, u64),
    pub(super) places: Vec<Place>,
    /// Numbers of the records that begin a change.
    pub(super) changes: Vec<u64>,
    pub(super) end: u64,
    pub(super) status: Status,
    pub(super) checkpoints: Checkpoints,
    pub(super) mode: Mode,
    pub(super) cut: Option<Cut>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Writing,
    Reading,
    Broken,
}

/// A torn record that was found when the journal was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The number that it would have had; 0 = the header.
    pub record: u64,
    /// Where it begins.
    pub at: u64,
    /// Its bytes.
    pub len: u64,
}

impl Journal {
    /// Opens a journal for writing; an empty store becomes a new one. `adapter` names who it is about, as in
    /// `1924:0a03 02:00:00:00:00:01`. A record that a crash has torn is cut off.
    ///
    /// # Errors
    /// [`JournalError`]; the store is unchanged but for a torn record.
    pub fn open(mut store: Box<dyn Store>, adapter: &str, key: Option<&Key>) -> Result<Self, JournalError> {
        let hashing = Hashing::new(key);
        let header = Header::new(adapter, &hashing)?;
        let len = store.len().map_err(|source| JournalError::of("tell its length", source))?;
        let torn = len > 0 && is_torn_header(&mut *store, len, &header.encode())?;
        if torn {
            store.truncate(0).map_err(|source| JournalError::of("cut off a torn header", source))?;
        }
        if torn || len == 0 {
            write_header(&mut *store, &header)?;
        }
        let mut journal = Self::load(store, key, Mode::Writing)?;
        if journal.header.adapter != adapter {
            let adapter = adapter.to_owned();
            return Err(JournalError::Foreign { journal: journal.header.adapter, adapter });
        }
        if len > 0 && !torn {
            journal.check_noted()?;
        }
        if let Some(cut) = journal.cut {
            log::warn!("the journal's record {} was torn by a crash: {} bytes are cut off", cut.record, cut.len);
            journal.store.truncate(cut.at).map_err(|source| JournalError::of("cut off a torn record", source))?;
        }
        // A process that died may have left records that were written and are not yet durable.
        journal.store.sync().map_err(|source| JournalError::of("sync", source))?;
        journal.note_head();
        if torn {
            journal.cut = Some(Cut { record: 0, at: 0, len });
        }
        Ok(journal)
    }

    /// Refuses a journal that lacks the record which is noted beside it as its last.
    fn check_noted(&mut self) -> Result<(), JournalError> {
        let noted = self.store.remembered().map_err(|source| JournalError::of("tell its last record", source))?;
        let Some(head) = noted else { return Ok(()) };
        let found = match head.number.checked_sub(1) {
            None => Some(self.start.0),
            Some(at) => usize::try_from(at).ok().and_then(|at| self.places.get(at)).map(|place| place.hash),
        };
        if found == Some(head.hash) { Ok(()) } else { Err(JournalError::Shortened { head, found }) }
    }

    /// An older note is as true as a new one.
    fn note_head(&mut self) {
        if let Err(error) = self.store.remember(&self.head()) {
            log::warn!("the journal's last record is not noted beside it: {error}");
        }
    }

    /// A journal of an adapter that nobody named, in memory: it ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        let hashing = Hashing::new(None);
        let header = Header::unnamed();
        let bytes = header.encode();
        let (start, end) = ((hashing.of(&[&bytes]), bytes.len() as u64), bytes.len() as u64);
        Self {
            store: Box::new(MemoryStore::with(bytes)),
            hashing,
            header,
            start,
            places: Vec::new(),
            changes: Vec::new(),
            end,
            status: Status::default(),
            checkpoints: Checkpoints::default(),
            mode: Mode::Writing,
            cut: None,
        }
    }

    /// Opens a journal for queries alone; somebody else may be writing it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(store: Box<dyn Store>, key: Option<&Key>) -> Result<Self, JournalError> {
        Self::load(store, key, Mode::Reading)
    }

    fn load(mut store: Box<dyn Store>, key: Option<&Key>, mode: Mode) -> Result<Self, JournalError> {
        let hashing = Hashing::new(key);
        let end = store.len().map_err(|source| JournalError::of("tell its length", source))?;
        let (header, bytes) = Header::read(&mut *store, end)?;
        if header.format < header::FORMAT {
            return Err(JournalError::Older { format: header.format, known: header::FORMAT });
        }
        header.check_key(key)?;
        let start = (hashing.of(&[&bytes]), bytes.len() as u64);
        let (places, changes, checkpoints) = (Vec::new(), Vec::new(), Checkpoints::default());
        let status = Status::default();
        let mut out =
            Self { store, hashing, header, start, places, changes, end, status, checkpoints, mode, cut: None };
        out.replay()?;
        Ok(out)
    }

    /// Reads all records.
    fn replay(&mut self) -> Result<(), JournalError> {
        let Self { store, hashing, start, places, changes, end, status, checkpoints, .. } = self;
        let len = *end;
        let walked = frame::walk(&mut **store, start.1, start.0, len, hashing, |record, place| {
            let out_of_order = |what| JournalError::damaged(record.number, place.at, format!("out of order: {what}"));
            check_target(changes, &record.event).map_err(out_of_order)?;
            status.take(record.number, record.at, &record.event).map_err(out_of_order)?;
            index_record(places, changes, place, record.number, &record.event);
            checkpoints.take(record.number, status);
            Ok(())
        })?;
        *end = walked.end;
        let record = self.places.len() as u64 + 1;
        self.cut = walked.torn.then_some(Cut { record, at: walked.end, len: len.saturating_sub(walked.end) });
        Ok(())
    }

    /// Adds a record and returns its number. It is durable then.
    ///
    /// # Errors
    /// [`JournalError`]. Nothing was added, and the journal can be used as before; after [`JournalError::Broken`] it must
    /// be opened again, which tells whether the record is there.
    pub fn append(&mut self, at: Timestamp, event: Event) -> Result<u64, JournalError> {
        match self.mode {
            Mode::Writing => {}
            Mode::Reading => return Err(JournalError::ReadOnly { source: None }),
            Mode::Broken => return Err(JournalError::Broken { source: None }),
        }
        let last = self.status.last_at;
        let at = match event {
            Event::Clock { .. } => at,
            _ if self.is_ahead_of(at) => return Err(JournalError::ClockBack { last, now: at }),
            _ => at.max(last),
        };
        let number = self.head().number + 1;
        let out_of_order = |what| JournalError::OutOfOrder { what };
        check_target(&self.changes, &event).map_err(out_of_order)?;
        let mut status = self.status.clone();
        status.take(number, at, &event).map_err(out_of_order)?;
        let unwritable = |what: String| JournalError::Unwritable { what };
        event.check_texts().map_err(|(what, error)| unwritable(format!("{what}: {error}")))?;
        let payload = wire::encode(number, at, &event).map_err(|error| unwritable(error.to_string()))?;
        // What cannot be read again must not be written.
        let same = wire::decode(&payload).is_ok_and(|again| again == (number, at, event.clone()));
        if !same {
            return Err(unwritable("it holds a value that the format cannot say".into()));
        }
        let too_long = || unwritable(format!("it has {} bytes, at most {} fit", payload.len(), frame::MAX_PAYLOAD));
        let (bytes, hash) = frame(&payload, self.head().hash, &self.hashing).ok_or_else(too_long)?;
        self.write(&bytes)?;
        let place = Place { at: self.end, len: bytes.len() as u64, hash, date: at };
        self.end = self.end.saturating_add(place.len);
        index_record(&mut self.places, &mut self.changes, place, number, &event);
        self.status = status;
        self.checkpoints.take(number, &self.status);
        self.note_head();
        Ok(number)
    }

    /// True if a clock that shows `now` cannot be believed: the last record is younger by more than a time service adjusts.
    #[must_use]
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.status.last_at.since(now) > CLOCK_SLACK
    }

    /// The date: the later of what the clock shows and of the last record's.
    #[must_use]
    pub fn date(&self, now: Timestamp) -> Timestamp {
        now.max(self.status.last_at)
    }

    /// Notes that the clock had been ahead when the last record was written, and is right now: dates go on from `now`.
    /// Returns the record's number.
    ///
    /// # Errors
    /// [`JournalError::OutOfOrder`] if a change has not ended or waits for confirmation, or the clock is not behind; else as
    /// [`Journal::append`].
    pub fn accept_clock(&mut self, now: Timestamp, why: Reason) -> Result<u64, JournalError> {
        let was = self.status.last_at;
        self.append(now, Event::Clock { was, why })
    }

    /// Adds bytes and makes them durable, or takes them back.
    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let Err(source) = self.store.append(bytes).and_then(|()| self.store.sync()) else { return Ok(()) };
        if let Err(also) = self.store.truncate(self.end).and_then(|()| self.store.sync()) {
            log::error!("a write to the journal failed ({source}), and could not be taken back ({also})");
            self.mode = Mode::Broken;
            return Err(JournalError::Broken { source: Some(source) });
        }
        Err(match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                JournalError::Full { len: bytes.len(), source }
            }
            _ => JournalError::of("take a record", source),
        })
    }

    /// Number and hash of the last record.
    #[must_use]
    pub fn head(&self) -> Head {
        let hash = self.places.last().map_or(self.start.0, |place| place.hash);
        Head { number: self.places.len() as u64, hash }
    }

    /// What the records say about the adapter.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Who the journal is about.
    #[must_use]
    pub fn adapter(&self) -> &str {
        &self.header.adapter
    }

    /// Whether only the holder of a key can go on with it.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.header.keyed
    }

    /// Its length in bytes, without a torn record.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.end
    }

    /// What was torn when the journal was opened. [`Journal::open`] has cut it off.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Numbers of the changes, rising.
    #[must_use]
    pub fn changes(&self) -> &[u64] {
        &self.changes
    }

    /// The record with a number.
    ///
    /// # Errors
    /// [`JournalError::NoSuch`], or what is wrong with the store.
    pub fn record(&mut self, number: u64) -> Result<Record, JournalError> {
        let none = JournalError::NoSuch { what: "record", number, last: self.head().number };
        let at = number.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let Some((at, place)) = at.and_then(|at| Some((at, *self.places.get(at)?))) else { return Err(none) };
        let before = at.checked_sub(1).and_then(|at| self.places.get(at)).map_or(self.start.0, |place| place.hash);
        match frame::read(&mut *self.store, number, place.at, before, self.end, &self.hashing)? {
            Some((record, found)) if found == place => Ok(record),
            _ => Err(JournalError::damaged(number, place.at, "it is another than when the journal was opened")),
        }
    }

    /// All records, the first one first.
    pub fn records(&mut self) -> impl Iterator<Item = Result<Record, JournalError>> {
        (1..=self.head().number).map(|number| self.record(number))
    }

    /// All records for other programs, each as one line of JSON with number, date, hash and event; the format is that of the
    /// file's payloads.
    pub fn export(&mut self) -> impl Iterator<Item = Result<String, JournalError>> {
        self.records().map(|record| {
            let unwritable = |error: wire::WireError| JournalError::Unwritable { what: error.to_string() };
            wire::line(&record?).map_err(unwritable)
        })
    }

    /// What the records up to this one say; 0 = before the first.
    ///
    /// # Errors
    /// [`JournalError::NoSuch`], or what is wrong with the store.
    pub fn status_after(&mut self, number: u64) -> Result<Status, JournalError> {
        let last = self.head().number;
        if number > last {
            return Err(JournalError::NoSuch { what: "record", number, last });
        }
        let (from, mut status) = self.checkpoints.before(number);
        for next in from + 1..=number {
            let record = self.record(next)?;
            let out_of_order = |what| JournalError::OutOfOrder { what };
            status.take(next, record.at, &record.event).map_err(out_of_order)?;
        }
        Ok(status)
    }

    /// What the adapter held after the change with that number; 0 = before the first. A change that was taken back or
    /// recovered from leaves what was there before it.
    ///
    /// # Errors
    /// [`JournalError::NoSuch`] also if the change has not ended.
    pub fn content_at(&mut self, number: u64) -> Result<Content, JournalError> {
        let last = self.head().number;
        let none = JournalError::NoSuch { what: "change that has ended, with the number", number, last };
        if number > 0 && self.changes.binary_search(&number).is_err() {
            return Err(none);
        }
        let mut status = self.status_after(number)?;
        for next in number + 1..=last {
            if status.pending.is_none() {
                break;
            }
            let record = self.record(next)?;
            let out_of_order = |what| JournalError::OutOfOrder { what };
            status.take(next, record.at, &record.event).map_err(out_of_order)?;
        }
        if status.pending.is_some() { Err(none) } else { Ok(status.content) }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({}, {})", self.header.adapter, self.head())
    }
}

/// A rollback goes to a change that there is.
fn check_target(changes: &[u64], event: &Event) -> Result<(), &'static str> {
    match event {
        Event::Begin(Begin { kind: ChangeKind::Rollback { to }, .. })
            if *to > 0 && changes.binary_search(to).is_err() =>
        {
            Err("a rollback to a change that there is not")
        }
        _ => Ok(()),
    }
}

fn index_record(places: &mut Vec<Place>, changes: &mut Vec<u64>, place: Place, number: u64, event: &Event) {
    places.push(place);
    if matches!(event, Event::Begin(_)) {
        changes.push(number);
    }
}

/// True if the store holds no more than the first part of the header that it is to have, or zeros: a crash at its birth.
fn is_torn_header(store: &mut dyn Store, len: u64, header: &[u8]) -> Result<bool, JournalError> {
    let Some(len) = usize::try_from(len).ok().filter(|len| *len <= header.len()) else { return Ok(false) };
    let mut bytes = vec![0; len];
    store.read_at(0, &mut bytes).map_err(|source| JournalError::of("read", source))?;
    let written = bytes.iter().zip(header).take_while(|(a, b)| a == b).count();
    Ok(bytes != header && bytes.iter().skip(written).all(|byte| *byte == 0))
}

/// Writes the header into an empty store.
fn write_header(store: &mut dyn Store, header: &Header) -> Result<(), JournalError> {
    let Err(source) = store.append(&header.encode()).and_then(|()| store.sync()) else { return Ok(()) };
    if let Err(also) = store.truncate(0) {
        // The next to open it finds a torn header.
        log::warn!("the header of a new journal could not be taken back: {also}");
    }
    Err(JournalError::of("take the header", source))
}
