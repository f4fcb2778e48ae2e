//! Sequences as people make them, through the C functions: the steps, the oracle and its sentences are those of
//! `tests/sequences` of the library. A handle has a journal of its own that ends with it, so the next one adopts.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many calls they make together.

#[path = "../../../tests/sequences/documents.rs"]
mod documents;
#[path = "../../../tests/sequences/foreign.rs"]
mod foreign;
#[path = "../../../tests/sequences/machine.rs"]
mod machine;
#[path = "../../../tests/sequences/oracle/mod.rs"]
#[expect(dead_code, reason = "it also judges programs that wait, and what they announce")]
mod oracle;
#[path = "../../../tests/sequences/probes.rs"]
mod probes;
#[path = "../../../tests/sequences/promise.rs"]
mod promise;
#[path = "../../../tests/sequences/step.rs"]
#[expect(dead_code, reason = "others say themselves why they refuse")]
mod step;
mod world;

#[test]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all(2000);
}
