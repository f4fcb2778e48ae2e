//! ClassBench's and DPDK's rule sets under ranked lookup orders: image, model and `explain` against the probes that came
//! with the sets (`tests/data/README.md`).
//!
//! `cargo test --test compiler` runs a sample. All sets, 16 addresses and 20 orders of each:
//! `cargo test --release --test compiler rule_sets -- --ignored --nocapture`. `NICFW_RULE_SETS` names a folder with more
//! sets (`*.rules` beside `*.probe.tsv`).

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use nicfw::policy::import::{Format, Settings, import};
use nicfw::policy::{CompileError, Compiled, Document, Flow, IpFlow, Ports};
use nicfw::tables::{Direction, LookupOrder, MacAddr, MatchFields, Target, Verdict};

use crate::is_sound;
use crate::orders::{ranked, shuffled, specific_first};
use crate::universe::{engine, seen};

const MAC: MacAddr = MacAddr([0x02, 0, 0x0a, 0x1e, 0x01, 0x11]);
const PEER: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x99]);

/// Entries of a table that no adapter has.
const ENDLESS: u32 = 1 << 20;

/// A packet of a set, and the line that decides, from 0; -1 = none.
#[derive(Clone, Copy)]
struct Probe {
    src: u32,
    dst: u32,
    ports: (u16, u16),
    proto: u8,
    first: i64,
}

impl Probe {
    fn local(&self, direction: Direction) -> u32 {
        if direction == Direction::Rx { self.dst } else { self.src }
    }

    fn flow(&self, direction: Direction) -> Flow {
        let (src, dst) = (IpAddr::V4(Ipv4Addr::from(self.src)), IpAddr::V4(Ipv4Addr::from(self.dst)));
        let rx = direction == Direction::Rx;
        let (local, remote) = if rx { (dst, src) } else { (src, dst) };
        let (near, far) = if rx { (self.ports.1, self.ports.0) } else { self.ports };
        let ports = matches!(self.proto, 6 | 17 | 132).then_some(Ports { local: near, remote: far });
        Flow {
            direction,
            physical_port: 0,
            local_mac: MAC,
            remote_mac: PEER,
            outer_vlan: None,
            inner_vlan: None,
            ether_type: 0x0800,
            ip: Some(IpFlow { local, remote, proto: Some(self.proto), ports }),
        }
    }
}

struct Set {
    name: String,
    text: String,
    probes: Vec<Probe>,
}

fn read(rules: &Path) -> Set {
    let name = rules.file_stem().unwrap().to_str().unwrap().to_owned();
    let probes = fs::read_to_string(rules.with_file_name(format!("{name}.probe.tsv"))).unwrap();
    let line = |line: &str| {
        let field: Vec<i64> = line.split('\t').map(|word| word.parse().unwrap()).collect();
        let addr = |at: usize| u32::try_from(field[at]).unwrap();
        let port = |at: usize| u16::try_from(field[at]).unwrap();
        let proto = u8::try_from(field[4]).unwrap();
        Probe { src: addr(0), dst: addr(1), ports: (port(2), port(3)), proto, first: field[5] }
    };
    let probes = probes.lines().filter(|text| !text.starts_with('#')).map(line).collect();
    Set { name, text: fs::read_to_string(rules).unwrap(), probes }
}

/// Addresses that most probes are about, of those that a container can have.
fn busiest(set: &Set, count: usize) -> Vec<u32> {
    let mut by: BTreeMap<u32, usize> = BTreeMap::new();
    for probe in set.probes.iter().filter(|probe| probe.first >= 0) {
        *by.entry(probe.dst).or_default() += 1;
        *by.entry(probe.src).or_default() += 1;
    }
    let mut by: Vec<_> = by.into_iter().filter(|(ip, _)| ip >> 28 < 14 && ip >> 24 != 127 && ip >> 24 != 0).collect();
    by.sort_by_key(|(ip, n)| (std::cmp::Reverse(*n), *ip));
    by.into_iter().take(count).map(|(ip, _)| ip).collect()
}

fn document(set: &Set, ips: &[u32]) -> Document {
    let ips = ips.iter().map(|ip| Ipv4Addr::from(*ip).into()).collect();
    let mut settings = Settings::new("shop-1", ips, MAC);
    // The sets name groups like any other address.
    (settings.unbound, settings.multicast) = (Verdict::Allow, Verdict::Allow);
    import(Format::Classbench, set.text.as_bytes(), "old", &settings).unwrap().document
}

fn order(seed: u64, any: bool) -> LookupOrder {
    use MatchFields as F;
    let tails = if any { shuffled(seed) } else { specific_first(seed) };
    ranked(&tails, &[F::LOCAL_IP | F::LOCAL_MAC | F::ETHER_TYPE])
}

/// Compares image, model and `explain` with the probes of some addresses; how many there are.
fn compare(set: &Set, compiled: &Compiled, ips: &[u32]) -> usize {
    let mut engine = engine(compiled.image(), compiled.target(), 0);
    let mut count = 0;
    for direction in [Direction::Rx, Direction::Tx] {
        let about: Vec<&Probe> = set.probes.iter().filter(|probe| ips.contains(&probe.local(direction))).collect();
        let flows: Vec<Flow> = about.iter().map(|probe| probe.flow(direction)).collect();
        let judged = compiled.image().judge_all(&flows, &compiled.target().profile, 0);
        for ((probe, flow), judged) in about.into_iter().zip(&flows).zip(judged) {
            let allowed = probe.first >= 0 && probe.first % 2 == 0;
            let expected = if allowed { Verdict::Allow } else { Verdict::Deny };
            let context = || format!("{}: {flow:?}, line {}", set.name, probe.first);
            assert_eq!(judged.verdict, expected, "image: {}", context());
            assert_eq!(engine.judge(&seen(flow), direction, 0).verdict, expected, "model: {}", context());
            let explained = compiled.explain(flow);
            assert_eq!(explained.verdict(), expected, "explain: {}", context());
            if probe.first >= 0 {
                let line = format!("old:{}: ", probe.first + 1);
                let names = |reason: &Option<String>| reason.as_ref().is_some_and(|reason| reason.starts_with(&line));
                let origin = explained.origin.unwrap();
                assert!(names(&origin.reason), "explain names {:?}: {}", origin.reason, context());
                let entry = explained.entry.unwrap();
                let named = entry.origins.iter().filter_map(|id| compiled.origin(*id));
                assert!(
                    entry.key.is_base() || named.into_iter().any(|of| names(&of.origin.reason)),
                    "entry {}: {}",
                    entry.key,
                    context()
                );
            }
            count += 1;
        }
    }
    count
}

/// What came of the orders: with all addresses at a time, address by address, refused; and probes.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    single: usize,
    refused: usize,
    probes: usize,
    rules: usize,
    /// Refusals by their words without the line.
    reasons: BTreeMap<String, usize>,
}

impl Tally {
    /// A refusal is exact: it names a line, and it is no error of the compiler.
    fn refuse(&mut self, set: &Set, error: &CompileError) {
        assert!(is_sound(error), "{}: {error:?}", set.name);
        let text = error.to_string();
        let reason = text.strip_prefix("old:").and_then(|text| text.split_once(": "));
        let Some((_, reason)) = reason else { panic!("{}: names no line: {text}", set.name) };
        let size = if let CompileError::DoesNotFit { .. } = error { 40 } else { 150 };
        *self.reasons.entry(reason.chars().take(size).collect()).or_default() += 1;
    }
}

fn run(set: &Set, ips: &[u32], target: &Target, tally: &mut Tally) {
    match Compiled::new(&document(set, ips), target, None) {
        Ok(compiled) => {
            if ips.len() > 1 {
                tally.whole += 1
            } else {
                tally.single += 1
            }
            tally.rules = tally.rules.max(compiled.image().rules.len());
            tally.probes += compare(set, &compiled, ips);
        }
        Err(error) => {
            tally.refuse(set, &error);
            if let CompileError::DoesNotFit { .. } = error
                && target.profile.rules < ENDLESS
            {
                // Its verdicts are compared on a table that is large enough.
                let mut endless = target.clone();
                endless.profile.rules = ENDLESS;
                run(set, &ips[..1], &endless, tally);
            }
            if ips.len() > 1 {
                ips.iter().for_each(|ip| run(set, &[*ip], target, tally));
            } else {
                tally.refused += 1;
            }
        }
    }
}

fn target(order: LookupOrder) -> Target {
    let mut target = Target::profile0();
    target.profile.order = order;
    target
}

#[test]
fn a_sample_of_classbench_has_no_mismatch() {
    for (name, address) in [("acl1_1k", 6), ("ipc1_1k", 1)] {
        let set = read(Path::new(&format!("tests/data/classbench/{name}.rules")));
        let ips = busiest(&set, address);
        let mut tally = Tally::default();
        for (seed, any) in [(1, false), (2, true)] {
            run(&set, &ips, &target(order(seed, any)), &mut tally);
        }
        println!("{name}: {tally:#?}");
        assert!(tally.whole + tally.single > 0 && tally.probes > 20, "{name}: {tally:?}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn all_classbench_sets_have_no_mismatch() {
    let mut folders = vec![PathBuf::from("tests/data/classbench")];
    folders.extend(std::env::var_os("NICFW_RULE_SETS").map(PathBuf::from));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "rules")).collect();
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files.dedup_by_key(|path| path.file_name().map(ToOwned::to_owned));
    for file in files {
        let set = read(&file);
        let ips = busiest(&set, 16);
        for any in [false, true] {
            let mut tally = Tally::default();
            for seed in 0..10 {
                run(&set, &ips, &target(order(seed, any)), &mut tally);
            }
            println!("{}, {}: {tally:#?}", set.name, if any { "any order" } else { "more specific first" });
            assert!(any || tally.probes > 0, "{}: nothing was compared", set.name);
        }
    }
}
