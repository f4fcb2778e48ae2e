//! `nicfw audit`: whether an adapter still holds the rules that were loaded. It tells by the adapter's own hash over them,
//! as far as that depends on the content alone (assumption A13).

use serde::Serialize;

use crate::args::Audit;
use crate::attached::{Versions, attached};
use crate::failure::{Exit, Failure};
use crate::output::Report;

#[derive(Serialize)]
struct AuditReport {
    device: String,
    expected: String,
    found: Versions,
    same: bool,
}

pub fn run(args: &Audit) -> Result<Report, Failure> {
    let found = attached(&args.device, false, Versions::of)?;
    let same = found.active.eq_ignore_ascii_case(&args.expect);
    let report = AuditReport { device: args.device.to_string(), expected: args.expect.clone(), found, same };
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
