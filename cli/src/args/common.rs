//! What many commands take.

use std::time::Duration;

use clap::Args;
use nicfw::text::TextError;

/// How to print.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A text for people.
pub(super) fn text(word: &str) -> Result<String, TextError> {
    nicfw::text::check(word).map(|()| word.to_owned())
}

/// A time that is not zero, as 60s.
pub(super) fn time(word: &str) -> Result<Duration, String> {
    match humantime::parse_duration(word) {
        Ok(Duration::ZERO) => Err("expected a time above 0".to_owned()),
        time => time.map_err(|error| error.to_string()),
    }
}
