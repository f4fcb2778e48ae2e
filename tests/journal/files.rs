//! Journals in files: one writer, readers beside it, and what the file system says.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use nicfw::journal::{Event, FileStore, Journal, JournalError, Store};

use crate::story::{ADAPTER, Story};

/// A directory that goes with the test.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nicfw-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &PathBuf) -> Result<Journal, JournalError> {
    Journal::open(Box::new(FileStore::open(path)?), ADAPTER, None)
}

#[test]
fn a_file_holds_what_a_store_in_memory_holds() {
    let dir = Dir::new("same");
    let (path, mut story) = (dir.file("j"), Story::full(None));
    let mut journal = open(&path).unwrap();
    for record in story.journal.records() {
        let record = record.unwrap();
        journal.append(record.at, record.event).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), story.store.bytes());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(journal);
    // A crash before the last record was acknowledged: it is not noted.
    fs::remove_file(dir.file("j.head")).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().set_len(story.store.bytes().len() as u64 - 5).unwrap();
    let journal = open(&path).unwrap();
    assert_eq!((journal.head().number, journal.cut().unwrap().record), (20, 21));
    assert_eq!(fs::metadata(&path).unwrap().len(), journal.size());
}

#[test]
fn a_second_writer_is_refused_with_the_process_of_the_first() {
    let dir = Dir::new("locked");
    let path = dir.file("j");
    let first = open(&path).unwrap();
    let refused = |lock: &str| {
        let error = open(&path).unwrap_err();
        let pid = Some(std::process::id());
        assert!(matches!(&error, JournalError::Locked { pid: told, .. } if *told == pid), "{lock}: {error}");
        assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    };
    refused("both");
    let mut reader = Journal::read(Box::new(FileStore::read(&path).unwrap()), None).unwrap();
    assert_eq!(reader.verify(None).unwrap().records, 0);
    fs::remove_file(dir.file("j.lock")).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "without the lock file: {error}");
    drop(first);
    open(&path).unwrap();
}

#[test]
fn what_cannot_be_a_journal_is_refused_and_not_touched() {
    let dir = Dir::new("odd");
    let odd = |error: JournalError| assert!(matches!(error, JournalError::NotAJournal { .. }), "{error}");
    odd(FileStore::open(&dir.0).unwrap_err());
    odd(FileStore::read(&dir.0).unwrap_err());
    let text = dir.file("policy.yaml");
    fs::write(&text, crate::story::SHOP).unwrap();
    odd(open(&text).unwrap_err());
    assert_eq!(fs::read_to_string(&text).unwrap(), crate::story::SHOP);
    assert!(matches!(FileStore::read(dir.file("none")), Err(JournalError::Store { .. })));
    assert!(matches!(FileStore::open(dir.file("none/j")), Err(JournalError::Store { .. })));
    symlink("/dev/null", dir.file("null")).unwrap();
    odd(FileStore::open(dir.file("null")).unwrap_err());
}

#[test]
fn a_store_for_reading_writes_nothing() {
    let dir = Dir::new("read");
    let path = dir.file("j");
    let mut journal = open(&path).unwrap();
    journal.append(nicfw::clock::VirtualClock::START, Event::Committed { version: None }).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut store = FileStore::read(&path).unwrap();
    assert!(store.append(b"x").is_err() && store.truncate(0).is_err() && store.sync().is_err());
    drop(journal);
    let error = Journal::open(Box::new(store), ADAPTER, None).unwrap_err();
    assert!(matches!(error, JournalError::ReadOnly { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_journal_that_was_cut_off_is_found_by_what_is_noted_beside_it() {
    let dir = Dir::new("cut-off");
    let (path, note) = (dir.file("j"), dir.file("j.head"));
    let mut journal = open(&path).unwrap();
    let mut ends = Vec::new();
    for _ in 0..5 {
        journal.append(nicfw::clock::VirtualClock::START, Event::Committed { version: None }).unwrap();
        ends.push(usize::try_from(journal.size()).unwrap());
    }
    let head = journal.head();
    drop(journal);
    assert_eq!(fs::read_to_string(&note).unwrap(), format!("{head}\n"));
    let whole = fs::read(&path).unwrap();
    let verify = |anchor| Journal::read(Box::new(FileStore::read(&path).unwrap()), None).unwrap().verify(anchor);
    assert_eq!(verify(None).unwrap().noted, Some(head));
    // Between two records, and in the middle of the last.
    for end in [ends[0], ends[2], ends[3], ends[3] + 1, ends[4] - 1] {
        fs::write(&path, &whole[..end]).unwrap();
        let error = verify(None).unwrap_err();
        assert!(matches!(error, JournalError::Shortened { head: noted, found: None } if noted == head), "{error}");
        assert!(matches!(verify(Some(&head)), Err(JournalError::Rewritten { .. })), "cut at {end}");
        assert!(matches!(open(&path), Err(JournalError::Shortened { .. })), "cut at {end}");
        assert_eq!(fs::read(&path).unwrap().len(), end, "it is as it was");
    }
    // Where nothing is noted, or half a line, nothing tells; the next writer notes what there is.
    for left in [None, Some("5:00"), Some("")] {
        fs::write(&path, &whole[..ends[2]]).unwrap();
        match left {
            None => fs::remove_file(&note).unwrap(),
            Some(text) => fs::write(&note, text).unwrap(),
        }
        let verified = verify(None).unwrap();
        assert_eq!((verified.records, verified.noted), (3, None));
        drop(open(&path).unwrap());
        assert_eq!(verify(None).unwrap().noted.map(|head| head.number), Some(3));
    }
    // A new journal in the place of one that was moved away.
    fs::remove_file(&path).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(verify(None).unwrap().noted.map(|head| head.number), Some(0));
}

#[test]
fn dates_go_on_where_somebody_says_that_the_clock_had_been_ahead() {
    let dir = Dir::new("clock");
    let path = dir.file("j");
    let mut journal = open(&path).unwrap();
    let at = |text: &str| text.parse::<nicfw::clock::Timestamp>().unwrap();
    let committed = || Event::Committed { version: None };
    journal.append(at("2026-11-23T08:00:00Z"), committed()).unwrap();
    let (ahead, now) = (at("2407-01-01T00:00:00Z"), at("2026-11-23T09:00:00Z"));
    journal.append(ahead, committed()).unwrap();
    assert!(matches!(journal.append(now, committed()), Err(JournalError::ClockBack { .. })));
    assert_eq!(journal.date(now), ahead);
    assert!(journal.accept_clock(at("2407-01-01T00:00:01Z"), "no".into()).is_err(), "it is not behind");
    let why = nicfw::journal::Reason::new("ann", "RTC");
    assert_eq!(journal.accept_clock(now, why.clone()).unwrap(), 3);
    assert!(journal.accept_clock(now, why).is_err(), "once is enough");
    journal.append(at("2026-11-23T10:00:00Z"), committed()).unwrap();
    drop(journal);
    let mut journal = open(&path).unwrap();
    assert_eq!(journal.verify(None).unwrap().records, 4);
    for (moment, record) in [("07", 0), ("08", 1), ("09", 3), ("10", 4), ("11", 4)] {
        let when = nicfw::journal::When::Time(at(&format!("2026-11-23T{moment}:00:00Z")));
        assert_eq!(journal.last_record(when).unwrap(), record, "{moment}");
    }
}
