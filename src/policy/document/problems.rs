//! What is wrong with a document: every error with its place, what was expected and the way out.

use std::fmt;
use std::sync::Arc;

use crate::text::{disturbs, escaped};

/// Errors that one document may list; what is beyond is only counted.
const MOST_ERRORS: usize = 100;

/// Where something was said. Line and column count from 1; line 0 = in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::policy) struct At {
    pub line: u32,
    pub column: u32,
}

/// A value and where it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) struct Spanned<T> {
    pub at: At,
    pub value: T,
}

impl<T> Spanned<T> {
    pub const fn new(at: At, value: T) -> Self {
        Self { at, value }
    }

    /// A value that code gave, not text.
    pub fn in_code(value: T) -> Self {
        Self::new(At::default(), value)
    }
}

/// One thing that is wrong with a document, as `web.yaml:9:14: what; expected ...; way out`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{place} {text}")]
pub struct ParseError {
    name: Arc<str>,
    place: Place,
    text: String,
}

impl ParseError {
    /// Line, from 1; 0 for a document made in code.
    #[must_use]
    pub fn line(&self) -> u32 {
        if let Place::Text(at) = self.place { at.line } else { 0 }
    }

    /// Column in characters, from 1; 0 for a document made in code.
    #[must_use]
    pub fn column(&self) -> u32 {
        if let Place::Text(at) = self.place { at.column } else { 0 }
    }

    /// What is wrong, what was expected and the way out, without the place.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Text(At),
    /// For a document made in code: the thing, as `policy web, rule 2`; may be empty.
    Code(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(at) => write!(f, "{}:{}:", at.line, at.column),
            Self::Code(thing) if thing.is_empty() => Ok(()),
            Self::Code(thing) => write!(f, " {thing}:"),
        }
    }
}

/// All that is wrong with a document, in the order of the text; at least one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseErrors {
    errors: Vec<ParseError>,
    unlisted: usize,
}

impl ParseErrors {
    /// The errors, in the order of the text.
    #[must_use]
    pub fn errors(&self) -> &[ParseError] {
        &self.errors
    }
}

impl fmt::Display for ParseErrors {
    /// One error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        if self.unlisted > 0 {
            write!(f, "\nand {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseErrors {}

/// What is wrong with a word, before anybody knows where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Diagnostic {
    pub what: String,
    pub expected: String,
    pub way_out: String,
}

impl Diagnostic {
    pub fn new(what: impl Into<String>, expected: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), way_out: way_out.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; expected {}; {}", self.what, self.expected, self.way_out)
    }
}

/// Collects what is wrong with a document.
#[derive(Debug)]
pub(in crate::policy) struct Problems {
    name: Arc<str>,
    found: Vec<ParseError>,
    unlisted: usize,
    thing: String,
}

impl Problems {
    pub fn new(name: Arc<str>) -> Self {
        let name = if name.contains(disturbs) { escaped(&name).into_owned().into() } else { name };
        Self { name, found: Vec::new(), unlisted: 0, thing: String::new() }
    }

    /// Names the thing that the next reports are about, for documents made in code.
    pub fn about(&mut self, thing: impl Into<String>) {
        self.thing = escaped(&thing.into()).into_owned();
    }

    pub fn report(&mut self, at: At, wrong: &Diagnostic) {
        self.report_with(at, || wrong.clone());
    }

    /// Like [`Self::report`], for what is dear to find out.
    pub fn report_with(&mut self, at: At, wrong: impl FnOnce() -> Diagnostic) {
        if self.found.len() == MOST_ERRORS {
            self.unlisted += 1;
            return;
        }
        let place = if at.line == 0 { Place::Code(self.thing.clone()) } else { Place::Text(at) };
        self.found.push(ParseError {
            name: self.name.clone(),
            place,
            text: escaped(&wrong().to_string()).into_owned(),
        });
    }

    /// The value, or `None` after reporting what is wrong with it.
    pub fn ok_or_report<T>(&mut self, at: At, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|wrong| self.report(at, &wrong)).ok()
    }

    /// `Ok` if nothing was reported.
    pub fn finish(self) -> Result<(), ParseErrors> {
        if self.found.is_empty() { Ok(()) } else { Err(self.into_errors()) }
    }

    /// What was reported; for use where something was.
    pub fn into_errors(mut self) -> ParseErrors {
        self.found.sort_by_key(|error| (error.line(), error.column()));
        ParseErrors { errors: self.found, unlisted: self.unlisted }
    }
}

/// The way out for an unknown word: the known word that it is closest to, or `otherwise`.
pub(in crate::policy) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    let near = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    match near.filter(|(edits, candidate)| *edits <= 2 && *edits < candidate.chars().count()).min() {
        Some((_, candidate)) => format!("did you mean {candidate}?"),
        None => otherwise.to_owned(),
    }
}

/// Number of insertions, deletions and replacements between two words, of which only the first 32 characters count.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(32).enumerate() {
        let mut left = i + 1;
        let mut above = row.iter_mut();
        let Some(first) = above.next() else { break };
        let mut diagonal = std::mem::replace(first, left);
        for (cell, y) in above.zip(&b) {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_is_offered_only_if_it_is_near() {
        let known = ["unbound", "multicast"];
        assert_eq!(did_you_mean("unboundd", known, "-"), "did you mean unbound?");
        assert_eq!(did_you_mean("mlticsat", known, "-"), "-");
        assert_eq!(did_you_mean("x", ["in"], "-"), "-");
        assert_eq!(did_you_mean("wbe", ["db", "web"], "-"), "did you mean web?");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
