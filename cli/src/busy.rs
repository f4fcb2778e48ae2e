//! Who has an adapter: a note beside its journal, `FILE.busy`, which the program that drives the adapter keeps locked. A note
//! that nobody has locked says nothing: its program is gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nicfw::device::Locator;
use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;
use crate::journals::candidates;

/// Longest note, in bytes.
const LONGEST: u64 = 4096;

/// The note of this program. Whoever reads it learns nothing more once the value is gone.
pub struct Note {
    file: File,
    function: String,
}

impl Note {
    /// Takes the note of a journal whose lock is held.
    ///
    /// # Errors
    /// The file system's.
    pub fn take(journal: &Path, function: &Locator) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(beside(journal))?;
        // Others lock it for no longer than a look.
        flock(&file, FlockOperation::LockExclusive)?;
        let mut note = Self { file, function: function.to_string() };
        let command = std::env::args().nth(1).unwrap_or_default();
        note.say(&format!("nicfw {command}"))?;
        Ok(note)
    }

    /// What the program does from here on.
    ///
    /// # Errors
    /// The file system's.
    pub fn say(&mut self, doing: &str) -> io::Result<()> {
        let line = |text: &str| text.replace(char::is_control, " ");
        let text = format!("{}\n{}\n{}\n", std::process::id(), line(&self.function), line(doing));
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        self.file.write_all(text.as_bytes())
    }
}

/// A program that has an adapter.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    function: String,
    doing: String,
}

/// Refuses an adapter that another program has. `journal`: the adapter's, where it is known.
///
/// # Errors
/// Who has it, and what for.
pub fn check(function: &Locator, journal: Option<&Path>) -> Result<(), Failure> {
    let named = function.to_string();
    let environment = std::env::var_os("NICFW_JOURNAL").map(PathBuf::from);
    let known = journal.into_iter().filter_map(holder);
    let others = candidates().into_iter().chain(environment).filter_map(|file| holder(&file));
    match known.chain(others.filter(|holder| holder.function == named)).next() {
        Some(Holder { pid, doing, .. }) => {
            Err(Failure::usage(format!("{named}: process {pid} has the adapter: {doing}; nothing was done")))
        }
        None => Ok(()),
    }
}

fn beside(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".busy");
    name.into()
}

/// Who has the adapter of a journal.
fn holder(journal: &Path) -> Option<Holder> {
    let path = beside(journal);
    if !std::fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared) != Err(rustix::io::Errno::WOULDBLOCK) {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.parse().ok()?;
    let line = |text: &str| text.replace(char::is_control, " ");
    Some(Holder { pid, function: line(lines.next()?), doing: line(lines.next()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_as_long_as_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("nic.journal");
        let Ok(function) = "vfio-user:/run/nic.sock".parse::<Locator>();
        assert!(check(&function, Some(&journal)).is_ok(), "there is none");
        let mut note = Note::take(&journal, &function).unwrap();
        note.say("nicfw apply waits until noon\nfor nobody").unwrap();
        let error = check(&function, Some(&journal)).unwrap_err().to_string();
        let pid = std::process::id();
        let said = "nicfw apply waits until noon for nobody; nothing was done";
        assert_eq!(error, format!("vfio-user:/run/nic.sock: process {pid} has the adapter: {said}"));
        drop(note);
        assert!(beside(&journal).exists() && check(&function, Some(&journal)).is_ok(), "its program is gone");
    }
}
