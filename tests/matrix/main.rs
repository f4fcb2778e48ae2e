//! The fault matrix: every command, doorbell and write of every kind of change meets every fault, and what was promised of
//! changes is looked at after each command and after each end.
//!
//! The sentences, for every judgement that the oracle looks at (the reference evaluator says what each document admits):
//!
//! 1. Nothing passes that neither the old nor the new policy admits.
//! 2. Nothing is dropped that both admit, but for containers that the plan announced as closed. While an adapter is taken
//!    over or recovered everything may be dropped.
//! 3. What an error says is there is there: *unchanged*, *closed*, or *unknown* until recovery.
//! 4. After a restart the adapter holds the old policy or the new one, and the new one if the change was acknowledged.
//! 5. The change can be made then, and leaves no entry that the image does not have.
//!
//! Where the management controller reboots, the adapter comes back with what was committed last. If that is older than the
//! old policy, or nothing at all (then the tables are empty), sentence 1 cannot hold until somebody notices, and is not
//! looked at.
//!
//! A walk (`wander.rs`) does many such changes in a row; `tests/long/matrix` takes a million steps of it.
//!
//! `NICFW_MATRIX=WORKLOAD` runs one workload, and says what each cell showed that failed.

mod assumptions;
mod cells;
mod counts;
mod run;
mod wander;
mod witness;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cells::{Wrong, cells};
use counts::Counts;
use nicfw_model::engines::rules::EngineConfig;
use nicfw_test_kit::faults::workloads;
use world::Prepared;

const COUNTS: &str = include_str!("counts.txt");

#[test]
fn every_fault_ends_as_promised() {
    let only = std::env::var("NICFW_MATRIX").ok();
    let prepared: Vec<Prepared> = workloads::workloads()
        .into_iter()
        .filter(|workload| only.as_deref().is_none_or(|only| workload.name == only))
        .map(Prepared::new)
        .collect();
    let all: Vec<(&Prepared, Wrong)> =
        prepared.iter().flat_map(|prepared| cells(prepared).into_iter().map(move |wrong| (prepared, wrong))).collect();
    let (next, shown) = (AtomicUsize::new(0), Mutex::new((Counts::default(), Vec::new(), 0)));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((prepared, wrong)) = all.get(at) else { break };
            let name = prepared.workload.name;
            let seed = at as u64 % 5;
            let ran = run::run(prepared, wrong, EngineConfig { seed, ..EngineConfig::profile0() });
            let mut shown = shown.lock().expect("no cell panics");
            match ran {
                Ok(ran) if ran.fired => {
                    shown.0.add(name, wrong.kind());
                    shown.2 += ran.looks;
                }
                Ok(_) if matches!(wrong, Wrong::Full { .. } | Wrong::Probe { .. }) => {}
                Ok(_) => shown.1.push(format!("{name}, {wrong:?}: it never happened")),
                Err(error) => shown.1.push(format!("{name}, {wrong:?}, seed {seed}: {error}")),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (counts, failed, looks) = shown.into_inner().expect("no cell panics");
    println!("{} cells, {} happened, {looks} looks", all.len(), counts.sum());
    println!("{}", counts.table());
    for line in failed.iter().take(30) {
        println!("{line:.600}");
    }
    assert!(failed.is_empty(), "{} cells failed", failed.len());
    if only.is_some() {
        return;
    }
    if std::env::var_os("NICFW_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix/counts.txt"), counts.write())
            .expect("written");
        return;
    }
    let fallen = counts.fallen(&Counts::read(COUNTS));
    assert!(fallen.is_empty(), "{fallen:#?}");
    assert_eq!(counts, Counts::read(COUNTS), "more cells than written down: NICFW_BLESS=1 writes them down");
}

#[test]
fn the_documents_tell_these_counts() {
    let page = include_str!("../../docs/changes.md");
    let (from, to) = (page.find("fault matrix (`tests/matrix`)"), page.find("with those that nothing happens to"));
    let section = &page[from.expect("a section")..to.expect("its sum")];
    let written = Counts::read(COUNTS);
    for (kind, count) in written.by_kind().into_iter().filter(|(kind, _)| *kind != "nothing") {
        let cell = format!("| {} ", counts::in_words(count));
        assert!(section.contains(&cell), "{kind}: {cell:?} is not in docs/changes.md");
    }
    assert!(section.contains(&format!("\n{} cells", counts::in_words(written.sum()))), "{}", written.sum());
}
