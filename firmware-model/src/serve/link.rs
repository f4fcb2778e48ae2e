//! The server's end of the socket: commands in, replies out, and DMA by message in between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use log::warn;
use zerocopy::{FromBytes, IntoBytes};

use super::memory::Courier;
use nicfw::device::vfio_user::capabilities::Capabilities;
use nicfw::device::vfio_user::socket::{Message, Socket, SocketError};
use nicfw::device::vfio_user::wire::{Command, DmaAccess, ERROR, Errno, HEADER_LEN, Header, MAX_DATA, TYPE_COMMAND};
use nicfw::dma::{DmaFault, Iova};

/// How long the client may take to answer a `DMA_READ` or `DMA_WRITE`.
const DMA_REPLY: Duration = Duration::from_secs(2);

/// Most commands that may wait while the client answers.
const MAX_WAITING: usize = 64;

/// The server's end of one connection.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    /// The only thread that receives.
    owner: ThreadId,
    state: Mutex<State>,
    /// Most bytes of data that the client takes in one message.
    limit: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    next_id: u16,
    /// Commands that came while an answer was waited for.
    waiting: VecDeque<Message>,
    /// The stream is out of step: nothing more can be received.
    broken: bool,
}

impl Link {
    /// Serves `socket` on the calling thread.
    pub(super) fn new(socket: Socket) -> Self {
        let limit = AtomicU64::new(Capabilities::default().max_data_xfer_size);
        Self { socket, owner: thread::current().id(), state: Mutex::default(), limit }
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The next command, the oldest first.
    pub(super) fn next(&self, wait: Duration) -> Result<Option<Message>, SocketError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(message) = state.waiting.pop_front() {
            return Ok(Some(message));
        }
        if state.broken {
            return Err(SocketError::Closed);
        }
        drop(state);
        self.socket.receive(wait)
    }

    /// Sends a command to the client and waits for the body of its reply.
    fn ask(&self, command: Command, access: DmaAccess, data: &[u8]) -> Result<Vec<u8>, Failed> {
        // While this thread waits here nobody else may take the reply off the socket.
        if thread::current().id() != self.owner {
            return Err(Failed::OtherThread);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let id = state.next_id;
        state.next_id = id.wrapping_add(1);
        let header = Header {
            id: id.into(),
            command: command.0.into(),
            size: 0.into(),
            flags: TYPE_COMMAND.into(),
            error: 0.into(),
        };
        let deadline = Instant::now() + DMA_REPLY;
        let outcome = self.socket.send(header, &[access.as_bytes(), data], &[]).map_err(Failed::Socket);
        let outcome = outcome.and_then(|()| {
            while let Some(left) = deadline.checked_duration_since(Instant::now()) {
                let Some(message) = self.socket.receive(left).map_err(Failed::Socket)? else { break };
                if message.header.is_reply() && message.header.id.get() == id && message.command() == command {
                    return match message.header.flags.get() & ERROR {
                        0 => Ok(message.body),
                        _ => Err(Failed::Refused(Errno(message.header.error.get()))),
                    };
                }
                if message.header.is_reply() {
                    warn!("a reply to {} that was not asked for is skipped", message.command());
                } else if state.waiting.len() < MAX_WAITING {
                    state.waiting.push_back(message);
                } else {
                    return Err(Failed::Flooded);
                }
            }
            Err(Failed::Silent)
        });
        state.broken |= matches!(outcome, Err(Failed::Socket(_) | Failed::Flooded));
        outcome
    }

    /// Bytes of data in one message to the client.
    fn chunk(&self) -> usize {
        usize::try_from(self.limit.load(Ordering::Relaxed)).unwrap_or(MAX_DATA).clamp(1, MAX_DATA)
    }
}

/// Why DMA by message failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("only the serving thread reaches memory that was shared without a descriptor")]
    OtherThread,
    #[error("the client refused: {0}")]
    Refused(Errno),
    #[error("the client did not answer within {} s", DMA_REPLY.as_secs())]
    Silent,
    #[error("the client sent more than {MAX_WAITING} commands instead of an answer")]
    Flooded,
    #[error("the client's answer does not fit the question")]
    Answer,
    #[error(transparent)]
    Socket(SocketError),
}

impl Courier for Link {
    fn fetch(&self, address: u64, into: &mut [u8]) -> Result<(), DmaFault> {
        let mut next = address;
        for chunk in into.chunks_mut(self.chunk()) {
            let (at, count) = (next, u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            // The window reaches to the end of the access, so only the address behind the last chunk may wrap.
            next = at.wrapping_add(count);
            let access = DmaAccess { address: at.into(), count: count.into() };
            let answer = self.ask(Command::DMA_READ, access, &[]).and_then(|body| {
                let (told, data) = DmaAccess::read_from_prefix(&body).map_err(|_| Failed::Answer)?;
                let fits = told == access && data.len() == chunk.len();
                fits.then(|| chunk.copy_from_slice(data)).ok_or(Failed::Answer)
            });
            answer.map_err(|e| fault(at, chunk.len(), &e))?;
        }
        Ok(())
    }

    fn deliver(&self, address: u64, from: &[u8]) -> Result<(), DmaFault> {
        let mut next = address;
        for chunk in from.chunks(self.chunk()) {
            let (at, count) = (next, u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            next = at.wrapping_add(count);
            let access = DmaAccess { address: at.into(), count: count.into() };
            self.ask(Command::DMA_WRITE, access, chunk).map_err(|e| fault(at, chunk.len(), &e))?;
        }
        Ok(())
    }
}

fn fault(address: u64, len: usize, cause: &Failed) -> DmaFault {
    warn!("DMA by message at {address:#x} failed: {cause}");
    DmaFault { iova: Iova(address), len }
}

/// The header of a reply to `command`.
pub(super) fn reply(command: &Header, flags: u32, error: Errno) -> Header {
    Header {
        id: command.id,
        command: command.command,
        size: u32::try_from(HEADER_LEN).unwrap_or(u32::MAX).into(),
        flags: (nicfw::device::vfio_user::wire::TYPE_REPLY | flags).into(),
        error: error.0.into(),
    }
}
