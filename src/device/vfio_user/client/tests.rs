//! The client against the server of this crate, and against peers that say anything at all.

use super::super::server::Session;
use super::super::toy::Toy;
use super::*;
use proptest::prelude::*;
use std::io::Write;
use std::thread::JoinHandle;

/// Serves `toy` on a thread until the client leaves, then gives it back.
fn serve(mut toy: Toy) -> (UnixStream, JoinHandle<Toy>) {
    let (client, server) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        let session = Session::start(server, &mut toy).unwrap();
        session.serve(&mut toy).unwrap();
        toy
    });
    (client, thread)
}

#[test]
fn a_driver_finds_registers_memory_and_interrupts() {
    let (stream, thread) = serve(Toy::new());
    let device = VfioUser::over(stream).unwrap();
    assert_eq!(device.pci_id(), PciId { vendor: 0x1924, device: 0x0a03 });
    let mut command = [0; 2];
    device.read_config(config::COMMAND, &mut command).unwrap();
    assert_eq!(command, [6, 0], "memory space and bus master");
    let bar = device.bar();
    assert_eq!(bar.len(), 0x1000);
    bar.write32(0x10, 0x1234_5678);
    assert_eq!(bar.read32(0x10), 0x1234_5678);

    let buf = device.dma_alloc(5000, 8192).unwrap();
    assert!(buf.len() >= 5000 && buf.iova().0.is_multiple_of(8192));
    let vectors = device.interrupts(8).unwrap();
    assert_eq!(vectors.len(), 3, "as many as the function has");
    buf.write32(0x1000, 41);
    bar.write64(0x200, buf.iova().0 + 0x1000);
    assert_eq!(buf.read32(0x1000), 42, "the device reached the memory before the doorbell's reply");
    assert_eq!(vectors.iter().map(|vector| vector.take().unwrap()).collect::<Vec<_>>(), [1, 0, 0]);

    device.reset().unwrap();
    device.read_config(config::COMMAND, &mut command).unwrap();
    assert_eq!(command, [6, 0], "bus master again after the reset");
    let iova = buf.iova().0;
    drop(buf);
    bar.write64(0x200, iova);
    drop((device, bar));
    let toy = thread.join().unwrap();
    assert!(toy.calls.iter().any(|call| call == "rung true"));
    assert_eq!(toy.calls.iter().rev().nth(1).unwrap(), "rung false", "a dropped buffer is out of reach");
}

#[test]
fn registers_that_may_be_mapped_are_unless_their_file_may_shrink() {
    let (memory, sealed) = MappedMem::create(0x2000).unwrap();
    let (stream, thread) = serve(Toy { registers: Some(sealed), ..Toy::new() });
    let device = VfioUser::over(stream).unwrap();
    let bar = device.bar();
    bar.write32(0x1008, 7);
    bar.write32(0x0008, 9);
    assert_eq!((memory.read32(0x1008), memory.read32(8)), (Some(7), Some(0)), "only the area is mapped");
    drop((device, bar));
    let calls = thread.join().unwrap().calls;
    assert!(calls.contains(&"write 2 0x8 [09, 00, 00, 00]".to_owned()));
    assert!(!calls.iter().any(|call| call.starts_with("write 2 0x1008")));

    let unsealed = rustix::fs::memfd_create("registers", rustix::fs::MemfdFlags::empty()).unwrap();
    rustix::fs::ftruncate(&unsealed, 0x2000).unwrap();
    let regs = vec![0; 0x2000];
    let (stream, thread) = serve(Toy { registers: Some(unsealed), regs, ..Toy::new() });
    let device = VfioUser::over(stream).unwrap();
    device.bar().write32(0x1008, 7);
    assert_eq!(device.bar().read32(0x1008), 7);
    drop(device);
    let calls = thread.join().unwrap().calls;
    assert!(calls.contains(&"write 2 0x1008 [07, 00, 00, 00]".to_owned()), "by message");
}

#[test]
fn dma_memory_is_accounted_for() {
    let (stream, thread) = serve(Toy::new());
    let device = VfioUser::over(stream).unwrap();
    let whole = device.pool.free_bytes();
    let kept: Vec<_> = (1..40).map(|i| device.dma_alloc(i * 1000, 1 << (i % 20)).unwrap()).collect();
    let mut taken: Vec<_> = kept.iter().map(|buf| (buf.iova().0, buf.iova().0 + buf.len() as u64)).collect();
    taken.sort_unstable();
    assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0), "no two buffers overlap");
    assert!(matches!(device.dma_alloc(1 << 40, 4096), Err(Error::Dma { .. })), "more than the address space holds");
    assert!(matches!(device.dma_alloc(usize::MAX, 4096), Err(Error::Dma { .. })));
    drop(kept);
    assert_eq!(device.pool.free_bytes(), whole);
    assert!(device.connection.windows.lock().unwrap().is_empty());
    drop(device);
    thread.join().unwrap();
}

#[test]
fn a_server_that_goes_away_reads_as_all_ones() {
    let (stream, thread) = serve(Toy::new());
    let stop = stream.try_clone().unwrap();
    let device = VfioUser::over(stream).unwrap();
    let buf = device.dma_alloc(4096, 4096).unwrap();
    stop.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(device.bar().read32(0), u32::MAX);
    device.bar().write32(0, 1);
    assert!(matches!(device.reset(), Err(Error::Reset)));
    let refused = device.dma_alloc(4096, 4096).err().unwrap();
    assert_eq!(refused.to_string(), "no DMA memory: 4096 bytes could not be shared with the adapter");
    buf.write32(0, 7);
    assert_eq!(buf.read32(0), 7, "memory stays memory");
    drop(thread);
}

#[test]
fn nobody_there_names_the_way_out() {
    let error = VfioUser::open(Path::new("/nonexistent/s.sock")).unwrap_err();
    let expected = "no vfio-user server at /nonexistent/s.sock: start one with `nicfw-model serve --socket PATH`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_server_that_hangs_up_at_once_serves_somebody_else() {
    assert!(matches!(hostile(&[]), Err(VfioUserError::Busy)));
}

/// A connection whose server's messages are already there: `script` is what it says.
fn scripted(script: &[u8]) -> (Connection, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(script).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let link = Link { socket: Some(Socket::new(ours).unwrap()), next_id: 0, until: None };
    (Connection { link: Mutex::new(link), windows: Mutex::default() }, theirs)
}

fn message(id: u16, command: Command, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut head = header(id, command, flags, Errno(0));
    head.size = u32::try_from(16 + body.len()).unwrap().into();
    [head.as_bytes(), body].concat()
}

#[test]
fn the_server_may_ask_for_memory_by_message_meanwhile() {
    let asked = wire::DmaAccess { address: 0x1_0004.into(), count: 4.into() };
    let beyond = wire::DmaAccess { address: 0x1_0ffe.into(), count: 4.into() };
    let reply = access(2, 8, 4);
    let script = [
        message(9, Command::DMA_READ, wire::TYPE_COMMAND, asked.as_bytes()),
        message(10, Command::DMA_WRITE, wire::TYPE_COMMAND, &[asked.as_bytes(), &[9, 8, 7, 6]].concat()),
        message(11, Command::DMA_READ, wire::TYPE_COMMAND, beyond.as_bytes()),
        message(12, Command(99), wire::TYPE_COMMAND, &[]),
        message(0, Command::REGION_WRITE, wire::TYPE_REPLY, reply.as_bytes()),
    ];
    let (connection, peer) = scripted(&script.concat());
    let (memory, _) = MappedMem::create(4096).unwrap();
    memory.write32(4, 0x0403_0201).unwrap();
    let memory = Arc::new(memory);
    connection.windows.lock().unwrap().insert(0x1_0000, Arc::clone(&memory));
    connection.region_write(2, 8, &[0; 4]).unwrap();
    assert_eq!(memory.read32(4), Some(0x0607_0809));
    let peer = Socket::new(peer).unwrap();
    let mut answers = std::iter::from_fn(|| peer.receive(Duration::from_secs(5)).ok().flatten());
    assert_eq!(answers.next().unwrap().command(), Command::REGION_WRITE);
    assert_eq!(answers.next().unwrap().body, [asked.as_bytes(), &[1, 2, 3, 4]].concat());
    assert_eq!(answers.next().unwrap().body, asked.as_bytes());
    let refused = answers.next().unwrap().header;
    assert_eq!((refused.flags.get(), refused.error.get()), (0x21, 14), "EFAULT past the end");
    assert_eq!(answers.next().unwrap().header.error.get(), 38, "ENOSYS");
}

#[test]
fn replies_that_do_not_fit_are_refused_by_name() {
    let too_long = [access(2, 0, 4).as_bytes(), &[0; 5]].concat();
    let elsewhere = [access(2, 8, 4).as_bytes(), &[0; 4]].concat();
    for body in [&[][..], &[0; 15], &too_long, &elsewhere] {
        let (connection, _peer) = scripted(&message(0, Command::REGION_READ, wire::TYPE_REPLY, body));
        let wrong = connection.region_read(2, 0, &mut [0; 4]).unwrap_err();
        assert!(matches!(wrong, VfioUserError::Reply { len, .. } if len == body.len()), "{wrong}");
    }
    let mut refusal = message(0, Command::REGION_READ, wire::TYPE_REPLY | wire::ERROR, &[]);
    refusal[12] = 22;
    let (connection, _peer) = scripted(&refusal);
    let refused = connection.region_read(2, 0, &mut [0; 4]).unwrap_err().to_string();
    assert_eq!(refused, "the vfio-user server refused REGION_READ: Invalid argument (os error 22)");
}

/// A server that says `script` to whoever connects; the client must end with an error, in time.
fn hostile(script: &[u8]) -> Result<VfioUser, VfioUserError> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(script).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    VfioUser::over(ours)
}

#[test]
fn another_version_is_refused() {
    let reply = message(0, Command::VERSION, wire::TYPE_REPLY, &[1, 0, 0, 0]);
    assert!(matches!(hostile(&reply), Err(VfioUserError::Version { major: 1, minor: 0 })));
    let reply = message(0, Command::VERSION, wire::TYPE_REPLY, b"\0\0\0\0{}");
    assert!(matches!(hostile(&reply), Err(VfioUserError::Capabilities(CapabilityError::NoNul))));
}

proptest! {
    #[test]
    fn no_bytes_from_a_server_panic_or_stop_the_client(
        commands in prop::collection::vec((0u16..16, 0u32..3, prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..64)), 0..10),
    ) {
        // A good start, so that later replies are looked at too.
        let mut script = message(0, Command::VERSION, wire::TYPE_REPLY, &[0; 4]);
        let info = [[16, 0, 0, 0], [3, 0, 0, 0], [9, 0, 0, 0], [5, 0, 0, 0]].concat();
        script.extend(message(1, Command::DEVICE_GET_INFO, wire::TYPE_REPLY, &info));
        script.extend(message(2, Command::REGION_READ, wire::TYPE_REPLY, &[access(7, 0, 4).as_bytes(), &[0x24, 0x19, 3, 0x0a]].concat()));
        for (id, (command, kind, body)) in (3..).zip(commands) {
            script.extend(message(id, Command(command), kind, &body));
            script.extend(message(id, [Command::DEVICE_GET_REGION_INFO, Command::DEVICE_GET_IRQ_INFO][usize::from(id % 2 == 0)], kind, &body));
        }
        prop_assert!(hostile(&script).is_err());
    }
}
