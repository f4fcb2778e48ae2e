//! Counter pairs over many lives of a C program, against the model's own count of pairs and of frames.
#![expect(unsafe_code, reason = "calls the C functions as a C program does")]

use std::ffi::{CString, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{ptr, thread};

use nicfw::{CounterId, Direction, MacAddr, Verdict};
use nicfw_capi::adapter::{nicfw_adapter_close, nicfw_adapter_open};
use nicfw_capi::change::{nicfw_adapter_adopt, nicfw_adapter_read_counters};
use nicfw_capi::compiled::{nicfw_adapter_compile, nicfw_compiled_free};
use nicfw_capi::list::{nicfw_list_free, nicfw_list_length, nicfw_list_number};
use nicfw_capi::policy::{nicfw_policy_free, nicfw_policy_parse};
use nicfw_capi::{nicfw_error, nicfw_field, nicfw_leave};
use nicfw_model::serve::Listener;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

/// The demo's policy: a web shop and its database.
const POLICY: &str = include_str!("../../cli/demo/shop.yaml");

/// A TCP segment of 10.20.3.4 to port 443 of the shop, which the office may reach.
const FRAME: [u8; 60] = {
    let mut frame = [0; 60];
    let head: [u8; 38] = [
        0x02, 0x00, 0x0a, 0x1e, 0x01, 0x11, 0x02, 0x00, 0x00, 0x00, 0x00, 0x63, 0x08, 0x00, // Ethernet
        0x45, 0x00, 0x00, 0x28, 0x00, 0x01, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00, // IPv4, TCP
        10, 20, 3, 4, 10, 30, 1, 17, // from, to
        0xc7, 0x38, 0x01, 0xbb, // ports 51000, 443
    ];
    let mut at = 0;
    while at < head.len() {
        frame[at] = head[at];
        at += 1;
    }
    frame
};

/// Calls a function that takes an error last, and expects success.
macro_rules! ok {
    ($error:ident, $function:ident($($argument:expr),*)) => {
        // SAFETY: all pointers are to values of this thread that outlive the call, or handles.
        let code: c_int = unsafe { $function($($argument,)* &raw mut $error) };
        assert_eq!(code, 0, "{}: {}", stringify!($function), text(&$error));
    };
}

fn text(error: &nicfw_error) -> String {
    // SAFETY: the library ends its messages within the array.
    unsafe { std::ffi::CStr::from_ptr(error.message.as_ptr()) }.to_string_lossy().into_owned()
}

/// Pairs that the model has given out.
fn allocated(model: &Model) -> usize {
    (0..=u32::from(u16::MAX)).filter(|id| model.counter(CounterId(*id)).is_some()).count()
}

/// A program's life: it adopts the policy, `frames` frames come, and it reads how many were received and by how many
/// counters, before it leaves the rules to themselves.
fn life(place: &CString, model: &Model, frames: u64) -> (usize, u64) {
    // SAFETY: the structure is numbers and arrays of numbers.
    let mut error: nicfw_error = unsafe { std::mem::zeroed() };
    error.size = size_of::<nicfw_error>();
    let (mut adapter, mut policy) = (ptr::null_mut(), ptr::null_mut());
    let (mut compiled, mut list) = (ptr::null_mut(), ptr::null_mut());
    let (yaml, name) = (CString::new(POLICY).unwrap(), c"shop.yaml");
    ok!(error, nicfw_adapter_open(place.as_ptr(), ptr::null(), &raw mut adapter));
    ok!(error, nicfw_policy_parse(yaml.as_ptr(), name.as_ptr(), &raw mut policy));
    ok!(error, nicfw_adapter_compile(adapter, policy, ptr::null(), &raw mut compiled));
    ok!(error, nicfw_adapter_adopt(adapter, compiled));
    for _ in 0..frames {
        assert_eq!(model.judge(&FRAME, Direction::Rx, 0).unwrap().verdict, Verdict::Allow);
    }
    ok!(error, nicfw_adapter_read_counters(adapter, &raw mut list));
    let (mut length, mut received) = (0, 0);
    ok!(error, nicfw_list_length(list, &raw mut length));
    for at in 0..length {
        let mut number = 0;
        ok!(error, nicfw_list_number(list, at, nicfw_field::NICFW_FIELD_RX_FRAMES as c_int, &raw mut number));
        received += number;
    }
    ok!(error, nicfw_list_free(list));
    ok!(error, nicfw_policy_free(policy));
    ok!(error, nicfw_compiled_free(compiled));
    ok!(error, nicfw_adapter_close(adapter, nicfw_leave::NICFW_LEAVE_RULES as c_int));
    (length, received)
}

#[test]
fn eighty_programs_in_a_row_count_as_the_first_did() {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nic.sock");
    let listener = Listener::bind(&socket).unwrap();
    let place = CString::new(format!("vfio-user:{}", socket.display())).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| nicfw_model::serve::serve(&model, 0, &listener, &stop));
        let lives: Vec<_> = (1..=80).map(|frames| (life(&place, &model, frames), allocated(&model))).collect();
        stop.store(true, Ordering::Relaxed);
        server.join().unwrap().unwrap();
        let tables = model.snapshot();
        let used = tables.rules.values().filter_map(|entry| entry.counter);
        let used = used.collect::<std::collections::BTreeSet<_>>().len();
        assert!(used > 10, "the policy has something to count: {used}");
        for (frames, ((counters, received), pairs)) in (1..).zip(lives) {
            assert_eq!((counters, received, pairs), (used, frames, used), "life {frames}");
        }
    });
}
