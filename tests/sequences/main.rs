//! Sequences as people make them: every verb in any order, several processes and containers, processes that die at any call,
//! clocks that jump, addresses that move, journals that are copied, others who write rules, and management controllers that
//! reboot. `oracle/mod.rs` says which sentences are looked at after each step.
//!
//! `PROPTEST_RNG_SEED` chooses the walks, `NICFW_SEQUENCES_STEPS` how many steps they take together; with
//! `NICFW_SEQUENCES_TELL` each step is printed with what was said.

#[expect(dead_code, reason = "other programs need the policies as text")]
mod documents;
mod eye;
mod foreign;
mod found;
mod machine;
#[expect(dead_code, reason = "it also judges programs that wait, and journals that end with their process")]
mod oracle;
#[expect(dead_code, reason = "other programs need them in words")]
mod probes;
mod promise;
mod step;
mod world;

#[test]
fn what_was_said_is_so_whatever_people_do() {
    machine::walk_all(100_000);
}
