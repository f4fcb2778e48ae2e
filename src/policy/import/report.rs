//! What does not become part of the document, collected line by line.

use std::collections::BTreeMap;
use std::fmt;

use super::rules::Place;

/// What the document does instead of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// An allow is not in the document, or part of one.
    LeftOut,
    /// More is denied than the line says.
    DeniesMore,
    /// Replies that the file admits are denied.
    RepliesDenied,
    /// A deny by connection state, or of what exceeds a rate, is not in the document, as
    /// [`super::Settings::accept_stateless`] accepts.
    StateNotSeen,
    /// A deny stands behind replies that the adapter cannot tell from what it denies.
    RepliesPass,
    /// The document says it, and no adapter holds it beside the other settings of the import.
    NotHeld,
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
            Self::RepliesPass => "replies pass",
            Self::NotHeld => "not held",
            Self::NoVerdict => "not carried",
        })
    }
}

/// A line that the document does not say, or not as the file does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotCarried {
    /// Line of the file, from 1.
    pub line: u32,
    /// The line, cut and escaped.
    pub text: String,
    /// What the document does instead.
    pub effect: Effect,
    /// Why.
    pub reason: String,
    /// What the firewall calls the rule by, if the file says.
    pub handle: Option<u64>,
    /// The rule's own comment, cut and escaped.
    pub comment: Option<String>,
}

impl fmt::Display for NotCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}", self.line, self.effect, self.reason, self.text)
    }
}

/// Line, handle, effect, reason and text.
type Key = (u32, Option<u64>, Effect, String, String);

/// Collects; each rule, effect and reason once.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Their comments.
    lines: BTreeMap<Key, Option<String>>,
    notes: Vec<String>,
}

impl Report {
    pub fn line(&mut self, place: &Place, effect: Effect, reason: &str) {
        let key = (place.line, place.handle, effect, reason.to_owned(), place.text.to_string());
        self.lines.entry(key).or_insert_with(|| place.comment.as_deref().map(ToOwned::to_owned));
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
        let line = |((line, handle, effect, reason, text), comment)| NotCarried {
            line,
            text,
            effect,
            reason,
            handle,
            comment,
        };
        (self.lines.into_iter().map(line).collect(), self.notes)
    }
}
