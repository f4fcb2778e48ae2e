//! The adapter's rule tables: what their entries are, how they go over the wire, and how full they get.
//!
//! The types say what the tables hold, [`codec`] turns an operation into a command, [`ops`] and [`counters`] carry it out.
//!
#![cfg_attr(feature = "raw", doc = "```")]
#![cfg_attr(not(feature = "raw"), doc = "```ignore")]
//! use nicfw::mcdi::wire::{Cmd, MAX_PAYLOAD};
//! use nicfw::tables::{Action, RuleKey, TableOp, Target, codec};
//!
//! // Whatever goes to or comes from 10.30.1.17 is dropped, unless an entry that names more lets it through.
//! let key = RuleKey { local_ip: Some("10.30.1.17".parse().unwrap()), ..RuleKey::default() };
//! let deny = Action::Deny { sample: false };
//! let op = TableOp::SetRule { key, rx: deny, tx: deny, counter: None };
//!
//! let mut payload = [0; MAX_PAYLOAD];
//! let encoded = codec::encode(&op, &Target::profile0(), &mut payload)?;
//! assert_eq!((encoded.cmd, encoded.len), (Cmd::SET_SECURITY_RULE, 92));
//! assert_eq!(codec::decode(encoded.cmd, &payload[..encoded.len])?, op);
//! # Ok::<(), codec::CodecError>(())
//! ```

mod addr;
mod classes;
pub mod codec;
#[cfg(test)]
mod codec_tests;
pub mod counters;
#[cfg(test)]
pub(crate) mod fake;
pub mod ops;
mod port_map;
mod profile;
mod rules;
mod subnet_map;
mod takes;

pub use addr::{MacAddr, MacAddrError};
pub use classes::MapError;
pub use counters::CounterValue;
pub use port_map::{PortMap, PortRangeId, PortTreeEntry};
pub use profile::{Assumption, EngineProfile, LookupOrder, Sizes, Target};
pub use rules::{Action, CounterId, Direction, MatchFields, RuleKey, Verdict};
pub use subnet_map::{SubnetId, SubnetMap, SubnetNode};
pub use takes::FieldError;

/// One change of the adapter's tables: exactly one MCDI command, idempotent, carrying the complete state of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableOp {
    /// SET_SECURITY_RULE. Both actions [`Action::None`] free the entry (assumption A11).
    SetRule {
        /// What the entry matches.
        key: RuleKey,
        /// Action for received frames.
        rx: Action,
        /// Action for transmitted frames.
        tx: Action,
        /// Counter pair of the entry.
        counter: Option<CounterId>,
    },
    /// SUBNET_MAP_SET_NODE: one node, replaced atomically.
    SetSubnetNode(SubnetNode),
    /// REMOTE_PORTRANGE_MAP_SET_TREE: the whole tree, replaced atomically.
    SetRemotePortTree(Vec<PortTreeEntry>),
    /// LOCAL_PORTRANGE_MAP_SET_TREE: the whole tree, replaced atomically.
    SetLocalPortTree(Vec<PortTreeEntry>),
}
