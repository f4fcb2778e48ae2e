//! Messages on a Unix stream socket: framing, descriptors, and the bounds that hold whatever the peer sends.
//!
//! A message is taken whole or not at all. Its length is checked before memory is set aside for it, at most
//! [`MAX_FDS`] descriptors are taken (the kernel closes the rest), and a peer that stops in the middle of a message, or
//! does not take what is sent to it, is given up after [`STALL`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use zerocopy::{FromBytes, IntoBytes};

use super::wire::{Command, HEADER_LEN, Header, MAX_BODY, MAX_FDS};

/// How long the rest of a message may take once its first byte is there, and how long sending one may take.
pub const STALL: Duration = Duration::from_secs(5);

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The peer closed the connection in the middle of a message.
    #[error("the peer closed the connection {got} bytes into a message of {want}")]
    Cut {
        /// Bytes that came.
        got: usize,
        /// Bytes announced; the header's length where it did not come whole.
        want: usize,
    },
    /// The header announces a length that no message has.
    #[error("a message of {size} bytes was announced; {HEADER_LEN} to {} are allowed", HEADER_LEN + MAX_BODY)]
    Size {
        /// Announced length, header included.
        size: u32,
    },
    /// The peer stopped in the middle of a message, or takes no more.
    #[error("the peer stopped in the middle of a message for {} s", STALL.as_secs())]
    Stalled,
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    Closed,
    /// The kernel refused.
    #[error("the socket failed")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for SocketError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// One message as it came.
#[derive(Debug)]
pub struct Message {
    /// The header. Its length is that of the body; everything else is as the peer sent it.
    pub header: Header,
    /// What follows the header.
    pub body: Vec<u8>,
    /// Descriptors that came with it, at most [`MAX_FDS`].
    pub fds: Vec<OwnedFd>,
}

impl Message {
    /// The command's number.
    #[must_use]
    pub fn command(&self) -> Command {
        self.header.command()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Socket(UnixStream);

impl Socket {
    /// Speaks over `stream`, which becomes non-blocking.
    ///
    /// # Errors
    /// [`SocketError::Io`] when the kernel refuses.
    pub fn new(stream: UnixStream) -> Result<Self, SocketError> {
        stream.set_nonblocking(true)?;
        Ok(Self(stream))
    }

    /// Waits until a message begins or the peer hangs up; `false` when `within` passed without either.
    ///
    /// # Errors
    /// [`SocketError::Io`] when the kernel refuses.
    pub fn wait(&self, within: Duration) -> Result<bool, SocketError> {
        self.poll(PollFlags::IN, Instant::now().checked_add(within))
    }

    /// Receives one message. Waits up to `within` for its first byte, then up to [`STALL`] for the rest; `None` when no
    /// message began.
    ///
    /// # Errors
    /// [`SocketError::Closed`] when the peer has hung up between messages; after any error the connection is unusable.
    pub fn receive(&self, within: Duration) -> Result<Option<Message>, SocketError> {
        if !self.wait(within)? {
            return Ok(None);
        }
        let deadline = Instant::now().checked_add(STALL);
        let mut head = [0; HEADER_LEN];
        let mut fds = Vec::new();
        let mut got = 0;
        while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.take(rest, Some(&mut fds), deadline)? {
                0 if got == 0 => return Err(SocketError::Closed),
                0 => return Err(SocketError::Cut { got, want: HEADER_LEN }),
                more => got += more,
            }
        }
        let header = Header::read_from_bytes(&head).map_err(|_| SocketError::Closed)?;
        let size = header.size.get();
        let len = usize::try_from(size).ok().and_then(|size| size.checked_sub(HEADER_LEN));
        let len = len.filter(|len| *len <= MAX_BODY).ok_or(SocketError::Size { size })?;
        let mut body = vec![0; len];
        let mut got = 0;
        while let Some(rest) = body.get_mut(got..).filter(|rest| !rest.is_empty()) {
            // No room for descriptors: the kernel closes those that come in the middle of a message.
            match self.take(rest, None, deadline)? {
                0 => return Err(SocketError::Cut { got: HEADER_LEN + got, want: HEADER_LEN + len }),
                more => got += more,
            }
        }
        Ok(Some(Message { header, body, fds }))
    }

    /// Sends one message: `header` with its length filled in, the `parts` of its body, and `fds` (at most [`MAX_FDS`]).
    ///
    /// # Errors
    /// After any error the connection is unusable.
    pub fn send(&self, mut header: Header, parts: &[&[u8]], fds: &[BorrowedFd<'_>]) -> Result<(), SocketError> {
        let len = HEADER_LEN + parts.iter().map(|part| part.len()).sum::<usize>();
        let size = u32::try_from(len).unwrap_or(u32::MAX);
        if len > HEADER_LEN + MAX_BODY || fds.len() > MAX_FDS {
            return Err(SocketError::Size { size });
        }
        header.size.set(size);
        let deadline = Instant::now().checked_add(STALL);
        let bytes = [&[header.as_bytes()], parts].concat().concat();
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if sent == 0 && !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(fds));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::sendmsg(&self.0, &[IoSlice::new(rest)], &mut control, flags) {
                Ok(more) => sent += more,
                Err(rustix::io::Errno::AGAIN) if self.poll(PollFlags::OUT, deadline)? => {}
                Err(rustix::io::Errno::AGAIN) => return Err(SocketError::Stalled),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(SocketError::Closed),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Takes what is there, at most `into.len()` bytes; 0 when the peer has hung up.
    fn take(
        &self,
        into: &mut [u8],
        fds: Option<&mut Vec<OwnedFd>>,
        deadline: Option<Instant>,
    ) -> Result<usize, SocketError> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = match fds {
            Some(_) => RecvAncillaryBuffer::new(&mut space),
            None => RecvAncillaryBuffer::default(),
        };
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = loop {
            match rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(into)], &mut control, flags) {
                Ok(received) => break received.bytes,
                Err(rustix::io::Errno::AGAIN) if self.poll(PollFlags::IN, deadline)? => {}
                Err(rustix::io::Errno::AGAIN) => return Err(SocketError::Stalled),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => break 0,
                Err(e) => return Err(e.into()),
            }
        };
        if let Some(fds) = fds {
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    let room = MAX_FDS.saturating_sub(fds.len());
                    fds.extend(received.take(room));
                }
            }
        }
        Ok(got)
    }

    /// Waits for `events` (or a hang-up) until `deadline`, or for ever without one; `false` when it passed.
    fn poll(&self, events: PollFlags, deadline: Option<Instant>) -> Result<bool, SocketError> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match rustix::event::poll(&mut [PollFd::new(&self.0, events)], left.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::vfio_user::wire::TYPE_COMMAND;
    use proptest::prelude::*;
    use std::io::{Read, Write};

    const SOON: Duration = Duration::from_secs(2);

    fn header(command: Command, size: u32) -> Header {
        Header {
            id: 7.into(),
            command: command.0.into(),
            size: size.into(),
            flags: TYPE_COMMAND.into(),
            error: 0.into(),
        }
    }

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Socket::new(ours).unwrap(), theirs)
    }

    #[test]
    fn a_message_travels_with_its_descriptors() {
        let (ours, theirs) = pair();
        let theirs = Socket::new(theirs).unwrap();
        let (pipe, mut end) = io::pipe().unwrap();
        ours.send(header(Command::DMA_MAP, 0), &[b"abc", b"", b"de"], &[end.as_fd(), pipe.as_fd()]).unwrap();
        let message = theirs.receive(SOON).unwrap().unwrap();
        assert_eq!(message.header, header(Command::DMA_MAP, 21));
        assert_eq!(message.body, b"abcde");
        assert_eq!(message.fds.len(), 2);
        end.write_all(b"x").unwrap();
        let mut byte = [0];
        std::fs::File::from(message.fds.into_iter().nth(1).unwrap()).read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x", "the descriptor is the one that was sent");
    }

    #[test]
    fn a_message_in_pieces_is_put_together() {
        let (ours, mut theirs) = pair();
        let bytes = [header(Command::REGION_READ, 20).as_bytes(), &[1, 2, 3, 4]].concat();
        std::thread::scope(|scope| {
            scope.spawn(move || bytes.iter().for_each(|byte| theirs.write_all(&[*byte]).unwrap()));
            assert_eq!(ours.receive(SOON).unwrap().unwrap().body, [1, 2, 3, 4]);
        });
        assert!(matches!(ours.receive(SOON), Err(SocketError::Closed)));
    }

    #[test]
    fn silence_is_no_message_and_a_hang_up_says_where() {
        let (ours, mut theirs) = pair();
        assert!(ours.receive(Duration::ZERO).unwrap().is_none());
        theirs.write_all(&header(Command::VERSION, 100).as_bytes()[..9]).unwrap();
        drop(theirs);
        assert!(matches!(ours.receive(SOON), Err(SocketError::Cut { got: 9, want: 16 })));
        let (ours, mut theirs) = pair();
        theirs.write_all(&[header(Command::VERSION, 100).as_bytes(), b"abc"].concat()).unwrap();
        drop(theirs);
        assert!(matches!(ours.receive(SOON), Err(SocketError::Cut { got: 19, want: 100 })));
    }

    #[test]
    fn an_announced_length_is_checked_before_memory_is_set_aside() {
        for size in [0, 15, u32::try_from(HEADER_LEN + MAX_BODY + 1).unwrap(), u32::MAX] {
            let (ours, mut theirs) = pair();
            theirs.write_all(header(Command::VERSION, size).as_bytes()).unwrap();
            assert!(matches!(ours.receive(SOON), Err(SocketError::Size { size: seen }) if seen == size));
        }
    }

    #[test]
    fn too_many_descriptors_are_closed_not_kept() {
        let (ours, theirs) = pair();
        let (_, end) = io::pipe().unwrap();
        let many = vec![end.as_fd(); 40];
        let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(40))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        let head = header(Command::VERSION, 16);
        let parts = [IoSlice::new(head.as_bytes())];
        rustix::net::sendmsg(&theirs, &parts, &mut control, SendFlags::empty()).unwrap();
        assert!(ours.receive(SOON).unwrap().unwrap().fds.len() <= MAX_FDS);
    }

    #[test]
    fn what_is_too_long_to_send_is_not_begun() {
        let (ours, mut theirs) = pair();
        let long = vec![0; MAX_BODY + 1];
        assert!(matches!(ours.send(header(Command::REGION_READ, 0), &[&long], &[]), Err(SocketError::Size { .. })));
        drop(ours);
        assert_eq!(theirs.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_reader_that_left_is_an_error_not_a_signal() {
        let (ours, theirs) = pair();
        drop(theirs);
        assert!(matches!(ours.send(header(Command::VERSION, 0), &[], &[]), Err(SocketError::Closed)));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_messages_or_a_named_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (ours, mut theirs) = pair();
            theirs.write_all(&bytes).unwrap();
            drop(theirs);
            let mut taken = 0;
            loop {
                match ours.receive(SOON) {
                    Ok(Some(message)) => taken += HEADER_LEN + message.body.len(),
                    Ok(None) => panic!("a closed connection is not silence"),
                    Err(_) => break,
                }
            }
            prop_assert!(taken <= bytes.len());
        }
    }
}
