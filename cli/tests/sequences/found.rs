//! Sequences that broke a sentence once, through processes.

use crate::step::Step;
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
