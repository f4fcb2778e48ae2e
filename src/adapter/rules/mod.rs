//! The rules engine's tables on the wire: [`codec`] turns a [`TableOp`](crate::tables::TableOp) into a command, [`ops`] and
//! [`counters`] carry it out.
//!
#![cfg_attr(feature = "raw", doc = "```")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! use nicfw::adapter::rules::{codec, decode::decode};
//! use nicfw::mcdi::wire::{Cmd, MAX_PAYLOAD};
//! use nicfw::tables::{Action, RuleKey, TableOp, Target};
//!
//! // Whatever goes to or comes from 10.30.1.17 is dropped, unless an entry that names more lets it through.
//! let key = RuleKey { local_ip: Some("10.30.1.17".parse().unwrap()), ..RuleKey::default() };
//! let deny = Action::Deny { sample: false };
//! let op = TableOp::SetRule { key, rx: deny, tx: deny, counter: None };
//!
//! let mut payload = [0; MAX_PAYLOAD];
//! let encoded = codec::encode(&op, &Target::profile0(), &mut payload)?;
//! assert_eq!((encoded.cmd, encoded.len), (Cmd::SET_SECURITY_RULE, 92));
//! assert_eq!(decode(encoded.cmd, &payload[..encoded.len])?, op);
//! # Ok::<(), codec::CodecError>(())
//! ```

pub mod codec;
#[cfg(test)]
mod codec_tests;
pub mod counters;
#[cfg(any(test, feature = "raw"))]
pub mod decode;
pub mod ops;
