//! `nicfw demo`: the firewall at work, on the emulated adapter.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use nicfw::terms::{MacAddr, Verdict};

use crate::args;
use crate::demo::cast::{Party, Place};
use crate::demo::exchange::Lab;
use crate::demo::flows::{Flow, flows};
use crate::demo::memory::Memory;
use crate::demo::net::{EndpointError, Network};
use crate::demo::report::{DemoReport, ExtraReport};
use crate::demo::run::Run;
use crate::demo::screen::screen;
use crate::emulated::Emulated;
use crate::failure::{Exit, Failure};
use crate::output::{Progress, Report};
use crate::usage::usage;

const NOT_SHOWN: [&str; 3] = [
    "a real adapter. How its rules engine looks entries up is not published; what is assumed is tested on the model",
    "SR-IOV, MACVLAN and switches: every cable here ends at the adapter",
    "throughput and latency: this adapter is software",
];
const REAL: &str = "Real TCP, UDP and ICMP between Linux network namespaces, over TAP devices";
const IN_PROCESS: &str = "IN PROCESS: frames made in memory, no kernel's network stack is part of it";
/// Seeds of the shuffled lookup orders that `--all` tries.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

/// Runs the demo.
///
/// # Errors
/// The machine forbids it, or the adapter refuses what it should take. Nothing is left behind.
pub fn run(args: &args::Demo) -> Result<Report, Failure> {
    let flows = flow_list(args.contradict)?;
    let macs = host_macs();
    let mut adapter = if args.over_socket { Emulated::over_socket(&macs)? } else { Emulated::new(&macs)? };
    // Before anything that may start a thread: a process with two threads gets no user namespace.
    let mut network = if args.in_process { None } else { Some(Network::start(adapter.switch()).map_err(forbidden)?) };
    let mut progress = Progress::new();
    let mut memory = Memory::new(adapter.switch());
    let (lab, mode): (&mut dyn Lab, _) = match &mut network {
        Some(network) => (network, REAL),
        None => (&mut memory, IN_PROCESS),
    };
    let mut course = Run::new(lab, &mut adapter, &flows, &mut progress);
    let (outcome, observations) = course.off_and_on()?;
    let change = course.change(&observations)?;
    let extras = if args.all { extras(&flows, &mut progress)? } else { Vec::new() };
    drop(progress);
    let pass = outcome.flows.iter().all(|flow| flow.wrong.is_empty())
        && change.good()
        && extras.iter().all(|extra| extra.wrong.is_empty());
    let report = DemoReport {
        emulated: true,
        mode,
        adapter: adapter.info().map(|info| info.to_string()).unwrap_or_default(),
        flows: outcome.flows,
        entries: outcome.entries,
        change,
        openings: adapter.compiled().map(crate::flows::openings).unwrap_or_default(),
        usage: adapter.compiled().map(usage).unwrap_or_default(),
        extras,
        pass,
        not_shown: NOT_SHOWN.to_vec(),
    };
    let exit = if report.pass { Exit::Done } else { Exit::Differs };
    let report = if args.output.json { Report::json(&report, exit)? } else { Report { text: screen(&report), exit } };
    match &network {
        Some(network) if args.keep => keep(network, report),
        _ => Ok(report),
    }
}

/// The MACs of the adapter's functions, in the order of their numbers.
fn host_macs() -> Vec<MacAddr> {
    let mut functions: Vec<(Place, MacAddr)> = Party::ALL.iter().map(|party| (party.place(), party.mac())).collect();
    functions.retain(|(place, _)| *place != Place::Wire);
    functions.sort();
    functions.into_iter().map(|(_, mac)| mac).collect()
}

fn flow_list(contradict: Option<usize>) -> Result<Vec<Flow>, Failure> {
    let mut flows = flows();
    if let Some(number) = contradict {
        let last = flows.len();
        let flow = number.checked_sub(1).and_then(|i| flows.get_mut(i));
        let unknown = || Failure::usage(format!("nicfw: no flow {number}; expected 1 to {last}; see: nicfw demo"));
        let flow = flow.ok_or_else(unknown)?;
        flow.expect = if flow.expect == Verdict::Allow { Verdict::Deny } else { Verdict::Allow };
    }
    Ok(flows)
}

/// The same flows in memory, over models that look their tables up in other orders.
fn extras(flows: &[Flow], progress: &mut Progress) -> Result<Vec<ExtraReport>, Failure> {
    let mut extras = Vec::new();
    for seed in [None].into_iter().chain(SEEDS.map(Some)) {
        let mut adapter = Emulated::with_order(&host_macs(), seed.unwrap_or(0))?;
        let mut memory = Memory::new(adapter.switch());
        let (outcome, _) = Run::new(&mut memory, &mut adapter, flows, progress).off_and_on()?;
        let wrong = outcome.flows.iter().filter(|flow| !flow.wrong.is_empty()).map(|flow| flow.number).collect();
        let what = match seed {
            None => "frames in memory".to_owned(),
            Some(seed) => format!("frames in memory, lookup order shuffled with seed {seed}"),
        };
        extras.push(ExtraReport { what, flows: flows.len(), wrong });
    }
    Ok(extras)
}

/// Prints the report and leaves the namespaces and the adapter running until Enter, or the end of standard input.
fn keep(network: &Network, report: Report) -> Result<Report, Failure> {
    let mut text = report.text;
    text.push_str("\nKept until you press Enter. A shell in each namespace, from another terminal:\n");
    for (party, command) in network.ways_in() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<9} {command}", party.name());
    }
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()?;
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(Report { text: String::new(), exit: report.exit })
}

fn forbidden(error: EndpointError) -> Failure {
    Failure::usage(format!("demo: {error}; or run `nicfw demo --in-process`, which makes the frames in memory"))
}
