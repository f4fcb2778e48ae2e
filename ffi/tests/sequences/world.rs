//! An adapter behind a socket pair, and a C program that calls the library.
#![expect(unsafe_code, reason = "calls the C functions as a C program does")]

use std::ffi::{CStr, CString, c_int};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nicfw::clock::{Clock, SystemClock};
use nicfw::mcdi::wire::McErrno;
use nicfw::tables::Compiled;
use nicfw::terms::MacAddr;
use nicfw_capi::adapter::{nicfw_adapter_close, nicfw_adapter_open};
use nicfw_capi::change::{
    nicfw_adapter_adopt, nicfw_adapter_apply, nicfw_adapter_audit, nicfw_adapter_commit_cache, nicfw_adapter_plan,
    nicfw_adapter_read_counters, nicfw_adapter_recover, nicfw_adapter_release, nicfw_adapter_reserve, nicfw_plan_free,
};
use nicfw_capi::compiled::{nicfw_adapter_compile, nicfw_compiled_explain, nicfw_compiled_free};
use nicfw_capi::list::nicfw_list_free;
use nicfw_capi::policy::{nicfw_policy_free, nicfw_policy_parse};
use nicfw_capi::{
    nicfw_adapter, nicfw_addr, nicfw_code, nicfw_compiled, nicfw_error, nicfw_leave, nicfw_list, nicfw_open_opts,
    nicfw_plan, nicfw_policy, nicfw_report, nicfw_state,
};
use nicfw_model::fault::{Fault, FaultKind};
use nicfw_model::serve::Session;
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use nicfw_test_kit::sequences::documents::pool;
use nicfw_test_kit::sequences::foreign;
use nicfw_test_kit::sequences::machine::{self, Tally};
use nicfw_test_kit::sequences::oracle::{Oracle, Time, Trouble};
use nicfw_test_kit::sequences::probes::{passing, probes};
use nicfw_test_kit::sequences::step::{Foreign, Holds, Reason, Said, Step, Told, Wrong};

/// A handle that is open, and what serves it.
struct Open {
    adapter: *mut nicfw_adapter,
    stream: UnixStream,
    server: JoinHandle<()>,
    adopted: bool,
}

pub struct World {
    model: Model,
    tally: Tally,
    oracle: Oracle,
    open: Option<Open>,
    error: Box<nicfw_error>,
    start: Instant,
    reboots: bool,
}

impl machine::World for World {
    fn new(seed: u64) -> Self {
        let functions = [1, 2].map(|last| MacAddr([2, 0, 0, 0, 0, last]));
        let [one, two] = functions;
        let mut config = ModelConfig::new(vec![FunctionConfig::admin(0, one), FunctionConfig::admin(1, two)]);
        config.engine.seed = seed;
        let model = Model::new(config);
        // SAFETY: the structure is numbers and arrays of numbers.
        let mut error: Box<nicfw_error> = Box::new(unsafe { std::mem::zeroed() });
        error.size = size_of::<nicfw_error>();
        let oracle = Oracle::new(passing(&model), SystemClock::new().wall(), false);
        Self { model, tally: Tally::default(), oracle, open: None, error, start: Instant::now(), reboots: false }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let step = match step {
            Step::Apply { policy, .. } => Step::Apply { policy: *policy, confirm: None },
            // A handle that was opened anew knows nothing, so that there is nothing to go on with.
            Step::Start => Step::Stop,
            Step::Poll => Step::Audit,
            step => step.clone(),
        };
        if self.open.is_none() {
            // The journal ends with its handle.
            self.oracle.forgets();
        }
        let before = self.time();
        let armed = self.model.faults_waiting() > 0;
        let said = self.act(&step);
        let rebooted = self.reboots && self.model.faults_waiting() == 0;
        self.reboots &= !rebooted;
        let (after, seen) = (self.time(), passing(&self.model));
        self.tally.looks += 1;
        match &said {
            Said::Done(_) => self.tally.done += 1,
            Said::Refused { .. } => self.tally.refused += 1,
            Said::Nothing | Said::Died => {}
        }
        if std::env::var_os("NICFW_SEQUENCES_TELL").is_some() {
            println!("{step:?}: {said:?}");
        }
        let held = self.oracle.after(&step, &said, seen, (before, after), Trouble { armed, rebooted });
        if self.open.is_none() {
            self.oracle.forgets();
        }
        held.map_err(|broken| format!("{step:?}\n  {broken}"))
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

impl World {
    fn time(&self) -> Time {
        Time { wall: SystemClock::new().wall(), now: self.start.elapsed() }
    }

    fn act(&mut self, step: &Step) -> Said {
        match step {
            Step::Adopt { policy } => self.adopt(*policy),
            Step::Stop => self.close(nicfw_leave::NICFW_LEAVE_RULES),
            Step::Leave { open: true } => self.close(nicfw_leave::NICFW_LEAVE_EMPTY),
            Step::Leave { open: false } => self.close(nicfw_leave::NICFW_LEAVE_BLOCKED),
            Step::Crash { .. } => self.crash(),
            Step::Explain { probe } => self.explain(*probe),
            Step::Reboot => {
                self.model.reboot();
                Said::done()
            }
            Step::Foreign { what } => self.foreign(*what),
            Step::Arm { wrong } => self.arm(*wrong),
            Step::Pass { .. } | Step::SetClock { .. } | Step::Copy | Step::PutBack => Said::Nothing,
            _ => match self.open.as_ref().filter(|open| open.adopted).map(|open| open.adapter) {
                Some(adapter) => self.call(adapter, step),
                None => Said::Nothing,
            },
        }
    }

    fn open(&mut self) -> Option<*mut nicfw_adapter> {
        if let Some(open) = &self.open {
            return Some(open.adapter);
        }
        let (driver, other) = UnixStream::pair().expect("a socket pair");
        let (stream, model) = (other.try_clone().expect("a copy"), self.model.clone());
        let server = thread::spawn(move || {
            let mut function = model.endpoint(0);
            // How a session ends that the program ends is not the adapter's matter.
            let _ = Session::start(other, &mut function).and_then(|session| session.serve(&mut function));
        });
        let opts = nicfw_open_opts {
            size: size_of::<nicfw_open_opts>(),
            command_timeout_ms: 100,
            switch_firmware: 0,
            grace_us: 1,
            commit_every_ms: 1,
        };
        let place = CString::new(format!("fd:{}", driver.as_raw_fd())).expect("no zero in it");
        let mut adapter = ptr::null_mut();
        // SAFETY: the text ends with zero, the structures are there, and so is the place for the result.
        let code =
            unsafe { nicfw_adapter_open(place.as_ptr(), &raw const opts, &raw mut adapter, &raw mut *self.error) };
        if code != 0 {
            drop(driver);
            let _ = stream.shutdown(Shutdown::Both);
            server.join().expect("the adapter outlives whatever is done to it");
            return None;
        }
        self.open = Some(Open { adapter, stream, server, adopted: false });
        Some(adapter)
    }

    /// A compiled policy, for this adapter.
    fn compiled(&mut self, adapter: *mut nicfw_adapter, policy: usize) -> Option<*mut nicfw_compiled> {
        let text = CString::new(pool()[policy].text.clone()).expect("no zero in it");
        let (mut parsed, mut compiled): (*mut nicfw_policy, *mut nicfw_compiled) = (ptr::null_mut(), ptr::null_mut());
        let error = &raw mut *self.error;
        // SAFETY: texts end with zero, and the place for the result is there.
        let code = unsafe { nicfw_policy_parse(text.as_ptr(), c"pool.yaml".as_ptr(), &raw mut parsed, error) };
        assert_eq!(code, 0, "{}", self.message());
        // SAFETY: handles may be anything, and the place for the result is there.
        let code = unsafe { nicfw_adapter_compile(adapter, parsed, ptr::null(), &raw mut compiled, error) };
        // SAFETY: handles may be anything.
        let freed = unsafe { nicfw_policy_free(parsed, error) };
        assert_eq!(freed, 0);
        (code == 0).then_some(compiled)
    }

    fn adopt(&mut self, policy: usize) -> Said {
        let Some(adapter) = self.open() else { return self.refused() };
        let Some(compiled) = self.compiled(adapter, policy) else { return self.refused() };
        let error = &raw mut *self.error;
        // SAFETY: handles may be anything.
        let code = unsafe { nicfw_adapter_adopt(adapter, compiled, error) };
        let said = if code == 0 { Said::done() } else { self.refused() };
        // SAFETY: handles may be anything.
        unsafe { nicfw_compiled_free(compiled, ptr::null_mut()) };
        self.tally.steps += 1;
        if let Some(open) = &mut self.open {
            open.adopted = code == 0;
        }
        said
    }

    fn close(&mut self, leave: nicfw_leave) -> Said {
        let Some(open) = self.open.take() else { return Said::Nothing };
        // SAFETY: handles may be anything.
        let code = unsafe { nicfw_adapter_close(open.adapter, leave as c_int, &raw mut *self.error) };
        self.tally.steps += 1;
        let _ = open.stream.shutdown(Shutdown::Both);
        open.server.join().expect("the adapter outlives whatever is done to it");
        if code == 0 || leave == nicfw_leave::NICFW_LEAVE_RULES { Said::done() } else { self.refused() }
    }

    /// The adapter hears no more of the program.
    fn crash(&mut self) -> Said {
        let Some(open) = self.open.take() else { return Said::Nothing };
        let _ = open.stream.shutdown(Shutdown::Both);
        open.server.join().expect("the adapter outlives whatever is done to it");
        // SAFETY: handles may be anything.
        unsafe { nicfw_adapter_close(open.adapter, 0, ptr::null_mut()) };
        self.tally.deaths += 1;
        self.tally.deaths_in_calls += 1;
        Said::done()
    }

    fn call(&mut self, adapter: *mut nicfw_adapter, step: &Step) -> Said {
        self.tally.steps += 1;
        let error = &raw mut *self.error;
        match step {
            Step::Apply { policy, .. } => self.apply(adapter, *policy),
            Step::Reserve { container, addresses, mac } => {
                let name = name(*container);
                let ips: Vec<nicfw_addr> = addresses.iter().map(|last| addr(*last)).collect();
                let own = [2, 0, 0x0a, 0x1e, 1, *container];
                let own = if *mac { own.as_ptr() } else { ptr::null() };
                // SAFETY: the text ends with zero, the array has its length, the MAC is there or NULL.
                let code =
                    unsafe { nicfw_adapter_reserve(adapter, name.as_ptr(), ips.as_ptr(), ips.len(), own, error) };
                self.said(code, Told::default())
            }
            Step::Release { container } => {
                let name = name(*container);
                // SAFETY: the text ends with zero.
                let code = unsafe { nicfw_adapter_release(adapter, name.as_ptr(), error) };
                self.said(code, Told::default())
            }
            Step::Audit => {
                let mut drifted = 0;
                // SAFETY: the place for the result is there.
                let code = unsafe { nicfw_adapter_audit(adapter, &raw mut drifted, error) };
                self.said(code, Told { sound: Some(drifted == 0), ..Told::default() })
            }
            Step::Commit => {
                // SAFETY: handles may be anything.
                let code = unsafe { nicfw_adapter_commit_cache(adapter, error) };
                self.said(code, Told { cache_behind: Some(false), ..Told::default() })
            }
            Step::Recover => {
                let mut report = report();
                // SAFETY: the structure is there.
                let code = unsafe { nicfw_adapter_recover(adapter, &raw mut report, error) };
                self.said(code, Told { idle: report.commands == 0, ..Told::default() })
            }
            Step::Counters => {
                let mut list: *mut nicfw_list = ptr::null_mut();
                // SAFETY: the place for the result is there.
                let code = unsafe { nicfw_adapter_read_counters(adapter, &raw mut list, error) };
                // SAFETY: handles may be anything.
                unsafe { nicfw_list_free(list, ptr::null_mut()) };
                self.said(code, Told::default())
            }
            _ => Said::Nothing,
        }
    }

    fn apply(&mut self, adapter: *mut nicfw_adapter, policy: usize) -> Said {
        let Some(compiled) = self.compiled(adapter, policy) else { return self.refused() };
        let (mut plan, mut report): (*mut nicfw_plan, nicfw_report) = (ptr::null_mut(), report());
        let error = &raw mut *self.error;
        // SAFETY: the text ends with zero, and the place for the result is there.
        let code = unsafe { nicfw_adapter_plan(adapter, compiled, c"it is wanted".as_ptr(), &raw mut plan, error) };
        let said = if code == 0 {
            // SAFETY: no callback, and the structure is there.
            let code = unsafe { nicfw_adapter_apply(adapter, plan, None, ptr::null_mut(), &raw mut report, error) };
            let behind = report.cache_behind != 0;
            self.said(code, Told { cache_behind: Some(behind), ..Told::default() })
        } else {
            self.refused()
        };
        // SAFETY: handles may be anything.
        unsafe { nicfw_plan_free(plan, ptr::null_mut()) };
        // SAFETY: handles may be anything.
        unsafe { nicfw_compiled_free(compiled, ptr::null_mut()) };
        said
    }

    fn explain(&mut self, probe: usize) -> Said {
        let (at, probe) = (probe % pool().len(), probe % probes().len());
        let (Some(words), Some(adapter)) = (probes()[probe].words(), self.open.as_ref().map(|open| open.adapter))
        else {
            return Said::Nothing;
        };
        let Some(compiled) = self.compiled(adapter, at) else { return Said::Nothing };
        let words = CString::new(words).expect("no zero in it");
        let mut list: *mut nicfw_list = ptr::null_mut();
        let error = &raw mut *self.error;
        // SAFETY: the text ends with zero, and the place for the result is there.
        let code = unsafe { nicfw_compiled_explain(compiled, words.as_ptr(), &raw mut list, error) };
        assert_eq!(code, 0, "{}", self.message());
        // SAFETY: handles may be anything.
        unsafe { nicfw_list_free(list, ptr::null_mut()) };
        // SAFETY: handles may be anything.
        unsafe { nicfw_compiled_free(compiled, ptr::null_mut()) };
        self.tally.steps += 1;
        Said::done()
    }

    fn arm(&mut self, wrong: Wrong) -> Said {
        let (after, kind) = match wrong {
            Wrong::Silent { command, effect } => (command, FaultKind::Hang { effect }),
            Wrong::Death { call, after } => (u32::try_from(call).expect("few"), FaultKind::Hang { effect: after }),
            Wrong::Refused { command } => (command, FaultKind::Error(McErrno::ENOSPC)),
            Wrong::Reboots { command, after: true } => (command, FaultKind::RebootAfter),
            Wrong::Reboots { command, after: false } => (command, FaultKind::RebootBefore),
            Wrong::Store { .. } => return Said::Nothing,
        };
        if self.model.faults_waiting() > 0 {
            return Said::Nothing;
        }
        self.reboots = matches!(kind, FaultKind::RebootAfter | FaultKind::RebootBefore);
        self.model.inject(Fault { cmd: None, after, kind });
        Said::done()
    }

    fn foreign(&mut self, what: Foreign) -> Said {
        if self.model.faults_waiting() > 0 || self.oracle.is_unsettled() {
            // It would meet what is arranged for somebody else.
            return Said::Nothing;
        }
        foreign::meddle(&self.model, what, Arc::new(SystemClock::new()), |policy, target| {
            Compiled::new(&pool()[policy].document, target, None).expect("it fits")
        })
    }

    fn said(&self, code: c_int, told: Told) -> Said {
        if code == 0 { Said::Done(told) } else { self.refused() }
    }

    fn message(&self) -> String {
        // SAFETY: the library ends it with zero, and it was zeros before.
        unsafe { CStr::from_ptr(self.error.message.as_ptr()) }.to_string_lossy().into_owned()
    }

    /// What the library's error says.
    fn refused(&self) -> Said {
        let (code, state, text) = (self.error.code, self.error.state, self.message());
        let is = |known: nicfw_code| code == known as c_int;
        let reason = if is(nicfw_code::NICFW_E_HELD) {
            Reason::Held
        } else if is(nicfw_code::NICFW_E_NOT_FOUND) {
            Reason::Nothing
        } else if is(nicfw_code::NICFW_E_FOREIGN) {
            Reason::Foreign
        } else {
            Reason::Other
        };
        let state = if state == nicfw_state::NICFW_STATE_UNKNOWN as c_int {
            Holds::Unknown
        } else if state == nicfw_state::NICFW_STATE_CLOSED as c_int {
            let names = text.split_once("closed until the next policy is applied: ").map_or("", |(_, names)| names);
            let names = names.split([',', ':']).map_while(|name| name.trim().strip_prefix("shop-")?.parse().ok());
            Holds::Closed(names.collect())
        } else {
            Holds::Unchanged
        };
        Said::Refused { reason, state, text }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.close(nicfw_leave::NICFW_LEAVE_RULES);
    }
}

fn name(container: u8) -> CString {
    CString::new(format!("shop-{container}")).expect("no zero in it")
}

fn addr(last: u8) -> nicfw_addr {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&[10, 30, 1, last]);
    nicfw_addr { bytes, len: 4, prefix: 32 }
}

fn report() -> nicfw_report {
    // SAFETY: the structure is numbers and arrays of numbers.
    let mut report: nicfw_report = unsafe { std::mem::zeroed() };
    report.size = size_of::<nicfw_report>();
    report
}
