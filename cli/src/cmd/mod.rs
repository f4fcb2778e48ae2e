//! One file per command. Each turns its arguments into a report, or says why it cannot.

mod again;
mod apply;
mod audit;
mod changed;
mod check;
mod common;
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

use crate::args::Command;
use crate::failure::Failure;
use crate::output::Report;

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
