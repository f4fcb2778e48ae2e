//! Verdicts of the model against DPDK's rte_acl (AVX2, batches of 32) on the same rules and the same flows, more than a million
//! different ones; one core, interleaved passes over all flows, medians with the range of the middle half.
//!
//! ```text
//! apt-get install gcc pkg-config libdpdk-dev python3
//! cargo bench --bench verdicts
//! ```
//!
//! Both sides get headers that are parsed already; ours are MACs, VLANs and ether type beside the five fields of rte_acl, and
//! each verdict moves a counter. Both name the rule that decides.

#[path = "measure.rs"]
mod measure;
#[path = "sets.rs"]
mod sets;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::nic::AttachOptions;
use nicfw::policy::{CompileError, Compiled, Document};
use nicfw::{Adapter, Direction, MacAddr, Verdict};
use nicfw_model::engine::{Decided, Decision};
use nicfw_model::packet::Headers;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

use rustix::thread::{CpuSet, sched_setaffinity};

use measure::{Spread, thread_time};
use sets::{Filter, Shape};

const FLOWS: usize = 1 << 20;
const BATCH: usize = 32;
/// Passes of each side.
const PASSES: usize = 15;
/// Where both sides run.
const CORE: usize = 1;

const SETS: [Shape; 4] = [
    Shape { rules: 200, containers: 8, services: 400 },
    Shape { rules: 1000, containers: 40, services: 100 },
    Shape { rules: 5000, containers: 200, services: 100 },
    Shape { rules: 7000, containers: 280, services: 80 },
];

fn main() {
    let mut core = CpuSet::new();
    core.set(CORE);
    sched_setaffinity(None, &core).expect("the machine has two cores");
    let program = build();
    for shape in SETS {
        policy_set(&program, shape);
    }
}

/// Compiles the other side.
fn build() -> PathBuf {
    let needs = "apt-get install gcc pkg-config libdpdk-dev";
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "libdpdk"]).output();
    let flags = flags.unwrap_or_else(|error| panic!("pkg-config: {error}: {needs}"));
    assert!(flags.status.success(), "libdpdk is not installed: {needs}");
    let program = sets::directory().join("rte_acl");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/rte_acl.c");
    let mut command = Command::new("cc");
    command.args(["-O2", "-march=native"]).arg(source).args(String::from_utf8_lossy(&flags.stdout).split_whitespace());
    let status = command.arg("-o").arg(&program).status().unwrap_or_else(|error| panic!("cc: {error}: {needs}"));
    assert!(status.success(), "rte_acl.c does not compile against the installed DPDK");
    program
}

/// The other side, with its filters and flows loaded.
struct RteAcl {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl RteAcl {
    fn start(program: &Path, rules: &Path, flows: &[Flow]) -> Self {
        let keys = rules.with_extension("keys");
        let bytes: Vec<u8> = flows.iter().flat_map(Flow::key).collect();
        std::fs::write(&keys, bytes).expect("the target directory can be written");
        let core = CORE.to_string();
        let options = ["-l", &core, "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "1024"];
        let mut command = Command::new(program);
        command.args(options).args(["--log-level=lib.eal:4", "--"]).args([rules, &keys]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was built");
        let (ask, answer) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        Self { child, ask, answer: BufReader::new(answer) }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.ask, "{command}").expect("rte_acl takes commands");
        loop {
            let mut line = String::new();
            let read = self.answer.read_line(&mut line).expect("rte_acl answers");
            assert!(read > 0, "rte_acl has ended; see its message above");
            // The EAL writes to standard output too.
            if line.trim() == "done" || line.trim().parse::<f64>().is_ok() {
                return line.trim().to_owned();
            }
        }
    }

    /// Nanoseconds a packet of one pass.
    fn pass(&mut self) -> f64 {
        self.ask("run").parse::<f64>().expect("it is a number") / FLOWS as f64
    }

    /// By flow, the filter that matches, from 0.
    fn results(&mut self) -> Vec<Option<usize>> {
        let file = sets::directory().join("results");
        self.ask(&format!("results {}", file.display()));
        let bytes = std::fs::read(file).expect("rte_acl has written it");
        let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")));
        words.map(|filter| (filter as usize).checked_sub(1)).collect()
    }
}

impl Drop for RteAcl {
    fn drop(&mut self) {
        // Its input has not ended yet, so it still waits.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One received packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    remote: Ipv4Addr,
    local: Ipv4Addr,
    remote_port: u16,
    local_port: u16,
    proto: u8,
}

impl Flow {
    /// As rte_acl reads it.
    fn key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key[0] = self.proto;
        key[4..8].copy_from_slice(&self.remote.octets());
        key[8..12].copy_from_slice(&self.local.octets());
        key[12..14].copy_from_slice(&self.remote_port.to_be_bytes());
        key[14..].copy_from_slice(&self.local_port.to_be_bytes());
        key
    }

    /// The frame, up to its ports.
    fn frame(&self) -> [u8; 60] {
        let mut frame = [0; 60];
        frame[..6].copy_from_slice(&sets::mac(self.local).0);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        frame[12..26].copy_from_slice(&[8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, self.proto, 0, 0]);
        frame[26..30].copy_from_slice(&self.remote.octets());
        frame[30..34].copy_from_slice(&self.local.octets());
        frame[34..36].copy_from_slice(&self.remote_port.to_be_bytes());
        frame[36..38].copy_from_slice(&self.local_port.to_be_bytes());
        frame
    }
}

/// Numbers of splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is smaller than a usize")
    }

    fn port(&mut self, (low, high): (u16, u16)) -> u16 {
        low + u16::try_from(self.below(usize::from(high - low) + 1)).expect("it is at most the difference")
    }
}

/// Different flows: nine of ten inside a filter, the others from anywhere to anywhere.
fn flows(filters: &[Filter]) -> Vec<Flow> {
    let mut random = Random(1);
    let (mut flows, mut seen) = (Vec::with_capacity(FLOWS), HashSet::new());
    while flows.len() < FLOWS {
        let bits = |random: &mut Random| u32::try_from(random.next() >> 32).expect("32 bits are left");
        let all = (0, u16::MAX);
        let flow = if random.below(10) == 0 {
            let proto = [6, 17][random.below(2)];
            let (remote, local) = (bits(&mut random).into(), bits(&mut random).into());
            Flow { remote, local, remote_port: random.port(all), local_port: random.port(all), proto }
        } else {
            let Filter { remote: (net, len), local, local_ports, proto } = filters[random.below(filters.len())];
            let host = bits(&mut random) & u32::MAX.checked_shr(len.into()).unwrap_or(0);
            let remote = Ipv4Addr::from_bits(net.to_bits() | host);
            Flow { remote, local, remote_port: random.port(all), local_port: random.port(local_ports), proto }
        };
        if seen.insert(flow) {
            flows.push(flow);
        }
    }
    flows
}

/// An adapter that holds a document, which came there by commands; or why it does not fit.
fn loaded(document: &Document) -> Result<(Model, Compiled), CompileError> {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(VirtualClock::new());
    let adapter = Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default());
    let adapter = adapter.expect("the model is an adapter that nicfw drives");
    let compiled = Compiled::new(document, adapter.target(), None)?;
    drop(Firewall::attach(adapter, Adopt(&compiled), clock, Settings::default()).expect("it loads"));
    Ok((model, compiled))
}

fn policy_set(program: &Path, shape: Shape) {
    let prefix = shape.generate();
    let filters = sets::filters(&prefix);
    let (model, compiled) = match loaded(&sets::document(&filters)) {
        Ok(loaded) => loaded,
        Err(error) => return println!("{shape:?}: does not fit: {error}"),
    };
    println!("{shape:?}: {} entries", compiled.image().rules.len());
    compare(program, &prefix.with_extension("rules"), &model, &flows(&filters), |filter| filter.is_some());
}

/// Times both sides in turn. `allows` reads rte_acl's result.
fn compare(program: &Path, rules: &Path, model: &Model, flows: &[Flow], allows: impl Fn(Option<usize>) -> bool) {
    let mut other = RteAcl::start(program, rules, flows);
    let frames: Vec<[u8; 60]> = flows.iter().map(Flow::frame).collect();
    let headers: Vec<Headers> =
        frames.iter().map(|frame| nicfw_model::packet::parse(frame).expect("60 bytes")).collect();
    let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; flows.len()];
    let mut judge = || {
        thread_time(|| {
            for (headers, decisions) in headers.chunks(BATCH).zip(decisions.chunks_mut(BATCH)) {
                model.judge_all(headers, Direction::Rx, 0, decisions);
            }
        })
    };
    let nanoseconds = |seconds: f64| 1e9 * seconds / FLOWS as f64;
    // The first pass of each side is for the caches.
    judge();
    other.pass();
    let passes: Vec<(f64, f64)> = (0..PASSES).map(|_| (nanoseconds(judge()), other.pass())).collect();
    let results = other.results();
    let wrong =
        decisions.iter().zip(&results).filter(|(ours, theirs)| (ours.verdict == Verdict::Allow) != allows(**theirs));
    println!(
        "  {} flows, {} of them denied, {} mismatches",
        flows.len(),
        decisions.iter().filter(|d| d.verdict == Verdict::Deny).count(),
        wrong.count()
    );
    println!("  ns a verdict: model {}", Spread::of(passes.iter().map(|pass| pass.0)));
    println!("  ns a verdict: rte_acl {}", Spread::of(passes.iter().map(|pass| pass.1)));
    println!("  rte_acl / model: {}", Spread::of(passes.iter().map(|(ours, theirs)| theirs / ours)));
}
