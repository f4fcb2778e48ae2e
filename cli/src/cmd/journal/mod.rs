//! `nicfw journal`: asks the journal of an adapter. It only reads, but for `clock` and `migrate`; somebody else may be writing
//! it.

mod plot;
mod reports;

use std::fmt::Write as _;
use std::path::Path;

use nicfw::clock::{Clock, SystemClock};
use nicfw::journal::{FileStore, Head, Journal, JournalError, Key, RuleQuery, When, migrate};
use nicfw::text::escaped;

use self::reports::{
    BetweenReport, ChangeReport, ClockReport, EntryReport, HeadReport, MigratedReport, ShowReport, VerifiedReport,
};
use crate::args::{self, JournalQuestion};
use crate::attached::chain;
use crate::entries;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::{Progress, Report, json_line, table, text, wrapped};
use crate::session;

pub fn run(args: &args::Journal) -> Result<Report, Failure> {
    let key = args.key.as_deref().map(session::read_key).transpose()?;
    let answer = Question { path: &args.file, key }.answer(&args.question);
    answer.map_err(|error| match error {
        Answer::Journal(error) => failed(&args.file, &error),
        Answer::Failure(failure) => failure,
    })
}

/// Why there is no answer.
enum Answer {
    Journal(JournalError),
    Failure(Failure),
}

impl From<JournalError> for Answer {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

fn failed(path: &Path, error: &JournalError) -> Failure {
    let exit = if error.is_damage() { Exit::Drift } else { Exit::Usage };
    let name = input::name(path);
    Failure::new(exit, format!("{name}: {}", escaped(&chain(error)))).at(&name, None, error)
}

/// A journal that is asked.
struct Question<'a> {
    path: &'a Path,
    key: Option<Key>,
}

impl Question<'_> {
    fn answer(&self, question: &JournalQuestion) -> Result<Report, Answer> {
        match question {
            JournalQuestion::Show(output) => self.show(output.json),
            JournalQuestion::History { container, rule, output } => {
                self.history(container.as_deref(), rule.as_deref(), output.json)
            }
            JournalQuestion::Entry { words, at, output } => self.entry(words, *at, output.json),
            JournalQuestion::Between { from, to, output } => self.between(*from, *to, output.json),
            JournalQuestion::Verify { anchor, output } => self.verify(anchor.as_ref(), output.json),
            JournalQuestion::Export { anchor, output } => self.export(*anchor, output.json),
            JournalQuestion::Clock { cause, output } => self.clock(cause, output.json),
            JournalQuestion::Migrate(output) => self.migrate(output.json),
            JournalQuestion::Plot(output) => self.plot(output.json),
        }
    }

    fn name(&self) -> String {
        input::name(self.path)
    }

    fn progress(&self) -> Progress {
        let mut progress = Progress::new();
        progress.say(&format!("reading {}", self.name()));
        progress
    }

    fn open(&self) -> Result<Journal, JournalError> {
        Journal::read(Box::new(FileStore::read(self.path)?), self.key.as_ref())
    }

    fn show(&self, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let journal = self.open()?;
        let report = ShowReport::of(&journal);
        if json {
            return Ok(Report::json(&report, Exit::Done)?);
        }
        Ok(Report::done(report.text(&self.name())))
    }

    fn history(&self, container: Option<&str>, rule: Option<&str>, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let mut journal = self.open()?;
        let changes = match (container, rule) {
            (Some(container), _) => journal.container_history(container)?,
            (None, Some(rule)) => journal.rule_history(&RuleQuery::new(rule))?,
            (None, None) => journal.history()?,
        };
        let changes: Vec<_> = changes.iter().map(ChangeReport::of).collect();
        if json {
            let lines: Result<String, Failure> = changes.iter().map(json_line).collect();
            return Ok(Report::done(lines?));
        }
        Ok(Report::done(format!("{}: {}\n{}", self.name(), counted(changes.len(), "change"), changes_table(&changes))))
    }

    fn entry(&self, words: &[String], when: When, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let mut journal = self.open()?;
        let last = journal.last_record(when)?;
        let image = journal.status_after(last)?.content.image;
        let wanted = |key: &&nicfw::RuleKey| {
            let matches = entries::matches(key, &image);
            let said: Vec<&str> = matches.split([' ', ',']).collect();
            words.iter().flat_map(|word| word.split_whitespace()).all(|word| said.contains(&word))
        };
        let mut found = Vec::new();
        for key in image.rules.keys().filter(wanted) {
            if let Some(entry) = journal.entry(key, When::Record(last))? {
                found.push(EntryReport::of(key, &image, &entry));
            }
        }
        if json {
            let lines: Result<String, Failure> = found.iter().map(json_line).collect();
            return Ok(Report::done(lines?));
        }
        let mut out = format!("{}: {} after record {last}\n", self.name(), reports::entries_counted(found.len()));
        for entry in &found {
            out.push('\n');
            out.push_str(&entry.text());
        }
        Ok(Report::done(out))
    }

    fn between(&self, from: When, to: When, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let mut journal = self.open()?;
        let between = journal.between(from, to)?;
        let before = journal.status_after(between.from)?.content.image;
        let after = journal.status_after(between.to)?.content.image;
        let report = BetweenReport::of(&between, &before, &after);
        if json {
            return Ok(Report::json(&report, Exit::Done)?);
        }
        let mut out = format!(
            "{}: from record {} to record {}: {}, {}\n",
            self.name(),
            report.from,
            report.to,
            counted(report.changes.len(), "change"),
            reports::entries_differ(report.entries.len())
        );
        if !report.changes.is_empty() {
            out.push_str(&changes_table(&report.changes));
        }
        if !report.entries.is_empty() {
            let mut table = table(["entry matches", "before", "after", "because of"]);
            for entry in &report.entries {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
                let origins: Vec<_> = entry.origins.iter().map(|origin| escaped(origin)).collect();
                let because = origins.join("\n");
                table.add_row([entry.entry.text.clone(), side(&entry.before), side(&entry.after), because]);
            }
            let _ = write!(out, "\n{}\n", text(&table));
        }
        Ok(Report::done(out))
    }

    fn verify(&self, anchor: Option<&Head>, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let mut journal = self.open()?;
        let report = VerifiedReport::of(&journal.verify(anchor)?, journal.is_keyed());
        if json {
            return Ok(Report::json(&report, Exit::Done)?);
        }
        Ok(Report::done(format!("{}: {}\n", self.name(), report.text())))
    }

    fn export(&self, anchor: bool, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let mut journal = self.open()?;
        let head = journal.head();
        if anchor && json {
            return Ok(Report::json(&HeadReport::from(&head), Exit::Done)?);
        }
        if anchor {
            return Ok(Report::done(format!("{head}\n")));
        }
        let mut out = String::new();
        for line in journal.export() {
            out.push_str(&line?);
            out.push('\n');
        }
        Ok(Report::done(out))
    }

    fn clock(&self, cause: &args::Cause, json: bool) -> Result<Report, Answer> {
        let adapter = self.open()?.adapter().to_owned();
        let mut journal = Journal::open(Box::new(FileStore::open(self.path)?), &adapter, self.key.as_ref())?;
        let (was, now) = (journal.status().last_at, SystemClock::new().wall());
        let record = journal.accept_clock(now, cause.why())?;
        let report = ClockReport { record, was: was.to_string(), now: now.to_string() };
        if json {
            return Ok(Report::json(&report, Exit::Done)?);
        }
        Ok(Report::done(format!(
            "{}: record {record} says that the clock had been ahead: dates go on from {now}, they were at {was}\n",
            self.name()
        )))
    }

    fn migrate(&self, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let report = MigratedReport::of(migrate(self.path, self.key.as_ref())?.as_ref());
        if json {
            return Ok(Report::json(&report, Exit::Done)?);
        }
        Ok(Report::done(wrapped(&format!("{}: {}", self.name(), report.text()), 0) + "\n"))
    }

    fn plot(&self, json: bool) -> Result<Report, Answer> {
        let _progress = self.progress();
        let changes = self.open()?.history()?;
        let points = plot::points(&changes);
        if json {
            return Ok(Report::json(&points, Exit::Done)?);
        }
        Ok(Report::done(plot::svg(&self.name(), changes.len(), &points)))
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn changes_table(changes: &[ChangeReport]) -> String {
    let mut table = table(["change", "when", "what", "who and why", "came of it", "entries"]);
    for change in changes {
        table.add_row([
            change.number.to_string(),
            change.at.clone(),
            change.kind.clone(),
            change.reason_words(),
            change.outcome_words(),
            format!("+{} -{}, {} in use", change.set, change.gone, change.used),
        ]);
    }
    format!("\n{}\n", text(&table))
}
