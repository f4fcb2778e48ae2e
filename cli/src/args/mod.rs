//! The command line.

mod common;
mod device;
mod import;
mod journal;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nicfw::policy::Date;

pub use self::common::Output;
use self::common::text;
pub use self::device::*;
pub use self::import::*;
pub use self::journal::*;

const EXIT_CODES: &str = "\
Exit codes: 0 done or same, 1 usage or input/output, 2 differs or newly allowed, 3 does not fit or cannot be expressed, \
4 drift, 5 put right (audit: something had been left half done, and is not any more).";

const FLOW_HELP: &str = "\
A flow is one packet, in words: what it is, SOURCE > DESTINATION, and options.

    tcp 10.20.3.4:51000 > 10.30.1.17:443
    udp [2001:db8::4]:40000 > [2001:db8::17]:53 in vlan=100
    tcp 10.20.3.4 > 10.30.1.17 fragment
    arp 02:00:0a:1e:01:11 > ff:ff:ff:ff:ff:ff out

Options: in, out, fragment (not the first), src-mac=, dst-mac=, vlan=, inner-vlan=, physical-port=. Without in or out the
side of a bound address judges; between two bindings both do.
";

const APPLY_HELP: &str = "\
Without --device the adapter is a fresh emulated one, and its tables are read back.

The tables of a card cannot be read back. What it holds is known from the journal; then the policy is changed while traffic
goes on. Where the journal knows nothing of it, --adopt takes the card over: all its traffic is blocked, its rules are
dropped, the policy is loaded, and then the rules decide. They stay when the program ends.

    nicfw apply web.yaml --device 0000:65:00.0 --adopt --reason 'new host'
    nicfw apply web.yaml --device 0000:65:00.0 --reason 'shop front' --ticket CHG-1042 --confirm-within 60s

With --confirm-within the program waits, and takes the change back unless `nicfw confirm` comes in time. Exit code 0 if it
came, 2 if the change was taken back; what is said then is about the policy in force.
";

const CHECK_HELP: &str = "\
--canonical prints the policy as it was understood: every default said, sets as short as they can be, one rule a line,
without comments. Files that mean the same have the same canonical form, whoever wrote them.

    nicfw check web.yaml --canonical > web.canonical.yaml
";

const IMPORT_HELP: &str = "\
The policy goes to standard output, what it does not say to standard error, line by line. An allow that cannot be said is
left out, a deny that cannot be said denies more; exit code 3 if there is any such line, or if there is no policy.

    iptables-save > rules.v4
    nicfw import --format iptables rules.v4 --container shop-1 --ip 10.30.1.17 --mac 02:00:0a:1e:01:11 > shop-1.yaml

What an older version imported too openly is found with --again: the file is imported once more, with the same --view,
--uplink, --domain and --accept-stateless, and what the policy admits beyond that is printed; exit code 2 if there is any.

    nicfw import --format iptables --again shop-1.yaml rules.v4
";

const LINT_HELP: &str = "\
Exit codes: 0 nothing was found, 2 something was, 1 usage or input/output. What can be found:

    never-matches      a rule that decides nothing, and what decides instead
    duplicate          a rule that says the same as an earlier one
    could-be-one       neighbours of one origin that one rule could replace
    replies-open-much  a rule whose replies leave more than 2^32 pairs of address and port open
    no-reason          a rule without a reason
    expired            a rule or binding whose until has passed
    no-path-mtu        a policy that lets tcp out and no icmp in
    unused-policy      a policy that no binding uses
    unused-group       a group that no rule names
    idle-exception     an exception that takes nothing away
    unseen-protocol    a protocol that no frame of the rule's addresses shows
    dead-deny          a deny behind an allow whose replies are let through first
    too-large          a document that is too large for never-matches, could-be-one, replies-open-much, no-path-mtu and
                       dead-deny
";

const JOURNAL_HELP: &str = "\
The journal of an adapter has every change with who asked for it and why. Moments are `now`, the number of a record, or a
date as 2026-11-23T08:30:00Z.

    nicfw journal FILE history shop-1
    nicfw journal FILE history --rule web.yaml:12
    nicfw journal FILE entry 10.30.1.17 tcp --at 2026-11-23T08:30:00Z
    nicfw journal FILE export --anchor > elsewhere/head
    nicfw journal FILE verify --anchor \"$(cat elsewhere/head)\"

Whoever keeps the head of a journal elsewhere can tell later whether its history was rewritten: verify exits with 4 then,
as it does when the journal is damaged.
";

/// Container firewalls in the adapter.
#[derive(Debug, Parser)]
#[command(name = "nicfw", version, after_help = EXIT_CODES, arg_required_else_help = false)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. Where a command needs an adapter and is told none, it is a fresh emulated one.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the firewall at work: containers and peers with real traffic through the emulated adapter
    Demo(Demo),
    /// Checks a policy file, and whether it fits the adapter's tables
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Loads a policy file into an adapter
    #[command(after_help = APPLY_HELP)]
    Apply(Apply),
    /// Prints the tables that a policy file becomes, entry by entry with its origin
    Show(OneFile),
    /// Says what becomes of a flow, by which rule and which entry
    #[command(after_help = FLOW_HELP)]
    Explain(Explain),
    /// Lists the flows that a second policy file newly allows and newly denies
    Diff(Diff),
    /// Finds rules that are useless, or that open more than they seem to
    #[command(after_help = LINT_HELP)]
    Lint(Lint),
    /// Says what a policy file costs, who uses how much of each table, and which commands a change to it takes
    Plan(Plan),
    /// Judges every frame of a capture
    Replay(Replay),
    /// Plays a capture through the emulated adapter and prints what its counters counted
    Counters(Replay),
    /// Describes an adapter
    Info(Info),
    /// Lets a change stay that waits for it
    Confirm(Confirm),
    /// Brings back what an adapter held after an earlier change
    Rollback(Rollback),
    /// Closes the addresses of a container before it starts
    Reserve(Reserve),
    /// Takes the closed addresses of a container that is gone
    Release(Release),
    /// Says whether an adapter still holds what it should, and what cannot be known
    Audit(Audit),
    /// Asks the journal of an adapter: what changed, who asked for it, and whether the journal is what was written
    #[command(after_help = JOURNAL_HELP)]
    Journal(Journal),
    /// Leaves an adapter: with its rules, blocked, or empty
    Detach(Detach),
    /// Says which adapters this machine has and whether nicfw can use them; only reads
    Doctor(Doctor),
    /// Turns rules of another firewall into a policy file, and lists what it cannot say
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Also run with frames in memory and with shuffled lookup orders
    #[arg(long)]
    pub all: bool,
    /// Keep the namespaces for looking around, until Enter
    #[arg(long, conflicts_with = "in_process")]
    pub keep: bool,
    /// Make the frames in memory, without namespaces and TAP devices
    #[arg(long)]
    pub in_process: bool,
    /// Drive the adapter over a vfio-user socket, as one in another process
    #[arg(long, hide = true, requires = "in_process")]
    pub over_socket: bool,
    /// Expect the opposite of one flow, by its number: the demo must fail
    #[arg(long, hide = true, value_name = "FLOW")]
    pub contradict: Option<usize>,
    #[command(flatten)]
    pub output: Output,
}

/// A policy file.
#[derive(Debug, Args)]
pub struct OneFile {
    /// Policy file
    pub file: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Policy file
    pub file: PathBuf,
    /// Print the policy in its canonical form instead, if it is sound and fits
    #[arg(long, conflicts_with = "json")]
    pub canonical: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Policy file
    pub file: PathBuf,
    /// The flow, one or more words
    #[arg(required = true, num_args = 1..)]
    pub flow: Vec<String>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Policy file before
    pub before: PathBuf,
    /// Policy file after
    pub after: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Policy file
    pub file: PathBuf,
    /// Day by which rules have expired, as 2026-11-23; without it the day of today, in UTC
    #[arg(long, value_name = "DATE")]
    pub today: Option<Date>,
    #[command(flatten)]
    pub output: Output,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Policy file
    pub file: PathBuf,
    /// Policy file that the adapter holds; without it the adapter is empty
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Whose shares of the tables to list
    #[arg(long, value_enum, default_value_t = By::Policy)]
    pub by: By,
    /// Say how many more bindings like this container's fit: the same policy, addresses and a MAC of their own
    #[arg(long, value_name = "CONTAINER", value_parser = text)]
    pub how_many_more: Option<String>,
    /// Estimate the time of the change if the firmware takes so long for a command, as 50us
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub latency: Option<Duration>,
    #[command(flatten)]
    pub output: Output,
}

/// Whose shares of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Those of the policies
    Policy,
    /// Those of the bindings, by container
    Binding,
}

/// A policy file and a capture.
#[derive(Debug, Args)]
pub struct Replay {
    /// Policy file
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Capture (pcap or pcapng, packed by gzip or not; Ethernet, Linux cooked, loopback or raw IP)
    #[arg(long, value_name = "FILE")]
    pub pcap: PathBuf,
    #[command(flatten)]
    pub output: Output,
}
