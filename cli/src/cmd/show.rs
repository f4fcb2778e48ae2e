//! `nicfw show`: the tables that a policy becomes, entry by entry with its origins.

use comfy_table::Cell;
use nicfw::tables::{Compiled, ImageEntry};
use serde::Serialize;

use super::common::{compile, document};
use crate::args::OneFile;
use crate::entries::{self, EntryWords};
use crate::failure::{Exit, Failure};
use crate::output::{Report, table, text};
use crate::usage::{UsageReport, usage, usage_table};

#[derive(Serialize)]
struct ShowReport {
    file: String,
    entries: Vec<EntryReport>,
    usage: Vec<UsageReport>,
}

#[derive(Serialize)]
struct EntryReport {
    entry: EntryWords,
    does: String,
    /// Places that asked for it, as `web.yaml:9 CHG-1042`.
    origins: Vec<String>,
}

pub fn run(args: &OneFile) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    let compiled = compile(&document)?;
    let image = compiled.image();
    let entries = image.rules.iter().map(|(key, entry)| EntryReport {
        entry: EntryWords::of(key, image),
        does: entries::does(entry),
        origins: origins(&compiled, entry),
    });
    let report = ShowReport { file: document.name.to_string(), entries: entries.collect(), usage: usage(&compiled) };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    let mut table = table(["entry matches", "does", "because of"]);
    for entry in &report.entries {
        table.add_row([Cell::new(&entry.entry.text), Cell::new(&entry.does), Cell::new(entry.origins.join("\n"))]);
    }
    let (count, entries, usage) = (report.entries.len(), text(&table), usage_table(&report.usage));
    Ok(Report::done(format!("{}: {count} entries\n\n{entries}\n\n{usage}\n", report.file)))
}

/// Who asked for an entry, each once.
fn origins(compiled: &Compiled, entry: &ImageEntry) -> Vec<String> {
    let mut out = Vec::new();
    for id in entry.rx.origins.iter().chain(&entry.tx.origins) {
        let Some(source) = compiled.origin(*id) else { continue };
        let ticket = source.origin.ticket.as_deref().map(|ticket| format!(" {ticket}")).unwrap_or_default();
        let text = format!("{}{ticket}", source.origin);
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}
