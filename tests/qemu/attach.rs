//! Attaches to an adapter, closes one address and opens it again, and prints what it found.
//!
//! ```text
//! cargo run --bin nicfw-model -- serve --socket /tmp/nic.sock      # an emulated adapter, in another terminal
//! cargo run --example attach -- vfio-user:/tmp/nic.sock
//! cargo run --example attach -- 0000:65:00.0                      # a function that is bound to vfio-pci
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::nic::AttachOptions;
use nicfw::{Action, Adapter, RuleKey, TableOp};

/// Rules that are written to see how long one takes.
const RULES: u8 = 100;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("which adapter? a PCI address, or vfio-user:PATH");
        return ExitCode::FAILURE;
    };
    match attach(&name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprint!("{e}");
            let mut error: &dyn Error = &*e;
            while let Some(cause) = error.source() {
                eprint!(": {cause}");
                error = cause;
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn attach(name: &str) -> Result<(), Box<dyn Error>> {
    let Ok(locator) = name.parse::<Locator>();
    let device = locator.open()?;
    let vectors = device.interrupts(4)?.len();
    let mut adapter = Adapter::from_device(device, Arc::new(SystemClock::new()), AttachOptions::default())?;
    println!("{}, {vectors} interrupt vectors connected", adapter.info());
    let rule = |last, action| TableOp::SetRule {
        key: RuleKey { local_ip: Some([192, 0, 2, last].into()), ..RuleKey::default() },
        rx: action,
        tx: action,
        counter: None,
    };
    let start = Instant::now();
    for action in [Action::Deny { sample: false }, Action::None] {
        for last in 0..RULES {
            adapter.execute(&rule(last, action))?;
        }
    }
    println!("{} rules written and removed in {:?}", RULES, start.elapsed());
    adapter.detach()?;
    println!("detached");
    Ok(())
}
