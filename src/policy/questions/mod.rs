//! What people ask of documents: what stays open, what changes, and what is odd.

mod diff;
mod lint;
mod openings;

pub use diff::newly_allows;
pub use diff::{Difference, LocalSide, Values};
pub use lint::{Date, DateError, Finding, Hider, Lint};
pub use openings::{Open, Opening};
