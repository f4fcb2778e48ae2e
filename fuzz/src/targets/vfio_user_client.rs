//! The driver's side of vfio-user, against a server that says anything.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nicfw::device::Device;
use nicfw::device::vfio_user::VfioUser;
use nicfw::device::vfio_user::socket::Socket;
use nicfw::device::vfio_user::wire::{Header, TYPE_MASK, TYPE_REPLY};

/// Longest input that fits the socket's buffer.
const LONGEST: usize = 64 * 1024;

/// First byte even: the rest is all that the server ever says, framing included. Odd: the rest is a list of bodies, each
/// behind a byte of flags and two of length; the server answers each command with the next, in a reply of sound framing,
/// so that nobody waits.
pub fn run(data: &[u8]) {
    let Some((how, script)) = data.split_first() else { return };
    let script = &script[..script.len().min(LONGEST)];
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    std::thread::scope(|scope| {
        let server =
            if how & 1 == 0 { scope.spawn(|| say(theirs, script)) } else { scope.spawn(|| answer(theirs, script)) };
        if let Ok(device) = VfioUser::over(ours) {
            drive(&device);
        }
        // A scope waits for what its threads do, not for the threads: one that still ends would pass for a leak.
        server.join().expect("nothing can fail in it");
    });
}

/// Says everything at once, and swallows what comes.
fn say(mut server: UnixStream, script: &[u8]) {
    // The driver may have hung up already.
    let _ = server.write_all(script);
    let _ = server.shutdown(std::net::Shutdown::Write);
    let mut sink = [0; 4096];
    while server.read(&mut sink).is_ok_and(|len| len > 0) {}
}

/// Answers command after command, until the script or the driver has come to its end.
fn answer(server: UnixStream, mut script: &[u8]) {
    let Ok(socket) = Socket::new(server) else { return };
    while let [flags, low, high, rest @ ..] = script {
        let Ok(Some(message)) = socket.receive(Duration::from_secs(5)) else { return };
        let (body, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([*low, *high]).into()));
        let header = Header { flags: (u32::from(*flags) & !TYPE_MASK | TYPE_REPLY).into(), ..message.header };
        if socket.send(header, &[body], &[]).is_err() {
            return;
        }
        script = rest;
    }
}

fn drive(device: &VfioUser) {
    let bar = device.bar();
    // Registers are checked against the length before they are reached: a server may say that there is one byte.
    for off in (0..bar.len().saturating_sub(3).min(0x1_0000)).step_by(0x1000) {
        bar.write32(off, bar.read32(off));
    }
    let mut config = [0; 64];
    let _ = device.read_config(0, &mut config);
    if let Ok(vectors) = device.interrupts(4) {
        vectors.iter().for_each(|vector| drop(vector.take()));
    }
    let buffers: Vec<_> = [(4096, 4096), (100_000, 8192)].map(|(len, align)| device.dma_alloc(len, align)).into();
    for buffer in buffers.iter().flatten() {
        buffer.write32(0, 1);
        assert_eq!(buffer.read32(0), 1);
    }
    let _ = device.reset();
}
