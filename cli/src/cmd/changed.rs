//! What the commands say that change an adapter without a policy file.

use nicfw::firewall;
use nicfw::journal::Addresses;
use serde::Serialize;

use crate::args::Output;
use crate::attached::Fingerprints;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::Report;
use crate::session::Session;

/// A change that was made.
pub struct Changed {
    /// In words.
    pub what: String,
    pub done: firewall::Report,
    /// What it reserves was asked for.
    pub is_reservation: bool,
}

#[derive(Serialize)]
struct ChangedReport {
    device: String,
    /// Of the tables, as `rules`.
    family: &'static str,
    journal: String,
    /// What was found, if it was not as the journal says.
    found: Option<String>,
    /// Number of the change in the journal.
    change: Option<u64>,
    commands: usize,
    closed_meanwhile: Vec<String>,
    /// What it reserved.
    reserves: Vec<ReservedReport>,
    /// After `reserve`: addresses that the policy opens.
    open: Vec<HeldReport>,
    /// After `release`: addresses that somebody else holds.
    still_held: Vec<HeldReport>,
    fingerprints: Fingerprints,
}

/// What is reserved for a container.
#[derive(Serialize)]
pub struct ReservedReport {
    pub container: String,
    pub addresses: Vec<String>,
    /// Entries of the rule table that it takes.
    pub entries: usize,
}

impl ReservedReport {
    pub fn of(reserved: &firewall::Reserved) -> Self {
        let firewall::Reserved { container, addresses, entries, .. } = reserved;
        Self { container: container.clone(), addresses: words(addresses), entries: *entries }
    }

    /// One line.
    pub fn text(&self) -> String {
        let Self { container, addresses, entries } = self;
        let entries = if *entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
        format!(
            "Reserved for {container} until nicfw release: {} ({entries} of the rule table).\n",
            addresses.join(", ")
        )
    }
}

/// Addresses, one by one.
pub fn words(addresses: &Addresses) -> Vec<String> {
    let ips = addresses.ips.iter().map(ToString::to_string);
    ips.chain(addresses.macs.iter().map(ToString::to_string)).collect()
}

/// Who holds an address.
#[derive(Serialize)]
struct HeldReport {
    address: String,
    bound: Option<String>,
    reserved: Vec<String>,
}

impl From<firewall::StillHeld> for HeldReport {
    fn from(held: firewall::StillHeld) -> Self {
        let firewall::StillHeld { address, bound, reserved, .. } = held;
        Self { address, bound, reserved }
    }
}

/// Takes leave of the adapter and says what was done.
pub fn report(mut session: Session, changed: Changed, output: Output) -> Result<Report, Failure> {
    let fingerprints = Fingerprints::of(session.firewall_mut()?.engine()).map_err(|e| session.failed(&e))?;
    let report = ChangedReport {
        device: session.locator().to_string(),
        family: changed.done.family,
        journal: input::name(session.file()),
        found: session.found(),
        change: changed.done.change,
        commands: changed.done.commands,
        closed_meanwhile: changed.done.closed_meanwhile,
        reserves: changed.done.reserves.iter().map(ReservedReport::of).collect(),
        open: changed.done.open.into_iter().map(Into::into).collect(),
        still_held: changed.done.still_held.into_iter().map(Into::into).collect(),
        fingerprints,
    };
    session.leave()?;
    if output.json {
        return Report::json(&report, Exit::Done);
    }
    let ChangedReport { device, commands, fingerprints, found, .. } = &report;
    let found = found.as_deref().unwrap_or_default();
    let number = report.change.map_or_else(|| "nothing to change".to_owned(), |change| format!("change {change}"));
    let closed = match &report.closed_meanwhile[..] {
        [] => String::new(),
        who => format!("Closed meanwhile: {}.\n", who.join(", ")),
    };
    // What `reserve` was asked for is said above.
    let asked = changed.is_reservation;
    let reserved: String = report.reserves.iter().filter(|_| !asked).map(ReservedReport::text).collect();
    Ok(Report::done(format!(
        "{found}{device}: {} ({number}, {commands} commands)\n{closed}{reserved}It holds {fingerprints}.\n",
        changed.what
    )))
}
