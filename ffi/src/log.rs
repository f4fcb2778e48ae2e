//! The log: what the library has to say beside what it returns goes to one callback.
#![expect(unsafe_code, reason = "exports a function, and calls one of the caller's")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{PoisonError, RwLock};

use log::{LevelFilter, Log, Metadata, Record};

use crate::call::{is_outside, outside, run};
use crate::failure::Failure;
use crate::memory::Memory;
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_ORDER};
use crate::nicfw_log_level::*;
use crate::types::nicfw_error;

/// Is told one line: `level` is a `nicfw_log_level`, `message` is good until the callback returns.
///
/// Any thread that is inside the library may call it, several at a time. It must return, and must not call the library.
pub type nicfw_log_callback = Option<unsafe extern "C" fn(user: *mut c_void, level: c_int, message: *const c_char)>;

/// Where lines go. `user` is an address that only the callback knows what to do with.
struct Sink {
    callback: unsafe extern "C" fn(*mut c_void, c_int, *const c_char),
    user: usize,
}

static SINK: RwLock<Option<Sink>> = RwLock::new(None);
static LOGGER: Logger = Logger;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // A callback has no callbacks.
        if !self.enabled(record.metadata()) || is_outside() {
            return;
        }
        let Ok(text) = CString::new(record.args().to_string().replace('\0', "?")) else { return };
        if let Some(sink) = &*SINK.read().unwrap_or_else(PoisonError::into_inner) {
            let user = std::ptr::with_exposed_provenance_mut(sink.user);
            // SAFETY: the caller promised that the function takes this until it is replaced, which waits for the lock.
            outside(|| unsafe { (sink.callback)(user, record.level() as c_int, text.as_ptr()) });
        }
    }

    fn flush(&self) {}
}

/// Sends what the library has to say to `callback`, with `user` as its first argument, up to `level`, a `nicfw_log_level`.
/// A `callback` of NULL ends it. Nothing is said before the first call.
///
/// When this returns, the callback before is not running and will not be called again. There is one callback a process.
///
/// Returns `NICFW_E_ORDER` in a program that also holds nicfw as a Rust library with a logger of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_set_log(
    callback: nicfw_log_callback,
    user: *mut c_void,
    level: c_int,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let levels = [
            (NICFW_LOG_OFF, LevelFilter::Off),
            (NICFW_LOG_ERROR, LevelFilter::Error),
            (NICFW_LOG_WARN, LevelFilter::Warn),
            (NICFW_LOG_INFO, LevelFilter::Info),
            (NICFW_LOG_DEBUG, LevelFilter::Debug),
            (NICFW_LOG_TRACE, LevelFilter::Trace),
        ];
        let filter = levels.into_iter().find(|(known, _)| *known as c_int == level).map(|(_, filter)| filter);
        let bad = || Failure::new(NICFW_E_ARGUMENT, format!("{level} is not a nicfw_log_level")).at("level");
        let filter = filter.ok_or_else(bad)?;
        let mut sink = SINK.write().unwrap_or_else(PoisonError::into_inner);
        // Fails from the second time on, and if the program has a logger that is not this one.
        let first = log::set_logger(&LOGGER).is_ok();
        if !first && !std::ptr::addr_eq(log::logger(), &raw const LOGGER) {
            return Err(Failure::new(NICFW_E_ORDER, "the program has a logger of its own, which gets the lines"));
        }
        *sink = callback.map(|callback| Sink { callback, user: user.expose_provenance() });
        log::set_max_level(if sink.is_some() { filter } else { LevelFilter::Off });
        Ok(())
    })
}
