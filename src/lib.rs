//! Container firewalls in Solarflare EF10 adapters.
//!
//! A container's enterprise IP is bound to rules that the adapter itself judges, frame by frame and in both directions,
//! so that kernel-bypass applications are judged too. The rooms, and the one way that imports run:
//!
//! ```text
//! terms -> policy -> tables ---------------------------.
//! error, clock -> bar, dma -> device -> regs -> mcdi -> adapter -> journal -> firewall -> command line, C
//! ```
//!
//! The first way is pure: [`policy`] is the language, [`tables`] compile a document to what an adapter holds, and neither
//! knows a device. The second leads from mapped registers to commands. They meet in [`adapter`]. Without the feature `device`,
//! which is on by default, the first way is left alone.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod clock;
pub mod policy;
pub mod tables;
pub mod terms;
pub mod text;

#[cfg(feature = "device")]
pub mod adapter;
#[cfg(feature = "device")]
pub mod bar;
#[cfg(feature = "device")]
pub mod device;
#[cfg(feature = "device")]
pub mod dma;
#[cfg(feature = "device")]
pub mod error;
#[cfg(feature = "device")]
pub mod file;
#[cfg(feature = "device")]
pub mod firewall;
#[cfg(feature = "device")]
pub mod journal;
#[cfg(feature = "raw")]
pub mod mcdi;
#[cfg(all(feature = "device", not(feature = "raw")))]
#[expect(dead_code, reason = "messages and fields that only the model and diagnostics read")]
mod mcdi;
#[cfg(feature = "raw")]
pub mod regs;
#[cfg(all(feature = "device", not(feature = "raw")))]
#[expect(dead_code, reason = "registers that only the model and diagnostics reach")]
mod regs;

#[cfg(doc)]
#[doc = include_str!("../docs/policy.md")]
pub mod language {}

#[cfg(feature = "device")]
pub use crate::adapter::Adapter;
#[cfg(feature = "device")]
pub use crate::error::Error;
pub use crate::terms::{Direction, MacAddr, MacAddrError, Verdict};
pub use tables::{
    Action, Assumption, CounterId, CounterValue, EngineProfile, LookupOrder, MapError, MatchFields, PortMap,
    PortRangeId, PortTreeEntry, RuleKey, Sizes, SubnetId, SubnetMap, SubnetNode, TableOp, Target,
};

/// The README's example is compiled and run with the documentation tests. It needs the model, and so `raw`.
#[cfg(all(doctest, feature = "raw"))]
#[doc = include_str!("../README.md")]
struct Readme;
