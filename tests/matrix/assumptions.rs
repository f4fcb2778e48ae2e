//! What breaks when the adapter is another than assumed: each opposite runs through the workloads, and the sentences that do
//! not hold then are compared with a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nicfw::tables::Assumption;
use nicfw_model::engines::rules::EngineConfig;
use nicfw_model::fault::FaultKind;

use crate::cells::{Wrong, extent, middle};
use crate::run::run;
use crate::witness::Death;
use crate::world::Prepared;

/// Why the opposite of an assumption breaks none of them.
const fn why_none(assumption: Assumption) -> &'static str {
    match assumption {
        Assumption::TableSizes => "what does not fit is refused, and the old content stays",
        Assumption::VersionIsContent => {
            "the hash that the journal holds is read after the last command, never computed"
        }
        Assumption::RebootClearsCounters => {
            "no verdict depends on a counter, and an override is set anew before it counts"
        }
        _ => "nobody knows why",
    }
}

const TABLE: &str = include_str!("assumptions.txt");

/// A few faults of a workload: in the middle of it, and none.
fn some(prepared: &Prepared) -> Vec<Wrong> {
    let extent = extent(prepared);
    let at = extent.commands / 2;
    let command = |kind| Wrong::Command { at, kind };
    vec![
        Wrong::Nothing,
        command(FaultKind::Hang { effect: true }),
        command(FaultKind::RebootAfter),
        Wrong::Killed(Death { call: middle(extent.calls), after: true }),
    ]
}

/// Sentence by sentence, in how many runs it was the first that broke.
fn broken(prepared: &[Prepared], assumption: Assumption) -> BTreeMap<u8, u64> {
    let mut out = BTreeMap::new();
    for prepared in prepared {
        for wrong in some(prepared) {
            for seed in 0..2 {
                let config = EngineConfig { seed, opposite: vec![assumption], ..EngineConfig::profile0() };
                if let Err(error) = run(prepared, &wrong, config) {
                    *out.entry(error.sentence).or_default() += 1;
                }
            }
        }
    }
    out
}

#[test]
fn each_opposite_assumption_breaks_the_sentences_that_the_table_names() {
    let prepared: Vec<Prepared> =
        nicfw_test_kit::faults::workloads::workloads().into_iter().map(Prepared::new).collect();
    let mut table = "# What breaks first when an assumption does not hold: sentence x runs of the matrix.\n".to_owned();
    for assumption in Assumption::ALL {
        let broken = broken(&prepared, assumption);
        let cells: Vec<String> = broken.iter().map(|(sentence, runs)| format!("{sentence} x {runs}")).collect();
        let nothing = || format!("none: {}", why_none(assumption));
        let cells = if cells.is_empty() { nothing() } else { cells.join(", ") };
        writeln!(table, "{assumption:?}: {cells}").expect("a string");
    }
    println!("{table}");
    if std::env::var_os("NICFW_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix/assumptions.txt");
        std::fs::write(path, &table).expect("the table is written");
        return;
    }
    assert_eq!(table, TABLE, "NICFW_BLESS=1 writes the table anew");
}
