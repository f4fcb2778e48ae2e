//! What the commands say that change an adapter without a policy file.

use nicfw::firewall;
use serde::Serialize;

use crate::args::Output;
use crate::attached::Versions;
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::session::Session;

/// A change that was made.
pub struct Changed {
    /// In words.
    pub what: String,
    pub done: firewall::Report,
}

#[derive(Serialize)]
struct ChangedReport {
    device: String,
    journal: String,
    /// What was found, if it was not as the journal says.
    found: Option<String>,
    /// Number of the change in the journal.
    change: Option<u64>,
    commands: usize,
    closed_meanwhile: Vec<String>,
    versions: Versions,
}

/// Takes leave of the adapter and says what was done.
pub fn report(mut session: Session, changed: Changed, output: Output) -> Result<Report, Failure> {
    let versions = Versions::of(session.firewall.engine()).map_err(|e| session.failed(&e))?;
    let report = ChangedReport {
        device: session.locator().to_string(),
        journal: session.file.display().to_string(),
        found: session.found(),
        change: changed.done.change,
        commands: changed.done.commands,
        closed_meanwhile: changed.done.closed_meanwhile,
        versions,
    };
    session.leave()?;
    if output.json {
        return Report::json(&report, Exit::Done);
    }
    let ChangedReport { device, commands, versions, found, .. } = &report;
    let found = found.as_deref().unwrap_or_default();
    let number = report.change.map_or_else(|| "nothing to change".to_owned(), |change| format!("change {change}"));
    let closed = match &report.closed_meanwhile[..] {
        [] => String::new(),
        who => format!("Closed meanwhile: {}.\n", who.join(", ")),
    };
    Ok(Report::done(format!(
        "{found}{device}: {} ({number}, {commands} commands)\n{closed}It holds {versions}.\n",
        changed.what
    )))
}
