//! Sequences as people make them, through real processes: each call is the program, started anew, on a model behind a socket
//! and with a journal in a file. Programs are killed in their calls, wait for a confirmation, and meet clocks that jump. The
//! steps, the oracle and its sentences are those of `nicfw_test_kit::sequences`.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many processes they start together.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "other tests have golden files")]
mod common;
mod found;
#[path = "../common/served.rs"]
#[expect(dead_code, reason = "other tests have one policy")]
mod served;
mod shifted;
mod world;

use nicfw_test_kit::sequences::machine;

#[test]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all::<world::World>(2000);
}
