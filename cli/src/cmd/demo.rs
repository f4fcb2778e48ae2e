//! `nicfw demo`: the firewall at work, on the emulated adapter.

use std::io;

use nicfw::tables::Verdict;

use crate::args;
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

const NOT_SHOWN: [&str; 3] = [
    "a real adapter: the rules engine's lookup order is not published, and what is assumed about it is tested by the model only",
    "SR-IOV, MACVLAN and switches: each container's interface is plugged into the adapter directly",
    "throughput and latency: the adapter is software here",
];

pub fn run(args: &args::Demo) -> Result<Report, Failure> {
    let flows = flow_list(args.contradict)?;
    let mut adapter = Emulated::fresh()?;
    // Before anything that may start a thread: a process with two threads gets no user namespace.
    let network = if args.in_process { None } else { Some(Network::start(adapter.switch()).map_err(forbidden)?) };
    let mut progress = Progress::new();
    let mode = if network.is_some() {
        "Real TCP, UDP and ICMP between Linux network namespaces, over TAP devices"
    } else {
        "IN PROCESS: frames made in memory, no kernel's network stack is part of it"
    };
    let mut memory = Memory::new(adapter.switch());
    let mut network = network;
    let lab: &mut dyn Lab = match &mut network {
        Some(network) => network,
        None => &mut memory,
    };
    let mut run = Run::new(lab, &mut adapter, &flows, &mut progress);
    let (outcome, observations) = run.off_and_on()?;
    let change = run.change(&observations)?;
    let pass = outcome.flows.iter().all(|flow| flow.wrong.is_empty()) && change.good();
    let report = DemoReport {
        emulated: true,
        mode,
        adapter: "x".into(),
        flows: outcome.flows,
        entries: outcome.entries,
        change,
        openings: vec![],
        usage: vec![],
        extras: vec![],
        pass,
        not_shown: NOT_SHOWN.to_vec(),
    };
    drop(progress);
    let exit = if report.pass { Exit::Done } else { Exit::Differs };
    if args.output.json { Report::json(&report, exit) } else { Ok(Report { text: screen(&report), exit }) }
}

fn flow_list(contradict: Option<usize>) -> Result<Vec<Flow>, Failure> {
    let mut flows = flows();
    if let Some(number) = contradict {
        let last = flows.len();
        let flow = number.checked_sub(1).and_then(|i| flows.get_mut(i));
        let flow = flow.ok_or_else(|| Failure::usage(format!("nicfw: no flow {number}; expected 1 to {last}")))?;
        flow.expect = if flow.expect == Verdict::Allow { Verdict::Deny } else { Verdict::Allow };
    }
    Ok(flows)
}

fn forbidden(error: EndpointError) -> Failure {
    Failure::usage(format!("demo: {error}; or run `nicfw demo --in-process`, which makes the frames in memory"))
}
