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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_text_is_refused_with_its_line() {
        let line = |bytes: &[u8]| match decode(bytes) {
            Err(ImportError::Binary { line }) => Some(line),
            other => {
                assert_eq!(other.unwrap().as_bytes(), bytes);
                None
            }
        };
        assert_eq!([line(b""), line(b"a\tb\r\nc\n"), line("é\u{200b}\n".as_bytes())], [None; 3]);
        assert_eq!([line(b"\xff"), line(b"a\n\xff\n"), line(b"\n\n\xc3")], [Some(1), Some(2), Some(3)]);
        assert_eq!([line(b"\0\n"), line(b"a\n\x1b[2J\n"), line(b"\n\na\x7f\n")], [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn lines_are_numbered_trimmed_and_bounded() {
        let text = format!("  a b\t\n\n{}\nc", "x".repeat(8192));
        let read: Vec<_> = lines(&text).map(|line| line.map(|(number, line)| (number, line.len())).unwrap()).collect();
        assert_eq!(read, [(1, 3), (2, 0), (3, 8192), (4, 1)]);
        let text = format!("a\n{}\n", "x".repeat(8193));
        let error = lines(&text).nth(1).unwrap().unwrap_err().to_string();
        assert!(error.starts_with("2: the line is too long; expected at most 8192 bytes a line; "), "{error}");
    }

    #[test]
    fn foreign_text_is_shown_on_one_line_escaped_and_cut() {
        assert_eq!(shown("  -A  X\n\t-j \u{1b}[2J "), "-A X -j \\u{1b}[2J");
        assert_eq!([shown(&"x".repeat(160)).len(), shown(&"x".repeat(161)).len()], [160, 163]);
        assert_eq!(shown(&"x".repeat(200)), format!("{}...", "x".repeat(160)));
        // No letter is cut in two.
        assert_eq!(shown(&format!("{}éé", "x".repeat(159))), format!("{}...", "x".repeat(159)));
        assert_eq!(shown(&"x ".repeat(200)), format!("{}...", "x ".repeat(80)));
        assert_eq!((bounded(7), bounded(usize::MAX)), (7, u32::MAX));
    }
}
