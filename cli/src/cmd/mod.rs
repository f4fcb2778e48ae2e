//! One file per command. Each turns its arguments into a report, or says why it cannot.

mod check;
mod demo;

use std::path::Path;

use nicfw::policy::Document;

use crate::args::Command;
use crate::failure::{Exit, Failure};
use crate::output::Report;

/// Runs a command.
///
/// # Errors
/// Text for stderr and an exit code.
pub fn run(command: Command) -> Result<Report, Failure> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        _ => Err(Failure::usage("not there")),
    }
}

/// Reads a policy file. It is named in errors and origins as it was on the command line.
fn document(path: &Path) -> Result<Document, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| {
        Failure::usage(format!("{name}: cannot be read: {error}; expected a policy file; check the path"))
    })?;
    let text = String::from_utf8(text).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        Failure::usage(format!("{name}:{line}: not UTF-8; expected a policy in UTF-8; save the file as UTF-8"))
    })?;
    Document::parse(&text, &name).map_err(|errors| Failure::new(Exit::Usage, errors))
}
