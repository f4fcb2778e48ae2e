//! What becomes of frames.

use nicfw::tables::{CounterId, RuleKey};
use nicfw::terms::Verdict;

use super::entry::EntryId;

/// What became of a frame in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it passes.
    pub verdict: Verdict,
    /// What decided.
    pub by: By,
    /// The counter that moved.
    pub counter: Option<CounterId>,
}

/// What decided about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An entry.
    Entry(RuleKey),
    /// No entry (assumption A3).
    NoMatch,
    /// TSA_RULESET_OVERRIDE.
    Override,
    /// The frame shows no IP header and is not judged (only where assumption A8 does not hold).
    NotJudged,
}

/// What decided about a frame, in a form that costs little: see [`Engine::judgement`](super::Engine::judgement).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// An entry.
    Entry(EntryId),
    /// No entry (assumption A3).
    NoMatch,
    /// TSA_RULESET_OVERRIDE.
    Override,
    /// The frame shows no IP header and is not judged (only where assumption A8 does not hold).
    NotJudged,
}

/// What became of a frame, in a form that costs little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it passes.
    pub verdict: Verdict,
    /// What decided.
    pub by: Decided,
}
