//! `nicfw check`: is the file sound, and does it fit?

use crate::args::OneFile;
use crate::failure::{Exit, Failure};
use crate::output::Report;

pub fn run(args: &OneFile) -> Result<Report, Failure> {
    let document = super::document(&args.file)?;
    Report::json(&document.bindings.len(), Exit::Done)
}
