//! What the channel sends, and each item of its list of checks. Header bytes: ef10.md 4.1.

use std::time::Duration;

use proptest::prelude::*;

use super::fake::{FakeNic, Reply, hex, refuse, respond};
use super::wire::{Cmd, McErrno};
use super::{Channel, McdiError};
use crate::clock::Clock;
use crate::error::{Error, MCDI_TIMEOUT};

/// A command with a v1 header, and one with a v2 header.
const V1: Cmd = Cmd(0x08);
const V2: Cmd = Cmd(0x10f);

fn answering(reply: Reply) -> (FakeNic, Channel) {
    let nic = FakeNic::new(move |_| reply.clone());
    let channel = nic.channel();
    nic.take_writes();
    (nic, channel)
}

fn answer(text: &str) -> Reply {
    Reply::Bytes(hex(text))
}

/// Sends one command and says how it failed; the channel must then be poisoned, or not.
fn failure(reply: Reply, cmd: Cmd, poisons: bool) -> McdiError {
    let (nic, mut channel) = answering(reply);
    let error = channel.call(cmd, &[], 4).unwrap_err();
    assert_eq!(channel.is_poisoned(), poisons, "{error}");
    nic.take_requests();
    let again = channel.call(cmd, &[], 0);
    assert_eq!(matches!(again, Err(McdiError::Poisoned { .. })), poisons);
    assert_eq!(nic.take_requests().is_empty(), poisons, "a poisoned channel sends nothing");
    error
}

#[test]
fn doorbell_is_the_high_half_then_the_low_half() {
    let (nic, mut channel) = answering(answer("88 00 80 00"));
    channel.call(V1, &[], 0).unwrap();
    assert_eq!(nic.take_writes(), [(0x200, 0x12), (0x204, 0x3456_7800)]);
}

#[test]
fn opening_cancels_what_is_outstanding() {
    let nic = FakeNic::new(|_| Reply::Silence);
    nic.channel();
    assert_eq!(nic.take_writes(), [(0x204, 1)]);
}

#[test]
fn requests_have_both_forms_and_count_up() {
    let nic = FakeNic::new(|request| respond(request, &[]));
    let mut channel = nic.channel();
    channel.call(V1, &[0x11, 0x22, 0x33, 0x44], 0).unwrap();
    channel.call(V2, &[0x55, 0x66, 0x77, 0x88], 0).unwrap();
    let expected = [hex("88 04 00 00 11 22 33 44"), hex("ff 00 21 00 0f 01 04 00 55 66 77 88")];
    assert_eq!(nic.take_requests(), expected, "the second has NOT_EPOCH set and the next sequence number");
    for _ in 0..14 {
        channel.call(V1, &[], 0).unwrap();
    }
    channel.call(V1, &[], 0).unwrap();
    assert_eq!(nic.take_requests()[13..], [hex("88 00 2f 00"), hex("88 00 20 00")], "modulo 16");
}

#[test]
fn long_payloads_take_the_second_form_and_have_a_limit() {
    let nic = FakeNic::new(|request| respond(request, &request[8..]));
    let mut channel = nic.channel();
    let payload: Vec<u8> = (0..1020u32).map(|i| i.to_le_bytes()[0]).collect();
    assert_eq!(channel.call(V1, &payload, 1020).unwrap(), payload);
    assert_eq!(nic.take_requests()[0][..8], hex("ff 00 00 00 08 00 fc 03"));
    let error = channel.call(V1, &[0; 1021], 0).unwrap_err();
    assert!(matches!(error, McdiError::RequestTooLong { len: 1021, max: 1020, .. }), "{error}");
    assert!(error.had_no_effect() && nic.take_requests().is_empty());
}

#[test]
fn both_forms_of_replies_are_read() {
    let (_, mut channel) = answering(answer("88 04 80 00 01 02 03 04"));
    assert_eq!(channel.call(V1, &[], 4).unwrap(), [1, 2, 3, 4]);
    let (_, mut channel) = answering(answer("ff 00 80 00 0f 01 05 00 01 02 03 04 05"));
    assert_eq!(channel.call(V2, &[], 4).unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn waits_for_the_response_bit() {
    let late = hex("88 04 80 00 01 02 03 04");
    let (nic, mut channel) = answering(Reply::After(Duration::from_secs(9), late));
    assert_eq!(channel.call(V1, &[], 4).unwrap(), [1, 2, 3, 4]);
    assert!(nic.now() >= Duration::from_secs(9));
}

#[test]
fn no_response_ends_at_the_deadline_with_unknown_outcome() {
    let (nic, mut channel) = answering(Reply::Silence);
    let error = channel.call(V1, &[], 0).unwrap_err();
    assert!(matches!(error, McdiError::Timeout { cmd: V1, after: MCDI_TIMEOUT }), "{error}");
    assert!(!error.had_no_effect());
    assert!(nic.now() >= MCDI_TIMEOUT && nic.now() < MCDI_TIMEOUT + Duration::from_millis(2));
    failure(Reply::Silence, V1, true);
    // A header without the RESPONSE bit is no response, whatever else it says.
    assert!(matches!(failure(answer("88 04 00 00 01 02 03 04"), V1, true), McdiError::Timeout { .. }));
}

#[test]
fn all_ones_is_a_function_that_is_gone_only_if_its_registers_say_so() {
    let error = failure(Reply::Gone(vec![0xff; 1032]), V2, true);
    assert!(matches!(error, McdiError::Gone { cmd: V2, source: Error::DeviceGone }), "{error}");
    let error = failure(Reply::Bytes(vec![0xff; 1032]), V2, true);
    assert!(matches!(error, McdiError::AllOnes { cmd: V2 }), "{error}");
}

#[test]
fn a_function_that_goes_while_waiting_is_found_before_the_deadline() {
    let (nic, mut channel) = answering(Reply::Gone(Vec::new()));
    assert!(matches!(channel.call(V1, &[], 0), Err(McdiError::Gone { .. })));
    assert!(nic.now() < Duration::from_secs(1));
}

#[test]
fn wrong_sequence_number_is_rejected() {
    let error = failure(answer("88 04 81 00 01 02 03 04"), V1, true);
    assert!(matches!(error, McdiError::WrongSequence { sent: 0, got: 1, .. }), "{error}");
}

#[test]
fn wrong_command_or_form_is_rejected() {
    let error = failure(answer("89 04 80 00 01 02 03 04"), V1, true);
    assert!(matches!(error, McdiError::WrongCommand { cmd: V1, got: Cmd(9) }), "{error}");
    let error = failure(answer("ff 00 80 00 10 01 04 00 01 02 03 04"), V2, true);
    assert!(matches!(error, McdiError::WrongCommand { cmd: V2, got: Cmd(0x110) }), "{error}");
    let error = failure(answer("ff 00 80 00 08 00 04 00 01 02 03 04"), V1, true);
    assert!(matches!(error, McdiError::WrongCommand { cmd: V1, got: V1 }), "v2 answer to a v1 request: {error}");
}

#[test]
fn overlong_replies_are_rejected() {
    let error = failure(answer("88 fd 80 00"), V1, true);
    assert!(matches!(error, McdiError::LongReply { len: 253, max: 252, .. }), "{error}");
    let error = failure(answer("ff 00 80 00 0f 01 fd 03"), V2, true);
    assert!(matches!(error, McdiError::LongReply { len: 1021, max: 1020, .. }), "{error}");
}

#[test]
fn short_reply_is_rejected_and_the_channel_goes_on() {
    let nic = FakeNic::new(|request| respond(request, &[1, 2, 3]));
    let mut channel = nic.channel();
    let error = channel.call(V1, &[], 4).unwrap_err();
    assert!(matches!(error, McdiError::ShortReply { len: 3, min: 4, .. }), "{error}");
    assert!(!error.had_no_effect());
    assert_eq!(channel.call(V1, &[], 3).unwrap(), [1, 2, 3]);
}

/// ERROR and RESPONSE; code 0x1c, with and without an argument.
#[test]
fn refusals_keep_code_and_argument() {
    let (_, mut channel) = answering(answer("88 08 c0 00 1c 00 00 00 02 00 00 00"));
    let error = channel.call(V1, &[], 0).unwrap_err();
    assert!(matches!(error, McdiError::Refused { cmd: V1, errno: McErrno::ENOSPC, arg: Some(2) }), "{error}");
    assert_eq!(error.to_string(), "GET_VERSION failed: ENOSPC (argument 0x2)");
    assert!(error.had_no_effect() && !channel.is_poisoned());
    let (_, mut channel) = answering(answer("ff 00 c0 00 0f 01 04 00 ef be ad de"));
    let error = channel.call(V2, &[], 0).unwrap_err();
    assert!(matches!(error, McdiError::Refused { errno: McErrno(0xdead_beef), arg: None, .. }), "{error}");
    assert_eq!(error.to_string(), "SET_SECURITY_RULE failed: unknown error 0xdeadbeef");
}

#[test]
fn error_without_payload_is_a_reboot() {
    let error = failure(answer("88 00 c0 00"), V1, true);
    assert!(matches!(error, McdiError::Rebooted { cmd: V1 }), "{error}");
    let error = failure(answer("88 03 c0 00 1c 00 00"), V1, false);
    assert!(matches!(error, McdiError::ShortReply { len: 3, min: 4, .. }), "{error}");
}

#[test]
fn a_changed_boot_count_is_a_reboot() {
    // The last is no function that is gone: HW_REV_ID still answers.
    for status in [0xb007_0004, 0x1111_0003, 0, 0xffff_ffff] {
        let (nic, mut channel) = answering(Reply::Status(status));
        let error = channel.call(V1, &[], 0).unwrap_err();
        assert!(matches!(error, McdiError::Rebooted { .. }), "while waiting: {error}");
        assert!(nic.now() < Duration::from_secs(1));

        let (nic, mut channel) = answering(answer("88 00 80 00"));
        nic.set_status(status);
        let error = channel.call(V1, &[], 0).unwrap_err();
        assert!(matches!(error, McdiError::Rebooted { .. }), "before sending: {error}");
        assert!(nic.take_requests().is_empty());
    }
}

#[test]
fn restart_begins_a_new_epoch_and_keeps_counting() {
    let mut first = true;
    let nic = FakeNic::new(move |request| match std::mem::take(&mut first) {
        true => Reply::Status(0xb007_0004),
        false => respond(request, &[]),
    });
    let mut channel = nic.channel();
    channel.call(V1, &[], 0).unwrap_err();
    nic.take_writes();
    channel.restart().unwrap();
    assert_eq!(nic.take_writes(), [(0x204, 1)]);
    channel.call(V1, &[], 0).unwrap();
    channel.call(V1, &[], 0).unwrap();
    assert_eq!(nic.take_requests(), [hex("88 00 00 00"), hex("88 00 01 00"), hex("88 00 22 00")]);
}

#[test]
fn a_refusal_ends_the_epoch_too() {
    let nic = FakeNic::new(|request| refuse(request, 1));
    let mut channel = nic.channel();
    channel.call(V1, &[], 0).unwrap_err();
    channel.call(V1, &[], 0).unwrap_err();
    assert_eq!(nic.take_requests(), [hex("88 00 00 00"), hex("88 00 21 00")]);
}

#[test]
fn opening_waits_for_the_mc_and_gives_up() {
    let nic = FakeNic::new(|_| Reply::Silence);
    nic.set_status(0x1111_face);
    let error = Channel::open(&nic, nic.clock(), MCDI_TIMEOUT).unwrap_err();
    assert!(matches!(error, McdiError::NotRunning { status: 0x1111_face }), "{error}");
    assert_eq!(nic.now(), Duration::from_secs(4), "five looks, one second apart");
    assert!(nic.take_writes().is_empty());
}

#[test]
fn opening_refuses_a_dead_or_small_bar() {
    let nic = FakeNic::new(|_| Reply::Silence);
    nic.set_gone();
    let error = Channel::open(&nic, nic.clock(), MCDI_TIMEOUT).unwrap_err();
    assert!(matches!(error, McdiError::Device(Error::DeviceGone)), "{error}");
    nic.set_bar_len(0x200);
    let error = Channel::open(&nic, nic.clock(), MCDI_TIMEOUT).unwrap_err();
    assert!(matches!(error, McdiError::SmallBar { len: 0x200, need: 0x208 }), "{error}");
}

proptest! {
    #[test]
    fn no_reply_makes_the_channel_panic(bytes in prop::collection::vec(any::<u8>(), 0..1032), v2: bool) {
        let (_, mut channel) = answering(Reply::Bytes(bytes));
        let _ = channel.call(if v2 { V2 } else { V1 }, &[], 8);
    }

    /// The same with a header that passes, so that the lengths are exercised.
    #[test]
    fn no_payload_length_makes_the_channel_panic(len in 0u16..1024, error: bool, v2: bool, min in 0usize..1100) {
        let nic = FakeNic::new(move |request| {
            let Reply::Bytes(mut bytes) = respond(request, &[0; 255]) else { unreachable!() };
            if v2 {
                bytes[6..8].copy_from_slice(&len.to_le_bytes());
            } else {
                bytes[1] = len.to_le_bytes()[0];
            }
            bytes[2] |= if error { 0x40 } else { 0 };
            Reply::Bytes(bytes)
        });
        let mut channel = nic.channel();
        if let Ok(reply) = channel.call(if v2 { V2 } else { V1 }, &[], min) {
            prop_assert!(!error && reply.len() >= min);
        }
    }
}
