//! Commands on an adapter that another process holds: the model, served in this process, and the program as its client.
//! What the program did is seen in the model's own tables, and in what it does to frames.

mod common;
#[path = "common/served.rs"]
mod served;

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{golden, nicfw};
use nicfw::adapter::Override;
use nicfw::device::Locator;
use nicfw::mcdi::wire::{Cmd, McErrno};
use nicfw::terms::Verdict;
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::mc::FirmwareVariant;
use serde_json::Value;
use served::{SHOP, Served, without_versions};

#[test]
fn apply_loads_the_policy_and_the_rules_stay() {
    let adapter = Served::new();
    assert_eq!((adapter.verdict(443), adapter.verdict(22)), (Verdict::Allow, Verdict::Allow), "no rules yet");
    let report = adapter.json(&["apply", SHOP, "--adopt", "--reason", "CHG-1042"]);
    assert_eq!((adapter.verdict(443), adapter.verdict(22)), (Verdict::Allow, Verdict::Deny));
    assert_eq!((&report["emulated"], &report["reason"]), (&Value::from(false), &Value::from("CHG-1042")));
    assert_eq!(report["entries"], adapter.model.snapshot().rules.len());
    assert_eq!((&report["counters"], &report["counters_missing"]), (&Value::from(20), &Value::from(0)));
    assert_eq!(adapter.model.overridden(), Override::None);
    let version = report["fingerprints"]["active"].as_str().unwrap();
    assert_eq!(report["fingerprints"]["after_reboot"], version);

    let text = adapter.done(&["audit", "--expect", version]);
    golden("device-audit", &without_versions(&text));
    let info = adapter.done(&["info"]);
    assert!(info.contains(&format!("rules with fingerprint {version}; a reboot")), "{info}");
    adapter.model.reboot();
    assert_eq!(adapter.verdict(22), Verdict::Deny, "the adapter's own copy has them too");
}

/// An adapter keeps the counters of rules that are dropped: whoever takes it over frees them.
#[test]
fn loading_again_and_again_takes_no_more_counters_and_gives_the_same_version() {
    let adapter = Served::new();
    let load = || adapter.json(&["apply", SHOP, "--adopt", "--reason", "CHG-1042"]);
    let first = load();
    // 60 x 20 counters are more than the adapter has; to get there by loading takes long.
    let Ok(locator) = adapter.device().parse::<Locator>();
    let clock = Arc::new(nicfw::clock::SystemClock::new());
    let mut other = nicfw::Adapter::from_device(locator.open().unwrap(), clock, Default::default()).unwrap();
    other.alloc_counters(1000).unwrap();
    drop(other);
    let second = load();
    assert_eq!((&second["counters_missing"], &second["fingerprints"]), (&Value::from(0), &first["fingerprints"]));
}

#[test]
fn the_screen_of_apply() {
    let adapter = Served::new();
    let ran = adapter.apply();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    golden("device-apply", &without_versions(&ran.stdout));
}

#[test]
fn without_adopt_nothing_is_changed() {
    let adapter = Served::new();
    let ran = adapter.nicfw(&["apply", SHOP, "--reason", "CHG-1042"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    golden("device-not-adopted", &ran.stderr);
    assert_eq!((adapter.model.snapshot().rules.len(), adapter.model.overridden()), (0, Override::None));
    assert_eq!((adapter.verdict(443), adapter.verdict(22)), (Verdict::Allow, Verdict::Allow));
}

#[test]
fn a_policy_that_does_not_fit_leaves_the_rules_alone() {
    let adapter = Served::new();
    assert_eq!(adapter.apply().code, 0);
    let before = adapter.model.snapshot();
    let ran = adapter.nicfw(&["apply", "cli/tests/policies/too-large.yaml", "--adopt", "--reason", "CHG-1043"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(adapter.model.snapshot(), before);
    assert_eq!(adapter.model.overridden(), Override::None);
}

#[test]
fn rules_that_somebody_else_changed_are_drift() {
    let adapter = Served::new();
    let version = adapter.json(&["apply", SHOP, "--adopt", "--reason", "CHG-1042"])["fingerprints"]["active"].clone();
    adapter.done(&["detach", "--leave", "empty", "--reason", "INC-7"]);
    let expected = version.as_str().unwrap();
    let ran = adapter.nicfw(&["audit", "--expect", expected, "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &report["same"]), (4, &Value::from(false)));
    let ran = adapter.nicfw(&["audit", "--expect", expected]);
    let found = report["found"]["active"].as_str().unwrap();
    golden("device-drift", &ran.stdout.replace(found, "FOUND").replace(expected, "EXPECTED"));
}

#[test]
fn detach_leaves_what_it_was_told_to() {
    let adapter = Served::new();
    assert_eq!(adapter.apply().code, 0);
    let rules = adapter.model.snapshot();

    let report = adapter.json(&["detach", "--leave", "rules", "--reason", "INC-7"]);
    assert_eq!((&report["left"], &report["reason"]), (&Value::from("rules"), &Value::from("INC-7")));
    assert_eq!((adapter.model.snapshot(), adapter.model.overridden()), (rules.clone(), Override::None));

    let mut said = adapter.done(&["detach", "--leave", "blocked", "--reason", "INC-7"]);
    assert_eq!((adapter.model.snapshot(), adapter.model.overridden()), (rules, Override::Block));
    assert_eq!(adapter.verdict(443), Verdict::Deny);

    said += &adapter.done(&["detach", "--leave", "empty", "--reason", "INC-7"]);
    assert!(adapter.model.snapshot().rules.is_empty());
    assert_eq!((adapter.verdict(22), adapter.model.overridden()), (Verdict::Allow, Override::None));
    adapter.model.reboot();
    assert!(adapter.model.snapshot().rules.is_empty(), "nor does a reboot bring the rules back");
    golden("device-detach", &without_versions(&said));
}

/// Whatever fails once traffic is blocked leaves it blocked, is told, and applying again is the way out.
#[test]
fn a_load_that_fails_leaves_the_adapter_closed() {
    let faults = [
        (Cmd::SET_SECURITY_RULE, 7, FaultKind::Error(McErrno::ENOSPC)),
        (Cmd::SUBNET_MAP_SET_NODE, 3, FaultKind::RebootBefore),
        (Cmd::SET_SECURITY_RULE, 2, FaultKind::Garbage(vec![0xff; 8])),
        (Cmd::RESET_SECURITY_RULES, 0, FaultKind::Error(McErrno::EPERM)),
    ];
    let mut said = String::new();
    for (cmd, after, kind) in faults {
        let adapter = Served::new();
        adapter.model.inject(Fault { cmd: Some(cmd), after, kind });
        let ran = adapter.apply();
        assert_eq!((ran.code, ran.stdout.as_str(), adapter.model.faults_waiting()), (1, "", 0), "{}", ran.stderr);
        said += &ran.stderr;
        assert_eq!(adapter.model.overridden(), Override::Block, "{cmd:?}");
        let again = adapter.apply();
        assert_eq!(again.code, 0, "{}", again.stderr);
        assert_eq!((adapter.verdict(443), adapter.verdict(22)), (Verdict::Allow, Verdict::Deny));
    }
    golden("device-failed", &said);
}

/// As when QEMU dies: nobody says good-bye.
#[test]
fn a_program_that_is_killed_while_it_loads_leaves_the_adapter_closed_for_the_next() {
    let adapter = Served::new();
    let hang = FaultKind::Hang { effect: false };
    adapter.model.inject(Fault { cmd: Some(Cmd::SET_SECURITY_RULE), after: 9, kind: hang });
    let mut program = adapter.program(&["apply", SHOP, "--adopt", "--reason", "CHG-1042"]);
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while adapter.model.faults_waiting() > 0 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it does not get to the command");
        thread::yield_now();
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!((adapter.model.overridden(), adapter.model.snapshot().rules.len()), (Override::Block, 9));
    assert_eq!(adapter.apply().code, 0);
    assert_eq!((adapter.verdict(443), adapter.verdict(22)), (Verdict::Allow, Verdict::Deny));
}

#[test]
fn while_another_program_has_the_function_nothing_is_sent() {
    let adapter = Served::new();
    let Ok(locator) = adapter.device().parse::<Locator>();
    let held = locator.open().unwrap();
    let ran = adapter.apply();
    let expected = "vfio-user:/run/nic.sock: the vfio-user server hung up at once: it serves another driver\n";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", expected));
    assert_eq!(adapter.model.commands_executed(), 0);
    drop(held);
    assert_eq!(adapter.apply().code, 0);
}

#[test]
fn an_adapter_that_is_not_there_gets_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, journal) = (dir.path().join("nic.sock"), dir.path().join("nic.journal"));
    let device = format!("vfio-user:{}", socket.display());
    let adopt = ["apply", SHOP, "--adopt", "--reason", "CHG-1042", "--journal", journal.to_str().unwrap()];
    let ran = nicfw(&[&adopt[..], &["--device", &device]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.starts_with(&device), "{}", ran.stderr);
    assert!(!journal.exists());
}

#[test]
fn another_firmware_is_changed_only_when_told_to() {
    let adapter = Served::of(|config| {
        config.variant = FirmwareVariant::LowLatency;
        config.switching = nicfw_model::mc::Switching::FirstAttach;
    });
    let ran = adapter.apply();
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("low-latency (0x1) firmware, not the rules engine"), "{}", ran.stderr);
    assert_eq!(adapter.model.variant(), FirmwareVariant::LowLatency);
    adapter.done(&["apply", SHOP, "--adopt", "--switch-firmware", "--reason", "CHG-1042"]);
    assert_eq!(adapter.model.variant(), FirmwareVariant::RulesEngine);
    assert_eq!(adapter.verdict(22), Verdict::Deny);
}
