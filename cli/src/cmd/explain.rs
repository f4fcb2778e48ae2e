//! `nicfw explain`: what becomes of a flow, by which rule and which entry.

use std::fmt::Write as _;

use nicfw::policy::{FlowText, Nearest};
use nicfw::tables::Compiled;
use serde::Serialize;

use super::common::{compile, document};
use crate::args::Explain;
use crate::failure::{Exit, Failure};
use crate::judge::{Judgement, JudgementReport, judge};
use crate::output::{Report, wrapped};

#[derive(Serialize)]
struct ExplainReport {
    flow: String,
    /// `allow` if every judgement allows.
    verdict: &'static str,
    judgements: Vec<ExplainedReport>,
}

#[derive(Serialize)]
struct ExplainedReport {
    #[serde(flatten)]
    judgement: JudgementReport,
    /// For a flow that is denied, the rule that comes nearest to letting it through.
    nearest: Option<NearestReport>,
}

#[derive(Serialize)]
struct NearestReport {
    rule: String,
    origin: String,
    /// It would let the flow through as a reply.
    reply: bool,
    /// What is in the way.
    obstacles: Vec<ObstacleReport>,
}

#[derive(Serialize)]
struct ObstacleReport {
    /// As `remote-port`.
    field: &'static str,
    text: String,
}

pub fn run(args: &Explain) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let flow: FlowText = args.flow.join(" ").parse().map_err(Failure::usage)?;
    let flows = flow.judgements(&document).map_err(Failure::usage)?;
    let compiled = compile(&document)?;
    let judged = judge(&compiled, &flows);
    let nearest: Vec<Option<Nearest>> = flows.iter().map(|flow| document.nearest(flow)).collect();
    let judgements: Vec<_> =
        judged.iter().zip(&nearest).map(|(judged, nearest)| one(judged, nearest, &compiled)).collect();
    let denied = judgements.iter().any(|report| report.judgement.verdict != "allow");
    let verdict = if denied { "deny" } else { "allow" };
    let report = ExplainReport { flow: flow.to_string(), verdict, judgements };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    // Writing to a string cannot fail.
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", report.flow, report.verdict);
    for (ExplainedReport { judgement, .. }, nearest) in report.judgements.iter().zip(&nearest) {
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
        if let Some(nearest) = nearest {
            let _ = writeln!(text, "{}", wrapped(&format!("nearest: {nearest}"), 4));
        }
    }
    Ok(Report::done(text))
}

fn one(judged: &Judgement, nearest: &Option<Nearest>, compiled: &Compiled) -> ExplainedReport {
    let nearest = nearest.as_ref().map(|nearest| NearestReport {
        rule: nearest.name.clone(),
        origin: nearest.origin.to_string(),
        reply: nearest.reply,
        obstacles: nearest
            .obstacles
            .iter()
            .map(|obstacle| ObstacleReport { field: obstacle.field.name(), text: obstacle.text.clone() })
            .collect(),
    });
    ExplainedReport { judgement: JudgementReport::new(judged, compiled), nearest }
}
