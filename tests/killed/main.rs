//! Processes that change the firewall and are killed with SIGKILL, while the adapter goes on judging.
//!
//! The adapter is the model, served by this process over a vfio-user socket; the journal is a file; what changes the
//! firewall is a process of its own (`process.rs`), which says on a socket what it begins and what it has done. The oracle
//! (`watch.rs`) judges packets at the corners of the documents again and again, before, while and after a process dies, and
//! compares with what the reference evaluator says of the documents that may be there:
//!
//! - A change that was acknowledged stays, and of one that was not the old or the new policy is there once the next process
//!   has attached.
//! - Nothing passes that neither of them admits; nothing is dropped that both admit, except while a process recovers a change
//!   that did not end.
//!
//! Frames go through the adapter meanwhile (`load.rs`): of those that every document denies none passes, of those of an
//! address that nobody has bound none is dropped, recovery or not.
//!
//! `NICFW_KILLS` and `NICFW_SEED` choose how many processes are killed at random moments, and which moments.

mod bench;
mod fuse;
mod load;
mod process;
mod watch;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use bench::Bench;
use fuse::{Call, Place, Task, When, places};
use nicfw::policy::Document;
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::faults::workloads::{Act, workloads};
use rustix::process::{Pid, Signal, kill_process};
use watch::Phase;

/// The document of every change of the fault matrix that binds the same containers; the first is what the others change.
pub fn documents() -> Vec<Document> {
    let same = |closed: &[&[u8]; 2]| closed.iter().all(|closed| closed.is_empty());
    let changes = workloads().into_iter().filter(|workload| workload.act == Act::Apply && same(&workload.closed));
    let mut out: Vec<Document> = Vec::new();
    for workload in changes.filter(|workload| !workload.new.contains("shop-3")) {
        for text in [&workload.old, &workload.new] {
            let document = Document::parse(text, "killed.yaml").unwrap_or_else(|e| panic!("{}: {e}", workload.name));
            if !out.contains(&document) {
                out.push(document);
            }
        }
    }
    out
}

#[test]
#[ignore = "the other tests start it"]
fn the_process_that_is_killed() {
    process::run();
}

/// Kills a process later.
fn kill_after(pid: u32, delay: Duration) -> thread::JoinHandle<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    thread::spawn(move || {
        thread::sleep(delay);
        kill_process(pid, Signal::KILL).expect("nobody has waited for it");
    })
}

#[test]
fn processes_are_killed_at_random_moments() {
    let number = |name: &str, other: u64| std::env::var(name).map_or(other, |text| text.parse().expect("a number"));
    let (kills, seed) = (number("NICFW_KILLS", 200), number("NICFW_SEED", 20_261_123));
    let mut dice = Dice::new(seed);
    let count = documents().len();
    let mut bench = Bench::new("random", seed);

    let load = bench.load();

    // How long the machine takes: attaching, a change.
    let start = Instant::now();
    bench.start(None);
    assert!(bench.attaches());
    let attaching = start.elapsed();
    let start = Instant::now();
    for document in 1..count {
        assert!(bench.changes("change", document));
    }
    let changing = start.elapsed() / u32::try_from(count).expect("few");
    bench.dismiss();

    let mut dead: BTreeMap<Phase, u64> = BTreeMap::new();
    for _ in 0..kills {
        let pid = bench.start(None);
        let part = |whole: Duration, dice: &mut Dice| whole.mul_f64(dice.below(1 << 20) as f64 / f64::from(1 << 20));
        let killer = match dice.below(8) {
            0 => kill_after(pid, part(attaching, &mut dice)),
            1 | 2 => {
                bench.until(|watch| matches!(watch.claim().phase, Phase::Attaching | Phase::Recovering));
                kill_after(pid, part(changing, &mut dice))
            }
            _ => {
                assert!(bench.attaches());
                let mut held = bench.watch.held().expect("it has attached");
                for _ in 0..40 {
                    held = (held + 1 + dice.below(count - 1)) % count;
                    bench.tell(&format!("change {held}"));
                }
                kill_after(pid, part(changing * 6, &mut dice))
            }
        };
        bench.until(|_| false);
        killer.join().expect("it kills");
        bench.buries();
        load.frames();
        *dead.entry(bench.watch.claim().phase).or_default() += 1;
    }
    bench.start(None);
    assert!(bench.attaches() && bench.changes("change", 1) && bench.changes("change", 0));
    bench.dismiss();
    let (watch, [denied, unbound]) = (&bench.watch, load.frames());
    println!("seed {seed}: {kills} processes killed: {dead:?}; {} changes acknowledged, none lost", watch.acknowledged);
    println!("{} looks, {} judgements of {} packets as promised", watch.looks, watch.judgements, watch.probes());
    println!(
        "{denied} frames that every document denies, none passed; {unbound} of an unbound address, none was dropped"
    );
    let enough = |phase| dead.get(&phase).copied().unwrap_or_default() >= kills / 20;
    assert!(enough(Phase::Changing) && enough(Phase::Recovering), "{dead:?}");
}

#[test]
fn processes_kill_themselves_around_every_write_sync_and_command() {
    let mut bench = Bench::new("around", 1);
    let mut cells: BTreeMap<String, u64> = BTreeMap::new();
    for (call, place) in places() {
        for (from, to) in [(0, 2), (2, 0), (0, 6), (6, 0)] {
            for number in 0.. {
                bench.start(Some(When { task: Task::Changing, call, number, place }));
                assert!(bench.attaches());
                if bench.watch.held() != Some(from) {
                    assert!(bench.changes("change", from));
                }
                if bench.changes("fatal", to) {
                    bench.dismiss();
                    assert!(number > 0, "the change has no such call");
                    break;
                }
                bench.buries();
                *cells.entry(format!("{place:?} {call:?}")).or_default() += 1;
            }
        }
    }
    println!("processes that killed themselves in a change: {cells:?}");
    println!("{} looks, {} judgements as promised", bench.watch.looks, bench.watch.judgements);
}

#[test]
fn processes_kill_themselves_while_they_recover() {
    let mut bench = Bench::new("recovering", 2);
    let mut cells: BTreeMap<String, u64> = BTreeMap::new();
    for (call, place) in places() {
        for number in 0.. {
            let half = When { task: Task::Changing, call: Call::Engine, number: 8, place: Place::After };
            bench.start(Some(half));
            assert!(bench.attaches());
            let to = if bench.watch.held() == Some(0) { 6 } else { 0 };
            assert!(!bench.changes("fatal", to), "the change has more commands");
            bench.buries();
            bench.start(Some(When { task: Task::Attaching, call, number, place }));
            if bench.attaches() {
                bench.dismiss();
                assert!(number > 0, "recovery has no such call");
                break;
            }
            bench.buries();
            *cells.entry(format!("{place:?} {call:?}")).or_default() += 1;
        }
    }
    println!("processes that killed themselves in a recovery: {cells:?}");
    println!("{} looks, {} judgements as promised", bench.watch.looks, bench.watch.judgements);
}
