//! Files that commands read.

use std::path::Path;

use nicfw::file::{self, FileError};
use nicfw::text::escaped;

use crate::failure::Failure;

/// A path as it is shown.
pub fn name(path: &Path) -> String {
    escaped(&path.display().to_string()).into_owned()
}

/// Reads a whole file; `what` is expected there, of at most `limit` bytes.
///
/// # Errors
/// The file, the reason and the way out.
pub fn read(path: &Path, limit: usize, what: &str) -> Result<Vec<u8>, Failure> {
    let name = name(path);
    file::read(path, limit as u64).map_err(|error| {
        let way_out = match &error {
            FileError::Large { .. } => "check the path, or make it smaller",
            _ => "check the path",
        };
        Failure::usage(format!("{name}: {error}; expected {what}; {way_out}")).at(&name, None, &error)
    })
}
