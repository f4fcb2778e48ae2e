//! Bytes that were changed: found, wherever they stand; and a chain that was rewritten.

use nicfw::journal::{Event, Head, Journal, JournalError, Key, MemoryStore};

use crate::story::{ADAPTER, Story, bounds, header_len, key};

fn read(bytes: Vec<u8>, key: Option<&Key>) -> Result<Journal, JournalError> {
    Journal::read(Box::new(MemoryStore::with(bytes)), key)
}

/// One bit of every byte is flipped. Damage is refused with the number of its record; only the last one can pass for torn.
#[test]
fn every_flipped_byte_is_found() {
    let key = key();
    let story = Story::full(Some(&key));
    let (bytes, header) = (story.store.bytes(), header_len(true));
    let bounds = bounds(&bytes, header);
    let last = bounds[20];
    // Every byte of heads, hashes and their neighbourhood; of long payloads every 13th.
    let near = |at: usize| bounds.iter().any(|bound| at.abs_diff(*bound) < 80);
    let mut flipped = 0;
    for at in (0..bytes.len()).filter(|at| near(*at) || at % 13 == 0) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let record = bounds.partition_point(|bound| *bound <= at);
        flipped += 1;
        match read(changed, Some(&key)) {
            Ok(journal) => {
                let in_body = at >= last + 44 || (last + 4..last + 8).contains(&at);
                assert!(in_body && journal.cut().is_some() && journal.head().number == 20, "byte {at}");
            }
            Err(JournalError::Damaged { record: told, offset, .. }) => {
                let begins = if record == 0 { 0 } else { bounds[record - 1] };
                assert_eq!((told, offset), (record as u64, begins as u64), "byte {at}");
            }
            Err(error) => assert!(at < header, "byte {at}: {error}"),
        }
    }
    println!("{flipped} bytes of 21 records flipped, each found");
}

#[test]
fn records_that_are_missing_twice_or_in_another_order_are_found() {
    let bytes = Story::full(None).store.bytes();
    let bounds = bounds(&bytes, header_len(false));
    let record = |i: usize| bytes[bounds[i]..bounds[i + 1]].to_vec();
    let all = |order: &[usize]| [bytes[..bounds[0]].to_vec(), order.iter().flat_map(|i| record(*i)).collect()].concat();
    for (order, at) in [(&[0, 2][..], 2), (&[0, 0], 2), (&[1, 0], 1), (&[0, 1, 3, 2], 3)] {
        let error = read(all(order), None).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { record, .. } if record == at), "{order:?}: {error}");
        assert!(error.to_string().contains("does not follow"), "{error}");
    }
}

#[test]
fn garbage_behind_the_last_record_is_not_taken_for_a_torn_one() {
    let bytes = Story::full(None).store.bytes();
    let error = read([bytes, vec![0xa5; 100]].concat(), None).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { record: 22, .. }), "{error}");
    assert!(error.to_string().contains("put back a copy"), "{error}");
}

#[test]
fn what_is_no_journal_and_what_is_another_s_has_an_error_of_its_own() {
    let bytes = Story::full(None).store.bytes();
    let error = |bytes: Vec<u8>, key: Option<&Key>| read(bytes, key).unwrap_err();
    assert!(matches!(error(b"nicfw: 1\nunbound: allow\n".to_vec(), None), JournalError::NotAJournal { .. }));
    assert!(matches!(error(Vec::new(), None), JournalError::NotAJournal { .. }));
    assert!(matches!(error(bytes.clone(), Some(&key())), JournalError::KeyUnexpected));
    let keyed = Story::full(Some(&key())).store.bytes();
    assert!(matches!(error(keyed.clone(), None), JournalError::KeyMissing));
    let other = Key::new(b"a key of somebody else's").unwrap();
    assert!(matches!(error(keyed, Some(&other)), JournalError::KeyWrong));
    let mut newer = bytes.clone();
    newer[16] = 3;
    let newer = error(newer, None);
    assert_eq!(newer.to_string(), "the journal has format 3, this nicfw knows 2: use a newer nicfw");
    let store = MemoryStore::with(bytes.clone());
    let foreign = Journal::open(Box::new(store.clone()), "1924:0a03 02:00:00:00:00:02", None).unwrap_err();
    let text = format!(
        "the journal is about adapter {ADAPTER}, not 1924:0a03 02:00:00:00:00:02: give each adapter a journal of its own"
    );
    assert_eq!((foreign.to_string(), store.bytes()), (text, bytes));
}

#[test]
fn an_anchor_tells_a_rewritten_chain() {
    let mut story = Story::full(None);
    let heads: Vec<Head> = story
        .journal
        .records()
        .map(|record| record.map(|r| Head { number: r.number, hash: r.hash }).unwrap())
        .collect();
    for head in &heads {
        let text = head.to_string();
        let verified = story.journal.verify(Some(&text.parse().unwrap())).unwrap();
        assert_eq!((verified.records, verified.changes, verified.anchored), (21, 8, true));
        assert_eq!((verified.head, verified.bytes), (story.journal.head(), story.store.bytes().len() as u64));
    }
    // Cut back to record 3 and continued otherwise: all holds together, and only an anchor tells.
    let bytes = story.store.bytes();
    let cut = bounds(&bytes, header_len(false))[3];
    let store = MemoryStore::with(bytes[..cut].to_vec());
    let mut rewritten = Journal::open(Box::new(store), ADAPTER, None).unwrap();
    rewritten.append(story.now, Event::Committed { version: None }).unwrap();
    rewritten.verify(None).unwrap();
    rewritten.verify(Some(&heads[2])).unwrap();
    let other = rewritten.verify(Some(&heads[3])).unwrap_err();
    assert!(matches!(other, JournalError::Rewritten { found: Some(_), .. }), "{other}");
    let gone = rewritten.verify(Some(&heads[20])).unwrap_err();
    assert!(matches!(gone, JournalError::Rewritten { found: None, .. }), "{gone}");
    assert!(gone.is_damage() && gone.to_string().contains("ends before record 21"), "{gone}");
}

/// Whoever has no key can compute every checksum, and still not change or continue a chain that has one.
#[test]
fn a_keyed_chain_cannot_be_continued_without_the_key() {
    let key = key();
    let bytes = Story::full(Some(&key)).store.bytes();
    let bounds = bounds(&bytes, header_len(true));
    let last = bounds[20];
    let body = last + 44..bytes.len() - 32;
    let mut forged = bytes.clone();
    let at = body.start + forged[body.clone()].windows(10).position(|w| w == b"\"commands\"").unwrap() + 11;
    forged[at] = b'9';
    let crc = crc32(&forged[body.start..]);
    forged[last + 4..last + 8].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32(&forged[last..last + 40]);
    forged[last + 40..last + 44].copy_from_slice(&crc.to_le_bytes());
    let error = read(forged, Some(&key)).unwrap_err();
    assert!(matches!(&error, JournalError::Damaged { record: 21, what, .. } if what.contains("hash")), "{error}");
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn a_store_that_changes_under_an_open_journal_is_noticed() {
    let mut story = Story::full(None);
    let number = story.journal.head().number;
    let cut = bounds(&story.store.bytes(), header_len(false))[5] as u64;
    nicfw::journal::Store::truncate(&mut story.store.clone(), cut).unwrap();
    assert!(story.journal.record(number).is_err());
    let error = story.journal.verify(None).unwrap_err();
    assert!(matches!(error, JournalError::Rewritten { found: None, .. }), "{error}");
}
