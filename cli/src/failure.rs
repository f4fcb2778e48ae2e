//! How a command ends.

use std::fmt;
use std::process::ExitCode;

use nicfw::Target;
use nicfw::policy::{CompileError, Document};

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
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, text: text.to_string() }
    }

    /// A policy that the tables cannot hold or say: why, and what could be written instead.
    pub fn refused(error: &CompileError, document: &Document, target: &Target) -> Self {
        Self::new(Exit::DoesNotFit, format!("{error}\n{}", rewriting(error, document, target)))
    }

    /// Wrong usage, or input or output failed.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text)
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
