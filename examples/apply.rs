//! Brings a policy into an adapter: goes on where the adapter's journal stopped, or takes the adapter over if the journal is
//! new. The rules stay when the program ends.
//!
//! ```text
//! cargo run --bin nicfw-model -- serve --socket /tmp/nic.sock      # an emulated adapter, in another terminal
//! cargo run --example apply -- cli/demo/shop.yaml vfio-user:/tmp/nic.sock /tmp/nic.journal
//! ```

use std::error::Error;
use std::fs;
use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::firewall::{AttachError, Session, Settings};
use nicfw::journal::{FileStore, Journal, Reason};
use nicfw::policy::Document;
use nicfw::tables::Compiled;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, place, journal] = &arguments[..] else { return Err("usage: apply POLICY FUNCTION JOURNAL".into()) };
    let document = Document::parse(&fs::read_to_string(file)?, file)?;

    let Ok(locator) = place.parse::<Locator>();
    let clock = Arc::new(SystemClock::new());
    let adapter = Adapter::from_device(locator.open()?, clock.clone(), AttachOptions::default())?;
    println!("{}", adapter.info());

    // One journal for each adapter: it says what the adapter holds, which cannot be read back.
    let journal = Journal::open(Box::new(FileStore::open(journal)?), &adapter.info().identity(), None)?;
    let why = Reason::new("example", "the policy of today");
    let mut session = Session::new(adapter, journal, clock, Settings::default());
    // Whatever the last process left half done is put right first.
    match session.resume() {
        Ok(recovery) => println!("found: {:?}", recovery.found),
        Err(AttachError::New) => {
            let compiled = Compiled::new(&document, session.target()?, None)?;
            // All traffic is blocked while the rules are dropped and loaded. From then on they decide.
            session.adopt(&compiled, why)?;
            println!("adopted: {} entries", session.firewall()?.image().rules.len());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let firewall = session.firewall_mut()?;
    // From the result before: the work follows the change, and addresses and ports keep their ids.
    let before = firewall.compiled()?;
    let compiled = Compiled::new(&document, firewall.target(), before.as_ref())?;
    let change = firewall.plan(&compiled, why)?;
    // Complete, or not at all; an error says what the adapter holds.
    let report = firewall.apply(change)?;
    println!("changed: {} commands", report.commands);
    Ok(())
}
