//! Questions to a journal: who asked for an entry, what became of a container or a rule, what differs between two times.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Addresses, Begin, ChangeKind, Content, Delta, Event, Journal, JournalError, Reason, Status};
use crate::clock::Timestamp;
use crate::policy::{Document, Origin};
use crate::tables::{ImageEntry, OriginId, RuleKey};
use crate::text::escaped;

/// A moment in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After the last record.
    Now,
    /// After the record with this number; 0 = before the first.
    Record(u64),
    /// After the last record that is not later than this.
    Time(Timestamp),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeRecord {
    /// Number of the record that begins it.
    pub number: u64,
    /// When it began.
    pub at: Timestamp,
    /// What kind of change.
    pub kind: ChangeKind,
    /// Who asked for it, and why.
    pub why: Reason,
    /// It was to be rolled back unless somebody confirmed it by then.
    pub confirm_by: Option<Timestamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// When that was known; `None` = it has not ended.
    pub ended: Option<Timestamp>,
    /// Entries that were set, and entries that went.
    pub entries: (usize, usize),
    /// Entries in use after it; before it, if it has not ended.
    pub used: usize,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended.
    Pending,
    /// It took place.
    Done,
    /// It was taken back.
    Undone {
        /// Why.
        why: String,
    },
    /// It was taken back, and some containers are closed.
    Closed {
        /// Why.
        why: String,
        /// The containers.
        who: Vec<String>,
    },
    /// It did not end, and the adapter was recovered to what it held before.
    Recovered,
}

/// Where an entry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryOrigin {
    /// What the entry does.
    pub entry: ImageEntry,
    /// Who asked for what it does to received frames.
    pub rx: Vec<Arc<Origin>>,
    /// Who asked for what it does to transmitted frames.
    pub tx: Vec<Arc<Origin>>,
    /// The change that made it what it is.
    pub change: ChangeRecord,
}

/// An entry at two times.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedEntry {
    /// What it matches.
    pub key: RuleKey,
    /// At the first time.
    pub before: Option<ImageEntry>,
    /// At the second.
    pub after: Option<ImageEntry>,
    /// Who asked for it: at the second time, or at the first if it is gone.
    pub origins: Vec<Arc<Origin>>,
}

/// What differs between two times.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Between {
    /// The last record of the first time.
    pub from: u64,
    /// The last record of the second.
    pub to: u64,
    /// Entries that differ, by what they match.
    pub entries: Vec<ChangedEntry>,
    /// The changes that ended in between.
    pub changes: Vec<ChangeRecord>,
}

/// Which rules are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleQuery {
    /// The rule that stood at a line.
    At {
        /// The file as origins name it.
        file: String,
        /// The line.
        line: u32,
    },
    /// Rules with these words in ticket, owner or reason, in any case.
    Words(String),
}

impl RuleQuery {
    /// `FILE:LINE`, or words.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let place = text.rsplit_once(':').and_then(|(file, line)| Some((file.to_owned(), line.parse().ok()?)));
        place.map_or_else(|| Self::Words(text.to_lowercase()), |(file, line)| Self::At { file, line })
    }

    /// True if a rule of this origin is asked for.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::At { file, line } => *origin.file == **file && origin.line == *line,
            Self::Words(words) => [&origin.ticket, &origin.owner, &origin.reason]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(words)),
        }
    }
}

/// A change, with what was there before it, and what was to be there after it or is.
struct Ended<'a> {
    change: ChangeRecord,
    before: &'a Content,
    after: &'a Content,
    delta: &'a Delta,
}

impl Journal {
    /// All changes, the first one first.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn history(&mut self) -> Result<Vec<ChangeRecord>, JournalError> {
        self.history_where(|_| true)
    }

    /// The changes that touched a container: its addresses, its entries, or whether it is closed.
    ///
    /// # Errors
    /// As [`Journal::history`].
    pub fn container_history(&mut self, container: &str) -> Result<Vec<ChangeRecord>, JournalError> {
        let mut holder = Holder::new(container);
        self.history_where(|ended| {
            let (before, after) = (holder.addresses(ended.before), holder.addresses(ended.after));
            let named = |addresses: &Option<Addresses>, key| addresses.as_ref().is_some_and(|a| a.are_named_by(key));
            let closed =
                matches!(&ended.change.outcome, Outcome::Closed { who, .. } if who.iter().any(|w| w == container));
            let entries = ended.delta.entries().any(|(key, _)| named(&before, key) || named(&after, key));
            before != after || closed || entries || ended.delta.kept.contains_key(container)
        })
    }

    /// The changes that touched rules: brought them, took them away, changed their words or their entries. A rule that moved to
    /// another line and is the same otherwise was not touched.
    ///
    /// # Errors
    /// As [`Journal::history`].
    pub fn rule_history(&mut self, query: &RuleQuery) -> Result<Vec<ChangeRecord>, JournalError> {
        self.history_where(|ended| {
            let asked = |content: &Content, id: &OriginId| content.origins.get(id).is_some_and(|o| query.matches(o));
            let reworded = ended.delta.origins.keys().any(|id| {
                let moved = is_moved(ended.before.origins.get(id), ended.after.origins.get(id));
                (asked(ended.before, id) || asked(ended.after, id)) && !moved
            });
            let of = |content: &Content, key| {
                let entry = content.image.rules.get(key);
                entry.is_some_and(|entry| origins_of(entry).any(|id| asked(content, id)))
            };
            reworded || ended.delta.entries().any(|(key, _)| of(ended.before, key) || of(ended.after, key))
        })
    }

    /// The changes that touched the entry with this key.
    ///
    /// # Errors
    /// As [`Journal::history`].
    pub fn entry_history(&mut self, key: &RuleKey) -> Result<Vec<ChangeRecord>, JournalError> {
        self.history_where(|ended| ended.delta.entries.contains_key(key))
    }

    /// Who asked for an entry, and the change that made it what it was at that time; `None` = there was no such entry.
    ///
    /// # Errors
    /// [`JournalError::NoSuch`] for a record that there is not, or what is wrong with the store.
    pub fn entry(&mut self, key: &RuleKey, when: When) -> Result<Option<EntryOrigin>, JournalError> {
        let last = self.last_record(when)?;
        let content = self.status_after(last)?.content;
        let Some(entry) = content.image.rules.get(key).cloned() else { return Ok(None) };
        for number in (1..=last).rev() {
            let event = self.record(number)?.event;
            let brought = match &event {
                Event::Closed { change, content, .. } => content.entries.contains_key(key).then_some(*change),
                Event::Done { change, .. } => match self.record(*change)?.event {
                    Event::Begin(begin) => begin.delta.entries.contains_key(key).then_some(*change),
                    _ => None,
                },
                _ => None,
            };
            let Some(change) = brought else { continue };
            let (before, after) = (self.status_after(change)?, self.status_after(number)?);
            let Some(pending) = before.pending else { break };
            let ends = (number, after.last_at);
            let change = change_of(pending.change, pending.at, &pending.begin, Some((&event, ends.1)), &after.content);
            let named = |ids: &[OriginId]| ids.iter().filter_map(|id| content.origins.get(id).cloned()).collect();
            return Ok(Some(EntryOrigin { rx: named(&entry.rx.origins), tx: named(&entry.tx.origins), entry, change }));
        }
        Ok(None)
    }

    /// What differs between two times.
    ///
    /// # Errors
    /// As [`Journal::entry`].
    pub fn between(&mut self, from: When, to: When) -> Result<Between, JournalError> {
        let (from, to) = (self.last_record(from)?, self.last_record(to)?);
        let (from, to) = (from.min(to), from.max(to));
        let (before, after) = (self.status_after(from)?, self.status_after(to)?);
        let entries = before.content.image.rules.changes(&after.content.image.rules);
        let entries = entries.into_iter().map(|(key, was, is)| ChangedEntry {
            key: *key,
            before: was.cloned(),
            after: is.cloned(),
            origins: match (was, is) {
                (_, Some(entry)) => named(&after.content, entry),
                (Some(entry), None) => named(&before.content, entry),
                (None, None) => Vec::new(),
            },
        });
        let entries = entries.collect();
        let changes = self.changes_in(before, from, to, |_| true)?;
        Ok(Between { from, to, entries, changes })
    }

    /// The last record of a moment.
    ///
    /// # Errors
    /// [`JournalError::NoSuch`] for a record that there is not.
    pub fn last_record(&self, when: When) -> Result<u64, JournalError> {
        let last = self.head().number;
        match when {
            When::Now => Ok(last),
            When::Record(number) if number > last => Err(JournalError::NoSuch { what: "record", number, last }),
            When::Record(number) => Ok(number),
            // Dates rise but where a record says that the clock had been ahead.
            When::Time(at) => Ok(self.places.iter().rposition(|place| place.date <= at).map_or(0, |at| at as u64 + 1)),
        }
    }

    fn history_where(&mut self, mut wanted: impl FnMut(&Ended<'_>) -> bool) -> Result<Vec<ChangeRecord>, JournalError> {
        let last = self.head().number;
        let mut out = self.changes_in(Status::default(), 0, last, |ended| wanted(ended))?;
        // What has begun is asked about too.
        if let Some(pending) = self.status.pending.clone() {
            let content = &self.status.content;
            let change = change_of(pending.change, pending.at, &pending.begin, None, content);
            let ended = Ended { change, before: content, after: &pending.goal, delta: &pending.begin.delta };
            if wanted(&ended) {
                out.push(ended.change);
            }
        }
        Ok(out)
    }

    /// The changes that end after the record `from`, up to `to`. `status` is that after `from`.
    fn changes_in(
        &mut self,
        mut status: Status,
        from: u64,
        to: u64,
        mut wanted: impl FnMut(&Ended<'_>) -> bool,
    ) -> Result<Vec<ChangeRecord>, JournalError> {
        let mut out = Vec::new();
        for number in from + 1..=to {
            let record = self.record(number)?;
            let pending = status.pending.clone();
            let before = pending.is_some().then(|| status.content.clone());
            let out_of_order = |what| JournalError::OutOfOrder { what };
            status.take(number, record.at, &record.event).map_err(out_of_order)?;
            let (Some(pending), Some(before), None) = (pending, before, &status.pending) else { continue };
            let (event, begin) = (&record.event, &pending.begin);
            let change = change_of(pending.change, pending.at, begin, Some((event, record.at)), &status.content);
            // What was tried is asked about too, whatever came of it.
            let (before, goal) = (&before, &pending.goal);
            let mut ended = Ended { change, before, after: goal, delta: &begin.delta };
            let mut asked = wanted(&ended);
            if let (false, Event::Closed { content, .. }) = (asked, event) {
                ended = Ended { after: &status.content, delta: content, ..ended };
                asked = wanted(&ended);
            }
            if asked {
                out.push(ended.change);
            }
        }
        Ok(out)
    }
}

fn change_of(
    number: u64,
    at: Timestamp,
    begin: &Begin,
    end: Option<(&Event, Timestamp)>,
    after: &Content,
) -> ChangeRecord {
    let (outcome, delta) = match end.map(|(event, _)| event) {
        None => (Outcome::Pending, &begin.delta),
        Some(Event::Undone { why, .. }) => (Outcome::Undone { why: why.clone() }, &begin.delta),
        Some(Event::Closed { why, who, content, .. }) => {
            (Outcome::Closed { why: why.clone(), who: who.clone() }, content)
        }
        Some(Event::Recovered { .. }) => (Outcome::Recovered, &begin.delta),
        Some(_) => (Outcome::Done, &begin.delta),
    };
    let set = delta.entries().filter(|(_, entry)| entry.is_some()).count();
    ChangeRecord {
        number,
        at,
        kind: begin.kind,
        why: begin.why.clone(),
        confirm_by: begin.confirm_by,
        outcome,
        ended: end.map(|(_, at)| at),
        entries: (set, delta.entries.len() - set),
        used: after.image.rules.len(),
    }
}

fn origins_of(entry: &ImageEntry) -> impl Iterator<Item = &OriginId> {
    entry.rx.origins.iter().chain(&entry.tx.origins)
}

/// Who asked for an entry, each once.
fn named(content: &Content, entry: &ImageEntry) -> Vec<Arc<Origin>> {
    let mut ids: Vec<&OriginId> = origins_of(entry).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().filter_map(|id| content.origins.get(id).cloned()).collect()
}

/// True if nothing but the line differs.
fn is_moved(before: Option<&Arc<Origin>>, after: Option<&Arc<Origin>>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    Origin { line: after.line, ..(**before).clone() } == **after
}

/// The addresses of a container, content by content. The document is parsed anew only where its bindings may have changed.
struct Holder<'a> {
    container: &'a str,
    section: Option<Arc<str>>,
    bound: Option<Addresses>,
}

impl<'a> Holder<'a> {
    fn new(container: &'a str) -> Self {
        Self { container, section: None, bound: None }
    }

    fn addresses(&mut self, content: &Content) -> Option<Addresses> {
        let section = bindings_of(&content.text);
        if self.section.as_deref() != Some(section) {
            self.section = Some(section.into());
            self.bound = Document::parse(&content.text, &escaped(&content.name)).ok().and_then(|document| {
                let mut all = document.bindings.iter();
                let binding = all.find(|binding| binding.container == self.container)?;
                let ips: Vec<IpAddr> = binding.ips.clone();
                let macs = binding.owns_mac.then_some(binding.mac).into_iter().collect();
                Some(Addresses { ips, macs })
            });
        }
        let mut held = self.bound.clone();
        if let Some(kept) = content.kept.get(self.container) {
            held.get_or_insert_default().add(kept);
        }
        held
    }
}

/// The part of a document's text that has its bindings: from the key `bindings` to the next of the document; all of it if
/// there is no such line.
fn bindings_of(text: &str) -> &str {
    let key = |line: &str| line.starts_with("bindings:");
    let mut at = 0;
    let mut starts = text.split_inclusive('\n').map(|line| {
        let start = at;
        at += line.len();
        (start, line)
    });
    let Some((from, _)) = starts.find(|(_, line)| key(line)) else { return text };
    let is_next = |line: &str| line.starts_with(|c: char| c.is_alphanumeric() || c == '"' || c == '\'');
    let to = starts.find(|(_, line)| is_next(line)).map_or(text.len(), |(start, _)| start);
    text.get(from..to).unwrap_or(text)
}
