//! Texts of people in records: what disturbs is not written, and what was written before is read as it is.

use nicfw::clock::VirtualClock;
use nicfw::journal::{Begin, ChangeKind, Content, Delta, Event, Journal, JournalError, Left, MemoryStore, Reason};

/// The history of format 2 with control codes, line breaks and bidirectional marks; `tests/data/journal/README.md` says how
/// it came about.
const FOREIGN: &[u8] = include_bytes!("../data/journal/foreign-text");

fn journal(store: &MemoryStore) -> Journal {
    Journal::open(Box::new(store.clone()), "1924:0a03 02:00:00:00:00:01", None).unwrap()
}

fn adopt(why: Reason) -> Event {
    let mut goal = Content::default();
    goal.name = "web.yaml".into();
    let delta = Delta::between(&Content::default(), &goal);
    Event::Begin(Begin::new(ChangeKind::Adopt, why, delta))
}

#[test]
fn a_text_that_disturbs_is_not_written() {
    let long = "x".repeat(251);
    let cases: [(Reason, &str); 6] = [
        (Reason::new("ann\nforged", "r"), "who: it holds U+000A at byte 3"),
        (Reason::new("ann", "\x1b[2J"), "reason: it holds U+001B at byte 0"),
        (Reason::new("ann", &long), "reason: it has 251 bytes, more than 250"),
        (Reason::new("ann", "r").ticket("a\u{202e}b"), "ticket: it holds U+202E at byte 1"),
        (Reason::new("ann", "r").approval("b\u{200b}"), "approval: it holds U+200B at byte 1"),
        (Reason::new("ann", "r").ticket(""), "ticket: it is empty"),
    ];
    let store = MemoryStore::new();
    let mut journal = journal(&store);
    let before = journal.size();
    for (why, expected) in cases {
        for event in [adopt(why.clone()), Event::Left { how: Left::Blocked, why }] {
            let refused = journal.append(VirtualClock::START, event).unwrap_err();
            assert!(matches!(refused, JournalError::Unwritable { .. }), "{refused}");
            let text = refused.to_string();
            assert!(text.starts_with(&format!("the record cannot be written: {expected}")), "{text}");
        }
    }
    assert_eq!((journal.size(), journal.head().number), (before, 0), "nothing was added");
    let longest = Reason::new("", &long[1..]);
    assert_eq!(journal.append(VirtualClock::START, adopt(longest)).unwrap(), 1);
}

#[test]
fn what_was_written_before_is_read_as_it_is_and_gone_on_with() {
    let store = MemoryStore::with(FOREIGN.to_vec());
    let mut journal = journal(&store);
    assert_eq!((journal.cut(), journal.verify(None).unwrap().records), (None, 21));
    let history = journal.history().unwrap();
    let forged = "ann\n2       2026-11-23T08:30:00Z   apply   root: forged";
    assert!(history.iter().any(|change| change.why.who.ends_with(forged)), "{:?}", history[0].why);
    let at = journal.status().last_at;
    journal.append(at, Event::Left { how: Left::Blocked, why: Reason::new("ann", "gone") }).unwrap();
}
