//! What commands print: text or JSON, tables, progress.

use std::io::{self, IsTerminal};

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nicfw::text::{disturbs, escaped};
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// Widest line, where the terminal does not say how wide it is, or is wider.
const WIDTH: u16 = 120;
/// Narrowest table that can still be read.
const NARROW: u16 = 80;

/// What a command has to say.
#[derive(Debug)]
pub struct Report {
    /// For stdout.
    pub text: String,
    /// How to exit.
    pub exit: Exit,
}

impl Report {
    /// Text, and success.
    pub fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), exit: Exit::Done }
    }

    /// One JSON object on a line.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn json(value: &impl Serialize, exit: Exit) -> Result<Self, Failure> {
        Ok(Self { text: json_line(value)?, exit })
    }
}

/// One JSON object on a line of its own, in which no character disturbs a terminal.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).map_err(Failure::usage)?;
    let mut line = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if disturbs(c) {
            // It stands in a string: outside of those JSON is ASCII without control characters.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    Ok(line)
}

/// Text of several lines as a terminal may see it: with escapes for what disturbs. Colours are let through where this
/// program has set some.
pub fn shown(text: &str) -> Cow<'_, str> {
    with_colours(text, colours())
}

fn with_colours(text: &str, colours: bool) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && disturbs(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if colours { colour(rest) } else { 0 };
        let len = colour.max(c.len_utf8());
        let (taken, behind) = rest.split_at(len);
        match c {
            '\n' => out.push('\n'),
            _ if colour > 0 => out.push_str(taken),
            _ => out.push_str(&escaped(taken)),
        }
        rest = behind;
    }
    Cow::Owned(out)
}

/// Length of the colour that a text begins with (`ESC [ numbers m`); 0 for none.
fn colour(text: &str) -> usize {
    let Some(numbers) = text.strip_prefix("\x1b[") else { return 0 };
    let len = numbers.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if numbers[len..].starts_with('m') { len + 3 } else { 0 }
}

/// Beneath the headings of a table.
const UNDERLINE: LineStyle = LineStyle { fill: Some('─'), junction: Some('─'), ..LineStyle::none() };

/// A table without frames, fitted to the terminal.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING.header_separator(UNDERLINE))
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    let terminal = io::stdout().is_terminal();
    let width = if terminal { table.width().unwrap_or(WIDTH).clamp(NARROW, WIDTH) } else { WIDTH };
    table.set_width(width);
    if !colours() {
        table.force_no_tty();
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A table as text, without blanks at the ends of lines.
pub fn text(table: &Table) -> String {
    table.trim_fmt()
}

/// Text in lines of at most [`WIDTH`] columns, all but the first two columns further in; newlines stay.
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    for (i, paragraph) in text.lines().enumerate() {
        let mut column = indent;
        out.push_str(if i == 0 { "" } else { "\n" });
        out.push_str(&" ".repeat(indent));
        for (j, word) in paragraph.split(' ').enumerate() {
            let len = word.chars().count();
            if j > 0 && column + 1 + len > usize::from(WIDTH) {
                out.push('\n');
                out.push_str(&" ".repeat(indent + 2));
                column = indent + 2;
            } else if j > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += len;
        }
    }
    out
}

/// A cell that says at one look whether things are as they should be.
pub fn judged(text: impl ToString, good: bool) -> Cell {
    let cell = Cell::new(text);
    if good { cell.fg(Color::Green) } else { cell.fg(Color::Red).add_attribute(Attribute::Bold) }
}

/// Colours only for a terminal, and not against its owner's wish (no-color.org).
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Tells a person at a terminal that work goes on, and for how long it has; silent elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Silent until told something.
    pub fn new() -> Self {
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Replaces the line of progress.
    pub fn say(&mut self, text: &str) {
        if self.bar.message().is_empty() {
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
        self.bar.set_message(escaped(text).into_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_disturbs_is_escaped_and_lines_stay() {
        assert_eq!(with_colours("a\nb", false), "a\nb");
        assert_eq!(with_colours("a\x1b[31mb\u{202e}c\n", false), "a\\u{1b}[31mb\\u{202e}c\n");
        assert_eq!(with_colours("a\x1b[1;31mb\x1b[0m\x1b[2Jc", true), "a\x1b[1;31mb\x1b[0m\\u{1b}[2Jc");
    }

    #[test]
    fn json_is_the_same_value_without_what_disturbs() {
        let text = "a\u{202e}b\x7f\u{9b}\n\u{e0041}\"é";
        let line = json_line(&text).unwrap();
        assert_eq!(line, "\"a\\u202eb\\u007f\\u009b\\n\\udb40\\udc41\\\"é\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
