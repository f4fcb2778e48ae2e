//! Firmware replies into every decoder of the driver: a sound header around any payload, or any header at all.

use std::sync::Arc;

use nicfw::adapter::rules::ops;
use nicfw::clock::VirtualClock;
use nicfw::error::MCDI_TIMEOUT;
use nicfw::mcdi::cmd::{counters, function, ruleset};
use nicfw::mcdi::wire::{Header, HeaderForm, Status};
use nicfw::mcdi::{Channel, McdiError};
use nicfw::tables::{Action, PortTreeEntry, RuleKey, SubnetNode, TableOp, Target};

use crate::puppet::Puppet;

type Command = fn(&mut Channel) -> Result<(), McdiError>;

/// Every command that the driver sends.
const COMMANDS: &[Command] = &[
    |channel| function::get_version(channel).map(drop),
    |channel| function::attach(channel, 5).map(drop),
    |channel| function::detach(channel),
    |channel| function::get_capabilities(channel).map(drop),
    |channel| function::get_function_info(channel).map(drop),
    |channel| function::get_privileges(channel, function::FunctionId { pf: 0, vf: None }).map(drop),
    |channel| function::get_port_assignment(channel).map(drop),
    |channel| function::get_mac_address(channel).map(drop),
    |channel| ruleset::get_security_rule_info(channel).map(drop),
    |channel| ruleset::reset_rules(channel),
    |channel| ruleset::get_version(channel).map(drop),
    |channel| ruleset::set_override(channel, ruleset::Override::Block),
    |channel| ruleset::manage_cache(channel, ruleset::CacheOp::Commit).map(drop),
    |channel| counters::get_config(channel).map(drop),
    |channel| {
        let mut ids = Vec::new();
        let given = counters::alloc(channel, 3, &mut ids)?;
        assert!(given <= 3 && ids.len() == usize::try_from(given).expect("at most 3"));
        assert!(!ids.iter().any(|id| counters::RESERVED_IDS.contains(id)));
        Ok(())
    },
    |channel| counters::free(channel, &[1]),
    |channel| counters::read(channel, &[1, 2], |at, _| assert!(at < 2)),
    |channel| {
        let none = Action::None;
        table_op(channel, &TableOp::SetRule { key: RuleKey::default(), rx: none, tx: none, counter: None })
    },
    |channel| table_op(channel, &TableOp::SetSubnetNode(SubnetNode { id: 0, entries: vec![56_000; 16] })),
    |channel| table_op(channel, &TableOp::SetLocalPortTree(vec![PortTreeEntry { branch_key: 0xffff, leaf_id: 1 }])),
];

fn table_op(channel: &mut Channel, op: &TableOp) -> Result<(), McdiError> {
    match ops::execute(channel, &Target::profile0(), op) {
        Ok(()) => Ok(()),
        Err(ops::TableError::Mcdi(error)) => Err(error),
        Err(error) => panic!("the operation is sound: {error}"),
    }
}

/// First byte: which command. Second: bit 0 an error reply, bit 1 a header that the next 8 bytes forge. Then the payload.
pub fn run(data: &[u8]) {
    let [choice, how, rest @ ..] = data else { return };
    let forge = how & 2 != 0;
    let (forged, payload) = if forge { rest.split_first_chunk().unwrap_or((&[0; 8], rest)) } else { (&[0; 8], rest) };
    let (failed, forged, payload) = (how & 1 != 0, *forged, payload.to_vec());
    let puppet = Puppet::new(move |request| reply(request, failed, forged, &payload));
    let Ok(mut channel) = Channel::open(&puppet, Arc::new(VirtualClock::new()), MCDI_TIMEOUT) else { return };
    let command = COMMANDS.get(usize::from(*choice) % COMMANDS.len()).expect("within the list");
    if let Err(error) = command(&mut channel) {
        assert!(!error.to_string().is_empty());
        assert!(channel.restart().is_ok(), "the MC runs");
    }
}

/// The answer to a request: header of its form, and the payload; 8 bytes are laid over the header.
fn reply(request: &[u8], failed: bool, forged: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let dword =
        |at: usize| request.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word));
    let sent = Header::decode([dword(0), dword(4)]);
    let status = if failed { Status::Failed } else { Status::Done };
    let header = Header { status, len: payload.len(), ..sent }.encode();
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.iter_mut().zip(forged).for_each(|(byte, forged)| *byte ^= forged);
    bytes.truncate(if sent.form == HeaderForm::V1 { 4 } else { 8 });
    bytes.extend(payload);
    bytes
}
