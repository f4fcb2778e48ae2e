//! Sequences as people make them, through the C functions: the steps, the oracle and its sentences are those of
//! `tests/sequences` of the library. A handle has a journal of its own that ends with it, so the next one adopts.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many calls they make together.

mod world;

use nicfw_test_kit::sequences::machine;

#[test]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all::<world::World>(2000);
}
