//! Probes over real sockets, in the namespaces of sender and receiver.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::endpoint::Endpoint;
use crate::demo::cast::Party;
use crate::demo::exchange::Nonce;
use crate::demo::frames;

/// A socket that is asked again and again what it received; `Ok(None)` = nothing yet.
pub type Receiver = Box<dyn FnMut() -> io::Result<Option<Vec<u8>>>>;

/// How long a step waits for a frame that the adapter let through.
pub const PATIENCE: Duration = Duration::from_secs(2);

const BUFFER: usize = 65_536;

/// Turns "nothing yet" of a non-blocking socket into `None`.
fn not_yet<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn reader(mut source: impl Read + 'static) -> Receiver {
    Box::new(move || {
        let mut bytes = vec![0; BUFFER];
        Ok(not_yet(source.read(&mut bytes))?.map(|len| {
            bytes.truncate(len);
            bytes
        }))
    })
}

fn bound(kind: Type, protocol: Protocol, at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A TCP connection being made.
pub struct Tcp {
    listener: Socket,
    client: Socket,
    server: Option<TcpStream>,
}

impl Tcp {
    /// Listens at `to` and begins to connect from `from`.
    pub fn start(sender: &Endpoint, from: SocketAddr, receiver: &Endpoint, to: SocketAddr) -> io::Result<Self> {
        let listener = receiver.within(move || {
            let socket = bound(Type::STREAM, Protocol::TCP, to)?;
            socket.listen(1)?;
            Ok(socket)
        })?;
        let client = sender.within(move || bound(Type::STREAM, Protocol::TCP, from))?;
        match client.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error),
            _ => Ok(Self { listener, client, server: None }),
        }
    }

    /// One step: accepts, sends the nonce, and reads it. True when the listener's side has it.
    pub fn poll(&mut self, nonce: Nonce) -> io::Result<bool> {
        if self.server.is_none()
            && let Some((server, _)) = not_yet(self.listener.accept())?
        {
            server.set_nonblocking(true)?;
            (&self.client).write_all(&nonce.payload(0))?;
            self.server = Some(server.into());
        }
        let Some(server) = &mut self.server else { return Ok(false) };
        let mut bytes = [0; Nonce::LEN];
        let Some(len) = not_yet(server.read(&mut bytes))? else { return Ok(false) };
        Ok(nonce.is_in(bytes.get(..len).unwrap_or_default()))
    }

    /// Sends the nonce back; the returned receiver is the client's socket.
    pub fn answer(&mut self, nonce: Nonce) -> io::Result<Receiver> {
        if let Some(server) = &mut self.server {
            server.write_all(&nonce.payload(0))?;
        }
        Ok(reader(self.client.try_clone()?))
    }

    /// Ends the connection with one RST, so that nothing is left to be said.
    pub fn abort(self) -> io::Result<()> {
        self.client.set_linger(Some(Duration::ZERO))
    }
}

/// Opens both ends of a UDP exchange and sends the first datagram.
pub fn udp(
    (sender, from): (&Endpoint, SocketAddr),
    (receiver, to): (&Endpoint, SocketAddr),
    payload: &[u8],
) -> io::Result<(UdpSocket, UdpSocket)> {
    let receiver: UdpSocket = receiver.within(move || bound(Type::DGRAM, Protocol::UDP, to))?.into();
    let sender: UdpSocket = sender.within(move || bound(Type::DGRAM, Protocol::UDP, from))?.into();
    sender.send_to(payload, to)?;
    Ok((sender, receiver))
}

/// Joins a group at `listener` and sends a datagram to it.
pub fn group(
    (sender, from): (&Endpoint, SocketAddr),
    (receiver, listener): (&Endpoint, Party),
    (group, port): (Ipv4Addr, u16),
    payload: &[u8],
) -> io::Result<(UdpSocket, Receiver)> {
    let IpAddr::V4(interface) = from.ip() else { return Err(ErrorKind::Unsupported.into()) };
    let receiver: UdpSocket = receiver
        .within(move || {
            let socket = bound(Type::DGRAM, Protocol::UDP, SocketAddr::new(group.into(), port))?;
            socket.join_multicast_v4(&group, &listener.v4())?;
            Ok(socket)
        })?
        .into();
    let sender: UdpSocket = sender
        .within(move || {
            let socket = bound(Type::DGRAM, Protocol::UDP, from)?;
            socket.set_multicast_if_v4(&interface)?;
            Ok(socket)
        })?
        .into();
    sender.send_to(payload, SocketAddr::new(group.into(), port))?;
    Ok((sender, datagrams(receiver)))
}

/// The datagrams that a socket receives.
pub fn datagrams(socket: UdpSocket) -> Receiver {
    Box::new(move || {
        let mut bytes = vec![0; BUFFER];
        Ok(not_yet(socket.recv(&mut bytes))?.map(|len| {
            bytes.truncate(len);
            bytes
        }))
    })
}

/// Sends an echo request over a raw socket. The first receiver is a raw socket at the far end, which sees what its stack
/// answers; the second is the sender's, which sees the answer.
pub fn ping(
    (sender, from): (&Endpoint, IpAddr),
    (receiver, to): (&Endpoint, IpAddr),
    payload: &[u8],
) -> io::Result<(Receiver, Receiver)> {
    let raw = |at: IpAddr| {
        let protocol = if at.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        bound(Type::RAW, protocol, SocketAddr::new(at, 0))
    };
    let receiver = receiver.within(move || raw(to))?;
    let sender = sender.within(move || raw(from))?;
    sender.send_to(&frames::echo_request(from, to, payload)?, &SocketAddr::new(to, 0).into())?;
    Ok((reader(receiver), reader(sender)))
}

/// Puts one frame on the sender's cable past its stack; the receiver is a packet socket.
pub fn raw(sender: &Endpoint, receiver: &Endpoint, frame: &[u8]) -> io::Result<Receiver> {
    let receiver = File::from(receiver.packet_socket()?);
    File::from(sender.injector()?).write_all(frame)?;
    Ok(reader(receiver))
}
