//! The one way from what was said to a [`Document`]: resolves every name and refuses what makes no sense.
//!
//! Files and the builder both end here, so neither can say what the other could not.

mod addrs;
mod bindings;
mod checker;
mod names;
mod rules;

pub use self::addrs::host_fault;
pub use self::bindings::mac_fault;
pub(in crate::policy) use self::checker::check;
