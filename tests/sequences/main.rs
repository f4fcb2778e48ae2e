//! Sequences as people make them: every verb in any order, several processes and containers, processes that die at any call,
//! clocks that jump, addresses that move, journals that are copied, others who write rules, and management controllers that
//! reboot. The kit's `sequences::oracle` says which sentences are looked at after each step.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many steps they take together; with
//! `NICFW_SEQUENCES_TELL` each step is printed with what was said.

mod eye;
mod found;
mod world;

use nicfw_test_kit::sequences::machine;

#[test]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all::<world::World>(100_000);
}
