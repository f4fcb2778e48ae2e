//! The driver's side: a function behind a vfio-user socket, as a [`Device`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{debug, error, warn};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::capabilities::{Capabilities, CapabilityError};
use super::socket::{Message, Socket, SocketError};
use super::wire::{self, Command, Errno, Header, MAX_DATA, MAX_FDS, irq, region};
use crate::bar::{MappedBar, Mmio, Region};
use crate::device::pool::{Cause, DmaPool, Mapper};
use crate::device::registers::{self, Registers};
use crate::device::{Device, Interrupt, Model, PciId, config};
use crate::dma::{DEFAULT_WINDOW, DmaBuf, Iova, IovaSpace, MappedMem};
use crate::error::Error;

/// How long the server may take to answer a command. It works through a doorbell's firmware command before it answers.
pub const REPLY: Duration = Duration::from_secs(10);

/// How long the server may take until all is known that is needed to use it, over all commands.
pub const INTRODUCTION: Duration = Duration::from_secs(30);

/// Room for the reply to a region's description, in bytes: the fixed part and a list of areas.
const REGION_INFO_ROOM: u32 = 4096;

/// Why a function behind a socket cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VfioUserError {
    /// There is no connection to a server.
    #[error("{}", not_connected(path, source))]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The server closed the connection before it said anything.
    #[error("the vfio-user server hung up at once: it serves another driver")]
    Busy,
    /// The connection cannot go on.
    #[error("the vfio-user connection is lost")]
    Socket(#[from] SocketError),
    /// The connection was lost earlier.
    #[error("the vfio-user connection was lost before")]
    Lost,
    /// The server refused a command.
    #[error("the vfio-user server refused {command}: {errno}")]
    Refused {
        /// The command.
        command: Command,
        /// The server's reason.
        errno: Errno,
    },
    /// The server did not answer.
    #[error("the vfio-user server did not answer {command} within {} s", REPLY.as_secs())]
    Silent {
        /// The command.
        command: Command,
    },
    /// The server answers, but takes too long until it can be used.
    #[error("the vfio-user server did not say within {} s what it is", INTRODUCTION.as_secs())]
    Slow,
    /// The reply is none to the command.
    #[error("the vfio-user server's reply to {command} has {len} bytes and does not fit")]
    Reply {
        /// The command.
        command: Command,
        /// Length of the reply's body.
        len: usize,
    },
    /// The server speaks another version.
    #[error("the vfio-user server speaks version {major}.{minor}; 0.0 is needed")]
    Version {
        /// The server's major version.
        major: u16,
        /// The server's minor version.
        minor: u16,
    },
    /// The server's limits make no sense.
    #[error("the vfio-user server's version message cannot be read")]
    Capabilities(#[from] CapabilityError),
    /// The server has no PCI function.
    #[error("the vfio-user server's device is not a PCI function")]
    NotPci,
    /// The function is none that nicfw drives.
    #[error("the vfio-user server's function {id} is not a known adapter")]
    Unknown {
        /// The function's id.
        id: PciId,
    },
    /// The function has no registers.
    #[error("the function {id} has no registers: its BAR {bar} is empty")]
    NoRegisters {
        /// The function's id.
        id: PciId,
        /// The BAR that should hold them.
        bar: u32,
    },
}

/// A PCI function behind a vfio-user socket.
pub struct VfioUser {
    pool: Arc<DmaPool<Arc<Connection>>>,
    connection: Arc<Connection>,
    id: PciId,
    bar: Arc<dyn Mmio>,
    vectors: u32,
}

/// What the device, its registers and its DMA buffers share.
#[derive(Debug)]
struct Connection {
    link: Mutex<Link>,
    /// First IOVA -> memory: what the server may ask for by message.
    windows: Mutex<BTreeMap<u64, Arc<MappedMem>>>,
}

#[derive(Debug)]
struct Link {
    /// `None` once the connection is lost.
    socket: Option<Socket>,
    next_id: u16,
    /// When the introduction has to be over; `None` once it is.
    until: Option<Instant>,
}

impl VfioUser {
    /// Connects to the server that listens at `path`, and makes the function a bus master.
    ///
    /// # Errors
    /// [`VfioUserError`]. The function is as before.
    pub fn open(path: &Path) -> Result<Self, VfioUserError> {
        Self::over(connect(path).map_err(|source| VfioUserError::Connect { path: path.to_owned(), source })?)
    }

    /// Speaks over a connected socket.
    ///
    /// # Errors
    /// [`VfioUserError`]. The function is as before.
    pub fn over(stream: UnixStream) -> Result<Self, VfioUserError> {
        let connection = Arc::new(Connection {
            link: Mutex::new(Link {
                socket: Some(Socket::new(stream)?),
                next_id: 0,
                until: Instant::now().checked_add(INTRODUCTION),
            }),
            windows: Mutex::default(),
        });
        connection.agree_on_version()?;
        let asked = wire::DeviceInfo { argsz: wire::argsz::<wire::DeviceInfo>(), ..Default::default() };
        let info: wire::DeviceInfo = connection.ask(Command::DEVICE_GET_INFO, &[asked.as_bytes()])?;
        if info.flags.get() & wire::DEVICE_IS_PCI == 0 || info.num_regions.get() <= region::CONFIG {
            return Err(VfioUserError::NotPci);
        }
        let mut ids = [0; 4];
        connection.region_read(region::CONFIG, config::VENDOR_ID, &mut ids)?;
        let [v0, v1, d0, d1] = ids;
        let id = PciId { vendor: u16::from_le_bytes([v0, v1]), device: u16::from_le_bytes([d0, d1]) };
        let model = Model::of(id).ok_or(VfioUserError::Unknown { id })?;
        let bar = connection.registers(id, model.register_bar)?;
        let vectors = if info.num_irqs.get() > irq::MSIX { connection.vectors()? } else { 0 };
        connection.become_bus_master()?;
        connection.link().until = None;
        let pool = Arc::new(DmaPool::new(Arc::clone(&connection), IovaSpace::new([DEFAULT_WINDOW])));
        Ok(Self { pool, connection, id, bar, vectors })
    }

    /// Reads the function's configuration space.
    ///
    /// # Errors
    /// [`VfioUserError`] when the server refuses or is gone.
    pub fn read_config(&self, offset: u64, into: &mut [u8]) -> Result<(), VfioUserError> {
        self.connection.region_read(region::CONFIG, offset, into)
    }
}

impl Connection {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<MappedMem>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command and returns its reply. A connection that breaks is given up for good.
    fn call(&self, command: Command, parts: &[&[u8]], fds: &[BorrowedFd<'_>]) -> Result<Message, VfioUserError> {
        let mut link = self.link();
        let id = link.next_id;
        link.next_id = id.wrapping_add(1);
        let socket = link.socket.as_ref().ok_or(VfioUserError::Lost)?;
        let outcome = self.exchange(socket, id, command, parts, fds, link.until);
        if let Err(e @ (VfioUserError::Socket(_) | VfioUserError::Silent { .. } | VfioUserError::Slow)) = &outcome {
            error!("the vfio-user connection is given up: {e}");
            link.socket = None;
        }
        let reply = outcome?;
        if reply.header.flags.get() & wire::ERROR != 0 {
            return Err(VfioUserError::Refused { command, errno: Errno(reply.header.error.get()) });
        }
        Ok(reply)
    }

    fn exchange(
        &self,
        socket: &Socket,
        id: u16,
        command: Command,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
        until: Option<Instant>,
    ) -> Result<Message, VfioUserError> {
        socket.send(header(id, command, wire::TYPE_COMMAND, Errno(0)), parts, fds)?;
        let reply = Instant::now() + REPLY;
        let deadline = until.map_or(reply, |until| until.min(reply));
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let Some(message) = socket.receive(left)? else { break };
            if message.header.is_command() {
                self.serve(socket, &message)?;
            } else if message.header.id.get() == id && message.command() == command && message.header.is_reply() {
                return Ok(message);
            } else {
                warn!("a vfio-user reply to {} that was not asked for is skipped", message.command());
            }
        }
        Err(if deadline < reply { VfioUserError::Slow } else { VfioUserError::Silent { command } })
    }

    /// Answers a command of the server: it may read and write the memory that was shared with it by message too.
    fn serve(&self, socket: &Socket, message: &Message) -> Result<(), SocketError> {
        let (id, command) = (message.header.id.get(), message.command());
        let outcome = match wire::DmaAccess::read_from_prefix(&message.body) {
            Ok((access, data)) => self.shared_memory(command, &access, data).map(|bytes| (access, bytes)),
            Err(_) => Err(Errno::ENOSYS),
        };
        if message.header.flags.get() & wire::NO_REPLY != 0 {
            return Ok(());
        }
        match outcome {
            Ok((access, bytes)) => {
                socket.send(header(id, command, wire::TYPE_REPLY, Errno(0)), &[access.as_bytes(), &bytes], &[])
            }
            Err(errno) => {
                debug!("the vfio-user server's {command} is refused: {errno}");
                socket.send(header(id, command, wire::TYPE_REPLY | wire::ERROR, errno), &[], &[])
            }
        }
    }

    fn shared_memory(&self, command: Command, access: &wire::DmaAccess, data: &[u8]) -> Result<Vec<u8>, Errno> {
        let windows = self.windows();
        let (first, memory) = windows.range(..=access.address.get()).next_back().ok_or(Errno::EFAULT)?;
        let offset = usize::try_from(access.address.get() - first).map_err(|_| Errno::EFAULT)?;
        let count = usize::try_from(access.count.get()).ok().filter(|count| *count <= MAX_DATA).ok_or(Errno::EINVAL)?;
        match command {
            Command::DMA_READ => {
                let mut bytes = vec![0; count];
                memory.read(offset, &mut bytes).map(|()| bytes).ok_or(Errno::EFAULT)
            }
            Command::DMA_WRITE if data.len() == count => {
                memory.write(offset, data).map(|()| Vec::new()).ok_or(Errno::EFAULT)
            }
            Command::DMA_WRITE => Err(Errno::EINVAL),
            _ => Err(Errno::ENOSYS),
        }
    }

    /// Sends a command whose reply begins with a `T`.
    fn ask<T>(&self, command: Command, parts: &[&[u8]]) -> Result<T, VfioUserError>
    where
        T: FromBytes + KnownLayout + Immutable + Unaligned,
    {
        let reply = self.call(command, parts, &[])?;
        let head = T::read_from_prefix(&reply.body);
        head.map(|(head, _)| head).map_err(|_| VfioUserError::Reply { command, len: reply.body.len() })
    }

    fn agree_on_version(&self) -> Result<(), VfioUserError> {
        let ours = Capabilities { max_msg_fds: MAX_FDS as u64, ..Capabilities::default() };
        let version = wire::Version { major: wire::MAJOR.into(), minor: wire::MINOR.into() };
        let reply = self.call(Command::VERSION, &[version.as_bytes(), &ours.to_bytes()], &[]).map_err(|e| match e {
            VfioUserError::Socket(SocketError::Closed) => VfioUserError::Busy,
            other => other,
        })?;
        let told = wire::Version::read_from_prefix(&reply.body);
        let len = reply.body.len();
        let (told, text) = told.map_err(|_| VfioUserError::Reply { command: Command::VERSION, len })?;
        let (major, minor) = (told.major.get(), told.minor.get());
        if (major, minor) != (wire::MAJOR, wire::MINOR) {
            return Err(VfioUserError::Version { major, minor });
        }
        // The server's limits are far above what is sent here; the text is read so that a broken one is found early.
        Ok(Capabilities::parse(text).map(drop)?)
    }

    fn registers(self: &Arc<Self>, id: PciId, bar: u32) -> Result<Arc<dyn Mmio>, VfioUserError> {
        let asked = wire::RegionInfo { argsz: REGION_INFO_ROOM.into(), index: bar.into(), ..Default::default() };
        let command = Command::DEVICE_GET_REGION_INFO;
        let reply = self.call(command, &[asked.as_bytes()], &[])?;
        let len = reply.body.len();
        let head = wire::RegionInfo::read_from_prefix(&reply.body);
        let (info, _) = head.map_err(|_| VfioUserError::Reply { command, len })?;
        let len = usize::try_from(info.size.get()).ok().filter(|len| *len > 0);
        let len = len.ok_or(VfioUserError::NoRegisters { id, bar })?;
        let region = Messages { connection: Arc::clone(self), region: bar, len };
        // A file that the server could cut short is not mapped: messages reach the registers as well.
        let map = |start, len| {
            let file = reply.fds.first()?.as_fd();
            let start = info.offset.get().checked_add(start)?;
            let holds = MappedBar::seals_hold(file, start.checked_add(to_u64(len))?);
            holds.then(|| MappedBar::map(file, start, len).ok())?
        };
        Ok(Arc::new(Registers::new(region, &registers::areas(&info, &reply.body), map)))
    }

    fn vectors(&self) -> Result<u32, VfioUserError> {
        let asked =
            wire::IrqInfo { argsz: wire::argsz::<wire::IrqInfo>(), index: irq::MSIX.into(), ..Default::default() };
        let info: wire::IrqInfo = self.ask(Command::DEVICE_GET_IRQ_INFO, &[asked.as_bytes()])?;
        let eventfd = info.flags.get() & wire::IRQ_EVENTFD != 0;
        Ok(if eventfd { info.count.get() } else { 0 })
    }

    fn become_bus_master(&self) -> Result<(), VfioUserError> {
        let mut command = [0; 2];
        self.region_read(region::CONFIG, config::COMMAND, &mut command)?;
        let wanted = u16::from_le_bytes(command) | config::MEMORY_SPACE | config::BUS_MASTER;
        self.region_write(region::CONFIG, config::COMMAND, &wanted.to_le_bytes())
    }

    fn region_read(&self, region: u32, offset: u64, into: &mut [u8]) -> Result<(), VfioUserError> {
        let command = Command::REGION_READ;
        let access = access(region, offset, into.len());
        let reply = self.call(command, &[access.as_bytes()], &[])?;
        let wrong = || VfioUserError::Reply { command, len: reply.body.len() };
        let (told, data) = wire::RegionAccess::read_from_prefix(&reply.body).map_err(|_| wrong())?;
        if told != access || data.len() != into.len() {
            return Err(wrong());
        }
        into.copy_from_slice(data);
        Ok(())
    }

    fn region_write(&self, region: u32, offset: u64, from: &[u8]) -> Result<(), VfioUserError> {
        let access = access(region, offset, from.len());
        let told: wire::RegionAccess = self.ask(Command::REGION_WRITE, &[access.as_bytes(), from])?;
        if told != access {
            return Err(VfioUserError::Reply { command: Command::REGION_WRITE, len: size_of_val(&told) });
        }
        Ok(())
    }
}

impl Mapper for Arc<Connection> {
    fn map(&self, iova: Iova, memory: &Arc<MappedMem>, file: BorrowedFd<'_>) -> Result<(), Cause> {
        let map = wire::DmaMap {
            argsz: wire::argsz::<wire::DmaMap>(),
            flags: (wire::DMA_READABLE | wire::DMA_WRITEABLE).into(),
            offset: 0.into(),
            address: iova.0.into(),
            size: to_u64(memory.len()).into(),
        };
        self.windows().insert(iova.0, Arc::clone(memory));
        let mapped = self.call(Command::DMA_MAP, &[map.as_bytes()], &[file]);
        if mapped.is_err() {
            self.windows().remove(&iova.0);
        }
        Ok(mapped.map(drop)?)
    }

    fn unmap(&self, iova: Iova, len: usize) -> Result<(), Cause> {
        self.windows().remove(&iova.0);
        let unmap = wire::DmaUnmap {
            argsz: wire::argsz::<wire::DmaUnmap>(),
            flags: 0.into(),
            address: iova.0.into(),
            size: to_u64(len).into(),
        };
        match self.call(Command::DMA_UNMAP, &[unmap.as_bytes()], &[]) {
            // A server that is gone has lost the window with the connection.
            Ok(_) | Err(VfioUserError::Lost | VfioUserError::Socket(_)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

impl Device for VfioUser {
    fn pci_id(&self) -> PciId {
        self.id
    }

    fn bar(&self) -> Arc<dyn Mmio> {
        Arc::clone(&self.bar)
    }

    fn dma_alloc(&self, len: usize, align: usize) -> Result<Arc<dyn DmaBuf>, Error> {
        self.pool.alloc(len, align)
    }

    fn reset(&self) -> Result<(), Error> {
        let reset = self.connection.call(Command::DEVICE_RESET, &[], &[]);
        // A reset clears the command register.
        reset.and_then(|_| self.connection.become_bus_master()).map_err(|e| {
            error!("the function was not reset: {e}");
            Error::Reset
        })
    }

    fn interrupts(&self, count: usize) -> Result<Vec<Interrupt>, Error> {
        let most = usize::try_from(self.vectors).unwrap_or(usize::MAX);
        let connect = |vector| {
            let interrupt = Interrupt::new().map_err(|e| Error::Interrupt { vector, source: Box::new(e) })?;
            let set = wire::IrqSet {
                argsz: wire::argsz::<wire::IrqSet>(),
                flags: (wire::IRQ_DATA_EVENTFD | wire::IRQ_ACTION_TRIGGER).into(),
                index: irq::MSIX.into(),
                start: vector.into(),
                count: 1.into(),
            };
            let set = self.connection.call(Command::DEVICE_SET_IRQS, &[set.as_bytes()], &[interrupt.as_fd()]);
            set.map_err(|e| Error::Interrupt { vector, source: Box::new(e) })?;
            Ok(interrupt)
        };
        (0..self.vectors).take(count.min(most)).map(connect).collect()
    }
}

impl fmt::Debug for VfioUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VfioUser").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One BAR, by message.
#[derive(Debug)]
struct Messages {
    connection: Arc<Connection>,
    region: u32,
    len: usize,
}

impl Region for Messages {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, off: usize, into: &mut [u8]) -> io::Result<()> {
        self.connection.region_read(self.region, to_u64(off), into).map_err(io::Error::other)
    }

    fn write(&self, off: usize, from: &[u8]) -> io::Result<()> {
        self.connection.region_write(self.region, to_u64(off), from).map_err(io::Error::other)
    }
}

/// Connects without waiting: a server that listens and accepts nobody keeps nobody waiting.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket.into())
}

fn not_connected(path: &Path, source: &io::Error) -> String {
    let path = path.display();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no vfio-user server at {path}: start one with `nicfw-model serve --socket PATH`")
        }
        io::ErrorKind::PermissionDenied => {
            format!("the vfio-user socket {path} may not be used: run as a user who may write to it, as its server's")
        }
        io::ErrorKind::WouldBlock => {
            format!("the vfio-user server at {path} accepts nobody: it is stopped, or serves another driver")
        }
        _ => format!("the vfio-user socket {path} cannot be connected to"),
    }
}

fn header(id: u16, command: Command, flags: u32, error: Errno) -> Header {
    Header { id: id.into(), command: command.0.into(), size: 0.into(), flags: flags.into(), error: error.0.into() }
}

fn access(region: u32, offset: u64, count: usize) -> wire::RegionAccess {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    wire::RegionAccess { offset: offset.into(), region: region.into(), count: count.into() }
}

/// A length of this process as it stands in a message: no supported target has addresses wider than 64 bits.
fn to_u64(len: usize) -> u64 {
    len as u64
}

#[cfg(test)]
mod tests;
