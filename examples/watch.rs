//! Looks after an adapter whose journal exists: rolls back what nobody confirmed, commits the adapter's cache, loads the
//! tables again after a reboot, and ends when somebody else has written.
//!
//! ```text
//! cargo run --example watch -- vfio-user:/tmp/nic.sock /tmp/nic.journal 10      # ten times, once a second
//! ```

use std::error::Error;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::firewall::{Session, Settings, Tables};
use nicfw::journal::{FileStore, Journal};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, journal, times] = &arguments[..] else { return Err("usage: watch FUNCTION JOURNAL TIMES".into()) };
    let times: u32 = times.parse()?;

    let Ok(locator) = place.parse::<Locator>();
    let clock = Arc::new(SystemClock::new());
    let adapter = Adapter::from_device(locator.open()?, clock.clone(), AttachOptions::default())?;
    let journal = Journal::open(Box::new(FileStore::open(journal)?), &adapter.info().identity(), None)?;
    let mut session = Session::new(adapter, journal, clock, Settings::default());
    println!("found: {:?}", session.resume()?.found);
    let firewall = session.firewall_mut()?;

    for time in 0..times {
        if time > 0 {
            sleep(Duration::from_secs(1));
        }
        let poll = firewall.poll()?;
        if let Some(change) = poll.rolled_back {
            println!("change {change} was not confirmed in time: rolled back");
        }
        if let Tables::Drifted { since, .. } = poll.audit.tables {
            return Err(format!("somebody else has written, after {since}").into());
        }
        if poll.audit.rebooted {
            let report = firewall.recover()?;
            println!("rebooted: loaded again with {} commands", report.commands);
        }
        for origin in &poll.audit.expired {
            println!("expired: {origin}");
        }
        let frames: u64 = firewall.counters()?.iter().map(|count| count.total.rx + count.total.tx).sum();
        println!("sound: {}, {frames} frames counted", poll.audit.is_sound());
    }
    Ok(())
}
