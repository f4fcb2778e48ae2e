//! Container firewalls in Solarflare EF10 adapters.
//!
//! A container's enterprise IP is bound to rules that the adapter itself judges, frame by frame and in both directions,
//! so that kernel-bypass applications are judged too. The rooms, and the one way that imports run:
//!
//! ```text
//! error, clock, text, file -> bar, dma -> regs -> mcdi -> tables -> nic -> policy -> journal -> firewall -> cli
//!                device implements bar + dma
//! ```
//!
//! `tables` stands left of `nic`, because attaching reads the sizes that `tables` defines. `policy` is pure: it compiles a
//! document to the content of the adapter's tables with no device at all.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod clock;
pub mod error;
pub mod file;
pub mod text;

pub mod bar;
pub mod device;
pub mod dma;

#[cfg(feature = "raw")]
pub mod mcdi;
#[cfg(not(feature = "raw"))]
#[expect(dead_code, reason = "messages and fields that only the model and diagnostics read")]
mod mcdi;
#[cfg(feature = "raw")]
pub mod regs;
#[cfg(not(feature = "raw"))]
#[expect(dead_code, reason = "registers that only the model and diagnostics reach")]
mod regs;
#[cfg(feature = "raw")]
pub mod tables;
#[cfg(not(feature = "raw"))]
#[expect(dead_code, reason = "decoding, which only the model and diagnostics do")]
mod tables;

pub mod firewall;
pub mod journal;
pub mod nic;
pub mod policy;

#[cfg(doc)]
#[doc = include_str!("../docs/policy.md")]
pub mod language {}

pub use error::Error;
pub use nic::Adapter;
pub use tables::{
    Action, Assumption, CounterId, CounterValue, Direction, EngineProfile, LookupOrder, MacAddr, MacAddrError,
    MapError, MatchFields, PortMap, PortRangeId, PortTreeEntry, RuleKey, Sizes, SubnetId, SubnetMap, SubnetNode,
    TableOp, Target, Verdict,
};

/// The README's example is compiled and run with the documentation tests. It needs the model, and so `raw`.
#[cfg(all(doctest, feature = "raw"))]
#[doc = include_str!("../README.md")]
struct Readme;
