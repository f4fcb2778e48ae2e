//! `nicfw detach`: leaves an adapter as told. Also the way out of a load that failed and left it blocked.

use nicfw::firewall::Leave;
use serde::Serialize;

use crate::args::{self, Detach};
use crate::attached::Fingerprints;
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::session;

#[derive(Serialize)]
struct DetachReport {
    device: String,
    reason: String,
    /// `rules`, `blocked` or `empty`.
    left: &'static str,
    fingerprints: Fingerprints,
}

pub fn run(args: &Detach) -> Result<Report, Failure> {
    let how = match args.leave {
        args::Leave::Rules => Leave::Rules,
        args::Leave::Blocked => Leave::Blocked,
        args::Leave::Empty => Leave::Empty,
    };
    let fingerprints = session::leave(&args.device, &args.journal, how, session::why(None, &args.reason, None, None))?;
    let (left, words) = match how {
        Leave::Rules => ("rules", "its rules are untouched"),
        Leave::Blocked => {
            ("blocked", "it drops all traffic until it is adopted or emptied, or its management controller reboots")
        }
        Leave::Empty => ("empty", "its rules are dropped: everything passes"),
    };
    let report = DetachReport { device: args.device.to_string(), reason: args.reason.clone(), left, fingerprints };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    let DetachReport { device, reason, fingerprints, .. } = &report;
    Ok(Report::done(format!("{device}: detached ({reason}); {words}\nIt holds {fingerprints}.\n")))
}
