//! The driver against the firmware model: attach and its refusals, every table operation, recovery.

use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::{AdapterError, AttachError, AttachOptions, Override};
use nicfw::clock::VirtualClock;
use nicfw::error::AdapterState;
use nicfw::mcdi::wire::{Cmd, McErrno, Privileges};
use nicfw::tables::{Action, CounterId, Entry, PortRangeId, PortTreeEntry, RuleKey, SubnetId, SubnetNode, TableOp};
use nicfw::terms::MacAddr;
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::mc::{FirmwareVariant, Switching};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::backend;

const ALLOW: Action = Action::Allow { sample: false };
const DENY: Action = Action::Deny { sample: false };
const MAC: MacAddr = MacAddr([2, 0, 10, 30, 1, 0x11]);

fn config() -> ModelConfig {
    ModelConfig::new(vec![FunctionConfig::admin(0, MAC), FunctionConfig::container(0, 1, MacAddr([2, 0, 0, 0, 0, 2]))])
}

fn attach_to(model: &Model, function: usize) -> Result<Adapter, AttachError> {
    let clock = Arc::new(VirtualClock::new());
    Adapter::from_device(backend::function(model, function), clock, AttachOptions::default())
}

fn attached() -> (Model, Adapter) {
    let model = Model::new(config());
    let adapter = attach_to(&model, 0).unwrap();
    (model, adapter)
}

fn allow_https() -> RuleKey {
    RuleKey {
        local_ip: Some([10, 30, 1, 17].into()),
        local_mac: Some(MAC),
        ether_type: Some(0x0800),
        ip_proto: Some(6),
        local_port: Some(443),
        ..RuleKey::default()
    }
}

/// An entry without a counter, as the model holds it.
fn held(rx: Action, tx: Action) -> Entry {
    Entry { rx, tx, counter: None }
}

fn set(key: RuleKey, rx: Action, tx: Action) -> TableOp {
    TableOp::SetRule { key, rx, tx, counter: None }
}

#[test]
fn attach_learns_what_the_adapter_is() {
    let (_, adapter) = attached();
    let info = adapter.info();
    assert_eq!((info.mac, info.port, info.rules_version), (MAC, Some(0), 0));
    assert_eq!((info.counters, info.counter_width), (1024, 48));
    assert_eq!(adapter.target(), &nicfw::tables::Target { physical_ports: 1, ..nicfw::tables::Target::profile0() });
}

#[test]
fn attach_refuses_each_adapter_that_it_cannot_use_by_an_error_of_its_own() {
    let refusal = |change: fn(&mut ModelConfig), function| {
        let mut config = config();
        change(&mut config);
        attach_to(&Model::new(config), function).unwrap_err()
    };
    let error = refusal(|config| config.variant = FirmwareVariant::LowLatency, 0);
    assert!(matches!(error, AttachError::NoRulesEngine { .. }), "{error}");
    let error = refusal(|config| config.bound = true, 0);
    assert!(matches!(error, AttachError::BoundToController), "{error}");
    let error = refusal(|_| {}, 1);
    let needed = Privileges::ADMIN | Privileges::ADMIN_TSA_UNBOUND;
    assert!(matches!(error, AttachError::NoPrivilege { missing, .. } if missing == needed), "{error}");
    let error = refusal(|config| config.rules_version = 1, 0);
    assert!(matches!(error, AttachError::UnknownRulesVersion { version: 1 }), "{error}");
    let error = refusal(|config| config.engine.sizes.subnet_nodes = 3501, 0);
    assert!(
        matches!(error, AttachError::BadSize(bad) if (bad.name, bad.value) == ("subnet_id_min", 56_000)),
        "{error}"
    );
    let error = refusal(|config| config.engine.sizes.entries_per_node = 3, 0);
    assert!(matches!(error, AttachError::BadSize(bad) if (bad.name, bad.value) == ("entries_per_node", 3)), "{error}");
}

#[test]
fn the_firmware_variant_is_switched_only_when_told_to() {
    let mut config = config();
    (config.variant, config.switching) = (FirmwareVariant::LowLatency, Switching::FirstAttach);
    let model = Model::new(config.clone());
    assert!(matches!(attach_to(&model, 0).unwrap_err(), AttachError::NoRulesEngine { .. }));
    assert_eq!(model.variant(), FirmwareVariant::LowLatency);
    let told = AttachOptions::default().with_switch_firmware(true);
    let attach =
        |model: &Model| Adapter::from_device(backend::function(model, 0), Arc::new(VirtualClock::new()), told.clone());
    attach(&model).unwrap();
    assert_eq!(model.variant(), FirmwareVariant::RulesEngine);
    config.switching = Switching::Fixed;
    assert!(matches!(attach(&Model::new(config)).unwrap_err(), AttachError::NotSwitched { .. }));
}

#[test]
fn every_table_operation_arrives() {
    let (model, mut adapter) = attached();
    let base = RuleKey { local_ip: Some("2001:db8::17".parse().unwrap()), ..RuleKey::default() };
    let by_id = RuleKey {
        remote_subnet: Some(SubnetId(56_001)),
        remote_portrange: Some(PortRangeId(2)),
        local_port: None,
        local_portrange: Some(PortRangeId(1)),
        physical_port: Some(0),
        outer_vlan: Some(7),
        inner_vlan: Some(4095),
        ..allow_https()
    };
    let remote = RuleKey {
        remote_ip: Some([10, 0, 0, 53].into()),
        remote_mac: Some(MacAddr([2, 0, 0, 0, 0, 9])),
        remote_port: Some(53),
        ip_proto: Some(17),
        local_port: None,
        ..allow_https()
    };
    let node = SubnetNode { id: 0, entries: vec![56_001; 16] };
    let leaf = |id| PortTreeEntry { branch_key: 0xffff, leaf_id: id };
    let tree = vec![PortTreeEntry { branch_key: 1023, leaf_id: 0 }, leaf(1), leaf(2)];
    let operations = [
        TableOp::SetSubnetNode(node.clone()),
        TableOp::SetRemotePortTree(tree.clone()),
        TableOp::SetLocalPortTree(vec![leaf(1)]),
        set(base, DENY, DENY),
        set(by_id, ALLOW, Action::None),
        set(remote, Action::None, Action::Allow { sample: true }),
    ];
    for operation in &operations {
        adapter.execute(operation).unwrap();
    }
    let tables = model.snapshot();
    let rules = [
        (base, held(DENY, DENY)),
        (by_id, held(ALLOW, Action::None)),
        (remote, held(Action::None, Action::Allow { sample: true })),
    ];
    assert_eq!(tables.rules, rules.into());
    assert_eq!(tables.subnet_nodes, [node]);
    assert_eq!((tables.remote_ports, tables.local_ports), (Some(tree), Some(vec![leaf(1)])));
    adapter.execute(&set(by_id, Action::None, Action::None)).unwrap();
    assert_eq!(model.snapshot().rules.len(), 2, "both directions NONE frees the entry");
    adapter.reset_rules().unwrap();
    assert!(model.snapshot().rules.is_empty());
}

#[test]
fn an_id_is_refused_before_its_map_is_written() {
    let (model, mut adapter) = attached();
    let key = RuleKey { remote_subnet: Some(SubnetId(56_000)), ..allow_https() };
    let error = adapter.execute(&set(key, ALLOW, ALLOW)).unwrap_err();
    assert_eq!(error.state(), AdapterState::Unchanged);
    assert_eq!(model.snapshot(), Default::default());
}

#[test]
fn a_full_table_says_so() {
    let mut config = config();
    config.engine.profile.rules = 1;
    let model = Model::new(config);
    let mut adapter = attach_to(&model, 0).unwrap();
    adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap();
    let error = adapter.execute(&set(RuleKey { local_port: Some(80), ..allow_https() }, ALLOW, ALLOW)).unwrap_err();
    assert!(error.is_full(), "{error}");
    adapter.execute(&set(allow_https(), DENY, DENY)).expect("replacing needs no room");
}

#[test]
fn counters_add_up_over_wraps_and_reboots() {
    let (model, mut adapter) = attached();
    let ids = adapter.alloc_counters(2).unwrap();
    assert_eq!(ids, [CounterId(1), CounterId(2)]);
    model.preset_counter(ids[0], (1 << 48) - 1, 5);
    assert_eq!(adapter.read_counters(&ids[..1]).unwrap()[0].tx, (1 << 48) - 1);
    model.preset_counter(ids[0], (1 << 48) + 1, 7);
    let value = adapter.read_counters(&ids[..1]).unwrap()[0];
    assert_eq!((value.tx, value.rx), ((1 << 48) + 1, 7));
    let all = adapter.alloc_counters(2000).unwrap();
    assert_eq!(all.len(), 1022, "the adapter has 1024 pairs");
    adapter.free_counters(&all).unwrap();
}

#[test]
fn a_counter_in_use_is_not_freed() {
    let (_, mut adapter) = attached();
    let ids = adapter.alloc_counters(1).unwrap();
    let entry = |rx| TableOp::SetRule { key: allow_https(), rx, tx: Action::None, counter: Some(ids[0]) };
    adapter.execute(&entry(ALLOW)).unwrap();
    assert!(adapter.free_counters(&ids).is_err());
    adapter.execute(&set(allow_https(), Action::None, Action::None)).unwrap();
    adapter.free_counters(&ids).unwrap();
}

#[test]
fn counters_of_an_earlier_owner_are_reclaimed() {
    let (model, mut adapter) = attached();
    adapter.alloc_counters(1000).unwrap();
    adapter.detach().unwrap();
    let mut adapter = attach_to(&model, 0).unwrap();
    assert_eq!(adapter.alloc_counters(30).unwrap().len(), 24);
    adapter.reclaim_counters().unwrap();
    let all = adapter.alloc_counters(2000).unwrap();
    assert_eq!((all.first(), all.len()), (Some(&CounterId(1)), 1024));
    let entry = TableOp::SetRule { key: allow_https(), rx: ALLOW, tx: ALLOW, counter: Some(CounterId(700)) };
    adapter.execute(&entry).unwrap();
    adapter.reclaim_counters().expect("one in use stays, the rest is free as far as it goes");
}

#[test]
fn the_version_depends_on_content_alone() {
    let (_, mut adapter) = attached();
    let empty = adapter.ruleset_version().unwrap();
    adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap();
    let one = adapter.ruleset_version().unwrap();
    assert_ne!(empty, one);
    adapter.execute(&set(allow_https(), Action::None, Action::None)).unwrap();
    assert_eq!(adapter.ruleset_version().unwrap(), empty);
}

#[test]
fn the_override_is_set_and_lost_in_a_reboot() {
    let (model, mut adapter) = attached();
    for state in [Override::Block, Override::Allow, Override::None, Override::Block] {
        adapter.set_override(state).unwrap();
        assert_eq!(model.overridden(), state);
    }
    model.reboot();
    assert_eq!(model.overridden(), Override::None);
}

#[test]
fn a_reboot_loads_the_committed_set() {
    let (model, mut adapter) = attached();
    adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap();
    assert_eq!(adapter.cached_version().unwrap(), None);
    adapter.commit_cache().unwrap();
    let committed = adapter.ruleset_version().unwrap();
    adapter.execute(&set(RuleKey { local_port: Some(80), ..allow_https() }, ALLOW, ALLOW)).unwrap();
    model.reboot();
    let error = adapter.ruleset_version().unwrap_err();
    assert_eq!(error.state(), AdapterState::Unknown);
    assert!(adapter.needs_recovery());
    assert!(adapter.recover().unwrap().rebooted);
    assert_eq!(adapter.ruleset_version().unwrap(), committed);
    assert_eq!(adapter.cached_version().unwrap(), Some(committed));
}

/// Each way in which an answer can fail to say what became of the command: the state is unknown, nothing is sent before
/// `recover`, and afterwards the adapter works.
#[test]
fn an_unknown_outcome_is_told_and_recovered_from() {
    let kinds = [
        FaultKind::Hang { effect: true },
        FaultKind::Hang { effect: false },
        FaultKind::Garbage(vec![0xff; 8]),
        FaultKind::WrongSequence,
        FaultKind::WrongCommand,
        FaultKind::Length(1023),
        FaultKind::RebootBefore,
        FaultKind::RebootAfter,
    ];
    for kind in kinds {
        let (model, mut adapter) = attached();
        model.inject(Fault { cmd: Some(Cmd::SET_SECURITY_RULE), after: 0, kind: kind.clone() });
        let error = adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap_err();
        assert_eq!((error.state(), model.faults_waiting()), (AdapterState::Unknown, 0), "{kind:?}: {error}");
        let executed = model.commands_executed();
        adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap_err();
        assert_eq!(model.commands_executed(), executed, "{kind:?}: sent before recovery");
        adapter.recover().unwrap();
        adapter.execute(&set(allow_https(), DENY, DENY)).unwrap();
        assert_eq!(model.snapshot().rules[&allow_https()], held(DENY, DENY), "{kind:?}");
    }
}

#[test]
fn a_refused_command_changes_nothing() {
    let (model, mut adapter) = attached();
    for errno in [McErrno::EPERM, McErrno::ENOSPC, McErrno(0x7777)] {
        model.inject(Fault { cmd: Some(Cmd::SET_SECURITY_RULE), after: 0, kind: FaultKind::Error(errno) });
        let error = adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap_err();
        assert!(matches!(&error, AdapterError::Command(cause) if cause.errno() == Some(errno)), "{error}");
        assert_eq!(error.state(), AdapterState::Unchanged);
        assert!(!adapter.needs_recovery());
    }
    assert_eq!(model.snapshot(), Default::default());
}

#[test]
fn a_function_that_is_gone_is_reported_as_gone() {
    let (model, mut adapter) = attached();
    model.inject(Fault { cmd: None, after: 0, kind: FaultKind::Gone });
    let error = adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap_err();
    assert!(error.to_string().contains("failed"), "{error}");
    assert_eq!(error.state(), AdapterState::Unknown);
    assert!(adapter.recover().is_err());
}

#[test]
fn rules_stay_when_the_driver_leaves() {
    let (model, mut adapter) = attached();
    adapter.execute(&set(allow_https(), ALLOW, ALLOW)).unwrap();
    adapter.detach().unwrap();
    assert_eq!(model.snapshot().rules.len(), 1);
}
