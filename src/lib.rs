//! Container firewalls in Solarflare EF10 adapters.
//!
//! A container's enterprise IP is bound to rules that the adapter itself judges, frame by frame and in both directions,
//! so that kernel-bypass applications are judged too. The rooms, and the one way that imports run:
//!
//! ```text
//! error, clock -> bar, dma -> regs -> mcdi -> tables -> nic -> policy -> firewall -> cli
//!                device implements bar + dma
//! ```
//!
//! `tables` stands left of `nic`, because attaching reads the sizes that `tables` defines. `policy` is pure: it compiles a document to the content of the adapter's tables with no device at all.

pub mod clock;
pub mod error;

pub mod bar;
pub mod device;
pub mod dma;

#[cfg(feature = "raw")]
pub mod mcdi;
#[cfg(not(feature = "raw"))]
mod mcdi;
#[cfg(feature = "raw")]
pub mod regs;
#[cfg(not(feature = "raw"))]
mod regs;

pub mod firewall;
pub mod policy;
pub mod tables;

pub use error::Error;
