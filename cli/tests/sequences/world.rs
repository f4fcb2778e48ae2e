//! An adapter behind a socket, a journal in a file, and the program, started for each call.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nicfw::clock::{SystemClock, VirtualClock};
use nicfw::mcdi::wire::McErrno;
use nicfw::tables::Compiled;
use nicfw::terms::MacAddr;
use nicfw_model::FunctionConfig;
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_test_kit::sequences::documents::pool;
use nicfw_test_kit::sequences::foreign;
use nicfw_test_kit::sequences::machine::{self, Tally};
use nicfw_test_kit::sequences::oracle::{Oracle, Trouble};
use nicfw_test_kit::sequences::probes::{passing, probes};
use nicfw_test_kit::sequences::step::{Foreign, Holds, Reason, Said, Step, Told, Wrong};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::Ran;
use crate::served::Served;
use crate::shifted::Shifted;

/// Longer than anything that is waited for takes.
const LONG: Duration = Duration::from_secs(60);

pub struct World {
    served: Served,
    clock: Shifted,
    tally: Tally,
    oracle: Oracle,
    /// The program that waits for a confirmation.
    waits: Option<Child>,
    copy: Option<PathBuf>,
    /// A command that gets no answer is under way: whoever sends it is killed.
    kills: bool,
    reboots: bool,
}

/// The policies as files.
fn file(policy: usize) -> PathBuf {
    use std::sync::OnceLock;
    static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let write = |(at, policy): (usize, &nicfw_test_kit::sequences::documents::Policy)| {
            let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sequences-{at}.yaml"));
            fs::write(&path, &policy.text).expect("it can be written");
            path
        };
        pool().iter().enumerate().map(write).collect()
    });
    files[policy].clone()
}

impl machine::World for World {
    fn new(_seed: u64) -> Self {
        let served = Served::of(|config| config.functions.push(FunctionConfig::admin(1, MacAddr([2, 0, 0, 0, 0, 2]))));
        let clock = Shifted::new(served.journal().with_extension("clock"));
        // A day of its own, so that what ends with a date ends in a walk as it does elsewhere.
        let mut clock = clock;
        let start = i64::try_from(VirtualClock::START.0 / 1000).expect("a date");
        clock.set(start - i64::try_from(clock.time().wall.0 / 1000).expect("a date"));
        let oracle = Oracle::new(passing(&served.model), clock.time().wall, true);
        Self { served, clock, tally: Tally::default(), oracle, waits: None, copy: None, kills: false, reboots: false }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.went_by_itself()?;
        let step = match step {
            Step::Start | Step::Poll => &Step::Audit,
            Step::Commit | Step::Withdraw | Step::Recover | Step::Counters => return Ok(()),
            step => step,
        };
        self.observed(step, |world| world.act(step))?;
        // Nothing goes back in an adapter that somebody else has changed.
        let due = self.oracle.overdue(self.clock.time()) && !self.oracle.is_amiss();
        if due && matches!(step, Step::Pass { .. } | Step::SetClock { .. }) {
            let until = Instant::now() + LONG;
            while self.waits.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
                if Instant::now() > until {
                    return Err("K2: nobody confirmed, and the program that waits goes on waiting".into());
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        self.went_by_itself()
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

impl World {
    /// The program that waited has ended: its time was over.
    fn went_by_itself(&mut self) -> Result<(), String> {
        let Some(child) = &mut self.waits else { return Ok(()) };
        if matches!(child.try_wait(), Ok(None)) {
            return Ok(());
        }
        let ran = self.waits.take().map(|child| Ran::from(child.wait_with_output().expect("it has ended")));
        let code = ran.map_or(0, |ran| ran.code);
        if code != 2 && self.oracle.is_amiss() {
            // It could not go on, and the next one will.
            return self.observed(&Step::Crash { torn: 0 }, |_| Said::done());
        }
        if code != 2 {
            return Err(format!("K7: the program that waited ended with {code}"));
        }
        let told = Told { rolled_back: Some(true), sound: Some(true), ..Told::default() };
        self.observed(&Step::Poll, |_| Said::Done(told))
    }

    fn observed(&mut self, step: &Step, act: impl FnOnce(&mut Self) -> Said) -> Result<(), String> {
        let before = self.clock.time();
        let armed = self.served.model.faults_waiting() > 0;
        let said = act(self);
        let fired = self.served.model.faults_waiting() == 0;
        let rebooted = self.reboots && fired;
        if fired {
            (self.reboots, self.kills) = (false, false);
        }
        let (after, seen) = (self.clock.time(), passing(&self.served.model));
        self.tally.looks += 1;
        match &said {
            Said::Done(_) => self.tally.done += 1,
            Said::Refused { .. } => self.tally.refused += 1,
            Said::Nothing | Said::Died => {}
        }
        if std::env::var_os("NICFW_SEQUENCES_TELL").is_some() {
            println!("{step:?}: {said:?}");
        }
        let busy = matches!(said, Said::Refused { reason: Reason::Busy, .. } | Said::Nothing);
        if step.needs_process() && !matches!(step, Step::Confirm | Step::Poll) && !busy && self.waits.is_some() {
            // Whoever waited has just ended, or nobody else could have the adapter.
            if let Some(mut child) = self.waits.take_if(|_| !matches!(step, Step::Apply { confirm: Some(_), .. })) {
                child.wait().expect("it ends");
                self.oracle.dies();
            }
        }
        let held = self.oracle.after(step, &said, seen, (before, after), Trouble { armed, rebooted });
        held.map_err(|broken| format!("{step:?}\n  {broken}"))
    }

    fn act(&mut self, step: &Step) -> Said {
        let text = |policy: usize| file(policy).display().to_string();
        let why = ["--reason", "it is wanted"];
        match step {
            Step::Adopt { policy } => self.changed(&["apply", &text(*policy), "--adopt"], &why),
            Step::Apply { policy, confirm: None } => self.changed(&["apply", &text(*policy)], &why),
            Step::Apply { policy, confirm: Some(seconds) } => self.apply_and_wait(&text(*policy), *seconds),
            Step::Rollback { back } => match self.oracle.change(*back) {
                Some(change) => self.changed(&["rollback", "--to", &change.to_string()], &why),
                None => Said::Nothing,
            },
            Step::Reserve { container, addresses, mac } => {
                let ips: Vec<String> = addresses.iter().map(|last| format!("10.30.1.{last}")).collect();
                let own = format!("02:00:0a:1e:01:{container:02x}");
                let name = format!("shop-{container}");
                let mut words = vec!["reserve", &name];
                words.extend(ips.iter().map(String::as_str));
                if *mac {
                    words.extend(["--mac", &own]);
                }
                self.changed(&words, &why)
            }
            Step::Release { container } => self.changed(&["release", &format!("shop-{container}")], &why),
            Step::Confirm => self.confirm(),
            Step::Audit => self.audit(&["audit"]),
            Step::Repair => self.audit(&["audit", "--repair", "--reason", "put right"]),
            Step::Leave { open } => {
                if self.waits.is_some() {
                    return Said::Nothing;
                }
                let how = if *open { "empty" } else { "blocked" };
                self.changed(&["detach", "--leave", how], &why)
            }
            Step::Stop => match self.waits.take() {
                None => Said::Nothing,
                Some(child) => {
                    signal(&child, Signal::TERM);
                    let ran = Ran::from(child.wait_with_output().expect("it ends"));
                    if ran.code != 2 && self.oracle.is_amiss() {
                        // It cannot take anything back, and the next one will.
                        return Said::done();
                    }
                    assert_eq!(ran.code, 2, "{}", ran.stderr);
                    Said::Done(Told { rolled_back: Some(true), ..Told::default() })
                }
            },
            Step::Crash { .. } => match self.waits.take() {
                None => Said::Nothing,
                Some(mut child) => {
                    child.kill().expect("it runs");
                    child.wait().expect("it has ended");
                    self.tally.deaths += 1;
                    Said::done()
                }
            },
            Step::Explain { probe } => self.explain(*probe),
            Step::Pass { seconds } => {
                self.clock.pass(i64::from(*seconds));
                Said::done()
            }
            Step::SetClock { seconds } => {
                self.clock.set(*seconds);
                Said::done()
            }
            Step::Reboot => {
                self.served.model.reboot();
                Said::done()
            }
            Step::Foreign { what } => self.foreign(*what),
            Step::Copy => self.copy(),
            Step::PutBack => self.put_back(),
            Step::Arm { wrong } => self.arm(*wrong),
            _ => Said::Nothing,
        }
    }

    fn arm(&mut self, wrong: Wrong) -> Said {
        let (after, kind) = match wrong {
            Wrong::Death { call, after } => (u32::try_from(call).expect("few"), FaultKind::Hang { effect: after }),
            Wrong::Silent { command, effect } => (command, FaultKind::Hang { effect }),
            Wrong::Refused { command } => (command, FaultKind::Error(McErrno::ENOSPC)),
            Wrong::Reboots { command, after: true } => (command, FaultKind::RebootAfter),
            Wrong::Reboots { command, after: false } => (command, FaultKind::RebootBefore),
            Wrong::Store { .. } => return Said::Nothing,
        };
        // One at a time, so that it is known which one has happened; and nobody who waits is killed by it.
        if self.served.model.faults_waiting() > 0 || self.waits.is_some() {
            return Said::Nothing;
        }
        self.kills = matches!(kind, FaultKind::Hang { .. });
        self.reboots = matches!(kind, FaultKind::RebootAfter | FaultKind::RebootBefore);
        self.served.model.inject(Fault { cmd: None, after, kind });
        Said::done()
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut program = self.served.program(words);
        self.clock.shown(&mut program);
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    /// Runs the program; `None` if it was killed in a call.
    fn run(&mut self, words: &[&str]) -> Option<Ran> {
        self.tally.steps += 1;
        let mut child = self.program(words).spawn().expect("the program starts");
        while self.kills && matches!(child.try_wait(), Ok(None)) {
            if self.served.model.faults_waiting() == 0 {
                child.kill().expect("nobody has waited for it");
                child.wait().expect("it has ended");
                self.tally.deaths += 1;
                self.tally.deaths_in_calls += 1;
                return None;
            }
            thread::yield_now();
        }
        Some(Ran::from(child.wait_with_output().expect("it ends")))
    }

    fn changed(&mut self, words: &[&str], why: &[&str]) -> Said {
        let Some(ran) = self.run(&[words, why, &["--json"]].concat()) else { return Said::Died };
        if ran.code != 0 {
            return refused(&ran);
        }
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout));
        Said::Done(Told { change: report["change"].as_u64(), ..Told::default() })
    }

    fn apply_and_wait(&mut self, file: &str, seconds: u32) -> Said {
        self.tally.steps += 1;
        let time = format!("{seconds}s");
        let mut words = vec!["apply", file, "--reason", "to try", "--json"];
        words.extend(["--confirm-within", &time]);
        // A program that was killed has left its bell.
        let (left, until) = (self.bell(), Instant::now() + LONG);
        let mut child = self.program(&words).spawn().expect("the program starts");
        loop {
            if self.kills && self.served.model.faults_waiting() == 0 {
                child.kill().expect("nobody has waited for it");
                child.wait().expect("it has ended");
                self.tally.deaths += 1;
                self.tally.deaths_in_calls += 1;
                return Said::Died;
            }
            if !matches!(child.try_wait(), Ok(None)) {
                let ran = Ran::from(child.wait_with_output().expect("it has ended"));
                return if ran.code == 0 { Said::done() } else { refused(&ran) };
            }
            if self.bell().is_some_and(|bell| Some(bell) != left) {
                self.waits = Some(child);
                return Said::done();
            }
            assert!(Instant::now() < until, "it neither waits nor ends");
            thread::yield_now();
        }
    }

    /// The bell of a program that waits: which it is.
    fn bell(&self) -> Option<(u64, i64, i64)> {
        let bell = fs::metadata(self.served.journal().with_extension("journal.confirm")).ok()?;
        Some((bell.ino(), bell.mtime(), bell.mtime_nsec()))
    }

    fn confirm(&mut self) -> Said {
        let strange = self.served.model.faults_waiting() > 0 || self.oracle.is_amiss();
        let Some(ran) = self.run(&["confirm", "--json"]) else { return Said::Died };
        if ran.code != 0 {
            return refused(&ran);
        }
        if let Some(child) = self.waits.take() {
            let waited = Ran::from(child.wait_with_output().expect("it ends"));
            // What it reads of the adapter when all is done may go wrong.
            assert!(waited.code == 0 || strange, "it was confirmed: {}", waited.stderr);
        }
        Said::done()
    }

    fn audit(&mut self, words: &[&str]) -> Said {
        let Some(ran) = self.run(&[words, &["--json"]].concat()) else { return Said::Died };
        if ![0, 4, 5].contains(&ran.code) {
            return refused(&ran);
        }
        let report: Value = match serde_json::from_str(&ran.stdout) {
            Ok(report) => report,
            Err(_) => return refused(&ran),
        };
        let repaired = report["repaired"] == true;
        Said::Done(Told {
            sound: Some(ran.code != 4),
            put_right: (!repaired).then_some(ran.code == 5).filter(|_| ran.code != 4),
            ..Told::default()
        })
    }

    /// Asks the program why a flow passes.
    fn explain(&mut self, probe: usize) -> Said {
        let (at, probe) = (probe % pool().len(), probe % probes().len());
        let number = probes()[probe].container;
        let own = pool()[at].addresses(number).is_some_and(|ips| ips.contains(&number));
        let Some(words) = probes()[probe].words().filter(|_| own) else { return Said::Nothing };
        self.tally.steps += 1;
        let file = file(at).display().to_string();
        let ran = crate::common::nicfw(&["explain", &file, &words, "--json"]);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{words}: {}", ran.stderr));
        let allowed = pool()[at].says >> probe & 1 == 1;
        assert_eq!(report["verdict"], if allowed { "allow" } else { "deny" }, "{}: {words}", ran.stdout);
        Said::done()
    }

    fn foreign(&mut self, what: Foreign) -> Said {
        if self.served.model.faults_waiting() > 0 || self.oracle.is_unsettled() {
            // It would meet what is arranged for somebody else.
            return Said::Nothing;
        }
        foreign::meddle(&self.served.model, what, Arc::new(SystemClock::new()), |policy, target| {
            Compiled::new(&pool()[policy].document, target, None).expect("it fits")
        })
    }

    fn copy(&mut self) -> Said {
        let (journal, copy) = (self.served.journal(), self.served.journal().with_extension("copy"));
        if !journal.exists() || self.waits.is_some() || self.oracle.is_unsettled() {
            return Said::Nothing;
        }
        fs::copy(journal, &copy).expect("it can be copied");
        self.copy = Some(copy);
        Said::done()
    }

    /// On purpose: the head that was kept beside the journal goes.
    fn put_back(&mut self) -> Said {
        if self.waits.is_some() || self.oracle.is_unsettled() {
            return Said::Nothing;
        }
        let Some(copy) = &self.copy else { return Said::Nothing };
        fs::copy(copy, self.served.journal()).expect("it can be copied");
        let mut head = self.served.journal().into_os_string();
        head.push(".head");
        let _ = fs::remove_file(head);
        Said::done()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.waits.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, signal).expect("nobody has waited for it");
}

/// Why, by the words.
fn refused(ran: &Ran) -> Said {
    let text = format!("exit code {}: {}", ran.code, ran.stderr.trim());
    let has = |words: &str| text.contains(words);
    let reason = if has("process ") && has("has the adapter") || has("hung up") || has("another process") {
        Reason::Busy
    } else if has("no change waits") || has("nothing is kept") || has("nothing is reserved") {
        Reason::Nothing
    } else if has("the clock shows") {
        Reason::Clock
    } else if has("waits for confirmation") {
        Reason::Waits
    } else if has("is bound to") || has("is reserved for") || has("is held") {
        Reason::Held
    } else if has("had to be confirmed by") || has("was not confirmed in time") {
        Reason::Late
    } else if ran.code == 4 {
        Reason::Foreign
    } else if has("adopt it") || has("knows nothing of what") || has("has no record of what") {
        Reason::Unknown
    } else {
        Reason::Other
    };
    let state = if has("is unknown") { Holds::Unknown } else { closed(&text) };
    Said::Refused { reason, state, text }
}

fn closed(text: &str) -> Holds {
    let Some((_, names)) = text.split_once("closed until the next policy is applied: ") else {
        return Holds::Unchanged;
    };
    let names = names.split([',', ':', '\n']).map_while(|name| name.trim().strip_prefix("shop-")?.parse().ok());
    Holds::Closed(names.collect())
}
