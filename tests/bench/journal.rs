//! A journal of 100,000 changes, each of one rule in a policy of 200: written, opened again, asked, verified.
//!
//! ```text
//! cargo bench --bench journal             # 100,000 changes in memory and in a file
//! cargo bench --bench journal -- 2000     # so many changes
//! ```
//!
//! A change is two records, `Begin` and `Done`. In memory a sync costs nothing; in the file, in the directory for temporary
//! files, each record is followed by one fdatasync. Times are of one run, and mean little on a machine that others use.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use nicfw::Target;
use nicfw::adapter::RulesetVersion;
use nicfw::clock::{Timestamp, VirtualClock};
use nicfw::journal::{
    Begin, ChangeKind, Content, Delta, Event, FileStore, Journal, Key, MemoryStore, Reason, RuleQuery, Store, When,
};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw_test_kit::bench::measure::time;

const ADAPTER: &str = "1924:0a03 02:00:00:00:00:01";
const RULES: u32 = 200;

fn main() {
    let changes = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let contents = contents();
    println!("{changes} changes of one rule in {RULES}, {} entries", contents[0].image.rules.len());
    let key = Key::new(&[7; 32]).expect("long enough");
    let memory = MemoryStore::new();
    let reopen = || Box::new(memory.clone()) as Box<dyn Store>;
    measure("memory, HMAC", Box::new(memory.clone()), reopen, &contents, changes, Some(&key));
    let path = std::env::temp_dir().join(format!("nicfw-journal-{}", std::process::id()));
    let store = Box::new(FileStore::open(&path).expect("the directory for temporary files can be written"));
    let reopen = || Box::new(FileStore::read(&path).expect("the file is there")) as Box<dyn Store>;
    measure("file, an fdatasync a record", store, reopen, &contents, changes, None);
    for suffix in ["", ".lock"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        std::fs::remove_file(name).unwrap_or_else(|error| println!("left behind: {error}"));
    }
}

fn measure(
    what: &str,
    store: Box<dyn Store>,
    reopen: impl Fn() -> Box<dyn Store>,
    contents: &[Content; 2],
    changes: usize,
    key: Option<&Key>,
) {
    let mut journal = Journal::open(store, ADAPTER, key).expect("opens");
    let written = time(|| write(&mut journal, contents, changes));
    let (head, size) = (journal.head(), journal.size());
    drop(journal);
    let mut again = None;
    let opened = time(|| again = Some(Journal::read(reopen(), key).expect("opens again")));
    let mut journal = again.expect("it was opened");
    assert_eq!(journal.head(), head);
    let verified = time(|| {
        journal.verify(Some(&head)).expect("is whole");
    });
    let asked = |what: &str, secs: f64| println!("  {what:42} {:10.3} ms", secs * 1e3);
    let each = |secs: f64, of: usize| secs * 1e6 / of as f64;
    println!("{what}: {} records, {:.1} MB, {} bytes a change", head.number, size as f64 / 1e6, size / changes as u64);
    println!("  written {written:.2} s, {:.1} us a record", each(written, 2 * changes));
    println!("  opened  {opened:.2} s, {:.1} us a record", each(opened, 2 * changes));
    println!("  verified {verified:.2} s, {:.1} us a record", each(verified, 2 * changes));
    let keys: Vec<_> = journal.status().content.image.rules.keys().copied().collect();
    let (old, recent) = (keys[0], contents[0].image.rules.changes(&contents[1].image.rules)[0].0);
    asked("who asked for an entry that changed last", time(|| drop(black_box(journal.entry(recent, When::Now)))));
    asked("who asked for an entry that never changed", time(|| drop(black_box(journal.entry(&old, When::Now)))));
    let half = head.number / 2;
    asked("content at half time", time(|| drop(black_box(journal.status_after(half)))));
    let last = When::Record(head.number - 200);
    asked("what the last 100 changes changed", time(|| drop(black_box(journal.between(last, When::Now)))));
    asked("a container's history", time(|| drop(black_box(journal.container_history("box")))));
    asked("a rule's history", time(|| drop(black_box(journal.rule_history(&RuleQuery::new("CHG-100"))))));
}

fn write(journal: &mut Journal, contents: &[Content; 2], changes: usize) {
    let mut at = VirtualClock::START;
    for number in 0..changes {
        let goal = &contents[number % 2];
        let delta = Delta::between(&journal.status().content, goal);
        let why = Reason::new("ann", "one rule more or less").ticket(format!("CHG-{number}"));
        let mut begin = Begin::new(ChangeKind::Apply, why, delta);
        begin.version = journal.status().version.clone();
        let change = append(journal, &mut at, Event::Begin(begin));
        let version = Some(RulesetVersion::from_bytes(&[u8::try_from(number % 251).expect("small"); 20]));
        append(journal, &mut at, Event::Done { change, version, boot: Some(1), counters: Vec::new(), commands: 12 });
    }
}

fn append(journal: &mut Journal, at: &mut Timestamp, event: Event) -> u64 {
    *at = at.after(Duration::from_secs(1));
    journal.append(*at, event).expect("is written")
}

/// With all rules, and without the last.
fn contents() -> [Content; 2] {
    let [all, one_less] = [text(RULES), text(RULES - 1)];
    let compile = |text: &str, before: Option<&Compiled>| {
        let document = Document::parse(text, "bench.yaml").expect("is a policy");
        Compiled::new(&document, &Target::profile0(), before).expect("fits")
    };
    let first = compile(&all, None);
    let second = compile(&one_less, Some(&first));
    let lines: Vec<u32> = (1..RULES).collect();
    [Content::of(&first, all.into(), lines.clone()), Content::of(&second, one_less.into(), lines)]
}

fn text(rules: u32) -> String {
    let mut out = "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n".to_owned();
    for rule in 0..rules {
        let (port, net) = (1000 + rule, rule % 16);
        writeln!(
            out,
            "    - {{allow: in, proto: tcp, local_ports: {port}, remote: 10.{net}.0.0/16, reason: rule {rule}, ticket: CHG-{rule}}}"
        )
        .expect("a string can be written");
    }
    out.push_str(
        "bindings:\n  - {container: box, ip: 10.200.0.1, mac: \"02:00:00:00:00:01\", attach: sriov, policy: web}\n",
    );
    out
}
