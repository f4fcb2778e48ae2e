//! Sequences that broke a sentence once, as short as they could be made. The numbers are of the policies in the kit:
//! four to each way of binding (nothing allowed; port 80 and DNS; ports 80 and 443; the same with an end).

use nicfw_test_kit::sequences::machine::World as _;
use nicfw_test_kit::sequences::step::{Foreign, Step, Wrong};

use crate::world::World;

const SHOPS_1_2: usize = 4;
const SHOPS_1_2_WEB: usize = 5;
const SHOPS_1_2_MORE: usize = 6;
const SHOPS_1_2_3: usize = 8;
const SHOPS_1_2_3_WEB: usize = 9;
const NOBODY: usize = 0;
const SHOP_2_AT_1: usize = 16;
const SHOP_1_AT_1_AND_4: usize = 25;

fn apply(policy: usize) -> Step {
    Step::Apply { policy, confirm: None }
}

fn reserve(container: u8, address: u8) -> Step {
    Step::Reserve { container, addresses: vec![address], mac: false }
}

/// # Panics
/// With the sentence that does not hold.
fn holds(steps: &[Step]) {
    holds_with(1, steps);
}

/// With this seed of the model.
fn holds_with(seed: u64, steps: &[Step]) {
    let mut world = World::new(seed);
    for (at, step) in steps.iter().enumerate() {
        world.step(step).unwrap_or_else(|broken| panic!("step {at} of {steps:?}: {broken}"));
    }
}

/// The second one took the place of the first, which the next change opened.
#[test]
fn reservations_add_up() {
    let adopt = Step::Adopt { policy: SHOPS_1_2_WEB };
    holds(&[adopt, reserve(3, 4), reserve(3, 5), apply(SHOPS_1_2_MORE), Step::Audit]);
}

/// Nothing was noted of a reservation by a container that was bound, or of an address that it was not bound to.
#[test]
fn a_container_that_is_bound_reserves_one_more() {
    holds(&[Step::Adopt { policy: SHOPS_1_2_WEB }, reserve(1, 5), apply(SHOPS_1_2_MORE)]);
    holds(&[Step::Adopt { policy: NOBODY }, reserve(1, 5), apply(SHOPS_1_2)]);
}

#[test]
fn an_address_that_a_policy_takes_away_stays_closed() {
    holds(&[Step::Adopt { policy: SHOP_1_AT_1_AND_4 }, apply(SHOPS_1_2_WEB), apply(SHOP_2_AT_1), apply(NOBODY)]);
    holds(&[Step::Adopt { policy: SHOPS_1_2 }, Step::Adopt { policy: NOBODY }, Step::Crash { torn: 0 }, Step::Audit]);
}

/// The program that had made the change was gone, and the clock showed less than the journal.
#[test]
fn a_clock_behind_the_journal_confirms_nothing() {
    holds(&[
        Step::Adopt { policy: SHOPS_1_2_WEB },
        Step::Apply { policy: SHOPS_1_2_MORE, confirm: Some(3) },
        Step::Crash { torn: 0 },
        Step::Pass { seconds: 4 },
        Step::SetClock { seconds: -3600 },
        Step::Confirm,
    ]);
}

#[test]
fn closing_waits_for_no_clock() {
    let back = || Step::SetClock { seconds: -3600 };
    holds(&[Step::Adopt { policy: SHOPS_1_2_WEB }, back(), reserve(3, 5), Step::Audit]);
    // What it unbinds stays closed: that nobody else binds it opens nothing.
    holds(&[Step::Adopt { policy: NOBODY }, apply(SHOPS_1_2_3), back(), apply(SHOPS_1_2)]);
}

/// A change that could not be taken back wholly had closed a container: binding it again opens its ARP, and is refused; a
/// policy that leaves it out was refused too.
#[test]
fn leaving_out_what_an_error_has_closed_waits_for_no_clock() {
    for command in 0..40 {
        let failed = [
            Step::Adopt { policy: NOBODY },
            apply(SHOPS_1_2_3_WEB),
            Step::SetClock { seconds: -3 },
            Step::Arm { wrong: Wrong::Store { call: 2, how: 0 } },
            Step::Arm { wrong: Wrong::Refused { command } },
            apply(SHOPS_1_2_3),
        ];
        for next in [SHOPS_1_2, NOBODY] {
            holds(&[&failed[..], &[apply(next)]].concat());
        }
    }
}

/// A reservation that could not be taken back wholly leaves something closed that has no name: an audit finds nothing amiss.
#[test]
fn what_a_failed_reservation_leaves_closed_is_as_the_journal_says() {
    for command in 0..12 {
        holds(&[
            Step::Adopt { policy: SHOPS_1_2_WEB },
            Step::Arm { wrong: Wrong::Store { call: 2, how: 0 } },
            Step::Arm { wrong: Wrong::Refused { command } },
            Step::Reserve { container: 3, addresses: vec![4], mac: true },
            Step::Audit,
            reserve(3, 5),
            Step::Audit,
            apply(SHOPS_1_2_MORE),
            Step::Audit,
        ]);
    }
}

/// The record of a recovery was not taken: the next audit said that the management controller had rebooted.
#[test]
fn a_recovery_whose_record_is_late_is_no_finding() {
    holds(&[
        Step::Adopt { policy: NOBODY },
        apply(SHOPS_1_2),
        Step::Reboot,
        Step::Arm { wrong: Wrong::Store { call: 0, how: 0 } },
        apply(NOBODY),
        Step::Recover,
        Step::Audit,
    ]);
}

/// It was compared with the policy before alone, under which nobody had the addresses, and not with their reservation.
#[test]
fn binding_what_is_reserved_opens_and_waits_for_the_clock() {
    holds(&[
        Step::Adopt { policy: SHOPS_1_2 },
        Step::Adopt { policy: NOBODY },
        Step::SetClock { seconds: -3600 },
        apply(SHOPS_1_2_WEB),
    ]);
}

#[test]
fn a_process_that_dies_in_a_change_leaves_one_whole_policy() {
    for call in 0..24 {
        for after in [false, true] {
            holds(&[
                Step::Adopt { policy: SHOPS_1_2_3 },
                Step::Arm { wrong: Wrong::Death { call, after } },
                apply(SHOP_1_AT_1_AND_4),
                Step::Crash { torn: 40 },
                Step::Audit,
            ]);
        }
    }
}

/// The change that had not ended was looked at first, and the adapter was taken for one whose rules decide.
#[test]
fn an_adapter_that_was_left_in_the_middle_of_a_change_is_left() {
    for open in [false, true] {
        holds(&[
            Step::Adopt { policy: SHOPS_1_2 },
            Step::Arm { wrong: Wrong::Death { call: 6, after: true } },
            apply(SHOPS_1_2_WEB),
            Step::Leave { open },
            apply(SHOPS_1_2_WEB),
            Step::Adopt { policy: SHOPS_1_2_WEB },
            Step::Audit,
        ]);
    }
}

/// What no change had put in doubt was sent again, with no record of it: the next process took it for somebody else's.
#[test]
fn a_process_that_dies_in_a_recovery_of_nothing_leaves_what_was_there() {
    for call in 0..8 {
        for after in [false, true] {
            holds(&[
                Step::Adopt { policy: NOBODY },
                apply(SHOPS_1_2_WEB),
                Step::Arm { wrong: Wrong::Silent { command: 0, effect: false } },
                Step::Arm { wrong: Wrong::Death { call, after } },
                apply(NOBODY),
                Step::Recover,
                apply(NOBODY),
            ]);
        }
    }
}

/// The tables were loaded again and the block before them was not lifted; the next process found nothing but lost counters.
#[test]
fn a_process_that_dies_in_loading_again_leaves_no_block_behind() {
    for call in 0..40 {
        for after in [false, true] {
            holds(&[
                Step::Adopt { policy: SHOPS_1_2_WEB },
                Step::Crash { torn: 0 },
                Step::Adopt { policy: SHOPS_1_2_MORE },
                Step::Pass { seconds: 61 },
                Step::Poll,
                apply(SHOPS_1_2_WEB),
                Step::Crash { torn: 0 },
                Step::Reboot,
                Step::Arm { wrong: Wrong::Death { call, after } },
                Step::Start,
                Step::Start,
                Step::Audit,
            ]);
        }
    }
}

/// Loading nothing takes no command, and the version was not read again: the next change took it for somebody else's.
#[test]
fn content_without_entries_is_loaded_again() {
    holds(&[
        Step::Adopt { policy: NOBODY },
        Step::Copy,
        Step::Reboot,
        Step::Start,
        reserve(1, 5),
        Step::PutBack,
        Step::Start,
        apply(NOBODY),
        Step::Audit,
    ]);
}

/// Half of a change is there, and its recovery was refused: an audit may say so.
#[test]
fn what_is_not_recovered_yet_may_be_found() {
    holds(&[
        Step::Adopt { policy: NOBODY },
        Step::Arm { wrong: Wrong::Silent { command: 5, effect: true } },
        apply(SHOPS_1_2),
        Step::Arm { wrong: Wrong::Refused { command: 0 } },
        Step::Recover,
        Step::Audit,
        Step::Recover,
        Step::Audit,
    ]);
}

/// Somebody else has loaded the same rules with counters of their own: the journal is gone on with, and an audit finds it.
#[test]
fn whoever_took_over_with_the_same_rules_is_found() {
    holds(&[
        Step::Adopt { policy: SHOPS_1_2_WEB },
        apply(SHOPS_1_2),
        Step::Foreign { what: Foreign::TakeOver(SHOPS_1_2) },
        Step::Start,
        Step::Audit,
    ]);
}

/// What an error had closed beside containers opens with the next change, which waits for the clock.
#[test]
fn addresses_without_a_name_open_with_any_change() {
    holds(&[
        Step::Adopt { policy: SHOPS_1_2 },
        Step::SetClock { seconds: -3 },
        Step::Arm { wrong: Wrong::Store { call: 2, how: 0 } },
        Step::Arm { wrong: Wrong::Refused { command: 9 } },
        Step::Reserve { container: 3, addresses: vec![4, 5], mac: false },
        apply(NOBODY),
    ]);
}

/// An error had closed containers, and the next process, or a rollback to what was then, took that for what their policy
/// says: applying the same policy again opened nothing, or waited for no clock.
#[test]
fn what_an_error_has_closed_opens_with_the_next_policy_whoever_applies_it() {
    let again = || vec![apply(SHOPS_1_2_3_WEB), Step::Audit];
    let ways = [
        again(),
        [vec![Step::Crash { torn: 0 }], again()].concat(),
        [vec![reserve(3, 5), Step::Crash { torn: 0 }], again()].concat(),
        [vec![reserve(3, 5), apply(SHOPS_1_2), Step::Rollback { back: 1 }], again()].concat(),
        [vec![reserve(3, 5), Step::Rollback { back: 0 }], again()].concat(),
        [vec![Step::Crash { torn: 0 }, Step::Repair], again()].concat(),
    ];
    for command in 0..40 {
        for way in &ways {
            for clock in [0, -3] {
                let failed = [
                    Step::Adopt { policy: NOBODY },
                    apply(SHOPS_1_2_3_WEB),
                    Step::SetClock { seconds: clock },
                    Step::Arm { wrong: Wrong::Store { call: 2, how: 0 } },
                    Step::Arm { wrong: Wrong::Refused { command } },
                    apply(SHOPS_1_2_3),
                ];
                holds(&[&failed[..], way].concat());
            }
        }
    }
}

/// The same with addresses that nobody has, which a failed reservation had closed.
#[test]
fn what_a_failed_reservation_has_closed_opens_with_the_next_policy_whoever_applies_it() {
    for command in 0..12 {
        for clock in [0, -3] {
            holds(&[
                Step::Adopt { policy: SHOP_2_AT_1 },
                apply(SHOPS_1_2),
                apply(NOBODY),
                Step::SetClock { seconds: clock },
                Step::Arm { wrong: Wrong::Store { call: 2, how: 0 } },
                Step::Arm { wrong: Wrong::Refused { command } },
                Step::Reserve { container: 1, addresses: vec![4, 5], mac: false },
                reserve(1, 5),
                Step::Rollback { back: 0 },
                apply(NOBODY),
                Step::Audit,
            ]);
        }
    }
}

/// A recovery that met the new boot failed, and the next one knew nothing of a reboot.
#[test]
fn a_reboot_is_not_forgotten_where_a_recovery_fails() {
    holds(&[
        Step::Adopt { policy: 6 },
        Step::Reboot,
        Step::Arm { wrong: Wrong::Refused { command: 0 } },
        apply(0),
        Step::Recover,
        Step::Recover,
        reserve(1, 3),
        Step::Start,
        Step::Arm { wrong: Wrong::Death { call: 19, after: false } },
        apply(32),
        Step::Crash { torn: 133 },
        Step::Start,
        Step::Audit,
    ]);
}

/// While an adoption waited for an answer the clock came near enough to the journal's.
#[test]
fn a_clock_may_catch_up_while_a_command_is_waited_for() {
    holds(&[
        Step::Adopt { policy: 0 },
        apply(24),
        Step::SetClock { seconds: -43 },
        Step::Pass { seconds: 1 },
        Step::Pass { seconds: 30 },
        Step::Arm { wrong: Wrong::Silent { command: 1, effect: false } },
        Step::Commit,
        Step::Adopt { policy: 5 },
    ]);
}

/// What is there to be loaded is nothing, and a recovery that loaded it was taken for one that had nothing to do.
#[test]
fn a_recovery_to_nothing_is_one() {
    holds(&[
        Step::Adopt { policy: 4 },
        apply(0),
        Step::Release { container: 2 },
        Step::Arm { wrong: Wrong::Silent { command: 6, effect: false } },
        Step::Release { container: 1 },
        apply(0),
        Step::Reboot,
        Step::Recover,
    ]);
}

/// Nothing was loaded after a reboot that had loaded what somebody else had committed, and the cache was taken for right.
#[test]
fn what_somebody_else_has_committed_is_not_ours() {
    holds_with(
        501,
        &[
            Step::Adopt { policy: 0 },
            Step::Foreign { what: Foreign::TakeOver(4) },
            Step::Start,
            Step::Reboot,
            Step::Audit,
        ],
    );
}

/// The same, where the process that loaded it died before it had committed it.
#[test]
fn what_somebody_else_has_committed_is_not_ours_whoever_asks() {
    holds(&[
        Step::Adopt { policy: 21 },
        Step::Copy,
        Step::Reboot,
        Step::Adopt { policy: 0 },
        Step::PutBack,
        Step::Arm { wrong: Wrong::Store { call: 0, how: 0 } },
        Step::Arm { wrong: Wrong::Death { call: 26, after: true } },
        apply(0),
        apply(0),
        reserve(3, 1),
        Step::Reboot,
    ]);
}

/// What an error has closed was said to be what a reboot loads.
#[test]
fn what_an_error_has_closed_is_not_committed_yet() {
    holds_with(
        985,
        &[
            Step::Adopt { policy: 0 },
            apply(18),
            Step::Arm { wrong: Wrong::Death { call: 0, after: false } },
            apply(0),
            reserve(1, 4),
            Step::Arm { wrong: Wrong::Refused { command: 11 } },
            Step::Arm { wrong: Wrong::Store { call: 2, how: 0 } },
            apply(0),
            Step::Audit,
            Step::Reboot,
        ],
    );
}

/// What was committed had somebody else's change in it; after the repair it was taken for right.
#[test]
fn what_was_committed_before_a_repair_is_not_ours() {
    holds_with(
        346,
        &[
            Step::Adopt { policy: 0 },
            Step::Apply { policy: 4, confirm: Some(1) },
            Step::Foreign { what: Foreign::Remove(12) },
            Step::Commit,
            Step::Repair,
            Step::Start,
            Step::Arm { wrong: Wrong::Reboots { command: 4, after: false } },
            Step::Audit,
            Step::Start,
            Step::Arm { wrong: Wrong::Death { call: 20, after: true } },
            apply(346 % 34),
            Step::Crash { torn: 140 },
            Step::Start,
            Step::Audit,
        ],
    );
}
