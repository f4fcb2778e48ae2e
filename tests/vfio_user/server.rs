//! The server from outside: bytes in, bytes out. The vectors are typed from the specification's tables.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nicfw::device::Interrupt;
use nicfw::device::vfio_user::socket::{Socket, SocketError};
use nicfw::device::vfio_user::wire;
use nicfw::dma::{DmaSpace, Iova, MappedMem};
use nicfw_model::serve::{BindError, Listener, Session};
use proptest::prelude::*;
use zerocopy::FromBytes;

use crate::toy::Toy;

/// A session on one end, plain bytes on the other.
struct Bench {
    session: Session,
    toy: Toy,
    client: UnixStream,
}

impl Bench {
    fn new(mut toy: Toy) -> Self {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let session = Session::start(server, &mut toy).unwrap();
        Self { session, toy, client }
    }

    fn greeted() -> Self {
        let mut bench = Self::new(Toy::new());
        bench.exchange(&hex("0100 0100 14000000 00000000 00000000  0000 0000"));
        bench
    }

    /// Sends `bytes`, lets the server serve them, and returns the one reply.
    fn exchange(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.client.write_all(bytes).unwrap();
        self.session.step(&mut self.toy, Duration::from_secs(5)).unwrap();
        self.reply()
    }

    fn send_with(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Vec<u8> {
        let socket = Socket::new(self.client.try_clone().unwrap()).unwrap();
        let (header, body) = wire::Header::read_from_prefix(bytes).unwrap();
        socket.send(header, &[body], fds).unwrap();
        self.session.step(&mut self.toy, Duration::from_secs(5)).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Vec<u8> {
        self.client.set_nonblocking(false).unwrap();
        let mut reply = vec![0; 16];
        self.client.read_exact(&mut reply).unwrap();
        let size = u32::from_le_bytes(reply[4..8].try_into().unwrap());
        reply.resize(usize::try_from(size).unwrap(), 0);
        self.client.read_exact(&mut reply[16..]).unwrap();
        reply
    }
}

/// Bytes from hexadecimal digits; blanks are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn version_is_agreed_with_or_the_session_ends() {
    let mut bench = Bench::new(Toy::new());
    // Message ID 0x0102, command 1, size 20, a command; major 0, minor 1: the reply keeps to minor 0.
    let reply = bench.exchange(&hex("0201 0100 14000000 00000000 00000000  0000 0100"));
    assert_eq!(reply[..4], hex("0201 0100"));
    assert_eq!(reply[8..20], hex("01000000 00000000  0000 0000"), "a reply without error, version 0.0");
    let text = std::str::from_utf8(&reply[20..]).unwrap();
    assert_eq!(text, "{\"capabilities\":{\"max_data_xfer_size\":1048576,\"max_dma_maps\":65535,\"max_msg_fds\":16}}\0");
    for wrong in [
        "0201 0100 14000000 00000000 00000000  0100 0000",
        "0201 0100 12000000 00000000 00000000  0000",
        "0201 0100 16000000 00000000 00000000  0000 0000 7b7d",
        "0201 0400 10000000 00000000 00000000",
    ] {
        let mut bench = Bench::new(Toy::new());
        bench.client.write_all(&hex(wrong)).unwrap();
        let ended = bench.session.step(&mut bench.toy, Duration::from_secs(5));
        assert!(matches!(ended, Err(SocketError::Closed)), "{wrong}");
        assert_eq!(bench.reply()[8..], hex("21000000 16000000"), "Error bit, EINVAL: {wrong}");
    }
}

#[test]
fn device_region_and_interrupt_info_have_the_specified_bytes() {
    let mut bench = Bench::greeted();
    let info = bench.exchange(&hex("0200 0400 20000000 00000000 00000000  10000000 00000000 00000000 00000000"));
    // 9 regions, 5 interrupt types, PCI and resettable.
    assert_eq!(info, hex("0200 0400 20000000 01000000 00000000  10000000 03000000 09000000 05000000"));
    let region =
        "0300 0500 30000000 00000000 00000000  20000000 00000000 02000000 00000000 0000000000000000 0000000000000000";
    let info = bench.exchange(&hex(region));
    let readable_and_writable =
        "0300 0500 30000000 01000000 00000000  20000000 03000000 02000000 00000000 0010000000000000 0000000000000000";
    assert_eq!(info, hex(readable_and_writable));
    let absent = bench.exchange(&hex(&region.replace("02000000", "08000000")));
    assert_eq!(absent[20..], hex("00000000 08000000 00000000 0000000000000000 0000000000000000"), "size 0");
    let unknown = bench.exchange(&hex(&region.replace("02000000", "09000000")));
    assert_eq!(unknown, hex("0300 0500 10000000 21000000 16000000"));
    let irqs = bench.exchange(&hex("0400 0700 20000000 00000000 00000000  10000000 00000000 02000000 00000000"));
    assert_eq!(irqs, hex("0400 0700 20000000 01000000 00000000  10000000 01000000 02000000 03000000"));
}

#[test]
fn a_region_that_may_be_mapped_comes_with_its_areas_and_its_file() {
    let (_, file) = MappedMem::create(0x10_0000).unwrap();
    let mut bench = Bench::new(Toy { shared: Some(file), ..Toy::new() });
    bench.exchange(&hex("0100 0100 14000000 00000000 00000000  0000 0000"));
    let ask =
        "0300 0500 30000000 00000000 00000000  20000000 00000000 04000000 00000000 0000000000000000 0000000000000000";
    // Too little room: argsz tells what is needed, and no capability is there.
    let short = bench.exchange(&hex(ask));
    assert_eq!(short[16..], hex("50000000 0f000000 04000000 00000000 0000100000000000 0000000000000000"));
    let socket = Socket::new(bench.client.try_clone().unwrap()).unwrap();
    bench.client.write_all(&hex(&ask.replacen("20000000 0", "50000000 0", 1))).unwrap();
    bench.session.step(&mut bench.toy, Duration::from_secs(5)).unwrap();
    let whole = socket.receive(Duration::from_secs(5)).unwrap().unwrap();
    let expected = "50000000 0f000000 04000000 20000000 0000100000000000 0000000000000000
        0100 0100 00000000  02000000 00000000
        0010000000000000 0020000000000000  0080000000000000 0010000000000000";
    assert_eq!(whole.body, hex(expected));
    assert_eq!(whole.fds.len(), 1);
}

#[test]
fn accesses_are_cut_into_aligned_pieces_inside_the_region() {
    let mut bench = Bench::greeted();
    // 8 bytes at 0x208 of region 2 stay whole.
    let write = hex("0500 0a00 28000000 00000000 00000000  0802000000000000 02000000 08000000  0102030405060708");
    let reply = bench.exchange(&write);
    assert_eq!(reply, hex("0500 0a00 20000000 01000000 00000000  0802000000000000 02000000 08000000"));
    let read = bench.exchange(&hex("0600 0900 20000000 00000000 00000000  0702000000000000 02000000 07000000"));
    assert_eq!(read, hex("0600 0900 27000000 01000000 00000000  0702000000000000 02000000 07000000  00010203040506"));
    let expected =
        ["write 2 0x208 [01, 02, 03, 04, 05, 06, 07, 08]", "read 2 0x207 1", "read 2 0x208 4", "read 2 0x20c 2"];
    assert_eq!(bench.toy.calls, expected);
    let refused = [
        "0702000000000000 03000000 04000000",
        "fd0f000000000000 02000000 04000000",
        "fcffffffffffffff 02000000 04000000",
        "0000000000000000 04000000 01001000",
        "0000000000000000 ffffffff 04000000",
    ];
    for access in refused {
        let reply = bench.exchange(&hex(&format!("0700 0900 20000000 00000000 00000000  {access}")));
        assert_eq!(reply, hex("0700 0900 10000000 21000000 16000000"), "{access}");
    }
    let rom = bench.exchange(&hex("0700 0a00 24000000 00000000 00000000  0000000000000000 06000000 04000000 01020304"));
    assert_eq!(rom[8..], hex("21000000 16000000"), "a region for reading is not written");
    let short = bench.exchange(&hex("0700 0a00 23000000 00000000 00000000  0000000000000000 02000000 04000000 010203"));
    assert_eq!(short[8..], hex("21000000 16000000"), "count and data must agree");
    assert_eq!(bench.toy.calls.len(), expected.len(), "what is refused never reaches the function");
}

#[test]
fn a_doorbell_reaches_shared_memory_and_raises_an_interrupt() {
    let mut bench = Bench::greeted();
    let (mem, file) = MappedMem::create(0x2000).unwrap();
    mem.write32(0x1010, 41).unwrap();
    // argsz 32, readable and writeable, offset 0x1000, address 0xabc000, size 0x1000
    let map = hex(
        "0800 0200 30000000 00000000 00000000  20000000 03000000 0010000000000000 00c0ab0000000000 0010000000000000",
    );
    assert_eq!(bench.send_with(&map, &[file.as_fd()]), hex("0800 0200 10000000 01000000 00000000"));
    let again = bench.send_with(&map, &[file.as_fd()]);
    assert_eq!(again, hex("0800 0200 10000000 21000000 11000000"), "a window over another: EEXIST");
    let vector = Interrupt::new().unwrap();
    // MSI-X, start 0, count 1, DATA_EVENTFD | ACTION_TRIGGER
    let set = hex("0900 0800 24000000 00000000 00000000  14000000 24000000 02000000 00000000 01000000");
    assert_eq!(bench.send_with(&set, &[vector.as_fd()]), hex("0900 0800 10000000 01000000 00000000"));
    let ring = hex("0a00 0a00 28000000 00000000 00000000  0002000000000000 02000000 08000000  10c0ab0000000000");
    bench.exchange(&ring);
    assert_eq!(mem.read32(0x1010), Some(42), "done before the reply");
    assert_eq!(vector.take().unwrap(), 1);
    let unmap = hex("0b00 0300 28000000 00000000 00000000  18000000 00000000 00c0ab0000000000 0010000000000000");
    let reply = bench.exchange(&unmap);
    assert_eq!(reply[16..], unmap[16..], "the reply repeats the entry");
    bench.exchange(&ring);
    assert_eq!(mem.read32(0x1010), Some(42), "the window is gone");
    assert_eq!(bench.toy.calls.last().unwrap(), "rung false");
}

#[test]
fn memory_without_a_descriptor_is_reached_by_message_after_the_reply() {
    let mut bench = Bench::greeted();
    let map = hex(
        "0800 0200 30000000 00000000 00000000  20000000 03000000 0000000000000000 00c0ab0000000000 0010000000000000",
    );
    assert_eq!(bench.exchange(&map)[8..], hex("01000000 00000000"));
    let ring = hex("0a00 0a00 28000000 00000000 00000000  0002000000000000 02000000 08000000  10c0ab0000000000");
    let mut client = bench.client.try_clone().unwrap();
    // The client's answers: the dword 41, and an acknowledgement. A command in between is not lost.
    let answers = hex("0100 0d00 10000000 00000000 00000000
         0000 0b00 24000000 01000000 00000000  10c0ab0000000000 0400000000000000  29000000
         0100 0c00 1c000000 01000000 00000000  10c0ab0000000000 04000000");
    client.write_all(&[ring, answers].concat()).unwrap();
    bench.session.step(&mut bench.toy, Duration::from_secs(5)).unwrap();
    assert_eq!(bench.reply()[..4], hex("0a00 0a00"), "the reply comes before the messages");
    assert_eq!(bench.reply(), hex("0000 0b00 20000000 00000000 00000000  10c0ab0000000000 0400000000000000"));
    assert_eq!(bench.reply(), hex("0100 0c00 24000000 00000000 00000000  10c0ab0000000000 0400000000000000  2a000000"));
    bench.session.step(&mut bench.toy, Duration::from_secs(5)).unwrap();
    assert_eq!(bench.reply(), hex("0100 0d00 10000000 01000000 00000000"));
    assert_eq!(bench.toy.calls.last().unwrap(), "reset");
}

#[test]
fn unknown_and_unsupported_commands_are_refused_and_the_session_goes_on() {
    let mut bench = Bench::greeted();
    for (command, errno) in [("6300", "26000000"), ("0f00", "5f000000"), ("1000", "5f000000"), ("0b00", "26000000")] {
        let reply = bench.exchange(&hex(&format!("0100 {command} 14000000 00000000 00000000 01020304")));
        assert_eq!(reply, hex(&format!("0100 {command} 10000000 21000000 {errno}")));
    }
    let again = bench.client.write_all(&hex("0100 0100 14000000 00000000 00000000  0000 0000"));
    again.unwrap();
    assert!(bench.session.step(&mut bench.toy, Duration::from_secs(5)).is_err(), "a second version message");
}

#[test]
fn a_command_without_reply_gets_none() {
    let mut bench = Bench::greeted();
    bench.client.write_all(&hex("0100 0d00 10000000 10000000 00000000")).unwrap();
    bench.session.step(&mut bench.toy, Duration::from_secs(5)).unwrap();
    let reply = bench.exchange(&hex("0200 0d00 10000000 00000000 00000000"));
    assert_eq!(reply, hex("0200 0d00 10000000 01000000 00000000"), "the first reply is the second command's");
    assert_eq!(bench.toy.calls, ["reset", "reset"]);
}

#[test]
fn when_the_client_leaves_its_memory_and_eventfds_go() {
    let mut bench = Bench::greeted();
    let (_, file) = MappedMem::create(0x1000).unwrap();
    let map = hex(
        "0800 0200 30000000 00000000 00000000  20000000 03000000 0000000000000000 0000000000000000 0010000000000000",
    );
    bench.send_with(&map, &[file.as_fd()]);
    let host = bench.toy.host.clone().unwrap();
    assert_eq!(host.memory.windows(), 1);
    drop(bench.client);
    bench.session.serve(&mut bench.toy).unwrap();
    assert_eq!(host.memory.windows(), 0);
    assert!(host.memory.read(Iova(0), &mut [0; 4]).is_err());
    assert_eq!(bench.toy.calls, ["detach"]);
}

#[test]
fn a_socket_belongs_to_one_server() {
    let dir = std::env::temp_dir().join(format!("nicfw-listener-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("s.sock");
    let first = Listener::bind(&path).unwrap();
    assert!(first.accept(Duration::ZERO).unwrap().is_none());
    assert!(matches!(Listener::bind(&path), Err(BindError::InUse { .. })));
    let _client = UnixStream::connect(&path).unwrap();
    assert!(first.accept(Duration::from_secs(5)).unwrap().is_some());
    drop(first);
    assert!(!path.exists(), "removed with its server");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    drop(Listener::bind(&path).expect("what a dead server left is replaced"));
    std::fs::write(&path, b"mine").unwrap();
    assert!(matches!(Listener::bind(&path), Err(BindError::NoSocket { .. })));
    assert!(matches!(Listener::bind(&dir.join("none/s.sock")), Err(BindError::Io { .. })));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A message of any command with any body, and the header's length mostly right.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        Just(0u32),
        Just(1),
        Just(2),
        Just(7),
        Just(24),
        Just(36),
        Just(0x1000),
        Just(u32::MAX),
        any::<u32>()
    ];
    let body = prop::collection::vec(number, 0..12);
    (0u16..20, body, prop_oneof![9 => Just(0u32), 1 => 0u32..40], 0u32..64).prop_map(|(command, body, wrong, flags)| {
        let body: Vec<u8> = body.into_iter().flat_map(u32::to_le_bytes).collect();
        let size = u32::try_from(16 + body.len()).unwrap() ^ wrong;
        let head = [1u16.to_le_bytes(), command.to_le_bytes()].concat();
        [head, size.to_le_bytes().to_vec(), flags.to_le_bytes().to_vec(), vec![0; 4], body].concat()
    })
}

proptest! {
    #[test]
    fn no_bytes_from_a_client_panic_or_stop_the_server(messages in prop::collection::vec(message(), 1..8)) {
        let mut bench = Bench::greeted();
        for message in &messages {
            bench.client.write_all(message).unwrap();
        }
        bench.client.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = bench.session.serve(&mut bench.toy);
        prop_assert_eq!(bench.toy.calls.last().map(String::as_str), Some("detach"));
        prop_assert_eq!(bench.toy.host.unwrap().memory.windows(), 0);
    }
}
