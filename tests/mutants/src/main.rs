//! Breaks the code in one place at a time and asks the tests whether they notice.
//!
//! Every mutant of the rooms is listed ([`find`]), a seed draws from the list in proportion to rooms ([`draw`]), all that are
//! drawn go into one copy of the tree behind a switch ([`weave`], [`tree`]), each test of the rooms' suites is run once to see
//! which mutants it reaches, and then each mutant is switched on for the tests that reach it ([`run`]). What survives is
//! explained in `survivors.txt`, or is a defect of the tests.

mod draw;
mod find;
mod log;
mod modules;
mod report;
mod rooms;
mod run;
mod tree;
mod weave;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::draw::Urn;
use crate::find::Mutant;
use crate::log::Log;
use crate::report::{Count, Explained};
use crate::rooms::{Package, ROOMS, Room};
use crate::run::{Fate, Test};
use crate::tree::{BuildError, Program, Tree};

/// Breaks the code in one place at a time and asks the tests whether they notice.
#[derive(Parser)]
struct Options {
    /// How many mutants are drawn.
    #[arg(long, default_value_t = 600)]
    count: usize,
    /// What draws them; a random one if none is given. It is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Rooms to draw from, all if none is given.
    #[arg(long, value_name = "NAME")]
    room: Vec<String>,
    /// Test processes at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only counts the mutants of each room.
    #[arg(long)]
    list: bool,
    /// Names every mutant of the rooms, and tries none.
    #[arg(long)]
    names: bool,
    /// A log of an earlier run: what it has found is not tried again, what survived is.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Where the copy of the tree is kept, and the log of the run: `fates.txt`, a line a mutant, written as it is tried.
    #[arg(long, default_value = "target/mutants")]
    out: PathBuf,
}

/// Mutants that tests must find, in hundredths.
const GOAL: usize = 90;

fn main() -> ExitCode {
    match work(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(said) => {
            eprintln!("mutants: {said}");
            ExitCode::FAILURE
        }
    }
}

/// True if enough are found and every survivor is explained.
fn work(options: &Options) -> Result<bool, String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let repository = repository.canonicalize().map_err(|error| format!("{}: {error}", repository.display()))?;
    let chosen = choose_rooms(&options.room)?;
    let all = list(&repository, &chosen)?;
    if options.names {
        all.mutants.iter().for_each(|mutant| println!("{mutant}"));
    }
    if options.list || options.names {
        return Ok(true);
    }
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed}");
    let numbers: Vec<Vec<usize>> = (0..chosen.len())
        .map(|room| (0..all.mutants.len()).filter(|&number| all.room[number] == room).collect())
        .collect();
    let mut urns = draw::draw(&numbers, options.count, seed);
    fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let out = options.out.canonicalize().map_err(|error| format!("{}: {error}", options.out.display()))?;
    let tree = Tree::copy(&repository, &out)?;
    let programs = build(&repository, &tree, &chosen, &all, &mut urns)?;
    let tests = watch(&programs, &chosen, &out)?;
    let known = options.known.as_ref().map(|file| read(file)).transpose()?.unwrap_or_default();
    let log = Log::create(&out.join("fates.txt"), &known, seed)?;
    let fates = judge(&programs, &tests, &chosen, &all, &urns, options.jobs, &log)?;
    let file = repository.join("tests/mutants/survivors.txt");
    let explained = Explained::parse(&read(&file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(tell(&chosen, &all, &fates, &explained))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn choose_rooms(names: &[String]) -> Result<Vec<&'static Room>, String> {
    if let Some(name) = names.iter().find(|name| !ROOMS.iter().any(|room| room.name == **name)) {
        let known: Vec<_> = ROOMS.iter().map(|room| room.name).collect();
        return Err(format!("there is no room {name}; there are {}", known.join(", ")));
    }
    Ok(ROOMS.iter().filter(|room| names.is_empty() || names.iter().any(|name| name == room.name)).collect())
}

/// Every mutant, with the index of its room among the chosen ones.
struct All {
    mutants: Vec<Mutant>,
    room: Vec<usize>,
    files: Vec<PathBuf>,
    texts: BTreeMap<PathBuf, (String, Package)>,
}

fn list(repository: &Path, chosen: &[&Room]) -> Result<All, String> {
    let mut all = All { mutants: Vec::new(), room: Vec::new(), files: Vec::new(), texts: BTreeMap::new() };
    println!("{:<10} {:>6} {:>8} {:>9}", "room", "files", "mutants", "constant");
    for (index, room) in chosen.iter().enumerate() {
        let (mut files, mut constant, before) = (0, 0, all.mutants.len());
        for file in modules::files_of(&repository.join(room.package.root()))? {
            let file = file.strip_prefix(repository).map_err(|error| error.to_string())?.to_owned();
            if !room.paths.iter().any(|path| file.starts_with(path)) {
                continue;
            }
            let text =
                fs::read_to_string(repository.join(&file)).map_err(|error| format!("{}: {error}", file.display()))?;
            let found = find::find(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
            files += 1;
            constant += found.constant;
            all.room.extend(found.mutants.iter().map(|_| index));
            all.mutants.extend(found.mutants);
            all.files.push(file.clone());
            all.texts.insert(file, (text, room.package));
        }
        println!("{:<10} {files:>6} {:>8} {constant:>9}", room.name, all.mutants.len() - before);
    }
    println!("{:<10} {:>6} {:>8}", "all", all.files.len(), all.mutants.len());
    Ok(all)
}

/// Weaves and builds until all that are drawn compile; what does not is put away and another is drawn.
fn build(
    repository: &Path,
    tree: &Tree,
    chosen: &[&Room],
    all: &All,
    urns: &mut [Urn],
) -> Result<Vec<Program>, String> {
    let names: BTreeSet<&str> = chosen.iter().flat_map(|room| room.suites).map(|suite| suite.target).collect();
    let names: BTreeSet<&str> = names
        .into_iter()
        .filter(|name| matches!(*name, "nicfw" | "nicfw_model") || has_target(repository, name))
        .collect();
    let mut refused = 0;
    let mut checked = false;
    loop {
        let mut drawn: BTreeMap<&Path, Vec<(usize, &Mutant)>> = BTreeMap::new();
        let mut numbers: Vec<usize> = urns.iter().flat_map(|urn| urn.drawn().iter().copied()).collect();
        numbers.sort_unstable();
        for number in numbers {
            let mutant = &all.mutants[number];
            drawn.entry(&mutant.file).or_default().push((number, mutant));
        }
        let woven: BTreeMap<PathBuf, weave::Woven> = drawn
            .into_iter()
            .map(|(file, mutants)| {
                let (text, package) = &all.texts[file];
                (file.to_owned(), weave::weave(text, &mutants, package.switch()))
            })
            .collect();
        tree.weave(repository, &all.files, &woven)?;
        match tree.build(&names, !checked) {
            Ok(programs) if checked => {
                println!("{refused} drawn mutants do not compile; others were drawn for them");
                return Ok(programs);
            }
            Ok(_) => checked = true,
            Err(BuildError::Other(said)) => return Err(said),
            Err(BuildError::Refused(places)) => {
                let blamed: BTreeSet<usize> =
                    places.iter().filter_map(|(file, place)| woven.get(file)?.blamed(place.clone())).collect();
                if blamed.is_empty() {
                    return Err(format!("no mutant stands where the compiler complains: {places:?}"));
                }
                eprintln!("{} mutants do not compile", blamed.len());
                for number in blamed {
                    refused += usize::from(urns.iter_mut().any(|urn| urn.put_away(number)));
                }
            }
        }
    }
}

/// True if the repository has a test target of that name; that of a folder within another one is `outer-inner`.
fn has_target(repository: &Path, name: &str) -> bool {
    let tests = repository.join("tests");
    tests.join(format!("{name}.rs")).is_file() || tests.join(name.replace('-', "/")).join("main.rs").is_file()
}

fn bar(len: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {pos}/{len} {bar:30} {elapsed}, {eta} left {msg}");
    let bar = ProgressBar::new(len as u64).with_prefix(what.to_owned());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Runs each test of the suites once, without a mutant.
fn watch(programs: &[Program], chosen: &[&Room], out: &Path) -> Result<Vec<Test>, String> {
    let mut wanted = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        for name in run::names(program)? {
            if chosen.iter().any(|room| run::holds(room.suites, &program.name, &name)) {
                wanted.push((number, name));
            }
        }
    }
    let bar = bar(wanted.len(), "tests");
    let mut tests = Vec::new();
    for (number, name) in wanted {
        bar.set_message(name.clone());
        tests.push(run::watch(&programs[number], number, &name, out)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!(
        "{} tests reach mutants, in {:.0?}",
        tests.len(),
        tests.iter().map(|test| test.takes).sum::<std::time::Duration>()
    );
    Ok(tests)
}

fn judge(
    programs: &[Program],
    tests: &[Test],
    chosen: &[&Room],
    all: &All,
    urns: &[Urn],
    jobs: usize,
    log: &Log,
) -> Result<BTreeMap<usize, Fate>, String> {
    let queue: Mutex<Vec<usize>> = Mutex::new(urns.iter().flat_map(|urn| urn.drawn().iter().copied()).rev().collect());
    let fates = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(None);
    let bar = bar(urns.iter().map(|urn| urn.drawn().len()).sum(), "mutants");
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(number) = queue.lock().ok().and_then(|mut queue| queue.pop()) {
                    let suites = chosen[all.room[number]].suites;
                    let own: Vec<&Test> = tests
                        .iter()
                        .filter(|test| run::holds(suites, &programs[test.program].name, &test.name))
                        .collect();
                    let mutant = &all.mutants[number];
                    let judged = match log.found_before(mutant) {
                        Some(fate) => Ok(fate),
                        None => run::judge(programs, &own, number),
                    };
                    match judged.and_then(|fate| log.note(mutant, &fate).map(|()| fate)) {
                        Ok(fate) => {
                            if let Fate::Survived { tests } = &fate {
                                bar.println(format!("survives {tests} tests: {mutant}"));
                            }
                            if let Ok(mut fates) = fates.lock() {
                                fates.insert(number, fate);
                            }
                        }
                        Err(said) => {
                            if let Ok(mut failed) = failed.lock() {
                                *failed = Some(said);
                            }
                            return;
                        }
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    if let Some(said) = failed.into_inner().map_err(|error| error.to_string())? {
        return Err(said);
    }
    fates.into_inner().map_err(|error| error.to_string())
}

/// Prints the survivors and the table; true if enough are found and every survivor is explained.
fn tell(chosen: &[&Room], all: &All, fates: &BTreeMap<usize, Fate>, explained: &Explained) -> bool {
    let mut counts = vec![Count::default(); chosen.len()];
    let mut whole = Count::default();
    let mut rows = Vec::new();
    for (&number, fate) in fates {
        let mutant = &all.mutants[number];
        let why = explained.why(mutant);
        counts[all.room[number]].add(fate, why.is_some());
        whole.add(fate, why.is_some());
        if matches!(fate, Fate::Survived { .. }) && why.is_none() {
            rows.push(report::row(mutant));
        }
    }
    if !rows.is_empty() {
        println!("\nsurvivors without a row in tests/mutants/survivors.txt:");
        rows.iter().for_each(|row| println!("{row}"));
    }
    println!("\n{:<10} {:>6} {:>6} {:>9} {:>11} {:>5}", "room", "tried", "found", "explained", "unexplained", "share");
    for (room, count) in chosen.iter().zip(&counts) {
        line(room.name, *count);
    }
    line("all", whole);
    whole.share() >= GOAL && whole.unexplained() == 0
}

fn line(name: &str, count: Count) {
    println!(
        "{name:<10} {:>6} {:>6} {:>9} {:>11} {:>4}%",
        count.tried,
        count.found,
        count.explained,
        count.unexplained(),
        count.share()
    );
}
