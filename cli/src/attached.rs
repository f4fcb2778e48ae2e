//! An adapter that is not emulated in this process: a card by VFIO, or whatever serves a vfio-user socket.
//!
//! A command attaches, does its work, and takes leave; the rules stay. Errors name the function, and what caused them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use nicfw::Adapter;
use nicfw::adapter::{AdapterError, AttachOptions};
use nicfw::clock::SystemClock;
use nicfw::device::Locator;
use nicfw::text::escaped;
use serde::Serialize;

use crate::busy;
use crate::failure::Failure;

/// What tells the content of an adapter's tables: the adapter's own hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fingerprints {
    /// Of those that decide.
    pub active: String,
    /// Of those that a reboot of the management controller loads; `None` if that is a default set.
    pub after_reboot: Option<String>,
}

impl Fingerprints {
    /// Asks the adapter.
    ///
    /// # Errors
    /// It does not tell.
    pub fn of(adapter: &mut Adapter) -> Result<Self, AdapterError> {
        let active = adapter.ruleset_version()?.to_string();
        let after_reboot = adapter.cached_version()?.map(|version| version.to_string());
        Ok(Self { active, after_reboot })
    }
}

impl fmt::Display for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules with fingerprint {}; a reboot of its management controller loads ", self.active)?;
        match &self.after_reboot {
            Some(fingerprint) if *fingerprint == self.active => f.write_str("the same"),
            Some(fingerprint) => write!(f, "those with fingerprint {fingerprint}"),
            None => f.write_str("a default set that nobody has described"),
        }
    }
}

/// Attaches to the adapter behind a function.
///
/// # Errors
/// Another program has the adapter, the function cannot be opened, or the adapter is refused.
pub fn attach(locator: &Locator, journal: Option<&Path>, switch_firmware: bool) -> Result<Adapter, Failure> {
    busy::check(locator, journal)?;
    let device = locator.open().map_err(|e| failed(locator, &e))?;
    let options = AttachOptions::default().with_switch_firmware(switch_firmware);
    Adapter::from_device(device, Arc::new(SystemClock::new()), options).map_err(|e| failed(locator, &e))
}

/// Attaches, does something, and takes leave.
///
/// # Errors
/// As [`attach`]; or what was to be done failed.
pub fn attached<T>(
    locator: &Locator,
    journal: Option<&Path>,
    switch_firmware: bool,
    work: impl FnOnce(&mut Adapter) -> Result<T, AdapterError>,
) -> Result<T, Failure> {
    let mut adapter = attach(locator, journal, switch_firmware)?;
    let done = work(&mut adapter).map_err(|e| failed(locator, &e))?;
    adapter.detach().map_err(|e| failed(locator, &e))?;
    Ok(done)
}

/// An error about a function, with what caused it, on one line.
pub fn failed(locator: &Locator, error: &dyn std::error::Error) -> Failure {
    Failure::usage(escaped(&format!("{locator}: {}", chain(error))))
}

/// An error with what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
