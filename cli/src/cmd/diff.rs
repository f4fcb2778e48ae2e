//! `nicfw diff`: the flows that a second policy newly allows and newly denies.

use std::fmt::Write as _;

use nicfw::policy::Difference;
use nicfw::terms::Verdict;
use serde::Serialize;

use super::common::{compile, document};
use crate::args::Diff;
use crate::failure::{Exit, Failure};
use crate::flows::FlowsReport;
use crate::output::{Progress, Report};
use crate::words;

#[derive(Serialize)]
struct DiffReport {
    same: bool,
    newly_allowed: usize,
    newly_denied: usize,
    differences: Vec<DifferenceReport>,
}

#[derive(Serialize)]
struct DifferenceReport {
    /// The new verdict.
    verdict: &'static str,
    direction: &'static str,
    flows: FlowsReport,
    /// One of them.
    example: String,
}

pub fn run(args: &Diff) -> Result<Report, Failure> {
    let (before, after) = (compile(&document(&args.before)?)?, compile(&document(&args.after)?)?);
    let mut progress = Progress::new();
    progress.say(&format!("comparing {} with {}", before.document().name, after.document().name));
    let differences = before.diff(&after);
    let count = |verdict| differences.iter().filter(|difference| difference.verdict == verdict).count();
    let report = DiffReport {
        same: differences.is_empty(),
        newly_allowed: count(Verdict::Allow),
        newly_denied: count(Verdict::Deny),
        differences: differences.iter().map(one).collect(),
    };
    let exit = if report.same { Exit::Done } else { Exit::Differs };
    if args.output.json {
        return Report::json(&report, exit);
    }
    let mut text = String::new();
    for (difference, report) in differences.iter().zip(&report.differences) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{difference}\n    as in: {}", report.example);
    }
    let _ = match report.same {
        true => writeln!(text, "same: no flow changes its verdict"),
        false => writeln!(text, "{} newly allowed, {} newly denied", report.newly_allowed, report.newly_denied),
    };
    Ok(Report { text, exit })
}

fn one(difference: &Difference) -> DifferenceReport {
    DifferenceReport {
        verdict: words::verdict(difference.verdict),
        direction: words::direction(difference.witness.direction),
        flows: difference.into(),
        example: words::flow(&difference.witness),
    }
}
