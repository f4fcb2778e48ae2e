//! The figures of docs/figures.md: ratios from interleaved runs in one sitting, medians with their spread. Nothing here fails on a slow
//! machine.
//!
//! ```text
//! cargo bench --bench figures
//! ```

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw::{Adapter, Direction, MacAddr, Target};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::bench::measure::time;
use nicfw_test_kit::bench::ratio::ratio;
use nicfw_test_kit::bench::spread::Spread;

/// How often each side of a comparison runs.
const RUNS: usize = 15;

fn main() {
    compile();
    judge();
}

/// A policy of `rules` rules with subnets, ports and ranges, used by `bindings` containers; every fifth is a deny.
fn document(bindings: usize, rules: usize, extra: &str) -> Document {
    let mut text = String::from("nicfw: 1\nunbound: allow\nmulticast: deny\npolicies:\n  web:\n");
    for rule in 0..rules {
        let action = if rule % 5 == 4 { "deny" } else { "allow" };
        let (net, port) = (rule % 200, 1000 + rule * 7);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "    - {{{action}: in, proto: tcp, remote: 10.{net}.0.0/16, local_ports: [{port}, {}-{}]}}",
            port + 2,
            port + 4
        );
    }
    text += extra;
    text += "bindings:\n";
    for binding in 0..bindings {
        let (high, low) = (binding / 250, binding % 250 + 1);
        let _ = writeln!(
            text,
            "  - {{container: c{binding}, ip: 172.16.{high}.{low}, mac: \"02:00:ac:10:{high:02x}:{low:02x}\", \
             attach: sriov, policy: web}}"
        );
    }
    Document::parse(&text, "bench.yaml").expect("the generated policy is sound")
}

/// A card's tables, but with room for any number of entries: only the compiler runs on it.
fn wide() -> Target {
    let mut target = Target::profile0();
    target.profile.rules = u32::MAX;
    target
}

fn compile() {
    let target = wide();
    let run = |document: &Document| time(|| drop(black_box(Compiled::new(document, &target, None).expect("it fits"))));
    let (few, many) = (document(100, 20, ""), document(1000, 20, ""));
    let entries = Compiled::new(&many, &target, None).expect("it fits").image().rules.len();
    let slope = ratio(RUNS, || run(&many), || run(&few));
    println!("compile, 1,000 bindings x 20 rules ({entries} entries) against 100 bindings: {slope} x");
    let (short, long) = (document(20, 20, ""), document(20, 160, ""));
    println!("compile, 160 rules against 20 rules, 20 bindings: {} x", ratio(RUNS, || run(&long), || run(&short)));
    println!("  in milliseconds: {:.1}, {:.1}, {:.1}", 1e3 * run(&many), 1e3 * run(&long), 1e3 * run(&short));
}

fn adapter() -> (Model, Adapter) {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(VirtualClock::new());
    let adapter = Adapter::from_device(Box::new(model.function(0)), clock, AttachOptions::default());
    (model, adapter.expect("the model is an adapter that nicfw drives"))
}

fn judge() {
    const FRAMES: usize = 20_000;
    let (model, adapter) = adapter();
    let compiled = Compiled::new(&document(250, 5, ""), adapter.target(), None).expect("it fits");
    let clock = Arc::new(VirtualClock::new());
    let _rules_stay = Firewall::adopt(adapter, Adopt::of(&compiled), clock, Settings::default()).expect("it loads");
    let frames: Vec<[u8; 60]> = (0..FRAMES).map(frame).collect();
    let run = || {
        time(|| {
            for frame in &frames {
                black_box(model.judge(frame, Direction::Rx, 0).expect("it is a frame"));
            }
        })
    };
    let entries = compiled.image().rules.len();
    let million = 1e6;
    let rates = Spread::of((0..RUNS).map(|_| FRAMES as f64 / run() / million));
    println!("model, {entries} entries: {rates} million verdicts a second on one core");
}

/// TCP to one of the containers, from one of many subnets to one of many ports.
fn frame(number: usize) -> [u8; 60] {
    let byte = |value: usize| u8::try_from(value % 256).unwrap_or(0);
    let (container, net) = (byte(number % 250 + 1), byte(number / 7));
    let port = 1000 + number % 100;
    let mut frame = [0; 60];
    frame[..14].copy_from_slice(&[2, 0, 0xac, 0x10, 0, container, 2, 0, 0, 0, 0, 9, 8, 0]);
    frame[14..34].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, net, 1, 1, 172, 16, 0, container]);
    frame[34..38].copy_from_slice(&[0xc8, 0, byte(port / 256), byte(port)]);
    frame
}
