//! The text form of a document: YAML 1.2, read strictly.
//!
//! The way of the text: [`yaml`] makes a small tree with positions and refuses what documents do not need (aliases, tags,
//! repeated keys, depth); [`read`] turns the tree into a draft, key by key; `super::check` makes the document of it.
//! Whatever is wrong on the way is collected, so that one look shows all errors.

mod read;
mod yaml;

use super::check::check;
use super::document::Document;
use super::draft::Draft;
use super::problems::{At, ParseErrors, Problems, Wrong};

/// Longest text of a document, in bytes.
const LONGEST_DOCUMENT: usize = 4 << 20;

impl Document {
    /// Reads a document. `name` stands in errors and origins, usually the file's.
    ///
    /// # Errors
    /// Everything that is wrong with the text, each with line and column, what was expected and the way out.
    pub fn parse(text: &str, name: &str) -> Result<Self, ParseErrors> {
        let mut problems = Problems::new(name.into());
        match draft(text, name, &mut problems) {
            Some(draft) => check(draft, problems),
            None => Err(problems.into_errors()),
        }
    }
}

/// The draft; `None` after reporting that the text is no mapping at all.
fn draft(text: &str, name: &str, problems: &mut Problems) -> Option<Draft> {
    if text.len() > LONGEST_DOCUMENT {
        let wrong = Wrong::new(
            format!("the document has {} bytes", text.len()),
            format!("at most {LONGEST_DOCUMENT}"),
            "split it by adapters, or write larger prefixes",
        );
        problems.report(At { line: 1, column: 1 }, &wrong);
        return None;
    }
    let root = yaml::read(text, problems)?;
    read::draft(root, name, problems)
}
