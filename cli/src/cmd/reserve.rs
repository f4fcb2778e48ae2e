//! `nicfw reserve` and `nicfw release`: a container's addresses are closed before it starts and after it is gone.

use nicfw::firewall::StillHeld;

use crate::args::{Release, Reserve};
use crate::cmd::changed::{Changed, report};
use crate::failure::Failure;
use crate::output::Report;
use crate::session::Session;

pub fn reserve(args: &Reserve) -> Result<Report, Failure> {
    let mut session = Session::open(&args.at)?;
    match session.firewall_mut()?.reserve(&args.container, &args.ips, args.mac, args.cause.why()) {
        Ok(done) => {
            let container = &args.container;
            let what = if done.open.is_empty() {
                format!("the addresses of {container} are closed: it may start")
            } else {
                let open: Vec<_> = done.open.iter().map(|open| open.address.as_str()).collect();
                let open = open.join(", ");
                format!("{open} is open as the policy in force says; what else was given for {container} is closed")
            };
            report(session, Changed { what, done, is_reservation: true }, args.output)
        }
        Err(error) => Err(session.fail(&error)),
    }
}

pub fn release(args: &Release) -> Result<Report, Failure> {
    let mut session = Session::open(&args.at)?;
    match session.firewall_mut()?.release(&args.container, args.cause.why()) {
        Ok(Some(done)) => {
            let container = &args.container;
            let mut what = format!("what was reserved for {container} is treated as addresses that nobody bound");
            if !done.still_held.is_empty() {
                let still: Vec<_> = done.still_held.iter().map(held).collect();
                what = format!("the reservations of {container} have ended; {}", still.join("; "));
            }
            report(session, Changed { what, done, is_reservation: false }, args.output)
        }
        Ok(None) => {
            let device = args.at.device.clone();
            session.leave()?;
            Err(Failure::usage(format!(
                "{device}: nothing is reserved for {}: the policy binds it (take its binding out and apply that first), or \
                 nobody reserved it",
                args.container
            )))
        }
        Err(error) => Err(session.fail(&error)),
    }
}

/// Who holds an address.
fn held(still: &StillHeld) -> String {
    let StillHeld { address, bound, reserved, .. } = still;
    match bound {
        Some(container) => format!("{address} is bound to {container}: its policy decides"),
        None => format!("{address} stays closed, reserved for {}", reserved.join(", ")),
    }
}
