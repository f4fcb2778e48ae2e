//! Places in the original file, kept beside a text that has lines of its own.

use std::sync::Arc;

use super::super::parse::parse;
use crate::policy::document::Document;
use crate::policy::document::draft::Source;
use crate::policy::document::problems::{At, Diagnostic, ParseErrors, Problems};

impl Document {
    /// Lines of everything that has one: of the management rules, of each policy and its rules, of the bindings.
    #[must_use]
    pub fn origin_lines(&self) -> Vec<u32> {
        let mut lines: Vec<u32> = self.management.iter().map(|management| management.rule.origin.line).collect();
        for policy in &self.policies {
            lines.push(policy.line);
            lines.extend(policy.rules.iter().map(|rule| rule.origin.line));
        }
        lines.extend(self.bindings.iter().map(|binding| binding.origin.line));
        lines
    }

    /// The document whose [`Document::to_text`] and [`Document::origin_lines`] these are. `name` is its file's.
    ///
    /// ```
    /// # use nicfw::policy::Document;
    /// # let text = "nicfw: 1\nunbound: allow\nmulticast: deny\n\npolicies: {web: [{allow: in, reason: shop front}]}\n";
    /// let document = Document::parse(text, "web.yaml")?;
    /// let restored = Document::restore(&document.to_text(), "web.yaml", &document.origin_lines())?;
    /// assert_eq!(restored, document);
    /// # Ok::<(), nicfw::policy::ParseErrors>(())
    /// ```
    ///
    /// # Errors
    /// The text is that of no document, or there are not as many lines as it has places; errors name lines of `text`.
    pub fn restore(text: &str, name: &str, lines: &[u32]) -> Result<Self, ParseErrors> {
        let mut document = parse(text, name, Source::Canonical)?;
        let places = document.lines_mut();
        if places.len() != lines.len() {
            let what = format!("the document has {} places, and {} lines were given", places.len(), lines.len());
            let wrong = Diagnostic::new(what, "one line for each place", "give the lines that belong to this text");
            let mut problems = Problems::new(name.into());
            problems.report(At { line: 1, column: 1 }, &wrong);
            return Err(problems.into_errors());
        }
        for (place, line) in places.into_iter().zip(lines) {
            *place = *line;
        }
        Ok(document)
    }

    /// What [`Document::origin_lines`] gives, to be changed.
    fn lines_mut(&mut self) -> Vec<&mut u32> {
        let management = self.management.iter_mut().map(|management| &mut management.rule);
        let mut lines: Vec<_> = management.map(|rule| &mut Arc::make_mut(&mut rule.origin).line).collect();
        for policy in self.policies.iter_mut().map(Arc::make_mut) {
            lines.push(&mut policy.line);
            lines.extend(policy.rules.iter_mut().map(|rule| &mut Arc::make_mut(&mut rule.origin).line));
        }
        let bindings = self.bindings.iter_mut().map(Arc::make_mut);
        lines.extend(bindings.map(|binding| &mut Arc::make_mut(&mut binding.origin).line));
        lines
    }
}
