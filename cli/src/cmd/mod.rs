//! One file per command. Each turns its arguments into a report, or says why it cannot.

mod again;
mod apply;
mod audit;
mod changed;
mod check;
mod confirm;
mod counters;
mod demo;
mod detach;
mod diff;
mod doctor;
mod explain;
mod import;
mod info;
mod journal;
mod lint;
mod plan;
mod replay;
mod reserve;
mod rollback;
mod show;

use std::path::Path;

use nicfw::Target;
use nicfw::policy::{Document, LONGEST_DOCUMENT};
use nicfw::tables::{CompileError, Compiled, Table, Usage};
use nicfw::terms::MacAddr;
use serde::Serialize;

use crate::args::Command;
use crate::emulated::{Emulated, Loaded};
use crate::failure::Failure;
use crate::input;
use crate::output::{Progress, Report, table, text};

/// MAC of the host's own function: a locally administered one.
const HOST: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0xfe]);

/// Runs a command.
///
/// # Errors
/// Text for stderr and an exit code.
pub fn run(command: Command) -> Result<Report, Failure> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Confirm(args) => confirm::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Reserve(args) => reserve::reserve(&args),
        Command::Release(args) => reserve::release(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Detach(args) => detach::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Counters(args) => counters::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Import(args) => match &args.again {
            Some(policy) => again::run(&args, policy),
            None => import::run(&args),
        },
    }
}

/// Use of one table.
#[derive(Debug, Clone, Serialize)]
pub struct UsageReport {
    /// Table.
    pub table: String,
    /// Used.
    pub used: u64,
    /// There are this many.
    pub size: u64,
    /// Who uses most of it.
    pub largest_user: Option<String>,
}

/// How full the tables get.
pub fn usage(compiled: &Compiled) -> Vec<UsageReport> {
    let one = |usage: &Usage| UsageReport {
        table: usage.table.to_string(),
        used: usage.used(),
        size: usage.available,
        largest_user: usage
            .by_policy
            .first()
            .filter(|(_, used)| *used > 0)
            .map(|(policy, used)| format!("policy {policy}, {}", share(usage.table, *used))),
    };
    compiled.usage().iter().map(one).collect()
}

/// A share of a table, with its unit where it has one of its own.
fn share(table: Table, used: u64) -> String {
    table.share_unit().map_or_else(|| used.to_string(), |unit| format!("{used} {unit}"))
}

/// Use of the tables for people.
pub fn usage_table(usage: &[UsageReport]) -> String {
    let mut table = table(["table", "used", "of", "largest user"]);
    for line in usage {
        let largest = line.largest_user.clone().unwrap_or_default();
        table.add_row([line.table.clone(), line.used.to_string(), line.size.to_string(), largest]);
    }
    text(&table)
}

/// Reads a policy file. It is named in errors and origins as it was on the command line.
fn document(path: &Path) -> Result<Document, Failure> {
    let name = input::name(path);
    let text = input::read(path, LONGEST_DOCUMENT, "a policy file")?;
    let text = String::from_utf8(text).map_err(|error| {
        let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = valid.filter(|byte| **byte == b'\n').count() + 1;
        Failure::usage(format!("{name}:{line}: not UTF-8; expected a policy in UTF-8; save the file as UTF-8")).at(
            &name,
            u32::try_from(line).ok(),
            "not UTF-8",
        )
    })?;
    Document::parse(&text, &name).map_err(|errors| Failure::wrong_document(&errors, &name))
}

/// Compiles for the emulated adapter.
fn compile(document: &Document) -> Result<Compiled, Failure> {
    let adapter = Emulated::new(&[HOST])?;
    compiled(document, adapter.target(), None, &mut Progress::new())
        .map_err(|error| Failure::refused(&error, document, adapter.target()))
}

/// Compiles, and says how far it is.
fn compiled(
    document: &Document,
    target: &Target,
    before: Option<&Compiled>,
    progress: &mut Progress,
) -> Result<Compiled, CompileError> {
    let name = &document.name;
    Compiled::watched(document, target, before, &mut |step| progress.say(&format!("compiling {name}: {step}")))
}

/// A fresh emulated adapter, with a function for each binding, that holds the policy.
fn load(document: &Document) -> Result<(Emulated, Loaded), Failure> {
    let macs = document.bindings.iter().map(|binding| binding.mac);
    let mut progress = Progress::new();
    progress.say(&format!("loading {}", document.name));
    let mut adapter = Emulated::new(&[HOST].into_iter().chain(macs).collect::<Vec<_>>())?;
    let loaded = adapter.load(document)?;
    Ok((adapter, loaded))
}
