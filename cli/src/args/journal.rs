//! Options of `journal`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nicfw::journal::{Head, When};

use super::common::Output;
use super::device::Cause;

/// Options of `journal`.
#[derive(Debug, Args)]
pub struct Journal {
    /// Journal
    pub file: PathBuf,
    /// File whose bytes are the key that the journal was written with
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// What to ask.
    #[command(subcommand)]
    pub question: JournalQuestion,
}

/// What a journal is asked.
#[derive(Debug, Subcommand)]
pub enum JournalQuestion {
    /// Says what the adapter holds by the records, and what is open
    Show(Output),
    /// Lists the changes: all, or those that touched a container or a rule
    History {
        /// Container
        #[arg(conflicts_with = "rule")]
        container: Option<String>,
        /// Rule: FILE:LINE, or words of its ticket, owner or reason
        #[arg(long)]
        rule: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Says who asked for entries, and which change made each what it is
    Entry {
        /// Words that the entry matches by, as `nicfw show` prints them
        #[arg(required = true, num_args = 1..)]
        words: Vec<String>,
        /// Moment
        #[arg(long, value_name = "WHEN", default_value = "now", value_parser = moment)]
        at: When,
        #[command(flatten)]
        output: Output,
    },
    /// Says what differs between two moments
    Between {
        /// First moment
        #[arg(value_parser = moment)]
        from: When,
        /// Second moment
        #[arg(value_parser = moment)]
        to: When,
        #[command(flatten)]
        output: Output,
    },
    /// Reads everything again and checks that it is what was written
    Verify {
        /// Head that was kept: checks also that the chain which held it was not rewritten
        #[arg(long, value_name = "HEAD")]
        anchor: Option<Head>,
        #[command(flatten)]
        output: Output,
    },
    /// Prints all records, one JSON object a line
    Export {
        /// Print the head alone, to be kept elsewhere
        #[arg(long)]
        anchor: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Notes that the clock had been ahead when the last record was written, and is right now: touches no adapter
    Clock {
        #[command(flatten)]
        cause: Cause,
        #[command(flatten)]
        output: Output,
    },
    /// Rewrites a journal of an older format; the older one stays beside it
    Migrate(Output),
    /// Draws the entries in use over time, as SVG
    Plot(Output),
}

/// A moment in a journal.
fn moment(text: &str) -> Result<When, String> {
    if text == "now" {
        return Ok(When::Now);
    }
    if let Ok(number) = text.parse() {
        return Ok(When::Record(number));
    }
    text.parse()
        .map(When::Time)
        .map_err(|_| "expected now, a record's number, or a date as 2026-11-23T08:30:00Z".into())
}
