//! What an operator asks about documents: every answer against the reference evaluator.

mod corners;
mod diff;
#[path = "../compiler/documents.rs"]
mod documents;
mod lint;
mod nearest;
