//! This machine's journals.

use std::fs;
use std::path::PathBuf;

/// Where journals are, unless somebody says otherwise.
pub const JOURNALS: &str = "/var/lib/nicfw";

/// The journals of this machine, where nobody names one.
pub fn candidates() -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(JOURNALS) else { return Vec::new() };
    let journal = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "journal");
    files.filter_map(|file| Some(file.ok()?.path())).filter(journal).collect()
}
