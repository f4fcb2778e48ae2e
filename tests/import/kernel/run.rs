//! Runs over many files, their counts, and the smallest file that shows a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nicfw::Direction;
use nicfw::policy::import::{Effect, View};
use nicfw_test_kit::dice::Dice;

use crate::aside::{listed_otherwise, once, were_listed_otherwise};
use crate::frames::{Body, Frame, LOCALS};
use crate::judge::{Finding, Imported, Limit, Outcome, Patience, Source, Spelling, Tool, locals};
use crate::{iptables, nft, probes};

/// The kernel waits more than it works while rules are loaded.
const THREADS: usize = 8;
/// Frames or conversations a file.
const FRAMES: usize = 400;
/// Lines that are taken out of a file because its tool refuses them.
const MOST_REFUSED: usize = 8;
/// Findings that are made small and shown in full.
const MOST_SHOWN: usize = 12;
/// Smaller files that are tried for one.
const MOST_TRIES: usize = 200;
const SEED: u64 = 20_261_130;
/// How often the threads are looked after.
const WATCHED: Duration = Duration::from_secs(5);

/// What happened to the imports of one spelling.
#[derive(Debug, Default, Clone, Copy)]
struct Shares {
    files: usize,
    equal: usize,
    closes: usize,
    refused: usize,
}

#[derive(Default)]
struct Tally {
    /// By spelling, and whether the file was of supported things alone.
    shares: BTreeMap<(Spelling, bool), Shares>,
    /// What files of supported things lost, and how often.
    losses: BTreeMap<String, usize>,
    /// Why imports were refused, and how often.
    refusals: BTreeMap<String, usize>,
    files: usize,
    not_loaded: usize,
    /// Frames sent, and those times the imports that they judged.
    frames: usize,
    judgements: usize,
    /// Findings that were made small.
    shown: usize,
    /// Files of which an import was refused, and those of which one denies more.
    refused: Vec<String>,
    closing: Vec<String>,
    /// What was seen once, and not when the same frames were sent again.
    aside: Vec<String>,
    /// Where the tool does not list what it loaded.
    listed_otherwise: Vec<String>,
    wider: Vec<String>,
    silent: Vec<String>,
}

/// The seed of a run: `NICFW_KERNEL_SEED`, or the same as always.
fn seed() -> u64 {
    std::env::var("NICFW_KERNEL_SEED").ok().map_or(SEED, |seed| seed.parse().expect("NICFW_KERNEL_SEED is a number"))
}

/// As many random files; fails if one opens more, or closes more without a word.
pub fn random(files: usize) {
    let files =
        std::env::var("NICFW_KERNEL_FILES").ok().map_or(files, |n| n.parse().expect("NICFW_KERNEL_FILES is a number"));
    let seed = seed();
    println!("seed {seed}: NICFW_KERNEL_SEED={seed} repeats this run");
    let tally = over(files, |i| {
        let mut dice = Dice::new(seed.wrapping_add(u64::try_from(i).unwrap().wrapping_mul(0x5851_f42d_4c95_7f2d)));
        let supported = dice.chance(50);
        let source =
            if dice.chance(60) { iptables::source(&mut dice, supported) } else { nft::source(&mut dice, supported) };
        (format!("file {i} of seed {seed}"), source, dice)
    });
    tally.opens_nothing();
    tally.imports_what_is_supported();
}

/// Files that were written by hand. Those of `kept` were imported rightly once, and may never be refused; those with `equal-`
/// in their name are imported, and nothing of them is denied more.
pub fn corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/kernel/corpus");
    let mut paths = Vec::new();
    for folder in ["kept", "faults"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap();
        paths.extend(files.map(|file| file.unwrap().path()));
    }
    paths.sort();
    let tally = over(paths.len(), |i| {
        let name = paths[i].strip_prefix(&root).unwrap().display().to_string();
        let source = written(&name, &std::fs::read_to_string(&paths[i]).unwrap());
        (name, source, Dice::new(SEED))
    });
    assert_eq!((tally.files, tally.not_loaded), (paths.len(), 0), "a file of the corpus is refused by its tool");
    let may_not = |name: &&String| name.starts_with("kept/") || name.contains("equal-");
    let refused: Vec<_> = tally.refused.iter().filter(may_not).collect();
    assert!(refused.is_empty(), "these can be said, and are refused: {refused:#?}");
    let closing: Vec<_> = tally.closing.iter().filter(|name| name.contains("equal-")).collect();
    assert!(closing.is_empty(), "these can be said, and more is denied: {closing:#?}");
    tally.opens_nothing();
    let otherwise = tally.listed_otherwise.iter().filter_map(|text| text.split_once(',')).map(|(name, _)| name);
    let named = paths.iter().filter_map(|path| path.strip_prefix(&root).unwrap().to_str());
    let named = named.filter(|name| name.contains("listed-otherwise"));
    assert_eq!(BTreeSet::from_iter(otherwise), named.collect(), "files that their tools list as other ones");
}

/// A file by hand: NAME.VIEW.FAMILIES.TOOL, with what other programs do to the rules in comments `#nft` and `#later`, and how
/// it is imported in others.
fn written(name: &str, text: &str) -> Source {
    let parts: Vec<_> = name.rsplit('.').collect();
    let [ending, families, view, _] = parts.as_slice() else { panic!("{name}: expected NAME.VIEW.FAMILIES.TOOL") };
    let (v4, v6) = (*families != "v6", *families != "v4");
    let comments = |mark: &str| text.lines().filter_map(|line| line.strip_prefix(mark)).collect::<Vec<_>>().join("\n");
    Source {
        tool: match (*ending, *families) {
            ("nft", _) => Tool::Nft,
            ("save", "v6") => Tool::Ip6tables,
            _ => Tool::Iptables,
        },
        text: text.to_owned(),
        view: if *view == "router" { View::Router } else { View::Host },
        ips: locals(v4, v6),
        names_uplink: !text.contains("#no uplink"),
        tracked: ["state", "*nat", "ct ", "#tracked"].iter().any(|word| text.contains(word)),
        supported: name.starts_with("kept/"),
        accept_stateless: text.contains("#accept stateless"),
        before: comments("#nft "),
        given: None,
        later: comments("#later "),
    }
}

fn over(files: usize, make: impl Fn(usize) -> (String, Source, Dice) + Sync) -> Tally {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let (ended, ends) = mpsc::channel();
    let hands = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let ended = ended.clone();
            let (next, tally, hands, make) = (&next, &tally, &hands, &make);
            scope.spawn(move || {
                let hand = Hand { task: std::fs::read_link("/proc/thread-self").unwrap(), hands, ended };
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= files {
                        break;
                    }
                    hands.lock().unwrap().insert(hand.task.clone(), i);
                    let (name, source, mut dice) = make(i);
                    one(&name, source, &mut dice, tally);
                }
            });
        }
        watch(&ends, &hands, || {
            let (begun, seconds) = (next.load(Ordering::Relaxed).min(files), started.elapsed().as_secs());
            eprintln!("{begun} of {files} files, {seconds} s");
        });
    });
    let tally = tally.into_inner().unwrap();
    tally.tell(started);
    tally
}

/// A thread that judges files. When it ends, also by a panic, it says so.
struct Hand<'a> {
    /// In /proc.
    task: PathBuf,
    /// Which file each thread has in hand.
    hands: &'a Mutex<BTreeMap<PathBuf, usize>>,
    ended: mpsc::Sender<()>,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.task);
        self.ended.send(()).unwrap();
    }
}

/// Waits for all threads. A kernel that stumbles over a rule ends the thread that sent the frame without a word: that file is
/// named then, and the process ends, as nobody would wake those who wait for the thread.
fn watch(ends: &mpsc::Receiver<()>, hands: &Mutex<BTreeMap<PathBuf, usize>>, progress: impl Fn()) {
    let mut running = THREADS;
    while running > 0 {
        if ends.recv_timeout(WATCHED).is_ok() {
            running -= 1;
            continue;
        }
        progress();
        let hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
        let lost: Vec<_> = hands.iter().filter(|(task, _)| !Path::new("/proc").join(task).exists()).collect();
        if !lost.is_empty() {
            println!("the kernel ended threads that judged these files, see dmesg: {lost:?}");
            std::process::exit(1);
        }
    }
}

/// A file with only such lines as its tool takes.
fn judge(source: &mut Source, frames: &[Frame]) -> Outcome {
    for _ in 0..MOST_REFUSED {
        let outcome = source.judge(frames, Patience::None);
        let Outcome::NotLoaded(why) = &outcome else { return outcome };
        let Some(line) = refused_line(source.tool, why) else { return outcome };
        let mut lines: Vec<_> = source.text.lines().collect();
        if line == 0 || line > lines.len() || lines[line - 1] == "COMMIT" {
            return outcome;
        }
        lines.remove(line - 1);
        source.text = lines.join("\n") + "\n";
    }
    source.judge(frames, Patience::None)
}

/// "line N failed", "line: N", "/dev/stdin:N:".
fn refused_line(tool: Tool, why: &str) -> Option<usize> {
    let mark = if tool == Tool::Nft { "/dev/stdin:" } else { "line" };
    let rest = why.split(mark).nth(1)?.trim_start_matches([':', ' ']);
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn one(name: &str, mut source: Source, dice: &mut Dice, tally: &Mutex<Tally>) {
    let frames = probes::frames(&source, FRAMES, dice);
    let (imports, mut findings, mut sent) = match judge(&mut source, &frames) {
        Outcome::NotLoaded(why) => {
            let mut tally = tally.lock().unwrap();
            tally.not_loaded += 1;
            *tally.refusals.entry(format!("the tool: {}", why.lines().next().unwrap_or(""))).or_default() += 1;
            return;
        }
        Outcome::Judged { imports, findings, frames } => (imports, findings, frames),
    };
    let mut aside = once(&source, &frames, &imports, &mut findings);
    let mut listed = were_listed_otherwise(&source, &frames, &imports, &mut findings);
    if !source.later.is_empty() {
        // As the rules stood when they were read.
        let before = Source { later: String::new(), ..source.clone() };
        if let Outcome::Judged { imports, findings: mut also, frames: more } = before.judge(&frames, Patience::None) {
            sent += more;
            aside.extend(once(&before, &frames, &imports, &mut also));
            listed.extend(were_listed_otherwise(&before, &frames, &imports, &mut also));
            findings.iter_mut().zip(also).for_each(|(findings, also)| findings.extend(also));
        }
    }
    let mut told = Vec::new();
    for (import, findings) in imports.iter().zip(&findings) {
        let wider = findings.iter().find(|finding| finding.wider);
        let silent = findings.iter().find(|finding| import.is_fault(finding));
        if let Some(finding) = wider.or(silent) {
            let shown = {
                let mut tally = tally.lock().unwrap();
                tally.shown += 1;
                tally.shown <= MOST_SHOWN
            };
            let text = if shown { smallest(&source, import.spelling, &frames, *finding) } else { String::new() };
            told.push((finding.wider, format!("{name}, {}: {text}", import.spelling)));
        }
    }
    let mut tally = tally.lock().unwrap();
    tally.files += 1;
    tally.frames += sent;
    for (wider, text) in told {
        if wider { tally.wider.push(text) } else { tally.silent.push(text) }
    }
    tally.aside.extend(aside.into_iter().map(|text| format!("{name}, {text}")));
    tally.listed_otherwise.extend(listed.into_iter().map(|text| format!("{name}, {text}")));
    for (import, findings) in imports.iter().zip(&findings) {
        tally.count(&source, import, findings, sent);
        if import.result.is_err() && import.spelling != Spelling::NftListOfIptables {
            tally.refused.push(format!("{name}: {}", import.spelling));
        }
        if !import.names_alone && findings.iter().any(|finding| !finding.wider && finding.limit == Limit::None) {
            tally.closing.push(format!("{name}: {}", import.spelling));
        }
    }
}

/// A fault that comes each time counts, whatever made it, and one that was seen once is told and put aside.
pub fn only_what_comes_again() {
    let text = "table ip t {\n chain b0 {\n  type filter hook input priority 0; policy accept;\n }\n}\n";
    let opened = written("opened.host.v4.nft", text);
    // The kernel denies more than what was imported.
    let later = "add rule ip t b0 udp dport 53 drop".to_owned();
    let source = Source { later, ..opened };
    let of = |body| {
        let (src, dst) = ("198.51.100.7".parse().unwrap(), LOCALS[0].parse().unwrap());
        Frame { direction: Direction::Rx, src, dst, body }
    };
    let (denied, passing) = (of(Body::Udp(40000, 53)), of(Body::Udp(40000, 54)));
    let Outcome::Judged { imports, mut findings, .. } = source.judge(&[denied, passing], Patience::None) else {
        panic!("nft refuses a chain without rules");
    };
    let fault = |frame| Finding { wider: true, frame, step: 0, limit: Limit::None };
    assert_eq!(findings, [vec![fault(denied)]]);
    findings[0].push(fault(passing));
    let aside = once(&source, &[denied, passing], &imports, &mut findings);
    assert_eq!(findings, [vec![fault(denied)]]);
    assert!(aside.len() == 1 && aside[0].contains("Udp(40000, 54)"), "{aside:?}");
}

impl Tally {
    fn count(&mut self, source: &Source, import: &Imported, findings: &[Finding], sent: usize) {
        let supported = source.supported && !import.names_alone;
        let shares = self.shares.entry((import.spelling, supported)).or_default();
        shares.files += 1;
        match &import.result {
            Ok(read) if findings.iter().any(|finding| !finding.wider && finding.limit == Limit::None) => {
                shares.closes += 1;
                let rows = read.not_carried.iter().filter(|_| supported);
                let rows: BTreeSet<_> =
                    rows.map(|row| format!("{}: {}: {}", import.spelling, row.effect, row.reason)).collect();
                for row in rows.into_iter().filter(|row| !row.contains(&Effect::NoVerdict.to_string())) {
                    *self.losses.entry(row).or_default() += 1;
                }
            }
            Ok(_) => shares.equal += 1,
            Err(error) => {
                shares.refused += 1;
                let why = error.to_string();
                // Without the place and the text of the line.
                let why = why.split_once(": ").map_or(why.as_str(), |(_, rest)| rest);
                let kind = if supported { "supported" } else { "anything" };
                let why = format!("{kind}, {}: {}", import.spelling, why.chars().take(100).collect::<String>());
                *self.refusals.entry(why).or_default() += 1;
            }
        }
        if import.result.is_ok() {
            self.judgements += sent;
        }
    }

    fn tell(&self, started: Instant) {
        println!(
            "{} files judged by the kernel ({} more were refused by their tools), {} frames sent, {} judgements of imports, {} wider, \
             {} closed in silence, {:.0} s",
            self.files,
            self.not_loaded,
            self.frames,
            self.judgements,
            self.wider.len(),
            self.silent.len(),
            started.elapsed().as_secs_f64()
        );
        println!("{:28} {:10} {:>6} {:>7} {:>7} {:>7}", "spelling", "made of", "files", "equal", "closes", "refused");
        for ((spelling, supported), shares) in &self.shares {
            let Shares { files, equal, closes, refused } = shares;
            let percent = |part: &usize| format!("{:.1}%", *part as f64 * 100.0 / *files as f64);
            let made = if *supported { "supported" } else { "anything" };
            println!(
                "{spelling:28} {made:10} {files:>6} {:>7} {:>7} {:>7}",
                percent(equal),
                percent(closes),
                percent(refused)
            );
        }
        let mut refusals: Vec<_> = self.refusals.iter().collect();
        refusals.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        for (why, times) in refusals.iter().take(20) {
            println!("refused {times:4} times: {why}");
        }
        for (row, times) in &self.losses {
            println!("lost {times:4} times: {}", row.chars().take(200).collect::<String>());
        }
        println!("{} first findings did not come again", self.aside.len());
        println!("{} imports are right about a listing that is not what was loaded", self.listed_otherwise.len());
        self.aside.iter().for_each(|text| println!("\nNOT AGAIN {text}"));
        self.listed_otherwise.iter().for_each(|text| println!("\nLISTED OTHERWISE {text}"));
        self.wider.iter().for_each(|text| println!("\nWIDER {text}"));
        self.silent.iter().for_each(|text| println!("\nSILENT {text}"));
    }

    fn opens_nothing(&self) {
        assert!(self.wider.is_empty(), "{} imports open more than the kernel passes", self.wider.len());
        assert!(self.silent.is_empty(), "{} imports close more and do not say so", self.silent.len());
    }

    fn imports_what_is_supported(&self) {
        for ((spelling, supported), shares) in &self.shares {
            let whole = shares.files - shares.refused - shares.closes;
            assert!(
                !supported || whole * 100 >= shares.files * 95,
                "{spelling}: {whole} of {} files of supported things alone are imported wholly, fewer than 95 of a hundred",
                shares.files
            );
        }
    }
}

/// Takes lines and words out while the fault stays, and shows what is left.
fn smallest(source: &Source, spelling: Spelling, frames: &[Frame], finding: Finding) -> String {
    // The frame alone shows it, unless earlier ones used something up.
    let own: Vec<_> = frames.iter().copied().filter(|frame| opens(frame, &finding)).collect();
    let mut frames = if own.is_empty() { frames.to_vec() } else { own };
    let mut source = source.clone();
    if shows(&source, spelling, &frames, finding.wider).is_none() {
        frames = probes::frames(&source, FRAMES, &mut Dice::new(1));
    }
    let mut tries = 0;
    // Each cut is tried at the place where the last one was taken.
    let mut at = 0;
    while tries < MOST_TRIES {
        let Some(cut) = cuts(&source.text).into_iter().nth(at) else { break };
        // A set that changes in time must stay one.
        let flags = |text: &str| text.matches("flags").count();
        if !source.later.is_empty() && flags(&cut) != flags(&source.text) {
            at += 1;
            continue;
        }
        tries += 1;
        let smaller = Source { text: cut, ..source.clone() };
        match shows(&smaller, spelling, &frames, finding.wider) {
            Some(_) => source = smaller,
            None => at += 1,
        }
    }
    let mut text = format!(
        "seen on {:?}\n{:?}, uplink named: {}, tracked: {}\n",
        finding.frame, source.view, source.names_uplink, source.tracked
    );
    let _ = writeln!(text, "{}", source.text);
    if !source.later.is_empty() {
        let _ = writeln!(text, "later: {}", source.later);
    }
    match shows(&source, spelling, &frames, finding.wider) {
        Some((import, finding)) => {
            let _ = writeln!(text, "step {} of {:?}", finding.step, finding.frame);
            let Ok(read) = &import.result else { return text };
            let rules = read.yaml.lines().filter(|line| line.starts_with("    - "));
            rules.for_each(|rule| text += &format!("{rule}\n"));
            read.not_carried.iter().for_each(|row| text += &format!("{row}\n"));
        }
        None => {
            let _ = writeln!(text, "(seen once, and not again: {finding:?})");
        }
    }
    text
}

fn opens(frame: &Frame, finding: &Finding) -> bool {
    match finding.step {
        0 => *frame == finding.frame,
        step => frame.conversation().is_some_and(|steps| steps[step] == finding.frame),
    }
}

fn shows(source: &Source, spelling: Spelling, frames: &[Frame], wider: bool) -> Option<(Imported, Finding)> {
    let Outcome::Judged { imports, findings, .. } = source.judge(frames, Patience::None) else { return None };
    imports.into_iter().zip(findings).filter(|(import, _)| import.spelling == spelling).find_map(
        |(import, findings)| {
            let fault = |finding: &Finding| {
                finding.wider == wider
                    && import.is_fault(finding)
                    && !listed_otherwise(source, frames, &import, finding)
            };
            let found = findings.into_iter().find(fault)?;
            Some((import, found))
        },
    )
}

/// The text with one line less, and with one or two words of a line less.
fn cuts(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let without = |at: usize, line: Option<String>| {
        let mut left: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        match line {
            Some(line) => left[at] = line,
            None => drop(left.remove(at)),
        }
        left.join("\n") + "\n"
    };
    let mut cuts: Vec<_> = (0..lines.len()).rev().map(|at| without(at, None)).collect();
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        if words.len() < 4 {
            continue;
        }
        for (from, len) in (0..words.len()).flat_map(|from| [(from, 2), (from, 1), (from, 3)]) {
            let left = words.iter().enumerate().filter(|(i, _)| *i < from || *i >= from + len).map(|(_, word)| *word);
            cuts.push(without(at, Some(left.collect::<Vec<_>>().join(" "))));
        }
    }
    cuts
}
