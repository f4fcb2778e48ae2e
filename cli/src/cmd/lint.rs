//! `nicfw lint`: what of a policy file is useless, or opens more than its author may think.

use std::fmt::Write as _;

use nicfw::policy::{Date, Finding, Lint};
use serde::Serialize;
use time::OffsetDateTime;

use super::common::document;
use crate::args;
use crate::failure::{Exit, Failure};
use crate::output::{Progress, Report, wrapped};

#[derive(Serialize)]
struct LintReport {
    file: String,
    /// The day that expiry was judged by.
    today: String,
    findings: Vec<FindingReport>,
}

#[derive(Serialize)]
struct FindingReport {
    /// As `never-matches`.
    lint: &'static str,
    /// Where it is.
    place: Option<String>,
    /// Places of what it refers to: what hides a rule, the neighbours of a rule.
    refers_to: Vec<String>,
    /// How many pairs of address and port replies leave open.
    pairs: Option<u128>,
    text: String,
}

pub fn run(args: &args::Lint) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let today = match &args.today {
        Some(today) => today.clone(),
        // In UTC, as dates in policy files are.
        None => OffsetDateTime::now_utc().date().to_string().parse::<Date>().map_err(Failure::usage)?,
    };
    let mut progress = Progress::new();
    let (policies, bindings) = (document.policies.len(), document.bindings.len());
    progress.say(&format!("looking at {} (policies: {policies}, bindings: {bindings})", document.name));
    let findings = document.lint(&today);
    let exit = if findings.is_empty() { Exit::Done } else { Exit::Differs };
    if args.output.json {
        let (file, today) = (document.name.to_string(), today.to_string());
        return Report::json(&LintReport { file, today, findings: findings.iter().map(one).collect() }, exit);
    }
    let mut text = String::new();
    for finding in &findings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", wrapped(&finding.to_string(), 0));
    }
    let _ = match findings.len() {
        0 => writeln!(text, "{}: nothing found", document.name),
        1 => writeln!(text, "1 finding"),
        many => writeln!(text, "{many} findings"),
    };
    Ok(Report { text, exit })
}

fn one(finding: &Finding) -> FindingReport {
    let mut places = finding.origins.iter().map(ToString::to_string);
    let pairs = match finding.lint {
        Lint::RepliesOpenMuch { pairs, .. } => Some(pairs),
        _ => None,
    };
    let (lint, text) = (finding.lint.name(), finding.text.clone());
    FindingReport { lint, place: places.next(), refers_to: places.collect(), pairs, text }
}
