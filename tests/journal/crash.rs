//! Crashes and failing storage: an acknowledged record is there afterwards, one that was not is there as a whole or not at all.

use std::io::ErrorKind;

use nicfw::journal::{ChangeKind, Event, Fault, Journal, JournalError, MemoryStore};

use crate::story::{ADAPTER, Story, begin, bounds, done, header_len};

fn reopened(store: MemoryStore) -> Journal {
    Journal::open(Box::new(store), ADAPTER, None).unwrap()
}

#[test]
fn every_event_is_read_back_as_it_was_written() {
    for key in [None, Some(crate::story::key())] {
        let mut story = Story::full(key.as_ref());
        let records: Vec<_> = story.journal.records().map(Result::unwrap).collect();
        let mut again = Journal::read(Box::new(story.store.clone()), key.as_ref()).unwrap();
        assert_eq!(again.records().map(Result::unwrap).collect::<Vec<_>>(), records);
        assert_eq!((again.status(), again.head()), (story.journal.status(), story.journal.head()));
        assert_eq!((records.len(), again.cut()), (21, None));
        let words: std::collections::BTreeSet<_> = records.iter().map(|record| record.event.word()).collect();
        assert_eq!(words.len(), 15, "{words:?}");
        let last = again.status().change.unwrap();
        assert_eq!(again.content_at(last).unwrap(), again.status().content);
    }
}

#[test]
fn a_record_torn_at_any_byte_is_cut_off_and_the_next_one_follows() {
    let mut story = Story::full(None);
    let bytes = story.store.bytes();
    let before = *bounds(&bytes, header_len(false)).iter().rev().nth(1).unwrap();
    let status = story.journal.status_after(20).unwrap();
    for kept in before..bytes.len() {
        let store = MemoryStore::with(bytes[..kept].to_vec());
        let read = Journal::read(Box::new(store.clone()), None).unwrap();
        assert_eq!((read.head().number, read.status()), (20, &status), "{kept}");
        let mut journal = reopened(store.clone());
        assert_eq!(journal.cut().is_some(), kept > before);
        assert_eq!(store.bytes(), bytes[..before], "{kept}");
        let change = journal.status().pending.as_ref().unwrap().change;
        assert_eq!(journal.append(story.now, done(change, 9)).unwrap(), 21);
        assert_eq!(reopened(store).head(), journal.head());
    }
}

#[test]
fn a_tail_that_was_never_filled_is_cut_off() {
    let bytes = Story::full(None).store.bytes();
    let bounds = bounds(&bytes, header_len(false));
    for zeros in [1, 43, 44, 4096, 200_000] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + zeros, 0);
        let store = MemoryStore::with(longer);
        assert_eq!(reopened(store.clone()).cut().unwrap().len, zeros as u64);
        assert_eq!(store.bytes(), bytes);
    }
    // The file has its length, and the last record its first bytes alone.
    for written in 0..120 {
        let mut part = bytes.clone();
        part[bounds[20] + written..].fill(0);
        let journal = reopened(MemoryStore::with(part));
        assert_eq!(journal.head().number, 20, "{written}");
    }
}

#[test]
fn a_header_torn_at_any_byte_is_written_again() {
    let bytes = Story::new(None).store.bytes();
    for kept in 0..bytes.len() {
        let mut zeros = bytes[..kept].to_vec();
        zeros.resize(bytes.len(), 0);
        for torn in [bytes[..kept].to_vec(), zeros] {
            let store = MemoryStore::with(torn.clone());
            let journal = reopened(store.clone());
            assert_eq!((store.bytes(), journal.head().number), (bytes.clone(), 0), "{kept}");
            assert_eq!(journal.cut().is_some(), !torn.is_empty());
        }
    }
}

/// Every call of the storage fails once, in every way, from the birth of a journal to its third record; after each of them a
/// crash takes any number of the bytes that were not durable.
#[test]
fn whatever_call_fails_nothing_acknowledged_is_lost() {
    let faults = [
        Fault::Fails(ErrorKind::Other),
        Fault::FailsLate(ErrorKind::Other),
        Fault::Fails(ErrorKind::StorageFull),
        Fault::Tears(0),
        Fault::Tears(30),
        Fault::Tears(200),
    ];
    let (mut fired, mut broken) = (0, 0);
    for fault in faults {
        for also in [None, Some(0), Some(1)] {
            for call in 0.. {
                let store = MemoryStore::new();
                store.fail(call, fault);
                if let Some(also) = also {
                    store.fail(call + 1 + also, Fault::Fails(ErrorKind::Other));
                }
                let (acknowledged, was_broken) = one_life(&store);
                if store.fired() == 0 {
                    break;
                }
                fired += store.fired();
                broken += u64::from(was_broken);
                store.heal();
                let unsynced = store.unsynced();
                for more in [0, 1, unsynced / 2, unsynced] {
                    let left = reopened(store.after_crash(more));
                    let told = left.head().number;
                    assert!(told >= acknowledged, "{fault:?} at call {call}: {told} of {acknowledged} records");
                    assert!(told <= acknowledged + u64::from(was_broken), "{fault:?} at call {call}: {told} records");
                }
            }
        }
    }
    println!("{fired} faults, {broken} of them left a journal that has to be opened again");
    assert!(fired > 100 && broken > 5, "{fired} {broken}");
}

/// Opens a journal and adds three records, each once more if it fails; the number that was acknowledged, and whether it broke.
fn one_life(store: &MemoryStore) -> (u64, bool) {
    let Ok(mut journal) = Journal::open(Box::new(store.clone()), ADAPTER, None) else { return (0, false) };
    let first = begin(&journal, ChangeKind::Adopt, "first", &nicfw::journal::Content::default());
    let now = nicfw::clock::VirtualClock::START;
    for event in [first, done(1, 1), Event::Committed { version: None }] {
        let before = (journal.head(), journal.status().clone(), journal.size());
        match journal.append(now, event.clone()) {
            Ok(_) => {}
            Err(JournalError::Broken { .. }) => {
                assert!(matches!(journal.append(now, event), Err(JournalError::Broken { .. })));
                return (before.0.number, true);
            }
            Err(_) => {
                assert_eq!((journal.head(), journal.status().clone(), journal.size()), before);
                match journal.append(now, event) {
                    Ok(_) => {}
                    Err(JournalError::Broken { .. }) => return (before.0.number, true),
                    Err(_) => return (before.0.number, false),
                }
            }
        }
    }
    (journal.head().number, false)
}

#[test]
fn a_full_disk_is_named_and_the_journal_goes_on() {
    let mut story = Story::full(None);
    story.store.fail(0, Fault::Fails(ErrorKind::StorageFull));
    let error = story.journal.append(story.now, Event::Committed { version: None }).unwrap_err();
    assert!(matches!(error, JournalError::Full { len, .. } if len > 76), "{error}");
    assert_eq!(story.add(Event::Committed { version: None }), 22);
}

#[test]
fn a_storage_that_dies_breaks_the_journal_until_it_is_opened_again() {
    let mut story = Story::full(None);
    story.store.die(1);
    let record = || Event::Committed { version: None };
    assert!(matches!(story.journal.append(story.now, record()), Err(JournalError::Broken { .. })));
    story.store.heal();
    assert!(matches!(story.journal.append(story.now, record()), Err(JournalError::Broken { .. })));
    assert_eq!(reopened(story.store.after_crash(0)).head().number, 21, "it was not durable");
    assert_eq!(reopened(story.store).head().number, 22, "it was written");
}
