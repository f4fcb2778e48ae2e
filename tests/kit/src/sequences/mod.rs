//! Sequences as people make them: every verb in any order, several processes and containers, processes that die at any call,
//! clocks that jump, addresses that move, journals that are copied, others who write rules, and management controllers that
//! reboot. `oracle` says which sentences are looked at after each step. Whoever drives the adapter is a [`machine::World`]: the
//! library, the program, or the C functions.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many steps they take together.

pub mod documents;
pub mod foreign;
pub mod machine;
pub mod oracle;
pub mod probes;
pub mod promise;
pub mod step;
