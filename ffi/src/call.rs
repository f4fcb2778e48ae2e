//! One call from C: the fence around its body, and what it may use.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::{Failure, Result};
use crate::handle::{self, Handle};
use crate::memory::{Memory, Out};
use crate::nicfw_code::{NICFW_E_CALLBACK, NICFW_E_INTERNAL, NICFW_OK};
use crate::process;
use crate::types::nicfw_error;

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of an exported function: `NICFW_OK`, or a code with everything else in the caller's error. A panic ends
/// here, and so does a call from inside a callback, which could wait for itself for ever, and one in a forked child.
pub fn run<'c>(memory: Memory<'c>, error: *mut nicfw_error, body: impl FnOnce(Memory<'c>) -> Result<()>) -> c_int {
    let fenced = || {
        process::check()?;
        if IN_CALLBACK.get() {
            return Err(Failure::new(NICFW_E_CALLBACK, "the library was called from one of its own callbacks"));
        }
        body(memory)
    };
    // What the body shares is behind locks that remember a panic, or never changes.
    let result = catch_unwind(AssertUnwindSafe(fenced)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    let Err(failure) = result else { return NICFW_OK as c_int };
    // An error that is NULL or was not initialised gets nothing; the code says enough.
    if let Some(error) = memory.out_error(error) {
        error.put(failure.to_c());
    }
    failure.code as c_int
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let mut failure = Failure::new(NICFW_E_INTERNAL, format!("internal error: {}", text.unwrap_or("unknown")));
    // The panic may have come between two commands.
    failure.state = crate::nicfw_state::NICFW_STATE_UNKNOWN;
    failure
}

/// Runs a callback of the caller. Until it returns, this thread may not call the library.
pub fn outside<T>(callback: impl FnOnce() -> T) -> T {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_CALLBACK.set(self.0);
        }
    }
    let _reset = Reset(IN_CALLBACK.replace(true));
    callback()
}

/// True inside a callback.
pub fn is_outside() -> bool {
    IN_CALLBACK.get()
}

impl<K: Handle> Out<'_, *mut K> {
    /// Gives an object a handle and hands it out.
    pub fn give(self, object: K::Shared) -> Result<()> {
        self.put(handle::insert(object)?);
        Ok(())
    }
}

/// Ends a handle; NULL is none, and fine.
pub fn free<K: Handle>(memory: Memory<'_>, token: *mut K, error: *mut nicfw_error) -> c_int {
    run(memory, error, |_| if token.is_null() { Ok(()) } else { handle::remove(token).map(drop) })
}
