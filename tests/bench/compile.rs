//! The compiler against `nft -f` of the same policy as a concatenated set, and a change of one rule against the whole:
//! ratios from interleaved runs in one sitting, medians with the range of the middle half. The compiler works on all cores,
//! and nft on one, so there are ratios of CPU time beside those of time.
//!
//! ```text
//! cargo bench --bench compile            # all figures; nft in a network namespace of its own needs root
//! cargo bench --bench compile -- quick   # without the sets of 100,000 rules
//! cargo bench --bench compile -- groups  # group policies over many adapters alone
//! cargo bench --bench compile -- once N [RULES]  # N compilations of 10,000 rules, for a profiler and for comparing versions
//! cargo bench --bench compile -- less N [RULES]  # N changes of them by one rule
//! cargo bench --bench compile -- refused N  # how long it takes to refuse what is far too much for a card
//! ```
//!
//! The tables are wider than any adapter's ([`sets::wide`]): only the compiler runs on them. It begins with a document in
//! memory; nft begins with its text.

mod nft;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nicfw::Target;
use nicfw::policy::{Document, Rule};
use nicfw::tables::Compiled;
use nicfw::terms::{Direction, Interval, Verdict};
use nicfw_test_kit::bench::measure::time;
use nicfw_test_kit::bench::ratio::ratio;
use nicfw_test_kit::bench::sets::{self, Set, wide};
use nicfw_test_kit::bench::spread::Spread;
use nicfw_test_kit::dice::Dice;

use nft::Nft;

const SEED: u64 = 1;

fn main() {
    let says = |word: &str| std::env::args().any(|arg| arg == word);
    if says("refused") {
        return refused(std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1));
    }
    if says("once") || says("less") {
        let mut numbers = std::env::args().filter_map(|arg| arg.parse().ok());
        let (times, rules) = (numbers.next().unwrap_or(1).max(1), numbers.next().unwrap_or(10_000));
        let seconds: Vec<f64> = if says("less") {
            let change = Change::of(rules);
            (0..times).map(|_| change.time(Kind::Less)).collect()
        } else {
            let (document, target) = (document(&Set::own(rules, SEED)), wide());
            (0..times).map(|_| timed(|| compile(&document, &target))).collect()
        };
        return println!("{} ms", Spread::of(seconds.into_iter().map(|seconds| 1e3 * seconds)));
    }
    let quick = says("quick");
    let mut nft = Nft::open().map_err(|missing| println!("not compared with nft: {missing}")).ok();
    if says("groups") {
        return group_policies(nft.as_mut());
    }
    for (rules, runs) in [(1_000, 15), (10_000, 9), (100_000, 5)] {
        if rules < 100_000 || !quick {
            against_nft(&Set::own(rules, SEED), runs, nft.as_mut());
        }
    }
    let large = if quick { 10_000 } else { 100_000 };
    let (few, many) = (Change::of(1_000), Change::of(large));
    for (what, kind) in [("a rule less", Kind::Less), ("a rule with a subnet of its own more", Kind::NewSubnet)] {
        println!("one change ({what}) against the whole, {large} rules: 1/{}", many.whole_against(kind));
        let slope = ratio(21, || many.time(kind), || few.time(kind));
        println!(
            "  {large} rules against 1,000: {slope} x; {:.2} ms, {:.2} ms",
            1e3 * many.time(kind),
            1e3 * few.time(kind)
        );
    }
    group_policies(nft.as_mut());
}

/// A document compiled, and what one change of it costs.
struct Change {
    document: Document,
    before: Compiled,
    target: Target,
    subnet: sets::Allow,
}

#[derive(Clone, Copy)]
enum Kind {
    Less,
    NewSubnet,
}

impl Change {
    fn of(rules: usize) -> Self {
        let (set, target) = (Set::own(rules, SEED), wide());
        let document = document(&set);
        let before = compile(&document, &target);
        // A prefix that no generated rule names.
        let remote = Interval { first: 0xc0a8_0000, last: 0xc0a8_ffff };
        let subnet = sets::Allow { remote, ..set.policies[0][0] };
        Self { document, before, target, subnet }
    }

    fn time(&self, kind: Kind) -> f64 {
        let mut document = self.document.clone();
        let middle = document.policies.len() / 2;
        let rules = &mut Arc::make_mut(&mut document.policies[middle]).rules;
        match kind {
            Kind::Less => drop(rules.remove(7)),
            Kind::NewSubnet => rules.insert(7, self.subnet.rule()),
        }
        let mut after = None;
        let seconds = time(|| after = Some(Compiled::new(&document, &self.target, Some(&self.before))));
        after.expect("it ran").unwrap_or_else(|error| panic!("{error}"));
        seconds
    }

    fn whole_against(&self, kind: Kind) -> Spread {
        ratio(5, || timed(|| compile(&self.document, &self.target)), || self.time(kind))
    }
}

/// Seconds that making something takes; dropping it is not counted.
fn timed<T>(make: impl FnOnce() -> T) -> f64 {
    let mut made = None;
    let seconds = time(|| made = Some(black_box(make())));
    drop(made);
    seconds
}

/// Rules that meet in many ways: any prefix from 8 to 28 bits, any range of ports, a third of them denies.
fn random_rules(count: usize, dice: &mut Dice) -> Vec<Rule> {
    let mut below = |end: usize| u32::try_from(dice.below(end)).expect("an end of 32 bits");
    let mut rule = || {
        let host = 32 - (8 + below(21));
        let first = below(1 << 32) >> host << host;
        let remote = Interval { first, last: first | u32::MAX >> (32 - host) };
        let mut port = || u16::try_from(below(1 << 16)).expect("16 bits");
        let (a, b) = (port(), port());
        let ports = Interval { first: a.min(b), last: a.max(b) };
        let direction = if below(2) == 0 { Direction::Rx } else { Direction::Tx };
        let action = if below(3) == 0 { Verdict::Deny } else { Verdict::Allow };
        let rule = sets::Allow { remote, proto: 6, ports }.rule();
        Rule { direction, action, replies: action == Verdict::Allow, ..rule }
    };
    (0..count).map(|_| rule()).collect()
}

/// Documents far too large for a card: one policy of 120 rules for 3,000 bindings, and one of 8,000 rules for one.
fn refused(times: usize) {
    for (bindings, rules) in [(3_000, 120), (1, 8_000)] {
        let mut document = document(&Set::of(1, 50, vec![0; bindings], SEED));
        Arc::make_mut(&mut document.policies[0]).rules = random_rules(rules, &mut Dice::new(SEED));
        let mut said = String::new();
        let mut once = || {
            timed(|| match Compiled::new(&document, &Target::profile0(), None) {
                Ok(compiled) => said = format!("{} entries", compiled.image().rules.len()),
                Err(refusal) => said = refusal.to_string(),
            })
        };
        let seconds = Spread::of((0..times).map(|_| once()));
        println!("{bindings} bindings x {rules} random rules: {seconds} s: {said:.120}");
    }
}

/// All bindings of a set.
fn document(set: &Set) -> Document {
    set.document(0..set.uses.len())
}

fn compile(document: &Document, target: &Target) -> Compiled {
    Compiled::new(document, target, None).unwrap_or_else(|error| panic!("{error}"))
}

fn against_nft(set: &Set, runs: usize, nft: Option<&mut Nft>) {
    let (document, target) = (document(set), wide());
    let proved = || compile(&document, &target);
    let unproved = || Compiled::unproved(&document, &target, None);
    let (rules, entries) = (set.rules(), compile(&document, &target).image().rules.len());
    println!(
        "{rules} rules, {entries} entries: {:.1} ms, without proof {:.1} ms",
        1e3 * timed(proved),
        1e3 * timed(unproved)
    );
    let Some(nft) = nft else { return };
    let file = written(set);
    println!("  nft -f against a compilation with proof: {}", loading_against(nft, &file, runs, proved));
    println!("  nft -f against a compilation without: {}", loading_against(nft, &file, runs, unproved));
    // The file is in a directory for passing things: nothing depends on it being gone.
    let _ = std::fs::remove_file(file);
}

/// 10,000 bindings with 2,000 group policies on 100 adapters, each adapter with the policies that its bindings use: five
/// bindings of a policy beside each other, and all policies everywhere.
fn group_policies(mut nft: Option<&mut Nft>) {
    const ADAPTERS: usize = 100;
    const BINDINGS: usize = 100;
    let packed = |at: usize| at / 5;
    let scattered = |at: usize| at * 7919 % 2_000;
    let places: [(&str, &dyn Fn(usize) -> usize); 2] = [("packed", &packed), ("scattered", &scattered)];
    for (name, policy_of) in places {
        let set = Set::of(2_000, 10, (0..ADAPTERS * BINDINGS).map(policy_of).collect(), SEED);
        let documents: Vec<Document> =
            (0..ADAPTERS).map(|adapter| set.document(adapter * BINDINGS..(adapter + 1) * BINDINGS)).collect();
        // Where the tables of a card are too small, the same with wide ones.
        let fits = |document: &Document| Compiled::new(document, &Target::profile0(), None).is_ok();
        let target = |document: &Document| if fits(document) { Target::profile0() } else { wide() };
        let targets: Vec<Target> = documents.iter().map(target).collect();
        let each = || documents.iter().zip(&targets);
        let all = || each().map(|(document, target)| compile(document, target)).collect::<Vec<_>>();
        let entries: usize = all().iter().map(|compiled| compiled.image().rules.len()).sum();
        let policies: usize = documents.iter().map(|document| document.policies.len()).sum();
        let fit = targets.iter().filter(|target| **target == Target::profile0()).count();
        println!(
            "10,000 bindings with 2,000 group policies on 100 adapters, {name} ({} policies an adapter): {entries} \
             entries; {fit} adapters fit the default tables, the others are compiled for wide ones",
            policies / ADAPTERS
        );
        println!("  all images: {:.1} ms", 1e3 * timed(all));
        let Some(nft) = nft.as_deref_mut() else { continue };
        let file = written(&set);
        println!("  nft -f against all images: {}", loading_against(nft, &file, 7, all));
        // The file is in a directory for passing things: nothing depends on it being gone.
        let _ = std::fs::remove_file(file);
    }
}

/// How long nft takes to load a file against some work, in turn: by time and by CPU time.
fn loading_against<T>(nft: &mut Nft, file: &Path, runs: usize, work: impl Fn() -> T) -> String {
    let mut once = || {
        nft.flush()?;
        let before = nft.cpu()?;
        let loading = nft.load(file)?;
        let loading_cpu = nft.cpu()? - before;
        let (mut made, before) = (None, process_cpu());
        let working = time(|| made = Some(black_box(work())));
        Ok(([loading, working], loading_cpu / (process_cpu() - before)))
    };
    let times: Result<Vec<([f64; 2], f64)>, String> = (0..runs).map(|_| once()).collect();
    let (wall, cpu): (Vec<[f64; 2]>, Vec<f64>) = times.unwrap_or_else(|error| panic!("{error}")).into_iter().unzip();
    let ratio = Spread::of(wall.iter().map(|[loading, working]| loading / working));
    let ms = |side: usize| 1e3 * Spread::of(wall.iter().map(|both| both[side])).median;
    format!("{ratio} x ({:.1} ms, {:.1} ms); by CPU time {} x", ms(0), ms(1), Spread::of(cpu))
}

/// Seconds of CPU time that this process took so far.
fn process_cpu() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn written(set: &Set) -> PathBuf {
    let file = std::env::temp_dir().join(format!("nicfw-bench-{}.nft", std::process::id()));
    std::fs::write(&file, set.nft()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file
}
