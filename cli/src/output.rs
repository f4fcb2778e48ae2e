//! What commands print: text or JSON, tables, progress.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, TableComponent, presets};
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

/// One JSON object on a line of its own.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    let mut line = serde_json::to_string(value).map_err(Failure::usage)?;
    line.push('\n');
    Ok(line)
}

/// A table without frames, fitted to the terminal.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
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

/// Tells a person at a terminal that work goes on; silent elsewhere.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Silent until told something.
    pub fn new() -> Self {
        Self { shown: false }
    }

    /// Replaces the line of progress.
    pub fn say(&mut self, text: &str) {
        if io::stderr().is_terminal() {
            self.shown = true;
            // Progress that cannot be shown is not missed.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
