//! Files that somebody names: read up to a limit, and not waited for without end.
//!
//! A path may lead to a device that never ends, to a pipe into which nobody writes, or to what is no file at all. Whatever
//! it is, memory is bounded by the limit and silence by [`SILENCE`].

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a pipe or device may be silent. Terminals may be so for ever.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system's reason.
    #[error("cannot be read: {0}")]
    System(#[from] io::Error),
    /// A socket is not read.
    #[error("cannot be read: it is a socket")]
    Socket,
    /// A directory is not read.
    #[error("cannot be read: it is a directory")]
    Directory,
    /// It is larger than what is read.
    #[error("has more than {limit} bytes")]
    Large {
        /// What is read at most.
        limit: u64,
    },
}

/// An open file, pipe or device.
#[derive(Debug)]
pub struct Input {
    file: File,
    /// It may have nothing yet.
    waits: Option<Duration>,
}

/// Opens what is at a path.
///
/// # Errors
/// [`FileError`].
pub fn open(path: &Path) -> Result<Input, FileError> {
    open_within(path, SILENCE)
}

fn open_within(path: &Path, silence: Duration) -> Result<Input, FileError> {
    if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return Err(FileError::Socket);
    }
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    // So that a pipe without a writer is opened at once, and waited for below.
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let found = file.metadata()?.file_type();
    if found.is_dir() {
        return Err(FileError::Directory);
    }
    let waits = (!found.is_file() && !file.is_terminal()).then_some(silence);
    if file.is_terminal() {
        rustix::io::ioctl_fionbio(&file, false).map_err(io::Error::from)?;
    }
    Ok(Input { file, waits })
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let input = open(path)?;
    let mut bytes = Vec::new();
    input.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(FileError::Large { limit }) } else { Ok(bytes) }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(silence) = self.waits else { return self.file.read(into) };
        let timeout = Timespec::try_from(silence).map_err(io::Error::other)?;
        loop {
            let ready = match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => continue,
                ready => ready?,
            };
            if ready == 0 {
                let text = format!("nothing was written to it for {} s", silence.as_secs_f32());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn dir() -> std::path::PathBuf {
        let dir =
            std::env::temp_dir().join(format!("nicfw-file-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn fifo(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let path = dir().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "has more than 4 bytes");
        assert_eq!(read(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string(), "has more than 1048576 bytes");
        assert_eq!(read(Path::new("/dev/null"), 0).unwrap(), b"");
    }

    #[test]
    fn what_is_no_file_is_said_to_be_none() {
        let dir = dir();
        assert!(matches!(read(&dir, 9), Err(FileError::Directory)));
        let path = dir.join("socket");
        let _ = std::fs::remove_file(&path);
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(read(&path, 9), Err(FileError::Socket)));
        let error = read(&dir.join("missing"), 9).unwrap_err().to_string();
        assert_eq!(error, "cannot be read: No such file or directory (os error 2)");
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_not_waited_for_without_end() {
        let path = dir().join("pipe");
        let _ = std::fs::remove_file(&path);
        fifo(&path);
        let mut silent = open_within(&path, Duration::from_millis(20)).unwrap();
        let error = silent.read(&mut [0; 9]).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::TimedOut, "nothing was written to it for 0.02 s")
        );
        drop(silent);
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || std::fs::write(path, b"late").unwrap())
        };
        assert_eq!(read(&path, 9).unwrap(), b"late");
        writer.join().unwrap();
    }
}
