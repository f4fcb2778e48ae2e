//! How far a change has come, for a callback of the caller.
#![expect(unsafe_code, reason = "calls a function of the caller's")]

use std::ffi::c_void;

use crate::call::outside;

/// Is told that `done` of `total` commands of a change were carried out; not called while commands are taken back.
///
/// The thread that applies the change calls it. It must not call the library.
pub type nicfw_progress = Option<unsafe extern "C" fn(user: *mut c_void, done: u64, total: u64)>;

/// A callback of the caller, and how far the change has come.
pub struct Progress {
    callback: unsafe extern "C" fn(*mut c_void, u64, u64),
    /// An address that only the callback knows what to do with.
    user: usize,
    done: u64,
    total: u64,
}

impl Progress {
    /// None of `total` commands is carried out yet.
    pub fn new(callback: unsafe extern "C" fn(*mut c_void, u64, u64), user: *mut c_void, total: u64) -> Self {
        Self { callback, user: user.expose_provenance(), done: 0, total }
    }

    /// One more is.
    pub fn step(&mut self) {
        self.done += 1;
        let user = std::ptr::with_exposed_provenance_mut(self.user);
        // SAFETY: the caller promised that the function takes this as long as the change is being applied.
        outside(|| unsafe { (self.callback)(user, self.done, self.total) });
    }
}
