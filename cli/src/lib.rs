//! The `nicfw` program: the library's verbs on the command line, against files, the emulated adapter and a card.
//!
//! A command is a function in `cmd` that returns a `Report`: what to print and how to exit. Printing, exit codes and errors
//! are dealt with here, once. A library, so that tests, fuzzing and packaging reach what the programs are made of.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

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
mod journals;
mod judge;
pub mod machines;
pub mod model_args;
mod output;
mod packets;
mod session;
mod usage;
mod waiting;
mod words;

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
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
        Err(error) => return refuse(error),
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

/// Longest line of an error, in characters: a name of a file fits, and what is said about it.
const LONGEST_LINE: usize = 6000;

fn fail(failure: &Failure) -> ExitCode {
    // Nobody is left to be told that stderr is closed.
    for line in output::shown(&failure.text).lines() {
        let _ = writeln!(io::stderr(), "{}", cut(line, LONGEST_LINE));
    }
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
fn refuse(mut error: clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let text = format!("{}\n", error.render().to_string().trim_end());
        return print(&text).map_or_else(|failure| fail(&failure), |()| Exit::Done.into());
    }
    for (kind, value) in harmless(&error) {
        error.insert(kind, value);
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
        "nicfw: {what}{}{}{hint}; see: {} --help",
        if missing.is_empty() { "" } else { " " },
        missing.join(", "),
        meant()
    )))
}

/// What a usage error repeats of the command line, as it may stand in one line.
fn harmless(error: &clap::Error) -> Vec<(ContextKind, ContextValue)> {
    let words = error.context().flat_map(|(_, value)| match value {
        ContextValue::String(word) => vec![word.clone()],
        ContextValue::Strings(words) => words.clone(),
        _ => Vec::new(),
    });
    let mut words: Vec<String> = words.filter(|word| short(word) != *word).collect();
    // A word may be a part of another.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let styled = |text: &StyledStr| {
        let text = words.iter().fold(text.ansi().to_string(), |text, word| text.replace(word, &short(word)));
        StyledStr::from(text)
    };
    let value = |value: &ContextValue| match value {
        ContextValue::String(word) => Some(ContextValue::String(short(word))),
        ContextValue::Strings(words) => Some(ContextValue::Strings(words.iter().map(|word| short(word)).collect())),
        ContextValue::StyledStr(text) => Some(ContextValue::StyledStr(styled(text))),
        ContextValue::StyledStrs(texts) => Some(ContextValue::StyledStrs(texts.iter().map(styled).collect())),
        _ => None,
    };
    if words.is_empty() {
        return Vec::new();
    }
    error.context().filter_map(|(kind, was)| Some((kind, value(was)?))).collect()
}

/// A word of the command line, escaped and cut.
fn short(word: &str) -> String {
    const LONGEST: usize = 200;
    escaped(&cut(word, LONGEST)).into_owned()
}

/// The first characters of a text.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}...", &text[..at]).into(),
        None => text.into(),
    }
}
