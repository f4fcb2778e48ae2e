//! `nicfw apply`: loads a policy into a fresh emulated adapter, and reads the tables back to prove it.

use serde::Serialize;

use super::{UsageReport, document, load, usage, usage_table};
use crate::args::OneFile;
use crate::failure::{Exit, Failure};
use crate::output::Report;

#[derive(Serialize)]
struct ApplyReport {
    emulated: bool,
    adapter: String,
    file: String,
    entries: usize,
    commands: usize,
    /// What the tables hold otherwise than the policy says; empty = they were read back and are the same.
    drift: Vec<String>,
    usage: Vec<UsageReport>,
}

pub fn run(args: &OneFile) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let (mut adapter, loaded) = load(&document)?;
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    let report = ApplyReport {
        emulated: true,
        file: document.name.to_string(),
        entries: compiled.image().rules.len(),
        commands: loaded.commands,
        drift: adapter.drift()?,
        usage: usage(compiled),
        adapter: adapter.info().map(|info| info.to_string()).unwrap_or_default(),
    };
    let exit = if report.drift.is_empty() { Exit::Done } else { Exit::Drift };
    if args.output.json {
        return Report::json(&report, exit);
    }
    let outcome = match &report.drift[..] {
        [] => "Read back: the tables hold what the policy says, and nothing else.".to_owned(),
        drift => format!("DRIFT: the tables hold something else:\n  {}", drift.join("\n  ")),
    };
    let ApplyReport { adapter, file, entries, commands, .. } = &report;
    Ok(Report {
        text: format!(
            "EMULATED adapter: {adapter}\n{file}: {entries} entries loaded by {commands} commands, all traffic blocked \
             meanwhile.\n{outcome}\n\n{}\n",
            usage_table(&report.usage)
        ),
        exit,
    })
}
