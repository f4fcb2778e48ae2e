//! Verdicts of the model against DPDK's rte_acl (AVX2, batches of 32) on the same rules and the same flows, more than a million
//! different ones; one core, interleaved passes over all flows, medians with the range of the middle half.
//!
//! ```text
//! apt-get install gcc pkg-config libdpdk-dev python3
//! cargo bench --bench verdicts
//! ```
//!
//! Both sides get headers that are parsed already; ours are MACs, VLANs and ether type beside the five fields of rte_acl (70
//! bytes against 16), and each verdict moves a counter. Both name the rule that decides. It is measured in two ways:
//!
//! - *from the parser*: portions of frames whose headers were made just before, and so are in a cache, as in a replay of a
//!   capture. Making them is not in the time.
//! - *from memory*: headers of all frames, made long before: it shows what reading them costs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::{Document, import};
use nicfw::tables::{CompileError, Compiled};
use nicfw::{Adapter, Direction, MacAddr, Verdict};
use nicfw_model::engines::rules::{Decided, Decision};
use nicfw_model::packet::{Headers, parse};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::bench::generated::{self, Filter, Shape};
use nicfw_test_kit::bench::spread::Spread;
use nicfw_test_kit::dice::Dice;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

const FLOWS: usize = 1 << 20;
const BATCH: usize = 32;
/// Frames of which headers are made at a time.
const PORTION: usize = 1024;
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
    for name in ["acl1_1k", "fw1_1k", "ipc1_1k"] {
        classbench(&program, name);
    }
}

/// Compiles the other side.
fn build() -> PathBuf {
    let needs = "apt-get install gcc pkg-config libdpdk-dev";
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "libdpdk"]).output();
    let flags = flags.unwrap_or_else(|error| panic!("pkg-config: {error}: {needs}"));
    assert!(flags.status.success(), "libdpdk is not installed: {needs}");
    let program = generated::directory().join("rte_acl");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/rte_acl.c");
    let mut command = Command::new("cc");
    command.args(["-O2", "-march=native"]).arg(source).args(String::from_utf8_lossy(&flags.stdout).split_whitespace());
    let status = command.arg("-o").arg(&program).status().unwrap_or_else(|error| panic!("cc: {error}: {needs}"));
    assert!(status.success(), "rte_acl.c does not compile against the installed DPDK");
    program
}

/// Where headers come from.
#[derive(Clone, Copy)]
enum Way {
    FromParser,
    FromMemory,
}

/// The other side, with its filters and flows loaded.
struct RteAcl {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl RteAcl {
    fn start(program: &Path, rules: &Path, flows: &[Flow]) -> Self {
        let keys = generated::directory().join("keys");
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
    fn pass(&mut self, way: Way) -> f64 {
        let command = match way {
            Way::FromParser => format!("portions {PORTION}"),
            Way::FromMemory => "run".to_owned(),
        };
        self.ask(&command).parse::<f64>().expect("it is a number") / FLOWS as f64
    }

    /// By flow, the filter that matches, from 0.
    fn results(&mut self) -> Vec<Option<usize>> {
        let file = generated::directory().join("results");
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
        frame[..6].copy_from_slice(&generated::mac(self.local).0);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        frame[12..26].copy_from_slice(&[8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, self.proto, 0, 0]);
        frame[26..30].copy_from_slice(&self.remote.octets());
        frame[30..34].copy_from_slice(&self.local.octets());
        frame[34..36].copy_from_slice(&self.remote_port.to_be_bytes());
        frame[36..38].copy_from_slice(&self.local_port.to_be_bytes());
        frame
    }
}

/// An address of a prefix.
fn inside(dice: &mut Dice, (net, len): (Ipv4Addr, u8)) -> Ipv4Addr {
    let host = u32::MAX.checked_shr(len.into()).unwrap_or(0);
    Ipv4Addr::from_bits(net.to_bits() & !host | dice.bits() & host)
}

/// Any protocol with ports, and any ports; addresses are for the caller to choose.
fn tcp_or_udp(dice: &mut Dice) -> Flow {
    let proto = dice.pick(&[6, 17]);
    let mut port = || dice.between(0, u16::MAX);
    let none = Ipv4Addr::UNSPECIFIED;
    Flow { remote: none, local: none, remote_port: port(), local_port: port(), proto }
}

/// Different flows, until there are enough.
fn flows(mut next: impl FnMut(&mut Dice) -> Flow) -> Vec<Flow> {
    let mut dice = Dice::new(1);
    let (mut flows, mut seen) = (Vec::with_capacity(FLOWS), HashSet::new());
    while flows.len() < FLOWS {
        let flow = next(&mut dice);
        if seen.insert(flow) {
            flows.push(flow);
        }
    }
    flows
}

/// Nine of ten flows are inside a filter, the others from anywhere to anywhere.
fn of_policy_set(filters: &[Filter], dice: &mut Dice) -> Flow {
    if dice.below(10) == 0 {
        let (remote, local) = (dice.bits().into(), dice.bits().into());
        return Flow { remote, local, ..tcp_or_udp(dice) };
    }
    let Filter { remote, local, local_ports, proto } = filters[dice.below(filters.len())];
    let (remote, local_port) = (inside(dice, remote), dice.between(local_ports.0, local_ports.1));
    Flow { remote, local, local_port, proto, ..tcp_or_udp(dice) }
}

/// An adapter that holds a document, which came there by commands; or why it does not fit.
fn loaded(document: &Document) -> Result<(Model, Compiled), CompileError> {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(VirtualClock::new());
    let adapter = Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default());
    let adapter = adapter.expect("the model is an adapter that nicfw drives");
    let compiled = Compiled::new(document, adapter.target(), None)?;
    drop(Firewall::adopt(adapter, Adopt::of(&compiled), clock, Settings::default()).expect("it loads"));
    Ok((model, compiled))
}

fn policy_set(program: &Path, shape: Shape) {
    let prefix = shape.generate();
    let filters = generated::filters(&prefix);
    let (model, compiled) = match loaded(&generated::document(&filters)) {
        Ok(loaded) => loaded,
        Err(error) => return println!("{shape:?}: does not fit: {error}"),
    };
    println!("{shape:?}: {} entries", compiled.image().rules.len());
    let flows = flows(|dice| of_policy_set(&filters, dice));
    compare(program, &prefix.with_extension("rules"), &model, &flows, |filter| filter.is_some());
}

/// A line of a ClassBench set: prefixes, port ranges, and the protocol unless any.
#[derive(Debug, Clone, Copy)]
struct Line {
    src: (Ipv4Addr, u8),
    dst: (Ipv4Addr, u8),
    sport: (u16, u16),
    dport: (u16, u16),
    proto: Option<u8>,
}

fn line(text: &str) -> Option<Line> {
    let mut words = text.strip_prefix('@')?.split(|c: char| c.is_whitespace() || c == '/').filter(|word| *word != ":");
    let mut prefix = || Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?));
    let (src, dst) = (prefix()?, prefix()?);
    let mut range = || Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?));
    let (sport, dport) = (range()?, range()?);
    let proto = u8::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    let proto = (words.next()? != "0x00").then_some(proto);
    Some(Line { src, dst, sport, dport, proto })
}

/// A ClassBench set, received by one of its destinations: the one with the most filters of its own that fits the tables. The
/// other side holds the whole set.
fn classbench(program: &Path, name: &str) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/classbench/{name}.rules"));
    let text = std::fs::read_to_string(&rules).expect("it is in the repository");
    let lines: Vec<Line> = text.lines().filter_map(line).collect();
    let mut own: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.dst.1 == 32 && line.dst.0.octets()[0] < 224) {
        *own.entry(line.dst.0).or_default() += 1;
    }
    let mut own: Vec<(Ipv4Addr, usize)> = own.into_iter().collect();
    own.sort_by_key(|(ip, filters)| (Reverse(*filters), *ip));
    let mut refused = None;
    let tried = own.into_iter().take(16).find_map(|(ip, _)| {
        let mut settings = import::Settings::new("c", vec![ip.into()], generated::mac(ip));
        (settings.unbound, settings.multicast) = (Verdict::Deny, Verdict::Deny);
        let imported = import::import(import::Format::Classbench, text.as_bytes(), name, &settings);
        let fits = imported
            .map_err(|error| error.to_string())
            .and_then(|imported| loaded(&imported.document).map_err(|error| error.to_string()));
        match fits {
            Ok((model, compiled)) => return Some((ip, model, compiled)),
            Err(error) => refused.get_or_insert(format!("{ip}: {error}")),
        };
        None
    });
    let Some((ip, model, compiled)) = tried else {
        let refused = refused.unwrap_or_default();
        return println!(
            "{name}: none of the 16 destinations with the most filters fits the tables; the first: {refused}"
        );
    };
    println!("{name}, received by {ip}: {} entries", compiled.image().rules.len());
    let covers = |line: &&Line| {
        let host = u32::MAX.checked_shr(line.dst.1.into()).unwrap_or(0);
        (line.dst.0.to_bits() ^ ip.to_bits()) & !host == 0 && line.proto.is_none_or(|proto| matches!(proto, 6 | 17))
    };
    let lines: Vec<&Line> = lines.iter().filter(covers).collect();
    let flows = flows(|dice| {
        let any = tcp_or_udp(dice);
        let line = lines[dice.below(lines.len())];
        if dice.below(10) == 0 {
            return Flow { remote: dice.bits().into(), local: ip, ..any };
        }
        let (remote_port, local_port) =
            (dice.between(line.sport.0, line.sport.1), dice.between(line.dport.0, line.dport.1));
        Flow {
            remote: inside(dice, line.src),
            local: ip,
            remote_port,
            local_port,
            proto: line.proto.unwrap_or(any.proto),
        }
    });
    compare(program, &rules, &model, &flows, |filter| filter.is_some_and(|line| line % 2 == 0));
}

/// Times both sides in turn. `allows` reads rte_acl's result.
fn compare(program: &Path, rules: &Path, model: &Model, flows: &[Flow], allows: impl Fn(Option<usize>) -> bool) {
    let mut other = RteAcl::start(program, rules, flows);
    let frames: Vec<[u8; 60]> = flows.iter().map(Flow::frame).collect();
    let headers = |frames: &[[u8; 60]]| frames.iter().map(|frame| parse(frame).expect("60 bytes")).collect::<Vec<_>>();
    let all: Vec<Headers> = headers(&frames);
    let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; flows.len()];
    let judge = |headers: &[Headers], decisions: &mut [Decision]| {
        thread_time(|| {
            for (headers, decisions) in headers.chunks(BATCH).zip(decisions.chunks_mut(BATCH)) {
                model.judge_all(headers, Direction::Rx, 0, decisions);
            }
        })
    };
    let pass = |way: Way, decisions: &mut [Decision]| {
        let seconds: f64 = match way {
            Way::FromParser => {
                let portions = frames.chunks(PORTION).zip(decisions.chunks_mut(PORTION));
                portions.map(|(frames, decisions)| judge(&headers(frames), decisions)).sum()
            }
            Way::FromMemory => judge(&all, decisions),
        };
        1e9 * seconds / FLOWS as f64
    };
    for (name, way) in [("from the parser", Way::FromParser), ("from memory", Way::FromMemory)] {
        // The first pass of each side is for the caches.
        pass(way, &mut decisions);
        other.pass(way);
        let times: Vec<(f64, f64)> = (0..PASSES).map(|_| (pass(way, &mut decisions), other.pass(way))).collect();
        let results = other.results();
        let wrong = decisions
            .iter()
            .zip(&results)
            .filter(|(ours, theirs)| (ours.verdict == Verdict::Allow) != allows(**theirs));
        println!(
            "  {name}: {} flows, {} of them denied, {} mismatches",
            flows.len(),
            decisions.iter().filter(|d| d.verdict == Verdict::Deny).count(),
            wrong.count()
        );
        let side = |of: fn(&(f64, f64)) -> f64| Spread::of(times.iter().map(of));
        println!("    rte_acl / model {}", side(|(ours, theirs)| theirs / ours));
        println!("    ns a verdict: model {}, rte_acl {}", side(|times| times.0), side(|times| times.1));
    }
}

/// Seconds of this thread: what other processes of a shared machine take is not in it.
fn thread_time(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = now();
    work();
    now() - start
}
