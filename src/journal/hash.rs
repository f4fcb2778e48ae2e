//! The chain's hashes, its key, and its head as text.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// SHA-256 or HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The last record of a journal: whoever keeps it can tell later whether that record, and all before it, were rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of the record; 0 = there is none, and the hash is the header's.
    pub number: u64,
    /// Its hash, which covers all records before it.
    pub hash: Hash,
}

impl fmt::Display for Head {
    /// As in `1042:9f86d081...`, 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

/// A text that is no [`Head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a journal's head: expected a record's number, a colon and 64 hexadecimal digits, as `nicfw journal FILE show` prints it"
)]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (number, digits) = text.trim().split_once(':').ok_or(HeadError)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number).ok_or(HeadError)?;
        let bytes = super::wire::from_hex(digits).ok_or(HeadError)?;
        Ok(Self { number, hash: Hash(bytes.try_into().map_err(|_| HeadError)?) })
    }
}

/// The secret that makes a chain one that nobody else can continue or rewrite. Not printed.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// A key that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a journal's key has at least {} bytes, this has {len}", Key::MIN)]
#[non_exhaustive]
pub struct KeyError {
    /// Bytes that were given.
    pub len: usize,
}

impl Key {
    /// Fewest bytes of a key.
    pub const MIN: usize = 16;

    /// A key of these bytes, at least [`Key::MIN`].
    ///
    /// # Errors
    /// [`KeyError`] if there are fewer.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let len = bytes.len();
        let mac = Hmac::new_from_slice(bytes).ok().filter(|_| len >= Self::MIN);
        mac.map(Self).ok_or(KeyError { len })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// How a journal hashes: with its key, or without.
#[derive(Debug, Clone)]
pub(super) struct Hashing(Option<Key>);

impl Hashing {
    pub fn new(key: Option<&Key>) -> Self {
        Self(key.cloned())
    }

    pub fn is_keyed(&self) -> bool {
        self.0.is_some()
    }

    /// The hash over these parts, one after the other.
    pub fn of(&self, parts: &[&[u8]]) -> Hash {
        match &self.0 {
            Some(key) => {
                let mac = parts.iter().fold(key.0.clone(), |mac, part| mac.chain_update(part));
                Hash(mac.finalize().into_bytes().into())
            }
            None => Hash(parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2 appendix B.1, and RFC 4231 test case 1 (whose key has 20 bytes).
    #[test]
    fn hashes_are_the_standard_s() {
        let plain = Hashing::new(None).of(&[b"a", b"bc"]);
        assert_eq!(plain.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let keyed = Hashing::new(Some(&Key::new(&[0x0b; 20]).unwrap())).of(&[b"Hi ", b"There"]);
        assert_eq!(keyed.to_string(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn heads_are_text_and_back() {
        let head = Head { number: 1042, hash: Hash([0xa5; 32]) };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(format!(" {head}\n").parse(), Ok(head));
        for bad in ["", "1042", "1042:", "x:a5", "+1:", &format!("-{head}"), &format!("+{head}"), &format!("{head}a5")]
        {
            assert_eq!(bad.parse::<Head>(), Err(HeadError), "{bad}");
        }
    }

    #[test]
    fn short_keys_are_refused_and_none_is_printed() {
        assert_eq!(Key::new(&[1; 15]).unwrap_err(), KeyError { len: 15 });
        assert_eq!(format!("{:?}", Key::new(&[1; 16]).unwrap()), "Key(..)");
    }
}
