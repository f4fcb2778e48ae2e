//! The demo's report for people.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::report::{ChangeReport, CounterReport, DemoReport, FlowReport};
use crate::output::{judged, table, text};

const LEGEND: &str = "\
Each flow was tried with the firewall off, where it must arrive or a deny would prove nothing, and with it on.
counted: the entry of the adapter, and by how much its counter moved: exactly by the frames that were sent.

";

/// The whole screen.
pub fn screen(report: &DemoReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "EMULATED adapter: {}. {}.", report.adapter, report.mode);
    let _ = writeln!(
        out,
        "Each line was tried twice: with the firewall off it must arrive, or a deny would prove nothing.\n"
    );
    let _ = writeln!(out, "{}\n", flows(&report.flows));
    let _ = writeln!(out, "Entries that decided, as they stand in the adapter:");
    let _ = writeln!(out, "{}\n", entries(report));
    let _ = writeln!(out, "{}\n", change(&report.change));
    let _ = writeln!(out, "Judged without connection state, replies leave open what a stateful firewall would not:");
    for opening in &report.openings {
        let _ = writeln!(out, "  {opening}");
    }
    let _ = writeln!(out, "\nTables of the adapter:");
    let _ = writeln!(out, "{}", usage(report));
    for extra in &report.extras {
        let verdict = if extra.wrong.is_empty() { "as expected" } else { "WRONG" };
        let _ = writeln!(out, "Also run: {}: {} flows {verdict}{}", extra.what, extra.flows, numbers(&extra.wrong));
    }
    let _ = writeln!(out, "\n{}", verdict(report));
    for line in &report.not_shown {
        let _ = writeln!(out, "NOT SHOWN: {line}");
    }
    out
}

fn flows(flows: &[FlowReport]) -> String {
    let mut table = table(["#", "what is tried", "off", "policy", "on", "decided by", "counted"]);
    for flow in flows {
        let good = flow.wrong.is_empty();
        let arrived = |yes: bool| if yes { "arrives" } else { "stopped" };
        let mut counters: Vec<String> = flow.counters.iter().map(counter).collect();
        counters.extend(flow.wrong.iter().map(|wrong| format!("WRONG: {wrong}")));
        table.add_row([
            Cell::new(flow.number),
            Cell::new(flow.what),
            judged(arrived(flow.arrived_off), flow.arrived_off),
            Cell::new(flow.policy),
            judged(arrived(flow.arrived_on), good),
            Cell::new(&flow.why),
            judged(counters.join("\n"), good),
        ]);
    }
    text(&table)
}

/// As `E3 rx +5`: the entry's counter moved by 5, for as many frames.
fn counter(counter: &CounterReport) -> String {
    format!("{} {} +{}", counter.entry, counter.direction, counter.frames)
}

fn entries(report: &DemoReport) -> String {
    let mut table = table(["entry", "matches", "does"]);
    for entry in &report.entries {
        table.add_row([&entry.label, &entry.matches, &entry.action]);
    }
    text(&table)
}

fn change(change: &ChangeReport) -> String {
    let outcome = if change.good() { "only its flows changed" } else { "WRONG" };
    let tables = if change.tables_identical { "identical to before" } else { "WRONG: not as before" };
    format!(
        "Live change: {} taken out with {} commands: flows{} came out otherwise, {outcome}{}.\nPut back with {} commands: \
         tables {tables}.",
        change.rule,
        change.commands_out,
        numbers(&change.changed),
        if change.good() { String::new() } else { format!(" (should be{})", numbers(&change.expected)) },
        change.commands_back,
    )
}

fn usage(report: &DemoReport) -> String {
    let mut table = table(["table", "used", "of"]);
    for line in &report.usage {
        table.add_row([line.table.clone(), line.used.to_string(), line.size.to_string()]);
    }
    text(&table)
}

fn verdict(report: &DemoReport) -> String {
    let wrong: Vec<usize> = report.flows.iter().filter(|flow| !flow.wrong.is_empty()).map(|flow| flow.number).collect();
    if report.pass {
        format!(
            "PASS: {} flows, each as the policy says, each counted by the entry that decided it.",
            report.flows.len()
        )
    } else {
        format!("FAIL: flows{} are not as expected; see the lines marked WRONG.", numbers(&wrong))
    }
}

fn numbers(numbers: &[usize]) -> String {
    numbers.iter().map(|number| format!(" {number}")).collect()
}
