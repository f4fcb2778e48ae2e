//! The text form of a document: YAML 1.2, read strictly.
//!
//! The way of the text: [`yaml`] makes a small tree with positions and refuses what documents do not need (aliases, tags,
//! repeated keys, depth); [`read`] turns the tree into a draft, key by key; `super::check` makes the document of it.
//! Whatever is wrong on the way is collected, so that one look shows all errors.

mod read;
mod yaml;

use crate::policy::document::Document;
use crate::policy::document::check::check;
use crate::policy::document::draft::{Draft, Source};
use crate::policy::document::problems::{At, Diagnostic, ParseErrors, Problems};

/// Longest text of a document that [`Document::parse`] reads, in bytes.
pub const LONGEST_DOCUMENT: usize = 1 << 20;

/// The same for [`Source::Canonical`], which may have to write prefixes where a person wrote names.
const LONGEST_WRITTEN: usize = 1 << 25;

impl Document {
    /// Reads a document. `name` stands in errors and origins, usually the file's.
    ///
    /// [`language`](crate::language) describes every key.
    ///
    /// Unknown and repeated keys, anchors, aliases, tags and a second document are refused, and so is a text of more than
    /// 1 MiB. `until` decides nothing by itself, since there is no clock here: [`Document::expired`] and
    /// [`Document::without_expired`] compare it with a date. A day includes its last second.
    ///
    /// # Errors
    /// Everything that is wrong with the text, each with line and column, what was expected and the way out.
    pub fn parse(text: &str, name: &str) -> Result<Self, ParseErrors> {
        parse(text, name, Source::User)
    }
}

/// Reads a document that somebody wrote.
pub(in crate::policy) fn parse(text: &str, name: &str, source: Source) -> Result<Document, ParseErrors> {
    let mut problems = Problems::new(name.into());
    match draft(text, name, source, &mut problems) {
        Some(draft) => check(Draft { source, ..draft }, problems),
        None => Err(problems.into_errors()),
    }
}

/// The draft; `None` after reporting that the text is not a mapping at all.
fn draft(text: &str, name: &str, source: Source, problems: &mut Problems) -> Option<Draft> {
    let longest = match source {
        Source::User => LONGEST_DOCUMENT,
        Source::Canonical => LONGEST_WRITTEN,
    };
    if text.len() > longest {
        let wrong = Diagnostic::new(
            format!("the document has {} bytes", text.len()),
            format!("at most {longest}"),
            "split it by adapters, or write larger prefixes",
        );
        problems.report(At { line: 1, column: 1 }, &wrong);
        return None;
    }
    let root = yaml::read(text, problems)?;
    read::draft(root, name, problems)
}
