//! A history that has every event in it: who did what to the demonstration's two containers.

use std::time::Duration;

use nicfw::adapter::RulesetVersion;
use nicfw::clock::{Timestamp, VirtualClock};
use nicfw::journal::{Addresses, Begin, ChangeKind, Content, Delta, Event, Journal, Key, MemoryStore, Reason};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::{CounterId, Target};

pub const ADAPTER: &str = "1924:0a03 02:00:00:00:00:01";
pub const SHOP: &str = include_str!("../../cli/demo/shop.yaml");
/// In place of [`SHOP`]'s first rule.
pub const WIDER: &str =
    "    - {allow: in, proto: tcp, local_ports: [80, 443, 8443], remote: office, reason: shop front, ticket: CHG-1090}";

pub fn key() -> Key {
    Key::new(b"a key of this test's own").unwrap()
}

pub fn version(of: u8) -> RulesetVersion {
    RulesetVersion::from_bytes(&[of; 20])
}

/// What a text becomes; ids stay those of the content before, as in use.
pub fn compiled(text: &str, before: Option<&Compiled>) -> Compiled {
    let document = Document::parse(text, "shop.yaml").unwrap();
    Compiled::new(&document, &Target::profile0(), before).unwrap()
}

pub fn content(compiled: &Compiled, text: &str) -> Content {
    Content::of(compiled, text.into(), vec![12, 13, 14])
}

/// The text with another line in place of that of CHG-1042.
pub fn without_front(put: &str) -> String {
    SHOP.lines()
        .map(|line| if line.contains("CHG-1042") { put } else { line })
        .map(|line| format!("{line}\n"))
        .collect()
}

pub struct Story {
    pub journal: Journal,
    pub store: MemoryStore,
    pub now: Timestamp,
}

impl Story {
    pub fn new(key: Option<&Key>) -> Self {
        let store = MemoryStore::new();
        let journal = Journal::open(Box::new(store.clone()), ADAPTER, key).unwrap();
        Self { journal, store, now: VirtualClock::START }
    }

    /// A record, a minute after the one before.
    pub fn add(&mut self, event: Event) -> u64 {
        self.now = self.now.after(Duration::from_secs(60));
        self.journal.append(self.now, event).unwrap()
    }

    pub fn begin(&mut self, kind: ChangeKind, reason: &str, goal: &Content) -> u64 {
        let event = begin(&self.journal, kind, reason, goal);
        self.add(event)
    }

    pub fn change(&mut self, kind: ChangeKind, reason: &str, goal: &Content) -> u64 {
        let change = self.begin(kind, reason, goal);
        let number = u8::try_from(change).unwrap();
        self.add(done(change, number));
        change
    }

    /// Every event at least once; the names of the changes are their reasons.
    pub fn full(key: Option<&Key>) -> Self {
        let mut story = Self::new(key);
        let first = compiled(SHOP, None);
        let shop = content(&first, SHOP);
        let text = without_front(WIDER);
        let second = compiled(&text, Some(&first));
        let wider = content(&second, &text);
        let adopted = story.change(ChangeKind::Adopt, "taken over", &shop); // 1, 2
        story.add(Event::Committed { version: Some(version(2)) }); // 3
        let mut begin = begin(&story.journal, ChangeKind::Apply, "a wider front", &wider);
        if let Event::Begin(begin) = &mut begin {
            begin.confirm_by = Some(story.now.after(Duration::from_secs(600)));
            begin.why.approval = Some("bob".into());
        }
        let wide = story.add(begin); // 4
        story.add(done(wide, 4)); // 5
        story.add(Event::Confirmed { change: wide }); // 6
        let undone = story.begin(ChangeKind::Rollback { to: adopted }, "back again", &shop); // 7
        story.add(Event::Undone { change: undone, why: "ENOSPC".into(), version: Some(version(4)) }); // 8
        let mut reserved = wider.clone();
        let ips = vec!["10.30.1.99".parse().unwrap()];
        reserved.kept.insert("shop-2".into(), Addresses::new(ips, vec!["02:00:0a:1e:01:63".parse().unwrap()]));
        story.change(ChangeKind::Reserve, "a second shop", &reserved); // 9, 10
        let closing = story.begin(ChangeKind::Apply, "the first rules again", &shop); // 11
        story.add(Event::Unknown { change: closing, why: "no answer".into() }); // 12
        let mut closed = reserved.clone();
        closed.image.rules.retain(|key, _| key.is_base());
        let delta = Delta::between(&reserved, &closed);
        let (why, who) = ("EIO".to_owned(), vec!["shop-1".to_owned(), "db-1".to_owned()]);
        story.add(Event::Closed { change: closing, why, who, content: delta, version: None }); // 13
        story.add(Event::Drift { expected: None, found: version(77) }); // 14
        story.change(ChangeKind::Repair, "put right", &reserved); // 15, 16
        let lost = story.begin(ChangeKind::Release, "shop-2 is gone", &wider); // 17
        story.add(recovered(Some(lost))); // 18
        story.add(recovered(None)); // 19
        story.change(ChangeKind::Withdraw, "what has expired", &wider); // 20, 21
        story
    }
}

pub fn begin(journal: &Journal, kind: ChangeKind, reason: &str, goal: &Content) -> Event {
    let delta = Delta::between(&journal.status().content, goal);
    let why = Reason::new("ann", reason).ticket("CHG-7");
    let mut begin = Begin::new(kind, why, delta);
    begin.version = journal.status().version.clone();
    Event::Begin(begin)
}

pub fn done(change: u64, of: u8) -> Event {
    let counters = vec![(CounterId(0), CounterId(17)), (CounterId(1), CounterId(18)), (CounterId(2), CounterId(3))];
    Event::Done { change, version: Some(version(of)), boot: Some(3), counters, commands: 40 }
}

pub fn recovered(change: Option<u64>) -> Event {
    let version = Some(version(5));
    Event::Recovered { change, version, boot: Some(4), counters: Vec::new(), commands: 80, rebooted: true }
}

/// Where each record begins, and where the last one ends: the frame's length field and its fixed parts.
pub fn bounds(bytes: &[u8], header: usize) -> Vec<usize> {
    let mut bounds = vec![header];
    let mut at = header;
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        at += 44 + len + 32;
        bounds.push(at);
    }
    assert_eq!(at, bytes.len());
    bounds
}

/// 16 of the magic, format, flags, length of the name, the name, the key check, the checksum.
pub fn header_len(keyed: bool) -> usize {
    16 + 4 + 1 + 1 + ADAPTER.len() + if keyed { 32 } else { 0 } + 4
}
