//! The rules engine: tables as the commands wrote them, and the judgement of frames, one at a time.
//!
//! Everything that is assumed about the real engine comes from one [`EngineProfile`](nicfw::tables::EngineProfile) (assumptions
//! A1 to A14, each with its opposite). The engine shares types with the driver, but no code that turns a policy into tables or a
//! frame into a verdict: the two sides check each other.
//!
//! ```text
//! commands -> engine -> tables: table (entries), maps (trie and trees), counters
//! frame    -> engine -> lookup: values (numbers of what entries name), flat (the maps) -> row -> table -> judgement
//! ```

mod config;
mod counters;
mod engine;
mod entry;
pub(in crate::engines) mod flat;
mod hash;
mod index;
mod judgement;
mod lookup;
mod maps;
pub(in crate::engines) mod pass;
mod refused;
pub(in crate::engines) mod row;
mod snapshot;
pub(in crate::engines) mod table;
mod tables;
pub(in crate::engines) mod values;

pub use config::{EngineConfig, ProbeLimit};
pub use engine::Engine;
pub use entry::EntryId;
pub use judgement::{By, Decided, Decision, Judgement};
pub use refused::Refused;
pub use snapshot::Snapshot;
