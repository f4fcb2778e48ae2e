//! Calls of the C library, each from a process of its own: `c CALL ARGUMENTS`. The message goes to stderr, the code with its
//! sign turned round is the exit code.
#![expect(unsafe_code, reason = "calls the C functions as a C program does")]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::ptr;

use nicfw_capi::adapter::nicfw_adapter_open;
use nicfw_capi::builder::*;
use nicfw_capi::change::*;
use nicfw_capi::compiled::nicfw_adapter_compile;
use nicfw_capi::policy::*;
use nicfw_capi::probe::nicfw_probe;
use nicfw_capi::*;

/// A policy that is sound.
const SOUND: &CStr = c"nicfw: 1\nunbound: allow\nmulticast: deny\npolicies: {web: []}\nbindings: []\n";

/// An argument as C has it: `NULL`, `@N` for N letters, or the bytes of a word.
fn text(word: &OsStr) -> Option<CString> {
    let long = word.to_str().and_then(|word| word.strip_prefix('@')?.parse().ok()).map(|count| vec![b'x'; count]);
    let bytes = long.unwrap_or_else(|| word.as_bytes().to_vec());
    (word != "NULL").then(|| CString::new(bytes).expect("an argument has no zero in it"))
}

pub fn call() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let texts: Vec<Option<CString>> = words.iter().map(|word| self::text(word)).collect();
    let text = |at: usize| texts.get(at).and_then(Option::as_ref).map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: the structure is numbers and arrays of numbers.
    let mut error: nicfw_error = unsafe { std::mem::zeroed() };
    error.size = size_of::<nicfw_error>();
    let err = &raw mut error;
    let mut policy = ptr::null_mut();
    let mut list = ptr::null_mut();
    let mut adapter = ptr::null_mut();
    let code: c_int = match words.first().and_then(|word| word.to_str()) {
        // SAFETY: texts end with zero or are NULL, and places for results are there, here and below.
        Some("policy_load") => unsafe { nicfw_policy_load(text(1), &raw mut policy, err) },
        // SAFETY: as above.
        Some("policy_parse") => unsafe { nicfw_policy_parse(text(1), text(2), &raw mut policy, err) },
        // SAFETY: as above.
        Some("policy_named") => unsafe { nicfw_policy_parse(SOUND.as_ptr(), text(1), &raw mut policy, err) },
        // SAFETY: as above.
        Some("list_problems") => unsafe { nicfw_policy_list_problems(text(1), text(2), &raw mut list, err) },
        Some("decide") => {
            // SAFETY: as above.
            let made = unsafe { nicfw_policy_parse(SOUND.as_ptr(), c"sound".as_ptr(), &raw mut policy, err) };
            assert_eq!(made, 0);
            // SAFETY: as above.
            unsafe { nicfw_policy_decide(policy, text(1), &raw mut list, err) }
        }
        Some("lint") => {
            // SAFETY: as above.
            let made = unsafe { nicfw_policy_parse(SOUND.as_ptr(), c"sound".as_ptr(), &raw mut policy, err) };
            assert_eq!(made, 0);
            // SAFETY: as above.
            unsafe { nicfw_policy_lint(policy, text(1), &raw mut list, err) }
        }
        Some("build") => build(words.get(1).and_then(|word| word.to_str()).unwrap_or_default(), text(2), err),
        // SAFETY: as above; options may be NULL.
        Some("open") => unsafe { nicfw_adapter_open(text(1), ptr::null(), &raw mut adapter, err) },
        Some("reserve") => {
            // SAFETY: as above.
            let opened = unsafe { nicfw_adapter_open(text(1), ptr::null(), &raw mut adapter, err) };
            if opened == 0 { reserve(adapter, text(2), err) } else { opened }
        }
        // SAFETY: as above.
        Some("probe") => unsafe { nicfw_probe(text(1), &raw mut list, err) },
        other => panic!("no call {other:?}"),
    };
    // SAFETY: the library ends its messages with zero.
    let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    eprintln!("{}", message.to_string_lossy().trim_end());
    ExitCode::from(u8::try_from(-code).expect("a code of the library"))
}

/// A document in which one text is the caller's.
fn build(what: &str, text: *const c_char, err: *mut nicfw_error) -> c_int {
    let at = |name: &str, otherwise: &'static CStr| if what == name { text } else { otherwise.as_ptr() };
    let mut builder = ptr::null_mut();
    // SAFETY: texts end with zero or are NULL, structures are whole, and everything lives until the calls are over.
    let made = unsafe { nicfw_builder_new(at("name", c"built"), &raw mut builder, err) };
    if made != 0 {
        return made;
    }
    let address = |prefix| nicfw_addr { bytes: [10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], len: 4, prefix };
    let office = [nicfw_term { group: ptr::null(), net: address(8), except: 0, reserved: [0; 5] }];
    let ips = [nicfw_addr { bytes: [10, 30, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..address(32) }];
    // SAFETY: a structure of numbers and pointers, of which zero and NULL are some.
    let mut binding: nicfw_binding = unsafe { std::mem::zeroed() };
    binding.size = size_of::<nicfw_binding>();
    binding.container = at("container", c"shop-1");
    binding.policy = at("uses", c"web");
    (binding.ips, binding.ips_count) = (ips.as_ptr(), ips.len());
    binding.mac = [2, 0, 0x0a, 0x1e, 1, 0x11];
    binding.attach = nicfw_attach::NICFW_ATTACH_SRIOV as c_int;
    binding.owner = at("binding-owner", c"ann");
    binding.reason = at("reason", c"shop");
    binding.ticket = at("ticket", c"CHG-1");
    let mut policy = ptr::null_mut();
    let steps: [&mut dyn FnMut() -> c_int; 7] = [
        // SAFETY: as above, and below.
        &mut || unsafe { nicfw_builder_set_unbound(builder, nicfw_verdict::NICFW_ALLOW as c_int, err) },
        // SAFETY: as above.
        &mut || unsafe { nicfw_builder_set_multicast(builder, nicfw_verdict::NICFW_DENY as c_int, err) },
        // SAFETY: as above.
        &mut || unsafe { nicfw_builder_set_owner(builder, at("owner", c"ann"), err) },
        // SAFETY: as above.
        &mut || unsafe { nicfw_builder_add_group(builder, at("group", c"office"), office.as_ptr(), 1, err) },
        // SAFETY: as above.
        &mut || unsafe { nicfw_builder_add_policy(builder, at("policy", c"web"), err) },
        // SAFETY: as above.
        &mut || unsafe { nicfw_builder_add_binding(builder, &raw const binding, err) },
        // SAFETY: as above.
        &mut || unsafe { nicfw_builder_build(builder, &raw mut policy, err) },
    ];
    steps.into_iter().map(|step| step()).find(|code| *code != 0).unwrap_or(0)
}

fn reserve(adapter: *mut nicfw_adapter, container: *const c_char, err: *mut nicfw_error) -> c_int {
    let ips = [nicfw_addr { bytes: [10, 30, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], len: 4, prefix: 32 }];
    let mut policy = ptr::null_mut();
    let mut compiled = ptr::null_mut();
    // SAFETY: handles are from the library, texts end with zero, places for results are there.
    let made = unsafe { nicfw_policy_parse(SOUND.as_ptr(), c"sound".as_ptr(), &raw mut policy, err) };
    assert_eq!(made, 0);
    // SAFETY: as above.
    let made = unsafe { nicfw_adapter_compile(adapter, policy, ptr::null(), &raw mut compiled, err) };
    if made != 0 {
        return made;
    }
    // SAFETY: as above.
    let adopted = unsafe { nicfw_adapter_adopt(adapter, compiled, err) };
    if adopted != 0 {
        return adopted;
    }
    // SAFETY: as above.
    unsafe { nicfw_adapter_reserve(adapter, container, ips.as_ptr(), ips.len(), ptr::null(), err) }
}
