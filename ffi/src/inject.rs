//! For tests alone: a panic inside the library, with an adapter in hand.
#![expect(unsafe_code, reason = "exports a function")]
#![expect(clippy::panic, reason = "that is what it is for")]

use std::ffi::c_int;

use crate::call::run;
use crate::handle::{self, lock};
use crate::memory::Memory;
use crate::nicfw_adapter;
use crate::types::nicfw_error;

/// Panics while it holds the adapter.
///
/// # Panics
/// Always, but not as far as the caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_inject_panic(adapter: *mut nicfw_adapter, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let nic = handle::get(adapter)?;
        let _held = lock(&nic)?;
        panic!("injected")
    })
}
