//! An adapter, a journal, a clock, and the processes that come and go: does in this process what people do with several.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nicfw::adapter::{Adapter, AttachOptions};
use nicfw::clock::{Clock, Timestamp, VirtualClock};
use nicfw::error::AdapterState;
use nicfw::firewall::{
    AdoptError, ApplyCause, ApplyError, AttachError, Firewall, Leave, LeaveError, PollError, Recovery, ReserveError,
    Session, Settings, WithdrawError,
};
use nicfw::journal::{self, Journal, JournalError, MemoryStore};
use nicfw::mcdi::wire::McErrno;
use nicfw::tables::Compiled;
use nicfw::terms::{MacAddr, Verdict};
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::sequences::documents::pool;
use nicfw_test_kit::sequences::foreign;
use nicfw_test_kit::sequences::machine::{self, Tally};
use nicfw_test_kit::sequences::oracle::{Oracle, Time, Trouble};
use nicfw_test_kit::sequences::probes::{ip, mac, passing, probes};
use nicfw_test_kit::sequences::step::{Foreign, Holds, Reason, Said, Step, Told, Wrong};

use crate::eye::{Eye, Fuse, Mortal, Scene};

pub struct World {
    pub model: Model,
    tally: Tally,
    clock: Arc<VirtualClock>,
    store: MemoryStore,
    fuse: Fuse,
    /// Bytes that are on the disk, of those that were not made durable, when the fuse has burnt down.
    torn: usize,
    scene: Rc<RefCell<Scene>>,
    session: Option<Session<Eye>>,
    copy: Option<Vec<u8>>,
    oracle: Oracle,
    compiled: &'static [Compiled],
    /// A call of the storage is to go wrong.
    store_waits: bool,
    /// A fault that reboots the management controller is under way.
    reboot_waits: bool,
}

fn compiled(adapter: &Adapter) -> &'static [Compiled] {
    static COMPILED: OnceLock<Vec<Compiled>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let mut out: Vec<Compiled> = Vec::new();
        for policy in pool() {
            let compiled = Compiled::new(&policy.document, adapter.target(), out.last()).expect("it fits");
            out.push(compiled);
        }
        out
    })
}

impl machine::World for World {
    fn new(seed: u64) -> Self {
        let functions = [1, 2].map(|last| MacAddr([2, 0, 0, 0, 0, last]));
        let [one, two] = functions;
        let mut config = ModelConfig::new(vec![FunctionConfig::admin(0, one), FunctionConfig::admin(1, two)]);
        config.engine.seed = seed;
        let model = Model::new(config);
        let clock = Arc::new(VirtualClock::new());
        let adapter = attach_function(&model, 0, &clock).expect("a fresh adapter");
        let compiled = compiled(&adapter);
        drop(adapter);
        let scene = Scene { model: model.clone(), may: !0, must: 0, broken: None, looks: 0 };
        let oracle = Oracle::new(passing(&model), clock.wall(), false);
        Self {
            model,
            tally: Tally::default(),
            clock,
            store: MemoryStore::new(),
            fuse: Fuse::default(),
            torn: 0,
            scene: Rc::new(RefCell::new(scene)),
            session: None,
            copy: None,
            oracle,
            compiled,
            store_waits: false,
            reboot_waits: false,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if step.needs_process() && self.session.is_none() {
            self.one(&Step::Start)?;
        }
        self.one(step)
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

impl World {
    fn time(&self) -> Time {
        Time { wall: self.clock.wall(), now: self.clock.now() }
    }

    fn one(&mut self, step: &Step) -> Result<(), String> {
        self.tally.steps += 1;
        let before = self.time();
        let armed = self.model.faults_waiting() > 0 || self.fuse.is_lit() || self.store_waits;
        // A command without an answer is waited for.
        let most = Duration::from_secs(if armed { 60 } else { 3 });
        let later = Time { wall: before.wall.after(most), now: before.now + most };
        let (may, must) = self.oracle.during(step, (before, later), self.reboot_waits);
        {
            let mut scene = self.scene.borrow_mut();
            // What closes where something goes wrong is told with it.
            (scene.may, scene.must) = (may, if armed { 0 } else { must });
        }
        let fired_before = self.store.fired();
        let said = self.act(step);
        let rebooted = self.reboot_waits && self.model.faults_waiting() == 0 && !matches!(step, Step::Arm { .. });
        if rebooted {
            self.reboot_waits = false;
        }
        let said = self.bury(said);
        let fired = self.store.fired() > fired_before;
        self.store_waits &= !fired;
        let armed = armed || fired;
        let trouble = Trouble { armed, rebooted };
        let after = self.time();
        let seen = passing(&self.model);
        match &said {
            Said::Done(_) => self.tally.done += 1,
            Said::Refused { .. } => self.tally.refused += 1,
            Said::Nothing | Said::Died => {}
        }
        let broken = self.scene.borrow_mut().broken.take();
        self.tally.looks = self.scene.borrow().looks;
        if std::env::var_os("NICFW_SEQUENCES_TELL").is_some() {
            println!("{step:?}: {said:?}");
        }
        let held = match broken {
            Some(broken) => Err(format!("{broken}\n  said: {said:?}")),
            None => self.oracle.after(step, &said, seen, (before, after), trouble),
        };
        held.map_err(|broken| format!("{step:?}\n  {broken}"))
    }

    /// A process whose fuse has burnt down heard nothing.
    fn bury(&mut self, said: Said) -> Said {
        if !self.fuse.is_dead() {
            return said;
        }
        self.tally.deaths_in_calls += 1;
        self.dies(self.torn);
        Said::Died
    }

    fn dies(&mut self, torn: usize) {
        self.tally.deaths += 1;
        self.fuse.blow();
        self.session = None;
        self.fuse = Fuse::default();
        self.store = self.store.after_crash(torn);
    }

    fn act(&mut self, step: &Step) -> Said {
        match step {
            Step::Start => self.start(),
            Step::Stop => {
                self.stop();
                Said::done()
            }
            Step::Crash { torn } => {
                self.dies(*torn);
                Said::done()
            }
            Step::Adopt { policy } => self.adopt(*policy),
            Step::Repair => self.repair(),
            Step::Leave { open } => self.leave(*open),
            Step::Explain { probe } => self.explain(*probe),
            Step::Pass { seconds } => {
                self.clock.advance(Duration::from_secs(u64::from(*seconds)));
                Said::done()
            }
            Step::SetClock { seconds } => {
                let date = self.clock.wall().0.saturating_add_signed(seconds.saturating_mul(1000));
                self.clock.set_wall(Timestamp(date));
                Said::done()
            }
            Step::Reboot => {
                self.model.reboot();
                Said::done()
            }
            Step::Foreign { what } => self.foreign(*what),
            Step::Copy if self.oracle.is_unsettled() => Said::Nothing,
            Step::Copy => {
                self.copy = Some(self.store.after_crash(0).bytes());
                Said::done()
            }
            Step::PutBack => match self.copy.clone() {
                Some(bytes) if !self.oracle.is_unsettled() => {
                    self.dies(0);
                    self.store = MemoryStore::with(bytes);
                    Said::done()
                }
                _ => Said::Nothing,
            },
            Step::Arm { wrong } => {
                self.arm(*wrong);
                Said::done()
            }
            step => match self.session.take() {
                None => Said::Nothing,
                Some(mut session) => {
                    let said = self.call(session.firewall_mut().expect("it runs"), step);
                    self.session = Some(session);
                    said
                }
            },
        }
    }

    fn arm(&mut self, wrong: Wrong) {
        let of_adapter = !matches!(wrong, Wrong::Death { .. } | Wrong::Store { .. });
        if of_adapter && self.model.faults_waiting() > 0 {
            // One at a time, so that it is known which one has happened.
            return;
        }
        let fault = |after: u32, kind| self.model.inject(Fault { cmd: None, after, kind });
        match wrong {
            Wrong::Death { call, after } => {
                self.torn = usize::try_from(call).unwrap_or_default() * 37 % 500;
                self.fuse.light(call, after);
            }
            Wrong::Store { call, how } => {
                let faults = [
                    journal::Fault::Fails(std::io::ErrorKind::StorageFull),
                    journal::Fault::FailsLate(std::io::ErrorKind::Other),
                    journal::Fault::Tears(usize::from(how)),
                ];
                self.store_waits = true;
                self.store.fail(call, faults[usize::from(how) % 3]);
            }
            Wrong::Refused { command } => fault(command, FaultKind::Error(McErrno::ENOSPC)),
            Wrong::Silent { command, effect } => fault(command, FaultKind::Hang { effect }),
            Wrong::Reboots { command, after } => {
                fault(command, if after { FaultKind::RebootAfter } else { FaultKind::RebootBefore });
                self.reboot_waits = true;
            }
        }
    }

    fn stop(&mut self) {
        if let Some(eye) = self.session.take().and_then(|mut session| session.close()) {
            // The rules stay, whether or not the adapter hears of it.
            let _ = eye.into_adapter().detach();
        }
    }

    fn open(&mut self) -> Result<Session<Eye>, Said> {
        self.stop();
        let adapter =
            attach_function(&self.model, 0, &self.clock).map_err(|e| Said::refused(Reason::Other, chain(&*e)))?;
        let name = adapter.info().identity();
        let eye = Eye::new(adapter, self.fuse.clone(), self.scene.clone());
        let store = Mortal { store: self.store.clone(), fuse: self.fuse.clone() };
        let journal =
            Journal::open(Box::new(store), &name, None).map_err(|e| Said::refused(Reason::Other, chain(&e)))?;
        Ok(Session::new(eye, journal, self.clock.clone(), Settings::default()))
    }

    fn start(&mut self) -> Said {
        let mut session = match self.open() {
            Ok(opened) => opened,
            Err(said) => return said,
        };
        match session.resume() {
            Ok(Recovery { rolled_back, .. }) => {
                self.session = Some(session);
                Said::Done(Told { rolled_back: Some(rolled_back.is_some()), ..Told::default() })
            }
            Err(error) => {
                let reason = match &error {
                    AttachError::New | AttachError::Left { .. } => Reason::Unknown,
                    AttachError::Foreign { .. } => Reason::Foreign,
                    error => reason(error),
                };
                Said::Refused { reason, state: Holds::Unchanged, text: chain(&error) }
            }
        }
    }

    fn adopt(&mut self, policy: usize) -> Said {
        let compiled = &self.compiled[policy];
        self.loaded(|session| session.adopt(compiled, journal::Reason::new("ann", "taken over")))
    }

    fn repair(&mut self) -> Said {
        self.loaded(|session| session.repair("put right"))
    }

    fn loaded(&mut self, load: impl FnOnce(&mut Session<Eye>) -> Result<(), AdoptError>) -> Said {
        let mut session = match self.open() {
            Ok(opened) => opened,
            Err(said) => return said,
        };
        match load(&mut session) {
            Ok(()) => {
                let change = session.journal().expect("it runs").status().change;
                self.session = Some(session);
                Said::Done(Told { change, ..Told::default() })
            }
            Err(error) => {
                let reason = match &error {
                    AdoptError::Unknown => Reason::Unknown,
                    error => reason(error),
                };
                Said::Refused { reason, state: Holds::Unchanged, text: chain(&error) }
            }
        }
    }

    fn leave(&mut self, open: bool) -> Said {
        let mut session = match self.open() {
            Ok(opened) => opened,
            Err(said) => return said,
        };
        match session.leave(if open { Leave::Empty } else { Leave::Blocked }, "it goes") {
            Ok(_) => Said::done(),
            Err(LeaveError::Command { source, .. }) => {
                Said::Refused { reason: Reason::Other, state: Holds::Unknown, text: chain(&source) }
            }
            Err(error) => Said::refused(Reason::Other, chain(&error)),
        }
    }

    /// Asks why a flow passes. It is about a policy, not about an adapter.
    fn explain(&self, probe: usize) -> Said {
        let (at, probe) = (probe % self.compiled.len(), probe % probes().len());
        let explained = self.compiled[at].explain(&probes()[probe].flow());
        let allowed = pool()[at].says >> probe & 1 == 1;
        let by_entry = explained.entry.and_then(|entry| entry.action.verdict());
        // Where no entry decides, nobody has bound the address.
        let by_entry = by_entry.unwrap_or(pool()[at].document.unbound) == Verdict::Allow;
        let told = explained.decision.verdict == Verdict::Allow;
        assert_eq!((told, by_entry), (allowed, allowed), "{}", explained.text);
        Said::done()
    }

    fn foreign(&mut self, what: Foreign) -> Said {
        if self.model.faults_waiting() > 0 || self.oracle.is_unsettled() {
            // It would meet what is arranged for somebody else.
            return Said::Nothing;
        }
        foreign::meddle(&self.model, what, self.clock.clone(), |policy, _| &self.compiled[policy])
    }

    fn call(&mut self, firewall: &mut Firewall<Eye>, step: &Step) -> Said {
        match step {
            Step::Apply { policy, confirm } => {
                let change = match firewall.plan(&self.compiled[*policy], journal::Reason::new("ann", "it is wanted")) {
                    Ok(change) => change,
                    Err(error) => return Said::refused(reason(&error), chain(&error)),
                };
                let closed = numbers(&change.closed_meanwhile);
                {
                    let mut scene = self.scene.borrow_mut();
                    let open = closed.iter().filter_map(|who| pool()[*policy].addresses(*who)).flatten();
                    let closed = open.fold(0, |mask, ip| mask | nicfw_test_kit::sequences::probes::of_ip(*ip));
                    scene.must &= !closed;
                    if !self.compiled.is_empty() && !change.closed_meanwhile.is_empty() {
                        scene.must = 0;
                    }
                }
                let change = match confirm {
                    Some(seconds) => change.confirm_within(Duration::from_secs(u64::from(*seconds))),
                    None => change,
                };
                ended(firewall.apply(change).map(Some))
            }
            Step::Rollback { back } => match self.oracle.change(*back) {
                Some(change) => ended(firewall.rollback(change, "it was better").map(Some)),
                None => Said::Nothing,
            },
            Step::Reserve { container, addresses, mac: own } => {
                let ips: Vec<_> = addresses.iter().map(|last| ip(*last)).collect();
                let own = own.then(|| mac(*container));
                match firewall.reserve(&name(*container), &ips, own, "it comes") {
                    Ok(report) => ended(Ok(Some(report))),
                    Err(ReserveError::Held { .. }) => Said::refused(Reason::Held, "held"),
                    Err(ReserveError::Unprotected { source, .. }) => match source.downcast::<ApplyError>() {
                        Ok(error) => ended(Err(*error)),
                        Err(error) => Said::refused(Reason::Other, chain(&*error)),
                    },
                    Err(error) => Said::refused(reason(&error), chain(&error)),
                }
            }
            Step::Release { container } => match firewall.release(&name(*container), "it is gone") {
                Ok(None) => Said::refused(Reason::Nothing, "nothing is kept"),
                other => ended(other),
            },
            Step::Withdraw => match firewall.withdraw_expired("its time is over") {
                Ok(report) => ended(Ok(report)),
                Err(WithdrawError::Apply(error)) => ended(Err(error)),
                Err(error) => Said::refused(reason(&error), chain(&error)),
            },
            Step::Confirm => match firewall.confirm() {
                Ok(change) => Said::Done(Told { change: None, idle: change == 0, ..Told::default() }),
                Err(error) => Said::refused(
                    match &error {
                        nicfw::firewall::ConfirmError::Nothing => Reason::Nothing,
                        nicfw::firewall::ConfirmError::Late { .. } => Reason::Late,
                        error => reason(error),
                    },
                    chain(&error),
                ),
            },
            Step::Audit => match firewall.audit() {
                Ok(audit) => Said::Done(Told {
                    sound: Some(audit.is_sound()),
                    waits: Some(audit.unconfirmed.is_some()),
                    cache_behind: Some(audit.cache_behind),
                    ..Told::default()
                }),
                Err(error) => Said::refused(Reason::Other, chain(&error)),
            },
            Step::Poll => match firewall.poll() {
                Ok(poll) => Said::Done(Told {
                    sound: Some(poll.audit.is_sound()),
                    rolled_back: Some(poll.rolled_back.is_some()),
                    ..Told::default()
                }),
                Err(PollError::Rollback { source, .. }) => ended(Err(*source)),
                Err(error) => Said::refused(reason(&error), chain(&error)),
            },
            Step::Commit => match firewall.commit_cache() {
                Ok(()) => Said::Done(Told { cache_behind: Some(false), ..Told::default() }),
                Err(error) => Said::refused(Reason::Other, chain(&error)),
            },
            Step::Recover => {
                let idle = !firewall.needs_recovery();
                match firewall.recover() {
                    Ok(_) => Said::Done(Told { idle, ..Told::default() }),
                    Err(error) => ended(Err(error)),
                }
            }
            Step::Counters => match firewall.counters() {
                Ok(_) => Said::done(),
                Err(error) => Said::refused(Reason::Other, chain(&error)),
            },
            _ => Said::Nothing,
        }
    }
}

fn attach_function(
    model: &Model,
    function: usize,
    clock: &Arc<VirtualClock>,
) -> Result<Adapter, Box<dyn Error + Send + Sync>> {
    Ok(Adapter::from_device(Box::new(model.function(function)), clock.clone(), AttachOptions::default())?)
}

fn name(container: u8) -> String {
    format!("shop-{container}")
}

/// Containers are `shop-N`.
fn numbers(names: &[String]) -> Vec<u8> {
    names.iter().filter_map(|name| name.strip_prefix("shop-")?.parse().ok()).collect()
}

/// An error with what caused it, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Why, as the sentences tell reasons apart: from the innermost cause on.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        if let Some(JournalError::ClockBack { .. }) = cause.downcast_ref() {
            return Reason::Clock;
        }
        match cause.downcast_ref() {
            Some(ApplyCause::Journal(JournalError::ClockBack { .. })) => return Reason::Clock,
            Some(ApplyCause::Unconfirmed { .. }) => return Reason::Waits,
            Some(ApplyCause::Foreign { .. }) => return Reason::Foreign,
            _ => {}
        }
    }
    Reason::Other
}

fn ended(result: Result<Option<nicfw::firewall::Report>, ApplyError>) -> Said {
    match result {
        Ok(Some(report)) => {
            Said::Done(Told { change: report.change, cache_behind: Some(report.cache_behind), ..Told::default() })
        }
        Ok(None) => Said::Done(Told { idle: true, ..Told::default() }),
        Err(error) => {
            let reason = match &error.cause {
                ApplyCause::Journal(JournalError::ClockBack { .. }) => Reason::Clock,
                ApplyCause::Unconfirmed { .. } => Reason::Waits,
                ApplyCause::Foreign { .. } => Reason::Foreign,
                _ => Reason::Other,
            };
            let state = match &error.state {
                AdapterState::Unchanged => Holds::Unchanged,
                AdapterState::Closed(who) => Holds::Closed(numbers(who)),
                AdapterState::Unknown => Holds::Unknown,
            };
            Said::Refused { reason, state, text: chain(&error) }
        }
    }
}
