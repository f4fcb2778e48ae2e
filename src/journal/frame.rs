//! Records as bytes, and the walk along their chain.
//!
//! ```text
//! length of the payload u32 | crc32 of payload and hash u32 | hash of the record before 32 | crc32 of the 40 bytes u32
//! payload | hash 32
//! ```
//!
//! Numbers are little-endian. The hash is over the hash before and the payload; the record before the first is the header.
//! The head has a checksum of its own, so that a length that was changed is not taken for a record that was torn; and the
//! record has its own hash beside the one before, so that with a key the last record too is authentic.

use super::hash::{Hash, Hashing};
use super::{JournalError, Record, Store, wire};
use crate::clock::Timestamp;

/// Longest payload: a full set of tables of any adapter, four times over.
pub(super) const MAX_PAYLOAD: usize = 16 << 20;

const HEAD: usize = 44;
const HASH: usize = 32;
const CHUNK: usize = 1 << 16;

/// Bytes of a record beside its payload.
pub(super) const OVERHEAD: usize = HEAD + HASH;

/// A record's place in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub at: u64,
    /// With everything.
    pub len: u64,
    pub hash: Hash,
    /// When it was written.
    pub date: Timestamp,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walked {
    /// End of the last whole record.
    pub end: u64,
    /// A torn record follows.
    pub torn: bool,
}

/// The frame around a payload, and its hash.
pub(super) fn frame(payload: &[u8], before: Hash, hashing: &Hashing) -> Option<(Vec<u8>, Hash)> {
    let len = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD)?;
    let hash = hashing.of(&[&before.0, payload]);
    let mut out = Vec::with_capacity(payload.len() + OVERHEAD);
    out.extend(len.to_le_bytes());
    out.extend(crc(payload, &hash).to_le_bytes());
    out.extend(before.0);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    out.extend(payload);
    out.extend(hash.0);
    Some((out, hash))
}

fn crc(payload: &[u8], hash: &Hash) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(payload);
    crc.update(&hash.0);
    crc.finalize()
}

struct Head {
    len: usize,
    crc: u32,
    before: Hash,
}

/// `None` if its checksum is wrong.
fn head(bytes: &[u8; HEAD]) -> Option<Head> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let (before, rest) = rest.split_first_chunk()?;
    let (own, _) = rest.split_first_chunk()?;
    let is_whole = crc32fast::hash(bytes.get(..HEAD - 4)?) == u32::from_le_bytes(*own);
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    is_whole.then_some(Head { len, crc: u32::from_le_bytes(*crc), before: Hash(*before) })
}

/// Reads the record `number` at `at`, which follows one of the hash `before`; the store ends at `end`. `None`: it is
/// torn.
pub(super) fn read(
    store: &mut dyn Store,
    number: u64,
    at: u64,
    before: Hash,
    end: u64,
    hashing: &Hashing,
) -> Result<Option<(Record, Place)>, JournalError> {
    let failed = |source| JournalError::of("read", source);
    let damaged = |what: &dyn ToString| JournalError::damaged(number, at, what.to_string());
    let left = end.saturating_sub(at);
    let mut bytes = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(None);
    }
    store.read_at(at, &mut bytes).map_err(failed)?;
    let Some(head) = head(&bytes) else {
        // A file system may lengthen a file before it writes what is to stand there.
        let empty = is_zero(store, at.saturating_add(HEAD as u64), end).map_err(failed)?;
        return if empty { Ok(None) } else { Err(damaged(&"the checksum of its head is wrong")) };
    };
    if head.len > MAX_PAYLOAD {
        return Err(damaged(&"it is longer than any record"));
    }
    let len = (head.len + OVERHEAD) as u64;
    if len > left {
        return Ok(None);
    }
    if head.before != before {
        return Err(damaged(&"it does not follow the record before it"));
    }
    let mut body = vec![0; head.len + HASH];
    store.read_at(at.saturating_add(HEAD as u64), &mut body).map_err(failed)?;
    let (payload, hash) = body.split_last_chunk().ok_or_else(|| damaged(&"it has no hash"))?;
    let hash = Hash(*hash);
    if crc(payload, &hash) != head.crc {
        return if len == left { Ok(None) } else { Err(damaged(&"its checksum is wrong")) };
    }
    if hashing.of(&[&before.0, payload]) != hash {
        return Err(damaged(&"its hash is wrong: it was changed, or written with another key"));
    }
    let (told, date, event) = wire::decode(payload).map_err(|error| damaged(&error))?;
    if told != number {
        return Err(damaged(&format_args!("it says that it is record {told}")));
    }
    Ok(Some((Record { number, at: date, hash, event }, Place { at, len, hash, date })))
}

fn is_zero(store: &mut dyn Store, from: u64, end: u64) -> std::io::Result<bool> {
    let mut at = from;
    while at < end {
        let len = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
        let mut bytes = vec![0; len];
        store.read_at(at, &mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at = at.saturating_add(len as u64);
    }
    Ok(true)
}

/// Reads all records from `at` on, the first of which follows the header's hash.
pub(super) fn walk(
    store: &mut dyn Store,
    at: u64,
    header: Hash,
    end: u64,
    hashing: &Hashing,
    mut each: impl FnMut(Record, Place) -> Result<(), JournalError>,
) -> Result<Walked, JournalError> {
    let (mut number, mut at, mut before) = (1, at, header);
    while at < end {
        match read(store, number, at, before, end, hashing)? {
            None => return Ok(Walked { end: at, torn: true }),
            Some((record, place)) => {
                (number, at, before) = (number + 1, at.saturating_add(place.len), place.hash);
                each(record, place)?;
            }
        }
    }
    Ok(Walked { end: at, torn: false })
}
