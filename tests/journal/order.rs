//! Records that cannot follow: refused when they are written, and damage when they are read.

use std::time::Duration;

use nicfw::adapter::RulesetVersion;
use nicfw::clock::{Timestamp, VirtualClock};
use nicfw::journal::{ChangeKind, Content, Delta, Event, Journal, JournalError, MemoryStore};
use proptest::prelude::*;

use crate::story::{ADAPTER, SHOP, Story, begin, compiled, content, done, recovered, version};

fn refused(story: &mut Story, event: Event) -> String {
    let before = (story.journal.head(), story.store.bytes());
    let error = story.journal.append(story.now, event).unwrap_err();
    assert_eq!((story.journal.head(), story.store.bytes()), before, "{error}");
    assert!(matches!(error, JournalError::OutOfOrder { .. } | JournalError::Unwritable { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn an_end_needs_its_beginning_and_a_beginning_the_end_before_it() {
    let mut story = Story::full(None);
    let none = "out of order: the change has not begun, or has ended";
    let (why, who) = (String::new(), Vec::new());
    assert_eq!(refused(&mut story, done(20, 1)), none);
    assert_eq!(refused(&mut story, Event::Undone { change: 20, why: why.clone(), version: None }), none);
    let closed = Event::Closed { change: 20, why: why.clone(), who, content: Delta::default(), version: None };
    assert_eq!(refused(&mut story, closed), none);
    assert_eq!(refused(&mut story, Event::Unknown { change: 20, why }), none);
    assert_eq!(refused(&mut story, recovered(Some(20))), none);
    let confirmed = Event::Confirmed { change: 4 };
    assert_eq!(refused(&mut story, confirmed.clone()), "out of order: the change does not wait to be confirmed");
    let goal = story.journal.status().content.clone();
    let again = begin(&story.journal, ChangeKind::Apply, "again", &goal);
    let open = story.begin(ChangeKind::Apply, "begun", &goal);
    assert_eq!(refused(&mut story, again), "out of order: a change begins before the last one has ended");
    assert_eq!(refused(&mut story, done(open - 1, 1)), none);
    assert_eq!(refused(&mut story, confirmed), "out of order: a change is confirmed before another has ended");
    let words = "out of order: a change has not ended, and is not the one recovered";
    assert_eq!(refused(&mut story, recovered(None)), words);
    story.add(done(open, 1));
    let nowhere = begin(&story.journal, ChangeKind::Rollback { to: 2 }, "to a record that begins nothing", &goal);
    assert_eq!(refused(&mut story, nowhere), "out of order: a rollback to a change that there is not");
}

#[test]
fn a_change_from_another_content_is_refused() {
    let mut story = Story::new(None);
    let shop = content(&compiled(SHOP, None), SHOP);
    let event = begin(&story.journal, ChangeKind::Adopt, "first", &shop);
    let Event::Begin(from_empty) = event.clone() else { unreachable!() };
    story.change(ChangeKind::Adopt, "first", &shop);
    let told = "out of order: the change does not fit what it is to change";
    assert_eq!(refused(&mut story, event), told);
    let back = Delta::between(&shop, &Content::default());
    let other = Event::Begin(nicfw::journal::Begin::new(from_empty.kind, from_empty.why, back));
    story.journal.append(story.now, other.clone()).unwrap();
    let change = story.journal.head().number;
    story.add(done(change, 1));
    assert_eq!(refused(&mut story, other), told);
}

#[test]
fn values_that_have_no_form_are_refused() {
    let mut story = Story::new(None);
    let too_long = Event::Committed { version: Some(RulesetVersion::from_bytes(&[1; 1021])) };
    let said = refused(&mut story, too_long);
    assert_eq!(said, "the record cannot be written: it holds a value that the format cannot say");
    let longest = Event::Committed { version: Some(RulesetVersion::from_bytes(&[1; 1020])) };
    story.add(longest);
    let mut large = Content::default();
    large.text = "x".repeat(17 << 20).into();
    let event = begin(&story.journal, ChangeKind::Apply, "large", &large);
    let said = refused(&mut story, event);
    assert!(said.contains("bytes, at most 16777216 fit"), "{said}");
}

#[test]
fn a_clock_that_was_set_back_stops_the_journal_and_a_small_step_does_not() {
    let mut story = Story::full(None);
    let last = story.now;
    let earlier = |millis| Timestamp(last.0 - millis);
    let event = || Event::Committed { version: None };
    let error = story.journal.append(earlier(2001), event()).unwrap_err();
    let text = format!(
        "the clock shows {}, the journal's last record is of {last}. If the clock is wrong, set it; if it had been ahead when \
         that record was written: nicfw journal FILE clock --reason TEXT, which touches no adapter. What closes is accepted \
         meanwhile",
        earlier(2001)
    );
    assert_eq!(error.to_string(), text);
    let number = story.journal.append(earlier(2000), event()).unwrap();
    assert_eq!(story.journal.record(number).unwrap().at, last, "it gets the date of the one before");
}

#[test]
fn confirmation_covers_all_changes_since_the_one_that_waits_for_it() {
    let mut story = Story::new(None);
    let shop = content(&compiled(SHOP, None), SHOP);
    let first = story.change(ChangeKind::Adopt, "first", &shop);
    let waits = |story: &mut Story, secs| {
        let goal = story.journal.status().content.clone();
        let mut event = begin(&story.journal, ChangeKind::Apply, "waits", &goal);
        let by = story.now.after(Duration::from_secs(secs));
        if let Event::Begin(begin) = &mut event {
            begin.confirm_by = Some(by);
        }
        let change = story.add(event);
        story.add(done(change, 9));
        (change, by)
    };
    let (one, by) = waits(&mut story, 900);
    let told = *story.journal.status().confirm.as_ref().unwrap();
    assert_eq!((told.change, told.by, told.back_to), (one, by, first));
    story.change(ChangeKind::Reserve, "in between", &shop);
    let (two, _) = waits(&mut story, 3600);
    let told = *story.journal.status().confirm.as_ref().unwrap();
    assert_eq!((told.change, told.by, told.back_to), (two, by, first), "the earlier time and the older content");
    let confirm = story.journal.append(story.now, Event::Confirmed { change: one }).unwrap_err();
    assert!(matches!(confirm, JournalError::OutOfOrder { .. }));
    story.change(ChangeKind::Rollback { to: first }, "back", &shop);
    assert_eq!(story.journal.status().confirm, None);
}

#[test]
fn what_the_records_say_is_kept_up_to_date() {
    let mut story = Story::full(None);
    let mut after = |number| story.journal.status_after(number).unwrap();
    assert_eq!((after(0), after(1).change, after(2).change), (Default::default(), None, Some(1)));
    assert_eq!((after(2).cache, after(3).cache), (None, Some(version(2))));
    assert_eq!((after(5).confirm.unwrap().back_to, after(6).confirm), (1, None));
    assert_eq!((after(7).pending.unwrap().change, after(8).pending), (7, None));
    assert_eq!((after(8).change, after(8).content == after(6).content), (Some(4), true), "undone");
    let unknown = after(12).pending.unwrap();
    assert_eq!((unknown.change, unknown.unknown.as_deref()), (11, Some("no answer")));
    assert_eq!((after(13).closed, after(13).change), (vec!["db-1".to_owned(), "shop-1".to_owned()], Some(11)));
    assert_eq!((after(14).drift.unwrap().record, after(16).drift), (14, None));
    let closed = ["db-1", "shop-1"].map(str::to_owned);
    assert_eq!((&after(16).closed[..], after(18).change), (&closed[..], Some(15)), "a repair loads what there was");
    assert_eq!((after(18).boot, after(21).boot, after(21).pending), (Some(4), Some(3), None));
    let journal = &mut story.journal;
    assert!(matches!(journal.status_after(22), Err(JournalError::NoSuch { number: 22, last: 21, .. })));
    assert_eq!(journal.content_at(7).unwrap(), journal.content_at(4).unwrap(), "a change that was undone");
    assert_eq!(journal.content_at(0).unwrap(), Content::default());
    assert!(journal.content_at(2).is_err(), "no change");
    assert_ne!(journal.content_at(1).unwrap(), journal.content_at(4).unwrap());
}

fn any_event() -> impl Strategy<Value = (i64, Event)> {
    let change = 0u64..8;
    let event = (0..10, change).prop_map(|(kind, change)| match kind {
        0..=2 => {
            let store = MemoryStore::new();
            let empty = Journal::open(Box::new(store), ADAPTER, None).unwrap();
            let kind = if kind == 0 { ChangeKind::Rollback { to: change } } else { ChangeKind::Apply };
            let mut event = begin(&empty, kind, "any", &Content::default());
            if let Event::Begin(begin) = &mut event {
                begin.confirm_by = (change > 4).then_some(VirtualClock::START);
            }
            event
        }
        3 => done(change, 1),
        4 => Event::Undone { change, why: "any".into(), version: None },
        5 => Event::Unknown { change, why: "any".into() },
        6 => recovered((change > 0).then_some(change)),
        7 => Event::Confirmed { change },
        8 => {
            let who = vec![change.to_string()];
            Event::Closed { change, why: "any".into(), who, content: Delta::default(), version: None }
        }
        _ => Event::Drift { expected: None, found: version(1) },
    });
    (-3000i64..3000, event)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is taken is read again as it was; whatever is refused leaves nothing behind.
    #[test]
    fn any_order_of_events_is_taken_or_refused_as_a_whole(events in proptest::collection::vec(any_event(), 0..40)) {
        let mut story = Story::new(None);
        let mut now = VirtualClock::START;
        for (step, event) in events {
            now = Timestamp(now.0.saturating_add_signed(step));
            let before = (story.store.bytes(), story.journal.status().clone());
            if story.journal.append(now, event).is_err() {
                prop_assert_eq!((story.store.bytes(), story.journal.status().clone()), before);
            }
        }
        let mut again = Journal::open(Box::new(story.store.clone()), ADAPTER, None).unwrap();
        prop_assert_eq!(again.status(), story.journal.status());
        prop_assert_eq!(again.head(), story.journal.head());
        for number in 0..=again.head().number {
            let status = again.status_after(number).unwrap();
            prop_assert_eq!(status, story.journal.status_after(number).unwrap());
        }
    }
}
