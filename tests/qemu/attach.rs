//! Attaches to an adapter, closes one address and opens it again, and prints what it found. With `--rule` it writes one rule
//! without asking first whether the function may: the firmware must refuse it to a function without the privilege.
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
use nicfw::error::MCDI_TIMEOUT;

use nicfw::adapter::AttachOptions;
use nicfw::adapter::rules::ops;
use nicfw::mcdi::Channel;
use nicfw::tables::Target;
use nicfw::{Action, Adapter, RuleKey, TableOp};

/// Rules that are written to see how long one takes.
const RULES: u8 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [name] => attach(name),
        [flag, name] if flag == "--rule" => write_rule(name),
        _ => Err("which adapter? a PCI address, or vfio-user:PATH".into()),
    };
    match outcome {
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
    let mut adapter = Adapter::from_device(locator.open()?, Arc::new(SystemClock::new()), AttachOptions::default())?;
    let completion = if adapter.has_interrupts() { "by interrupt" } else { "polled" };
    println!("{}, replies {completion}", adapter.info());
    let before = interrupts();
    let start = Instant::now();
    for action in [Action::Deny { sample: false }, Action::None] {
        for last in 0..RULES {
            adapter.execute(&rule(last, action))?;
        }
    }
    println!("{} rules written and removed in {:?}", RULES, start.elapsed());
    println!("{} interrupts by the kernel's count", interrupts().saturating_sub(before));
    adapter.detach()?;
    println!("detached");
    Ok(())
}

fn rule(last: u8, action: Action) -> TableOp {
    let key = RuleKey { local_ip: Some([192, 0, 2, last].into()), ..RuleKey::default() };
    TableOp::SetRule { key, rx: action, tx: action, counter: None }
}

/// One rule command, and nothing before it.
fn write_rule(name: &str) -> Result<(), Box<dyn Error>> {
    let Ok(locator) = name.parse::<Locator>();
    let device = locator.open()?;
    let mut channel = Channel::open(&*device, Arc::new(SystemClock::new()), MCDI_TIMEOUT)?;
    ops::execute(&mut channel, &Target::profile0(), &rule(1, Action::Deny { sample: false }))?;
    println!("a rule was written");
    Ok(())
}

/// Interrupts that the kernel's VFIO has passed on so far, on all processors.
fn interrupts() -> u64 {
    let table = std::fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let vectors = table.lines().filter(|line| line.contains("vfio-msix"));
    vectors.flat_map(|line| line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok())).sum()
}
