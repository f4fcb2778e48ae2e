//! Changes that meet faults, and what is looked at meanwhile.

pub mod probes;
pub mod workloads;
