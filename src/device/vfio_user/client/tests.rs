//! The client against peers that say anything at all. How it gets on with a server is tested in `tests/vfio_user`.

use std::io::Write;

use proptest::prelude::*;

use super::*;

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
