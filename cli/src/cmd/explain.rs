//! `nicfw explain`: what becomes of a flow, by which rule and which entry.

use std::fmt::Write as _;

use nicfw::policy::FlowText;
use serde::Serialize;

use super::{compile, document};
use crate::args::Explain;
use crate::failure::{Exit, Failure};
use crate::judge::{JudgementReport, judge};
use crate::output::Report;

#[derive(Serialize)]
struct ExplainReport {
    flow: String,
    /// `allow` if every judgement allows.
    verdict: &'static str,
    judgements: Vec<JudgementReport>,
}

pub fn run(args: &Explain) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let flow: FlowText = args.flow.join(" ").parse().map_err(Failure::usage)?;
    let flows = flow.judgements(&document).map_err(Failure::usage)?;
    let compiled = compile(&document)?;
    let judgements: Vec<_> =
        flows.iter().map(|flow| JudgementReport::new(&judge(&compiled, flow), &compiled)).collect();
    let verdict = if judgements.iter().all(|judgement| judgement.verdict == "allow") { "allow" } else { "deny" };
    let report = ExplainReport { flow: flow.to_string(), verdict, judgements };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    // Writing to a string cannot fail.
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", report.flow, report.verdict);
    for judgement in &report.judgements {
        let _ = writeln!(text, "{} {}: {}", judgement.direction, judgement.verdict, judgement.why);
        for (name, value) in [
            ("place", &judgement.origin),
            ("owner", &judgement.owner),
            ("reason", &judgement.reason),
            ("ticket", &judgement.ticket),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "    {name}: {value}");
            }
        }
        let _ = writeln!(text, "    entry: {}", judgement.entry().replace('\n', "\n           "));
    }
    Ok(Report::done(text))
}
