//! `nicfw apply`: loads a policy. A fresh emulated adapter is read back to prove it; a card is adopted, since it cannot be.

use std::sync::Arc;

use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::firewall::{Adopt, AdoptError, Firewall, Settings};
use nicfw::policy::{Compiled, Document};
use serde::Serialize;

use super::{UsageReport, document, load, usage, usage_table};
use crate::args::Apply;
use crate::attached::{Versions, attach, failed};
use crate::emulated::commands_to_load;
use crate::failure::{Exit, Failure};
use crate::output::{Progress, Report};

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

#[derive(Serialize)]
struct AdoptReport {
    emulated: bool,
    device: String,
    adapter: String,
    file: String,
    reason: String,
    entries: usize,
    commands: usize,
    counters: usize,
    /// Entries' counters that the adapter had none left for.
    counters_missing: usize,
    versions: Versions,
    usage: Vec<UsageReport>,
}

pub fn run(args: &Apply) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    match (&args.device, &args.reason) {
        (Some(locator), Some(reason)) => into_adapter(&document, locator, reason, args),
        _ => into_emulated(&document, args),
    }
}

fn into_emulated(document: &Document, args: &Apply) -> Result<Report, Failure> {
    let (mut adapter, loaded) = load(document)?;
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

fn into_adapter(document: &Document, locator: &Locator, reason: &str, args: &Apply) -> Result<Report, Failure> {
    if !args.adopt {
        return Err(Failure::usage(format!(
            "{locator}: what the adapter holds is not known, and its tables cannot be read back. Nothing was sent. \
             To drop it and load {}, with all traffic of the adapter blocked meanwhile: add --adopt",
            document.name
        )));
    }
    let mut progress = Progress::new();
    progress.say(&format!("attaching to {locator}"));
    let adapter = attach(locator, args.switch_firmware)?;
    progress.say(&format!("compiling {}", document.name));
    let compiled = Compiled::new(document, adapter.target(), None);
    let compiled = match compiled.map_err(|error| Failure::refused(&error, document, adapter.target())) {
        Ok(compiled) => compiled,
        Err(refused) => {
            adapter.detach().map_err(|e| failed(locator, &e))?;
            return Err(refused);
        }
    };
    log::info!("{locator}: adopted to load {}: {reason}", document.name);
    progress.say(&format!("loading {}: all traffic of {locator} is blocked", document.name));
    let clock = Arc::new(SystemClock::new());
    let mut firewall = Firewall::attach(adapter, Adopt(&compiled), clock, Settings::default())
        .map_err(|e| not_adopted(locator, &e))?;
    let counters = firewall.counters().map_err(|e| failed(locator, &e))?.len();
    let mut adapter = firewall.detach();
    let report = AdoptReport {
        emulated: false,
        device: locator.to_string(),
        adapter: adapter.info().to_string(),
        file: document.name.to_string(),
        reason: reason.to_owned(),
        entries: compiled.image().rules.len(),
        commands: commands_to_load(compiled.image()),
        counters,
        counters_missing: compiled.counter_slots().len().saturating_sub(counters),
        versions: Versions::of(&mut adapter).map_err(|e| failed(locator, &e))?,
        usage: usage(&compiled),
    };
    adapter.detach().map_err(|e| failed(locator, &e))?;
    drop(progress);
    if args.output.json { Report::json(&report, Exit::Done) } else { Ok(Report::done(screen(&report))) }
}

/// An adapter that drops all traffic stays so: what was loaded of the policy does not protect everybody whom it names.
fn not_adopted(locator: &Locator, error: &AdoptError) -> Failure {
    let mut failure = failed(locator, error);
    if matches!(error, AdoptError::Command { blocked: true, .. }) {
        failure.text += &format!(
            ". Apply again; or, to let everything pass: nicfw detach --device {locator} --leave empty --reason TEXT"
        );
    }
    failure
}

fn screen(report: &AdoptReport) -> String {
    let AdoptReport { device, adapter, file, reason, entries, commands, versions, .. } = report;
    let counters = match report.counters_missing {
        0 => String::new(),
        missing => format!(
            "{missing} counters are missing: the adapter gave fewer than the policy asks for. What they should count is \
             not counted; no verdict depends on it.\n"
        ),
    };
    format!(
        "adapter {device}: {adapter}\n{file}: {entries} entries loaded by {commands} commands, all traffic blocked \
         meanwhile ({reason}).\nThe adapter holds {versions}.\nTo see whether they were changed since: nicfw audit \
         --device {device} --expect {}\n{counters}\n{}\n",
        versions.active,
        usage_table(&report.usage)
    )
}
