//! Text from outside: what is let in, and how it is shown.
//!
//! Names, ids, reasons and tickets come from people and programs, and go to terminals, logs and journals. One rule says what
//! such a text may be ([`check`]); whatever else has to be shown, because it is there already or because it is what is
//! refused, is shown escaped ([`escaped`], [`quoted`]).

use std::borrow::Cow;

/// Longest text for people in bytes: an id, a name, a reason, a ticket.
pub const LONGEST: usize = 250;

/// Longest name of a file in bytes (`PATH_MAX`).
pub const LONGEST_PATH: usize = 4096;

/// Characters of foreign text that a message shows.
const SHOWN: usize = 60;

/// Why a text is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Too long.
    #[error("it has {len} bytes, more than {longest}")]
    Long {
        /// Its length in bytes.
        len: usize,
        /// What is allowed.
        longest: usize,
    },
    /// A character that disturbs what is around it.
    #[error("it holds U+{:04X} at byte {at}, which a terminal obeys or does not show", u32::from(*character))]
    Disturbs {
        /// The character.
        character: char,
        /// Where it begins, in bytes.
        at: usize,
    },
}

/// Checks a text for people: 1 to [`LONGEST`] bytes on one line, all of which can be seen.
///
/// # Errors
/// [`TextError`].
pub fn check(text: &str) -> Result<(), TextError> {
    check_within(text, LONGEST)
}

/// Checks a text that may be longer, as the name of a file.
///
/// # Errors
/// [`TextError`].
pub fn check_within(text: &str, longest: usize) -> Result<(), TextError> {
    match text.char_indices().find(|(_, c)| disturbs(*c)) {
        _ if text.is_empty() => Err(TextError::Empty),
        _ if text.len() > longest => Err(TextError::Long { len: text.len(), longest }),
        Some((at, character)) => Err(TextError::Disturbs { character, at }),
        None => Ok(()),
    }
}

/// True for characters that disturb a terminal or a log: control characters, line breaks, and those that turn the writing
/// direction or cannot be seen.
#[must_use]
pub fn disturbs(c: char) -> bool {
    c.is_control() || turns(c) || is_invisible(c)
}

/// Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9).
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// True for characters without a shape of their own, by which two texts may look the same: those of no width, separators of
/// lines and paragraphs, fillers, and tags. Blanks are none of them.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2028}'..='\u{2029}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Foreign text with escapes for what disturbs.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(disturbs) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if disturbs(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A word of foreign text in quotes, escaped and cut so that it cannot disturb the message around it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let cut: String = word.chars().take(SHOWN).collect();
    let dots = if cut.len() < word.len() { "..." } else { "" };
    escaped(&format!("{cut:?}{dots}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt), and Bidi_Control, typed from there.
    const IGNORABLE: &[(u32, u32)] = &[
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x206f),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfff8),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0000, 0xe0fff),
    ];

    #[test]
    fn what_unicode_calls_ignorable_disturbs() {
        for (first, last) in IGNORABLE {
            for c in (*first..=*last).filter_map(char::from_u32) {
                assert!(disturbs(c), "U+{:04X}", u32::from(c));
            }
        }
        for c in ['\0', '\t', '\n', '\r', '\x1b', '\x7f', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}'] {
            assert!(disturbs(c), "{c:?}");
        }
        for c in "aZ09 ~\u{a0}äßéøł€ΩЖשلا漢字かな한글😀".chars() {
            assert!(!disturbs(c), "{c:?}");
        }
    }

    #[test]
    fn a_text_is_let_in_or_refused_with_its_reason() {
        assert_eq!(check("CHG-1042, Überlauf im Lager"), Ok(()));
        assert_eq!(check(""), Err(TextError::Empty));
        assert_eq!(check(&"x".repeat(250)), Ok(()));
        assert_eq!(check(&"ü".repeat(126)), Err(TextError::Long { len: 252, longest: 250 }));
        let error = check("ok\nforged").unwrap_err();
        assert_eq!(error.to_string(), "it holds U+000A at byte 2, which a terminal obeys or does not show");
        assert!(check("a\u{202e}b").is_err() && check("a\u{200b}b").is_err() && check("\u{feff}").is_err());
    }

    #[test]
    fn what_is_shown_is_one_line_without_anything_that_disturbs() {
        assert_eq!(escaped("plain ü"), "plain ü");
        assert_eq!(escaped("a\x1b[31m\u{202e}b\n"), "a\\u{1b}[31m\\u{202e}b\\u{a}");
        assert_eq!(quoted("a\"\x07"), "\"a\\\"\\u{7}\"");
        assert_eq!(quoted(&"x".repeat(61)), format!("\"{}\"...", "x".repeat(60)));
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = c.to_string();
            assert!(!escaped(&text).contains(disturbs) && !quoted(&text).contains(disturbs), "{c:?}");
        }
    }
}
