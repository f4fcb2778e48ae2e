//! The demo: on real namespaces where the machine allows them, in memory, with a wrong expectation, and forbidden.

mod common;

use common::{golden, nicfw, program, root};
use std::process::Command;
use std::time::{Duration, Instant};

/// How the program says, word for word, that the machine forbids what the demo needs: what comes before and after the
/// kernel's reason.
const FORBIDDEN: [(&str, &str); 3] = [
    (
        "demo: user namespaces are forbidden here (",
        "); allow them with `sysctl user.max_user_namespaces=10000` and, where it exists, \
         `sysctl kernel.unprivileged_userns_clone=1` or `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; \
         or run `nicfw demo --in-process`, which makes the frames in memory\n",
    ),
    (
        "demo: network namespaces are forbidden here (",
        "); allow them with `sysctl user.max_net_namespaces=10000`; \
         or run `nicfw demo --in-process`, which makes the frames in memory\n",
    ),
    (
        "demo: TUN is forbidden here (",
        "); allow it with `modprobe tun` and `chmod 666 /dev/net/tun`, or give the container that this runs in the device \
         /dev/net/tun; or run `nicfw demo --in-process`, which makes the frames in memory\n",
    ),
];

fn is_forbidden(stderr: &str, (before, after): (&str, &str)) -> bool {
    let reason = stderr.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    reason.is_some_and(|reason| reason.contains("(os error ") && !reason.contains('\n'))
}

#[test]
fn real_traffic_is_judged_as_the_policy_says() {
    let began = Instant::now();
    let ran = nicfw(&["demo"]);
    if ran.code == 1 {
        let known = FORBIDDEN.iter().any(|texts| is_forbidden(&ran.stderr, *texts));
        assert!(known, "the demo neither ran nor said what forbids it: {}", ran.stderr);
        panic!("no traffic was judged, because this machine forbids it: {}", ran.stderr);
    }
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(began.elapsed() < Duration::from_secs(30), "took {:?}", began.elapsed());
    assert!(ran.stdout.lines().next().is_some_and(|first| first.contains("EMULATED")), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nPASS: ") && !ran.stdout.contains("WRONG"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nNOT SHOWN: a real adapter"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 120), "{}", ran.stdout);
}

#[test]
fn the_same_flows_pass_in_memory() {
    let ran = nicfw(&["demo", "--in-process"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("IN PROCESS"));
    golden("demo-in-process", &ran.stdout);
}

#[test]
fn an_adapter_behind_a_socket_does_the_same() {
    let ran = nicfw(&["demo", "--in-process", "--over-socket"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    golden("demo-in-process", &ran.stdout);
}

#[test]
fn every_wrong_expectation_makes_it_exit_2() {
    let flows = json(&["demo", "--in-process", "--json"], 0)["flows"].as_array().unwrap().len();
    assert!(flows >= 20, "{flows} flows");
    for number in 1..=flows {
        let report = json(&["demo", "--in-process", "--json", "--contradict", &number.to_string()], 2);
        assert_eq!(report["pass"], false);
        let wrong = report["flows"].as_array().unwrap().iter().filter(|flow| flow["wrong"] != serde_json::json!([]));
        assert_eq!(wrong.map(|flow| flow["number"].as_u64().unwrap()).collect::<Vec<_>>(), [number as u64]);
    }
    let ran = nicfw(&["demo", "--in-process", "--contradict", "1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("FAIL: #1 not as expected") && ran.stdout.contains("WRONG: expected deny"));
}

#[test]
fn what_the_machine_forbids_is_said() {
    let limits = [
        "echo 0 > /proc/sys/user/max_user_namespaces",
        "echo 0 > /proc/sys/user/max_net_namespaces",
        "mount -t tmpfs none /dev/net",
    ];
    for (limit, texts) in limits.into_iter().zip(FORBIDDEN) {
        let shell = format!("{limit} && exec {} demo", env!("CARGO_BIN_EXE_nicfw"));
        let ran = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &shell])
            .current_dir(root())
            .output();
        let ran = common::Ran::from(ran.expect("util-linux is installed"));
        assert!(
            !ran.stderr.starts_with("unshare:"),
            "no limit can be set where the machine forbids namespaces: {}",
            ran.stderr
        );
        assert_eq!(ran.code, 1, "{limit}: {}", ran.stderr);
        assert!(is_forbidden(&ran.stderr, texts), "{limit}: {}", ran.stderr);
    }
}

fn json(arguments: &[&str], code: i32) -> serde_json::Value {
    let ran = common::Ran::from(program(arguments).output().unwrap());
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout))
}
