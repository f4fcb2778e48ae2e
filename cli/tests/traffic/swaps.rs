//! Real traffic while the policy is swapped: iperf3 between network namespaces, through TAP devices and the emulated adapter,
//! and two policies that take each other's place a thousand times, by `Firewall::plan` and `apply` with a journal.
//!
//! By the adapter's own counting of judgements: what both policies allow loses no frame to the firewall, and of what both
//! deny none gets through. What one of them allows does both, so the swaps took effect. In the end the rules are dropped,
//! then everything is blocked: the counting sees such gaps.
//!
//! `NICFW_SWAPS` is the number of swaps. Exit code 0 only if all of it was so.

mod pump;
mod senders;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nicfw::Adapter;
use nicfw::adapter::{AttachOptions, Override};
use nicfw::clock::SystemClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::journal::{FileStore, Journal};
use nicfw::policy::Document;
use nicfw::tables::Compiled;
use nicfw_cli::machines::{Endpoint, Party, become_root_of_own};
use nicfw_model::tally::{FlowEnd, FlowId, Tallies, WatchedFlow};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use pump::{Pump, Taps};
use senders::{Listener, Program, Steady, sessions};

use Party::{Db, Host, Office, Shop, Stranger};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where iperf3 listens: both policies allow it.
const ALLOWED: u16 = 5201;
/// Both policies deny it; their port ranges end beside it.
const DENIED: u16 = 5202;
/// One allows that the sender sends it, the other that the receiver gets it.
const HALFWAY: u16 = 6001;
/// One of them allows it.
const SOMETIMES: u16 = 7001;

/// A frame in flight between two tables is there for less than this.
const SETTINGS: Settings = Settings::new(Duration::from_millis(1), Duration::from_secs(60));

/// In both, the same flows are allowed by other rules, other prefixes and other port ranges: no entry of one serves the other.
const ONE: &str = r#"nicfw: 1
unbound: allow
multicast: deny
owner: traffic
policies:
  web:
    - {allow: in, proto: tcp, local_ports: 5201, remote: 10.20.0.0/16}
    - {allow: out, proto: tcp, remote: 10.20.0.0/16, remote_ports: 5201}
    - {allow: in, proto: udp, local_ports: 7001, remote: 10.20.0.0/16}
    - {allow: out, proto: udp, remote: 10.30.1.18, remote_ports: 6001}
  db:
    - {allow: in, proto: tcp, local_ports: 5201, remote: 10.20.0.0/24}
    - {allow: in, proto: udp, local_ports: [80, 5201], remote: 10.20.0.0/15}
"#;

const OTHER: &str = r#"nicfw: 1
unbound: allow
multicast: deny
owner: traffic
policies:
  web:
    - {deny: in, proto: tcp, local_ports: 5201, remote: 10.20.0.128/25}
    - {allow: in, proto: tcp, local_ports: [443, 5100-5201], remote: [10.20.0.0/24, 10.40.0.0/16]}
    - {allow: out, proto: tcp, remote: 10.16.0.0/12, remote_ports: [5201, 8080]}
  db:
    - {allow: in, proto: any, local_ports: 5000-5201, remote: [10.20.0.0/28, 10.50.0.0/16]}
    - {allow: in, proto: udp, local_ports: 6001, remote: 10.30.1.17}
"#;

const BINDINGS: &str = r#"bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa}, policy: web}
  - {container: db-1, ip: 10.30.1.18, mac: "02:00:0a:1e:01:12", attach: {macvlan: vepa}, policy: db}
"#;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What becomes of a flow while the policies are swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Dropped,
    Both,
    /// The sender's side lets it go under one policy, the receiver's under the other: it never arrives.
    Halfway,
}

/// A flow that is watched.
struct Watched {
    title: &'static str,
    fate: Fate,
    /// Judgements that there must be, at least.
    least: u64,
    id: FlowId,
}

impl Watched {
    fn tallies(&self, model: &Model) -> Tallies {
        model.tallies(self.id).unwrap_or_default()
    }

    fn counts(&self, model: &Model) -> (u64, u64) {
        let Tallies { rx, tx } = self.tallies(model);
        (rx.passed + tx.passed, rx.dropped + tx.dropped)
    }

    /// As it should be, and enough to tell.
    fn is_fine(&self, model: &Model) -> bool {
        let (Tallies { rx, tx }, (passed, dropped)) = (self.tallies(model), self.counts(model));
        let as_it_should = match self.fate {
            Fate::Passes => dropped == 0,
            Fate::Dropped => passed == 0,
            Fate::Both => passed > 0 && dropped > 0,
            Fate::Halfway => rx.passed == 0 && rx.dropped > 0 && tx.passed > 0 && tx.dropped > 0,
        };
        as_it_should && passed + dropped >= self.least
    }
}

fn flows(model: &Model) -> Vec<Watched> {
    let end = |party: Party, port| FlowEnd { addr: party.v4().into(), port };
    let flow = |title, fate, least, proto, from, to, port| {
        let ends = [end(from, None), end(to, Some(port))];
        Watched { title, fate, least, id: model.watch(WatchedFlow { proto, ends }) }
    };
    vec![
        flow("iperf3 tcp, office to shop-1:5201", Fate::Passes, 10_000, TCP, Office, Shop, ALLOWED),
        flow("iperf3 tcp, shop-1 to office:5201", Fate::Passes, 10_000, TCP, Shop, Office, ALLOWED),
        flow("iperf3 udp, office to db-1:5201", Fate::Passes, 10_000, UDP, Office, Db, ALLOWED),
        flow("control connection of that", Fate::Passes, 10, TCP, Office, Db, ALLOWED),
        flow("udp, office to shop-1:5202", Fate::Dropped, 5_000, UDP, Office, Shop, DENIED),
        flow("udp, shop-1 to office:5202", Fate::Dropped, 5_000, UDP, Shop, Office, DENIED),
        flow("udp, office to db-1:5202", Fate::Dropped, 5_000, UDP, Office, Db, DENIED),
        flow("udp, stranger to db-1:5201", Fate::Dropped, 5_000, UDP, Stranger, Db, ALLOWED),
        flow("iperf3 tcp, office to shop-1:5202", Fate::Dropped, 2, TCP, Office, Shop, DENIED),
        flow("udp, shop-1 to db-1:6001", Fate::Halfway, 5_000, UDP, Shop, Db, HALFWAY),
        flow("udp, office to shop-1:7001", Fate::Both, 5_000, UDP, Office, Shop, SOMETIMES),
    ]
}

/// The machines, in namespaces of their own.
struct Machines(Vec<(Party, Arc<Endpoint>)>);

impl Machines {
    fn start() -> Result<Self> {
        become_root_of_own()?;
        let parties = [Office, Stranger, Shop, Db, Host];
        let start = |party| Ok((party, Arc::new(Endpoint::start(party)?)));
        Ok(Self(parties.into_iter().map(start).collect::<Result<_>>()?))
    }

    fn at(&self, party: Party) -> Arc<Endpoint> {
        let found = self.0.iter().find(|(one, _)| *one == party);
        Arc::clone(&found.expect("each party has a machine").1)
    }

    fn taps(&self) -> Taps {
        self.0.iter().map(|(party, machine)| (*party, machine.tap())).collect()
    }

    fn steady(&self, from: Party, to: Party, port: u16) -> Result<Steady> {
        Ok(Steady::start((&self.at(from), from), to, port)?)
    }
}

/// The firewall, and what it holds.
struct Swapping {
    firewall: Firewall<Adapter>,
    held: Compiled,
    /// The one that it does not hold.
    other: Document,
    swaps: u64,
    commands: usize,
}

impl Swapping {
    fn start(model: &Model, journal: &std::path::Path) -> Result<Self> {
        let clock = Arc::new(SystemClock::new());
        let adapter = Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default())?;
        let parse = |text: &str, name| Document::parse(&format!("{text}{BINDINGS}"), name);
        let (one, other) = (parse(ONE, "one.yaml")?, parse(OTHER, "other.yaml")?);
        let held = Compiled::new(&one, adapter.target(), None)?;
        let journal = Journal::open(Box::new(FileStore::open(journal)?), "1924:0a03 02:00:0a:1e:00:01", None)?;
        let adopt = Adopt::of(&held).journal(journal).why("the beginning");
        let firewall = Firewall::adopt(adapter, adopt, clock, SETTINGS).map_err(|refused| refused.error)?;
        Ok(Self { firewall, held, other, swaps: 0, commands: 0 })
    }

    fn swap(&mut self) -> Result<()> {
        let next = Compiled::new(&self.other, self.firewall.target(), Some(&self.held))?;
        let change = self.firewall.plan(&next, "the other one")?;
        let report = self.firewall.apply(change)?;
        if report.commands == 0 || !report.closed_meanwhile.is_empty() {
            return Err(format!("no swap as it should be: {report:?}").into());
        }
        self.other = std::mem::replace(&mut self.held, next).document().clone();
        self.swaps += 1;
        self.commands += report.commands;
        Ok(())
    }
}

/// Waits until something is so.
fn until(what: &str, so: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        if Instant::now() > deadline {
            return Err(format!("it does not come to that: {what}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn run(swaps: u64) -> Result<bool> {
    let machines = Machines::start()?;
    let dir = tempfile::tempdir()?;
    let functions = [Host, Shop, Db].into_iter().zip(0..).map(|(party, number)| match number {
        0 => FunctionConfig::admin(0, party.mac()),
        vf => FunctionConfig::container(0, vf - 1, party.mac()),
    });
    let model = Model::new(ModelConfig::new(functions.collect()));
    let mut swapping = Swapping::start(&model, &dir.path().join("nic.journal"))?;
    let flows = flows(&model);
    let pump = Pump::start(model.clone(), machines.taps());

    let silent = [
        Listener::start((&machines.at(Shop), Shop), DENIED)?,
        Listener::start((&machines.at(Office), Office), DENIED)?,
        Listener::start((&machines.at(Db), Db), HALFWAY)?,
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let session = |from, to: Party, more| {
        sessions(machines.at(from), (machines.at(to), to.v4()), ALLOWED, more, Arc::clone(&stop))
    };
    let iperf = [
        session(Office, Shop, &[]),
        session(Shop, Office, &[]),
        session(Office, Db, &["-u", "-b", "30M", "-l", "1200"]),
    ];
    let steady = [
        machines.steady(Office, Shop, DENIED)?,
        machines.steady(Shop, Office, DENIED)?,
        machines.steady(Office, Db, DENIED)?,
        machines.steady(Stranger, Db, ALLOWED)?,
        machines.steady(Shop, Db, HALFWAY)?,
        machines.steady(Office, Shop, SOMETIMES)?,
    ];
    let denied = ["-c", "10.30.1.17", "-p", "5202", "--connect-timeout", "3000"];
    let denied = Program::start(&machines.at(Office), &denied)?;
    let moves = |flow: &Watched| flow.counts(&model).0 > 100 || flow.fate != Fate::Passes || flow.least < 100;
    until("all sessions move", || flows.iter().all(moves))?;

    let began = Instant::now();
    for _ in 0..swaps {
        swapping.swap()?;
    }
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut moved = Vec::new();
    for session in iperf {
        moved.push(session.join().map_err(|_| "a session panicked")??);
    }
    let connected = denied.ends().is_ok();

    println!(
        "{} swaps, {} commands, in {:.1} s; grace time {:?}",
        swapping.swaps,
        swapping.commands,
        took.as_secs_f64(),
        SETTINGS.grace
    );
    println!("{:36}{:>10}{:>10}{:>10}{:>10}", "judgements", "rx passed", "tx passed", "rx drop", "tx drop");
    for flow in &flows {
        let Tallies { rx, tx } = flow.tallies(&model);
        let wrong = if flow.is_fine(&model) { "" } else { "  WRONG" };
        println!("{:36}{:>10}{:>10}{:>10}{:>10}{wrong}", flow.title, rx.passed, tx.passed, rx.dropped, tx.dropped);
    }
    for (title, moved) in ["tcp, office to shop-1", "tcp, shop-1 to office", "udp, office to db-1"].iter().zip(&moved) {
        let [there, back] = moved.mbits();
        println!(
            "iperf3 {title}: {there:.0} and {back:.0} Mbit/s, {} sessions, {} given up by iperf3",
            moved.sessions, moved.given_up
        );
    }
    let came: u64 = silent.iter().map(Listener::came).sum();
    let sent: u64 = steady.iter().map(Steady::sent).sum();
    println!(
        "{sent} datagrams sent by sockets, {came} of the denied arrived; iperf3 to the denied port connected: {connected}"
    );
    let fine = flows.iter().all(|flow| flow.is_fine(&model)) && came == 0 && !connected;

    // The counting sees a gap where there is one.
    let count = |title: &str| flows.iter().find(|flow| flow.title == title).map(|flow| flow.counts(&model));
    swapping.firewall.engine().reset_rules()?;
    until("without rules the denied passes", || {
        count("udp, office to shop-1:5202").is_some_and(|(passed, _)| passed > 0)
    })?;
    swapping.firewall.engine().set_override(Override::Block)?;
    let _late = machines.steady(Office, Db, ALLOWED)?;
    until("while all is blocked the allowed is dropped", || {
        count("iperf3 udp, office to db-1:5201").is_some_and(|(_, dropped)| dropped > 0)
    })?;
    drop(pump);
    Ok(fine)
}

fn main() -> ExitCode {
    let swaps = std::env::var("NICFW_SWAPS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    match run(swaps) {
        Ok(true) => {
            println!("PASS: no frame of what both policies allow was dropped, none of what both deny got through");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("FAIL");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("traffic: {error}");
            ExitCode::FAILURE
        }
    }
}
