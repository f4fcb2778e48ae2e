//! How many cells of each kind have run: counted, compared with the counts that are written down, and printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Runs by workload and kind of fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(String, String), u64>);

impl Counts {
    pub fn add(&mut self, workload: &str, kind: &str) {
        *self.0.entry((workload.to_owned(), kind.to_owned())).or_default() += 1;
    }

    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    /// What is written down: one line a count.
    pub fn read(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.split(" | ");
            let (workload, kind) = (fields.next()?.to_owned(), fields.next()?.to_owned());
            Some(((workload, kind), fields.next()?.parse().ok()?))
        };
        Self(text.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect())
    }

    pub fn write(&self) -> String {
        let mut out =
            "# Cells of the fault matrix that happened: workload | fault | count. They never fall.\n".to_owned();
        for ((workload, kind), count) in &self.0 {
            writeln!(out, "{workload} | {kind} | {count}").expect("a string");
        }
        out
    }

    /// The counts that are smaller than those written down.
    pub fn fallen(&self, written: &Self) -> Vec<String> {
        let of = |key| self.0.get(key).copied().unwrap_or_default();
        let fallen = written.0.iter().filter(|(key, was)| of(*key) < **was);
        fallen.map(|(key, was)| format!("{}, {}: {was} cells before, {} now", key.0, key.1, of(key))).collect()
    }

    /// Cells of each kind of fault, over all workloads.
    pub fn by_kind(&self) -> BTreeMap<&str, u64> {
        let mut out = BTreeMap::new();
        for ((_, kind), count) in &self.0 {
            *out.entry(kind.as_str()).or_default() += count;
        }
        out
    }

    /// Faults down, workloads across.
    pub fn table(&self) -> String {
        let workloads: BTreeSet<&str> = self.0.keys().map(|(workload, _)| workload.as_str()).collect();
        let kinds: BTreeSet<&str> = self.0.keys().map(|(_, kind)| kind.as_str()).collect();
        let mut out = format!("{:20}", "");
        workloads.iter().for_each(|workload| write!(out, "{workload:>13}").expect("a string"));
        out += "          all\n";
        for kind in kinds {
            let of =
                |workload: &&str| self.0.get(&((*workload).to_owned(), kind.to_owned())).copied().unwrap_or_default();
            write!(out, "{kind:20}").expect("a string");
            workloads.iter().for_each(|workload| write!(out, "{:13}", of(workload)).expect("a string"));
            writeln!(out, "{:13}", workloads.iter().map(of).sum::<u64>()).expect("a string");
        }
        out
    }
}

/// A number as docs/changes.md writes it.
pub fn in_words(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
