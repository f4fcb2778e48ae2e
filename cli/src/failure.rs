//! How a command ends.

use std::fmt;
use std::process::ExitCode;

use nicfw::Target;
use nicfw::policy::{Document, Origin, ParseErrors};
use nicfw::tables::CompileError;
use nicfw::text::escaped;
use serde::Serialize;

/// What the program's exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or the same.
    Done,
    /// Wrong usage, or input or output failed.
    Usage,
    /// Differs from what was expected, or newly allows something.
    Differs,
    /// Does not fit the tables, or cannot be expressed by them.
    DoesNotFit,
    /// The adapter holds something else than it should.
    Drift,
    /// Something had been left half done, or had run out, and was put right.
    PutRight,
}

impl Exit {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 1,
            Self::Differs => 2,
            Self::DoesNotFit => 3,
            Self::Drift => 4,
            Self::PutRight => 5,
        }
    }
}

impl Exit {
    /// The code in a word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Usage => "usage",
            Self::Differs => "differs",
            Self::DoesNotFit => "does-not-fit",
            Self::Drift => "drift",
            Self::PutRight => "put-right",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Why a command could not do its work: text for stderr, each line with place, expectation and way out.
#[derive(Debug)]
pub struct Failure {
    /// What the exit code says.
    pub exit: Exit,
    /// Without a newline at the end.
    pub text: String,
    /// Where it went wrong, as far as that is known.
    pub places: Vec<Place>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, escaped.
    pub file: String,
    /// From 1; `None` = the file as a whole.
    pub line: Option<u32>,
    /// In characters, from 1.
    pub column: Option<u32>,
    /// What is wrong there.
    pub message: String,
}

#[derive(Serialize)]
struct FailureReport<'a> {
    error: ErrorReport<'a>,
}

#[derive(Serialize)]
struct ErrorReport<'a> {
    /// The exit code's number, and its word.
    exit: u8,
    code: &'static str,
    message: &'a str,
    places: &'a [Place],
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, text: text.to_string(), places: Vec::new() }
    }

    /// A policy that the tables cannot hold or say: why, and what could be written instead.
    pub fn refused(error: &CompileError, document: &Document, target: &Target) -> Self {
        let failure = Self::new(Exit::DoesNotFit, format!("{error}\n{}", rewriting(error, document, target)));
        match origin(error) {
            Some(origin) => failure.at(&origin.file, Some(origin.line).filter(|line| *line > 0), error),
            None => failure,
        }
    }

    /// What is wrong with the text of a policy.
    pub fn wrong_document(errors: &ParseErrors, file: &str) -> Self {
        let place = |number: u32| Some(number).filter(|number| *number > 0);
        let places = errors.errors().iter().map(|error| Place {
            file: file.to_owned(),
            line: place(error.line()),
            column: place(error.column()),
            message: error.text().to_owned(),
        });
        Self { places: places.collect(), ..Self::usage(errors) }
    }

    /// Wrong usage, or input or output failed.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, file: &str, line: Option<u32>, message: impl fmt::Display) -> Self {
        let (file, message) = (escaped(file).into_owned(), message.to_string());
        self.places.push(Place { file, line, column: None, message });
        self
    }

    /// As one JSON object.
    pub fn json(&self) -> impl Serialize + '_ {
        let Self { exit, text, places } = self;
        FailureReport { error: ErrorReport { exit: exit.number(), code: exit.word(), message: text, places } }
    }
}

/// What asks for that which cannot be had.
fn origin(error: &CompileError) -> Option<&Origin> {
    match error {
        CompileError::DoesNotFit { at, .. }
        | CompileError::Fragments { allow: at, .. }
        | CompileError::AnyProtocol { allow: at, .. }
        | CompileError::Ipv6Remote { at, .. }
        | CompileError::SampledDeny { at }
        | CompileError::PhysicalPort { at, .. }
        | CompileError::NotLookedUp { at, .. }
        | CompileError::Order { at, .. }
        | CompileError::UnboundAllow { at }
        | CompileError::TooComplex { at, .. }
        | CompileError::Disagrees { at, .. } => Some(at),
        _ => None,
    }
}

/// The cheapest rewriting of a refused policy, in words.
pub fn rewriting(error: &CompileError, document: &Document, target: &Target) -> String {
    match error.rewriting(document, target) {
        Some(rewriting) => rewriting.to_string(),
        None => "no rewriting was found that fits".to_owned(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::usage(error)
    }
}
