//! Single values of payloads.

use crate::adapter::RulesetVersion;
use crate::clock::Timestamp;
use crate::tables::CounterId;
use serde::{Deserialize, Serialize};

/// Longest version hash of an adapter (1,020 bytes of payload are all that one answer can carry).
const MAX_VERSION: usize = 1020;

/// Most counters of one record; an adapter of profile 0 has 1,024 pairs.
const MAX_COUNTERS: usize = 1 << 16;

/// A payload that says nothing, or what no record can.
#[derive(Debug, thiserror::Error)]
pub(in crate::journal) enum WireError {
    #[error("not the text of a record ({0})")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Value(&'static str),
}

pub(super) fn timestamp(millis: u64) -> Result<Timestamp, WireError> {
    Some(Timestamp(millis)).filter(|at| *at <= Timestamp::LAST).ok_or(WireError::Value("a date after the year 9999"))
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes of an even number of hexadecimal digits.
pub(in crate::journal) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| u8::try_from(char::from(*digit).to_digit(16)?).ok();
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A version hash, in hexadecimal digits.
#[derive(Serialize, Deserialize)]
pub(super) struct Version(String);

impl From<&RulesetVersion> for Version {
    fn from(version: &RulesetVersion) -> Self {
        Self(to_hex(version.as_bytes()))
    }
}

impl TryFrom<Version> for RulesetVersion {
    type Error = WireError;

    fn try_from(version: Version) -> Result<Self, WireError> {
        let bytes = from_hex(&version.0).filter(|bytes| (1..=MAX_VERSION).contains(&bytes.len()));
        bytes.map(|bytes| Self::from_bytes(&bytes)).ok_or(WireError::Value("a version hash of 0 or too many bytes"))
    }
}

/// Counters as runs: `(first of the image, first of the adapter, how many)`.
pub(super) fn counter_runs(counters: &[(CounterId, CounterId)]) -> Vec<(u32, u32, u32)> {
    let mut runs: Vec<(u32, u32, u32)> = Vec::new();
    for (ours, theirs) in counters {
        match runs.last_mut() {
            Some((a, b, n)) if a.checked_add(*n) == Some(ours.0) && b.checked_add(*n) == Some(theirs.0) => *n += 1,
            _ => runs.push((ours.0, theirs.0, 1)),
        }
    }
    runs
}

pub(super) fn counters(runs: &[(u32, u32, u32)]) -> Result<Vec<(CounterId, CounterId)>, WireError> {
    let all = runs.iter().try_fold(0usize, |all, (.., n)| all.checked_add(usize::try_from(*n).ok()?));
    if all.is_none_or(|all| all > MAX_COUNTERS) {
        return Err(WireError::Value("more counters than any adapter has"));
    }
    let one = |a: u32, b: u32, i: u32| Some((CounterId(a.checked_add(i)?), CounterId(b.checked_add(i)?)));
    let ids = runs.iter().flat_map(|(a, b, n)| (0..*n).map(move |i| one(*a, *b, i)));
    ids.collect::<Option<_>>().ok_or(WireError::Value("a counter past the last number"))
}
