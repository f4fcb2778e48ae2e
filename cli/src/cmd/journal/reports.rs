//! What is said about a journal, for people and for programs.

use std::fmt::Write as _;
use std::sync::Arc;

use nicfw::RuleKey;
use nicfw::journal::{
    Addresses, Between, ChangeKind, ChangeRecord, ChangedEntry, EntryOrigin, Head, Journal, Migrated, Outcome, Verified,
};
use nicfw::policy::Origin;
use nicfw::tables::Image;
use nicfw::text::escaped;
use serde::Serialize;

use crate::cmd::changed::words;
use crate::entries::{self, EntryWords};
use crate::input;
use crate::output::wrapped;

pub fn entries_counted(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

pub fn entries_differ(count: usize) -> String {
    if count == 1 { "1 entry differs".to_owned() } else { format!("{count} entries differ") }
}

/// A head of a journal.
#[derive(Serialize)]
pub struct HeadReport {
    number: u64,
    hash: String,
}

impl From<&Head> for HeadReport {
    fn from(head: &Head) -> Self {
        Self { number: head.number, hash: head.hash.to_string() }
    }
}

/// One change.
#[derive(Serialize)]
pub struct ChangeReport {
    pub number: u64,
    pub at: String,
    pub kind: String,
    who: String,
    reason: String,
    ticket: Option<String>,
    approval: Option<String>,
    /// It was to be rolled back unless somebody confirmed it by then.
    confirm_by: Option<String>,
    /// `done`, `undone`, `closed`, `recovered`, `pending`.
    outcome: &'static str,
    why: Option<String>,
    closed: Vec<String>,
    ended: Option<String>,
    pub set: usize,
    pub gone: usize,
    pub used: usize,
}

impl ChangeReport {
    pub fn of(change: &ChangeRecord) -> Self {
        let (outcome, why, closed) = match &change.outcome {
            Outcome::Pending => ("pending", None, Vec::new()),
            Outcome::Done => ("done", None, Vec::new()),
            Outcome::Undone { why } => ("undone", Some(why.clone()), Vec::new()),
            Outcome::Closed { why, who } => ("closed", Some(why.clone()), who.clone()),
            Outcome::Recovered => ("recovered", None, Vec::new()),
        };
        let kind = match change.kind {
            ChangeKind::Rollback { to } => format!("rollback to {to}"),
            kind => kind.word().to_owned(),
        };
        Self {
            number: change.number,
            at: change.at.to_string(),
            kind,
            who: change.why.who.clone(),
            reason: change.why.reason.clone(),
            ticket: change.why.ticket.clone(),
            approval: change.why.approval.clone(),
            confirm_by: change.confirm_by.map(|by| by.to_string()),
            outcome,
            why,
            closed,
            ended: change.ended.map(|at| at.to_string()),
            set: change.entries.0,
            gone: change.entries.1,
            used: change.used,
        }
    }

    pub fn reason_words(&self) -> String {
        let mut out = format!("{}: {}", self.who, self.reason);
        if let Some(ticket) = &self.ticket {
            let _ = write!(out, " {ticket}");
        }
        if let Some(approval) = &self.approval {
            let _ = write!(out, ", approved by {approval}");
        }
        escaped(&out).into_owned()
    }

    pub fn outcome_words(&self) -> String {
        let mut out = self.outcome.to_owned();
        if !self.closed.is_empty() {
            let _ = write!(out, " {}", self.closed.join(", "));
        }
        if let Some(why) = &self.why {
            let _ = write!(out, ": {why}");
        }
        escaped(&out).into_owned()
    }
}

/// What the adapter holds by the records.
#[derive(Serialize)]
pub struct ShowReport {
    adapter: String,
    keyed: bool,
    bytes: u64,
    records: u64,
    changes: usize,
    head: HeadReport,
    document: String,
    change: Option<u64>,
    entries: usize,
    /// The adapter's hash over its tables, by the last record that tells it.
    fingerprint: Option<String>,
    cache: Option<String>,
    boot: Option<u16>,
    last_at: Option<String>,
    /// A change that has begun and not ended.
    pending: Option<u64>,
    unknown: Option<String>,
    /// A change that waits to be confirmed, until when, and the change that comes back otherwise.
    unconfirmed: Option<(u64, String, u64)>,
    closed: Vec<String>,
    /// What is reserved, by container.
    reserved: Vec<KeptReport>,
    /// The record of an audit that found what no record explains.
    drift: Option<u64>,
    /// Bytes of a torn record, or of one that is being written.
    torn: Option<u64>,
}

/// What is reserved for a container.
#[derive(Serialize)]
struct KeptReport {
    container: String,
    addresses: Vec<String>,
}

impl KeptReport {
    fn of((container, addresses): (&String, &Addresses)) -> Self {
        Self { container: container.clone(), addresses: words(addresses) }
    }
}

/// The clock had been ahead.
#[derive(Serialize)]
pub struct ClockReport {
    /// The record that says so.
    pub record: u64,
    pub was: String,
    pub now: String,
}

impl ShowReport {
    pub fn of(journal: &Journal) -> Self {
        let (status, head) = (journal.status(), journal.head());
        Self {
            adapter: journal.adapter().to_owned(),
            keyed: journal.is_keyed(),
            bytes: journal.size(),
            records: head.number,
            changes: journal.changes().len(),
            head: (&head).into(),
            document: status.content.name.to_string(),
            change: status.change,
            entries: status.content.image.rules.len(),
            fingerprint: status.version.as_ref().map(ToString::to_string),
            cache: status.cache.as_ref().map(ToString::to_string),
            boot: status.boot,
            last_at: (head.number > 0).then(|| status.last_at.to_string()),
            pending: status.pending.as_ref().map(|pending| pending.change),
            unknown: status.pending.as_ref().and_then(|pending| pending.unknown.clone()),
            unconfirmed: status.confirm.map(|waits| (waits.change, waits.by.to_string(), waits.back_to)),
            closed: status.closed.clone(),
            reserved: status.content.kept.iter().map(KeptReport::of).collect(),
            drift: status.drift.as_ref().map(|drift| drift.record),
            torn: journal.cut().map(|cut| cut.len),
        }
    }

    pub fn text(&self, name: &str) -> String {
        let key = if self.keyed { "with a key" } else { "without a key" };
        let (records, changes, bytes) = (self.records, self.changes, self.bytes);
        let mut out = format!("{name}: adapter {}\n", escaped(&self.adapter));
        let mut say = |what: &str, value: String| {
            let _ = writeln!(out, "{}", wrapped(&format!("{what}: {}", escaped(&value)), 2));
        };
        say("journal", format!("{records} records, {changes} changes, {bytes} bytes, {key}"));
        say("head", format!("{}:{}", self.head.number, self.head.hash));
        if let Some(at) = &self.last_at {
            say("last record", at.clone());
        }
        match self.change {
            Some(change) => say("holds", format!("{}, {} entries, by change {change}", self.document, self.entries)),
            None => say("holds", "nothing that is known".to_owned()),
        }
        self.fingerprint.iter().for_each(|fingerprint| say("fingerprint", fingerprint.clone()));
        self.cache.iter().for_each(|version| say("after a reboot", version.clone()));
        if let Some(change) = self.pending {
            let why = self.unknown.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            say("NOT ENDED", format!("change {change}{why}"));
        }
        if let Some((change, by, back_to)) = &self.unconfirmed {
            say("NOT CONFIRMED", format!("change {change}, until {by}; else back to change {back_to}"));
        }
        if !self.closed.is_empty() {
            say("CLOSED", self.closed.join(", "));
        }
        for reserved in &self.reserved {
            say("reserved", format!("{}: {}", reserved.container, reserved.addresses.join(", ")));
        }
        if let Some(record) = self.drift {
            say("DRIFT", format!("found by record {record}: somebody else has changed the rules since the one before"));
        }
        if let Some(bytes) = self.torn {
            say("torn", format!("{bytes} bytes behind the last record: torn by a crash, or being written"));
        }
        out
    }
}

/// An entry and where it comes from.
#[derive(Serialize)]
pub struct EntryReport {
    entry: EntryWords,
    does: String,
    /// Places that asked for it, as `web.yaml:9 CHG-1042`.
    origins: Vec<OriginReport>,
    change: ChangeReport,
}

/// Who asked for something.
#[derive(Serialize, PartialEq)]
struct OriginReport {
    place: String,
    owner: Option<String>,
    reason: Option<String>,
    ticket: Option<String>,
    when: Option<String>,
    until: Option<String>,
}

impl OriginReport {
    fn of(origin: &Origin) -> Self {
        let Origin { owner, reason, ticket, when, until, .. } = origin.clone();
        Self { place: origin.to_string(), owner, reason, ticket, when, until }
    }

    fn text(&self) -> String {
        let named = |what: &str, value: &Option<String>| value.as_ref().map(|value| format!("{what}{value}"));
        let words = [
            Some(self.place.clone()),
            named("", &self.ticket),
            named("", &self.reason),
            named("owner ", &self.owner),
            named("since ", &self.when),
            named("until ", &self.until),
        ];
        escaped(&words.into_iter().flatten().collect::<Vec<_>>().join(", ")).into_owned()
    }
}

impl EntryReport {
    pub fn of(key: &RuleKey, image: &Image, found: &EntryOrigin) -> Self {
        let mut origins = Vec::new();
        for origin in found.rx.iter().chain(&found.tx).map(|origin| OriginReport::of(origin)) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        let (entry, does) = (EntryWords::of(key, image), entries::does(&found.entry));
        Self { entry, does, origins, change: ChangeReport::of(&found.change) }
    }

    pub fn text(&self) -> String {
        let mut out = wrapped(&format!("{}: {}", self.entry.text, self.does), 0);
        for origin in &self.origins {
            let _ = write!(out, "\n{}", wrapped(&format!("because of {}", origin.text()), 2));
        }
        let change = &self.change;
        let by = format!("by change {}, {}, {}, {}", change.number, change.at, change.kind, change.reason_words());
        let _ = writeln!(out, "\n{}", wrapped(&by, 2));
        out
    }
}

/// What differs between two moments.
#[derive(Serialize)]
pub struct BetweenReport {
    pub from: u64,
    pub to: u64,
    pub changes: Vec<ChangeReport>,
    pub entries: Vec<ChangedReport>,
}

/// An entry at two moments.
#[derive(Serialize)]
pub struct ChangedReport {
    pub entry: EntryWords,
    pub before: Option<String>,
    pub after: Option<String>,
    pub origins: Vec<String>,
}

impl BetweenReport {
    pub fn of(between: &Between, before: &Image, after: &Image) -> Self {
        let place = |origin: &Arc<Origin>| {
            let ticket = origin.ticket.as_ref().map(|ticket| format!(" {ticket}")).unwrap_or_default();
            format!("{origin}{ticket}")
        };
        let one = |entry: &ChangedEntry| ChangedReport {
            // Ids mean what the maps of their time say.
            entry: EntryWords::of(&entry.key, if entry.after.is_some() { after } else { before }),
            before: entry.before.as_ref().map(entries::does),
            after: entry.after.as_ref().map(entries::does),
            origins: entry.origins.iter().map(place).collect(),
        };
        Self {
            from: between.from,
            to: between.to,
            changes: between.changes.iter().map(ChangeReport::of).collect(),
            entries: between.entries.iter().map(one).collect(),
        }
    }
}

/// A journal that holds together.
#[derive(Serialize)]
pub struct VerifiedReport {
    records: u64,
    changes: u64,
    bytes: u64,
    head: HeadReport,
    /// Date of the last record.
    last_at: Option<String>,
    keyed: bool,
    anchored: bool,
    /// Number of the last record by the note beside the journal, which the chain holds.
    noted: Option<u64>,
    torn: Option<u64>,
}

impl VerifiedReport {
    pub fn of(verified: &Verified, keyed: bool) -> Self {
        Self {
            records: verified.records,
            changes: verified.changes,
            bytes: verified.bytes,
            head: (&verified.head).into(),
            last_at: verified.last_at.map(|at| at.to_string()),
            keyed,
            anchored: verified.anchored,
            noted: verified.noted.map(|head| head.number),
            torn: verified.torn.map(|cut| cut.len),
        }
    }

    pub fn text(&self) -> String {
        let said = match (self.anchored, self.keyed) {
            (true, _) => "the chain holds the record that was kept",
            (false, true) => "nobody without the key has written it",
            (false, false) => "whether it was rewritten as a whole, only a head that was kept can tell (--anchor)",
        };
        let torn = self.torn.map(|len| format!("; {len} bytes behind the last record are torn, or being written"));
        let last = self.last_at.as_ref().map_or_else(String::new, |at| format!(" of {at}"));
        let end = match self.noted {
            Some(_) => "it holds the record that is noted beside it as its last: its end was not cut off before that",
            None if self.anchored => "whether records behind the one that was kept were cut off, nothing tells",
            None => {
                "whether records are missing at its end, nothing tells: FILE.head is not there, and no --anchor was given"
            }
        };
        format!(
            "{} records, {} changes, {} bytes: whole up to record {}{last}, in order, each hash right\n{said}{}\n{end}\n\
             head {}:{}",
            self.records,
            self.changes,
            self.bytes,
            self.head.number,
            torn.unwrap_or_default(),
            self.head.number,
            self.head.hash
        )
    }
}

/// What a migration did.
#[derive(Serialize)]
pub struct MigratedReport {
    migrated: bool,
    from_format: Option<u32>,
    records: Option<u64>,
    before: Option<HeadReport>,
    after: Option<HeadReport>,
    kept: Option<String>,
}

impl MigratedReport {
    pub fn of(migrated: Option<&Migrated>) -> Self {
        Self {
            migrated: migrated.is_some(),
            from_format: migrated.map(|done| done.from),
            records: migrated.map(|done| done.records),
            before: migrated.map(|done| (&done.before).into()),
            after: migrated.map(|done| (&done.after).into()),
            kept: migrated.map(|done| input::name(&done.kept)),
        }
    }

    pub fn text(&self) -> String {
        match (&self.kept, self.from_format, self.records) {
            (Some(kept), Some(from), Some(records)) => format!(
                "{records} records of format {from} written anew; the older journal is {kept}, and heads that were kept are \
                 of that one"
            ),
            _ => "it has the format of this nicfw; nothing was done".to_owned(),
        }
    }
}
