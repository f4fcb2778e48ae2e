//! Changes of a running adapter from the command line, one process after the other, with a journal between them.

mod common;
#[path = "common/served.rs"]
mod served;

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Ran, golden, nicfw};
use nicfw::Adapter;
use nicfw::adapter::Override;
use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::journal::{Event, FileStore, Journal};
use nicfw::mcdi::wire::Cmd;
use nicfw::tables::{Action, TableOp};
use nicfw::terms::Verdict;
use nicfw_model::fault::{Fault, FaultKind};
use serde_json::{Value, json};
use served::{SHOP, Served, without_versions};

/// The shop's policy with one more open port.
const SHOP_8443: &str = "cli/tests/policies/shop-8443.yaml";

const WHY: [&str; 6] = ["--reason", "second entrance", "--ticket", "CHG-1043", "--who", "ann"];

fn adopted() -> Served {
    let adapter = Served::new();
    let ran = adapter.apply();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    adapter
}

fn with_why<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &WHY].concat()
}

/// Puts fixed words in the place of hashes and dates.
fn fixed(text: &str) -> String {
    let text = without_versions(text);
    let dates = |line: &str| match line.find("20").filter(|at| line[*at..].chars().nth(10) == Some('T')) {
        Some(at) => format!("{}DATE{}", &line[..at], &line[at + "2026-11-23T00:00:00.000Z".len()..]),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(dates).collect()
}

/// Waits until something is so.
#[track_caller]
fn until(child: &mut Child, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !so() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it does not come to that");
        thread::yield_now();
    }
}

#[test]
fn a_change_needs_no_outage_and_is_taken_back_by_its_number() {
    let adapter = adopted();
    let before = adapter.model.snapshot().rules;
    let ran = adapter.nicfw(&with_why(&["apply", SHOP_8443]));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    golden("change-apply", &fixed(&ran.stdout));
    assert_eq!((adapter.verdict(8443), adapter.verdict(443)), (Verdict::Allow, Verdict::Allow));
    let again = adapter.json(&with_why(&["apply", SHOP_8443]));
    assert_eq!((&again["commands"], &again["adopted"], &again["found"]), (&0.into(), &false.into(), &Value::Null));
    let back = adapter.done(&with_why(&["rollback", "--to", "1"]));
    golden("change-rollback", &fixed(&back));
    assert_eq!(adapter.verdict(8443), Verdict::Deny);
    assert_eq!(adapter.model.snapshot().rules, before);
    golden("change-audit", &fixed(&adapter.done(&["audit"])));
    let ran = adapter.nicfw(&with_why(&["rollback", "--to", "77"]));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no change"), "{}", ran.stderr);
}

#[test]
fn whoever_waits_for_a_confirmation_gets_it_or_takes_the_change_back() {
    let adapter = adopted();
    let apply = |time: &str| {
        let mut program = adapter.program(&with_why(&["apply", SHOP_8443, "--confirm-within", time, "--json"]));
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let bell = adapter.journal().with_extension("journal.confirm");
    let ended = |child: Child| {
        let ran = Ran::from(child.wait_with_output().unwrap());
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
        (ran.code, report["confirmation"].clone())
    };
    let mut child = apply("1h");
    until(&mut child, || bell.exists());
    assert_eq!(adapter.verdict(8443), Verdict::Allow);
    // Whoever comes meanwhile is told who has the adapter, and until when.
    let others: [&[&str]; 5] = [
        &["audit"],
        &["apply", SHOP, "--reason", "another"],
        &["reserve", "job-7", "10.30.1.77", "--reason", "it comes"],
        &["detach", "--leave", "rules", "--reason", "leave"],
        &["audit", "--expect", "00"],
    ];
    for other in others {
        let ran = adapter.nicfw(other);
        let start =
            format!("vfio-user:/run/nic.sock: process {} has the adapter: nicfw apply waits until 20", child.id());
        assert_eq!(ran.code, 1, "{other:?}");
        assert!(ran.stderr.starts_with(&start), "{other:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("for nicfw confirm of change "), "{}", ran.stderr);
    }
    let confirmed = adapter.json(&["confirm"]);
    assert!(confirmed["change"].as_u64().is_some());
    assert_eq!(ended(child), (0, "confirmed".into()));
    assert!(!bell.exists());
    let ran = adapter.nicfw(&["confirm"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "vfio-user:/run/nic.sock: no change waits for confirmation\n"));

    adapter.done(&with_why(&["rollback", "--to", "1"]));
    assert_eq!(ended(apply("1s")), (2, "rolled-back".into()));
    assert_eq!(adapter.verdict(8443), Verdict::Deny);

    // The one who waits is killed: the next process confirms, or rolls back.
    let mut child = apply("1h");
    until(&mut child, || bell.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = adapter.nicfw(&with_why(&["apply", SHOP]));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("waits for confirmation until"), "{}", ran.stderr);
    adapter.json(&["confirm"]);
    assert_eq!(adapter.verdict(8443), Verdict::Allow);
    let verified = nicfw(&["journal", adapter.journal().to_str().unwrap(), "verify"]);
    assert_eq!((verified.code, verified.stderr.as_str()), (0, ""), "{}", verified.stdout);
}

/// A program that looks again and again has the adapter, without a deadline: whoever comes beside it is told so, and is the
/// next when it is stopped.
#[test]
fn whoever_comes_beside_an_audit_that_goes_on_is_told_who_has_the_adapter() {
    let adapter = adopted();
    let rules = adapter.model.snapshot().rules;
    let note = adapter.journal().with_extension("journal.busy");
    let mut program = adapter.program(&["audit", "--every", "1h"]);
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut child, || std::fs::read_to_string(&note).is_ok_and(|text| text.contains("looks every 1h until")));
    let said = format!(
        "vfio-user:/run/nic.sock: process {} has the adapter: nicfw audit looks every 1h until it is stopped or something is \
         found; nothing was done\n",
        child.id()
    );
    let others: [&[&str]; 10] = [
        &["audit"],
        &["audit", "--every", "1h"],
        &["audit", "--expect", "00"],
        &["apply", SHOP_8443, "--reason", "another"],
        &["reserve", "job-7", "10.30.1.77", "--reason", "it comes"],
        &["release", "shop-1", "--reason", "it is gone"],
        &["rollback", "--to", "1", "--reason", "back"],
        &["confirm"],
        &["detach", "--leave", "empty", "--reason", "leave"],
        &["info"],
    ];
    for other in others {
        let ran = adapter.nicfw(other);
        assert_eq!((ran.code, ran.stderr.as_str()), (1, said.as_str()), "{other:?}");
    }
    assert!(child.try_wait().unwrap().is_none() && adapter.model.snapshot().rules == rules);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(adapter.json(&["audit"])["same"], true);
}

#[test]
fn a_container_is_closed_before_it_starts_and_after_it_is_gone() {
    let adapter = adopted();
    let before = adapter.model.snapshot().rules.len();
    let mut said = adapter.done(&with_why(&["reserve", "job-7", "10.30.1.77", "--mac", "02:00:0a:1e:01:77"]));
    assert_eq!(adapter.model.snapshot().rules.len(), before + 2);
    let ran = adapter.nicfw(&with_why(&["reserve", "job-8", "10.30.1.77"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "vfio-user:/run/nic.sock: 10.30.1.77 is reserved for job-7\n"));
    said += &adapter.done(&with_why(&["release", "job-7"]));
    assert_eq!(adapter.model.snapshot().rules.len(), before);
    let ran = adapter.nicfw(&with_why(&["release", "shop-1"]));
    assert_eq!(ran.code, 1);
    golden("change-reserve", &(fixed(&said) + &ran.stderr));
}

/// An address and a MAC go from db-1 to db-2 and back, and then no policy has them.
#[test]
fn what_a_policy_takes_from_a_container_is_said_and_whose_release_ends_what() {
    let adapter = adopted();
    let shop = std::fs::read_to_string(common::root().join(SHOP)).unwrap();
    let file = |name: &str, text: String| {
        let path = adapter.journal().with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let other = file("other.yaml", shop.replace("container: db-1", "container: db-2"));
    let nobody = file(
        "nobody.yaml",
        shop.lines().filter(|line| !line.contains("container: db-1")).collect::<Vec<_>>().join("\n"),
    );
    let both = "10.30.1.18, 02:00:0a:1e:01:12";
    let said = adapter.done(&with_why(&["apply", &other]));
    // The policy's entries of db-2 hold them.
    let line = format!("\nReserved for db-1 until nicfw release: {both} (0 entries of the rule table).\n");
    assert!(said.contains(&line), "{said}");
    let bound = |address: &str| json!({"address": address, "bound": "db-2", "reserved": []});
    let report = adapter.json(&with_why(&["release", "db-1"]));
    assert_eq!(report["still_held"], json!([bound("10.30.1.18"), bound("02:00:0a:1e:01:12")]));
    assert_eq!(report["reserves"], json!([]));

    let said = adapter.done(&with_why(&["apply", SHOP]));
    assert!(said.contains(&format!("\nReserved for db-2 until nicfw release: {both} (0 entries")), "{said}");
    let said = adapter.done(&with_why(&["release", "db-2"]));
    let held =
        "10.30.1.18 is bound to db-1: its policy decides; 02:00:0a:1e:01:12 is bound to db-1: its policy decides (";
    assert!(said.contains(&format!("the reservations of db-2 have ended; {held}")), "{said}");

    adapter.done(&with_why(&["apply", &other]));
    let report = adapter.json(&with_why(&["apply", &nobody]));
    let addresses = ["10.30.1.18", "02:00:0a:1e:01:12"];
    assert_eq!(report["reserves"], json!([{"container": "db-2", "addresses": addresses, "entries": 2}]));
    let said = adapter.done(&with_why(&["release", "db-2"]));
    let held = "10.30.1.18 stays closed, reserved for db-1; 02:00:0a:1e:01:12 stays closed, reserved for db-1 (";
    assert!(said.contains(&format!("the reservations of db-2 have ended; {held}")), "{said}");
    let before = adapter.model.snapshot().rules.len();
    let report = adapter.json(&with_why(&["release", "db-1"]));
    assert_eq!((&report["still_held"], adapter.model.snapshot().rules.len()), (&json!([]), before - 2));
}

#[test]
fn a_foreign_write_is_found_with_the_gap_in_the_journal_and_repaired() {
    let adapter = adopted();
    let rules = adapter.model.snapshot().rules;
    let Ok(locator) = adapter.device().parse::<Locator>();
    let clock = Arc::new(SystemClock::new());
    let mut other = Adapter::from_device(locator.open().unwrap(), clock, Default::default()).unwrap();
    let gone =
        TableOp::SetRule { key: *rules.keys().next().unwrap(), rx: Action::None, tx: Action::None, counter: None };
    other.execute(&gone).unwrap();
    drop(other);
    let ran = adapter.nicfw(&["audit"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (4, ""));
    golden("change-drift", &fixed(&ran.stdout));
    let ran = adapter.nicfw(&with_why(&["apply", SHOP_8443]));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let repaired = adapter.json(&["audit", "--repair", "--reason", "INC-9"]);
    assert_eq!(repaired["repaired"], true);
    assert_eq!((adapter.model.snapshot().rules, adapter.model.overridden()), (rules, Override::None));
    assert_eq!(adapter.json(&["audit"])["same"], true);
}

#[test]
fn an_adapter_that_somebody_left_blocked_is_not_taken_for_a_working_one() {
    let adapter = adopted();
    adapter.done(&["detach", "--leave", "blocked", "--reason", "INC-7"]);
    let ran = adapter.nicfw(&with_why(&["apply", SHOP_8443]));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("blocked, so that it drops all traffic"), "{}", ran.stderr);
    assert_eq!(adapter.verdict(443), Verdict::Deny);
    let ran = adapter.nicfw(&with_why(&["apply", SHOP_8443, "--adopt"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(adapter.verdict(443), Verdict::Allow);
}

#[test]
fn a_second_writer_and_a_foreign_journal_are_refused() {
    let adapter = adopted();
    let held = FileStore::open(adapter.journal()).unwrap();
    let ran = adapter.nicfw(&["audit"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains(&format!("(process {})", std::process::id())), "{}", ran.stderr);
    drop(held);
    let other = Served::new();
    std::fs::copy(adapter.journal(), other.journal()).unwrap();
    let ran = other.nicfw(&with_why(&["apply", SHOP]));
    assert_eq!(ran.code, 4, "the adapter does not hold what the journal says: {}", ran.stderr);
    std::fs::write(other.journal(), b"not a journal at all, but long enough to be one").unwrap();
    let ran = other.nicfw(&with_why(&["apply", SHOP, "--adopt"]));
    let held = (other.model.snapshot().rules.len(), other.model.overridden());
    assert_eq!((ran.code, held), (1, (0, Override::None)), "{}", ran.stderr);
}

#[test]
fn a_program_killed_in_a_change_leaves_the_old_policy_to_the_next() {
    let adapter = adopted();
    let rules = adapter.model.snapshot().rules;
    let hang = FaultKind::Hang { effect: true };
    adapter.model.inject(Fault { cmd: Some(Cmd::SET_SECURITY_RULE), after: 0, kind: hang });
    let mut program = adapter.program(&with_why(&["apply", SHOP_8443]));
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut child, || adapter.model.faults_waiting() == 0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(adapter.model.snapshot().rules, rules, "a command of the change took effect");
    let ran = adapter.nicfw(&["audit"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stdout.contains("PUT RIGHT") && !ran.stdout.contains("DRIFT"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("--repair"), "{}", ran.stdout);
    assert!(ran.stdout.contains("had not ended: what was there before it is back"), "{}", ran.stdout);
    assert_eq!(adapter.model.snapshot().rules, rules);
    assert_eq!(adapter.json(&["audit"])["same"], true);
}

/// What stands in the policies' files, by hand: the shop's has 22 entries, and one more where 8443 is open too.
#[test]
fn what_is_said_after_a_change_was_taken_back_is_about_the_policy_in_force() {
    let adapter = adopted();
    let before = adapter.json(&with_why(&["apply", SHOP]));
    let ran = adapter.nicfw(&with_why(&["apply", SHOP_8443, "--confirm-within", "1s", "--json"]));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["confirmation"], &report["in_force"]), (&"rolled-back".into(), &SHOP.into()));
    for what in ["entries", "usage", "counters", "counters_missing"] {
        assert_eq!(report[what], before[what], "{what}");
    }
}

#[test]
fn an_audit_says_what_it_has_put_right_and_only_once() {
    let adapter = adopted();
    let bell = adapter.journal().with_extension("journal.confirm");
    let mut program = adapter.program(&with_why(&["apply", SHOP_8443, "--confirm-within", "2s"]));
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut child, || bell.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let ran = loop {
        let ran = adapter.nicfw(&["audit"]);
        if ran.code != 0 || Instant::now() > deadline {
            break ran;
        }
        assert!(ran.stdout.contains("waits for confirmation until"), "{}", ran.stdout);
    };
    assert_eq!((ran.code, ran.stderr.as_str()), (5, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("PUT RIGHT"), "{}", ran.stdout);
    assert!(ran.stdout.contains("was not confirmed in time: it is rolled back"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("DRIFT") && !ran.stdout.contains("--repair"), "{}", ran.stdout);
    assert_eq!(adapter.verdict(8443), Verdict::Deny);
    assert_eq!(adapter.json(&["audit"])["same"], true);
}

/// As a process with a clock that was ahead would have left it.
fn a_record_of_2099(adapter: &Served) {
    let id = {
        let store = FileStore::read(adapter.journal()).unwrap();
        Journal::read(Box::new(store), None).unwrap().adapter().to_owned()
    };
    let store = FileStore::open(adapter.journal()).unwrap();
    let mut journal = Journal::open(Box::new(store), &id, None).unwrap();
    let version = journal.status().cache.clone();
    journal.append("2099-01-01T00:00:00Z".parse().unwrap(), Event::Committed { version }).unwrap();
}

#[test]
fn a_clock_that_had_been_ahead_locks_nobody_out() {
    let adapter = adopted();
    a_record_of_2099(&adapter);
    let open = with_why(&["apply", SHOP_8443]);
    let ran = adapter.nicfw(&open);
    assert_eq!((ran.code, adapter.verdict(8443)), (1, Verdict::Deny));
    let named = ["2099-01-01T00:00:00.000Z", "nicfw journal FILE clock --reason"];
    assert!(named.iter().all(|word| ran.stderr.contains(word)), "{}", ran.stderr);
    // Closing is accepted.
    adapter.done(&with_why(&["reserve", "job-7", "10.30.1.77"]));
    assert_eq!(adapter.nicfw(&with_why(&["release", "job-7"])).code, 1);
    let journal = adapter.journal();
    let clock = ["journal", journal.to_str().unwrap(), "clock", "--reason", "RTC before NTP", "--json"];
    let ran = nicfw(&clock);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["was"], "2099-01-01T00:00:00.000Z");
    adapter.done(&open);
    adapter.done(&with_why(&["release", "job-7"]));
    let again = nicfw(&clock);
    assert_eq!(again.code, 1, "it is not behind any more: {}", again.stdout);
    let verified = nicfw(&["journal", journal.to_str().unwrap(), "verify"]);
    assert_eq!((verified.code, verified.stderr.as_str()), (0, ""), "{}", verified.stdout);
}

#[test]
fn a_journal_that_was_cut_off_is_found() {
    let adapter = adopted();
    adapter.done(&with_why(&["apply", SHOP_8443]));
    let path = adapter.journal();
    let verify = || nicfw(&["journal", path.to_str().unwrap(), "verify"]);
    let whole = verify();
    assert!(whole.code == 0 && whole.stdout.contains("whole up to record "), "{}", whole.stdout);
    let (bytes, length) = (std::fs::read(&path).unwrap(), {
        let store = FileStore::read(&path).unwrap();
        let mut journal = Journal::read(Box::new(store), None).unwrap();
        let last = journal.record(journal.head().number).unwrap();
        assert!(last.number > 1);
        journal.size()
    });
    std::fs::write(&path, &bytes[..usize::try_from(length).unwrap() - 1]).unwrap();
    let ran = verify();
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    assert!(ran.stderr.contains("its end was cut off") && ran.stderr.contains("remove FILE.head"), "{}", ran.stderr);
    let ran = adapter.nicfw(&["audit"]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    // Where nothing beside it tells, that is said.
    std::fs::remove_file(path.with_extension("journal.head")).unwrap();
    let ran = verify();
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("whether records are missing at its end, nothing tells"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_a_containers_is_refused_and_what_a_policy_opens_is_said() {
    let adapter = adopted();
    let before = adapter.model.snapshot().rules;
    for bad in ["239.1.1.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "::ffff:10.30.1.9", "ff02::1"] {
        let ran = adapter.nicfw(&with_why(&["reserve", "job-7", bad]));
        assert_eq!(ran.code, 1, "{bad}");
        assert!(ran.stderr.contains(": no container can have it"), "{bad}: {}", ran.stderr);
    }
    assert_eq!(adapter.model.snapshot().rules, before);
    let said = adapter.done(&with_why(&["reserve", "shop-1", "10.30.1.17", "10.30.1.78"]));
    assert!(said.contains("10.30.1.17 is open as the policy in force says"), "{said}");
    assert!(!said.contains("may start"), "{said}");
    let shown = nicfw(&["journal", adapter.journal().to_str().unwrap(), "show"]).stdout;
    assert!(shown.contains("reserved: shop-1: 10.30.1.78\n"), "{shown}");
}

#[test]
fn errors_of_the_journal_carry_the_systems_reason() {
    let adapter = adopted();
    let mut program = adapter.program(&["audit"]);
    program.env("NICFW_JOURNAL", "/no/such/directory/j");
    let ran = Ran::from(program.output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("No such file or directory (os error 2)"), "{}", ran.stderr);
}

/// Nobody in particular may look, too: with a journal that it cannot write.
#[test]
fn an_audit_needs_not_write() {
    let adapter = adopted();
    let path = adapter.journal();
    let dir = path.parent().unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let socket = dir.join("nic.sock");
    for (path, bits) in [(dir, 0o555), (&path, 0o444), (&path.with_extension("journal.lock"), 0o444), (&socket, 0o777)]
    {
        mode(path, bits);
    }
    let bytes = std::fs::read(&path).unwrap();
    let look = || {
        let mut program = adapter.program(&["audit", "--json"]);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut program, 65534);
        }
        let ran = Ran::from(program.output().unwrap());
        (ran.code, serde_json::from_str::<Value>(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr)))
    };
    let (code, report) = look();
    assert_eq!((code, &report["same"]), (0, &true.into()), "{report}");
    assert!(report["notes"].to_string().contains("cannot be written"), "{report}");
    let rules = adapter.model.snapshot().rules;
    let Ok(locator) = adapter.device().parse::<Locator>();
    let mut other =
        Adapter::from_device(locator.open().unwrap(), Arc::new(SystemClock::new()), Default::default()).unwrap();
    let gone =
        TableOp::SetRule { key: *rules.keys().next().unwrap(), rx: Action::None, tx: Action::None, counter: None };
    other.execute(&gone).unwrap();
    drop(other);
    assert_eq!(look().0, 4);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    mode(dir, 0o755);
}
