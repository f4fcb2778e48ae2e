//! What a document says about one flow, with no table in between, and which rule nearly says otherwise.

mod evaluate;
mod nearest;

pub use evaluate::{Decision, Why};
pub use nearest::{Field, Nearest, Obstacle};
