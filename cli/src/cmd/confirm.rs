//! `nicfw confirm`: lets a change stay that waits for it. The program that made it and waits is asked; where it is gone, the
//! journal is.

use serde::Serialize;

use crate::args::Confirm;
use crate::failure::{Exit, Failure};
use crate::journals;
use crate::output::Report;
use crate::session::Session;
use crate::waiting;

#[derive(Serialize)]
struct ConfirmReport {
    device: String,
    /// Number of the change in the journal.
    change: u64,
    /// What was found, if it was not as the journal says.
    found: Option<String>,
}

pub fn run(args: &Confirm) -> Result<Report, Failure> {
    let device = args.at.device.to_string();
    let asked = match &args.at.journal.journal {
        Some(file) => waiting::ask(file)?,
        None => journals::candidates().iter().find_map(|file| waiting::ask(file).transpose()).transpose()?,
    };
    let (change, found) = match asked {
        Some(change) => (change, None),
        None => {
            let mut session = Session::open(&args.at)?;
            let found = session.found();
            if let Some(change) = session.recovery().and_then(|recovery| recovery.rolled_back) {
                let late = format!("{device}: change {change} was not confirmed in time: it is rolled back");
                session.leave()?;
                return Err(Failure::usage(late));
            }
            match session.firewall_mut()?.confirm() {
                Ok(change) => {
                    session.leave()?;
                    (change, found)
                }
                Err(error) => return Err(session.fail(&error)),
            }
        }
    };
    let report = ConfirmReport { device, change, found };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    let found = report.found.as_deref().unwrap_or_default();
    Ok(Report::done(format!("{found}{}: change {change} is confirmed and stays\n", report.device)))
}
