//! The socket file that clients connect to.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

/// Why no socket could be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another server listens there.
    #[error("{} is in use: another server answers there", path.display())]
    InUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something that is no socket has the name.
    #[error("{} exists and is not a socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("no socket at {}", path.display())]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// A socket file, open to its owner only. Removed on drop.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`. A file that a dead server left behind is replaced.
    ///
    /// # Errors
    /// [`BindError`]; a living server keeps its socket.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(BindError::NoSocket { path: path.to_owned() });
            }
            if UnixStream::connect(path).is_ok() {
                return Err(BindError::InUse { path: path.to_owned() });
            }
            fs::remove_file(path).map_err(failed)?;
        }
        // Bound under another name first: nobody can connect before the permissions are set.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let unfinished = Path::new(&name);
        let listener = UnixListener::bind(unfinished).map_err(failed)?;
        let made = listener
            .set_nonblocking(true)
            .and_then(|()| fs::set_permissions(unfinished, Permissions::from_mode(0o600)))
            .and_then(|()| fs::hard_link(unfinished, path));
        let removed = fs::remove_file(unfinished);
        match made.and(removed) {
            Ok(()) => Ok(Self { listener, path: path.to_owned() }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(BindError::InUse { path: path.to_owned() }),
            Err(e) => Err(failed(e)),
        }
    }

    /// Waits up to `wait` for a client.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn accept(&self, wait: Duration) -> io::Result<Option<UnixStream>> {
        let wait = Timespec::try_from(wait).ok();
        match rustix::event::poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], wait.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        match self.listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.path) {
            log::warn!("the socket {} was left behind: {e}", self.path.display());
        }
    }
}
