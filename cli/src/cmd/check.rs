//! `nicfw check`: is the file sound, and does it fit the adapter's tables?

use std::fmt::Write as _;

use nicfw::policy::Document;
use nicfw::tables::Target;
use serde::Serialize;

use super::common::{compile, document};
use crate::args;
use crate::failure::{Exit, Failure};
use crate::flows::{OpeningReport, openings};
use crate::output::{Progress, Report, wrapped};
use crate::usage::{UsageReport, usage, usage_table};

#[derive(Serialize)]
struct CheckReport {
    file: String,
    /// Of the tables that the policy was compiled for, as `rules`.
    family: &'static str,
    policies: usize,
    rules: usize,
    bindings: usize,
    usage: Vec<UsageReport>,
    /// What passes although nobody asked for it, because frames are judged without connection state.
    openings: Vec<OpeningReport>,
    warnings: Vec<String>,
}

pub fn run(args: &args::Check) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let compiled = compile(&document)?;
    if args.canonical {
        return canonical(&document);
    }
    let mut progress = Progress::new();
    progress.say(&format!("listing what {} leaves open", document.name));
    let report = CheckReport {
        file: document.name.to_string(),
        family: Target::FAMILY,
        policies: document.policies.len(),
        rules: document.policies.iter().map(|policy| policy.rules.len()).sum(),
        bindings: document.bindings.len(),
        usage: usage(&compiled),
        openings: openings(&compiled),
        warnings: compiled.warnings(),
    };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    // Writing to a string cannot fail.
    let mut text = String::new();
    let CheckReport { file, policies, rules, bindings, .. } = &report;
    let _ = writeln!(text, "{file}: sound, and it fits: {policies} policies, {rules} rules, {bindings} bindings\n");
    let _ = writeln!(text, "{}", usage_table(&report.usage));
    if !report.openings.is_empty() {
        let _ = writeln!(text, "\nJudged without connection state, this stays open:");
    }
    for opening in &report.openings {
        let _ = writeln!(text, "{}", wrapped(&opening.words, 2));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "note: {warning}");
    }
    Ok(Report::done(text))
}

/// The canonical form, if it can be read again: written out, sets may become too large for a file.
fn canonical(document: &Document) -> Result<Report, Failure> {
    let text = document.to_text();
    let name = format!("canonical form of {}", document.name);
    Document::parse(&text, &name).map_err(|errors| Failure::wrong_document(&errors, &name))?;
    Ok(Report::done(text))
}
