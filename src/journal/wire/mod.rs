//! Payloads of records: JSON, by structs of their own, so that the format stays when the types that it is about change.
//!
//! Reading checks what the types cannot say: dates that have a text form, hashes of an adapter's length, no key twice. An
//! unknown field is refused, because it may mean something.

mod delta;
mod entry;
mod event;

use serde::{Deserialize, Serialize};

use super::{Event, Record};
use crate::adapter::RulesetVersion;
use crate::clock::Timestamp;
use crate::tables::CounterId;

/// Longest version hash of an adapter (1,020 bytes of payload are all that one answer can carry).
const MAX_VERSION: usize = 1020;
/// Most counters of one record; an adapter of profile 0 has 1,024 pairs.
const MAX_COUNTERS: usize = 1 << 16;

/// A payload that says nothing, or what no record can.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("not the text of a record ({0})")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Value(&'static str),
}

/// A payload.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload<E> {
    /// Number of the record.
    n: u64,
    /// Milliseconds since 1970.
    at: u64,
    event: E,
}

pub(super) fn encode(number: u64, at: Timestamp, event: &Event) -> Result<Vec<u8>, WireError> {
    Ok(serde_json::to_vec(&Payload { n: number, at: at.0, event: event::Event::from(event) })?)
}

pub(super) fn decode(payload: &[u8]) -> Result<(u64, Timestamp, Event), WireError> {
    let payload: Payload<event::Event> = serde_json::from_slice(payload)?;
    Ok((payload.n, timestamp(payload.at)?, payload.event.try_into()?))
}

/// A record as a line of JSON, for other programs.
#[derive(Serialize)]
struct Line<'a> {
    number: u64,
    /// As in `2026-11-23T08:30:00.125Z`.
    at: &'a str,
    hash: &'a str,
    event: event::Event,
}

pub(super) fn line(record: &Record) -> Result<String, WireError> {
    let (at, hash) = (record.at.to_string(), record.hash.to_string());
    let event = event::Event::from(&record.event);
    Ok(serde_json::to_string(&Line { number: record.number, at: &at, hash: &hash, event })?)
}

fn timestamp(millis: u64) -> Result<Timestamp, WireError> {
    Some(Timestamp(millis)).filter(|at| *at <= Timestamp::LAST).ok_or(WireError::Value("a date after the year 9999"))
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes of an even number of hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| u8::try_from(char::from(*digit).to_digit(16)?).ok();
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A version hash, in hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct Version(String);

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
fn counter_runs(counters: &[(CounterId, CounterId)]) -> Vec<(u32, u32, u32)> {
    let mut runs: Vec<(u32, u32, u32)> = Vec::new();
    for (ours, theirs) in counters {
        match runs.last_mut() {
            Some((a, b, n)) if a.checked_add(*n) == Some(ours.0) && b.checked_add(*n) == Some(theirs.0) => *n += 1,
            _ => runs.push((ours.0, theirs.0, 1)),
        }
    }
    runs
}

fn counters(runs: &[(u32, u32, u32)]) -> Result<Vec<(CounterId, CounterId)>, WireError> {
    let all = runs.iter().try_fold(0usize, |all, (.., n)| all.checked_add(usize::try_from(*n).ok()?));
    if all.is_none_or(|all| all > MAX_COUNTERS) {
        return Err(WireError::Value("more counters than any adapter has"));
    }
    let one = |a: u32, b: u32, i: u32| Some((CounterId(a.checked_add(i)?), CounterId(b.checked_add(i)?)));
    let ids = runs.iter().flat_map(|(a, b, n)| (0..*n).map(move |i| one(*a, *b, i)));
    ids.collect::<Option<_>>().ok_or(WireError::Value("a counter past the last number"))
}
