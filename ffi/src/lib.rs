//! libnicfw: what a C program reaches of nicfw. `include/libnicfw.h` is generated from this crate and is its reference.
//!
//! The way of a call: an exported function gives its body to `call::run`.
//! The call fences panics, refuses calls from inside a callback and in a forked child, copies what comes in, hands out what
//! goes out only when the body has succeeded, and puts a `failure::Failure` into the caller's error. Handles are numbers that
//! `handle` looks up; nothing that C holds is a pointer into this library, but static text.
//!
//! Modules that export functions: [`version`](mod@version), [`codes`], [`log`](mod@log), [`probe`], [`adapter`], [`change`],
//! [`policy`], [`builder`], [`compiled`], [`list`].
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![expect(non_camel_case_types, reason = "types are named as in C")]
#![expect(
    clippy::missing_safety_doc,
    reason = "the header's first page says once for all functions what a caller promises"
)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("handles are 64-bit numbers in pointers");

pub mod adapter;
pub mod builder;
mod call;
pub mod change;
pub mod codes;
pub mod compiled;
mod failure;
mod handle;
#[cfg(feature = "inject")]
pub mod inject;
mod items;
pub mod list;
pub mod log;
mod memory;
mod nic;
pub mod policy;
pub mod probe;
mod process;
mod progress;
mod spec;
mod target;
mod types;
pub mod version;

pub use handle::{nicfw_adapter, nicfw_builder, nicfw_compiled, nicfw_list, nicfw_plan, nicfw_policy};
pub use progress::nicfw_progress;
pub use types::*;
