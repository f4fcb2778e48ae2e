//! `nicfw apply`: loads a policy. A fresh emulated adapter is read back to prove it. A card cannot be: its journal says what
//! it holds, or it is adopted.

use std::time::Duration;

use nicfw::clock::Timestamp;
use nicfw::device::Locator;
use nicfw::journal::Reason;
use nicfw::policy::{Document, OnExpiry};
use nicfw::tables::{Compiled, Target};
use serde::Serialize;

use super::changed::{ReservedReport, words};
use super::common::{document, load};
use crate::args::Apply;
use crate::attached::{Fingerprints, failed};
use crate::emulated::commands_to_load;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::{Progress, Report};
use crate::session::{Session, why};
use crate::usage::{UsageReport, usage, usage_table};
use crate::waiting::{self, Ended};

#[derive(Serialize)]
struct ApplyReport {
    emulated: bool,
    adapter: String,
    /// Of the tables, as `rules`.
    family: &'static str,
    file: String,
    entries: usize,
    commands: usize,
    /// What the tables hold otherwise than the policy says; empty = they were read back and are the same.
    drift: Vec<String>,
    usage: Vec<UsageReport>,
}

#[derive(Serialize)]
struct ChangeReport {
    emulated: bool,
    device: String,
    adapter: String,
    /// Of the tables, as `rules`.
    family: &'static str,
    journal: String,
    file: String,
    reason: String,
    /// The adapter was taken over, all its traffic blocked meanwhile.
    adopted: bool,
    /// What was found, if it was not as the journal says.
    found: Option<String>,
    /// Number of the change in the journal.
    change: Option<u64>,
    entries: usize,
    commands: usize,
    /// Containers that were closed meanwhile.
    closed_meanwhile: Vec<String>,
    /// What the change reserved: addresses that the policy no longer gives to a container.
    reserves: Vec<ReservedReport>,
    /// The policy that is in force now; entries, counters and usage are of it.
    in_force: String,
    /// `confirmed`, `rolled-back` or `stopped`; `None` if nobody had to confirm.
    confirmation: Option<&'static str>,
    counters: usize,
    /// Entries' counters that the adapter had none left for.
    counters_missing: usize,
    fingerprints: Fingerprints,
    usage: Vec<UsageReport>,
}

pub fn run(args: &Apply) -> Result<Report, Failure> {
    let document = document(&args.file)?;
    match (&args.device, &args.reason) {
        (Some(locator), Some(reason)) => into_adapter(&document, locator, reason, args),
        _ => into_emulated(&document, args),
    }
}

fn into_emulated(document: &Document, args: &Apply) -> Result<Report, Failure> {
    let (mut adapter, loaded) = load(document)?;
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    let report = ApplyReport {
        emulated: true,
        family: Target::FAMILY,
        file: document.name.to_string(),
        entries: compiled.image().rules.len(),
        commands: loaded.commands,
        drift: adapter.drift()?,
        usage: usage(compiled),
        adapter: adapter.info().map(|info| info.to_string()).unwrap_or_default(),
    };
    let exit = if report.drift.is_empty() { Exit::Done } else { Exit::Drift };
    if args.output.json {
        return Report::json(&report, exit);
    }
    let outcome = match &report.drift[..] {
        [] => "Read back: the tables hold what the policy says, and nothing else.".to_owned(),
        drift => format!("DRIFT: the tables hold something else:\n  {}", drift.join("\n  ")),
    };
    let ApplyReport { adapter, file, entries, commands, .. } = &report;
    Ok(Report {
        text: format!(
            "EMULATED adapter: {adapter}\n{file}: {entries} entries loaded by {commands} commands, all traffic blocked \
             meanwhile.\n{outcome}\n\n{}\n",
            usage_table(&report.usage)
        ),
        exit,
    })
}

fn into_adapter(document: &Document, locator: &Locator, reason: &str, args: &Apply) -> Result<Report, Failure> {
    let mut progress = Progress::new();
    progress.say(&format!("attaching to {locator}"));
    let why = why(args.who.as_deref(), reason, args.ticket.as_deref(), args.approval.as_deref());
    let made = match Session::find(locator, &args.journal, args.switch_firmware)? {
        Ok(session) if args.adopt => adopted(document, session, why, &mut progress)?,
        Ok(session) => changed(document, session, why, args.confirm_within, &mut progress)?,
        Err(unknown) if args.adopt => adopted(document, unknown.into_session(), why, &mut progress)?,
        Err(unknown) => return Err(unknown.leave()),
    };
    let Made { mut session, compiled, commands, change, closed_meanwhile, reserves, adopted } = made;
    let confirmation = match args.confirm_within.filter(|_| change.is_some()) {
        None => None,
        Some(time) => {
            progress.say(&format!("waiting {} for nicfw confirm", humantime::format_duration(time)));
            Some(waiting::wait(&mut session)?)
        }
    };
    // A change that was taken back has left the policy before it.
    let stays = matches!(confirmation, None | Some(Ended::Confirmed));
    let compiled = if stays { Some(compiled) } else { session.firewall()?.compiled().ok().flatten() };
    let counters = session.firewall_mut()?.counters().map_err(|e| session.failed(&e))?.len();
    let found = session.found();
    let adapter = session.firewall_mut()?.engine();
    let report = ChangeReport {
        emulated: false,
        family: Target::FAMILY,
        device: locator.to_string(),
        adapter: adapter.info().to_string(),
        fingerprints: Fingerprints::of(adapter).map_err(|e| failed(locator, &e))?,
        journal: input::name(session.file()),
        file: document.name.to_string(),
        reason: reason.to_owned(),
        adopted,
        found,
        change,
        entries: session.firewall()?.image().rules.len(),
        in_force: session.firewall()?.document().name.to_string(),
        commands,
        closed_meanwhile,
        reserves,
        confirmation: confirmation.map(|ended| match ended {
            Ended::Confirmed => "confirmed",
            Ended::RolledBack => "rolled-back",
            Ended::Stopped => "stopped",
        }),
        counters,
        counters_missing: compiled.as_ref().map_or(0, |held| held.counter_slots().len().saturating_sub(counters)),
        usage: compiled.as_ref().map(usage).unwrap_or_default(),
    };
    session.leave()?;
    drop(progress);
    let exit = if stays { Exit::Done } else { Exit::Differs };
    if args.output.json {
        return Report::json(&report, exit);
    }
    Ok(Report { text: screen(&report), exit })
}

/// A change that was made.
struct Made {
    session: Session,
    compiled: Compiled,
    commands: usize,
    change: Option<u64>,
    closed_meanwhile: Vec<String>,
    reserves: Vec<ReservedReport>,
    adopted: bool,
}

/// Changes what the adapter holds while traffic goes on.
fn changed(
    document: &Document,
    mut session: Session,
    why: Reason,
    confirm_within: Option<Duration>,
    progress: &mut Progress,
) -> Result<Made, Failure> {
    let compiled = match compiled(document, &session, progress) {
        Ok(compiled) => compiled,
        Err(refused) => {
            session.leave()?;
            return Err(refused);
        }
    };
    progress.say(&format!("planning {}", document.name));
    let change = match session.firewall()?.plan(&compiled, why) {
        Ok(change) => change,
        Err(error) => {
            let failure = session.fail(&error);
            return Err(Failure { exit: Exit::DoesNotFit, ..failure });
        }
    };
    let change = match confirm_within {
        Some(time) => change.confirm_within(time),
        None => change,
    };
    progress.say(&format!("{}: {} commands", document.name, change.plan.steps.len()));
    match session.firewall_mut()?.apply(change) {
        Ok(report) => Ok(Made {
            session,
            compiled,
            commands: report.commands,
            change: report.change,
            closed_meanwhile: report.closed_meanwhile,
            reserves: report.reserves.iter().map(ReservedReport::of).collect(),
            adopted: false,
        }),
        Err(error) => Err(session.fail(&error)),
    }
}

/// For the adapter of a session, near to what it holds.
fn compiled(document: &Document, session: &Session, progress: &mut Progress) -> Result<Compiled, Failure> {
    let firewall = session.firewall()?;
    let target = firewall.target();
    // Where this program compiles what is held otherwise than the one that loaded it, the plan is longer and as right.
    let held = firewall.compiled().ok().flatten();
    let wanted = in_force(document, firewall.date());
    super::common::compiled(&wanted, target, held.as_ref(), progress)
        .map_err(|error| Failure::refused(&error, &wanted, target))
}

/// Without what has expired, if the document says so.
fn in_force(document: &Document, now: Timestamp) -> Document {
    if document.on_expiry == OnExpiry::Withdraw { document.without_expired(now) } else { document.clone() }
}

/// Takes the adapter over.
fn adopted(document: &Document, session: Session, why: Reason, progress: &mut Progress) -> Result<Made, Failure> {
    let wanted = in_force(document, session.date()?);
    let target = session.target()?;
    let compiled = match super::common::compiled(&wanted, target, None, progress) {
        Ok(compiled) => compiled,
        Err(error) => {
            let refused = Failure::refused(&error, &wanted, target);
            return Err(session.give_up(refused));
        }
    };
    progress.say(&format!("loading {}: all traffic of {} is blocked", document.name, session.locator()));
    let session = session.adopt(&compiled, why)?;
    let firewall = session.firewall()?;
    let commands = commands_to_load(firewall.image());
    let reserved = firewall.reserved().map(|(container, addresses)| ReservedReport {
        container: container.to_owned(),
        addresses: words(addresses),
        entries: addresses.ips.len() + addresses.macs.len(),
    });
    let (reserves, change) = (reserved.collect(), firewall.journal().status().change);
    Ok(Made { session, compiled, commands, change, closed_meanwhile: Vec::new(), reserves, adopted: true })
}

fn screen(report: &ChangeReport) -> String {
    let ChangeReport { device, adapter, file, reason, entries, commands, fingerprints, journal, .. } = report;
    let counters = match report.counters_missing {
        0 => String::new(),
        missing => format!(
            "{missing} counters are missing: the adapter gave fewer than the policy asks for. What they should count is \
             not counted; no verdict depends on it.\n"
        ),
    };
    let found = report.found.clone().unwrap_or_default();
    let number = report.change.map_or_else(|| "nothing to change".to_owned(), |change| format!("change {change}"));
    let how = if report.adopted {
        format!("{entries} entries loaded by {commands} commands, all traffic blocked meanwhile")
    } else {
        format!("{entries} entries now, {commands} commands")
    };
    let closed = match &report.closed_meanwhile[..] {
        [] => String::new(),
        who => format!("Closed meanwhile: {}.\n", who.join(", ")),
    };
    let back =
        |why: &str| format!("{why}: the change is taken back. In force, and meant below: {}.\n", report.in_force);
    let confirmation = match report.confirmation {
        None => String::new(),
        Some("confirmed") => "Confirmed: the change stays.\n".to_owned(),
        Some("stopped") => back("STOPPED before it was confirmed"),
        Some(_) => back("NOT CONFIRMED in time"),
    };
    let reserved: String = report.reserves.iter().map(ReservedReport::text).collect();
    format!(
        "{found}adapter {device}: {adapter}\n{file}: {how} ({number}: {reason}).\n{closed}{reserved}{confirmation}\
         The adapter holds {fingerprints}.\nHistory: nicfw journal {journal} show\n{counters}\n{}\n",
        usage_table(&report.usage)
    )
}
