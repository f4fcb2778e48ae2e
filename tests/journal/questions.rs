//! Who asked for an entry, what became of a container or a rule, what differs between two times.

use nicfw::clock::Timestamp;
use nicfw::journal::{ChangeRecord, Journal, MemoryStore, Outcome, RuleQuery, When};
use nicfw::{RuleKey, Verdict};

use crate::story::Story;

fn numbers(changes: &[ChangeRecord]) -> Vec<u64> {
    changes.iter().map(|change| change.number).collect()
}

fn base(ip: &str) -> RuleKey {
    RuleKey { local_ip: Some(ip.parse().unwrap()), ..RuleKey::default() }
}

#[test]
fn the_history_names_every_change_and_what_came_of_it() {
    let mut story = Story::full(None);
    let history = story.journal.history().unwrap();
    assert_eq!(numbers(&history), [1, 4, 7, 9, 11, 15, 17, 20]);
    let words: Vec<_> = history.iter().map(|change| change.kind.word()).collect();
    assert_eq!(words, ["adopt", "apply", "rollback", "reserve", "apply", "repair", "release", "withdraw"]);
    let undone = Outcome::Undone { why: "ENOSPC".into() };
    let who = vec!["shop-1".to_owned(), "db-1".to_owned()];
    let closed = Outcome::Closed { why: "EIO".into(), who };
    assert_eq!([&history[0].outcome, &history[2].outcome, &history[4].outcome], [&Outcome::Done, &undone, &closed]);
    assert_eq!(history[6].outcome, Outcome::Recovered);
    assert_eq!(history[1].why.approval.as_deref(), Some("bob"));
    assert_eq!(history[0].used, story.journal.content_at(1).unwrap().image.rules.len());
    let goal = story.journal.content_at(1).unwrap();
    story.begin(nicfw::journal::ChangeKind::Apply, "begun", &goal);
    let history = story.journal.history().unwrap();
    assert_eq!((history.len(), &history[8].outcome, history[8].ended), (9, &Outcome::Pending, None));
}

#[test]
fn an_entry_tells_who_asked_for_it_and_which_change_brought_it() {
    let mut story = Story::full(None);
    let before = story.journal.content_at(1).unwrap();
    let after = story.journal.content_at(4).unwrap();
    // Of the entries that the wider front brought, one that names a port.
    let (key, _, _) = *before
        .image
        .rules
        .changes(&after.image.rules)
        .iter()
        .find(|(_, was, is)| was.is_none() && is.is_some())
        .unwrap();
    let found = story.journal.entry(key, When::Record(6)).unwrap().unwrap();
    assert_eq!((found.change.number, found.change.why.reason.as_str()), (4, "a wider front"));
    let tickets: Vec<_> = found.rx.iter().chain(&found.tx).filter_map(|origin| origin.ticket.clone()).collect();
    assert!(tickets.contains(&"CHG-1090".to_owned()), "{tickets:?}");
    assert_eq!(found.rx.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop.yaml:12"]);
    assert_eq!(story.journal.entry(key, When::Record(3)).unwrap(), None, "it was not there yet");
    assert_eq!(story.journal.entry(key, When::Record(14)).unwrap(), None, "closed");
    assert_eq!(story.journal.entry(key, When::Now).unwrap().unwrap().change.number, 15, "the repair brought it again");
    let numbers = numbers(&story.journal.entry_history(key).unwrap());
    assert_eq!(numbers, [4, 7, 11, 15]);
    let deny = story.journal.entry(&base("10.30.1.17"), When::Now).unwrap().unwrap();
    assert_eq!((deny.change.number, deny.entry.rx.action.verdict()), (1, Some(Verdict::Deny)));
    assert_eq!(story.journal.entry(&base("10.30.1.200"), When::Now).unwrap(), None);
}

#[test]
fn a_container_s_history_has_what_touched_it_and_nothing_else() {
    let mut story = Story::full(None);
    let shop = numbers(&story.journal.container_history("shop-1").unwrap());
    assert_eq!(shop, [1, 4, 7, 11, 15], "not what is about shop-2 alone");
    let db = numbers(&story.journal.container_history("db-1").unwrap());
    assert_eq!(db, [1, 11, 15], "the wider front is not the database's");
    let second = numbers(&story.journal.container_history("shop-2").unwrap());
    assert_eq!(second, [9, 11, 17, 20], "11 would have given its addresses back");
    assert_eq!(story.journal.container_history("nobody").unwrap(), []);
}

#[test]
fn a_rule_is_found_by_place_ticket_and_words() {
    let mut story = Story::full(None);
    let mut of = |text: &str| numbers(&story.journal.rule_history(&RuleQuery::new(text)).unwrap());
    assert_eq!(of("CHG-1090"), [4, 7, 11, 15]);
    assert_eq!(of("chg-1042"), [1, 4, 7, 11]);
    assert_eq!(of("shop front"), [1, 4, 7, 11, 15]);
    assert_eq!(of("shop.yaml:12"), [1, 4, 7, 11, 15]);
    assert_eq!(of("shop.yaml:20"), [1, 11, 15]);
    assert!(of("CHG-9999").is_empty());
}

#[test]
fn two_times_differ_by_the_changes_between_them() {
    let mut story = Story::full(None);
    let at = |minutes: u64| Timestamp(nicfw::clock::VirtualClock::START.0 + minutes * 60_000);
    let by_number = story.journal.between(When::Record(3), When::Record(6)).unwrap();
    let by_time = story.journal.between(When::Time(at(3)), When::Time(Timestamp(at(7).0 - 1))).unwrap();
    assert_eq!(by_number, by_time);
    assert_eq!((numbers(&by_number.changes), by_number.from, by_number.to), (vec![4], 3, 6));
    assert!(!by_number.entries.is_empty());
    let before = story.journal.content_at(1).unwrap();
    let after = story.journal.content_at(4).unwrap();
    assert_eq!(by_number.entries.len(), before.image.rules.changes(&after.image.rules).len());
    assert!(by_number.entries.iter().all(|entry| !entry.origins.is_empty()));
    let backwards = story.journal.between(When::Record(6), When::Record(3)).unwrap();
    assert_eq!(backwards, by_number, "in the order of time");
    let nothing = story.journal.between(When::Record(7), When::Record(8)).unwrap();
    assert_eq!((nothing.entries.len(), numbers(&nothing.changes)), (0, vec![7]));
    assert_eq!(story.journal.last_record(When::Time(Timestamp(0))).unwrap(), 0);
}

#[test]
fn a_reader_sees_a_whole_prefix_while_another_writes() {
    let story = Story::full(None);
    let bytes = story.store.bytes();
    for len in (200..bytes.len()).step_by(997) {
        let mut reader = Journal::read(Box::new(MemoryStore::with(bytes[..len].to_vec())), None).unwrap();
        let records = reader.records().map(Result::unwrap).count() as u64;
        assert_eq!(reader.verify(None).unwrap().records, records);
        assert!(reader.append(story.now, nicfw::journal::Event::Committed { version: None }).is_err());
    }
}

#[test]
fn the_export_is_a_line_of_json_for_each_record() {
    let mut story = Story::full(None);
    let lines: Vec<serde_json::Value> =
        story.journal.export().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(lines.len(), 21);
    assert_eq!((&lines[0]["number"], lines[0]["at"].as_str()), (&1.into(), Some("2026-11-23T00:01:00.000Z")));
    assert_eq!(lines[3]["event"]["begin"]["approval"], "bob");
    let hash = story.journal.record(21).unwrap().hash.to_string();
    assert_eq!(lines[20]["hash"].as_str(), Some(hash.as_str()));
    assert_eq!(lines[4]["event"]["done"]["counters"], serde_json::json!([[0, 17, 2], [2, 3, 1]]), "as runs");
}
