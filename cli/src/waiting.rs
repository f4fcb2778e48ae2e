//! A change that waits for its confirmation: the program that made it holds the adapter and the journal, so whoever
//! confirms asks that program, over a socket beside the journal.
//!
//! The connection is the request. The answer is one line, `confirmed 12`, or why not.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nicfw::journal::Reason;
use nicfw::text::escaped;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::failure::Failure;
use crate::input;
use crate::session::Session;

/// How often what is due is looked for.
const TICK: Duration = Duration::from_millis(500);

/// Longest answer, in bytes.
const LONGEST_ANSWER: usize = 1000;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The change stays.
    Confirmed,
    /// The time was over.
    RolledBack,
    /// Somebody has stopped the program: the change is taken back.
    Stopped,
}

/// The socket beside a journal. It goes when the value does.
struct Bell {
    path: PathBuf,
    listener: UnixListener,
}

impl Bell {
    fn hang(journal: &Path) -> io::Result<Self> {
        let path = beside(journal);
        // The journal's lock is held: whoever listened here before is gone.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { path, listener })
    }

    /// Waits for somebody, not much longer than a tick.
    fn rings(&self) -> io::Result<Option<UnixStream>> {
        let timeout = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match self.listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!("{}: {error}", self.path.display());
        }
    }
}

fn beside(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".confirm");
    name.into()
}

/// Waits until the change is confirmed or taken back. A lost terminal (SIGHUP) ends nothing: the change that cut it off is
/// taken back in time.
///
/// # Errors
/// The change could not be taken back; or the socket cannot be had, and the change is taken back.
pub fn wait(session: &mut Session) -> Result<Ended, Failure> {
    let (stopped, ignored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stopped))?;
    }
    signal_hook::flag::register(SIGHUP, ignored)?;
    let bell = match Bell::hang(session.file()) {
        Ok(bell) => bell,
        Err(error) => {
            back(session, "nobody could have confirmed it")?;
            return Err(Failure::usage(format!(
                "{}: {error}; the change is taken back",
                beside(session.file()).display()
            )));
        }
    };
    if let Some(open) = session.firewall()?.journal().status().confirm {
        session.say(&format!("nicfw apply waits until {} for nicfw confirm of change {}", open.by, open.change));
    }
    loop {
        if stopped.load(Ordering::Relaxed) {
            back(session, "the program that waited for its confirmation was stopped")?;
            return Ok(Ended::Stopped);
        }
        if let Some(stream) = bell.rings()? {
            let confirmed = session.firewall_mut()?.confirm();
            let answer = match &confirmed {
                Ok(change) => format!("confirmed {change}\n"),
                Err(error) => format!("{error}\n"),
            };
            // The change stays, whether or not the one who asked is still there.
            if let Err(error) = (&stream).write_all(answer.as_bytes()) {
                log::warn!("whoever confirmed is gone: {error}");
            }
            if confirmed.is_ok() {
                return Ok(Ended::Confirmed);
            }
        }
        let poll = session.firewall_mut()?.poll().map_err(|e| session.failed(&e))?;
        if poll.rolled_back.is_some() {
            return Ok(Ended::RolledBack);
        }
    }
}

/// Takes the change back before its time.
fn back(session: &mut Session, why: &str) -> Result<(), Failure> {
    let Some(open) = session.firewall()?.journal().status().confirm else { return Ok(()) };
    let why = Reason::from(format!("change {}: {why}", open.change));
    session.firewall_mut()?.rollback(open.back_to, why).map(drop).map_err(|e| session.failed(&e))
}

/// Asks the program that waits. `None` if none does.
///
/// # Errors
/// It does not confirm, or does not answer.
pub fn ask(journal: &Path) -> Result<Option<u64>, Failure> {
    let mut stream = match connect(&beside(journal)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(Failure::usage(format!("{}: {error}", input::name(&beside(journal))))),
    };
    let answer = answer(&mut stream, ANSWER)?;
    match answer.strip_prefix("confirmed ").and_then(|number| number.parse().ok()) {
        Some(change) => Ok(Some(change)),
        None if answer.is_empty() => Err(Failure::usage("the program that waits for the confirmation did not answer")),
        None => Err(Failure::usage(escaped(&answer))),
    }
}

/// Connects without waiting: who listens and accepts nobody keeps nobody waiting.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(OwnedFd::from(socket).into())
}

/// One line, whatever pace it comes at.
fn answer(stream: &mut UnixStream, within: Duration) -> Result<String, Failure> {
    let deadline = Instant::now() + within;
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_ANSWER && !bytes.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::usage("the program that waits for the confirmation does not answer"));
        }
        stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 256];
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => bytes.extend(piece.iter().take(read)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(LONGEST_ANSWER);
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
