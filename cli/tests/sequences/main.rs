//! Sequences as people make them, through real processes: each call is the program, started anew, on a model behind a socket
//! and with a journal in a file. Programs are killed in their calls, wait for a confirmation, and meet clocks that jump. The
//! steps, the oracle and its sentences are those of `tests/sequences` of the library.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many processes they start together.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "other tests have golden files")]
mod common;
#[path = "../../../tests/sequences/documents.rs"]
mod documents;
#[path = "../../../tests/sequences/foreign.rs"]
mod foreign;
mod found;
#[path = "../../../tests/sequences/machine.rs"]
mod machine;
#[path = "../../../tests/sequences/oracle/mod.rs"]
#[expect(dead_code, reason = "it also judges journals that end with their process")]
mod oracle;
#[path = "../../../tests/sequences/probes.rs"]
mod probes;
#[path = "../../../tests/sequences/promise.rs"]
mod promise;
#[path = "../common/served.rs"]
#[expect(dead_code, reason = "other tests have one policy")]
mod served;
mod shifted;
#[path = "../../../tests/sequences/step.rs"]
#[expect(dead_code, reason = "others say themselves why they refuse")]
mod step;
mod world;

#[test]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all(2000);
}
