//! Older and frozen formats.

use std::fs;

use nicfw::journal::{ChangeKind, FileStore, Journal, JournalError, MemoryStore, migrate};

use crate::files::Dir;
use crate::story::{ADAPTER, Story, key};

/// A journal of format 1, and the same history in format 2; `tests/data/journal/README.md` says how they came about.
const FORMAT_1: &[u8] = include_bytes!("../data/journal/format1");
const FORMAT_1_KEYED: &[u8] = include_bytes!("../data/journal/format1-keyed");
const FORMAT_2: &[u8] = include_bytes!("../data/journal/format2");

#[test]
fn the_format_stays_what_it_is() {
    let mut journal = Journal::read(Box::new(MemoryStore::with(FORMAT_2.to_vec())), None).unwrap();
    assert_eq!(journal.verify(None).unwrap().records, 21);
    assert_eq!(journal.adapter(), ADAPTER);
    let kinds: Vec<_> = journal.history().unwrap().iter().map(|change| change.kind).collect();
    assert_eq!((kinds[0], kinds[2]), (ChangeKind::Adopt, ChangeKind::Rollback { to: 1 }));
    // What is written is what was written when the file was made.
    let mut story = Story::new(None);
    for record in journal.records().map(Result::unwrap) {
        story.journal.append(record.at, record.event).unwrap();
    }
    assert!(story.store.bytes() == FORMAT_2, "the bytes of the format have changed");
}

#[test]
fn an_older_journal_is_refused_until_it_is_migrated() {
    for (bytes, key) in [(FORMAT_1, None), (FORMAT_1_KEYED, Some(key()))] {
        let key = key.as_ref();
        let dir = Dir::new(if key.is_some() { "older-keyed" } else { "older" });
        let path = dir.file("j");
        fs::write(&path, bytes).unwrap();
        let store = FileStore::open(&path).unwrap();
        let error = Journal::open(Box::new(store), ADAPTER, key).unwrap_err();
        assert!(matches!(error, JournalError::Older { format: 1, known: 2 }), "{error}");
        assert!(error.to_string().contains("nicfw journal FILE migrate"), "{error}");
        let done = migrate(&path, key).unwrap().unwrap();
        assert_eq!((done.from, done.records, done.kept.clone()), (1, 21, dir.file("j.format1")));
        assert_eq!(fs::read(&done.kept).unwrap(), bytes);
        let mut journal = Journal::open(Box::new(FileStore::open(&path).unwrap()), ADAPTER, key).unwrap();
        assert_eq!(journal.verify(Some(&done.after)).unwrap().records, 21);
        let mut story = Story::full(key);
        for number in 0..=21 {
            let (mut ours, mut theirs) =
                (journal.status_after(number).unwrap(), story.journal.status_after(number).unwrap());
            for status in [&mut ours, &mut theirs] {
                status.pending.iter_mut().for_each(|pending| pending.begin.why.approval = None);
            }
            assert_eq!(ours, theirs, "record {number}");
        }
        let left: Vec<_> = fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 4, "the journal, its lock, its head and the older one: {left:?}");
        drop(journal);
        assert_eq!(migrate(&path, key).unwrap(), None, "nothing is left to do");
    }
}

#[test]
fn a_migration_that_cannot_be_done_leaves_all_as_it_was() {
    let dir = Dir::new("stays");
    let path = dir.file("j");
    let mut damaged = FORMAT_1.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(matches!(migrate(&path, None), Err(JournalError::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), damaged);
    fs::write(&path, FORMAT_1_KEYED).unwrap();
    assert!(matches!(migrate(&path, None), Err(JournalError::KeyMissing)));
    let other = nicfw::journal::Key::new(&[7; 16]).unwrap();
    assert!(matches!(migrate(&path, Some(&other)), Err(JournalError::Damaged { record: 1, .. })));
    assert_eq!(fs::read(&path).unwrap(), FORMAT_1_KEYED);
    assert!(!dir.file("j.migrating").exists() && !dir.file("j.format1").exists());
    assert!(matches!(migrate(dir.file("none"), None), Err(JournalError::Store { .. })));
    assert!(!dir.file("none").exists());
}
