//! Payloads of records: JSON, by structs of their own, so that the format stays when the types that it is about change.
//!
//! Reading checks what the types cannot say: dates that have a text form, hashes of an adapter's length, no key twice. An
//! unknown field is refused, because it may mean something.

mod delta;
mod entry;
mod event;
mod values;

use serde::{Deserialize, Serialize};

use self::values::timestamp;
pub(in crate::journal) use self::values::{WireError, from_hex};
use super::event::{Event, Record};
use crate::clock::Timestamp;

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
