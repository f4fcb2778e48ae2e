//! What an operator asks about documents: every answer against the reference evaluator.

mod corners;
mod diff;
mod lint;
mod nearest;
