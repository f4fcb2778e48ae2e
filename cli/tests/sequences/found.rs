//! Sequences that broke a sentence once, through processes.

use nicfw_test_kit::sequences::machine::World as _;
use nicfw_test_kit::sequences::step::Step;

use crate::world::World;

/// # Panics
/// With the sentence that does not hold.
fn holds(steps: &[Step]) {
    let mut world = World::new(1);
    for (at, step) in steps.iter().enumerate() {
        world.step(step).unwrap_or_else(|broken| panic!("step {at}: {broken}"));
    }
}

#[test]
fn an_audit_that_takes_a_change_back_finds_no_drift() {
    holds(&[
        Step::Adopt { policy: 5 },
        Step::Apply { policy: 6, confirm: Some(60) },
        Step::Crash { torn: 0 },
        Step::Pass { seconds: 90 },
        Step::Audit,
        Step::Audit,
    ]);
}

#[test]
fn a_clock_behind_the_journal_confirms_nothing() {
    holds(&[
        Step::Adopt { policy: 5 },
        Step::Apply { policy: 6, confirm: Some(3) },
        Step::Crash { torn: 0 },
        Step::Pass { seconds: 4 },
        Step::SetClock { seconds: -3600 },
        Step::Confirm,
    ]);
}

/// The program takes out of what it adopts what has ended.
#[test]
fn a_policy_that_has_ended_is_adopted_without_what_has_ended() {
    holds(&[Step::SetClock { seconds: 86_400 }, Step::Adopt { policy: 7 }, Step::Audit]);
}

/// Whoever is refused an address has taken back first what nobody confirmed, and the next one has nothing to put right.
#[test]
fn what_is_refused_may_come_after_a_change_was_taken_back() {
    holds(&[
        Step::Adopt { policy: 0 },
        Step::Apply { policy: 24, confirm: None },
        Step::Apply { policy: 0, confirm: Some(1) },
        Step::Reboot,
        Step::Pass { seconds: 1 },
        Step::Stop,
        Step::Reserve { container: 2, addresses: vec![4], mac: false },
        Step::Audit,
    ]);
}
