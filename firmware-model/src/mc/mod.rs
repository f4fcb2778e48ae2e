//! The management controller: takes requests as bytes, checks privilege and length, answers as bytes.
//!
//! Codes, lengths, privileges and errors: ef10.md 4 to 7. Where no document says which error a misuse gets
//! (ef10.md 7.8, point 8), the choice made here is written at its place. A command that is not in the table is unknown:
//! ENOSYS.
#![doc = include_str!("commands.md")]

mod answer;
mod bridge;
mod command;
mod commands;
mod completions;
mod config;
mod controller;
mod dispatch;
mod faulty;
mod function;
mod holdings;
mod message;
mod requests;
pub(crate) mod words;

#[cfg(test)]
mod board_tests;
#[cfg(test)]
mod host_tests;
#[cfg(test)]
mod tests;

pub(crate) use answer::Answer;
pub use config::{FirmwareVariant, FunctionConfig, Switching, factory_mac};
pub(crate) use controller::{Mc, Offline};
pub(crate) use function::{FunctionState, MAX_VIS, VECTORS};
pub use holdings::Holdings;
