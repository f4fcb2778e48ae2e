//! The first bytes of a journal: what it is, in which format, about which adapter, and whether it has a key.
//!
//! ```text
//! magic 16 | format u32 | flags u8 (1 = keyed) | length u8 | adapter, UTF-8 | key check 32, if keyed | crc32 of all that
//! ```
//!
//! Numbers are little-endian. Format 1 has no key check.

use super::hash::{Hash, Hashing};
use super::{JournalError, Key, Store};

pub(super) const MAGIC: [u8; 16] = *b"nicfw journal\r\n\x1a";
/// The format that is written.
pub(super) const FORMAT: u32 = 2;
/// The oldest that can be migrated.
pub(super) const OLDEST: u32 = 1;

const KEYED: u8 = 1;
const FIXED: usize = MAGIC.len() + 4 + 1 + 1;
const HASH: usize = 32;
const CRC: usize = 4;
/// Longest header.
const MAX: usize = FIXED + u8::MAX as usize + HASH + CRC;

/// The header of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub format: u32,
    pub adapter: String,
    pub keyed: bool,
    check: Option<Hash>,
}

fn key_check(hashing: &Hashing, adapter: &str) -> Hash {
    hashing.of(&[b"nicfw journal key check", adapter.as_bytes()])
}

impl Header {
    pub fn new(adapter: &str, hashing: &Hashing) -> Result<Self, JournalError> {
        if adapter.is_empty() || adapter.len() > usize::from(u8::MAX) {
            let what = format!("the adapter's name has {} bytes, 1 to 255 fit", adapter.len());
            return Err(JournalError::Unwritable { what });
        }
        let keyed = hashing.is_keyed();
        let check = keyed.then(|| key_check(hashing, adapter));
        Ok(Self { format: FORMAT, adapter: adapter.to_owned(), keyed, check })
    }

    /// About an adapter that nobody named.
    pub fn unnamed() -> Self {
        Self { format: FORMAT, adapter: "unnamed".to_owned(), keyed: false, check: None }
    }

    pub fn encode(&self) -> Vec<u8> {
        let len = u8::try_from(self.adapter.len()).unwrap_or(u8::MAX);
        let mut out = MAGIC.to_vec();
        out.extend(self.format.to_le_bytes());
        out.extend([u8::from(self.keyed) * KEYED, len]);
        out.extend(self.adapter.as_bytes());
        out.extend(self.check.iter().flat_map(|check| check.0));
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// The header, and how many bytes it has. A newer format is told before anything else in it is looked at.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), JournalError> {
        let damaged = |what| JournalError::damaged(0, 0, what);
        let short = || damaged("the header is cut off");
        if !bytes.starts_with(&MAGIC) {
            return Err(JournalError::NotAJournal { what: "it does not begin as one" });
        }
        let rest = bytes.get(MAGIC.len()..).unwrap_or_default();
        let (format, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let format = u32::from_le_bytes(*format);
        if format > FORMAT {
            return Err(JournalError::Newer { format, known: FORMAT });
        }
        let ([flags, len], rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (adapter, rest) = rest.split_at_checked(usize::from(*len)).ok_or_else(short)?;
        let has_check = flags & KEYED != 0 && format > OLDEST;
        let (check, rest) = if has_check {
            let (check, rest) = rest.split_first_chunk().ok_or_else(short)?;
            (Some(Hash(*check)), rest)
        } else {
            (None, rest)
        };
        let (crc, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let len = bytes.len() - rest.len();
        if crc32fast::hash(bytes.get(..len - CRC).unwrap_or_default()) != u32::from_le_bytes(*crc) {
            return Err(damaged("the header's checksum is wrong"));
        }
        if format < OLDEST || flags & !KEYED != 0 {
            return Err(damaged("the header says what no format does"));
        }
        let adapter = str::from_utf8(adapter).map_err(|_| damaged("the adapter's name is not UTF-8"))?.to_owned();
        Ok((Self { format, adapter, keyed: flags & KEYED != 0, check }, len))
    }

    /// Reads it from a store that is not empty.
    pub fn read(store: &mut dyn Store, end: u64) -> Result<(Self, Vec<u8>), JournalError> {
        let len = usize::try_from(end).map_or(MAX, |end| end.min(MAX));
        let mut bytes = vec![0; len];
        store.read_at(0, &mut bytes).map_err(|source| JournalError::of("read", source))?;
        let (header, len) = Self::decode(&bytes)?;
        bytes.truncate(len);
        Ok((header, bytes))
    }

    /// Checks that the key is the one that the journal was written with.
    pub fn check_key(&self, key: Option<&Key>) -> Result<(), JournalError> {
        match (self.keyed, key) {
            (true, None) => Err(JournalError::KeyMissing),
            (false, Some(_)) => Err(JournalError::KeyUnexpected),
            _ => {
                let same = self.check.is_none_or(|check| check == key_check(&Hashing::new(key), &self.adapter));
                if same { Ok(()) } else { Err(JournalError::KeyWrong) }
            }
        }
    }
}
