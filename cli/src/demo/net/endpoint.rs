//! A machine of the demo: a network namespace with one Ethernet interface, a TAP device, whose cable is in our hands.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use nix::unistd::gettid;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::namespaces::{Forbidden, enter_new_network};
use super::netlink::Netlink;
use crate::demo::cast::Party;

/// Name of the interface inside each namespace.
const INTERFACE: &str = "eth0";

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace, held open by a thread that lives in it.
///
/// Sockets belong for life to the namespace in which they are made, so only their making has to happen on that thread.
pub struct Endpoint {
    jobs: Sender<Job>,
    tap: Arc<SyncDevice>,
    thread_id: i32,
}

/// An endpoint could not be made, or a call in its namespace failed.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The machine forbids it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The interface could not be configured.
    #[error("the interface of {party} could not be configured: {source}")]
    Configure {
        /// Whose.
        party: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
}

impl Endpoint {
    /// Makes the namespace and its interface, with the party's MAC and addresses.
    ///
    /// # Errors
    /// See [`EndpointError`]; whatever was made goes away with its thread.
    pub fn start(party: Party) -> Result<Self, EndpointError> {
        let (jobs, inbox) = channel::<Job>();
        let (ready, made) = sync_channel(1);
        thread::Builder::new()
            .name(party.name().to_owned())
            .spawn(move || {
                let tap = enter_new_network().map_err(EndpointError::from).and_then(|()| open_tap(party));
                let usable = tap.is_ok();
                // The receiver waits for this one message: it cannot be gone.
                let _ = ready.send(tap.map(|tap| (tap, gettid().as_raw())));
                if usable {
                    serve(&inbox);
                }
            })
            .map_err(|source| EndpointError::Configure { party: party.name(), source })?;
        let gone = || EndpointError::Configure { party: party.name(), source: ErrorKind::BrokenPipe.into() };
        let (tap, thread_id) = made.recv().map_err(|_| gone())??;
        Ok(Self { jobs, tap: Arc::new(tap), thread_id })
    }

    /// Runs `job` in the namespace and returns its result.
    ///
    /// # Errors
    /// What `job` returns; [`ErrorKind::BrokenPipe`] if the namespace is gone.
    pub fn within<T: Send + 'static>(&self, job: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let (done, result) = sync_channel(1);
        let job: Job = Box::new(move || {
            // The caller waits below: its receiver is there.
            let _ = done.send(job());
        });
        self.jobs.send(job).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        result.recv().map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?
    }

    /// A packet socket on the interface, as a kernel-bypass application would use it: it sends whole frames that no stack
    /// of the namespace has seen, and it receives every frame that arrives.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn packet_socket(&self) -> io::Result<OwnedFd> {
        self.within(|| {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            Ok(socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?)
        })
    }

    /// A packet socket that only sends.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn injector(&self) -> io::Result<OwnedFd> {
        self.within(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            let injector = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
            bind(injector.as_raw_fd(), &link_address()?)?;
            Ok(injector)
        })
    }

    /// The cable's end: frames that the namespace sends are read here, and frames written here arrive there.
    pub fn tap(&self) -> Arc<SyncDevice> {
        Arc::clone(&self.tap)
    }

    /// The kernel's id of the thread that holds the namespace open.
    pub fn thread_id(&self) -> i32 {
        self.thread_id
    }
}

fn serve(inbox: &Receiver<Job>) {
    for job in inbox {
        job();
    }
}

fn open_tap(party: Party) -> Result<SyncDevice, EndpointError> {
    // tun-rs reports a missing or closed device file and a refused TUNSETIFF alike; both mean that TUN is forbidden.
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(Forbidden::Tun)?;
    let builder = DeviceBuilder::new().name(INTERFACE).layer(Layer::L2).mac_addr(party.mac().0).enable(false);
    let tap = builder.build_sync().map_err(Forbidden::Tun)?;
    let configure = || -> io::Result<()> {
        tap.set_nonblocking(true)?;
        Netlink::open()?.bring_up(tap.if_index()?, &party.networks())
    };
    configure().map_err(|source| EndpointError::Configure { party: party.name(), source })?;
    Ok(tap)
}

fn link_address() -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|interface| interface.interface_name == INTERFACE)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .ok_or_else(|| ErrorKind::AddrNotAvailable.into())
}
