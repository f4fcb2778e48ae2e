//! Options of the commands that look at an adapter or change it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nicfw::device::Locator;
use nicfw::terms::MacAddr;

use super::common::{Output, text, time};

/// An adapter and its journal.
#[derive(Debug, Args)]
pub struct Device {
    /// Function to drive the adapter by: a PCI address, its folder in sysfs, fd:N, or vfio-user:PATH
    #[arg(long, value_name = "FUNCTION")]
    pub device: Locator,
    #[command(flatten)]
    pub journal: JournalFile,
}

/// Where an adapter's changes are written down.
#[derive(Debug, Args)]
pub struct JournalFile {
    /// Journal of the adapter; without it one in /var/lib/nicfw, by the adapter's MAC
    #[arg(long, value_name = "FILE", env = "NICFW_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// File with the key of a keyed journal
    #[arg(long, value_name = "FILE", env = "NICFW_JOURNAL_KEY")]
    pub key: Option<PathBuf>,
}

/// Who changes an adapter, and why.
#[derive(Debug, Args)]
pub struct Cause {
    /// Why the adapter is changed
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub reason: String,
    /// Ticket of the change
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub ticket: Option<String>,
    /// Who approved it
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub approval: Option<String>,
    /// Who changes it; without it the user that runs the program
    #[arg(long, value_name = "NAME", value_parser = text)]
    pub who: Option<String>,
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// Policy file
    pub file: PathBuf,
    /// Function to drive the adapter by: a PCI address, its folder in sysfs, fd:N, or vfio-user:PATH
    #[arg(long, value_name = "FUNCTION", requires = "reason")]
    pub device: Option<Locator>,
    #[command(flatten)]
    pub journal: JournalFile,
    /// Why the adapter is changed
    #[arg(long, value_name = "TEXT", requires = "device", value_parser = text)]
    pub reason: Option<String>,
    /// Ticket of the change
    #[arg(long, value_name = "TEXT", requires = "device", value_parser = text)]
    pub ticket: Option<String>,
    /// Who approved it
    #[arg(long, value_name = "TEXT", requires = "device", value_parser = text)]
    pub approval: Option<String>,
    /// Who changes it; without it the user that runs the program
    #[arg(long, value_name = "NAME", requires = "device", value_parser = text)]
    pub who: Option<String>,
    /// Take over an adapter whose rules are not known: an outage of the whole adapter while the policy is loaded
    #[arg(long, requires = "device")]
    pub adopt: bool,
    /// Wait for `nicfw confirm`, and take the change back after this time, as 60s
    #[arg(long, value_name = "TIME", requires = "device", conflicts_with = "adopt", value_parser = time)]
    pub confirm_within: Option<Duration>,
    /// Change to the rules-engine firmware if another variant runs: that disturbs every function of the adapter
    #[arg(long, requires = "device")]
    pub switch_firmware: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `confirm`.
#[derive(Debug, Args)]
pub struct Confirm {
    #[command(flatten)]
    pub at: Device,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub at: Device,
    /// Number of the change whose content comes back, as `nicfw journal` shows it
    #[arg(long, value_name = "CHANGE")]
    pub to: u64,
    #[command(flatten)]
    pub cause: Cause,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `reserve`.
#[derive(Debug, Args)]
pub struct Reserve {
    /// Container
    #[arg(value_parser = text)]
    pub container: String,
    /// Its addresses
    #[arg(required = true)]
    pub ips: Vec<IpAddr>,
    /// Its MAC, if it alone has it
    #[arg(long)]
    pub mac: Option<MacAddr>,
    #[command(flatten)]
    pub at: Device,
    #[command(flatten)]
    pub cause: Cause,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `release`.
#[derive(Debug, Args)]
pub struct Release {
    /// Container
    #[arg(value_parser = text)]
    pub container: String,
    #[command(flatten)]
    pub at: Device,
    #[command(flatten)]
    pub cause: Cause,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `audit`.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub at: Device,
    /// Fingerprint that the adapter should have; without it the one that the journal says
    #[arg(long, value_name = "FINGERPRINT", value_parser = text, conflicts_with_all = ["repair", "every"])]
    pub expect: Option<String>,
    /// Load what the journal says if the adapter holds anything else, all its traffic blocked meanwhile
    #[arg(long, requires = "reason")]
    pub repair: bool,
    /// Why it is repaired
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub reason: Option<String>,
    /// Look again and again, so often, until something is found
    #[arg(long, value_name = "TIME", conflicts_with = "repair", value_parser = time)]
    pub every: Option<Duration>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `detach`.
#[derive(Debug, Args)]
pub struct Detach {
    /// Function to leave: a PCI address, its folder in sysfs, fd:N, or vfio-user:PATH
    #[arg(long, value_name = "FUNCTION")]
    pub device: Locator,
    #[command(flatten)]
    pub journal: JournalFile,
    /// What the adapter does afterwards
    #[arg(long, value_enum)]
    pub leave: Leave,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub reason: String,
    #[command(flatten)]
    pub output: Output,
}

/// What a detached adapter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Leave {
    /// What it did before: its rules are not touched
    Rules,
    /// It drops all traffic until it is adopted, emptied or rebooted
    Blocked,
    /// It has no rules, and everything passes
    Empty,
}

/// Options of `info`.
#[derive(Debug, Args)]
pub struct Info {
    /// Function to attach to: a PCI address, its folder in sysfs, fd:N, or vfio-user:PATH; without it an emulated one
    #[arg(long, value_name = "FUNCTION")]
    pub device: Option<Locator>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// PCI address of one function, as 0000:65:00.0
    pub address: Option<String>,
    /// A folder that stands for the machine
    #[arg(long, hide = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}
