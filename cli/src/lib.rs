//! The `nicfw` program: the library's verbs on the command line, against files, the emulated adapter and a card.
//!
//! A command is a function in `cmd` that returns a `Report`: what to print and how to exit. Printing, exit codes and errors
//! are dealt with here, once. A library, so that tests, fuzzing and packaging reach what the programs are made of.
#![forbid(unsafe_code)]

mod args;
mod attached;
mod busy;
pub mod capture;
mod cmd;
mod demo;
mod emulated;
mod entries;
pub mod failure;
mod judge;
pub mod machines;
pub mod model_args;
mod output;
mod session;
mod waiting;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use args::Arguments;
use failure::{Exit, Failure};

/// The two programs' command lines, for manual pages and completions.
#[must_use]
pub fn programs() -> [clap::Command; 2] {
    [Arguments::command(), model_args::Arguments::command()]
}

/// The `nicfw` program.
#[must_use]
pub fn main() -> ExitCode {
    // Libraries' log lines are for whoever asks by RUST_LOG; an answer never depends on them.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    match cmd::run(arguments.command) {
        Ok(report) => match print(&report.text) {
            Ok(()) => report.exit.into(),
            Err(failure) => fail(&failure),
        },
        Err(failure) => fail(&failure),
    }
}

/// Prints; a reader that has gone away wants no more, and is told nothing.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::usage(format!("stdout: {error}"))),
        _ => Ok(()),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(io::stderr(), "{failure}");
    failure.exit.into()
}

/// Usage errors exit with 1, not with clap's own 2, which says "differs" here; and they fit one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let text = format!("{}\n", error.render().to_string().trim_end());
        return print(&text).map_or_else(|failure| fail(&failure), |()| Exit::Done.into());
    }
    let text = error.render().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let what = lines.first().map_or("the command line is not understood", |line| line.trim_start_matches("error: "));
    let missing =
        lines.iter().skip(1).take_while(|_| what.ends_with(':')).take_while(|line| !line.starts_with("Usage:"));
    let missing: Vec<&str> = missing.copied().collect();
    let hint =
        lines.iter().find_map(|line| line.strip_prefix("tip: ")).map(|tip| format!("; {tip}")).unwrap_or_default();
    fail(&Failure::usage(format!(
        "nicfw: {what}{}{}{hint}; see: nicfw --help",
        if missing.is_empty() { "" } else { " " },
        missing.join(", ")
    )))
}
