//! `nicfw plan`: what a policy file costs, who uses how much of each table, and which commands a change to it takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use humantime::format_duration;
use nicfw::firewall::Settings;
use nicfw::tables::plan::Plan;
use nicfw::tables::{ChangePhase, CompileError, Compiled, Image, Target, Usage};
use serde::Serialize;

use super::common::{HOST, compile, document};
use crate::args::{self, By};
use crate::emulated::Emulated;
use crate::failure::{Exit, Failure, rewriting};
use crate::output::{Progress, Report, table, text, wrapped};

/// Users of a table that are listed; the rest is counted.
const LISTED: usize = 5;

#[derive(Serialize)]
struct PlanReport {
    file: String,
    /// Of the tables, as `rules`.
    family: &'static str,
    fits: bool,
    /// Why it does not.
    refusal: Option<String>,
    /// The cheapest rewriting that does.
    rewriting: Option<String>,
    tables: Vec<TableReport>,
    change: Option<ChangeReport>,
    how_many_more: Option<MoreReport>,
}

#[derive(Serialize)]
struct MoreReport {
    /// Like this container's binding.
    container: String,
    more: u32,
    /// The table that ends it.
    table: Option<String>,
    /// Why one more does not fit.
    refusal: Option<String>,
}

#[derive(Serialize)]
struct TableReport {
    table: String,
    needed: u64,
    size: u64,
    missing: u64,
    /// The largest first.
    users: Vec<UserReport>,
    /// What their shares count, where it is something else than what the table holds.
    share_unit: Option<&'static str>,
}

#[derive(Serialize)]
struct UserReport {
    name: String,
    used: u64,
}

#[derive(Serialize)]
struct ChangeReport {
    /// File that the adapter holds; absent = it is empty.
    from: Option<String>,
    commands: usize,
    /// Those of each phase: `prepare`, `tighten`, `loosen`, `tidy`.
    by_phase: BTreeMap<&'static str, usize>,
    /// The same, in order.
    #[serde(skip)]
    phases: BTreeMap<ChangePhase, usize>,
    grace_times: usize,
    /// At the latency that was given.
    estimate: Option<Estimate>,
    /// How much of a table is used at the worst moment.
    peaks: Vec<PeakReport>,
    /// Containers whose flows may be denied meanwhile although both policies allow them.
    closed_meanwhile: Vec<String>,
}

#[derive(Serialize)]
struct PeakReport {
    table: String,
    used: u64,
}

#[derive(Serialize)]
struct Estimate {
    /// Of one command.
    latency_ns: u128,
    /// Each grace time.
    grace_ns: u128,
    total_ns: u128,
    #[serde(skip)]
    text: String,
}

pub fn run(args: &args::Plan) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let before = args.from.as_deref().map(|from| compile(&self::document(from)?)).transpose()?;
    let adapter = Emulated::new(&[HOST])?;
    let mut progress = Progress::new();
    let compiled = super::common::compiled(&document, adapter.target(), before.as_ref(), &mut progress);
    progress.say(&format!("planning {}", document.name));
    let (usage, change, refusal) = match &compiled {
        Ok(compiled) => (compiled.usage(), Some(change(before.as_ref(), compiled, args.latency)?), None),
        Err(error @ CompileError::DoesNotFit { usage, .. }) if !usage.is_empty() => (&usage[..], None, Some(error)),
        Err(error) => return Err(Failure::refused(error, &document, adapter.target())),
    };
    let how_many_more = match (&args.how_many_more, &compiled) {
        (Some(container), Ok(compiled)) => Some(more(compiled, container)?),
        _ => None,
    };
    let report = PlanReport {
        file: document.name.to_string(),
        family: Target::FAMILY,
        fits: refusal.is_none(),
        refusal: refusal.map(ToString::to_string),
        rewriting: refusal.map(|error| rewriting(error, &document, adapter.target())),
        tables: usage.iter().map(|usage| of_table(usage, args.by)).collect(),
        change,
        how_many_more,
    };
    let exit = if report.fits { Exit::Done } else { Exit::DoesNotFit };
    if args.output.json {
        return Report::json(&report, exit);
    }
    Ok(Report { text: words(&report, args.by), exit })
}

fn of_table(usage: &Usage, by: By) -> TableReport {
    let users = match by {
        By::Policy => &usage.by_policy,
        By::Binding => &usage.by_binding,
    };
    TableReport {
        table: usage.table.to_string(),
        needed: usage.needed,
        size: usage.available,
        missing: usage.missing(),
        users: users.iter().map(|(name, used)| UserReport { name: name.clone(), used: *used }).collect(),
        share_unit: usage.table.share_unit(),
    }
}

fn more(compiled: &Compiled, container: &str) -> Result<MoreReport, Failure> {
    let mut progress = Progress::new();
    progress.say("compiling with more bindings");
    let found = compiled.how_many_more(container).ok_or_else(|| {
        let name = &compiled.document().name;
        Failure::usage(format!(
            "{name}: no binding of {container}; expected the container of one; see: nicfw check {name}"
        ))
    })?;
    Ok(MoreReport {
        container: container.to_owned(),
        more: found.more,
        table: found.table().map(|table| table.to_string()),
        refusal: found.ends.map(|error| error.to_string()),
    })
}

fn estimate(plan: &Plan, latency: Duration) -> Estimate {
    let grace = Settings::default().grace;
    let total = plan.duration(latency, grace);
    let text = format!(
        "{}: {} commands of {}, {} grace times of {}",
        format_duration(total),
        plan.steps.len(),
        format_duration(latency),
        plan.pauses(),
        format_duration(grace)
    );
    Estimate { latency_ns: latency.as_nanos(), grace_ns: grace.as_nanos(), total_ns: total.as_nanos(), text }
}

fn change(before: Option<&Compiled>, after: &Compiled, latency: Option<Duration>) -> Result<ChangeReport, Failure> {
    let empty = Image::default();
    let from = before.map_or(&empty, Compiled::image);
    let plan = Plan::new(from, after.image(), after.target()).map_err(|e| Failure::new(Exit::DoesNotFit, e))?;
    let mut phases = BTreeMap::<ChangePhase, usize>::new();
    for step in &plan.steps {
        *phases.entry(step.phase.into()).or_default() += 1;
    }
    let holder = |ip| {
        let holders = [before, Some(after)].into_iter().flatten();
        holders.filter_map(|compiled| compiled.document().binding_of(ip)).map(|(_, b)| b.container.clone()).next()
    };
    let mut closed_meanwhile: Vec<String> = plan.closes.iter().filter_map(|local| holder(local.ip?)).collect();
    closed_meanwhile.sort();
    closed_meanwhile.dedup();
    Ok(ChangeReport {
        from: before.map(|before| before.document().name.to_string()),
        commands: plan.steps.len(),
        by_phase: phases.iter().map(|(phase, count)| (phase.word(), *count)).collect(),
        phases,
        grace_times: plan.pauses(),
        estimate: latency.map(|latency| estimate(&plan, latency)),
        peaks: plan.peaks().into_iter().map(|(table, used)| PeakReport { table: table.to_string(), used }).collect(),
        closed_meanwhile,
    })
}

fn words(report: &PlanReport, by: By) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match (&report.refusal, &report.rewriting) {
        (Some(refusal), Some(rewriting)) => writeln!(out, "{refusal}\n{rewriting}\n"),
        _ => writeln!(out, "{}: fits\n", report.file),
    };
    let users = if by == By::Policy { "policies" } else { "containers" };
    let mut lines = table(["table", "needed", "of", "missing", users]);
    for line in &report.tables {
        let listed = line.users.iter().filter(|user| user.used > 0);
        let unit = line.share_unit.map_or_else(String::new, |unit| format!(" {unit}"));
        let mut who: Vec<String> = listed.map(|user| format!("{} {}{unit}", user.name, user.used)).collect();
        if who.len() > LISTED {
            let rest = who.split_off(LISTED).len();
            who.push(format!("and {rest} more"));
        }
        let missing = if line.missing == 0 { String::new() } else { line.missing.to_string() };
        lines.add_row([line.table.clone(), line.needed.to_string(), line.size.to_string(), missing, who.join(", ")]);
    }
    let _ = writeln!(out, "{}", text(&lines));
    if let Some(change) = &report.change {
        words_of_change(change, &mut out);
    }
    if let Some(MoreReport { container, more, refusal, .. }) = &report.how_many_more {
        let _ = writeln!(out, "\n{more} more bindings like {container} fit");
        let _ = refusal.as_ref().map(|refusal| writeln!(out, "{}", wrapped(&format!("one more: {refusal}"), 2)));
    }
    out
}

fn words_of_change(change: &ChangeReport, out: &mut String) {
    let from = change.from.as_deref().unwrap_or("an empty adapter");
    let phases: Vec<String> = change.phases.iter().map(|(phase, count)| format!("{count} {}", phase.word())).collect();
    let _ = writeln!(out, "\nFrom {from}: {} commands ({})", change.commands, phases.join(", "));
    let peaks: Vec<String> = change.peaks.iter().map(|PeakReport { table, used }| format!("{used} {table}")).collect();
    let _ = writeln!(out, "At the worst moment {}; grace times: {}", peaks.join(", "), change.grace_times);
    if let Some(estimate) = &change.estimate {
        let _ = writeln!(out, "Estimated time {}", estimate.text);
    }
    let _ = match &change.closed_meanwhile[..] {
        [] => writeln!(out, "No flow that both policies allow is denied meanwhile"),
        closed => writeln!(out, "Denied meanwhile, although both policies allow them: flows of {}", closed.join(", ")),
    };
}
