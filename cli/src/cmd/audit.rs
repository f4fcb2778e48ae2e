//! `nicfw audit`: whether an adapter still holds what it should. Its own hash over the tables tells, as far as that depends
//! on the content alone (assumption A13), how often it has booted, and what it counts.

use std::time::Duration;

use nicfw::firewall::{AttachError, Audit as Found, Tables};
use serde::Serialize;

use crate::args::Audit;
use crate::attached::{Versions, attached};
use crate::failure::{Exit, Failure};
use crate::output::{Progress, Report};
use crate::session::{Session, Stranger, why};

/// What no audit finds.
const UNKNOWABLE: &str = "\
What this cannot tell: who the foreign writer was and which entries it wrote (the tables cannot be read back); changes that
were taken back between two audits; an override of the rules.
";

#[derive(Serialize)]
struct ExpectReport {
    device: String,
    expected: String,
    found: Versions,
    same: bool,
}

#[derive(Serialize)]
struct AuditReport {
    device: String,
    journal: String,
    same: bool,
    /// What is amiss, in words.
    findings: Vec<String>,
    /// What is worth knowing and no drift.
    notes: Vec<String>,
    repaired: bool,
    versions: Option<Versions>,
}

pub fn run(args: &Audit) -> Result<Report, Failure> {
    if let Some(expected) = &args.expect {
        return compare(args, expected);
    }
    match Session::find(&args.at.device, &args.at.journal, false)? {
        Ok(session) => watch(session, args),
        Err(stranger) if matches!(stranger.error(), AttachError::Foreign { .. }) => foreign(stranger, args),
        Err(stranger) => Err(stranger.leave()),
    }
}

/// With a version that somebody wrote down.
fn compare(args: &Audit, expected: &str) -> Result<Report, Failure> {
    let found = attached(&args.at.device, false, Versions::of)?;
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
            "{}: DRIFT: {}; expected version {}\nSomebody has changed the rules. To put a policy in their place: \
             nicfw apply FILE --device {} --adopt --reason TEXT\n",
            report.device, report.found, report.expected, report.device
        )
    };
    Ok(Report { text, exit })
}

/// Somebody else has changed the tables since the last record.
fn foreign(stranger: Stranger, args: &Audit) -> Result<Report, Failure> {
    let finding = stranger.error().to_string();
    let device = args.at.device.to_string();
    let Some(reason) = args.reason.as_deref().filter(|_| args.repair) else {
        let journal = stranger.file().display().to_string();
        stranger.record_drift()?;
        let report = AuditReport {
            device,
            journal,
            same: false,
            findings: vec![finding],
            notes: Vec::new(),
            repaired: false,
            versions: None,
        };
        return print(&report, args);
    };
    let session = stranger.repair(why(None, reason, None, None))?;
    finish(session, args, vec![finding], Vec::new(), true)
}

fn watch(mut session: Session, args: &Audit) -> Result<Report, Failure> {
    let mut progress = Progress::new();
    loop {
        let found = session.firewall.poll().map_err(|e| session.failed(&e))?;
        let (mut findings, mut notes) = words(&found.audit);
        if let Some(change) = found.rolled_back {
            notes.push(format!("change {change} was not confirmed in time: it is rolled back"));
        }
        findings.extend(session.found());
        match args.every {
            Some(every) if findings.is_empty() => {
                progress.say(&format!("{}: same; again in {}", session.locator(), humantime::format_duration(every)));
                std::thread::sleep(every.max(Duration::from_millis(10)));
            }
            _ if !findings.is_empty() && args.repair && !found.audit.is_sound() => {
                let reason = args.reason.as_deref().unwrap_or_default();
                let session = session.forget().repair(why(None, reason, None, None))?;
                return finish(session, args, findings, notes, true);
            }
            _ => return finish(session, args, findings, notes, false),
        }
    }
}

/// What is amiss, and what is worth knowing.
fn words(found: &Found) -> (Vec<String>, Vec<String>) {
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    if let Tables::Drifted { record, since, expected, found } = &found.tables {
        let expected = expected.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        findings.push(format!(
            "its tables have version {found}, record {record} of {since} left {expected}: somebody has changed them since, and \
             no record says who"
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
    (findings, notes)
}

fn finish(
    mut session: Session,
    args: &Audit,
    findings: Vec<String>,
    notes: Vec<String>,
    repaired: bool,
) -> Result<Report, Failure> {
    let versions = Some(Versions::of(session.firewall.engine()).map_err(|e| session.failed(&e))?);
    let (device, journal) = (session.locator().to_string(), session.file.display().to_string());
    session.leave()?;
    print(&AuditReport { device, journal, same: findings.is_empty(), findings, notes, repaired, versions }, args)
}

fn print(report: &AuditReport, args: &Audit) -> Result<Report, Failure> {
    let exit = if report.same || report.repaired { Exit::Done } else { Exit::Drift };
    if args.output.json {
        return Report::json(report, exit);
    }
    let AuditReport { device, journal, .. } = report;
    let mut text = match (report.same, report.repaired) {
        (true, _) => format!("{device}: the same as its journal {journal} says\n"),
        (false, true) => {
            format!("{device}: DRIFT, repaired: the journal's rules were loaded, all traffic blocked meanwhile\n")
        }
        (false, false) => format!("{device}: DRIFT from what its journal {journal} says\n"),
    };
    for line in report.findings.iter().chain(&report.notes) {
        text += &format!("  {}\n", line.trim_end());
    }
    text += &report.versions.as_ref().map(|versions| format!("It holds {versions}.\n")).unwrap_or_default();
    if !report.same && !report.repaired {
        text += &format!("To load what the journal says: nicfw audit --device {device} --repair --reason TEXT\n");
    }
    Ok(Report { text: text + UNKNOWABLE, exit })
}
