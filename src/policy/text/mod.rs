//! Documents and flows as text: read with the place of every word, and written so that reading gives the same again.

mod flow_text;
mod parse;
mod places;
mod prefixes;
pub(in crate::policy) mod words;
pub(crate) mod write;

pub use flow_text::{FlowText, FlowTextError};
pub use parse::LONGEST_DOCUMENT;
pub(in crate::policy) use places::{named, referred};
pub(in crate::policy) use prefixes::prefixes;
