//! `nicfw rollback`: brings back what an adapter held after an earlier change.

use crate::args::Rollback;
use crate::cmd::changed::{Changed, report};
use crate::failure::Failure;
use crate::output::Report;
use crate::session::Session;

pub fn run(args: &Rollback) -> Result<Report, Failure> {
    let mut session = Session::open(&args.at)?;
    match session.firewall_mut()?.rollback(args.to, args.cause.why()) {
        Ok(done) => {
            let what = format!("the content of change {} is back", args.to);
            report(session, Changed { what, done, is_reservation: false }, args.output)
        }
        Err(error) => Err(session.fail(&error)),
    }
}
