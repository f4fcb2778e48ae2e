//! The real thing: Linux network namespaces, their kernel's stacks, and TAP devices as cables to the adapter.

mod endpoint;
mod fabric;
mod namespaces;
mod netlink;
mod sockets;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use endpoint::EndpointError;

use self::endpoint::Endpoint;
use self::fabric::Fabric;
use self::sockets::{Receiver, Tcp};
use super::cast::Party;
use super::exchange::{Crossing, Lab, Nonce, Probe, Switch};
use super::frames;

/// Nothing has crossed for this long: the kernels have said all they had to say at once. It bounds how long a probe lasts
/// whose frames the adapter dropped; what is delivered is not waited for with it.
const QUIET: Duration = Duration::from_millis(25);
/// How long a receiver's socket is left alone between two looks at it.
const GLANCE: Duration = Duration::from_millis(1);

/// The parties' namespaces, and the cables between them and the adapter.
pub struct Network {
    fabric: Fabric,
    endpoints: BTreeMap<Party, Endpoint>,
}

impl Network {
    /// Makes all namespaces inside a user namespace of the process's own, and plugs them into the adapter.
    ///
    /// Call it before the process has a second thread.
    ///
    /// # Errors
    /// [`EndpointError`]; [`namespaces::Forbidden`] where the machine does not allow it. Nothing is left behind.
    pub fn start(switch: Arc<Mutex<dyn Switch>>) -> Result<Self, EndpointError> {
        namespaces::become_root_of_own()?;
        let mut endpoints = BTreeMap::new();
        for party in Party::ALL {
            endpoints.insert(party, Endpoint::start(party)?);
        }
        let taps = endpoints.iter().map(|(party, endpoint)| (*party, endpoint.tap())).collect();
        let fabric =
            Fabric::start(taps, switch).map_err(|source| EndpointError::Configure { party: "cables", source })?;
        Ok(Self { fabric, endpoints })
    }

    /// Commands that open a shell in each namespace, for as long as this process lives.
    pub fn ways_in(&self) -> Vec<(Party, String)> {
        let process = std::process::id();
        let enter = |endpoint: &Endpoint| {
            let thread = endpoint.thread_id();
            format!(
                "nsenter --preserve-credentials --user=/proc/{process}/ns/user --net=/proc/{process}/task/{thread}/ns/net"
            )
        };
        self.endpoints.iter().map(|(party, endpoint)| (*party, enter(endpoint))).collect()
    }

    fn at(&self, party: Option<Party>) -> io::Result<&Endpoint> {
        let missing = || io::Error::other("the probe names an address that no party of the demo has");
        party.and_then(|party| self.endpoints.get(&party)).ok_or_else(missing)
    }

    /// Waits until `arrived` says so, or until the adapter has dropped the last frame and nothing more comes.
    fn watch(&self, mark: usize, mut arrived: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
        let deadline = sockets::deadline();
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            if arrived()? {
                return Ok(true);
            }
            let (crossed, passed) = self.fabric.since(mark);
            if crossed != seen {
                (seen, since) = (crossed, Instant::now());
            }
            let stopped = crossed > 0 && !passed && since.elapsed() > QUIET;
            if stopped || Instant::now() > deadline {
                return arrived();
            }
            self.fabric.wait_for_any(mark + seen, GLANCE);
        }
    }

    fn watch_for(&self, mark: usize, receiver: &mut Receiver, nonce: Nonce) -> io::Result<bool> {
        self.watch(mark, || {
            while let Some(bytes) = receiver()? {
                if nonce.is_in(&bytes) {
                    return Ok(true);
                }
                if bytes.is_empty() {
                    break;
                }
            }
            Ok(false)
        })
    }

    fn tcp(&self, mark: usize, from: SocketAddr, to: SocketAddr, nonce: Nonce) -> io::Result<bool> {
        let (sender, receiver) = (self.at(Party::of(from.ip()))?, self.at(Party::of(to.ip()))?);
        let mut connection = Tcp::start(sender, from, receiver, to)?;
        let delivered = self.watch(mark, || connection.poll(nonce))?;
        if delivered {
            let mut answer = connection.answer(nonce)?;
            self.watch_for(mark, &mut answer, nonce)?;
        }
        connection.abort()?;
        Ok(delivered)
    }

    fn udp(&self, mark: usize, from: SocketAddr, to: SocketAddr, payload: &[u8], nonce: Nonce) -> io::Result<bool> {
        let (sender, receiver) = (self.at(Party::of(from.ip()))?, self.at(Party::of(to.ip()))?);
        let (sender, receiver) = sockets::udp((sender, from), (receiver, to), payload)?;
        let mut incoming = sockets::datagrams(receiver.try_clone()?);
        let delivered = self.watch_for(mark, &mut incoming, nonce)?;
        if delivered {
            receiver.send_to(&nonce.payload(0), from)?;
            self.watch_for(mark, &mut sockets::datagrams(sender), nonce)?;
        }
        Ok(delivered)
    }

    fn group(&self, mark: usize, probe: &Probe, nonce: Nonce) -> io::Result<bool> {
        let Probe::Group { from, listener, group } = *probe else { return Ok(false) };
        let IpAddr::V4(address) = group.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
        let (sender, receiver) = (self.at(Party::of(from.ip()))?, self.at(Some(listener))?);
        let to = (address, group.port());
        let (_sender, mut incoming) = sockets::group((sender, from), (receiver, listener), to, &nonce.payload(0))?;
        self.watch_for(mark, &mut incoming, nonce)
    }

    fn raw(&self, mark: usize, from: Party, to: Party, frame: &[u8], nonce: Nonce) -> io::Result<bool> {
        let mut incoming = sockets::raw(self.at(Some(from))?, self.at(Some(to))?, frame)?;
        self.watch_for(mark, &mut incoming, nonce)
    }

    /// An ARP request has no room for a nonce: it is recognised as a whole, behind the padding that nobody adds here.
    fn arp(&self, mark: usize, from: Party, to: Party) -> io::Result<bool> {
        let frame = frames::arp_request(from, to);
        let mut incoming = sockets::raw(self.at(Some(from))?, self.at(Some(to))?, &frame)?;
        self.watch(mark, || Ok(std::iter::from_fn(|| incoming().transpose()).flatten().any(|seen| seen == frame)))
    }
}

impl Lab for Network {
    fn run(&mut self, probe: &Probe, nonce: Nonce) -> io::Result<bool> {
        let mark = self.fabric.mark();
        let delivered = match *probe {
            Probe::Tcp { from, to } => self.tcp(mark, from, to, nonce)?,
            Probe::Udp { from, to, len } => self.udp(mark, from, to, &nonce.payload(len), nonce)?,
            Probe::Group { .. } => self.group(mark, probe, nonce)?,
            Probe::Ping { from, to, len } => {
                let (sender, receiver) = (self.at(Party::of(from))?, self.at(Party::of(to))?);
                let mut incoming = sockets::ping((sender, from), (receiver, to), &nonce.payload(len))?;
                self.watch_for(mark, &mut incoming, nonce)?
            }
            Probe::Arp { from, to } => self.arp(mark, from, to)?,
            Probe::Raw { from, to, frame } => {
                let frame = sockets::raw_frame(&frame, to, nonce)?;
                self.raw(mark, from, to, &frame, nonce)?
            }
        };
        self.fabric.wait_for_quiet(QUIET, sockets::PATIENCE);
        Ok(delivered)
    }

    fn crossed(&self) -> usize {
        self.fabric.mark()
    }

    fn crossings(&self, numbers: Range<usize>) -> Vec<Crossing> {
        self.fabric.between(numbers)
    }
}
