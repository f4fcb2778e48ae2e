//! `nicfw audit`: whether an adapter still holds what it should. Its own hash over the tables tells, as far as that depends
//! on the content alone (assumption A13), how often it has booted, and what it counts.

use std::time::Duration;

use nicfw::firewall::{AttachError, Audit as Found, Tables};
use nicfw::text::escaped;
use serde::Serialize;

use crate::args::Audit;
use crate::attached::{Fingerprints, attached};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::{Progress, Report};
use crate::session::{Opened, ReadOnly, Session, UnknownAdapter, options, why};

/// What no audit finds.
const UNKNOWABLE: &str = "\
What this cannot tell: who the foreign writer was and which entries it wrote (the tables cannot be read back); changes that
were taken back between two audits; an override of the rules.
";

#[derive(Serialize)]
struct ExpectReport {
    device: String,
    expected: String,
    found: Fingerprints,
    same: bool,
}

#[derive(Serialize)]
struct AuditReport {
    device: String,
    journal: String,
    /// The options by which the adapter and its journal are named.
    #[serde(skip)]
    at: String,
    same: bool,
    /// What is amiss, in words.
    findings: Vec<String>,
    /// What had been left half done, or had run out, and was put right.
    put_right: Vec<String>,
    /// What waits for somebody who can write the journal.
    waits: Vec<String>,
    /// What is worth knowing and no drift.
    notes: Vec<String>,
    repaired: bool,
    fingerprints: Option<Fingerprints>,
}

pub fn run(args: &Audit) -> Result<Report, Failure> {
    if let Some(expected) = &args.expect {
        return compare(args, expected);
    }
    match Session::look(&args.at)? {
        Opened::Session(session) => watch(session, args),
        Opened::Unknown(unknown) if matches!(unknown.error(), AttachError::Foreign { .. }) => foreign(unknown, args),
        Opened::Unknown(unknown) => Err(unknown.leave()),
        Opened::ReadOnly(read_only) => read(read_only, args),
    }
}

/// With a fingerprint that somebody wrote down.
fn compare(args: &Audit, expected: &str) -> Result<Report, Failure> {
    let found = attached(&args.at.device, args.at.journal.journal.as_deref(), false, Fingerprints::of)?;
    let same = found.active.eq_ignore_ascii_case(expected);
    let report = ExpectReport { device: args.at.device.to_string(), expected: expected.to_owned(), found, same };
    let exit = if same { Exit::Done } else { Exit::Drift };
    if args.output.json {
        return Report::json(&report, exit);
    }
    let text = if same {
        format!("{}: the same: {}\n", report.device, report.found)
    } else {
        format!(
            "{}: DRIFT: {}; expected fingerprint {}\nSomebody has changed the rules. To put a policy in their place: \
             nicfw apply FILE {} --adopt --reason TEXT\n",
            report.device,
            report.found,
            report.expected,
            options(&args.at.device, &args.at.journal)
        )
    };
    Ok(Report { text, exit })
}

/// Somebody else has changed the tables since the last record.
fn foreign(unknown: UnknownAdapter, args: &Audit) -> Result<Report, Failure> {
    let finding = unknown.error().to_string();
    let device = args.at.device.to_string();
    let Some(reason) = args.reason.as_deref().filter(|_| args.repair) else {
        let (journal, at) = (input::name(unknown.file()), unknown.at().to_owned());
        unknown.record_drift()?;
        let report = AuditReport {
            device,
            journal,
            at,
            same: false,
            findings: vec![finding],
            put_right: Vec::new(),
            waits: Vec::new(),
            notes: Vec::new(),
            repaired: false,
            fingerprints: None,
        };
        return print(&report, args);
    };
    let session = unknown.into_session().repair(why(None, reason, None, None))?;
    finish(session, args, Words { findings: vec![finding], ..Words::default() }, true)
}

/// A journal that cannot be written: nothing is put right.
fn read(read_only: ReadOnly, args: &Audit) -> Result<Report, Failure> {
    if args.repair || args.every.is_some() {
        let text =
            format!("{}: the journal cannot be written, so that nothing can be repaired or watched", args.at.device);
        read_only.compare()?;
        return Err(Failure::usage(text));
    }
    let (found, fingerprints, file) = read_only.compare()?;
    let mut words = words(&found.audit);
    words.notes.push("its journal cannot be written: nothing was put right, and nothing noted".to_owned());
    let mut waits = Vec::new();
    if let Some(change) = found.unfinished {
        waits.push(format!("change {change} has not ended: the next command that can write its journal ends it"));
    }
    if let Some((change, by)) = found.audit.unconfirmed.filter(|_| found.late) {
        waits.push(format!("change {change} had to be confirmed by {by}: the next such command takes it back"));
    }
    if found.audit.rebooted {
        waits.append(&mut words.findings);
    }
    // In the middle of a change, the adapter need not hold what the record before it says.
    if found.unfinished.is_some() {
        words.findings.clear();
    }
    let report = AuditReport {
        device: args.at.device.to_string(),
        journal: input::name(&file),
        at: options(&args.at.device, &args.at.journal),
        same: words.findings.is_empty() && waits.is_empty(),
        findings: words.findings,
        put_right: Vec::new(),
        waits,
        notes: words.notes,
        repaired: false,
        fingerprints: Some(fingerprints),
    };
    print(&report, args)
}

/// What an audit has to say.
#[derive(Default)]
struct Words {
    findings: Vec<String>,
    put_right: Vec<String>,
    notes: Vec<String>,
}

fn watch(mut session: Session, args: &Audit) -> Result<Report, Failure> {
    let mut progress = Progress::new();
    if let Some(every) = args.every {
        let every = humantime::format_duration(every);
        session.say(&format!("nicfw audit looks every {every} until it is stopped or something is found"));
    }
    loop {
        let found = session.firewall_mut()?.poll().map_err(|e| session.failed(&e))?;
        let mut words = words(&found.audit);
        words.put_right.extend(session.found());
        if let Some(change) = found.rolled_back {
            words.put_right.push(format!("change {change} was not confirmed in time: it is rolled back"));
            // It waits no more.
            words.notes.retain(|note| !note.starts_with(&format!("change {change} waits")));
        }
        match args.every {
            Some(every) if words.findings.is_empty() && words.put_right.is_empty() => {
                progress.say(&format!("{}: same; again in {}", session.locator(), humantime::format_duration(every)));
                std::thread::sleep(every.max(Duration::from_millis(10)));
            }
            _ if args.repair && !found.audit.is_sound() => {
                let reason = args.reason.as_deref().unwrap_or_default();
                let session = session.repair(why(None, reason, None, None))?;
                return finish(session, args, words, true);
            }
            _ => return finish(session, args, words, false),
        }
    }
}

/// What is amiss, and what is worth knowing.
fn words(found: &Found) -> Words {
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    if let Tables::Drifted { record, since, expected, found } = &found.tables {
        let expected = expected.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        findings.push(format!(
            "its tables have fingerprint {found}, by record {record} of {since} they had {expected}: somebody has changed them \
             since, and no record says who"
        ));
    }
    if found.rebooted {
        findings.push("its management controller has rebooted since the last record".to_owned());
    }
    if found.counters_wrong > 0 {
        findings.push(format!("{} counters were cleared or taken away", found.counters_wrong));
    }
    if found.cache_behind {
        notes.push("a reboot of its management controller would load older rules".to_owned());
    }
    if let Some((change, by)) = found.unconfirmed {
        notes.push(format!("change {change} waits for confirmation until {by}"));
    }
    let expired = |origin: &std::sync::Arc<nicfw::policy::Origin>| {
        format!("{origin} was good until {}", origin.until.as_deref().unwrap_or("-"))
    };
    notes.extend(found.expired.iter().map(expired));
    Words { findings, put_right: Vec::new(), notes }
}

fn finish(mut session: Session, args: &Audit, words: Words, repaired: bool) -> Result<Report, Failure> {
    let Words { findings, put_right, notes } = words;
    let fingerprints = Some(Fingerprints::of(session.firewall_mut()?.engine()).map_err(|e| session.failed(&e))?);
    let (device, journal) = (session.locator().to_string(), input::name(session.file()));
    let at = session.at().to_owned();
    session.leave()?;
    let (same, waits) = (findings.is_empty() && put_right.is_empty(), Vec::new());
    print(&AuditReport { device, journal, at, same, findings, put_right, waits, notes, repaired, fingerprints }, args)
}

fn print(report: &AuditReport, args: &Audit) -> Result<Report, Failure> {
    let exit = match report {
        _ if report.repaired => Exit::Done,
        AuditReport { findings, .. } if !findings.is_empty() => Exit::Drift,
        AuditReport { put_right, .. } if !put_right.is_empty() => Exit::PutRight,
        AuditReport { waits, .. } if !waits.is_empty() => Exit::Differs,
        _ => Exit::Done,
    };
    if args.output.json {
        return Report::json(report, exit);
    }
    let AuditReport { device, journal, at, .. } = report;
    let mut text = match exit {
        Exit::Done if report.repaired => {
            format!("{device}: DRIFT, repaired: the journal's rules were loaded, all traffic blocked meanwhile\n")
        }
        Exit::Done => format!("{device}: the same as its journal {journal} says\n"),
        Exit::PutRight => format!("{device}: PUT RIGHT: it is as its journal {journal} says again\n"),
        Exit::Differs => format!("{device}: NOT ENDED: its journal {journal} says that something waits\n"),
        _ => format!("{device}: DRIFT from what its journal {journal} says\n"),
    };
    let AuditReport { findings, put_right, waits, notes, .. } = report;
    for line in [findings, put_right, waits, notes].into_iter().flatten() {
        text += &format!("  {}\n", escaped(line.trim_end()));
    }
    text += &report.fingerprints.as_ref().map(|fingerprints| format!("It holds {fingerprints}.\n")).unwrap_or_default();
    if exit == Exit::Drift {
        text += &format!("To load what the journal says: nicfw audit {at} --repair --reason TEXT\n");
    }
    Ok(Report { text: text + UNKNOWABLE, exit })
}
