//! Names in a document.

use crate::policy::document::problems::{At, Diagnostic, Problems, Spanned};
use crate::policy::text::words;

/// Reports a name that a group or a policy cannot have.
pub(super) fn name_is_sound(name: &Spanned<String>, what: &str, problems: &mut Problems) {
    if !words::is_name(&name.value) || name.value == "any" {
        let wrong = Diagnostic::new(
            format!("{} is not a name for a {what}", crate::text::quoted(&name.value)),
            "up to 64 letters, digits, _, - and ., the first a letter or _, and not the word any",
            "choose another name",
        );
        problems.report(name.at, &wrong);
    }
}

/// The error for a name that was given before.
pub(super) fn said_twice(what: &str, name: &str, first: At) -> Diagnostic {
    let place = if first.line == 0 { String::new() } else { format!(" (first in line {})", first.line) };
    Diagnostic::new(
        format!("{what} {} is there already{place}", crate::text::quoted(name)),
        "each name once",
        "rename it or remove it",
    )
}
