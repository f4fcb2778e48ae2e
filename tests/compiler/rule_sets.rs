//! Rule sets that were not written here (`tests/data/README.md`) under ranked lookup orders: every verdict and every
//! explanation against the line that decides, found by brute force; and where a table is too small, the refusal.
//!
//! A list of lookups is one order. Under each, the addresses that most probes are about are bound, one container each with
//! the lines that are about it as its policy. What does not fit is refused, and what the refusal says is tried: a table of
//! the size that it names takes the policy.
//!
//! `tests/long/rule-sets [FOLDER]` runs all sets under twenty lists and prints the table.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use std::{fmt, fs};

use nicfw::policy::import::{Format, Settings, import};
use nicfw::policy::{Binding, Document, Policy, SharedList};
use nicfw::tables::{CompileError, Compiled, LookupOrder, MatchFields, Table, Target};
use nicfw::terms::{Direction, Flow, IpFlow, MacAddr, Ports, Verdict};
use nicfw_model::engines::batch::BatchEngine;
use nicfw_model::engines::rules::{Decided, Decision};
use nicfw_model::packet::Headers;
use nicfw_test_kit::orders::{ranked, shuffled, specific_first};

use crate::is_sound;
use crate::universe::{engine, seen};

const PEER: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x99]);

/// Entries that the model takes, however large the table of its profile: what an adapter has nearly twice over.
const MODEL: usize = 16_000;

/// A packet of a set, and the line that decides, from 0; -1 = none.
#[derive(Clone, Copy)]
struct Probe {
    src: u32,
    dst: u32,
    ports: (u16, u16),
    proto: u8,
    first: i64,
}

fn mac(ip: u32) -> MacAddr {
    let [a, b, c, d] = ip.to_be_bytes();
    MacAddr([0x02, 0x0a, a, b, c, d])
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
            local_mac: mac(self.local(direction)),
            remote_mac: PEER,
            outer_vlan: None,
            inner_vlan: None,
            ether_type: 0x0800,
            ip: Some(IpFlow { local, remote, proto: Some(self.proto), ports }),
        }
    }

    fn expected(&self) -> Verdict {
        if self.first >= 0 && self.first % 2 == 0 { Verdict::Allow } else { Verdict::Deny }
    }
}

struct Set {
    name: String,
    text: String,
    probes: Vec<Probe>,
}

impl Set {
    fn read(rules: &Path) -> Self {
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
        Self { name, text: fs::read_to_string(rules).unwrap(), probes }
    }

    /// Addresses that most probes are about, of those that a container can have.
    fn busiest(&self, count: usize) -> Vec<u32> {
        let mut by: BTreeMap<u32, usize> = BTreeMap::new();
        for probe in self.probes.iter().filter(|probe| probe.first >= 0) {
            *by.entry(probe.dst).or_default() += 1;
            *by.entry(probe.src).or_default() += 1;
        }
        let can_be_bound = |ip: u32| ip >> 28 < 14 && ip >> 24 != 127 && ip >> 24 != 0;
        let mut by: Vec<_> = by.into_iter().filter(|(ip, _)| can_be_bound(*ip)).collect();
        by.sort_by_key(|(ip, n)| (std::cmp::Reverse(*n), *ip));
        by.into_iter().take(count).map(|(ip, _)| ip).collect()
    }

    fn containers(&self, count: usize) -> Vec<Container> {
        self.busiest(count).into_iter().map(|ip| Container::new(self, ip)).collect()
    }
}

/// An address of a set, with the lines that are about it.
struct Container {
    ip: u32,
    alone: Document,
}

impl Container {
    fn new(set: &Set, ip: u32) -> Self {
        let mut settings = Settings::new(&format!("c{ip:08x}"), vec![Ipv4Addr::from(ip).into()], mac(ip));
        // The sets name groups like any other address.
        (settings.unbound, settings.multicast) = (Verdict::Allow, Verdict::Allow);
        let alone = import(Format::Classbench, set.text.as_bytes(), "old", &settings).unwrap().document;
        Self { ip, alone }
    }
}

/// One document for several containers.
fn together(containers: &[&Container]) -> Document {
    let mut out = containers[0].alone.clone();
    (out.policies, out.bindings) = (SharedList::default(), SharedList::default());
    for (at, container) in containers.iter().enumerate() {
        let (policy, binding) = (&container.alone.policies[0], &container.alone.bindings[0]);
        out.policies.push(Arc::new(Policy { name: format!("p{:08x}", container.ip), ..Policy::clone(policy) }));
        out.bindings.push(Arc::new(Binding { policy: at, ..Binding::clone(binding) }));
    }
    out
}

fn target(order: LookupOrder) -> Target {
    let mut target = Target::profile0();
    target.profile.order = order;
    target
}

fn order(seed: u64, any: bool) -> LookupOrder {
    use MatchFields as F;
    let tails = if any { shuffled(seed) } else { specific_first(seed) };
    ranked(&tails, &[F::LOCAL_IP | F::LOCAL_MAC | F::ETHER_TYPE])
}

/// What came of the lists, each a count over all of them.
#[derive(Default)]
struct Tally {
    lists: usize,
    /// Containers that fit one adapter at a time: the fewest and the most of all lists.
    together: Option<(usize, usize)>,
    /// Containers that are refused even alone.
    refused: usize,
    /// Entries of the largest image.
    entries: usize,
    /// Verdicts compared: of the image, of the model, and explanations.
    compared: usize,
    mismatches: Vec<String>,
    /// Refusals by their words without the line.
    refusals: BTreeMap<String, usize>,
    seconds: f64,
}

impl Tally {
    /// All containers of a set under one list.
    fn run(&mut self, set: &Set, containers: &[Container], target: &Target) {
        let start = Instant::now();
        let mut fit: Vec<(usize, &Container)> = Vec::new();
        for container in containers {
            match Compiled::new(&container.alone, target, None) {
                Ok(compiled) => fit.push((compiled.image().rules.len(), container)),
                Err(refusal) => self.refuse(set, container, target, &refusal),
            }
        }
        fit.sort_by_key(|(entries, container)| (*entries, container.ip));
        let fit: Vec<&Container> = fit.into_iter().map(|(_, container)| container).collect();
        // The most that fit together, the smallest first.
        let (mut most, mut end, mut best) = (0, fit.len() + 1, None);
        let mut next = fit.len();
        while end - most > 1 {
            match Compiled::new(&together(&fit[..next]), target, None) {
                Ok(compiled) => (most, best) = (next, Some(compiled)),
                Err(refusal) => {
                    self.note(set, &refusal);
                    end = next;
                }
            }
            next = usize::midpoint(most, end);
        }
        if let Some(compiled) = &best {
            self.compare(set, compiled, &fit[..most]);
        }
        for container in &fit[most..] {
            let compiled = Compiled::new(&container.alone, target, None).unwrap();
            self.compare(set, &compiled, &[container]);
        }
        let (fewest, largest) = self.together.unwrap_or((most, most));
        self.together = Some((fewest.min(most), largest.max(most)));
        self.lists += 1;
        self.seconds += start.elapsed().as_secs_f64();
    }

    /// A refusal is exact: it names a rule of the document, and it is no error of the compiler.
    fn note(&mut self, set: &Set, refusal: &CompileError) {
        assert!(is_sound(refusal), "{}: {refusal:?}", set.name);
        let text = refusal.to_string();
        let reason = text.strip_prefix("old:").and_then(|text| text.split_once(": "));
        let Some((_, reason)) = reason else { panic!("{}: names no line: {text}", set.name) };
        let reason = match refusal {
            CompileError::DoesNotFit { table, usage, .. } => {
                let usage = usage.iter().find(|usage| usage.table == *table).unwrap();
                format!("does not fit: {} {table}", usage.available)
            }
            _ => reason.chars().take(150).collect(),
        };
        *self.refusals.entry(reason).or_default() += 1;
    }

    /// A container that is refused alone: the tables that the refusal asks for take it, and decide as they should.
    fn refuse(&mut self, set: &Set, container: &Container, target: &Target, refusal: &CompileError) {
        self.note(set, refusal);
        self.refused += 1;
        let mut target = target.clone();
        let mut refusal = refusal.clone();
        for _ in 0..8 {
            let CompileError::DoesNotFit { table, missing, usage, .. } = &refusal else { return };
            let needed = match usage.iter().find(|usage| usage.table == *table) {
                Some(of) => {
                    assert_eq!((*missing, of.free()), (of.needed - of.available, 0), "{}: {refusal}", set.name);
                    assert!(*missing > 0 && of.by_policy[0].1 > 0, "{}: {refusal}", set.name);
                    of.needed
                }
                // So many that not all of them were counted.
                None => u64::from(target.profile.rules) + missing,
            };
            grow(&mut target, *table, needed);
            match Compiled::new(&container.alone, &target, None) {
                Ok(compiled) => return self.compare(set, &compiled, &[container]),
                Err(next) => refusal = next,
            }
        }
        panic!("{}: {refusal} in tables of the size that it asked for", set.name);
    }

    /// Compares image, model and `explain` with the probes of some containers.
    fn compare(&mut self, set: &Set, compiled: &Compiled, containers: &[&Container]) {
        let is_loaded = compiled.image().rules.len() <= MODEL;
        let mut engine = is_loaded.then(|| engine(compiled.image(), compiled.target(), 0));
        let mut batch = BatchEngine::new();
        self.entries = self.entries.max(compiled.image().rules.len());
        for direction in [Direction::Rx, Direction::Tx] {
            let is_about = |probe: &&Probe| containers.iter().any(|of| of.ip == probe.local(direction));
            let probes: Vec<&Probe> = set.probes.iter().filter(is_about).collect();
            let flows: Vec<Flow> = probes.iter().map(|probe| probe.flow(direction)).collect();
            let frames: Vec<Headers> = flows.iter().map(seen).collect();
            let judged = compiled.image().judge_all(&flows, &compiled.target().profile, 0);
            let mut decisions = vec![Decision { verdict: Verdict::Deny, by: Decided::NoMatch }; frames.len()];
            if let Some(engine) = &mut engine {
                batch.judge_all(engine, &frames, direction, 0, &mut decisions);
            }
            for (at, (probe, flow)) in probes.into_iter().zip(&flows).enumerate() {
                let expected = probe.expected();
                let mut wrong = Vec::new();
                wrong.extend((judged[at].verdict != expected).then_some("image".to_owned()));
                let by_model = engine.is_none() || decisions[at].verdict == expected;
                wrong.extend((!by_model).then_some("model".to_owned()));
                wrong.extend(explained(compiled, flow, probe));
                self.compared += 1;
                let of = |what| format!("{}, line {}: {what}: {flow:?}", set.name, probe.first);
                self.mismatches.extend(wrong.into_iter().map(of));
            }
        }
    }

    fn check(&self) {
        assert!(self.mismatches.is_empty(), "{}: {:#?}", self.mismatches.len(), self.mismatches);
    }
}

/// What is wrong with an explanation.
fn explained(compiled: &Compiled, flow: &Flow, probe: &Probe) -> Option<String> {
    let explained = compiled.explain(flow);
    if explained.verdict() != probe.expected() {
        return Some("explain: the other verdict".to_owned());
    }
    if probe.first < 0 {
        return None;
    }
    let line = format!("old:{}: ", probe.first + 1);
    let names = |reason: &Option<String>| reason.as_ref().is_some_and(|reason| reason.starts_with(&line));
    let Some(origin) = &explained.origin else { return Some("explain: names no line".to_owned()) };
    if !names(&origin.reason) {
        return Some(format!("explain: names {:?}", origin.reason));
    }
    let Some(entry) = &explained.entry else { return Some("explain: names no entry".to_owned()) };
    let mut named = entry.origins.iter().filter_map(|id| compiled.origin(*id));
    let is_named = entry.key.is_base() || named.any(|of| names(&of.origin.reason));
    (!is_named).then(|| format!("explain: entry {} is another line's", entry.key))
}

/// Makes a table as large as was asked for.
fn grow(target: &mut Target, table: Table, needed: u64) {
    let needed = u32::try_from(needed).unwrap();
    let sizes = &mut target.sizes;
    match table {
        Table::Rules => target.profile.rules = needed,
        Table::Combinations => target.profile.combinations = needed,
        Table::SubnetIds => sizes.subnet_id_max = sizes.subnet_id_min + needed - 1,
        Table::SubnetNodes => sizes.subnet_nodes = needed,
        Table::RemotePortIds | Table::LocalPortIds => sizes.portrange_id_max = sizes.portrange_id_min + needed - 1,
        Table::RemotePortTree | Table::LocalPortTree => sizes.port_tree_entries = needed,
        Table::Counters => unreachable!("too few counters are no error"),
    }
}

const HEAD: &str = "set            lines  order           lists  containers  together  refused  entries  compared  mismatches  seconds";

struct Row<'a>(&'a Set, bool, usize, &'a Tally);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(set, any, containers, tally) = self;
        let (fewest, most) = tally.together.unwrap_or_default();
        write!(
            f,
            "{:<14} {:>5}  {:<14} {:>6} {:>11}  {:>8} {:>8} {:>8} {:>9} {:>11} {:>8.0}",
            set.name,
            set.text.lines().count(),
            if *any { "any" } else { "specific first" },
            tally.lists,
            tally.lists * containers,
            format!("{fewest}-{most}"),
            tally.refused,
            tally.entries,
            tally.compared,
            tally.mismatches.len(),
            tally.seconds,
        )?;
        tally.refusals.iter().try_for_each(|(words, count)| write!(f, "\n    {count:>4} x {words}"))
    }
}

#[test]
fn a_sample_of_classbench_has_no_mismatch() {
    println!("{HEAD}");
    for (name, count, any) in [("acl1_1k", 6, false), ("acl1_1k", 6, true), ("ipc1_1k", 1, false)] {
        let set = Set::read(Path::new(&format!("tests/data/classbench/{name}.rules")));
        let containers = set.containers(count);
        let mut tally = Tally::default();
        tally.run(&set, &containers, &target(order(1, any)));
        println!("{}", Row(&set, any, count, &tally));
        tally.check();
        assert!(any || tally.compared > 20, "{name}: {}", tally.compared);
    }
}

#[test]
#[ignore = "takes minutes: tests/long/rule-sets"]
fn all_classbench_sets_have_no_mismatch() {
    let mut folders = vec![PathBuf::from("tests/data/classbench")];
    folders.extend(std::env::var_os("NICFW_RULE_SETS").map(PathBuf::from));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "rules")).collect();
    let only = std::env::var("NICFW_RULE_SET").unwrap_or_default();
    files.retain(|path| path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with(&only)));
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files.dedup_by_key(|path| path.file_name().map(ToOwned::to_owned));
    println!("{HEAD}");
    for file in files {
        let set = Set::read(&file);
        let containers = set.containers(16);
        for any in [false, true] {
            let mut tally = Tally::default();
            (0..10).for_each(|seed| tally.run(&set, &containers, &target(order(seed, any))));
            println!("{}", Row(&set, any, containers.len(), &tally));
            tally.check();
            assert!(any || tally.compared > 0, "{}: nothing was compared", set.name);
        }
    }
}
