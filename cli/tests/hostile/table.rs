//! The table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::run::Came;

/// One input.
pub struct Row {
    /// What stands above it in the table.
    above: String,
    pub command: String,
    pub code: i32,
    pub time: Duration,
    /// In bytes.
    pub memory: u64,
    /// First line of stderr.
    pub first: String,
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/inputs.txt")
}

pub fn read() -> Vec<Row> {
    let text = std::fs::read_to_string(path()).unwrap();
    let (mut rows, mut above) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            above += &format!("{line}\n");
            continue;
        };
        let expected = lines.next().unwrap_or_else(|| panic!("nothing follows {line}"));
        let (bounds, first) = expected.split_once('|').unwrap_or_else(|| panic!("no | in {expected}"));
        let words: Vec<&str> = bounds.split_whitespace().collect();
        let [code, time, memory] = words[..] else { panic!("{bounds}: expected a code and two bounds") };
        let number =
            |word: &str, unit: char| word.trim_end_matches(unit).parse().unwrap_or_else(|_| panic!("{expected}"));
        rows.push(Row {
            above: std::mem::take(&mut above),
            command: command.to_owned(),
            code: code.parse().unwrap_or_else(|_| panic!("{expected}")),
            time: Duration::from_secs(number(time, 's')),
            memory: number(memory, 'M') << 20,
            first: first.trim().to_owned(),
        });
    }
    rows
}

/// True if a line is what the table says; `*` stands for anything.
pub fn fits(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == line,
        Some((before, behind)) => line.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| fits(behind, &rest[at..]))
        }),
    }
}

/// Writes what came into the table; lines with a `*` that fits stay.
pub fn write<'a>(rows: &[Row], came: impl Iterator<Item = &'a Came>) {
    let mut text = String::new();
    for (row, came) in rows.iter().zip(came) {
        let first = if row.first.contains('*') && fits(&row.first, came.first()) { &row.first } else { came.first() };
        let (code, time, memory) = (came.code.unwrap_or(-1), row.time.as_secs(), row.memory >> 20);
        let line = format!("{code} {time}s {memory}M | {first}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}$ {}\n{}", row.above, row.command, line.trim_end());
    }
    std::fs::write(path(), text).unwrap();
}
