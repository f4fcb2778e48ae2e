//! Sequences as people make them, through real processes: each call is the program, started anew, on a model behind a socket
//! and with a journal in a file. Programs are killed in their calls, wait for a confirmation, and meet clocks that jump. The
//! steps, the oracle and its sentences are those of `tests/sequences` of the library.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many processes they start together.

#[expect(dead_code, reason = "other suites use the rest")]
#[path = "../common/mod.rs"]
mod common;
#[path = "../../../tests/sequences/documents.rs"]
mod documents;
mod found;
#[path = "../../../tests/sequences/machine.rs"]
mod machine;
#[expect(dead_code, reason = "other suites use the rest")]
#[path = "../../../tests/sequences/oracle/mod.rs"]
mod oracle;
#[path = "../../../tests/sequences/probes.rs"]
mod probes;
#[path = "../../../tests/sequences/promise.rs"]
mod promise;
#[expect(dead_code, reason = "other suites use the rest")]
#[path = "../common/served.rs"]
mod served;
mod shifted;
#[expect(dead_code, reason = "other suites use the rest")]
#[path = "../../../tests/sequences/step.rs"]
mod step;
mod world;

#[test]
#[ignore = "not finished: after some hundred steps the explanation of a flow is compared with another policy's"]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all(2000);
}
