//! `nicfw counters`: what the emulated adapter counts while a capture goes through it.

use nicfw::tables::{Compiled, CounterSlot, OriginId};
use serde::Serialize;

use super::common::{document, load};
use super::replay::{self, play_file};
use crate::args::Replay;
use crate::entries;
use crate::failure::{Exit, Failure};
use crate::output::{Report, table, text};

#[derive(Serialize)]
struct CountersReport {
    frames: usize,
    /// Of these, such as cannot be judged and are not counted: the capture does not hold enough of them.
    unjudged: usize,
    counters: Vec<CounterReport>,
}

#[derive(Serialize)]
struct CounterReport {
    /// Place of the counter, from 0.
    counter: u32,
    /// Whose entries count with it.
    container: Option<String>,
    /// What is counted: a base entry, or the places of rules.
    counts: String,
    rx: u64,
    tx: u64,
}

pub fn run(args: &Replay) -> Result<Report, Failure> {
    let (mut adapter, _) = load(&document(&args.policy)?)?;
    let frames = play_file(&adapter, &args.pcap)?;
    let unjudged = frames.iter().filter(|played| played.unjudged().is_some()).count();
    let counts = adapter.counts()?;
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    let counters = compiled.counter_slots().iter().map(|(counter, slot)| {
        let value = counts.get(counter).copied().unwrap_or_default();
        let (container, counts) = (slot.container.clone(), subject(slot, compiled));
        CounterReport { counter: counter.0, container, counts, rx: value.rx, tx: value.tx }
    });
    let report = CountersReport { frames: frames.len(), unjudged, counters: counters.collect() };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    let mut table = table(["counter", "container", "counts", "rx", "tx"]);
    for line in &report.counters {
        let container = line.container.clone().unwrap_or_default();
        let [number, rx, tx] = [u64::from(line.counter), line.rx, line.tx].map(|number| number.to_string());
        table.add_row([number, container, line.counts.clone(), rx, tx]);
    }
    let unjudged = replay::unjudged(&frames).map(|unjudged| format!(" ({unjudged})")).unwrap_or_default();
    Ok(Report::done(format!("EMULATED adapter, {} frames{unjudged}:\n\n{}\n", frames.len(), text(&table))))
}

fn subject(slot: &CounterSlot, compiled: &Compiled) -> String {
    if let Some(base) = &slot.base {
        return entries::matches(base, compiled.image());
    }
    let mut places: Vec<String> = Vec::new();
    for OriginId(id) in slot.rx.iter().chain(&slot.tx) {
        let place = compiled.origin(OriginId(*id)).map(|source| source.origin.to_string());
        places.extend(place.filter(|place| !places.contains(place)));
    }
    places.join(" ")
}
