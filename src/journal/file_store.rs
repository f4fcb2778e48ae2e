//! A store that is a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Head, JournalError, Store};

/// Longest note of a head that is looked at, in bytes.
const LONGEST_HEAD: u64 = 200;

/// Bytes of a process id with a line's end.
const LONGEST_PID: u64 = 32;

/// A file. While one is open for writing, nobody else opens it so: the file and `FILE.lock`, which tells the writer's
/// process, are locked. `FILE.head` notes the last record.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    /// Where the last record is noted.
    head: PathBuf,
    /// Where the next bytes go.
    end: u64,
    /// Held as long as the store is open; `None` = for reading alone.
    lock: Option<File>,
}

impl FileStore {
    /// Opens a file for the one writer; makes it if it is not there.
    ///
    /// # Errors
    /// [`JournalError::Locked`] if another process writes it, [`JournalError::ReadOnly`], [`JournalError::NotAJournal`] if it
    /// is not a regular file, or the file system's error.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        check_regular(path)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(opening)?;
        // Whoever removes the lock file does not remove this.
        take(&file, path, None)?;
        sync_directory(path).map_err(opening)?;
        let end = file.metadata().map_err(opening)?.len();
        Ok(Self { file, head: beside(path, "head"), end, lock: Some(lock) })
    }

    /// Opens a file for reading; somebody else may be writing it.
    ///
    /// # Errors
    /// As [`FileStore::open`], but never [`JournalError::Locked`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        check_regular(path.as_ref())?;
        let file = File::open(path.as_ref()).map_err(|source| JournalError::Store { op: "open", source })?;
        let end = file.metadata().map_err(opening)?.len();
        Ok(Self { file, head: beside(path.as_ref(), "head"), end, lock: None })
    }

    /// Opens a file that must not be there, which nobody else knows of.
    pub(super) fn open_new(path: &Path) -> Result<Self, JournalError> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(opening)?;
        let lock = file.try_clone().map_err(opening)?;
        Ok(Self { file, head: beside(path, "head"), end: 0, lock: Some(lock) })
    }

    fn writable(&self) -> io::Result<()> {
        if self.lock.is_some() { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

pub(super) fn opening(source: io::Error) -> JournalError {
    JournalError::of("open", source)
}

fn check_regular(path: &Path) -> Result<(), JournalError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(JournalError::NotAJournal { what: "it is not a regular file" }),
        _ => Ok(()),
    }
}

/// A path beside another: `FILE.SUFFIX`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Takes the lock file, and writes this process's id into it. The file stays: to remove it would let two in.
fn lock(path: &Path) -> Result<File, JournalError> {
    let name = beside(path, "lock");
    check_regular(&name)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
    let mut file = file.map_err(opening)?;
    take(&file, path, Some(&name))?;
    let told = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    told.map_err(opening)?;
    Ok(file)
}

fn take(file: &File, path: &Path, told_in: Option<&Path>) -> Result<(), JournalError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let name = told_in.map_or_else(|| beside(path, "lock"), Path::to_owned);
            let pid = crate::file::read(&name, LONGEST_PID)
                .ok()
                .and_then(|text| str::from_utf8(&text).ok()?.trim().parse().ok());
            Err(JournalError::Locked { path: path.to_owned(), pid })
        }
        Err(error) => Err(opening(error.into())),
    }
}

/// Makes the names in a file's directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

impl Store for FileStore {
    fn len(&mut self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.file.write_all_at(bytes, self.end)?;
        self.end = self.end.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writable()?;
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.writable()?;
        self.file.set_len(len)?;
        self.end = len;
        Ok(())
    }

    fn remember(&mut self, head: &Head) -> io::Result<()> {
        self.writable()?;
        check_regular(&self.head).map_err(io::Error::other)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.head)?;
        let text = format!("{head}\n");
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)
    }

    /// A note that a crash has cut tells nothing.
    fn remembered(&mut self) -> io::Result<Option<Head>> {
        check_regular(&self.head).map_err(io::Error::other)?;
        let file = match File::open(&self.head) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(LONGEST_HEAD).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().next().and_then(|line| line.parse().ok()))
    }
}
