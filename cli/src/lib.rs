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
mod flows;
mod input;
mod judge;
pub mod machines;
pub mod model_args;
mod output;
mod session;
mod waiting;
mod words;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use nicfw::text::escaped;

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
    match out.write_all(output::shown(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::usage(format!("stdout: {error}"))),
        _ => Ok(()),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(io::stderr(), "{}", output::shown(&failure.text));
    if asked().skip(1).any(|word| word == "--json") {
        // What failed was perhaps to print.
        let _ = output::json_line(&failure.json()).and_then(|line| print(&line));
    }
    failure.exit.into()
}

/// The command line up to `--`, behind which there are no options.
fn asked() -> impl Iterator<Item = OsString> {
    env::args_os().take_while(|word| word != "--")
}

/// The command that was meant, as `nicfw journal show`.
fn meant() -> String {
    let (mut command, mut name) = (Arguments::command(), "nicfw".to_owned());
    for word in asked().skip(1) {
        let Some(inner) = command.find_subcommand(&word).cloned() else { continue };
        name = format!("{name} {}", inner.get_name());
        command = inner;
    }
    name
}

/// Usage errors exit with 1, not with clap's own 2, which says "differs" here; and they fit one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let text = format!("{}\n", error.render().to_string().trim_end());
        return print(&text).map_or_else(|failure| fail(&failure), |()| Exit::Done.into());
    }
    let text = foreign(error).iter().fold(error.render().to_string(), |text, word| text.replace(word, &short(word)));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let what = lines.first().map_or("the command line is not understood", |line| line.trim_start_matches("error: "));
    let missing =
        lines.iter().skip(1).take_while(|_| what.ends_with(':')).take_while(|line| !line.starts_with("Usage:"));
    let missing: Vec<&str> = missing.copied().collect();
    let hint =
        lines.iter().find_map(|line| line.strip_prefix("tip: ")).map(|tip| format!("; {tip}")).unwrap_or_default();
    fail(&Failure::usage(format!(
        "nicfw: {what}{}{}{hint}; see: {} --help",
        if missing.is_empty() { "" } else { " " },
        missing.join(", "),
        meant()
    )))
}

/// Words of the command line that a usage error repeats and that cannot stand in its one line, the longest first.
fn foreign(error: &clap::Error) -> Vec<String> {
    let words = error.context().flat_map(|(_, value)| match value {
        ContextValue::String(word) => vec![word.clone()],
        ContextValue::Strings(words) => words.clone(),
        _ => Vec::new(),
    });
    let mut words: Vec<String> = words.filter(|word| short(word) != *word).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
}

/// A word of the command line, escaped and cut.
fn short(word: &str) -> String {
    const LONGEST: usize = 200;
    let cut: String = word.chars().take(LONGEST).collect();
    let dots = if cut.len() < word.len() { "..." } else { "" };
    format!("{}{dots}", escaped(&cut))
}
