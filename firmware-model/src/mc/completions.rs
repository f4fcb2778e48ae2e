//! Answers that are kept.

/// Answers of a function that are kept for faults.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    /// The one before.
    pub last: Option<Vec<u8>>,
    /// One that comes in the place of the next.
    pub next: Option<Vec<u8>>,
    /// Whether that next one is the next to come: not the one that it was kept at.
    pub due: bool,
}
