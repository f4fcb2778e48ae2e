//! The server's side of vfio-user with the model's function behind it, against a client that sends anything.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nicfw::device::vfio_user::socket::{Socket, SocketError};
use nicfw::device::vfio_user::wire::{Command, DmaMap, HEADER_LEN, Header};
use nicfw::dma::MappedMem;
use nicfw::terms::MacAddr;
use nicfw_model::serve::Session;
use nicfw_model::{FunctionConfig, Model, ModelConfig};
use zerocopy::IntoBytes;

/// Longest input that fits the socket's buffer.
const LONGEST: usize = 64 * 1024;
/// Messages of one input.
const MOST: usize = 64;
/// Where the client's memory is, and how long.
const IOVA: u64 = 0x10_0000;
const MEMORY: usize = 0x1_0000;

/// First byte even: the rest is all that the client ever says, framing included. Odd: the rest is a list of messages, each
/// a command, flags, two bytes of length and a body, after a sound beginning; flag 0x80 adds a descriptor.
pub fn run(data: &[u8]) {
    let Some((how, script)) = data.split_first() else { return };
    let script = &script[..script.len().min(LONGEST)];
    let (mut client, server) = UnixStream::pair().expect("a socket pair");
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let mut function = model.endpoint(0);
    let mut session = Session::start(server, &mut function).expect("a session");
    let mut drain = client.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        let drained = scope.spawn(move || {
            let mut sink = [0; 4096];
            while drain.read(&mut sink).is_ok_and(|len| len > 0) {}
        });
        if how & 1 == 0 {
            client.write_all(script).expect("the socket's buffer takes it");
        } else {
            say(&client, script);
        }
        client.shutdown(std::net::Shutdown::Write).expect("the client stops");
        let ended = loop {
            match session.step(&mut function, Duration::from_secs(5)) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(!matches!(ended, SocketError::Stalled), "nobody waits for a client that has hung up");
        session.finish(&mut function);
        // A scope waits for what its threads do, not for the threads: one that still ends would pass for a leak.
        drained.join().expect("nothing can fail in it");
    });
}

fn say(client: &UnixStream, mut script: &[u8]) {
    let socket = Socket::new(client.try_clone().expect("a second handle")).expect("a socket");
    let send = |command: Command, flags: u32, body: &[u8], fds: &[BorrowedFd<'_>]| {
        let header = Header {
            id: 1.into(),
            command: command.0.into(),
            size: u32::try_from(HEADER_LEN + body.len()).expect("a short body").into(),
            flags: flags.into(),
            error: 0.into(),
        };
        socket.send(header, &[body], fds).is_ok()
    };
    let (_memory, file) = memory(script);
    send(Command::VERSION, 0, &[0; 4], &[]);
    let window = DmaMap {
        argsz: 32.into(),
        flags: 3.into(),
        offset: 0.into(),
        address: IOVA.into(),
        size: (MEMORY as u64).into(),
    };
    send(Command::DMA_MAP, 0, window.as_bytes(), &[file.as_fd()]);
    for _ in 0..MOST {
        let [command, flags, low, high, rest @ ..] = script else { break };
        let (body, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([*low, *high]).into()));
        let fds = if flags & 0x80 != 0 { &[file.as_fd()][..] } else { &[] };
        if !send(Command((*command).into()), u32::from(flags & 0x7f), body, fds) {
            break;
        }
        script = rest;
    }
}

/// The client's memory; the script's last bytes are at its beginning, so that doorbells find requests.
fn memory(script: &[u8]) -> (MappedMem, OwnedFd) {
    let (memory, file) = MappedMem::create(MEMORY).expect("memory");
    let tail = &script[script.len().saturating_sub(1100)..];
    memory.write(0, tail).expect("the memory is longer");
    (memory, file)
}
