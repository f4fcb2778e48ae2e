//! The server's side of vfio-user: gives a [`Function`] to a client, such as QEMU's `vfio-user-pci`.
//!
//! One [`Session`] is one client from its version message to its hang-up. Every command is checked here, against the
//! [`Shape`] of the function, before the function sees anything: it is asked only for naturally aligned accesses of 1, 2,
//! 4 or 8 bytes inside its regions. A command that nobody knows, or that makes no sense, is refused with an error number
//! and the session goes on; only broken framing ends it.
//!
//! What a command sets off is done before its reply is sent, so a driver that rings a doorbell finds the answer in its
//! memory. The exception: a client that shares its memory without a single descriptor gets the reply to a write first, as
//! it does not answer DMA messages while it waits.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, trace, warn};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use nicfw::device::vfio_user::capabilities::Capabilities;
use nicfw::device::vfio_user::socket::{Message, Socket, SocketError};
use nicfw::device::vfio_user::wire::{self, Command, Errno, MAX_DATA, MAX_FDS, irq, region};

use super::function::{Function, Host, RegionShape, Shape};
use super::irqs::Irqs;
use super::link::{self, Link};
use super::memory::{ClientMemory, MAX_WINDOWS};

/// Most bytes of a message that a log line shows.
const TRACED: usize = 48;

/// One client of one function.
#[derive(Debug)]
pub struct Session {
    link: Arc<Link>,
    shape: Shape,
    host: Host,
    greeted: bool,
}

/// What a command is answered with.
#[derive(Debug, Default)]
struct Answer<'a> {
    body: Vec<u8>,
    fd: Option<BorrowedFd<'a>>,
}

impl<'a> Answer<'a> {
    fn of(fixed: &(impl IntoBytes + Immutable)) -> Self {
        Self { body: fixed.as_bytes().to_vec(), fd: None }
    }
}

impl Session {
    /// Begins with a client that has connected. The session belongs to the calling thread.
    ///
    /// # Errors
    /// [`SocketError::Io`] when the socket cannot be used.
    pub fn start(stream: UnixStream, function: &mut dyn Function) -> Result<Self, SocketError> {
        let link = Arc::new(Link::new(Socket::new(stream)?));
        let shape = function.shape();
        let memory = Arc::new(ClientMemory::new(Arc::clone(&link) as _));
        let host = Host { memory, irqs: Arc::new(Irqs::new(shape.irqs)) };
        function.attach(host.clone());
        Ok(Self { link, shape, host, greeted: false })
    }

    /// Serves until the client hangs up.
    ///
    /// # Errors
    /// What ended the session otherwise.
    pub fn serve(mut self, function: &mut dyn Function) -> Result<(), SocketError> {
        let ended = loop {
            match self.step(function, Duration::from_secs(3600)) {
                Ok(_) => {}
                Err(SocketError::Closed) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        self.finish(function);
        ended
    }

    /// Serves at most one command; waits up to `wait` for it. `false` when none came.
    ///
    /// # Errors
    /// [`SocketError::Closed`] when the client has hung up. After any error the session can only be
    /// [finished](Self::finish).
    pub fn step(&mut self, function: &mut dyn Function, wait: Duration) -> Result<bool, SocketError> {
        let Some(message) = self.link.next(wait)? else { return Ok(false) };
        if !message.header.is_command() {
            debug!("a message that is not a command is skipped");
            return Ok(true);
        }
        let command = message.command();
        trace!(
            "{command}, flags {:#x}, {} descriptors: {:02x?}",
            message.header.flags.get(),
            message.fds.len(),
            message.body.get(..message.body.len().min(TRACED)).unwrap_or_default()
        );
        if !self.greeted && command != Command::VERSION {
            self.refuse(&message, Errno::EINVAL)?;
            return Err(SocketError::Closed);
        }
        if command == Command::VERSION {
            return self.greet(&message).map(|()| true);
        }
        if command == Command::REGION_WRITE && self.host.memory.needs_messages() {
            return self.write_after_reply(&message, function).map(|()| true);
        }
        // The reply may carry a descriptor of the shape, so the message is split from what answers it.
        let (header, link) = (message.header, Arc::clone(&self.link));
        let quiet = header.flags.get() & wire::NO_REPLY != 0;
        match self.answer(message, function) {
            Ok(_) if quiet => {}
            Ok(answer) => {
                let fds: Vec<_> = answer.fd.into_iter().collect();
                link.socket().send(link::reply(&header, 0, Errno(0)), &[&answer.body], &fds)?;
            }
            Err(errno) => {
                debug!("{command} refused: {errno}");
                if !quiet {
                    link.socket().send(link::reply(&header, wire::ERROR, errno), &[], &[])?;
                }
            }
        }
        Ok(true)
    }

    /// Windows of memory that the client shares at present.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.host.memory.windows()
    }

    /// Ends the session: the client's memory and eventfds are let go of, the function keeps its state.
    pub fn finish(self, function: &mut dyn Function) {
        self.host.memory.clear();
        self.host.irqs.clear();
        function.detach();
    }

    fn refuse(&self, message: &Message, errno: Errno) -> Result<(), SocketError> {
        debug!("{} refused: {errno}", message.command());
        self.link.socket().send(link::reply(&message.header, wire::ERROR, errno), &[], &[])
    }

    /// Answers the version message; one that cannot be agreed with ends the session.
    fn greet(&mut self, message: &Message) -> Result<(), SocketError> {
        let told = wire::Version::read_from_prefix(&message.body).ok();
        let told = told.filter(|(version, _)| version.major.get() == wire::MAJOR && !self.greeted);
        let theirs = told.and_then(|(_, text)| match Capabilities::parse(text) {
            Ok(capabilities) => Some(capabilities),
            Err(e) => {
                warn!("version refused: {e}");
                None
            }
        });
        let Some(theirs) = theirs else {
            self.refuse(message, Errno::EINVAL)?;
            return Err(SocketError::Closed);
        };
        self.link.set_limit(theirs.max_data_xfer_size);
        let ours = Capabilities {
            max_msg_fds: MAX_FDS as u64,
            max_data_xfer_size: MAX_DATA as u64,
            max_dma_maps: MAX_WINDOWS as u64,
        };
        let version = wire::Version { major: wire::MAJOR.into(), minor: wire::MINOR.into() };
        self.greeted = true;
        let header = link::reply(&message.header, 0, Errno(0));
        self.link.socket().send(header, &[version.as_bytes(), &ours.to_bytes()], &[])
    }

    fn answer(&self, message: Message, function: &mut dyn Function) -> Result<Answer<'_>, Errno> {
        let body = message.body.as_slice();
        match message.command() {
            Command::DMA_MAP => {
                let map = exactly::<wire::DmaMap>(body)?;
                let mut fds = message.fds.into_iter();
                let fd = fds.next();
                if fds.next().is_some() {
                    return Err(Errno::EINVAL);
                }
                self.host.memory.map(&map, fd).map(|()| Answer::default())
            }
            Command::DMA_UNMAP => {
                let unmap = exactly::<wire::DmaUnmap>(body)?;
                self.host.memory.unmap(&unmap).map(|()| Answer::of(&unmap))
            }
            Command::DEVICE_GET_INFO => device_info(body),
            Command::DEVICE_GET_REGION_INFO => self.region_info(body),
            Command::DEVICE_GET_IRQ_INFO => self.irq_info(body),
            Command::DEVICE_SET_IRQS => {
                self.host.irqs.set(body, message.fds)?;
                function.irqs_changed();
                Ok(Answer::default())
            }
            Command::REGION_READ => self.region_read(body, function),
            Command::REGION_WRITE => {
                let (access, data) = self.checked_write(body)?;
                write_pieces(function, &access, data);
                Ok(Answer::of(&access))
            }
            Command::DEVICE_RESET => {
                function.reset();
                Ok(Answer::default())
            }
            Command::DEVICE_GET_REGION_IO_FDS
            | Command::REGION_WRITE_MULTI
            | Command::DEVICE_FEATURE
            | Command::MIG_DATA_READ
            | Command::MIG_DATA_WRITE => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOSYS),
        }
    }

    fn region_info(&self, body: &[u8]) -> Result<Answer<'_>, Errno> {
        let (mut info, _) = wire::RegionInfo::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
        let index = usize::try_from(info.index.get()).map_err(|_| Errno::EINVAL)?;
        let shape = self.shape.regions.get(index).ok_or(Errno::EINVAL)?;
        let room = usize::try_from(info.argsz.get()).unwrap_or(usize::MAX);
        let mut flags = 0;
        let mut caps = Vec::new();
        let mut fd = None;
        if let Some(shape) = shape {
            flags |= wire::REGION_READ;
            if shape.writable {
                flags |= wire::REGION_WRITE;
            }
            if let Some(shared) = &shape.shared {
                flags |= wire::REGION_MMAP | wire::REGION_CAPS;
                caps = sparse_mmap(&shared.areas);
                fd = Some(shared.file.as_fd());
            }
        }
        let fixed = size_of::<wire::RegionInfo>();
        let needed = fixed + caps.len();
        let whole = room >= needed;
        if room < fixed {
            return Err(Errno::EINVAL);
        }
        info.argsz = u32::try_from(needed).map_err(|_| Errno::E2BIG)?.into();
        info.flags = flags.into();
        info.cap_offset = u32::try_from(if whole && !caps.is_empty() { fixed } else { 0 }).unwrap_or(0).into();
        info.size = shape.as_ref().map_or(0, |shape| shape.size).into();
        info.offset = 0.into();
        let mut answer = Answer::of(&info);
        if whole {
            answer.body.extend(caps);
        }
        answer.fd = fd;
        Ok(answer)
    }

    fn irq_info(&self, body: &[u8]) -> Result<Answer<'_>, Errno> {
        let (mut info, _) = wire::IrqInfo::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
        let (count, maskable) = self.host.irqs.describe(info.index.get()).ok_or(Errno::EINVAL)?;
        // Never NORESIZE: a vector can be added without taking the others away, which would lose interrupts.
        let flags = if maskable { wire::IRQ_EVENTFD | wire::IRQ_MASKABLE } else { wire::IRQ_EVENTFD };
        info.argsz = wire::argsz::<wire::IrqInfo>();
        info.flags = flags.into();
        info.count = count.into();
        Ok(Answer::of(&info))
    }

    fn region_read(&self, body: &[u8], function: &mut dyn Function) -> Result<Answer<'_>, Errno> {
        let access = exactly::<wire::RegionAccess>(body)?;
        let (_, count) = self.checked(&access)?;
        let mut answer = Answer::of(&access);
        let fixed = answer.body.len();
        answer.body.resize(fixed + count, 0);
        let data = answer.body.get_mut(fixed..).unwrap_or_default();
        for (offset, at, width) in pieces(access.offset.get(), count) {
            if let Some(into) = data.get_mut(at..at + width) {
                function.read(access.region.get(), offset, into);
            }
        }
        Ok(answer)
    }

    fn checked_write<'m>(&self, body: &'m [u8]) -> Result<(wire::RegionAccess, &'m [u8]), Errno> {
        let (access, data) = wire::RegionAccess::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
        let (shape, count) = self.checked(&access)?;
        if !shape.writable || data.len() != count {
            return Err(Errno::EINVAL);
        }
        Ok((access, data))
    }

    /// A write whose effect may have to send messages to the client, which answers them only when it has its reply.
    fn write_after_reply(&self, message: &Message, function: &mut dyn Function) -> Result<(), SocketError> {
        let (access, data) = match self.checked_write(&message.body) {
            Ok(write) => write,
            Err(errno) => return self.refuse(message, errno),
        };
        if message.header.flags.get() & wire::NO_REPLY == 0 {
            self.link.socket().send(link::reply(&message.header, 0, Errno(0)), &[access.as_bytes()], &[])?;
        }
        write_pieces(function, &access, data);
        Ok(())
    }

    /// The region of an access that lies inside it, and the number of bytes.
    fn checked(&self, access: &wire::RegionAccess) -> Result<(&RegionShape, usize), Errno> {
        let index = usize::try_from(access.region.get()).map_err(|_| Errno::EINVAL)?;
        let shape = self.shape.regions.get(index).and_then(Option::as_ref).ok_or(Errno::EINVAL)?;
        let end = access.offset.get().checked_add(access.count.get().into()).ok_or(Errno::EINVAL)?;
        let count = usize::try_from(access.count.get()).ok().filter(|count| *count <= MAX_DATA);
        match count {
            Some(count) if end <= shape.size => Ok((shape, count)),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl AsFd for Session {
    /// The socket, to be polled together with others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.socket().as_fd()
    }
}

/// A body that is one structure and nothing else.
fn exactly<T: FromBytes + KnownLayout + Immutable + Unaligned>(body: &[u8]) -> Result<T, Errno> {
    T::read_from_bytes(body).map_err(|_| Errno::EINVAL)
}

fn device_info(body: &[u8]) -> Result<Answer<'static>, Errno> {
    let (mut info, _) = wire::DeviceInfo::read_from_prefix(body).map_err(|_| Errno::EINVAL)?;
    info.argsz = wire::argsz::<wire::DeviceInfo>();
    info.flags = (wire::DEVICE_RESETS | wire::DEVICE_IS_PCI).into();
    info.num_regions = region::COUNT.into();
    info.num_irqs = irq::COUNT.into();
    Ok(Answer::of(&info))
}

/// The sparse mmap capability, as the only one of a region.
fn sparse_mmap(areas: &[(u64, u64)]) -> Vec<u8> {
    let head = wire::CapHeader { id: wire::CAP_SPARSE_MMAP.into(), version: 1.into(), next: 0.into() };
    let count = u32::try_from(areas.len()).unwrap_or(u32::MAX);
    let sparse = wire::SparseMmap { nr_areas: count.into(), reserved: 0.into() };
    let mut bytes = [head.as_bytes(), sparse.as_bytes()].concat();
    for (offset, size) in areas {
        bytes.extend(wire::MmapArea { offset: (*offset).into(), size: (*size).into() }.as_bytes());
    }
    bytes
}

fn write_pieces(function: &mut dyn Function, access: &wire::RegionAccess, data: &[u8]) {
    for (offset, at, width) in pieces(access.offset.get(), data.len()) {
        if let Some(from) = data.get(at..at + width) {
            function.write(access.region.get(), offset, from);
        }
    }
}

/// Cuts an access of `count` bytes at `offset` into the largest naturally aligned pieces of at most 8 bytes: offset in
/// the region, offset in the data, width.
fn pieces(offset: u64, count: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + u64::try_from(done).ok()?;
        let fits = |width: &usize| *width <= count - done && at.is_multiple_of(u64::try_from(*width).unwrap_or(1));
        let width = [8, 4, 2, 1].into_iter().find(fits)?;
        done += width;
        Some((at, done - width, width))
    })
}
