//! A driver in this process: queues in its memory, frames through the adapter. Offsets and bytes are typed from ef10.md 2 to
//! 6.

use std::sync::{Arc, Mutex};

use nicfw::bar::Mmio;
use nicfw::device::Device;
use nicfw::dma::DmaBuf;
use nicfw::terms::MacAddr;
use proptest::prelude::*;

use crate::{FunctionConfig, Model, ModelConfig, ModelFunction, Place};

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const PEER: MacAddr = MacAddr([4, 0, 0, 0, 0, 9]);
/// EVB_PORT_ID_ASSIGNED.
const PORT: [u8; 4] = [0, 0, 0, 1];
const ENTRIES: u32 = 512;
/// Entries of the event queue.
const EVENTS: u32 = 1024;

/// Frames that left by the wire of port 0.
type Wire = Arc<Mutex<Vec<Vec<u8>>>>;

fn adapter() -> (Model, Wire) {
    let functions = vec![FunctionConfig::admin(0, OWN), FunctionConfig::container(0, 1, OTHER)];
    let model = Model::new(ModelConfig::new(functions));
    let wire = Wire::default();
    let sink = Arc::clone(&wire);
    model.plug(0, Box::new(move |frame| sink.lock().unwrap().push(frame.to_vec())));
    (model, wire)
}

/// A driver: one EVQ, RXQ and TXQ, all with number 0, and its memory.
struct Driver {
    device: ModelFunction,
    bar: Arc<dyn Mmio>,
    mcdi: Arc<dyn DmaBuf>,
    events: Arc<dyn DmaBuf>,
    rx: Arc<dyn DmaBuf>,
    tx: Arc<dyn DmaBuf>,
    /// Buffers: the first half for receiving, the other for sending.
    data: Arc<dyn DmaBuf>,
    next_event: usize,
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// INIT_RXQ and INIT_TXQ: SIZE, TARGET_EVQ, LABEL, INSTANCE, FLAGS, OWNER_ID, PORT_ID, one page.
fn queue(flags: u32, ring: &dyn DmaBuf) -> Vec<u8> {
    [words(&[ENTRIES, 0, 0, 0, flags, 0]), PORT.to_vec(), ring.iova().0.to_le_bytes().to_vec()].concat()
}

/// FILTER_OP (EXT_IN) to queue 0: OP, MATCH_FIELDS, RX_DEST, and a destination MAC.
fn filter(op: u32, fields: u32, dest: u32, dst: MacAddr) -> Vec<u8> {
    let mut ask = vec![0; 172];
    ask[..4].copy_from_slice(&op.to_le_bytes());
    ask[12..16].copy_from_slice(&PORT);
    ask[16..20].copy_from_slice(&fields.to_le_bytes());
    ask[20..24].copy_from_slice(&dest.to_le_bytes());
    ask[52..58].copy_from_slice(&dst.0);
    ask
}

const DST_MAC: u32 = 1 << 4;
const UNKNOWN_UCAST: u32 = 1 << 31;
const HOST: u32 = 1;
/// FLAG_PREFIX of INIT_RXQ.
const PREFIX: u32 = 1 << 8;

impl Driver {
    fn attach(model: &Model, index: usize) -> Self {
        let device = model.function(index);
        let alloc = |len| device.dma_alloc(len, 4096).unwrap();
        let bar = device.bar();
        let (mcdi, events, rx, tx, data) = (alloc(1032), alloc(8192), alloc(4096), alloc(4096), alloc(0x20000));
        events.write(0, &[0xff; 8192]);
        Self { device, bar, mcdi, events, rx, tx, data, next_event: 0 }
    }

    /// With VIs, a vadaptor, an event queue, and the given INIT_RXQ flags.
    fn up(model: &Model, index: usize, rx_flags: u32) -> Self {
        let mut driver = Self::attach(model, index);
        driver.call(0x8b, &words(&[1, 4])).unwrap();
        driver.call(0x98, &[&PORT[..], &[0; 26]].concat()).unwrap();
        // INIT_EVQ: SIZE, INSTANCE, TMR_LOAD, TMR_RELOAD, FLAGS, TMR_MODE, IRQ_NUM, COUNT_MODE, COUNT_THRSHLD, two pages.
        let mut evq = words(&[EVENTS, 0, 0, 0, 1, 0, 0, 0, 0]);
        evq.extend([0, 4096].iter().flat_map(|page| (driver.events.iova().0 + page).to_le_bytes()));
        driver.call(0x80, &evq).unwrap();
        assert_eq!(driver.events(), [[0, 0, 0, 0, 0, 0, 0, 0x52]], "START_UP");
        driver.call(0x81, &queue(rx_flags, &*driver.rx)).unwrap();
        driver.call(0x82, &queue(0, &*driver.tx)).unwrap();
        driver
    }

    /// A command with NEWEPOCH, by a v2 header: the payload of its answer, or its error code.
    fn call_with(&self, xflags: u8, cmd: u16, payload: &[u8]) -> Result<Vec<u8>, u32> {
        let len = u16::try_from(payload.len()).unwrap();
        let header = [[0xff, 0, 3, xflags].as_slice(), &cmd.to_le_bytes(), &len.to_le_bytes()].concat();
        self.mcdi.write(0, &[&header[..], payload].concat());
        let address = self.mcdi.iova().0;
        self.bar.write32(0x200, u32::try_from(address >> 32).unwrap());
        self.bar.write32(0x204, u32::try_from(address & 0xffff_ffff).unwrap());
        let (first, second) = (self.mcdi.read32(0), self.mcdi.read32(4));
        assert_eq!(first & 1 << 23, 1 << 23, "RESPONSE");
        if first & 1 << 22 != 0 {
            return Err(self.mcdi.read32(8));
        }
        let mut answer = vec![0; usize::try_from(second >> 16 & 0x3ff).unwrap()];
        self.mcdi.read(8, &mut answer);
        Ok(answer)
    }

    fn call(&self, cmd: u16, payload: &[u8]) -> Result<Vec<u8>, u32> {
        self.call_with(0, cmd, payload)
    }

    /// The events that have come, as bytes; marks them as read.
    fn events(&mut self) -> Vec<[u8; 8]> {
        let mut seen = Vec::new();
        loop {
            let mut event = [0; 8];
            self.events.read(self.next_event * 8, &mut event);
            if event == [0xff; 8] {
                self.bar.write32(0x400, u32::try_from(self.next_event).unwrap());
                return seen;
            }
            self.events.write(self.next_event * 8, &[0xff; 8]);
            self.next_event = (self.next_event + 1) % usize::try_from(EVENTS).unwrap();
            seen.push(event);
        }
    }

    /// Posts buffers of `len` bytes, 2 KiB apart, up to before ring index `end`.
    fn post(&self, len: u64, end: u32) {
        for i in 0..u64::from(end) {
            let descriptor = len << 48 | (self.data.iova().0 + i * 0x800);
            self.rx.write(usize::try_from(i).unwrap() * 8, &descriptor.to_le_bytes());
        }
        self.bar.write32(0x830, end);
    }

    fn buffer(&self, index: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.data.read(index * 0x800, &mut bytes);
        bytes
    }

    /// Writes descriptors from ring index `at` and rings.
    fn send(&self, at: usize, descriptors: &[u64]) {
        for (i, descriptor) in descriptors.iter().enumerate() {
            self.tx.write((at + i) * 8, &descriptor.to_le_bytes());
        }
        self.bar.write32(0xa18, u32::try_from(at + descriptors.len()).unwrap());
    }

    /// Puts bytes into the sending half of the buffers, and gives their descriptor.
    fn fragment(&self, at: usize, bytes: &[u8], more: bool) -> u64 {
        self.data.write(0x10000 + at, bytes);
        let address = self.data.iova().0 + 0x10000 + u64::try_from(at).unwrap();
        u64::from(more) << 62 | u64::try_from(bytes.len()).unwrap() << 48 | address
    }
}

fn tcp(src: MacAddr, dst: MacAddr, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2(src.0, dst.0).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9);
    builder.tcp(1000, 80, 7, 9).write(&mut frame, payload).unwrap();
    frame
}

#[test]
fn a_frame_lies_behind_its_prefix_and_an_event_tells_so() {
    let (model, _) = adapter();
    let mut driver = Driver::up(&model, 0, PREFIX);
    driver.call(0x8a, &filter(0, DST_MAC, HOST, OWN)).unwrap();
    driver.post(0x700, 8);
    let frame = tcp(PEER, OWN, &[7; 46]);
    let crossing = model.carry(Place::Wire(0), &frame).unwrap();
    assert_eq!(crossing.delivered, [Place::Host(0)]);
    // BYTES 100 + 14; L3_CLASS IPv4 at 42, L4_CLASS TCP at 45; the next descriptor is 1.
    assert_eq!(driver.events(), [[114, 0, 0, 0, 0, 0x24, 1, 0]]);
    let prefix = [0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0];
    assert_eq!(driver.buffer(0, 114), [&prefix[..], &frame].concat());
    // A checksum that is wrong: TCPUDP_CKSUM_ERR at 26.
    let mut bad = frame;
    bad[90] ^= 1;
    model.carry(Place::Wire(0), &bad).unwrap();
    assert_eq!(driver.events(), [[114, 0, 0, 4, 0, 0x24, 2, 0]]);
}

#[test]
fn a_long_frame_is_spread_over_buffers_or_lost() {
    let (model, _) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    driver.call(0x8a, &filter(0, DST_MAC, HOST, OWN)).unwrap();
    driver.post(256, 8);
    let frame = tcp(PEER, OWN, &[7; 546]);
    model.carry(Place::Wire(0), &frame).unwrap();
    // 600 bytes: 256 and CONT, 256 and CONT, 88.
    let expected = [[0, 0x41, 0, 0, 0, 0x24, 1, 0], [0, 0x41, 0, 0, 0, 0x24, 2, 0], [88, 0, 0, 0, 0, 0x24, 3, 0]];
    assert_eq!(driver.events(), expected);
    let pieces = [driver.buffer(0, 256), driver.buffer(1, 256), driver.buffer(2, 88)].concat();
    assert_eq!(pieces, frame);
    // Five buffers are left, a frame of 1400 bytes needs six: it is lost, and the buffers are not.
    let lost = model.carry(Place::Wire(0), &tcp(PEER, OWN, &[7; 1346])).unwrap();
    assert_eq!((lost.delivered, driver.events()), (vec![], vec![]));
    model.carry(Place::Wire(0), &frame).unwrap();
    assert_eq!(driver.events().len(), 3);
    // MAC_STATS without DMA: RX_NODESC_DROPS is word 0x36.
    let statistics = driver.call(0x2e, &[0; 20]).unwrap();
    assert_eq!(statistics[0x36 * 8..0x37 * 8], 1u64.to_le_bytes());
}

#[test]
fn descriptors_become_a_frame_with_its_checksums() {
    let (model, wire) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    let frame = tcp(OWN, PEER, &[9; 46]);
    let mut sent = frame.clone();
    sent[24..26].fill(0x11);
    sent[50..52].fill(0x22);
    let parts = [driver.fragment(0, &sent[..20], true), driver.fragment(32, &sent[20..], false)];
    driver.send(0, &parts);
    assert_eq!(*wire.lock().unwrap(), [frame.as_slice()]);
    assert_eq!(driver.events(), [[1, 0, 0, 0, 0, 0, 0, 0x20]], "everything up to descriptor 1 is done");
    // An option descriptor pushed with the doorbell switches the checksums off; what is short gets padded.
    let option = 1u64 << 63;
    driver.tx.write(2 * 8, &option.to_le_bytes());
    driver.bar.write64(0xa10, option);
    driver.bar.write64(0xa18, 3);
    let short = [driver.fragment(0, &sent[..52], false)];
    driver.send(3, &short);
    let mut padded = sent[..52].to_vec();
    padded.resize(60, 0);
    assert_eq!(wire.lock().unwrap().last(), Some(&padded));
    assert_eq!(driver.events(), [[3, 0, 0, 0, 0, 0, 0, 0x20]]);
}

#[test]
fn half_a_frame_waits_for_its_end() {
    let (model, wire) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    let frame = tcp(OWN, PEER, &[9; 46]);
    let (first, second) = (driver.fragment(0, &frame[..20], true), driver.fragment(32, &frame[20..], false));
    driver.send(0, &[first]);
    assert!(wire.lock().unwrap().is_empty() && driver.events().is_empty());
    driver.send(1, &[second]);
    assert_eq!(wire.lock().unwrap().len(), 1);
    assert_eq!(driver.events().len(), 1);
}

#[test]
fn what_a_queue_cannot_send_stops_it() {
    let unmapped = 0x40u64 << 48 | 0xdead_0000;
    let tso = 1u64 << 63 | 7 << 60;
    // TX_ERR: queue 0, type at 12; 9 memory, 5 option, 8 option in a frame.
    for (build, kind) in [(0, 9), (1, 5), (2, 8)] {
        let (model, wire) = adapter();
        let mut driver = Driver::up(&model, 0, 0);
        let piece = driver.fragment(0, &[1; 60], true);
        let descriptors = [vec![unmapped], vec![tso], vec![piece, 1 << 63]];
        driver.send(0, &descriptors[build]);
        assert_eq!(driver.events(), [[0, kind << 4, 0, 0, 0, 0xb0, 0, 0xc0]]);
        let whole = driver.fragment(0, &tcp(OWN, PEER, &[]), false);
        driver.send(4, &[whole]);
        assert!(driver.events().is_empty() && wire.lock().unwrap().is_empty(), "a stopped queue sends nothing");
    }
}

#[test]
fn functions_reach_each_other_and_the_wire() {
    let (model, wire) = adapter();
    let mut sender = Driver::up(&model, 0, 0);
    let mut receiver = Driver::up(&model, 1, 0);
    receiver.call(0x8a, &filter(0, DST_MAC, HOST, OTHER)).unwrap();
    receiver.call(0x8a, &filter(2, DST_MAC, HOST, MacAddr([0xff; 6]))).unwrap();
    receiver.post(0x700, 8);
    let (one, all) = (tcp(OWN, OTHER, &[]), tcp(OWN, MacAddr([0xff; 6]), &[]));
    let descriptors = [sender.fragment(0, &one, false), sender.fragment(0x100, &all, false)];
    sender.send(0, &descriptors);
    assert_eq!(receiver.events().len(), 2);
    assert_eq!((receiver.buffer(0, 54), receiver.buffer(1, 54)), (one[..54].to_vec(), all[..54].to_vec()));
    assert_eq!(wire.lock().unwrap().len(), 1, "the broadcast alone leaves");
    assert_eq!(sender.events(), [[1, 0, 0, 0, 0, 0, 0, 0x20]], "one event for what one doorbell sent");
}

#[test]
fn a_promiscuous_function_sees_what_nobody_has_named() {
    let (model, _) = adapter();
    let (mut admin, mut container) = (Driver::up(&model, 0, 0), Driver::up(&model, 1, 0));
    admin.call(0x8a, &filter(2, UNKNOWN_UCAST, HOST, MacAddr([0; 6]))).unwrap();
    container.call(0x8a, &filter(0, DST_MAC, HOST, OTHER)).unwrap();
    admin.post(0x700, 8);
    container.post(0x700, 8);
    model.carry(Place::Wire(0), &tcp(PEER, OTHER, &[])).unwrap();
    assert_eq!((admin.events().len(), container.events().len()), (0, 1));
    model.carry(Place::Wire(0), &tcp(PEER, MacAddr([2, 0, 0, 0, 0, 7]), &[])).unwrap();
    assert_eq!((admin.events().len(), container.events().len()), (1, 0));
    // EPERM: what is not meant for it is not for a container's function.
    assert_eq!(container.call(0x8a, &filter(2, UNKNOWN_UCAST, HOST, MacAddr([0; 6]))), Err(1));
    assert_eq!(container.call(0x8a, &filter(0, DST_MAC, HOST, OWN)), Err(1));
    assert_eq!(container.call(0x5d, &[&PORT[..], &[2, 0, 0, 0, 0, 8]].concat()), Err(1));
}

#[test]
fn the_rules_engine_judges_frames_of_host_queues() {
    let (model, wire) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    driver.call(0x8a, &filter(0, DST_MAC, HOST, OWN)).unwrap();
    driver.post(0x700, 8);
    // SET_SECURITY_RULE: LOCAL_MAC of the function, deny both ways.
    let mut rule = vec![0; 92];
    rule[0] = 1 << 4;
    rule[12..18].copy_from_slice(&OWN.0);
    rule[80] = 2;
    rule[84] = 2;
    let set = driver.call(0x10f, &rule);
    assert!(set.is_ok(), "{set:?}");
    let denied = model.carry(Place::Wire(0), &tcp(PEER, OWN, &[])).unwrap();
    assert_eq!((denied.delivered, denied.judgements.len()), (vec![], 1));
    let sent = driver.fragment(0, &tcp(OWN, PEER, &[]), false);
    driver.send(0, &[sent]);
    assert!(wire.lock().unwrap().is_empty());
    assert_eq!(driver.events(), [[0, 0, 0, 0, 0, 0, 0, 0x20]], "it was sent, and got no further");
}

#[test]
fn a_command_can_end_with_an_event() {
    let (model, _) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    driver.call_with(1, 0xb8, &[]).unwrap();
    // CMDDONE: SEQ 3, DATALEN 4; then one that fails with ENOSYS.
    assert_eq!(driver.events(), [[3, 4, 0, 0, 0, 0x30, 0, 0xc0]]);
    driver.call_with(1, 0x7ffe, &[]).unwrap_err();
    assert_eq!(driver.events(), [[3, 4, 0x26, 0, 0, 0x30, 0, 0xc0]]);
    // DRIVER_EVENT: EVQ 0 and 60 bits.
    driver.call(0x86, &[0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0xf8]).unwrap();
    assert_eq!(driver.events(), [[1, 2, 3, 4, 5, 6, 7, 0x78]]);
}

#[test]
fn queues_end_with_flush_events() {
    let (model, _) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    for (cmd, code) in [(0x84, [0, 1]), (0x85, [0xc0, 0])] {
        driver.call(cmd, &[0; 4]).unwrap();
        let [low, high] = code;
        // To its own event queue, and with FLUSH_TO_DRIVER to event queue 0: here they are the same.
        let expected = [[0, 0, 0, 0, 0, low, high, 0xc0], [0, 0x10, 0, 0, 0, low, high, 0xc0]];
        assert_eq!(driver.events(), expected, "command {cmd:#x}");
        assert_eq!(driver.call(cmd, &[0; 4]), Err(0x72), "EALREADY");
    }
    driver.call(0x83, &[0; 4]).unwrap();
    driver.call(0x8c, &[]).unwrap();
    assert_eq!(driver.call(0x8c, &[]), Err(0x72), "EALREADY");
}

#[test]
fn a_reboot_and_a_reset_free_everything() {
    let (model, _) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    driver.call(0x8a, &filter(0, DST_MAC, HOST, OWN)).unwrap();
    driver.post(0x700, 8);
    model.reboot();
    assert_eq!(driver.events(), [[2, 0, 0, 0, 0, 0x50, 1, 0xc0]], "MC_REBOOT with the count");
    assert_eq!(model.carry(Place::Wire(0), &tcp(PEER, OWN, &[])).unwrap().delivered, [Place::Host(0)], "by MAC again");
    assert!(driver.events().is_empty());
    for reset in [false, true] {
        let driver = Driver::up(&model, 0, 0);
        if reset {
            driver.device.reset().unwrap();
        } else {
            driver.call(0x20, &words(&[1])).unwrap();
        }
        assert_eq!(driver.call(0x8c, &[]), Err(0x72), "no VIs are left");
        assert_eq!(driver.call(0x5e, &PORT), Err(0x1001), "NO_VADAPTOR");
    }
}

#[test]
fn the_link_tells_of_its_changes() {
    let (model, wire) = adapter();
    let mut driver = Driver::up(&model, 0, 0);
    model.set_cable(0, false);
    assert_eq!(driver.events(), [[0, 0, 0, 2, 0, 0x40, 0, 0xc0]]);
    let frame = driver.fragment(0, &tcp(OWN, PEER, &[]), false);
    driver.send(0, &[frame]);
    assert!(wire.lock().unwrap().is_empty());
    assert!(model.carry(Place::Wire(0), &tcp(PEER, OWN, &[])).unwrap().delivered.is_empty());
    model.set_cable(0, true);
    assert_eq!(driver.events().last(), Some(&[0x80, 0x01, 0x03, 0x0b, 0, 0x40, 0, 0xc0]));
}

#[test]
fn statistics_come_again_and_again() {
    let (model, _) = adapter();
    let driver = Driver::up(&model, 0, 0);
    // MAC_STATS: DMA_ADDR, CMD with PERIODIC_CHANGE, PERIODIC_ENABLE, PERIODIC_NOEVENT and 1000 ms, DMA_LEN.
    let address = driver.data.iova().0.to_le_bytes();
    let ask = |len: u32| [&address[..], &words(&[0x2c | 1000 << 16, len, 0])].concat();
    assert_eq!(driver.call(0x2e, &ask(775)), Err(0x16), "no room for 97 words");
    driver.call(0x2e, &ask(776)).unwrap();
    let generation = || [driver.buffer(0, 776)[..8].to_vec(), driver.buffer(0, 776)[768..].to_vec()];
    let [first, end] = generation();
    assert_eq!(first, end);
    model.elapse(900);
    assert_eq!(generation()[0], first);
    model.elapse(100);
    let [second, end] = generation();
    assert!(second == end && second != first);
}

/// One thing that a hostile driver does.
#[derive(Debug, Clone)]
enum Act {
    Register(usize, u32),
    Descriptor { tx: bool, at: usize, value: u64 },
    Frame(Vec<u8>),
    Command(u16, Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    let register = prop_oneof![Just(0x400), Just(0x420), Just(0x830), Just(0xa10), Just(0xa14), Just(0xa18)];
    let register = (0usize..3, register).prop_map(|(vi, register)| vi * 8192 + register);
    // Addresses in and around the driver's memory, and lengths that matter.
    let address = prop_oneof![0x10_0000u64..0x14_0000, any::<u64>()];
    let value =
        (address, 0u64..0x4000, 0u64..4).prop_map(|(at, len, top)| at & 0xffff_ffff_ffff | len << 48 | top << 62);
    prop_oneof![
        (register, prop_oneof![0u32..600, any::<u32>()]).prop_map(|(at, value)| Act::Register(at, value)),
        (any::<bool>(), 0usize..512, value).prop_map(|(tx, at, value)| Act::Descriptor { tx, at, value }),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Act::Frame),
        (prop_oneof![0x80u16..0x90, 0x98u16..0xa4, Just(0x20)], prop::collection::vec(any::<u8>(), 0..600))
            .prop_map(|(cmd, payload)| Act::Command(cmd, payload)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a driver writes: no panic, and nothing outside of its own memory changes.
    #[test]
    fn a_hostile_driver_harms_only_itself(acts in prop::collection::vec(act(), 1..80)) {
        let (model, _) = adapter();
        let witness = Driver::up(&model, 1, 0);
        let driver = Driver::up(&model, 0, PREFIX);
        driver.call(0x8a, &filter(2, UNKNOWN_UCAST, HOST, MacAddr([0; 6]))).unwrap();
        let before = [witness.buffer(0, 0x20000), { let mut ring = vec![0; 8192]; witness.events.read(0, &mut ring); ring }];
        for act in acts {
            match act {
                Act::Register(at, value) => driver.bar.write32(at, value),
                Act::Descriptor { tx, at, value } => {
                    let ring = if tx { &driver.tx } else { &driver.rx };
                    ring.write(at * 8, &value.to_le_bytes());
                }
                Act::Frame(frame) => { let _ = model.carry(Place::Wire(0), &frame); }
                Act::Command(cmd, payload) => { let _ = driver.call(cmd, &payload); }
            }
        }
        let after = [witness.buffer(0, 0x20000), { let mut ring = vec![0; 8192]; witness.events.read(0, &mut ring); ring }];
        prop_assert_eq!(before, after);
    }
}
