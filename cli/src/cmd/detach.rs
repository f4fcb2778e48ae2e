//! `nicfw detach`: leaves an adapter as told. Also the way out of a load that failed and left it blocked.

use nicfw::Adapter;
use nicfw::adapter::{AdapterError, Override};
use nicfw::journal::Left;
use serde::Serialize;

use crate::args::{Detach, Leave};
use crate::attached::{Versions, attach, failed};
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::session::{record_left, why};

#[derive(Serialize)]
struct DetachReport {
    device: String,
    reason: String,
    /// `rules`, `blocked` or `empty`.
    left: &'static str,
    versions: Versions,
}

pub fn run(args: &Detach) -> Result<Report, Failure> {
    let how = match args.leave {
        Leave::Rules => None,
        Leave::Blocked => Some(Left::Blocked),
        Leave::Empty => Some(Left::Empty),
    };
    let mut adapter = attach(&args.device, args.journal.journal.as_deref(), false)?;
    // First the journal: an adapter that is left otherwise than it says would be taken for one with its rules in force.
    if let Some(how) = how {
        record_left(&adapter, &args.journal, how, why(None, &args.reason, None, None))?;
    }
    leave(&mut adapter, args.leave).map_err(|e| failed(&args.device, &e))?;
    let versions = Versions::of(&mut adapter).map_err(|e| failed(&args.device, &e))?;
    adapter.detach().map_err(|e| failed(&args.device, &e))?;
    let (left, words) = match args.leave {
        Leave::Rules => ("rules", "its rules are untouched"),
        Leave::Blocked => {
            ("blocked", "it drops all traffic until it is adopted or emptied, or its management controller reboots")
        }
        Leave::Empty => ("empty", "its rules are dropped: everything passes"),
    };
    let report = DetachReport { device: args.device.to_string(), reason: args.reason.clone(), left, versions };
    if args.output.json {
        return Report::json(&report, Exit::Done);
    }
    let DetachReport { device, reason, versions, .. } = &report;
    Ok(Report::done(format!("{device}: detached ({reason}); {words}\nIt holds {versions}.\n")))
}

/// Emptying blocks first, and opens last: a command that fails in between leaves the adapter closed.
fn leave(adapter: &mut Adapter, leave: Leave) -> Result<(), AdapterError> {
    match leave {
        Leave::Rules => Ok(()),
        Leave::Blocked => adapter.set_override(Override::Block),
        Leave::Empty => {
            adapter.set_override(Override::Block)?;
            adapter.reset_rules()?;
            adapter.commit_cache()?;
            adapter.set_override(Override::None)
        }
    }
}
