//! What does not become part of the document, collected line by line.

use std::collections::BTreeMap;
use std::fmt;

use super::rules::Place;

/// What the document does instead of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// An allow is not in the document, or part of one.
    LeftOut,
    /// More is denied than the line says.
    DeniesMore,
    /// Replies that the file admits are denied.
    RepliesDenied,
    /// A deny by connection state is not in the document, as [`super::Settings::accept_stateless`] accepts.
    StateNotSeen,
    /// Verdicts do not depend on it.
    NoVerdict,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeftOut => "left out",
            Self::DeniesMore => "denies more",
            Self::RepliesDenied => "replies denied",
            Self::StateNotSeen => "state not seen",
            Self::NoVerdict => "not carried",
        })
    }
}

/// A line that the document does not say, or not as the file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCarried {
    /// Line of the file, from 1.
    pub line: u32,
    /// The line, cut and escaped.
    pub text: String,
    /// What the document does instead.
    pub effect: Effect,
    /// Why.
    pub reason: String,
}

impl fmt::Display for NotCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}", self.line, self.effect, self.reason, self.text)
    }
}

/// Collects; each line, effect and reason once.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: BTreeMap<(u32, Effect, String), String>,
    notes: Vec<String>,
}

impl Report {
    pub fn line(&mut self, place: &Place, effect: Effect, reason: &str) {
        self.lines.entry((place.line, effect, reason.to_owned())).or_insert_with(|| place.text.to_string());
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Notes once that connection states are no longer judged.
    pub fn state(&mut self) {
        let note = "connection states are not seen: what replies leave open is listed by the compiled policy, and \
                    packets that belong to no connection are judged like the first of one";
        if self.notes.iter().all(|said| said != note) {
            self.note(note);
        }
    }

    pub fn finish(self) -> (Vec<NotCarried>, Vec<String>) {
        let line = |((line, effect, reason), text)| NotCarried { line, text, effect, reason };
        (self.lines.into_iter().map(line).collect(), self.notes)
    }
}
