//! One probe over real sockets: what is sent, and whether the sockets of both sides have it in the end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::network::{Network, QUIET};
use super::sockets::{self, Receiver, Tcp};
use crate::demo::cast::Party;
use crate::demo::exchange::{Nonce, Probe};
use crate::demo::frames;

/// How long a receiver's socket is left alone between two looks at it.
const GLANCE: Duration = Duration::from_millis(1);

/// A probe under way.
pub struct Attempt<'a> {
    network: &'a Network,
    probe: &'a Probe,
    nonce: Nonce,
    /// Where the log of the cables stood at the start.
    mark: usize,
}

impl<'a> Attempt<'a> {
    /// An attempt that begins here.
    pub fn new(network: &'a Network, probe: &'a Probe, nonce: Nonce) -> Self {
        Self { network, probe, nonce, mark: network.fabric.mark() }
    }

    /// Makes the attempt. True if it was delivered, and answered where the probe asks for an answer.
    pub fn run(&self) -> io::Result<bool> {
        match *self.probe {
            Probe::Tcp { from, to } => self.tcp(from, to),
            Probe::Udp { from, to, len } => self.udp(from, to, len),
            Probe::Group { from, listener, group } => self.group(from, listener, group),
            Probe::Ping { from, to, len } => self.ping(from, to, len),
            Probe::Arp { from, to } => self.arp(from, to),
            Probe::Raw { from, to, frame } => {
                let frame = frames::udp(&frame, to.mac(), &self.nonce.payload(0))?;
                let mut incoming = sockets::raw(self.network.at(Some(from))?, self.network.at(Some(to))?, &frame)?;
                self.arrives(&mut incoming)
            }
        }
    }

    /// Waits until `arrived` says so, or until the adapter has dropped the last of the probe's own frames and nothing more
    /// of it comes.
    fn wait(&self, mut arrived: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
        let fabric = &self.network.fabric;
        let deadline = Instant::now() + sockets::PATIENCE;
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            if arrived()? {
                return Ok(true);
            }
            let mark = fabric.mark();
            let mut own = fabric.between(self.mark..mark);
            own.retain(|crossing| self.probe.owns(crossing));
            if own.len() != seen {
                (seen, since) = (own.len(), Instant::now());
            }
            let dropped = own.last().is_some_and(|last| last.carried.reached.is_empty());
            if (dropped && since.elapsed() > QUIET) || Instant::now() > deadline {
                return arrived();
            }
            fabric.wait_for_any(mark, GLANCE);
        }
    }

    /// Waits until the receiver has the nonce.
    fn arrives(&self, receiver: &mut Receiver) -> io::Result<bool> {
        self.wait(|| {
            while let Some(bytes) = receiver()?.filter(|bytes| !bytes.is_empty()) {
                if self.nonce.is_in(&bytes) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn tcp(&self, from: SocketAddr, to: SocketAddr) -> io::Result<bool> {
        let (sender, receiver) = (self.network.at(Party::of(from.ip()))?, self.network.at(Party::of(to.ip()))?);
        let mut connection = Tcp::start(sender, from, receiver, to)?;
        let mut done = self.wait(|| connection.poll(self.nonce))?;
        if done {
            done = self.arrives(&mut connection.answer(self.nonce)?)?;
        }
        connection.abort()?;
        Ok(done)
    }

    fn udp(&self, from: SocketAddr, to: SocketAddr, len: usize) -> io::Result<bool> {
        let (sender, receiver) = (self.network.at(Party::of(from.ip()))?, self.network.at(Party::of(to.ip()))?);
        let (sender, receiver) = sockets::udp((sender, from), (receiver, to), &self.nonce.payload(len))?;
        if !self.arrives(&mut sockets::datagrams(receiver.try_clone()?))? {
            return Ok(false);
        }
        receiver.send_to(&self.nonce.payload(0), from)?;
        self.arrives(&mut sockets::datagrams(sender))
    }

    fn group(&self, from: SocketAddr, listener: Party, group: SocketAddr) -> io::Result<bool> {
        let IpAddr::V4(address) = group.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
        let (sender, receiver) = (self.network.at(Party::of(from.ip()))?, self.network.at(Some(listener))?);
        let (to, payload) = ((address, group.port()), self.nonce.payload(0));
        let (_sender, mut incoming) = sockets::group((sender, from), (receiver, listener), to, &payload)?;
        self.arrives(&mut incoming)
    }

    fn ping(&self, from: IpAddr, to: IpAddr, len: usize) -> io::Result<bool> {
        let (sender, receiver) = (self.network.at(Party::of(from))?, self.network.at(Party::of(to))?);
        let (mut asked, mut answered) = sockets::ping((sender, from), (receiver, to), &self.nonce.payload(len))?;
        Ok(self.arrives(&mut asked)? && self.arrives(&mut answered)?)
    }

    /// An ARP request has no room for a nonce: it is recognised as a whole, behind the padding that nobody adds here.
    fn arp(&self, from: Party, to: Party) -> io::Result<bool> {
        let frame = frames::arp_request(from, to);
        let mut incoming = sockets::raw(self.network.at(Some(from))?, self.network.at(Some(to))?, &frame)?;
        self.wait(|| Ok(std::iter::from_fn(|| incoming().transpose()).flatten().any(|seen| seen == frame)))
    }
}
