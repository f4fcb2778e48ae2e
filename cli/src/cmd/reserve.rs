//! `nicfw reserve` and `nicfw release`: a container's addresses are closed before it starts and after it is gone.

use crate::args::{Release, Reserve};
use crate::cmd::changed::{Changed, report};
use crate::failure::Failure;
use crate::output::Report;
use crate::session::Session;

pub fn reserve(args: &Reserve) -> Result<Report, Failure> {
    let mut session = Session::open(&args.at)?;
    match session.firewall.reserve(&args.container, &args.ips, args.mac, args.cause.why()) {
        Ok(done) => {
            let what = format!("the addresses of {} are closed: it may start", args.container);
            report(session, Changed { what, done }, args.output)
        }
        Err(error) => Err(session.fail(&error)),
    }
}

pub fn release(args: &Release) -> Result<Report, Failure> {
    let mut session = Session::open(&args.at)?;
    match session.firewall.release(&args.container, args.cause.why()) {
        Ok(Some(done)) => {
            let what = format!("the addresses of {} are treated as ones that nobody bound", args.container);
            report(session, Changed { what, done }, args.output)
        }
        Ok(None) => {
            let device = args.at.device.clone();
            session.leave()?;
            Err(Failure::usage(format!(
                "{device}: nothing is kept closed for {}: the policy binds it (take its binding out and apply that first), or \
                 nobody reserved it",
                args.container
            )))
        }
        Err(error) => Err(session.fail(&error)),
    }
}
