//! The parts of a journal that no file shows: what records say one after the other, differences between contents, and the
//! bytes of headers and frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::{MAX_PAYLOAD, OVERHEAD, Walked, frame, walk};
use super::hash::Hashing;
use super::header::Header;
use super::replay::Checkpoints;
use super::{
    Addresses, Begin, ChangeKind, Content, Delta, Event, Hash, JournalError, Key, Left, MemoryStore, Reason, Status,
    Store,
};
use crate::adapter::RulesetVersion;
use crate::clock::Timestamp;
use crate::tables::{ImageEntry, PortMap, PortRangeId, RuleKey, Sizes, SubnetId, SubnetMap};

const KINDS: [ChangeKind; 7] = [
    ChangeKind::Adopt,
    ChangeKind::Apply,
    ChangeKind::Reserve,
    ChangeKind::Release,
    ChangeKind::Rollback { to: 0 },
    ChangeKind::Withdraw,
    ChangeKind::Repair,
];

fn version(of: u8) -> Option<RulesetVersion> {
    Some(RulesetVersion::from_bytes(&[of; 4]))
}

fn named(name: &str) -> Content {
    Content { name: name.into(), ..Content::default() }
}

/// A status, and the number and date of the next record: a second after the last.
struct Records {
    status: Status,
    next: u64,
}

impl Records {
    fn new() -> Self {
        Self { status: Status::default(), next: 1 }
    }

    fn try_add(&mut self, event: Event) -> Result<u64, &'static str> {
        let number = self.next;
        let before = self.status.clone();
        match self.status.take(number, Timestamp(number * 1000), &event) {
            Ok(()) => {
                self.next += 1;
                Ok(number)
            }
            Err(what) => {
                assert_eq!(self.status, before, "{what}");
                Err(what)
            }
        }
    }

    fn add(&mut self, event: Event) -> u64 {
        self.try_add(event).unwrap()
    }

    fn begin(&self, kind: ChangeKind, goal: &Content, confirm_by: Option<u64>) -> Event {
        let mut begin = Begin::new(kind, Reason::new("ann", "test"), Delta::between(&self.status.content, goal));
        begin.confirm_by = confirm_by.map(Timestamp);
        Event::Begin(begin)
    }

    fn change(&mut self, kind: ChangeKind, confirm_by: Option<u64>) -> u64 {
        let goal = named(&format!("content {}", self.next));
        let change = self.add(self.begin(kind, &goal, confirm_by));
        self.add(done(change));
        assert_eq!((self.status.change, &self.status.content), (Some(change), &goal));
        assert_eq!(self.status.pending, None);
        change
    }

    fn close(&mut self, who: &[&str]) -> u64 {
        let change = self.add(self.begin(ChangeKind::Apply, &named("goal"), None));
        let content = Delta::between(&self.status.content, &named("closed"));
        let who = who.iter().map(|who| (*who).to_owned()).collect();
        self.add(Event::Closed { change, why: "EIO".into(), who, content, version: version(9) });
        assert_eq!((&*self.status.content.name, self.status.change), ("closed", Some(change)));
        assert_eq!((&self.status.version, &self.status.pending), (&version(9), &None));
        change
    }
}

fn done(change: u64) -> Event {
    Event::Done { change, version: version(1), boot: Some(3), counters: Vec::new(), commands: 1 }
}

#[test]
fn what_is_closed_stays_so_until_a_document_is_applied() {
    for kind in KINDS {
        let mut records = Records::new();
        records.change(ChangeKind::Adopt, None);
        records.close(&["b", "a"]);
        records.close(&["c", "a"]);
        assert_eq!(records.status.closed, ["a", "b", "c"], "each once, in order");
        records.change(kind, None);
        let opens = !matches!(kind, ChangeKind::Reserve | ChangeKind::Release | ChangeKind::Repair);
        assert_eq!(records.status.closed.is_empty(), opens, "{kind:?}");
    }
}

#[test]
fn a_rollback_brings_back_what_was_closed_then() {
    let mut records = Records::new();
    records.change(ChangeKind::Adopt, None);
    let closed = records.close(&["a"]);
    let reserved = records.change(ChangeKind::Reserve, None);
    let opened = records.change(ChangeKind::Apply, None);
    let cases = [(closed, true), (reserved, true), (opened, false), (closed - 1, false), (reserved, true), (0, false)];
    for (to, is_closed) in cases {
        records.change(ChangeKind::Rollback { to }, None);
        assert_eq!(!records.status.closed.is_empty(), is_closed, "back to {to}");
    }
    records.change(ChangeKind::Rollback { to: reserved }, None);
    let again = records.change(ChangeKind::Reserve, None);
    records.change(ChangeKind::Apply, None);
    records.change(ChangeKind::Rollback { to: again }, None);
    assert_eq!(records.status.closed, ["a"], "back to what a rollback had brought back");
}

#[test]
fn drift_and_how_it_was_left_end_when_the_adapter_is_taken_over() {
    for kind in KINDS {
        let mut records = Records::new();
        records.change(ChangeKind::Adopt, None);
        let found = version(7).unwrap();
        let drift = records.add(Event::Drift { expected: version(1), found: found.clone() });
        let left = records.add(Event::Left { how: Left::Blocked, why: "night".into() });
        let told = records.status.drift.clone().unwrap();
        assert_eq!((told.record, told.expected, told.found), (drift, version(1), found));
        assert_eq!(records.status.left, Some((Left::Blocked, Timestamp(left * 1000), "night".into())));
        records.change(kind, None);
        let over = matches!(kind, ChangeKind::Adopt | ChangeKind::Repair);
        assert_eq!((records.status.drift.is_none(), records.status.left.is_none()), (over, over), "{kind:?}");
    }
    let mut records = Records::new();
    records.add(Event::Drift { expected: None, found: version(7).unwrap() });
    records.add(Event::Left { how: Left::Empty, why: "".into() });
    let counters = vec![(crate::CounterId(1), crate::CounterId(2))];
    let recovered = |change| Event::Recovered {
        change,
        version: version(5),
        boot: Some(4),
        counters: counters.clone(),
        commands: 0,
        rebooted: true,
    };
    records.add(recovered(None));
    let status = &records.status;
    assert_eq!((&status.drift, status.left.is_some()), (&None, true), "what it holds is known, nobody put it in force");
    assert_eq!((&status.version, status.boot, &status.counters), (&version(5), Some(4), &counters));
    assert_eq!(records.try_add(recovered(Some(1))), Err("the change has not begun, or has ended"));
    let change = records.add(records.begin(ChangeKind::Apply, &named("a"), None));
    assert_eq!(records.try_add(recovered(None)), Err("a change has not ended, and is not the one recovered"));
    records.add(recovered(Some(change)));
    assert_eq!((&records.status.pending, &*records.status.content.name, records.status.change), (&None, "", None));
}

#[test]
fn a_change_waits_for_confirmation_as_the_ones_before_it_do() {
    let waits = |records: &Records| records.status.confirm.map(|of| (of.change, of.by.0, of.back_to));
    // The first of all goes back to nothing.
    let mut records = Records::new();
    let first = records.change(ChangeKind::Apply, Some(90_000));
    assert_eq!(waits(&records), Some((first, 90_000, 0)));
    // One without a time of its own waits with it, one with a time takes the earlier of both.
    records.change(ChangeKind::Apply, None);
    assert_eq!(waits(&records), Some((first, 90_000, 0)));
    let later = records.change(ChangeKind::Withdraw, Some(95_000));
    assert_eq!(waits(&records), Some((later, 90_000, 0)));
    let sooner = records.change(ChangeKind::Reserve, Some(80_000));
    assert_eq!(waits(&records), Some((sooner, 80_000, 0)));
    assert_eq!(
        records.try_add(Event::Confirmed { change: later }),
        Err("the change does not wait to be confirmed"),
        "not the last"
    );
    let open = records.add(records.begin(ChangeKind::Apply, &named("open"), None));
    assert_eq!(
        records.try_add(Event::Confirmed { change: sooner }),
        Err("a change is confirmed before another has ended")
    );
    records.add(Event::Undone { change: open, why: "".into(), version: version(8) });
    assert_eq!((waits(&records), &records.status.version), (Some((sooner, 80_000, 0)), &version(8)));
    records.add(Event::Confirmed { change: sooner });
    assert_eq!(waits(&records), None);
    // What takes everything over, or goes back itself, waits on its own.
    for kind in KINDS {
        let mut records = Records::new();
        let base = records.change(ChangeKind::Adopt, None);
        let waiting = records.change(ChangeKind::Apply, Some(90_000));
        records.change(kind, None);
        let renewed = matches!(kind, ChangeKind::Adopt | ChangeKind::Rollback { .. });
        assert_eq!(waits(&records), (!renewed).then_some((waiting, 90_000, base)), "{kind:?}");
        let mut records = Records::new();
        records.change(ChangeKind::Apply, Some(90_000));
        let before = records.status.change.unwrap();
        let again = records.change(kind, Some(95_000));
        let expected = if renewed { (again, 95_000, before) } else { (again, 90_000, 0) };
        assert_eq!(waits(&records), Some(expected), "{kind:?}");
    }
}

#[test]
fn only_what_takes_over_begins_where_a_change_has_not_ended() {
    for kind in KINDS {
        let mut records = Records::new();
        records.add(records.begin(ChangeKind::Apply, &named("open"), None));
        let begun = records.try_add(records.begin(kind, &named("next"), None));
        match kind {
            ChangeKind::Adopt | ChangeKind::Repair => {
                assert_eq!(begun, Ok(2));
                assert_eq!(records.status.pending.as_ref().unwrap().change, 2);
                assert_eq!(records.try_add(done(1)), Err("the change has not begun, or has ended"));
                records.add(done(2));
                assert_eq!(&*records.status.content.name, "next");
            }
            _ => assert_eq!(begun, Err("a change begins before the last one has ended"), "{kind:?}"),
        }
    }
}

#[test]
fn the_adapter_agreed_last_where_a_record_tells_its_hash() {
    let begin = |version| {
        let mut begin = Begin::new(ChangeKind::Apply, Reason::default(), Delta::default());
        begin.version = version;
        Event::Begin(begin)
    };
    let recovered = |version| Event::Recovered {
        change: Some(1),
        version,
        boot: None,
        counters: vec![],
        commands: 0,
        rebooted: false,
    };
    let closed = |version| Event::Closed { change: 1, why: "".into(), who: vec![], content: Delta::default(), version };
    let after = |event: Event, open: bool| {
        let mut records = Records::new();
        if open {
            records.add(begin(None));
        }
        assert_eq!(records.status.agreed, None);
        let number = records.add(event);
        records.status.agreed.map(|(of, at)| {
            assert_eq!((of, at), (number, Timestamp(number * 1000)));
            of
        })
    };
    assert_eq!((after(begin(None), false), after(begin(version(1)), false)), (None, Some(1)));
    let done = |version| Event::Done { change: 1, version, boot: None, counters: vec![], commands: 0 };
    assert_eq!((after(done(None), true), after(done(version(1)), true)), (None, Some(2)));
    let undone = |version| Event::Undone { change: 1, why: "".into(), version };
    assert_eq!((after(undone(None), true), after(undone(version(1)), true)), (None, Some(2)));
    assert_eq!((after(closed(None), true), after(closed(version(1)), true)), (None, Some(2)));
    assert_eq!((after(recovered(None), true), after(recovered(version(1)), true)), (None, Some(2)));
    // Of the cache, and what differs from what was expected, is no agreement.
    assert_eq!(after(Event::Committed { version: version(1) }, false), None);
    assert_eq!(after(Event::Drift { expected: version(1), found: version(1).unwrap() }, false), None);
}

#[test]
fn a_clock_that_was_ahead_is_accepted_between_changes_alone() {
    let clock = |was: u64| Event::Clock { was: Timestamp(was), why: "the battery".into() };
    let none = "the clock had not been ahead";
    let mut records = Records::new();
    let change = records.change(ChangeKind::Apply, Some(90_000));
    let take = |records: &mut Records, at: u64, was: u64| {
        let mut status = records.status.clone();
        let number = records.next;
        let taken = status.take(number, Timestamp(at), &clock(was));
        if taken.is_ok() {
            (records.status, records.next) = (status, number + 1);
        }
        taken
    };
    let waits = "a change waits for confirmation: confirm it or roll it back first";
    assert_eq!(take(&mut records, 1000, 2000), Err(waits));
    records.add(Event::Confirmed { change });
    assert_eq!(take(&mut records, 3000, 3000), Err(none), "as late as the last record");
    assert_eq!(take(&mut records, 3001, 3000), Err(none), "later");
    assert_eq!(take(&mut records, 1000, 2999), Err(none), "not of the record before");
    assert_eq!(take(&mut records, 500, 3000), Ok(()));
    assert_eq!(records.status.last_at, Timestamp(500));
    let number = records.next;
    assert_eq!(
        records.status.take(number, Timestamp(499), &Event::Committed { version: None }),
        Err("a record is older than the one before it")
    );
    records.status.take(number, Timestamp(500), &Event::Committed { version: version(3) }).unwrap();
    assert_eq!(records.status.cache, version(3));
    records.add(records.begin(ChangeKind::Apply, &named("open"), None));
    let last = records.status.last_at.0;
    assert_eq!(take(&mut records, last - 1, last), Err("a change has not ended: recover first"));
}

fn subnets(classes: &[(u32, u16)]) -> Option<Arc<SubnetMap>> {
    let classes = classes.iter().map(|(first, id)| (*first, SubnetId(*id)));
    Some(Arc::new(SubnetMap::build(classes, &Sizes::profile0()).unwrap()))
}

fn ports(classes: &[(u16, u16)]) -> Option<Arc<PortMap>> {
    let classes = classes.iter().map(|(first, id)| (*first, PortRangeId(*id)));
    Some(Arc::new(PortMap::build(classes, &Sizes::profile0()).unwrap()))
}

fn key(port: u16) -> RuleKey {
    RuleKey { local_port: Some(port), ..RuleKey::default() }
}

/// Contents that differ in every part.
fn contents() -> Vec<Content> {
    let mut all = vec![Content::default()];
    for (name, text, lines) in
        [("a", "näh\n", vec![1]), ("b", "nöh\n", vec![1, 2, 3]), ("b", "n\u{129}h\n", vec![2, 3])]
    {
        let mut content = Content { lines, ..named(name) };
        content.text = text.into();
        all.push(content);
    }
    let mut mapped = all[1].clone();
    mapped.image.subnets = subnets(&[(0, 56_000), (10 << 24, 56_001), (11 << 24, 56_000)]);
    mapped.image.remote_ports = ports(&[(0, 1), (80, 2)]);
    all.push(mapped.clone());
    mapped.image.subnets = subnets(&[(0, 56_000), ((10 << 24) + 256, 56_001), (11 << 24, 56_002)]);
    mapped.image.remote_ports = None;
    mapped.image.local_ports = ports(&[(0, 1), (443, 3), (444, 1)]);
    all.push(mapped.clone());
    mapped.image.rules.insert(key(80), ImageEntry::default());
    mapped.image.rules.insert(key(81), ImageEntry::default());
    mapped.kept.insert("shop".into(), Addresses::new(vec!["10.0.0.1".parse().unwrap()], vec![]));
    all.push(mapped.clone());
    mapped.image.rules.remove(&key(81));
    mapped.image.rules.insert(key(80), ImageEntry { counter: Some(crate::CounterId(4)), ..ImageEntry::default() });
    mapped.kept.clear();
    all.push(mapped);
    all
}

#[test]
fn the_difference_of_any_two_contents_leads_from_one_to_the_other() {
    let all = contents();
    for (at, old) in all.iter().enumerate() {
        for (to, new) in all.iter().enumerate() {
            let delta = Delta::between(old, new);
            assert_eq!(delta.is_empty(), at == to);
            assert_eq!(delta.apply(old).as_ref(), Ok(new), "{at} to {to}");
            // Texts are cut between characters: what is put is text.
            if let Some(splice) = &delta.text {
                assert!(std::str::from_utf8(&splice.put).is_ok(), "{:?} {:?}", old.text, new.text);
            }
        }
    }
}

#[test]
fn a_difference_from_another_content_names_the_part_that_does_not_fit() {
    let told = |delta: &Delta, content: &Content| delta.apply(content).unwrap_err().to_string();
    let all = contents();
    let part = |what: &str| format!("the change does not fit what it is to change: {what}");
    let of_text = Delta::between(&all[1], &all[2]);
    assert_eq!(told(&of_text, &named("a")), part("text"));
    let of_lines = Delta { lines: of_text.lines.clone(), ..Delta::default() };
    assert_eq!(told(&of_lines, &all[2]), part("lines"));
    let gone = Delta { entries: BTreeMap::from([(key(80), None)]), ..Delta::default() };
    assert_eq!(told(&gone, &all[1]), part("entries"));
    let gone = Delta { kept: BTreeMap::from([("shop".to_owned(), None)]), ..Delta::default() };
    assert_eq!(told(&gone, &all[1]), part("addresses that are kept"));
    let gone = Delta { origins: BTreeMap::from([(crate::tables::OriginId(7), None)]), ..Delta::default() };
    assert_eq!(told(&gone, &all[1]), part("origins"));
    // A text that is cut within a character is none.
    let mut cut = Delta::between(&all[1], &all[2]);
    cut.text = cut.text.map(|splice| super::splice::Splice { put: vec![0xc3], ..splice });
    assert_eq!(told(&cut, &all[1]), part("text"));
    // Maps that no adapter could hold.
    for (of, what) in [
        (vec![(1, 1)], "not from the first port"),
        (vec![(0, 1), (80, 1)], "neighbours alike"),
        (vec![(0, 1), (80, 2), (80, 3)], "not rising"),
        (vec![], "no class"),
    ] {
        let put = of.into_iter().map(|(first, id)| (first, PortRangeId(id))).collect();
        let splice = super::splice::Splice { of: 0, keep: 0, tail: 0, put };
        let delta = Delta { local_ports: super::delta::MapDelta::Changed(splice), ..Delta::default() };
        assert_eq!(told(&delta, &all[0]), part("maps"), "{what}");
    }
    let Some(map) = all[4].image.subnets.as_deref() else { panic!("no map") };
    let with = |change: &dyn Fn(&mut SubnetMap)| {
        let mut content = all[4].clone();
        let mut map = map.clone();
        change(&mut map);
        content.image.subnets = Some(Arc::new(map));
        Delta::between(&Content::default(), &content).apply(&Content::default())
    };
    assert!(with(&|_| {}).is_ok());
    assert!(with(&|map| drop(map.nodes.remove(0))).is_err(), "no root");
    assert!(with(&|map| map.nodes[1].entries.truncate(15)).is_err(), "nodes of two sizes");
    assert!(
        with(&|map| map.nodes.iter_mut().for_each(|node| node.entries.truncate(8))).is_err(),
        "a size of no adapter"
    );
    assert!(with(&|map| map.nodes.iter_mut().for_each(|node| node.entries.truncate(4))).is_ok());
    assert!(with(&|map| map.classes.swap(0, 1)).is_err(), "classes out of order");
}

#[test]
fn addresses_are_held_once_and_name_what_is_about_them() {
    let ip = |last: u8| std::net::IpAddr::from([10, 0, 0, last]);
    let mac = |last: u8| crate::terms::MacAddr([2, 0, 0, 0, 0, last]);
    let mut held = Addresses::new(vec![ip(1), ip(2), ip(1)], vec![mac(1), mac(1)]);
    assert_eq!((held.ips.len(), held.macs.len()), (2, 1));
    assert_eq!(held.to_string(), "10.0.0.1, 10.0.0.2, 02:00:00:00:00:01");
    let named = |key: RuleKey| held.are_named_by(&key);
    let none = RuleKey::default();
    assert!(named(RuleKey { local_ip: Some(ip(2)), ..none }) && !named(RuleKey { local_ip: Some(ip(3)), ..none }));
    assert!(named(RuleKey { local_mac: Some(mac(1)), ..none }) && !named(RuleKey { local_mac: Some(mac(2)), ..none }));
    assert!(!named(RuleKey { local_ip: Some(ip(3)), local_mac: Some(mac(1)), ..none }), "about another address");
    assert!(!named(none));
    let others = Addresses::new(vec![ip(2), ip(3)], vec![mac(2)]);
    assert_eq!(held.without(&others), Addresses::new(vec![ip(1)], vec![mac(1)]));
    assert!(held.without(&held).is_empty() && !others.is_empty());
    assert!(!Addresses::new(vec![ip(1)], vec![]).is_empty() && !Addresses::new(vec![], vec![mac(1)]).is_empty());
    held.add(&others);
    assert_eq!(held, Addresses::new(vec![ip(1), ip(2), ip(3)], vec![mac(1), mac(2)]));
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

#[test]
fn a_header_is_read_as_it_is_written_and_else_refused() {
    let plain = Header::new("nic", &Hashing::new(None)).unwrap().encode();
    let head = |format: u32, flags: u8, len: u8| {
        let mut bytes = b"nicfw journal\r\n\x1a".to_vec();
        bytes.extend(format.to_le_bytes());
        bytes.extend([flags, len]);
        bytes.extend(b"nic");
        bytes
    };
    assert_eq!(plain, sealed(head(2, 0, 3)));
    let read = |bytes: &[u8]| Header::decode(bytes);
    let (header, len) = read(&[&plain[..], b"more"].concat()).unwrap();
    assert_eq!((header.format, &*header.adapter, header.keyed, len), (2, "nic", false, plain.len()));
    let (old, _) = read(&sealed(head(1, 1, 3))).unwrap();
    assert_eq!((old.format, old.keyed), (1, true), "format 1 has no key check");
    let damage = |bytes: &[u8]| match read(bytes) {
        Err(JournalError::Damaged { what, .. }) => what.to_string(),
        other => panic!("{other:?}"),
    };
    for cut in 16..plain.len() {
        assert_eq!(damage(&plain[..cut]), "the header is cut off", "{cut}");
    }
    for cut in 0..16 {
        assert!(matches!(read(&plain[..cut]), Err(JournalError::NotAJournal { .. })), "{cut}");
    }
    assert_eq!(damage(&sealed(head(2, 1, 3))), "the header is cut off", "keyed, without a check");
    assert!(matches!(read(&sealed(head(3, 0, 3))), Err(JournalError::Newer { format: 3, known: 2 })));
    for (format, flags) in [(0, 0), (2, 2), (2, 128), (1, 3)] {
        assert_eq!(damage(&sealed(head(format, flags, 3))), "the header says what no format does", "{format} {flags}");
    }
    let mut flipped = plain.clone();
    flipped[23] ^= 1;
    assert_eq!(damage(&flipped), "the header's checksum is wrong");
    let mut name = head(2, 0, 3);
    name[22] = 0xff;
    assert_eq!(damage(&sealed(name)), "the adapter's name is not UTF-8");
    for (len, fits) in [(0, false), (1, true), (255, true), (256, false)] {
        let made = Header::new(&"x".repeat(len), &Hashing::new(None));
        assert_eq!(made.is_ok(), fits, "{len}");
        if let Ok(made) = made {
            assert_eq!(read(&made.encode()).unwrap().0, made);
        }
    }
    let (one, two) = (Key::new(&[1; 16]).unwrap(), Key::new(&[2; 16]).unwrap());
    let keyed = Header::new("nic", &Hashing::new(Some(&one))).unwrap();
    assert_eq!(read(&keyed.encode()).unwrap(), (keyed.clone(), plain.len() + 32));
    assert!(keyed.check_key(Some(&one)).is_ok() && header.check_key(None).is_ok());
    assert!(matches!(keyed.check_key(Some(&two)), Err(JournalError::KeyWrong)));
    assert!(matches!(keyed.check_key(None), Err(JournalError::KeyMissing)));
    assert!(matches!(header.check_key(Some(&one)), Err(JournalError::KeyUnexpected)));
    assert!(old.check_key(Some(&two)).is_ok(), "nothing in it tells: the chain does");
    // The longest name, keyed: read whole from a store that goes on behind it.
    let longest = Header::new(&"x".repeat(255), &Hashing::new(Some(&one))).unwrap();
    let bytes = longest.encode();
    let mut store = MemoryStore::with([&bytes[..], &[7; 100]].concat());
    let end = store.len().unwrap();
    assert_eq!(Header::read(&mut store, end).unwrap(), (longest, bytes));
}

#[test]
fn the_longest_payload_fits_and_no_longer_one() {
    let hashing = Hashing::new(None);
    let before = Hash([7; 32]);
    let payload = vec![b' '; MAX_PAYLOAD];
    let (bytes, _) = frame(&payload, before, &hashing).unwrap();
    assert_eq!(bytes.len(), MAX_PAYLOAD + OVERHEAD);
    assert!(frame(&[&payload[..], b" "].concat(), before, &hashing).is_none());
    let walked = |bytes: Vec<u8>| {
        let end = bytes.len() as u64;
        walk(&mut MemoryStore::with(bytes), 0, before, end, &hashing, |_, _| Ok(()))
    };
    let told = |bytes: Vec<u8>| walked(bytes).unwrap_err().to_string();
    assert!(!told(bytes).contains("longer than any record"), "spaces are no record, but it is read");
    let mut longer = Vec::new();
    longer.extend((u32::try_from(MAX_PAYLOAD).unwrap() + 1).to_le_bytes());
    longer.extend([0; 4]);
    longer.extend(before.0);
    assert!(told(sealed(longer)).contains("it is longer than any record"));
    // A head of zeros at the end of a file that was lengthened is torn however much follows, unless something does.
    for len in [1, 43, 44, 45, 1 << 16, (1 << 16) + 44, (1 << 16) + 45, (2 << 16) + 44, (2 << 16) + 99] {
        assert_eq!(walked(vec![0; len]).unwrap(), Walked { end: 0, torn: true }, "{len}");
        if len > 44 {
            let mut written = vec![0; len];
            written[len - 1] = 1;
            assert!(told(written).contains("the checksum of its head is wrong"), "{len}");
        }
    }
    assert_eq!(walked(vec![]).unwrap(), Walked { end: 0, torn: false });
}

#[test]
fn states_are_kept_at_even_distances() {
    let mut checkpoints = Checkpoints::default();
    let status = |number: u64| Status { boot: u16::try_from(number % 60_000).ok(), ..Status::default() };
    for number in 1..=20_000_u64 {
        checkpoints.take(number, &status(number));
        if number % 499 != 0 {
            continue;
        }
        for asked in [0, 1, number / 2, number - 1, number, number + 7] {
            let (at, state) = checkpoints.before(asked);
            assert!(at <= asked, "{at} is after {asked}");
            assert_eq!(state.boot, if at == 0 { None } else { status(at).boot });
            // 64 states or fewer: one in every so many records, of which there is no fewer than half of what fits.
            let apart = (number / 32).max(64);
            assert!(asked.min(number) - at <= apart, "{at} for {asked} of {number}");
        }
    }
    let states: std::collections::BTreeSet<u64> = (0..=20_000).map(|asked| checkpoints.before(asked).0).collect();
    assert_eq!(states.into_iter().collect::<Vec<_>>(), (0..=20_000).step_by(512).collect::<Vec<_>>());
}
