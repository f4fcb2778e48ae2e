//! `nicfw plan`: what a policy file costs, who uses how much of each table, and which commands a change to it takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nicfw::policy::plan::{Phase, Plan};
use nicfw::policy::{CompileError, Compiled, Image, Usage};
use serde::Serialize;

use super::{HOST, compile, document};
use crate::args::{self, By};
use crate::emulated::Emulated;
use crate::failure::{Exit, Failure};
use crate::output::{Report, table, text};

/// Users of a table that are listed; the rest is counted.
const LISTED: usize = 5;

#[derive(Serialize)]
struct PlanReport {
    file: String,
    fits: bool,
    /// Why it does not.
    refusal: Option<String>,
    tables: Vec<TableReport>,
    change: Option<ChangeReport>,
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
    by_phase: BTreeMap<&'static str, usize>,
    grace_times: usize,
    /// Entries at the worst moment.
    peak_rules: usize,
    /// Combinations of match fields at the worst moment.
    peak_combinations: usize,
    /// Containers whose flows may be denied meanwhile although both policies allow them.
    closed_meanwhile: Vec<String>,
}

pub fn run(args: &args::Plan) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let before = args.from.as_deref().map(|from| compile(&self::document(from)?)).transpose()?;
    let adapter = Emulated::new(&[HOST])?;
    let compiled = Compiled::new(&document, adapter.target(), before.as_ref());
    let (usage, change, refusal) = match &compiled {
        Ok(compiled) => (compiled.usage(), Some(change(before.as_ref(), compiled)?), None),
        Err(error @ CompileError::DoesNotFit { usage, .. }) if !usage.is_empty() => (&usage[..], None, Some(error)),
        Err(error) => return Err(Failure::new(Exit::DoesNotFit, error)),
    };
    let report = PlanReport {
        file: document.name.to_string(),
        fits: refusal.is_none(),
        refusal: refusal.map(ToString::to_string),
        tables: usage.iter().map(|usage| of_table(usage, args.by)).collect(),
        change,
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

fn change(before: Option<&Compiled>, after: &Compiled) -> Result<ChangeReport, Failure> {
    let empty = Image::default();
    let from = before.map_or(&empty, Compiled::image);
    let plan = Plan::new(from, after.image(), after.target()).map_err(|e| Failure::new(Exit::DoesNotFit, e))?;
    let mut by_phase = BTreeMap::new();
    for step in &plan.steps {
        *by_phase.entry(name(step.phase)).or_default() += 1;
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
        by_phase,
        grace_times: plan.steps.iter().filter(|step| step.pause_before).count(),
        peak_rules: plan.peak_rules,
        peak_combinations: plan.peak_combinations,
        closed_meanwhile,
    })
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Refine => "1 refine",
        Phase::Tighten => "2 tighten",
        Phase::Loosen => "3 loosen",
        Phase::Coarsen => "4 coarsen",
        Phase::Retire => "5 retire",
    }
}

fn words(report: &PlanReport, by: By) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match &report.refusal {
        None => writeln!(out, "{}: fits\n", report.file),
        Some(refusal) => writeln!(out, "{refusal}\n"),
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
    let Some(change) = &report.change else { return out };
    let from = change.from.as_deref().unwrap_or("an empty adapter");
    let phases: Vec<String> = change.by_phase.iter().map(|(phase, count)| format!("{count} {}", &phase[2..])).collect();
    let _ = writeln!(out, "\nFrom {from}: {} commands ({})", change.commands, phases.join(", "));
    let _ = writeln!(
        out,
        "At the worst moment {} entries in {} combinations; grace times: {}",
        change.peak_rules, change.peak_combinations, change.grace_times
    );
    let _ = match &change.closed_meanwhile[..] {
        [] => writeln!(out, "No flow that both policies allow is denied meanwhile"),
        closed => writeln!(out, "Denied meanwhile, although both policies allow them: flows of {}", closed.join(", ")),
    };
    out
}
