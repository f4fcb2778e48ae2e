//! Journals: their bytes, and the text of their records inside frames that are right.

use nicfw::clock::VirtualClock;
use nicfw::journal::{Event, Head, Journal, JournalError, Key, MemoryStore};
use sha2::{Digest, Sha256};

const MAGIC: &[u8] = b"nicfw journal\r\n\x1a";
const ADAPTER: &str = "1924:0a03 02:00:00:00:00:01";

/// Reads the input as a journal; one that does not begin as one is taken for the payloads of its records, one a line.
pub fn run(data: &[u8]) {
    assert_eq!(Key::new(data).is_ok(), data.len() >= Key::MIN);
    if data.starts_with(MAGIC) {
        return check(data.to_vec());
    }
    if let Ok(text) = str::from_utf8(data)
        && let Ok(head) = text.parse::<Head>()
    {
        assert_eq!(head.to_string().parse(), Ok(head));
    }
    check(framed(data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())));
}

/// A journal with these payloads. The format once more, so that the library's checksums are not asked about themselves.
fn framed<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = MAGIC.to_vec();
    out.extend(number(2));
    out.extend([0, u8::try_from(ADAPTER.len()).unwrap_or(u8::MAX)]);
    out.extend(ADAPTER.as_bytes());
    out.extend(crc32fast::hash(&out).to_le_bytes());
    let mut before = Sha256::digest(&out);
    for payload in payloads {
        let hash = Sha256::new().chain_update(before).chain_update(payload).finalize();
        let mut head = number(payload.len()).to_vec();
        head.extend(crc32fast::hash(&[payload, &hash].concat()).to_le_bytes());
        head.extend(before);
        head.extend(crc32fast::hash(&head).to_le_bytes());
        out.extend(head);
        out.extend(payload);
        out.extend(hash);
        before = hash;
    }
    out
}

/// What opens holds together, answers all questions, and can be gone on with.
fn check(bytes: Vec<u8>) {
    let store = MemoryStore::with(bytes);
    let mut journal = match Journal::read(Box::new(store.clone()), None) {
        Ok(journal) => journal,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let head = journal.head();
    let verified = journal.verify(Some(&head)).expect("what opens is whole");
    assert_eq!((verified.head, verified.torn), (head, journal.cut()));
    let status = journal.status_after(head.number).expect("what opens can be replayed");
    assert_eq!(status, *journal.status());
    assert_eq!(journal.export().filter(Result::is_ok).count() as u64, head.number);
    let changes = journal.history().expect("what opens has a history");
    assert_eq!(changes.len(), journal.changes().len());
    journal.container_history("shop-1").expect("what opens can be asked");
    go_on(store, journal, &status.last_at);
}

fn go_on(store: MemoryStore, read: Journal, at: &nicfw::clock::Timestamp) {
    let adapter = read.adapter().to_owned();
    let mut journal = match Journal::open(Box::new(store.clone()), &adapter, None) {
        Ok(journal) => journal,
        // A name that no journal can be opened with.
        Err(JournalError::Unwritable { .. }) => return,
        Err(error) => panic!("what can be read cannot be written: {error}"),
    };
    assert_eq!((journal.head(), journal.status()), (read.head(), read.status()));
    let at = (*at).max(VirtualClock::START);
    let number = journal.append(at, Event::Committed { version: None }).expect("a record that can always follow");
    let again = Journal::read(Box::new(store), None).expect("what was written can be read");
    assert_eq!((again.head().number, again.head(), again.cut()), (number, journal.head(), None));
}
