//! Requests and answers as bytes, typed from ef10.md 4, 5 and 7.

use nicfw::mcdi::wire::{Cmd, MAX_PAYLOAD};
use nicfw::terms::MacAddr;

use super::command::Command;
use super::commands::{OF_EVERY_VARIANT, OF_THE_RULES_ENGINE};
use super::{Answer, FirmwareVariant, FunctionConfig, FunctionState, Mc, Offline, Switching, words};
use crate::engines::rules::{Engine, EngineConfig};
use crate::fault::Faults;
use crate::mac::PhysicalPort;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

pub(super) fn mc() -> Mc {
    let functions = [FunctionConfig::admin(0, MAC), FunctionConfig::container(0, 3, MacAddr([2, 0, 0, 0, 0, 2]))];
    Mc {
        engine: Engine::new(EngineConfig::profile0()),
        functions: functions.map(FunctionState::new).into(),
        faults: Faults::default(),
        variant: FirmwareVariant::RulesEngine,
        switching: Switching::Fixed,
        bound: false,
        tx_mac_filtering: false,
        boot_count: 1,
        ports: vec![PhysicalPort::default(); 2],
        rules_version: 0,
        executed: 0,
        next_filter: 1,
        next_context: 0,
        generation: 0,
        offline: Offline::No,
    }
}

/// Every command that the model knows.
pub(super) fn all() -> impl Iterator<Item = &'static Command> {
    OF_EVERY_VARIANT.into_iter().chain(OF_THE_RULES_ENGINE).flatten()
}

/// A v2 request with NEWEPOCH and sequence number 5: CODE 0x7f, RESYNC; EXTENDED_CMD, ACTUAL_LEN.
pub(super) fn v2(cmd: u16, payload: &[u8]) -> Vec<u8> {
    let [c0, c1] = cmd.to_le_bytes();
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_le_bytes();
    [&[0xff, 0x00, 0x05, 0x00, c0, c1, l0, l1], payload].concat()
}

/// The answer to it: RESPONSE is bit 23, ERROR bit 22.
pub(super) fn done(cmd: u16, payload: &[u8]) -> Answer {
    let mut bytes = v2(cmd, payload);
    bytes[2] = 0x85;
    Answer::Bytes(bytes)
}

pub(super) fn failed(cmd: u16, errno: u32) -> Answer {
    let mut bytes = v2(cmd, &errno.to_le_bytes());
    bytes[2] = 0xc5;
    Answer::Bytes(bytes)
}

#[test]
fn both_header_forms_are_taken() {
    // CODE 0x08, RESYNC, DATALEN 0, SEQ 5, NEWEPOCH.
    let Answer::Bytes(v1) = mc().take(0, &[0x88, 0x00, 0x05, 0x00]) else { panic!("no answer") };
    assert_eq!((v1[..4].to_vec(), v1.len()), (vec![0x88, 0x20, 0x85, 0x00], 36), "32 bytes behind a v1 header");
    let Answer::Bytes(long) = mc().take(0, &v2(0x08, &[])) else { panic!("no answer") };
    assert_eq!((long[..8].to_vec(), long.len()), (vec![0xff, 0x00, 0x85, 0x00, 0x08, 0x00, 0x20, 0x00], 40));
    assert_eq!(long[8..], v1[4..]);
}

#[test]
fn function_info_port_and_mac() {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0xec, &[])), done(0xec, &[0, 0, 0, 0, 0xff, 0xff, 0, 0]));
    assert_eq!(mc.take(1, &v2(0xec, &[])), done(0xec, &[0, 0, 0, 0, 3, 0, 0, 0]));
    assert_eq!(mc.take(0, &v2(0xb8, &[])), done(0xb8, &[0; 4]));
    assert_eq!(mc.take(0, &v2(0x55, &[])), done(0x55, &[2, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]));
}

#[test]
fn table_sizes() {
    let sizes: [u32; 9] = [3, 0, 3500, 16, 56_000, 65_534, 255, 1, 254];
    let reply: Vec<u8> = sizes.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(mc().take(0, &v2(0xe4, &[3, 0, 0, 0])), done(0xe4, &reply));
    assert_eq!(mc().take(0, &v2(0xe4, &[0, 0, 0, 0])), failed(0xe4, 0x5f));
}

/// The table in the documents names every command that is answered, and no other one but those it says are unknown.
#[test]
fn the_documented_commands_are_those_that_are_answered() {
    let facts = words::facts();
    let rows = include_str!("commands.md").lines().filter_map(|line| line.strip_prefix("| 0x"));
    let mut documented = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [code, name, _, answer, source, ""] = cells[..] else { panic!("not five cells: {row}") };
        let cmd = Cmd(u16::from_str_radix(code, 16).unwrap());
        assert_eq!(
            facts.get(format!("MC_CMD_{name}").as_str()),
            Some(&u64::from(cmd.0)),
            "{name}: not the header's code"
        );
        assert!(!answer.is_empty() && !source.is_empty(), "{name}");
        if answer.starts_with("ENOSYS") {
            assert_eq!(mc().take(0, &v2(cmd.0, &[0; 8])), failed(cmd.0, 38), "{name}");
        } else {
            documented.push(cmd);
        }
    }
    let mut answered: Vec<Cmd> = all().map(|command| command.cmd).collect();
    answered.sort_unstable();
    assert_eq!(documented, answered);
}

#[test]
fn unknown_commands_answer_enosys() {
    for cmd in [0x00, 0x01, 0x7ffe, 0x10e] {
        assert_eq!(mc().take(0, &v2(cmd, &[])), failed(cmd, 0x26), "command {cmd:#x}");
    }
}

#[test]
fn every_command_checks_its_length() {
    for command in all() {
        let (shortest, longest) = command.request;
        let mut lengths = vec![longest + 1];
        lengths.extend(shortest.checked_sub(1));
        for len in lengths.into_iter().filter(|len| *len <= MAX_PAYLOAD) {
            let answer = mc().take(0, &v2(command.cmd.0, &vec![0; len]));
            assert_eq!(answer, failed(command.cmd.0, 0x16), "{} with {len} bytes", command.cmd);
        }
    }
}

/// The commands about rules, as ef10.md 7 marks them: ADMIN or ADMIN_TSA_UNBOUND.
const RULE_COMMANDS: [u16; 11] = [0x10f, 0x110, 0x111, 0x112, 0x113, 0x114, 0x115, 0x116, 0x11a, 0x12a, 0x130];

#[test]
fn a_containers_function_may_not_touch_the_rules() {
    for cmd in RULE_COMMANDS {
        assert_eq!(mc().take(1, &v2(cmd, &[0; 92])), failed(cmd, 0x1), "command {cmd:#x}");
    }
    // DRV_ATTACH with a firmware variant needs ADMIN; DONT_CARE does not.
    let attach = |variant: u32| {
        v2(
            0x1c,
            &[[1, 0, 0, 0, 1, 0, 0, 0], [variant.to_le_bytes(), [0; 4]].concat().try_into().unwrap()].concat()[..12],
        )
    };
    assert_eq!(mc().take(1, &attach(5)), failed(0x1c, 0x1));
    assert_eq!(mc().take(1, &attach(0xffff_ffff)), done(0x1c, &[0; 8]));
    // PRIVILEGE_MASK: reading the own mask is allowed, another's or changing is not. PF 0 and VF 3; PF 0 itself.
    assert_eq!(mc().take(1, &v2(0x5a, &[0, 0, 3, 0, 0, 0, 0, 0])), done(0x5a, &[0xc0, 0x01, 0, 0]));
    assert_eq!(mc().take(1, &v2(0x5a, &[0, 0, 0xff, 0xff, 0, 0, 0, 0])), failed(0x5a, 0x1));
    assert_eq!(mc().take(1, &v2(0x5a, &[0, 0, 3, 0, 1, 0, 0, 0x80])), failed(0x5a, 0x1));
}

#[test]
fn a_bound_adapter_refuses_changes_from_the_host() {
    for cmd in RULE_COMMANDS {
        let mut mc = mc();
        mc.bound = true;
        let len = if matches!(cmd, 0x111) { 0 } else { 4 };
        let answer = mc.take(0, &v2(cmd, &[2, 0, 0, 0][..len]));
        let readable = cmd == 0x111;
        assert_eq!(answer == failed(cmd, 0x1), !readable, "command {cmd:#x}: {answer:?}");
    }
}

#[test]
fn another_variant_has_no_rule_commands() {
    for cmd in RULE_COMMANDS {
        let mut mc = mc();
        mc.variant = FirmwareVariant::LowLatency;
        assert_eq!(mc.take(0, &v2(cmd, &[0; 92])), failed(cmd, 0x26), "command {cmd:#x}");
    }
}

/// SET_SECURITY_RULE: LOCAL_IP 10.30.1.17, deny both ways, no counter.
fn base_deny() -> Vec<u8> {
    let mut rule = vec![0; 92];
    rule[0] = 1 << 1;
    rule[52..56].copy_from_slice(&[10, 30, 1, 17]);
    rule[80] = 2;
    rule[84] = 2;
    rule
}

#[test]
fn a_rule_is_read_field_by_field() {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0x10f, &base_deny())), done(0x10f, &[0; 32]));
    let tables = mc.engine.snapshot();
    let key = nicfw::tables::RuleKey { local_ip: Some([10, 30, 1, 17].into()), ..Default::default() };
    assert_eq!(tables.rules.keys().collect::<Vec<_>>(), [&key]);
    // Byte, new value: what the strict model refuses.
    let wrong = [(1, 0x80), (1, 0x08), (4, 1), (32, 1), (40, 1), (68, 1), (80, 4), (80, 3), (84, 7), (88, 9)];
    for (at, value) in wrong {
        let mut rule = base_deny();
        rule[at] = value;
        let Answer::Bytes(answer) = mc.take(0, &v2(0x10f, &rule)) else { panic!("no answer") };
        assert_eq!(answer[2], 0xc5, "byte {at} = {value}");
    }
    assert_eq!(mc.engine.snapshot(), tables, "a refused command changes nothing");
}

#[test]
fn unchanged_keeps_the_other_direction() {
    let mut mc = mc();
    mc.take(0, &v2(0x10f, &base_deny()));
    let mut rule = base_deny();
    rule[80..84].copy_from_slice(&[0xff; 4]);
    rule[84] = 1;
    mc.take(0, &v2(0x10f, &rule));
    let actions: Vec<_> =
        mc.engine.snapshot().rules.values().map(|entry| (entry.rx.verdict(), entry.tx.verdict())).collect();
    use nicfw::terms::Verdict::{Allow, Deny};
    assert_eq!(actions, [(Some(Allow), Some(Deny))]);
}

#[test]
fn an_automatic_counter_is_told() {
    let mut rule = base_deny();
    rule[88..92].copy_from_slice(&0xeeee_eeee_u32.to_le_bytes());
    let mut reply = [0; 32];
    reply[0] = 1;
    reply[28] = 1;
    assert_eq!(mc().take(0, &v2(0x10f, &rule)), done(0x10f, &reply), "COUNTER_REFCNT 1, COUNTER_ID 1");
}

#[test]
fn a_refused_rule_takes_no_automatic_counter() {
    let mut mc = mc();
    let mut rule = base_deny();
    // REMOTE_SUBNET_ID 56000, but nobody wrote a subnet map.
    rule[1] = 0x10;
    rule[68..72].copy_from_slice(&56_000_u32.to_le_bytes());
    rule[88..92].copy_from_slice(&0xeeee_eeee_u32.to_le_bytes());
    assert_eq!(mc.take(0, &v2(0x10f, &rule)), failed(0x10f, 0x2));
    assert_eq!(mc.take(0, &v2(0x112, &[1, 0, 0, 0])), done(0x112, &[1, 0, 0, 0, 1, 0, 0, 0]), "the first id is free");
}

#[test]
fn counters_are_read_and_cleared() {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0x130, &[0; 4])), done(0x130, &[0, 4, 0, 0, 48, 0, 0, 0]), "1024 pairs of 48 bits");
    assert_eq!(mc.take(0, &v2(0x112, &[2, 0, 0, 0])), done(0x112, &[2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]));
    mc.engine.preset_counter(nicfw::tables::CounterId(2), 7, 9);
    // OP READ_CLEAR, FLAGS READ, MODE LIST, 1 counter: id 2.
    let read = |flags| v2(0x130, &[1, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    let pair = |tx, rx| [[1, 0, 0, 0, 0, 0, 0, 0], [tx, 0, 0, 0, 0, 0, 0, 0], [rx, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(mc.take(0, &read(1)), done(0x130, &pair(7, 9)));
    assert_eq!(mc.take(0, &read(3)), done(0x130, &pair(7, 9)));
    assert_eq!(mc.take(0, &read(1)), done(0x130, &pair(0, 0)));
    // MODE RANGE, 2 counters from id 1.
    let range = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
    let Answer::Bytes(answer) = mc.take(0, &v2(0x130, &range)) else { panic!("no answer") };
    assert_eq!(answer.len(), 8 + 8 + 32);
    assert_eq!(mc.take(0, &v2(0x113, &[1, 0, 0, 0, 9, 0, 0, 0])), failed(0x113, 0x2));
}

/// A counter is free again when its last entry is gone, however that went: one by one is not the only way.
#[test]
fn entries_that_are_reset_let_go_of_their_counters() {
    let mut mc = mc();
    let free = |id: u32| v2(0x113, &[1u32.to_le_bytes(), id.to_le_bytes()].concat());
    let rule = |port: Option<u8>, counter: u32| {
        let mut rule = base_deny();
        if let Some(port) = port {
            rule[1] |= 1 << 2; // PHYSICAL_PORT is bit 10
            rule[28] = port;
        }
        rule[88..92].copy_from_slice(&counter.to_le_bytes());
        v2(0x10f, &rule)
    };
    let automatic = 0xeeee_eeee;
    for port in [None, Some(0), Some(1)] {
        mc.take(0, &rule(port, automatic));
    }
    let busy = |mc: &mut Mc| [1, 2, 3].map(|id| mc.take(0, &free(id)) == failed(0x113, 0x10));
    assert_eq!(busy(&mut mc), [true; 3]);
    // RESET_SECURITY_RULES of port 0, and of all.
    assert_eq!(mc.take(0, &v2(0x110, &[0, 0, 0, 0])), done(0x110, &[]));
    assert_eq!(busy(&mut mc), [true, false, true], "only the entry that names port 0 is gone");
    assert_eq!(mc.take(0, &v2(0x110, &[0xff; 4])), done(0x110, &[]));
    assert_eq!(mc.take(0, &free(1)), done(0x113, &[]));
    assert_eq!(mc.take(0, &free(3)), done(0x113, &[]));
    // A rollback to a cache with an entry counts its counter again.
    mc.take(0, &rule(None, automatic));
    mc.take(0, &v2(0x11a, &[2, 0, 0, 0]));
    mc.take(0, &v2(0x110, &[0xff; 4]));
    mc.take(0, &v2(0x11a, &[1, 0, 0, 0]));
    assert_eq!(mc.take(0, &free(1)), failed(0x113, 0x10), "in use by what was rolled back to");
}

#[test]
fn the_cache_is_committed_told_and_dropped() {
    let mut mc = mc();
    let cache = |op| v2(0x11a, &[op, 0, 0, 0]);
    assert_eq!(mc.take(0, &cache(0)), done(0x11a, &[0; 4]), "invalid, no version");
    assert_eq!(mc.take(0, &cache(1)), failed(0x11a, 0x2), "ROLLBACK without a valid cache");
    let Answer::Bytes(version) = mc.take(0, &v2(0x111, &[])) else { panic!("no answer") };
    let valid = [&[1, 0, 0, 0], &version[8..]].concat();
    assert_eq!(mc.take(0, &cache(2)), done(0x11a, &valid));
    mc.take(0, &v2(0x10f, &base_deny()));
    assert_eq!(mc.take(0, &cache(1)), done(0x11a, &valid));
    assert!(mc.engine.snapshot().rules.is_empty(), "rolled back");
    assert_eq!(mc.take(0, &cache(3)), done(0x11a, &[0; 4]));
    assert_eq!(mc.take(0, &cache(4)), failed(0x11a, 0x16));
}

#[test]
fn after_a_reboot_a_request_of_the_old_epoch_fails_without_payload() {
    let mut mc = mc();
    let mut request = v2(0x08, &[]);
    mc.take(0, &request);
    request[2] = 0x25;
    assert!(matches!(mc.take(0, &request), Answer::Bytes(bytes) if bytes.len() > 8), "the same epoch");
    mc.reboot();
    assert_eq!(mc.take(0, &request), Answer::Bytes(vec![0xff, 0, 0xe5, 0, 0x08, 0, 0, 0]));
    request[2] = 0x05;
    assert!(matches!(mc.take(0, &request), Answer::Bytes(bytes) if bytes.len() > 8), "a new epoch");
}

#[test]
fn answers_that_come_late_again_or_empty() {
    use crate::fault::{Fault, FaultKind};
    let get = |seq: u8| {
        let mut request = v2(0x111, &[]);
        request[2] = seq;
        request
    };
    let seq = |answer: Answer| match answer {
        Answer::Bytes(bytes) => Some((bytes[2] & 0xf, bytes[2] & 0x40 != 0, bytes.len())),
        Answer::Silence => None,
    };
    let run = |kind: FaultKind, after: u32| {
        let mut mc = mc();
        mc.faults.add(Fault { cmd: None, after, kind });
        [1, 2, 3].map(|number| seq(mc.take(0, &get(number))))
    };
    let whole = |number: u8| run(FaultKind::Hang { effect: false }, 9)[usize::from(number) - 1];
    let [one, two, three] = [1, 2, 3].map(whole);
    assert_eq!(run(FaultKind::Late, 0), [None, one, three]);
    assert_eq!(run(FaultKind::Duplicate, 0), [one, one, three]);
    assert_eq!(run(FaultKind::Replayed, 1), [one, one, three]);
    assert_eq!(run(FaultKind::Replayed, 0), [None, two, three]);
    assert_eq!(run(FaultKind::EmptyError, 1), [one, Some((2, true, 8)), three]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..1100), bound: bool) {
        let mut mc = mc();
        mc.bound = bound;
        let _ = mc.take(0, &bytes);
    }

    #[test]
    fn any_payload_of_a_known_command_is_taken(
        command in 0..all().count(),
        payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..1020),
    ) {
        let mut mc = mc();
        let cmd = all().nth(command).unwrap().cmd.0;
        let Answer::Bytes(answer) = mc.take(0, &v2(cmd, &payload)) else { panic!("no answer") };
        proptest::prop_assert!(answer.len() <= 8 + MAX_PAYLOAD);
    }
}
