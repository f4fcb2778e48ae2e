//! Bytes to lines of bounded length.

use std::sync::Arc;

use super::ImportError;
use super::rules::Place;
use crate::text::{disturbs, escaped, is_invisible};

/// Longest line that is read, in bytes. `iptables-save` writes lines of at most a few hundred.
const LONGEST_LINE: usize = 8192;

/// Longest text of a line in messages and reasons, in bytes.
const LONGEST_SHOWN: usize = 160;

/// The text of a file.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, ImportError> {
    let line = |end: usize| bounded(bytes.iter().take(end).filter(|byte| **byte == b'\n').count() + 1);
    let text = std::str::from_utf8(bytes).map_err(|error| ImportError::Binary { line: line(error.valid_up_to()) })?;
    // What cannot be seen stands in comments of people; it goes no further than escaped.
    let bad = text.char_indices().find(|(_, c)| disturbs(*c) && !is_invisible(*c) && !"\n\r\t".contains(*c));
    bad.map_or(Ok(text), |(at, _)| Err(ImportError::Binary { line: line(at) }))
}

/// Lines with their numbers, from 1, without blanks at their ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<(u32, &str), ImportError>> {
    text.lines().zip(1u32..).map(|(line, number)| {
        let wanted = line.len() <= LONGEST_LINE;
        wanted
            .then_some((number, line.trim()))
            .ok_or_else(|| syntax(number, line, "the line is too long", "at most 8192 bytes a line"))
    })
}

/// A place in the file.
pub(super) fn place(line: u32, text: &str) -> Place {
    Place { line, text: shown(text).into(), ..Place::default() }
}

/// An error about a line.
pub(super) fn syntax(line: u32, text: &str, what: impl Into<String>, expected: &'static str) -> ImportError {
    ImportError::Syntax { line, what: what.into(), expected, text: shown(text) }
}

/// A number of a line.
pub(super) fn bounded(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Foreign text, on one line, escaped and cut.
pub(super) fn shown(text: &str) -> String {
    let words: Vec<_> = text.split_ascii_whitespace().take(LONGEST_SHOWN).collect();
    let mut out = escaped(&words.join(" ")).into_owned();
    if out.len() > LONGEST_SHOWN {
        let end = (0..=LONGEST_SHOWN).rev().find(|end| out.is_char_boundary(*end)).unwrap_or(0);
        out.truncate(end);
        out.push_str("...");
    }
    out
}

/// A place that stands for something that no line says.
pub(super) fn nowhere(text: &str) -> Place {
    Place { text: Arc::from(text), ..Place::default() }
}
