//! What the way through C costs: explain by libnicfw's functions against the same by the Rust library, on one policy, in
//! turns in one run. `cargo bench -p nicfw-ffi`
#![expect(unsafe_code, reason = "calls the C functions as a C program would")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt::Write;
use std::hint::black_box;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use nicfw::policy::{Document, FlowText};
use nicfw::tables::Compiled;
use nicfw::{Target, Verdict};
use nicfw_capi::compiled::{nicfw_compiled_explain, nicfw_compiled_free, nicfw_policy_compile};
use nicfw_capi::list::{nicfw_list_free, nicfw_list_number, nicfw_list_text};
use nicfw_capi::nicfw_field::{NICFW_FIELD_TEXT, NICFW_FIELD_VERDICT};
use nicfw_capi::policy::{nicfw_policy_free, nicfw_policy_parse};
use nicfw_capi::{nicfw_compiled, nicfw_verdict};

/// Turns of each side.
const ROUNDS: usize = 41;
/// Time of one turn.
const TURN: Duration = Duration::from_millis(20);

/// A policy with as many containers, each with the same rules.
fn policy(containers: u8) -> String {
    let mut text = "nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n\
        \x20   - {allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/16, reason: shop front, ticket: CHG-1}\n\
        \x20   - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53, reason: DNS}\nbindings:\n"
        .to_owned();
    for n in 1..=containers {
        writeln!(
            text,
            "  - {{container: shop-{n}, ip: 10.30.1.{n}, mac: \"02:00:0a:1e:01:{n:02x}\", attach: sriov, policy: web}}"
        )
        .unwrap();
    }
    text
}

fn by_rust(compiled: &Compiled, flow: &str, text: &mut String) -> bool {
    let flow: FlowText = flow.parse().unwrap();
    let found = flow.judgements(compiled.document()).unwrap();
    let explained: Vec<_> = found.iter().map(|flow| compiled.explain(flow)).collect();
    text.clear();
    text.push_str(&explained[0].text);
    explained[0].verdict() == Verdict::Allow
}

fn ok(code: c_int) {
    assert_eq!(code, 0);
}

fn by_c(compiled: *const nicfw_compiled, flow: &CStr, text: &mut [c_char]) -> bool {
    let (mut list, mut verdict) = (null_mut(), 0);
    // SAFETY: the flow ends with NUL, and `list` has room for a handle.
    ok(unsafe { nicfw_compiled_explain(compiled, flow.as_ptr(), &raw mut list, null_mut()) });
    // SAFETY: `verdict` has room for a number.
    ok(unsafe { nicfw_list_number(list, 0, NICFW_FIELD_VERDICT as c_int, &raw mut verdict, null_mut()) });
    // SAFETY: `text` is as long as it says.
    ok(unsafe {
        nicfw_list_text(list, 0, NICFW_FIELD_TEXT as c_int, text.as_mut_ptr(), text.len(), null_mut(), null_mut())
    });
    // SAFETY: no pointer to memory is passed.
    ok(unsafe { nicfw_list_free(list, null_mut()) });
    verdict == nicfw_verdict::NICFW_ALLOW as u64
}

/// Nanoseconds of one call, over a turn.
fn turn(mut call: impl FnMut() -> bool) -> f64 {
    let begin = Instant::now();
    let mut calls = 0_u32;
    while begin.elapsed() < TURN {
        for _ in 0..16 {
            assert!(black_box(call()));
        }
        calls += 16;
    }
    begin.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values.len() / 4, values.len() / 2, values.len() * 3 / 4].map(|at| values[at])
}

fn main() {
    println!("explain through C against Rust: median of {ROUNDS} ratios (quartiles), calls in turns");
    for containers in [1, 10, 100] {
        let text = policy(containers);
        let document = Document::parse(&text, "bench.yaml").unwrap();
        let rust = Compiled::new(&document, &Target::profile0(), None).unwrap();
        let (c_text, name) = (CString::new(text).unwrap(), c"bench.yaml");
        let (mut parsed, mut made) = (null_mut(), null_mut());
        // SAFETY: the texts end with NUL, and `parsed` has room for a handle.
        ok(unsafe { nicfw_policy_parse(c_text.as_ptr(), name.as_ptr(), &raw mut parsed, null_mut()) });
        // SAFETY: `made` has room for a handle.
        ok(unsafe { nicfw_policy_compile(parsed, null(), null(), &raw mut made, null_mut()) });
        let flow = "tcp 10.20.3.4:51000 > 10.30.1.1:443";
        let (c_flow, mut c_out, mut out) = (CString::new(flow).unwrap(), [0; 256], String::new());
        let mut rounds = Vec::new();
        let mut alone = Vec::new();
        for _ in 0..ROUNDS {
            let before = turn(|| by_rust(&rust, flow, &mut out));
            rounds.push(turn(|| by_c(made, &c_flow, &mut c_out)) / before);
            alone.push(before);
        }
        let [low, median, high] = quartiles(rounds);
        let [_, nanos, _] = quartiles(alone);
        println!("{containers:4} containers: {median:.3} ({low:.3} to {high:.3}); Rust alone {nanos:.0} ns a call");
        // SAFETY: no pointer to memory is passed.
        ok(unsafe { nicfw_compiled_free(made, null_mut()) });
        // SAFETY: no pointer to memory is passed.
        ok(unsafe { nicfw_policy_free(parsed, null_mut()) });
    }
}
