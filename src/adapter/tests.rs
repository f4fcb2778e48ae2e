//! Attaching, each refusal, and what is known after an error, against scripted firmware.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::AdapterState;
use crate::mcdi::fake::{FakeNic, Reply, refuse, respond};
use crate::tables::{Action, RuleKey, Sizes};

type Answer = Arc<dyn Fn(&[u8]) -> Reply + Send + Sync>;

/// Firmware that answers by command; a command without an answer fails with ENOSYS (0x26).
#[derive(Clone)]
struct Firmware(Arc<Mutex<BTreeMap<u16, Answer>>>);

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// GET_CAPABILITIES_V2_OUT with both datapaths on `firmware`; PF 0 on port 0, PF 1 on port 1, the others not present (0xfe).
fn capabilities(firmware: u16, flags2: u32) -> Vec<u8> {
    let mut bytes = words(&[0, u32::from(firmware) * 0x1_0001, 0x8000_8000, 0, 0, flags2]);
    bytes.extend([0, 0, 0, 1]);
    bytes.extend([0xfe; 14]);
    bytes.resize(72, 0);
    bytes
}

const TSA_SUPPORT: u32 = 1 << 16;
const TSA_BOUND: u32 = 1 << 17;

impl Firmware {
    /// An adapter that nicfw works with, of profile 0.
    fn sound() -> Self {
        let firmware = Self(Arc::default());
        firmware.payload(0x008, &[&words(&[0x6501_0203, 1]), &[0; 16][..], &[6, 0, 2, 0, 7, 0, 0xe9, 3]].concat());
        firmware.payload(0x0ec, &words(&[0, 0xffff]));
        firmware.payload(0x0be, &capabilities(5, TSA_SUPPORT));
        firmware.payload(0x05a, &words(&[0x8001]));
        firmware.payload(0x01c, &words(&[0, 7]));
        firmware.payload(0x0e4, &words(&[3, 0, 3500, 16, 56_000, 65_534, 255, 1, 254]));
        firmware.payload(0x130, &words(&[512, 32]));
        firmware.payload(0x0b8, &words(&[0]));
        firmware.payload(0x055, &[&[0, 0x0f, 0x53, 1, 2, 3, 0, 0][..], &words(&[1, 1])].concat());
        firmware
    }

    fn payload(&self, code: u16, payload: &[u8]) {
        let payload = payload.to_vec();
        self.answer(code, move |request| respond(request, &payload));
    }

    fn answer(&self, code: u16, answer: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) {
        self.0.lock().unwrap().insert(code, Arc::new(answer));
    }

    fn nic(&self) -> FakeNic {
        let answers = self.0.clone();
        FakeNic::new(move |request| {
            let answer = answers.lock().unwrap().get(&code(request)).cloned();
            answer.map_or_else(|| refuse(request, 0x26), |answer| answer(request))
        })
    }

    fn attach(&self, options: AttachOptions) -> (FakeNic, Result<Adapter, AttachError>) {
        let nic = self.nic();
        let adapter = Adapter::from_device(Box::new(nic.clone()), nic.clock(), options);
        (nic, adapter)
    }

    fn attached(&self) -> (FakeNic, Adapter) {
        let (nic, adapter) = self.attach(AttachOptions::default());
        let adapter = adapter.unwrap();
        nic.take_requests();
        (nic, adapter)
    }

    fn refused(&self) -> AttachError {
        self.attach(AttachOptions::default()).1.unwrap_err()
    }
}

fn code(request: &[u8]) -> u16 {
    if request[0] == 0xff { u16::from_le_bytes([request[4], request[5]]) } else { u16::from(request[0] & 0x7f) }
}

fn codes(nic: &FakeNic) -> Vec<u16> {
    nic.take_requests().iter().map(|request| code(request)).collect()
}

fn deny() -> TableOp {
    let key = RuleKey { local_ip: Some("10.30.1.17".parse().unwrap()), ..RuleKey::default() };
    let deny = Action::Deny { sample: false };
    TableOp::SetRule { key, rx: deny, tx: deny, counter: None }
}

#[test]
fn a_sound_adapter_is_attached_and_described() {
    let (nic, adapter) = Firmware::sound().attach(AttachOptions::default());
    let adapter = adapter.unwrap();
    let requests = nic.take_requests();
    let attach = requests.iter().find(|request| code(request) == 0x1c).unwrap();
    assert_eq!(attach[4..], words(&[1, 1, 0xffff_ffff]), "no variant is asked for when the right one runs");
    assert_eq!(adapter.target().sizes, Sizes::profile0());
    assert_eq!((adapter.target().physical_ports, adapter.target().profile.counters), (2, 512));
    assert_eq!(adapter.info().to_string(), "1924:0a03 PF 0, firmware 6.2.7.1001 rules-engine (0x5)");
    assert_eq!(adapter.info().mac.to_string(), "00:0f:53:01:02:03");
    assert_eq!((adapter.info().port, adapter.info().counter_width), (Some(0), 32));
}

#[test]
fn unknown_devices_are_refused_untouched() {
    let nic = Firmware::sound().nic().with_id(0x1924, 0x0903);
    let error = Adapter::from_device(Box::new(nic.clone()), nic.clock(), AttachOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("1924:0903 is not an adapter that nicfw drives"), "{error}");
    assert!(nic.take_writes().is_empty());
    let nic = nic.with_id(0x1924, 0x0b03);
    Adapter::from_device(Box::new(nic.clone()), nic.clock(), AttachOptions::default()).unwrap();
}

#[test]
fn another_variant_is_refused_and_switched_only_when_told_to() {
    let firmware = Firmware::sound();
    firmware.payload(0xbe, &capabilities(1, 0));
    let (nic, refused) = firmware.attach(AttachOptions::default());
    let error = refused.unwrap_err();
    assert!(matches!(error, AttachError::NoRulesEngine { variant: FirmwareVariant { rx: 1, tx: 1 } }), "{error}");
    assert!(!codes(&nic).contains(&0x1c), "the function is not even attached");

    let switch = AttachOptions::default().with_switch_firmware(true);
    let (nic, refused) = firmware.attach(switch.clone());
    assert!(matches!(refused, Err(AttachError::NotSwitched { .. })));
    assert_eq!(nic.take_requests().last().unwrap()[4..], words(&[0, 1, 0xffff_ffff]), "detached again");

    let switching = firmware.clone();
    firmware.answer(0x1c, move |request| {
        assert_eq!(request[4..], words(&[1, 1, 5]));
        switching.payload(0xbe, &capabilities(5, TSA_SUPPORT));
        respond(request, &words(&[0, 7]))
    });
    let (_, adapter) = firmware.attach(switch);
    assert!(adapter.unwrap().info().variant.is_rules_engine());
}

#[test]
fn a_datapath_of_its_own_variant_is_no_rules_engine() {
    let firmware = Firmware::sound();
    let mut mixed = capabilities(5, TSA_SUPPORT);
    mixed[6] = 1;
    firmware.payload(0xbe, &mixed);
    let error = firmware.refused();
    assert!(error.to_string().contains("rx rules-engine (0x5), tx low-latency (0x1)"), "{error}");
}

#[test]
fn bound_and_incapable_adapters_are_refused() {
    let firmware = Firmware::sound();
    firmware.payload(0xbe, &capabilities(5, TSA_SUPPORT | TSA_BOUND));
    assert!(matches!(firmware.refused(), AttachError::BoundToController));
    firmware.payload(0xbe, &capabilities(5, 0));
    assert!(matches!(firmware.refused(), AttachError::NoTsaSupport));
}

#[test]
fn missing_privileges_are_named() {
    let firmware = Firmware::sound();
    for (mask, missing) in [
        (0x8000, Privileges::ADMIN),
        (1, Privileges::ADMIN_TSA_UNBOUND),
        (0, Privileges::ADMIN | Privileges::ADMIN_TSA_UNBOUND),
    ] {
        firmware.payload(0x5a, &words(&[mask]));
        let (nic, refused) = firmware.attach(AttachOptions::default());
        let error = refused.unwrap_err();
        assert!(matches!(error, AttachError::NoPrivilege { missing: got, .. } if got == missing), "{error}");
        assert!(!codes(&nic).contains(&0x1c));
    }
    let text = firmware.refused().to_string();
    assert!(text.starts_with("PF 0 lacks ADMIN and ADMIN_TSA_UNBOUND, "), "{text}");
}

#[test]
fn unknown_semantics_and_ports_are_refused() {
    let firmware = Firmware::sound();
    firmware.payload(0xe4, &words(&[3, 1, 3500, 16, 56_000, 65_534, 255, 1, 254]));
    assert!(matches!(firmware.refused(), AttachError::UnknownRulesVersion { version: 1 }));
    let firmware = Firmware::sound();
    let mut none = capabilities(5, TSA_SUPPORT);
    none[26..42].fill(0xff);
    firmware.payload(0xbe, &none);
    assert!(matches!(firmware.refused(), AttachError::NoPhysicalPort));
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let firmware = Firmware::sound();
    let sound = [3, 0, 3500, 16, 56_000, 65_534, 255, 1, 254];
    for (at, value, name) in [
        (2, 0, "subnet_nodes"),
        (2, 5000, "subnet_nodes"),
        (2, u32::MAX, "subnet_nodes"),
        (3, 8, "entries_per_node"),
        (3, 0, "entries_per_node"),
        (5, 55_999, "subnet_id_max"),
        (5, 65_536, "subnet_id_max"),
        (6, 0, "port_tree_entries"),
        (6, 256, "port_tree_entries"),
        (8, 0, "portrange_id_max"),
        (8, 65_536, "portrange_id_max"),
    ] {
        let mut sizes = sound;
        sizes[at] = value;
        firmware.payload(0xe4, &words(&sizes));
        let error = firmware.refused();
        assert!(matches!(error, AttachError::BadSize(bad) if (bad.name, bad.value) == (name, value)), "{error}");
    }
    let mut sizes = sound;
    sizes[4] = 3499 * 16;
    firmware.payload(0xe4, &words(&sizes));
    let error = firmware.refused();
    assert!(
        matches!(error, AttachError::BadSize(bad) if (bad.name, bad.value) == ("subnet_id_min", 55_984)),
        "{error}"
    );
}

/// Whatever command fails, attaching fails, and a function that was attached is detached again.
#[test]
fn any_failing_command_refuses_the_adapter() {
    for failing in [0x008, 0x0ec, 0x0be, 0x05a, 0x01c, 0x0e4, 0x130, 0x0b8, 0x055] {
        let firmware = Firmware::sound();
        firmware.answer(failing, |request| refuse(request, 1));
        let (nic, refused) = firmware.attach(AttachOptions::default());
        assert!(matches!(refused, Err(AttachError::Command(McdiError::Refused { .. }))), "{failing:#x}");
        let attaches = codes(&nic).into_iter().filter(|code| *code == 0x1c).count();
        let expected = match failing {
            0x008 | 0x0ec | 0x0be | 0x05a => 0,
            0x01c => 1,
            _ => 2,
        };
        assert_eq!(attaches, expected, "{failing:#x}");
    }
}

#[test]
fn an_operation_is_one_command() {
    let firmware = Firmware::sound();
    firmware.payload(0x10f, &[0; 32]);
    let (nic, mut adapter) = firmware.attached();
    adapter.execute(&deny()).unwrap();
    assert_eq!(codes(&nic), [0x10f]);
}

#[test]
fn errors_tell_what_the_tables_hold() {
    let firmware = Firmware::sound();
    let (nic, mut adapter) = firmware.attached();
    let bad = TableOp::SetSubnetNode(crate::tables::SubnetNode { id: 0, entries: vec![] });
    let error = adapter.execute(&bad).unwrap_err();
    assert_eq!((error.state(), codes(&nic).len()), (AdapterState::Unchanged, 0));

    firmware.answer(0x10f, |request| refuse(request, 0x1c));
    let error = adapter.execute(&deny()).unwrap_err();
    assert!(error.is_full());
    assert_eq!((error.state(), adapter.needs_recovery()), (AdapterState::Unchanged, false));

    firmware.payload(0x10f, &[0; 31]);
    let error = adapter.execute(&deny()).unwrap_err();
    assert_eq!((error.state(), adapter.needs_recovery()), (AdapterState::Unknown, false));

    firmware.answer(0x10f, |_| Reply::Silence);
    let error = adapter.execute(&deny()).unwrap_err();
    assert_eq!((error.state(), adapter.needs_recovery()), (AdapterState::Unknown, true));
    let error = adapter.execute(&deny()).unwrap_err();
    assert!(matches!(error, AdapterError::Command(McdiError::Poisoned { .. })), "{error}");
    assert_eq!(error.state(), AdapterState::Unknown);
}

#[test]
fn recovering_from_a_lost_command_attaches_anew() {
    let firmware = Firmware::sound();
    firmware.answer(0x10f, |_| Reply::Silence);
    let (nic, mut adapter) = firmware.attached();
    adapter.execute(&deny()).unwrap_err();
    firmware.payload(0x10f, &[0; 32]);
    nic.take_requests();
    assert_eq!(adapter.recover().unwrap(), Recovered { rebooted: false, target_changed: false });
    assert!(codes(&nic).contains(&0x1c));
    assert_eq!(nic.resets(), 0);
    adapter.execute(&deny()).unwrap();
}

#[test]
fn recovering_resets_the_function_if_it_stays_silent() {
    let firmware = Firmware::sound();
    let (nic, mut adapter) = firmware.attached();
    let stuck = nic.clone();
    let version = firmware.0.lock().unwrap()[&0x008].clone();
    firmware.answer(0x008, move |request| if stuck.resets() == 0 { Reply::Silence } else { version(request) });
    firmware.answer(0x10f, |_| Reply::Silence);
    adapter.execute(&deny()).unwrap_err();
    adapter.recover().unwrap();
    assert_eq!(nic.resets(), 1);
    assert!(!adapter.needs_recovery());
}

#[test]
fn recovering_tells_a_reboot_and_a_changed_target() {
    let firmware = Firmware::sound();
    let (nic, mut adapter) = firmware.attached();
    nic.set_status(0xb007_0004);
    let error = adapter.ruleset_version().unwrap_err();
    assert!(matches!(error, AdapterError::Command(McdiError::Rebooted { .. })), "{error}");
    firmware.payload(0xe4, &words(&[3, 0, 8, 4, 100, 105, 15, 1, 6]));
    assert_eq!(adapter.recover().unwrap(), Recovered { rebooted: true, target_changed: true });
    assert_eq!((adapter.target().sizes.subnet_nodes, adapter.needs_recovery()), (8, false));
}

/// The first try met the new boot, the second one said that there was none: the tables of before it were believed.
#[test]
fn a_reboot_is_told_by_the_recovery_that_comes_to_its_end() {
    let firmware = Firmware::sound();
    let (nic, mut adapter) = firmware.attached();
    nic.set_status(0xb007_0004);
    adapter.ruleset_version().unwrap_err();
    let version = firmware.0.lock().unwrap()[&0x008].clone();
    firmware.answer(0x008, |request| refuse(request, 0x1c));
    adapter.recover().unwrap_err();
    firmware.answer(0x008, move |request| version(request));
    assert_eq!(adapter.recover().unwrap(), Recovered { rebooted: true, target_changed: false });
    assert_eq!(adapter.recover().unwrap(), Recovered { rebooted: false, target_changed: false });
}

/// TSA_STATISTICS: GET_CONFIG (OP_CODE 0), or one pair with `count` in both counters.
fn statistics(request: &[u8], width: u32, count: u64) -> Reply {
    match request[8] {
        0 => respond(request, &words(&[512, width])),
        _ => respond(request, &[words(&[1, 0]), count.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat()),
    }
}

#[test]
fn counters_begin_at_zero_wrap_and_survive_a_reboot() {
    let firmware = Firmware::sound();
    let count = |count| firmware.answer(0x130, move |request| statistics(request, 8, count));
    firmware.payload(0x112, &words(&[1, 7]));
    firmware.payload(0x113, &[]);
    count(250);
    let (nic, mut adapter) = firmware.attached();
    let ids = adapter.alloc_counters(1).unwrap();
    assert_eq!(ids, [CounterId(7)]);
    let total = |adapter: &mut Adapter, held| {
        count(held);
        adapter.read_counters(&ids).unwrap()[0].rx
    };
    assert_eq!(total(&mut adapter, 250), 0);
    assert_eq!(total(&mut adapter, 4), 10, "250 to 255 and 0 to 4");
    nic.set_status(0xb007_0004);
    adapter.read_counters(&[CounterId(7)]).unwrap_err();
    adapter.recover().unwrap();
    assert_eq!(total(&mut adapter, 5), 15);
    nic.take_requests();
    adapter.free_counters(&[CounterId(7)]).unwrap();
    assert_eq!(codes(&nic), [0x113]);
}

#[test]
fn counters_whose_start_cannot_be_read_are_given_back() {
    let firmware = Firmware::sound();
    firmware.payload(0x112, &words(&[1, 7]));
    firmware.payload(0x113, &[]);
    let (nic, mut adapter) = firmware.attached();
    firmware.answer(0x130, |request| refuse(request, 5));
    adapter.alloc_counters(1).unwrap_err();
    assert_eq!(codes(&nic), [0x112, 0x130, 0x113]);
}

#[test]
fn whole_set_operations_are_their_commands() {
    let firmware = Firmware::sound();
    firmware.payload(0x12a, &[]);
    firmware.payload(0x110, &[]);
    firmware.payload(0x111, &[0xab, 0xcd]);
    firmware.payload(0x11a, &[1, 0, 0, 0, 0xef]);
    let (nic, mut adapter) = firmware.attached();
    adapter.set_override(Override::Block).unwrap();
    adapter.reset_rules().unwrap();
    assert_eq!(adapter.ruleset_version().unwrap().to_string(), "abcd");
    adapter.commit_cache().unwrap();
    assert_eq!(adapter.cached_version().unwrap().unwrap().to_string(), "ef");
    adapter.detach().unwrap();
    let requests = nic.take_requests();
    let sent: Vec<_> = requests.iter().map(|request| (code(request), request[request.len() - 4..].to_vec())).collect();
    assert_eq!(sent[0], (0x12a, words(&[1])));
    assert_eq!(sent[1], (0x110, words(&[0xffff_ffff])));
    assert_eq!((sent[3].clone(), sent[4].clone()), ((0x11a, words(&[2])), (0x11a, words(&[0]))));
    assert_eq!(requests[5][4..], words(&[0, 1, 0xffff_ffff]));
}
