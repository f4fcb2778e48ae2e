//! Versions of the library.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{CStr, c_char};

/// Version of the binary interface. The shared library's name carries it: libnicfw.so.0.2 has version 2.
pub const NICFW_ABI_VERSION: u32 = 2;

/// The `NICFW_ABI_VERSION` that the library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn nicfw_abi_version() -> u32 {
    NICFW_ABI_VERSION
}

/// The library's version, such as "0.2.0": static text.
#[unsafe(no_mangle)]
pub extern "C" fn nicfw_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a version holds no NUL"),
    };
    VERSION.as_ptr()
}
