//! What several suites and benchmarks share: random documents and packets, frames byte by byte, places that meet faults, what
//! people do in any order and the oracle that judges it, and how work is timed. Nothing here judges nicfw by nicfw: where an
//! expectation is computed, it is computed from the documents alone.
#![expect(missing_docs, reason = "the suites are its only readers, and its names are those of their tests")]

pub mod backend;
pub mod bench;
pub mod command;
pub mod dice;
pub mod documents;
pub mod faults;
pub mod frames;
pub mod judged;
pub mod orders;
pub mod packets;
pub mod sequences;
pub mod texts;
pub mod watched;
