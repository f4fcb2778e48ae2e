//! The demo's report for people.

use std::fmt::Write as _;

use comfy_table::Cell;

use super::report::{ChangeReport, CounterReport, DemoReport, FlowReport};
use crate::output::{judged, table, text, wrapped};
use crate::usage::usage_table;

const LEGEND: &str = "\
off, on: did it arrive, and its answer: with the firewall off (it must, or a deny would prove nothing), and with it on.
decided by: the rule with its place and ticket. counted: the entries, and by how much their counters moved: by the
frames that were sent, and by nothing else.

";

/// The whole screen.
pub fn screen(report: &DemoReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "EMULATED adapter: {}\n{}\n", report.adapter, report.mode);
    out.push_str(LEGEND);
    let _ = writeln!(out, "{}\n", flows(&report.flows));
    let _ = writeln!(out, "Entries that decided, as they stand in the adapter:");
    let _ = writeln!(out, "{}\n", entries(report));
    let _ = writeln!(out, "{}\n", wrapped(&change(&report.change), 0));
    let _ = writeln!(out, "Judged without connection state, replies leave open what a stateful firewall would not:");
    for opening in &report.openings {
        let _ = writeln!(out, "{}", wrapped(&opening.words, 2));
    }
    let _ = writeln!(out, "\nTables of the adapter:");
    let _ = writeln!(out, "{}", usage_table(&report.usage));
    for extra in &report.extras {
        let verdict = if extra.wrong.is_empty() { "as expected" } else { "WRONG" };
        let _ = writeln!(out, "Also run: {}: {} flows {verdict}{}", extra.what, extra.flows, numbers(&extra.wrong));
    }
    let _ = writeln!(out, "\n{}", wrapped(&verdict(report), 0));
    for line in &report.not_shown {
        let _ = writeln!(out, "{}", wrapped(&format!("NOT SHOWN: {line}"), 0));
    }
    out
}

fn flows(flows: &[FlowReport]) -> String {
    let mut table = table(["#", "what is tried", "off", "policy", "on", "decided by", "counted"]);
    for flow in flows {
        let good = flow.wrong.is_empty();
        let arrived = |yes: bool| if yes { "yes" } else { "no" };
        let mut counted = counted(&flow.counters);
        counted.extend(flow.wrong.iter().map(|wrong| format!("WRONG: {wrong}")));
        table.add_row([
            Cell::new(flow.number),
            Cell::new(flow.what),
            judged(arrived(flow.arrived_off), flow.arrived_off),
            Cell::new(flow.policy),
            judged(arrived(flow.arrived_on), good),
            Cell::new(&flow.why),
            judged(counted.join("\n"), good),
        ]);
    }
    text(&table)
}

/// One line an entry, as `E3 rx +5 tx +2`: its counter moved by so much, for as many frames.
fn counted(counters: &[CounterReport]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut last = None;
    for CounterReport { entry, direction, frames } in counters {
        match lines.last_mut() {
            Some(line) if last == Some(entry) => line.push_str(&format!(" {direction} +{frames}")),
            _ => lines.push(format!("{entry} {direction} +{frames}")),
        }
        last = Some(entry);
    }
    lines
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
        "Live change: {} taken out with {} commands:{} came out otherwise, {outcome}{}.\nPut back with {} commands: \
         tables {tables}.",
        change.rule,
        change.commands_out,
        numbers(&change.changed),
        if change.good() { String::new() } else { format!(" (should be{})", numbers(&change.expected)) },
        change.commands_back,
    )
}

fn verdict(report: &DemoReport) -> String {
    let wrong: Vec<usize> = report.flows.iter().filter(|flow| !flow.wrong.is_empty()).map(|flow| flow.number).collect();
    if report.pass {
        format!(
            "PASS: {} flows, each as the policy says, each counted by the entry that decided it.",
            report.flows.len()
        )
    } else {
        format!("FAIL:{} not as expected; see the lines marked WRONG.", numbers(&wrong))
    }
}

fn numbers(numbers: &[usize]) -> String {
    numbers.iter().map(|number| format!(" #{number}")).collect()
}
