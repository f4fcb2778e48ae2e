//! Sequences of calls from C: any handle of any kind in any place, closed and made-up ones too, structures of any size,
//! arrays that are not there, texts of the input. At most one adapter is opened, the model behind a socket pair; it tells the
//! truth: what a forged one says is the target `driver`'s.
#![expect(unsafe_code, reason = "calls the C functions as a C program does")]
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "a block is one call, chosen by the input")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::thread::{self, JoinHandle};

use arbitrary::{Result, Unstructured};
use nicfw::terms::MacAddr;
use nicfw_capi::adapter::*;
use nicfw_capi::builder::*;
use nicfw_capi::change::*;
use nicfw_capi::codes::*;
use nicfw_capi::compiled::*;
use nicfw_capi::list::*;
use nicfw_capi::policy::*;
use nicfw_capi::*;
use nicfw_model::serve::Session;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

/// Calls of one input.
const MOST: usize = 48;

/// Texts that get somewhere, beside those of the input.
const TEXTS: [&CStr; 9] = [
    c"web",
    c"shop-1",
    c"office",
    c"tcp 10.20.3.4:51000 > 10.30.1.17:443",
    c"arp 02:00:0a:1e:01:11 > ff:ff:ff:ff:ff:ff out",
    c"",
    c"nicfw: 1\nunbound: allow\nmulticast: deny\npolicies: {web: [{allow: in, proto: tcp, local_ports: 443}]}\nbindings: [{container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: none, policy: web}]\n",
    c"nicfw: 1\nunbound: deny\nmulticast: deny\npolicies: {p: [{deny: out}]}\nbindings: []\n",
    c"2026-11-23",
];

/// What a function puts into a handle's place before it has succeeded: nothing.
const UNTOUCHED: usize = 0x5a5a_5a5a;

/// The program: what it holds, and the input that says what it does next.
struct Program<'a> {
    u: Unstructured<'a>,
    /// Handles that were given out; some are closed by now.
    handles: Vec<usize>,
    /// Texts of the input, kept until the end.
    texts: Vec<CString>,
    error: nicfw_error,
    /// Serves the adapter, once it was opened.
    server: Option<JoinHandle<()>>,
}

/// The input is a list of calls, each with its arguments.
pub fn run(data: &[u8]) {
    // SAFETY: the structure is numbers and arrays of numbers.
    let mut error: nicfw_error = unsafe { std::mem::zeroed() };
    error.size = size_of::<nicfw_error>();
    let mut program =
        Program { u: Unstructured::new(data), handles: Vec::new(), texts: Vec::new(), error, server: None };
    for _ in 0..MOST {
        if program.u.is_empty() || program.call().is_err() {
            break;
        }
    }
    program.close();
}

/// What the input says about ports, at most three ranges.
type PortRanges = Vec<nicfw_ports>;

impl Program<'_> {
    /// A handle that may be of the right kind: one that was given out, NULL or any number.
    fn handle<T>(&mut self) -> Result<*mut T> {
        let choice = usize::from(self.u.arbitrary::<u8>()?);
        let token = match choice {
            0xff => 0,
            0xfe => self.u.arbitrary()?,
            _ => self.handles.iter().rev().nth(choice % self.handles.len().max(1)).copied().unwrap_or(0),
        };
        Ok(ptr::without_provenance_mut(token))
    }

    fn text(&mut self) -> Result<*const c_char> {
        let choice = usize::from(self.u.arbitrary::<u8>()?);
        if choice == 0xff {
            return Ok(ptr::null());
        }
        if choice >= 0xc0 {
            let len = usize::from(self.u.arbitrary::<u8>()?).min(self.u.len());
            let bytes: Vec<u8> = self.u.bytes(len)?.iter().copied().filter(|byte| *byte != 0).collect();
            // A vector that grows moves the values, not the texts that they own.
            self.texts.push(CString::new(bytes).expect("zeros were left out"));
            return Ok(self.texts.last().map_or(ptr::null(), |text| text.as_ptr()));
        }
        Ok(TEXTS[choice % TEXTS.len()].as_ptr())
    }

    /// Mostly the size that the structure has.
    fn size(&mut self, right: usize) -> Result<usize> {
        Ok(match self.u.arbitrary::<u8>()? {
            0 => 0,
            1 => right - 4,
            2 => 8,
            3 => usize::MAX,
            _ => right,
        })
    }

    fn addr(&mut self) -> Result<nicfw_addr> {
        let mut addr = nicfw_addr { bytes: self.u.arbitrary()?, len: 4, prefix: 32 };
        match self.u.arbitrary::<u8>()? {
            0 => (addr.len, addr.prefix) = self.u.arbitrary()?,
            1..8 => (addr.len, addr.prefix) = (16, 128),
            8..16 => addr.prefix = 8,
            _ => addr.bytes = [10, 30, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        }
        Ok(addr)
    }

    fn addrs(&mut self) -> Result<Vec<nicfw_addr>> {
        (0..self.u.int_in_range(0..=2u8)?).map(|_| self.addr()).collect()
    }

    fn terms(&mut self) -> Result<Vec<nicfw_term>> {
        let mut terms = Vec::new();
        for _ in 0..self.u.int_in_range(0..=3u8)? {
            let group = if self.u.ratio(1, 3)? { self.text()? } else { ptr::null() };
            let (except, reserved) = (self.u.int_in_range(0..=2)?, u8::from(self.u.ratio(1, 16)?));
            terms.push(nicfw_term { group, net: self.addr()?, except, reserved: [reserved; 5] });
        }
        Ok(terms)
    }

    fn ports(&mut self) -> Result<PortRanges> {
        let count = self.u.int_in_range(0..=3u8)?;
        (0..count).map(|_| Ok(nicfw_ports { first: self.u.arbitrary()?, last: self.u.arbitrary()? })).collect()
    }

    /// A small number, right or nearly so.
    fn number(&mut self) -> Result<c_int> {
        Ok(if self.u.ratio(1, 16)? { self.u.arbitrary()? } else { self.u.int_in_range(0..=3)? })
    }

    /// The length of an array as the program tells it: none at NULL is right, some are wrong.
    fn array<T>(&mut self, items: &[T]) -> Result<(*const T, usize)> {
        Ok(if self.u.ratio(1, 32)? { (ptr::null(), 1) } else { (items.as_ptr(), items.len()) })
    }

    /// The code is one of the header's and no error of the library; a handle came exactly with success.
    fn check(&mut self, code: c_int, out: Option<usize>) {
        assert!((-21..=0).contains(&code), "{code} is not a code");
        assert_ne!(code, nicfw_code::NICFW_E_INTERNAL as c_int, "an error of the library itself");
        if let Some(out) = out {
            assert_eq!(code != 0, out == UNTOUCHED, "a handle with code {code}");
            if code == 0 {
                self.handles.push(out);
            }
        }
    }

    fn call(&mut self) -> Result<()> {
        let which = self.u.arbitrary::<u8>()?;
        match which % 7 {
            _ if which >= 0xf8 => self.open(),
            0 => self.policy(),
            1 | 2 => self.builder(),
            3 => self.compiled(),
            4 => self.list(),
            5 => self.adapter_lists(),
            _ => self.adapter(),
        }
    }

    fn policy(&mut self) -> Result<()> {
        let (text, name, mut out) = (self.text()?, self.text()?, ptr::without_provenance_mut(UNTOUCHED));
        let mut list = ptr::without_provenance_mut(UNTOUCHED);
        let handle = self.handle()?;
        let error = &raw mut self.error;
        let which: u8 = self.u.arbitrary()?;
        // SAFETY: texts end with zero, places for results are there, handles may be anything.
        let code = unsafe {
            match which % 10 {
                0..=2 => nicfw_policy_parse(text, name, &raw mut out, error),
                3 => nicfw_policy_list_problems(text, name, &raw mut list, error),
                4 => nicfw_policy_list_warnings(handle, &raw mut list, error),
                5 | 6 => nicfw_policy_decide(handle, text, &raw mut list, error),
                7 => nicfw_policy_free(handle, error),
                8 => nicfw_policy_lint(handle, text, &raw mut list, error),
                _ => nicfw_policy_find_nearest(handle, text, &raw mut list, error),
            }
        };
        match which % 10 {
            0..=2 => self.check(code, Some(out.addr())),
            7 => self.check(code, None),
            _ => self.check(code, Some(list.addr())),
        }
        Ok(())
    }

    fn builder(&mut self) -> Result<()> {
        let which: u8 = self.u.arbitrary()?;
        let (handle, text) = (self.handle::<nicfw_builder>()?, self.text()?);
        let error = &raw mut self.error;
        if which.is_multiple_of(12) {
            let mut out = ptr::without_provenance_mut(UNTOUCHED);
            // SAFETY: texts end with zero, the place for the result is there.
            let code = unsafe { nicfw_builder_new(text, &raw mut out, error) };
            self.check(code, Some(out.addr()));
            return Ok(());
        }
        if which % 12 == 1 {
            let mut out = ptr::without_provenance_mut(UNTOUCHED);
            // SAFETY: the place for the result is there, the handle may be anything.
            let code = unsafe { nicfw_builder_build(handle, &raw mut out, error) };
            self.check(code, Some(out.addr()));
            return Ok(());
        }
        let (number, ports, terms, mac) =
            (self.number()?, self.ports()?, self.terms()?, self.u.arbitrary::<[u8; 6]>()?);
        let (port, port_count) = self.array(&ports)?;
        let (term, term_count) = self.array(&terms)?;
        let (rule, binding) = match which % 12 {
            7..=9 => (Some(self.rule(&ports, &terms)?), None),
            10 => (None, Some(self.addrs()?)),
            _ => (None, None),
        };
        let binding = binding.map(|ips| self.binding(&ips).map(|binding| (ips, binding))).transpose()?;
        let rule = rule.as_ref().map_or(ptr::null(), ptr::from_ref);
        let binding_at = binding.as_ref().map_or(ptr::null(), |(_, binding)| ptr::from_ref(binding));
        let mac = if number == 0 { ptr::null() } else { mac.as_ptr() };
        // SAFETY: texts end with zero, arrays have the length that is told or are NULL, structures are there for the size that
        // they tell or NULL, and all of it lives until the call is over.
        let code = unsafe {
            match which % 12 {
                2 => nicfw_builder_set_unbound(handle, number, error),
                3 => nicfw_builder_set_multicast(handle, number, error),
                4 => nicfw_builder_set_owner(handle, text, error),
                5 => nicfw_builder_set_ephemeral(handle, port, port_count, error),
                6 => nicfw_builder_add_group(handle, text, term, term_count, error),
                7 | 8 => nicfw_builder_add_rule(handle, text, rule, error),
                9 => nicfw_builder_add_management(handle, rule, mac, error),
                10 => nicfw_builder_add_binding(handle, binding_at, error),
                11 if number == 3 => nicfw_builder_free(handle, error),
                _ => nicfw_builder_add_policy(handle, text, error),
            }
        };
        self.check(code, None);
        Ok(())
    }

    fn rule(&mut self, ports: &PortRanges, terms: &[nicfw_term]) -> Result<nicfw_rule> {
        let texts = [self.text()?, self.text()?, self.text()?];
        let (remote, remote_count) = self.array(terms)?;
        let (local_ports, local_ports_count) = self.array(ports)?;
        let protos = [0, 0x101, 0x106, 0x106, 0x111, 0x184, 0x12f, 0x200];
        Ok(nicfw_rule {
            size: self.size(size_of::<nicfw_rule>())?,
            direction: self.number()?,
            action: self.number()?,
            proto: *self.u.choose(&protos)?,
            replies: self.number()?,
            sample: u32::from(self.u.ratio(1, 8)?),
            reserved: u32::from(self.u.ratio(1, 32)?),
            remote,
            remote_count,
            local: ptr::null(),
            local_count: 0,
            remote_ports: ptr::null(),
            remote_ports_count: 0,
            local_ports,
            local_ports_count,
            owner: texts[0],
            reason: texts[1],
            ticket: texts[2],
            when: ptr::null(),
            until: ptr::null(),
        })
    }

    fn binding(&mut self, ips: &[nicfw_addr]) -> Result<nicfw_binding> {
        let (container, policy) = (self.text()?, self.text()?);
        let (ips, ips_count) = self.array(ips)?;
        Ok(nicfw_binding {
            size: self.size(size_of::<nicfw_binding>())?,
            container,
            policy,
            ips,
            ips_count,
            mac: [2, 0, 0x0a, 0x1e, 1, self.u.arbitrary()?],
            vlan: self.u.int_in_range(0..=2)?,
            attach: self.number()?,
            open_nd: u32::from(self.u.arbitrary::<bool>()?),
            accept_unprotected: u32::from(self.u.arbitrary::<bool>()?),
            reserved: 0,
            physical_ports: ptr::null(),
            physical_ports_count: 0,
            owner: ptr::null(),
            reason: ptr::null(),
            ticket: ptr::null(),
            when: ptr::null(),
            until: ptr::null(),
        })
    }

    fn compiled(&mut self) -> Result<()> {
        let which: u8 = self.u.arbitrary()?;
        let text = self.text()?;
        let (policy, one, other) = (self.handle()?, self.handle::<nicfw_compiled>()?, self.handle::<nicfw_compiled>()?);
        let previous = if self.u.arbitrary()? { other } else { ptr::null_mut() };
        let packet = nicfw_packet {
            size: self.size(size_of::<nicfw_packet>())?,
            src_mac: self.u.arbitrary()?,
            dst_mac: [2, 0, 0x0a, 0x1e, 1, 0x11],
            ether_type: *self.u.choose(&[0x0800, 0x86dd, 0x0806, 0])?,
            outer_vlan: self.u.arbitrary()?,
            inner_vlan: 0xffff,
            proto: *self.u.choose(&[6, 17, 58, 0x100, 0xffff])?,
            has_ports: self.u.int_in_range(0..=2)?,
            src_port: self.u.arbitrary()?,
            dst_port: 443,
            reserved: 0,
            physical_port: self.u.int_in_range(0..=2)?,
            src: self.addr()?,
            dst: self.addr()?,
        };
        let mut out = ptr::without_provenance_mut(UNTOUCHED);
        let mut list = ptr::without_provenance_mut(UNTOUCHED);
        let error = &raw mut self.error;
        // SAFETY: texts end with zero, places for results and the packet are there, handles may be anything.
        let code = unsafe {
            match which % 9 {
                0..=2 => nicfw_policy_compile(policy, ptr::null(), previous, &raw mut out, error),
                3 => nicfw_compiled_list_usage(one, &raw mut list, error),
                4 => nicfw_compiled_list_warnings(one, &raw mut list, error),
                5 => nicfw_compiled_list_openings(one, &raw mut list, error),
                6 => nicfw_compiled_explain(one, text, &raw mut list, error),
                7 => nicfw_compiled_explain_packet(one, &raw const packet, &raw mut list, error),
                _ if text.is_null() => nicfw_compiled_free(one, error),
                _ => nicfw_compiled_diff(one, other, &raw mut list, error),
            }
        };
        match which % 9 {
            0..=2 => self.check(code, Some(out.addr())),
            8 if text.is_null() => self.check(code, None),
            _ => self.check(code, Some(list.addr())),
        }
        Ok(())
    }

    fn list(&mut self) -> Result<()> {
        let which: u8 = self.u.arbitrary()?;
        let (list, field, index) = (self.handle::<nicfw_list>()?, self.number()?, self.u.int_in_range(0..=3)?);
        let (mut length, mut number, mut needed, mut buffer) = (0, 0, 0, [0x5a; 64]);
        let capacity = self.u.int_in_range(0..=buffer.len())?;
        let place = if capacity == 0 { ptr::null_mut() } else { buffer.as_mut_ptr() };
        let error = &raw mut self.error;
        // SAFETY: places for results are there, the buffer has the capacity that is told, the handle may be anything.
        let code = unsafe {
            match which % 5 {
                0 => nicfw_list_length(list, &raw mut length, error),
                1 => nicfw_list_number(list, index, field, &raw mut number, error),
                2 | 3 => nicfw_list_text(list, index, field, place, capacity, &raw mut needed, error),
                _ => nicfw_list_free(list, error),
            }
        };
        let beyond = &buffer[capacity..];
        assert!(beyond.iter().all(|byte| *byte == 0x5a), "nothing is written behind the buffer");
        self.check(code, None);
        Ok(())
    }

    /// Opens the model as an adapter, at most one.
    fn open(&mut self) -> Result<()> {
        let opts = nicfw_open_opts {
            size: self.size(size_of::<nicfw_open_opts>())?,
            command_timeout_ms: 0,
            switch_firmware: u32::from(self.u.int_in_range(0..=2u8)?),
            grace_us: 1,
            commit_every_ms: self.u.int_in_range(0..=1)?,
        };
        if self.server.is_some() {
            return Ok(());
        }
        let (driver, server) = UnixStream::pair().expect("a socket pair");
        self.server = Some(thread::spawn(move || serve(server)));
        let place = CString::new(format!("fd:{}", driver.as_raw_fd())).expect("no zero in it");
        let mut out = ptr::without_provenance_mut(UNTOUCHED);
        // SAFETY: the text ends with zero, the structure is there for any size that is read, and so is the place for the result.
        let code = unsafe { nicfw_adapter_open(place.as_ptr(), &raw const opts, &raw mut out, &raw mut self.error) };
        self.check(code, Some(out.addr()));
        Ok(())
    }

    /// What an adapter does; it may be something else.
    fn adapter(&mut self) -> Result<()> {
        let which: u8 = self.u.arbitrary()?;
        let adapter = self.handle::<nicfw_adapter>()?;
        let (compiled, plan) = (self.handle::<nicfw_compiled>()?, self.handle::<nicfw_plan>()?);
        let (text, ips, number) = (self.text()?, self.addrs()?, self.number()?);
        let (ip, ip_count) = self.array(&ips)?;
        let (mut drifted, mut steps) = (77, 0_u64);
        let user = (&raw mut steps).cast();
        let error = &raw mut self.error;
        // SAFETY: texts end with zero, the array has the length that is told or is NULL, handles may be anything; a place for a
        // result is there or NULL, and the callback gets its own.
        let code = unsafe {
            match which % 10 {
                0 => nicfw_adapter_close(adapter, number, error),
                1 => nicfw_adapter_adopt(adapter, compiled, error),
                2 => nicfw_adapter_reserve(adapter, text, ip, ip_count, ptr::null(), error),
                3 => nicfw_adapter_release(adapter, text, error),
                4 => nicfw_adapter_apply(adapter, plan, Some(on_step), user, ptr::null_mut(), error),
                5 => nicfw_adapter_audit(adapter, &raw mut drifted, error),
                6 => nicfw_adapter_commit_cache(adapter, error),
                7 => nicfw_plan_free(plan, error),
                8 => nicfw_adapter_recover(adapter, ptr::null_mut(), error),
                _ => {
                    // Static text, whatever the number.
                    assert!(!nicfw_strerror(number).is_null() && !nicfw_state_text(number).is_null());
                    0
                }
            }
        };
        let needs_one = !matches!(which % 10, 0 | 7 | 9);
        assert!(code != 0 || !needs_one || self.server.is_some(), "call {which} has done something to no adapter");
        assert_eq!(drifted != 77, which % 10 == 5 && code == 0, "drift is written with success, and then only");
        self.check(code, None);
        Ok(())
    }

    /// What an adapter or a plan tells in structures.
    fn structures(&mut self) -> Result<()> {
        let (adapter, plan) = (self.handle::<nicfw_adapter>()?, self.handle::<nicfw_plan>()?);
        // SAFETY: the structures are numbers and arrays of numbers.
        let (mut info, mut target, mut plan_info): (nicfw_adapter_info, nicfw_target, nicfw_plan_info) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        (info.size, target.size) = (self.size(size_of_val(&info))?, self.size(size_of_val(&target))?);
        plan_info.size = self.size(size_of_val(&plan_info))?;
        let which: u8 = self.u.arbitrary()?;
        let error = &raw mut self.error;
        // SAFETY: the structures are there for any size that is written, handles may be anything.
        let code = unsafe {
            match which % 4 {
                0 => nicfw_adapter_get_info(adapter, &raw mut info, error),
                1 => nicfw_adapter_get_target(adapter, &raw mut target, error),
                2 => nicfw_plan_get_info(plan, &raw mut plan_info, error),
                _ => nicfw_plan_get_info(plan, ptr::null_mut(), error),
            }
        };
        self.check(code, None);
        Ok(())
    }

    /// What an adapter or a plan tells in lists and handles; it may be something else.
    fn adapter_lists(&mut self) -> Result<()> {
        let which: u8 = self.u.arbitrary()?;
        if matches!(which % 11, 6..=8) {
            return self.structures();
        }
        let adapter = self.handle::<nicfw_adapter>()?;
        let (compiled, plan) = (self.handle::<nicfw_compiled>()?, self.handle::<nicfw_plan>()?);
        let (policy, text) = (self.handle::<nicfw_policy>()?, self.text()?);
        let mut list = ptr::without_provenance_mut(UNTOUCHED);
        let mut held = ptr::without_provenance_mut(UNTOUCHED);
        let mut out = ptr::without_provenance_mut(UNTOUCHED);
        let mut change = ptr::without_provenance_mut(UNTOUCHED);
        let error = &raw mut self.error;
        // SAFETY: texts end with zero, handles may be anything, places for results are there.
        let code = unsafe {
            match which % 11 {
                0 => nicfw_adapter_list_usage(adapter, &raw mut list, error),
                1 => nicfw_adapter_list_containers(adapter, &raw mut list, error),
                2 => nicfw_adapter_read_counters(adapter, &raw mut list, error),
                3 => nicfw_plan_list_commands(plan, &raw mut list, error),
                4 => nicfw_plan_list_closed(plan, &raw mut list, error),
                5 => nicfw_adapter_get_policy(adapter, &raw mut held, error),
                6 => nicfw_plan_list_peaks(plan, &raw mut list, error),
                9 => nicfw_adapter_compile(adapter, policy, compiled, &raw mut out, error),
                _ => nicfw_adapter_plan(adapter, compiled, text, &raw mut change, error),
            }
        };
        assert!(code != 0 || self.server.is_some(), "call {which} has got something from no adapter");
        let outs = [list.addr(), held.addr(), out.addr(), change.addr()];
        let given = outs.into_iter().find(|out| *out != UNTOUCHED).unwrap_or(UNTOUCHED);
        self.check(code, Some(given));
        Ok(())
    }

    /// Closes everything, whatever it is: exactly one kind takes each handle that is open.
    fn close(mut self) {
        for token in std::mem::take(&mut self.handles) {
            let error = &raw mut self.error;
            // SAFETY: handles may be anything.
            let codes = unsafe {
                [
                    nicfw_policy_free(ptr::without_provenance_mut(token), error),
                    nicfw_builder_free(ptr::without_provenance_mut(token), error),
                    nicfw_compiled_free(ptr::without_provenance_mut(token), error),
                    nicfw_list_free(ptr::without_provenance_mut(token), error),
                    nicfw_plan_free(ptr::without_provenance_mut(token), error),
                    nicfw_adapter_close(ptr::without_provenance_mut(token), 0, error),
                ]
            };
            assert!(codes.iter().filter(|code| **code == 0).count() <= 1, "one handle, one object");
        }
        if let Some(server) = self.server.take() {
            server.join().expect("the adapter outlives whatever is done to it");
        }
    }
}

/// The adapter at the other end of a socket, until that end is closed.
fn serve(stream: UnixStream) {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let mut function = model.endpoint(0);
    // How a session ends that the driver ends is not the C library's matter.
    let _ = Session::start(stream, &mut function).and_then(|session| session.serve(&mut function));
}

/// Counts the steps of a change, and is refused what a callback may not do.
unsafe extern "C" fn on_step(user: *mut c_void, done: u64, total: u64) {
    // SAFETY: it is the number that the call was given, which waits for the callback.
    let steps = unsafe { &mut *user.cast::<u64>() };
    *steps += 1;
    assert!(*steps == done && done <= total, "step {steps} is called {done} of {total}");
}
