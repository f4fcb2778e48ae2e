//! Requests and answers of the commands that drivers of host queues send, typed from ef10.md 5 and 6 and the public header.

use super::tests::{done, failed, mc, v2};
use super::{Answer, FirmwareVariant, Mc};
use proptest::prelude::*;

/// EVB_PORT_ID_ASSIGNED.
const PORT: [u8; 4] = [0, 0, 0, 1];

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A controller whose function 0 has 4 VIs and a vadaptor.
fn ready() -> Mc {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0x8b, &words(&[2, 4]))), done(0x8b, &words(&[4, 0])));
    assert_eq!(mc.take(0, &v2(0x98, &vadaptor())), done(0x98, &[]));
    mc
}

/// VADAPTOR_ALLOC: UPSTREAM_PORT_ID, nothing else.
fn vadaptor() -> Vec<u8> {
    [&PORT[..], &[0; 26]].concat()
}

#[test]
fn assertions_log_and_workarounds() {
    let mut mc = mc();
    let mut asserts = vec![0; 140];
    asserts[0] = 1; // GLOBAL_FLAGS: NO_FAILS
    assert_eq!(mc.take(0, &v2(0x06, &words(&[1]))), done(0x06, &asserts));
    assert_eq!(mc.take(1, &v2(0x06, &words(&[1]))), failed(0x06, 1), "needs ADMIN");
    assert_eq!(mc.take(0, &v2(0x07, &words(&[2, 0]))), done(0x07, &[]));
    assert_eq!(mc.take(0, &v2(0x07, &words(&[3, 0]))), failed(0x07, 0x16));
    assert_eq!(mc.take(0, &v2(0x59, &[])), done(0x59, &[0; 8]));
    assert_eq!(mc.take(0, &v2(0x4a, &words(&[2, 1]))), failed(0x4a, 2), "35388 is Huntington's");
    assert_eq!(
        mc.take(0, &v2(0x4a, &words(&[4, 1]))),
        failed(0x4a, 2),
        "41750: sfc tests interrupts where it is refused"
    );
    assert_eq!(mc.take(0, &v2(0x4a, &words(&[4, 0]))), done(0x4a, &[]), "what is not there is off");
    for unknown in [0, 8] {
        assert_eq!(mc.take(0, &v2(0x4a, &words(&[unknown, 1]))), failed(0x4a, 0x16), "EINVAL, by the header");
    }
}

#[test]
fn no_sensors_no_nvram_no_licences() {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0x41, &words(&[0]))), done(0x41, &[0; 4]));
    assert_eq!(mc.take(0, &v2(0x36, &[])), done(0x36, &[0; 4]));
    assert_eq!(mc.take(0, &v2(0x51, &[])), done(0x51, &[0; 4]));
    assert_eq!(mc.take(1, &v2(0x51, &[])), failed(0x51, 1));
    let mut report = vec![0; 88];
    report[20] = 1; // LICENSING_SELF_TEST: PASS
    assert_eq!(mc.take(0, &v2(0xd0, &words(&[1]))), done(0xd0, &report));
    assert_eq!(mc.take(0, &v2(0x0b, &words(&[2, 0]))), failed(0x0b, 0x26), "no PTP");
    assert_eq!(mc.take(0, &v2(0x8f, &[])), failed(0x8f, 0x26), "no PIO buffers");
}

#[test]
fn a_reboot_on_command_cuts_its_own_request_off() {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0x3d, &words(&[1]))), done(0x3d, &[]), "AFTER_ASSERTION: there was none");
    assert_eq!(mc.boot_count, 1);
    let mut cut_off = v2(0x3d, &[]);
    cut_off[2] = 0xc5; // RESPONSE and ERROR, no payload
    assert_eq!(mc.take(0, &v2(0x3d, &words(&[0]))), Answer::Bytes(cut_off));
    assert_eq!(mc.boot_count, 2);
}

#[test]
fn phy_link_and_mac() {
    let mut mc = mc();
    let mut phy = vec![0; 72];
    phy[0] = 1; // FLAGS: PRESENT
    phy[8..10].copy_from_slice(&[0x80, 0x01]); // SUPPORTED_CAP: 10000FDX, PAUSE
    phy[24..32].copy_from_slice(b"EMULATED"); // NAME
    phy[44] = 5; // MEDIA_TYPE: SFP_PLUS
    phy[52] = b'0'; // REVISION
    assert_eq!(mc.take(0, &v2(0x24, &[])), done(0x24, &phy));
    assert_eq!(mc.take(0, &v2(0x43, &[])), done(0x43, &[1, 0, 0, 0]));
    assert_eq!(mc.take(0, &v2(0x28, &[])), done(0x28, &[0; 40]));
    // GET_LINK: CAP, LP_CAP, LINK_SPEED, LOOPBACK_MODE, FLAGS (LINK_UP, FULL_DUPLEX, PHY_LINK), FCNTL, MAC_FAULT.
    assert_eq!(mc.take(0, &v2(0x29, &[])), done(0x29, &words(&[0x180, 0x180, 10_000, 0, 0xb, 0, 0])));
    // SET_MAC: MTU, DRAIN, ADDR, REJECT, FCNTL 2 (BIDIR), FLAGS.
    assert_eq!(mc.take(0, &v2(0x2c, &words(&[1522, 0, 0, 0, 0, 2, 0]))), done(0x2c, &[]));
    mc.set_cable(0, false);
    assert_eq!(mc.take(0, &v2(0x29, &[])), done(0x29, &words(&[0x180, 0, 0, 0, 2, 2, 0])));
    assert_eq!(mc.take(0, &v2(0x2c, &words(&[1522, 0, 0, 0, 0, 4, 0]))), failed(0x2c, 0x5f), "QBB");
    assert_eq!(mc.take(0, &v2(0x2a, &words(&[0x180, 0, 0, 0]))), done(0x2a, &[]));
    assert_eq!(mc.take(0, &v2(0x2a, &words(&[0x180, 0, 1, 0]))), failed(0x2a, 0x16), "loopback");
    assert_eq!(mc.take(1, &v2(0x2a, &words(&[0x180, 0, 0, 0]))), failed(0x2a, 1), "needs LINK");
    // MAC_STATS with DMA, before there is a queue: ENOENT.
    assert_eq!(mc.take(0, &v2(0x2e, &words(&[0x1000, 0, 1, 776, 0]))), failed(0x2e, 2));
}

#[test]
fn vis_and_queues() {
    let mut mc = ready();
    assert_eq!(mc.take(0, &v2(0x8b, &words(&[1, 1]))), failed(0x8b, 0x72), "a second time");
    assert_eq!(mc.take(1, &v2(0x8b, &words(&[129, 200]))), failed(0x8b, 0x1c), "more than the BAR has windows");
    assert_eq!(mc.take(1, &v2(0x8b, &words(&[0, 0]))), failed(0x8b, 0x16));
    // INIT_EVQ: SIZE, INSTANCE, TMR_LOAD, TMR_RELOAD, FLAGS, TMR_MODE, IRQ_NUM, COUNT_MODE, COUNT_THRSHLD, DMA_ADDR.
    let evq = |size, instance, page: u64| {
        [words(&[size, instance, 0, 0, 1, 0, 7, 0, 0]), page.to_le_bytes().to_vec()].concat()
    };
    assert_eq!(mc.take(0, &v2(0x80, &evq(512, 0, 0x1000))), done(0x80, &words(&[7, 0])));
    assert_eq!(mc.take(0, &v2(0x80, &evq(512, 0, 0x1000))), failed(0x80, 0x72), "in use");
    assert_eq!(mc.take(0, &v2(0x80, &evq(512, 4, 0x1000))), failed(0x80, 0x16), "no such VI");
    assert_eq!(mc.take(0, &v2(0x80, &evq(1024, 1, 0x1000))), failed(0x80, 0x16), "a page is missing");
    assert_eq!(mc.take(0, &v2(0x80, &evq(512, 1, 0x1001))), failed(0x80, 0x16), "no page");
    // INIT_RXQ and INIT_TXQ: SIZE, TARGET_EVQ, LABEL, INSTANCE, FLAGS, OWNER_ID, PORT_ID, DMA_ADDR.
    let queue = |evq, flags, port: [u8; 4]| {
        [words(&[512, evq, 0, 0, flags, 0]), port.to_vec(), 0x2000u64.to_le_bytes().to_vec()].concat()
    };
    for cmd in [0x81, 0x82] {
        assert_eq!(mc.take(0, &v2(cmd, &queue(1, 0, PORT))), failed(cmd, 2), "no such event queue");
        assert_eq!(mc.take(0, &v2(cmd, &queue(0, 0, [0, 0, 0, 2]))), failed(cmd, 0x1002), "not its port");
        assert_eq!(mc.take(0, &v2(cmd, &queue(0, 0, PORT))), done(cmd, &[]));
    }
    assert_eq!(mc.take(0, &v2(0x81, &queue(0, 1 << 10, PORT))), failed(0x81, 0x5f), "packed stream");
    assert_eq!(mc.take(0, &v2(0x82, &queue(0, 1 << 12, PORT))), failed(0x82, 0x5f), "TSO");
    assert_eq!(mc.take(0, &v2(0x8c, &[])), failed(0x8c, 0x10), "queues are there");
    assert_eq!(mc.take(0, &v2(0x99, &PORT)), failed(0x99, 0x10), "queues are there");
}

#[test]
fn timers() {
    let mut mc = ready();
    // FLAGS; register: NS_PER_COUNT 1920, MAX_COUNT, STEP; MCDI: MAX_NS, STEP_NS; the same for workaround 35388: none.
    let told = words(&[0, 1920, 0x3fff, 1, 1920 * 0x3fff, 1920, 0, 0, 0]);
    assert_eq!(mc.take(0, &v2(0x122, &[])), done(0x122, &told));
    assert_eq!(mc.take(0, &v2(0xac, &[])), done(0xac, &words(&[800, 800])));
    assert_eq!(mc.take(0, &v2(0x120, &words(&[0, 1, 0, 3]))), failed(0x120, 2), "no such event queue");
    let evq = [words(&[512, 0, 0, 0, 1, 0, 0, 0, 0]), 0x1000u64.to_le_bytes().to_vec()].concat();
    mc.take(0, &v2(0x80, &evq));
    assert_eq!(mc.take(0, &v2(0x120, &words(&[0, 60_000, 1, 3]))), done(0x120, &words(&[61_440, 1920])));
}

#[test]
fn vadaptor_and_its_mac() {
    let mut mc = mc();
    assert_eq!(mc.take(0, &v2(0x5e, &PORT)), failed(0x5e, 0x1001));
    assert_eq!(mc.take(0, &v2(0x98, &[0; 30])), failed(0x98, 0x1002), "not its port");
    assert_eq!(mc.take(0, &v2(0x98, &vadaptor())), done(0x98, &[]));
    assert_eq!(mc.take(0, &v2(0x98, &vadaptor())), failed(0x98, 6), "a second one");
    assert_eq!(mc.take(0, &v2(0x5e, &PORT)), done(0x5e, &[2, 0, 0, 0, 0, 1]));
    let set = |mac: [u8; 6]| [&PORT[..], &mac].concat();
    assert_eq!(mc.take(0, &v2(0x5d, &set([2, 0, 0, 0, 0, 7]))), done(0x5d, &[]));
    assert_eq!(mc.take(0, &v2(0x5d, &set([1, 0, 0, 0, 0, 7]))), failed(0x5d, 0x16), "a group");
    assert_eq!(mc.take(0, &v2(0x5e, &PORT)), done(0x5e, &[2, 0, 0, 0, 0, 7]));
    assert_eq!(mc.take(0, &v2(0x61, &PORT)), done(0x61, &[0; 12]));
    assert_eq!(mc.take(1, &v2(0xaa, &PORT)), done(0xaa, &[1, 0, 0, 0, 2, 0, 0, 0, 0, 2]));
    assert_eq!(mc.take(0, &v2(0x99, &PORT)), done(0x99, &[]));
}

/// iPXE asks for no vadaptor: the first queue or filter on the function's own port makes one, with the function's MAC.
#[test]
fn a_vadaptor_comes_by_first_use() {
    let evq = [words(&[512, 0, 0, 0, 1, 0, 7, 0, 0]), 0x1000u64.to_le_bytes().to_vec()].concat();
    let queue = [words(&[512, 0, 0, 0, 0, 0]), PORT.to_vec(), 0x2000u64.to_le_bytes().to_vec()].concat();
    let mut own = filter(0, 0, 1 << 4, [1, 0, 0, 0]);
    own[52..58].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    for (cmd, first) in [(0x81, &queue), (0x82, &queue), (0x8a, &own)] {
        let mut mc = mc();
        mc.take(0, &v2(0x8b, &words(&[1, 1])));
        mc.take(0, &v2(0x80, &evq));
        assert_eq!(mc.take(0, &v2(0x61, &PORT)), failed(0x61, 0x1001), "a question makes none");
        assert!(matches!(mc.take(0, &v2(cmd, first)), Answer::Bytes(answer) if answer[2] == 0x85), "{cmd:#x}");
        assert_eq!(mc.take(0, &v2(0x5e, &PORT)), done(0x5e, &[2, 0, 0, 0, 0, 1]));
        assert_eq!(mc.take(0, &v2(0x98, &vadaptor())), failed(0x98, 6), "a second one");
    }
    // What is refused makes none, and neither does a function whose vadaptor is elsewhere.
    let mut mc = mc();
    mc.take(0, &v2(0x8b, &words(&[1, 1])));
    assert_eq!(mc.take(0, &v2(0x8a, &filter(0, 0, 0x262, [1, 4, 0, 0]))), failed(0x8a, 0x16), "no such VI");
    assert_eq!(mc.take(0, &v2(0x61, &PORT)), failed(0x61, 0x1001));
}

/// FILTER_OP EXT_IN: OP, HANDLE, PORT_ID, MATCH_FIELDS, RX_DEST, RX_QUEUE, RX_MODE, RX_CONTEXT, TX_DOMAIN, TX_DEST.
fn filter(op: u32, handle: u64, fields: u32, to: [u32; 4]) -> Vec<u8> {
    let [dest, queue, mode, context] = to;
    let mut ask = [words(&[op]), handle.to_le_bytes().to_vec(), PORT.to_vec()].concat();
    ask.extend(words(&[fields, dest, queue, mode, context, 0, u32::MAX]));
    ask.resize(172, 0);
    ask
}

#[test]
fn filters() {
    const DST_MAC: u32 = 1 << 4;
    let mut mc = ready();
    let matches: [u32; 10] = [0x26b, 0x262, 0x243, 0x242, 0x50, 0x110, 0x10, 0x4000_0100, 0x4000_0000, 0x8000_0000];
    assert_eq!(mc.take(0, &v2(0xe4, &words(&[1]))), done(0xe4, &words(&[&[1, 10][..], &matches].concat())));
    let mut own = filter(0, 0, DST_MAC, [1, 3, 0, 0]);
    own[52..58].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    assert_eq!(mc.take(0, &v2(0x8a, &own)), done(0x8a, &words(&[0, 1, 0])), "OP and HANDLE");
    assert_eq!(mc.take(0, &v2(0x8a, &own)), failed(0x8a, 6), "the same once more");
    assert_eq!(mc.take(0, &v2(0x8a, &filter(4, 1, 0, [1, 2, 0, 0]))), done(0x8a, &words(&[4, 1, 0])), "REPLACE");
    assert_eq!(mc.take(0, &v2(0x8a, &filter(0, 0, 1 << 2, [1, 0, 0, 0]))), failed(0x8a, 0x5f), "SRC_MAC alone");
    assert_eq!(mc.take(0, &v2(0x8a, &filter(0, 0, 0x262, [1, 4, 0, 0]))), failed(0x8a, 0x16), "no such VI");
    assert_eq!(mc.take(0, &v2(0x8a, &filter(0, 0, 0x262, [1, 0, 1, 9]))), failed(0x8a, 0x16), "no such context");
    assert_eq!(mc.take(0, &v2(0x8a, &filter(0, 0, 0x262, [3, 0, 0, 0]))), failed(0x8a, 0x5f), "to TX0");
    // REMOVE as the kernel's driver sends it: 12 bytes.
    let remove = [words(&[1]), 1u64.to_le_bytes().to_vec()].concat();
    assert_eq!(mc.take(0, &v2(0x8a, &remove)), done(0x8a, &words(&[1, 1, 0])));
    assert_eq!(mc.take(0, &v2(0x8a, &remove)), failed(0x8a, 2));
    assert_eq!(mc.take(0, &v2(0x8a, &filter(9, 0, 0, [0; 4]))), failed(0x8a, 0x16), "no such operation");
    assert_eq!(mc.take(1, &v2(0x8a, &own)), failed(0x8a, 0x16), "no VIs");
}

/// VSWITCH_ALLOC: UPSTREAM_PORT_ID, TYPE (VEB 2), FLAGS, NUM_VLAN_TAGS; VPORT_ALLOC: the same with TYPE NORMAL 4, and VLAN_TAGS.
#[test]
fn vports_carry_macs_of_their_function() {
    let mut mc = mc();
    let on = |port: u32, rest: &[u32]| [port.to_le_bytes().to_vec(), words(rest)].concat();
    let own = u32::from_le_bytes(PORT);
    let vport = 0x0300_0000u32;
    assert_eq!(mc.take(0, &v2(0x63, &on(own, &[]))), failed(0x63, 0x1003), "NO_VSWITCH");
    assert_eq!(mc.take(0, &v2(0x96, &on(own, &[4, 0, 0, 0]))), failed(0x96, 0x1003));
    assert_eq!(mc.take(0, &v2(0x94, &on(own, &[1, 0, 0]))), failed(0x94, 0x1007), "BAD_VSWITCH_TYPE");
    assert_eq!(mc.take(0, &v2(0x94, &on(own, &[2, 0, 3]))), failed(0x94, 0x1004), "VLAN_LIMIT");
    assert_eq!(mc.take(0, &v2(0x94, &on(own, &[2, 0, 2]))), done(0x94, &[]));
    assert_eq!(mc.take(0, &v2(0x94, &on(own, &[2, 0, 2]))), failed(0x94, 6), "EEXIST");
    assert_eq!(mc.take(0, &v2(0x96, &on(own, &[5, 0, 0, 0]))), failed(0x96, 0x1008), "BAD_VPORT_TYPE");
    assert_eq!(mc.take(0, &v2(0x96, &on(own, &[4, 0, 0, 0]))), done(0x96, &vport.to_le_bytes()));
    let mac = [2, 0, 0, 0, 0, 0x77];
    let with_mac = |port: u32, mac: &[u8]| [&port.to_le_bytes()[..], mac].concat();
    assert_eq!(mc.take(0, &v2(0xa8, &with_mac(vport, &mac))), done(0xa8, &[]));
    assert_eq!(mc.take(0, &v2(0xa8, &with_mac(vport, &mac))), failed(0xa8, 6), "EEXIST");
    assert_eq!(mc.take(0, &v2(0xa8, &with_mac(vport + 1, &mac))), failed(0xa8, 0x1002), "NO_EVB_PORT");
    assert_eq!(mc.take(0, &v2(0xa8, &with_mac(vport, &[1, 0, 0, 0, 0, 1]))), failed(0xa8, 0x16), "a group");
    assert_eq!(mc.take(0, &v2(0xaa, &on(vport, &[]))), done(0xaa, &[&[1, 0, 0, 0][..], &mac].concat()));
    // The vadaptor takes the vport's MAC, and is on the vport alone.
    let mut vadaptor = on(vport, &[]);
    vadaptor.resize(30, 0);
    assert_eq!(mc.take(0, &v2(0x98, &vadaptor)), done(0x98, &[]));
    assert_eq!(mc.take(0, &v2(0x5e, &on(vport, &[]))), done(0x5e, &mac));
    assert_eq!(mc.take(0, &v2(0x5e, &on(own, &[]))), failed(0x5e, 0x1001), "NO_VADAPTOR");
    assert_eq!(mc.take(0, &v2(0x97, &on(vport, &[]))), failed(0x97, 0x10), "EBUSY");
    assert_eq!(mc.take(0, &v2(0x99, &on(vport, &[]))), done(0x99, &[]));
    assert_eq!(mc.take(0, &v2(0xa9, &with_mac(vport, &mac))), done(0xa9, &[]));
    assert_eq!(mc.take(0, &v2(0xa9, &with_mac(vport, &mac))), failed(0xa9, 2));
    assert_eq!(mc.take(0, &v2(0x95, &on(own, &[]))), failed(0x95, 0x10), "vports are there");
    assert_eq!(mc.take(0, &v2(0x97, &on(vport, &[]))), done(0x97, &[]));
    assert_eq!(mc.take(0, &v2(0x95, &on(own, &[]))), done(0x95, &[]));
    assert_eq!(mc.take(0, &v2(0x63, &on(own, &[]))), failed(0x63, 0x1003));
    // A container's function may add its own MAC, and no other.
    assert_eq!(mc.take(1, &v2(0x94, &on(own, &[2, 0, 0]))), done(0x94, &[]));
    assert_eq!(mc.take(1, &v2(0x96, &on(own, &[4, 0, 0, 0]))), done(0x96, &vport.to_le_bytes()));
    assert_eq!(mc.take(1, &v2(0xa8, &with_mac(vport, &mac))), failed(0xa8, 1));
    assert_eq!(mc.take(1, &v2(0xa8, &with_mac(vport, &[2, 0, 0, 0, 0, 2]))), done(0xa8, &[]));
}

#[test]
fn rss_contexts() {
    let mut mc = ready();
    // RSS_CONTEXT_ALLOC: UPSTREAM_PORT_ID, TYPE, NUM_QUEUES.
    let alloc = |kind, queues| [PORT.to_vec(), words(&[kind, queues])].concat();
    assert_eq!(mc.take(0, &v2(0x9e, &alloc(2, 2))), failed(0x9e, 0x5f), "EVEN_SPREADING");
    assert_eq!(mc.take(0, &v2(0x9e, &alloc(0, 65))), failed(0x9e, 0x16));
    assert_eq!(mc.take(0, &v2(0x9e, &alloc(1, 3))), failed(0x9e, 0x16), "SHARED, no power of two");
    assert_eq!(mc.take(0, &v2(0x9e, &alloc(0, 2))), done(0x9e, &[0; 4]));
    let with = |bytes: &[u8]| [&[0; 4], bytes].concat();
    assert_eq!(mc.take(0, &v2(0xa2, &with(&[1; 128]))), done(0xa2, &[]));
    assert_eq!(mc.take(0, &v2(0xa2, &with(&[2; 128]))), failed(0xa2, 0x16), "past its queues");
    assert_eq!(mc.take(0, &v2(0xa3, &[0; 4])), done(0xa3, &with(&[1; 128])));
    assert_eq!(mc.take(0, &v2(0xa0, &with(&[5; 40]))), done(0xa0, &[]));
    assert_eq!(mc.take(0, &v2(0xa1, &[0; 4])), done(0xa1, &with(&[5; 40])));
    assert_eq!(mc.take(0, &v2(0xe2, &[0; 4])), done(0xe2, &words(&[0, 0xf])));
    assert_eq!(mc.take(0, &v2(0xe1, &words(&[0, 3]))), done(0xe1, &[]));
    assert_eq!(mc.take(0, &v2(0xe1, &words(&[0, 0x100]))), failed(0xe1, 0x16), "no additional modes");
    assert_eq!(mc.take(0, &v2(0xe2, &[0; 4])), done(0xe2, &words(&[0, 3])));
    assert_eq!(mc.take(1, &v2(0x9f, &[0; 4])), failed(0x9f, 2), "another function's");
    // A shared context goes round its queues, and stays as it is.
    assert_eq!(mc.take(0, &v2(0x9e, &alloc(1, 4))), done(0x9e, &words(&[1])));
    let round: Vec<u8> = [0, 1, 2, 3].repeat(32);
    assert_eq!(mc.take(0, &v2(0xa3, &words(&[1]))), done(0xa3, &[&[0; 4], &round[..]].concat()));
    assert_eq!(mc.take(0, &v2(0xa2, &[&words(&[1])[..], &[0; 128]].concat())), failed(0xa2, 1));
    assert_eq!(mc.take(0, &v2(0xa0, &[&words(&[1])[..], &[5; 40]].concat())), failed(0xa0, 1));
    assert_eq!(mc.take(0, &v2(0xe1, &words(&[1, 3]))), failed(0xe1, 1));
    assert_eq!(mc.take(0, &v2(0x9f, &words(&[1]))), done(0x9f, &[]));
    // The vadaptor goes first, the context is still there.
    assert_eq!(mc.take(0, &v2(0x99, &PORT)), done(0x99, &[]));
    assert_eq!(mc.take(0, &v2(0x9f, &[0; 4])), done(0x9f, &[]));
    assert_eq!(mc.take(0, &v2(0x9f, &[0; 4])), failed(0x9f, 2));
}

#[test]
fn what_drivers_look_for_in_the_capabilities() {
    let Answer::Bytes(answer) = mc().take(0, &v2(0xbe, &[])) else { panic!("no answer") };
    let payload = &answer[8..];
    // FLAGS1: VADAPTOR_QUERY 5, VADAPTOR_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED 11, RX_PREFIX_LEN_0 22 and _14 23,
    // RX_DISABLE_SCATTER 28, EVB 30. FLAGS2: INIT_EVQ_V2 7, TSA_SUPPORT 16. VI_WINDOW_MODE 0.
    assert_eq!(payload[..4], [0x20, 0x08, 0xc0, 0x50]);
    assert_eq!(payload[20..24], [0x80, 0, 1, 0]);
    assert_eq!((payload.len(), payload[72]), (76, 0));
}

#[test]
fn host_commands_belong_to_every_variant() {
    let mut mc = mc();
    mc.variant = FirmwareVariant::LowLatency;
    assert_eq!(mc.take(0, &v2(0x98, &vadaptor())), done(0x98, &[]));
    assert_ne!(mc.take(0, &v2(0x06, &words(&[1]))), failed(0x06, 0x26));
}

proptest! {
    /// Commands of any content, one after the other: every one gets an answer, and the function can be reset.
    #[test]
    fn any_sequence_of_commands_is_taken(
        steps in prop::collection::vec((0..super::tests::all().count(), prop::collection::vec(0u8..4, 0..200)), 1..40),
    ) {
        let mut mc = ready();
        for (command, payload) in steps {
            let cmd = super::tests::all().nth(command).unwrap().cmd.0;
            prop_assert!(matches!(mc.take(0, &v2(cmd, &payload)), Answer::Bytes(_)));
        }
        mc.reset_function(0);
        prop_assert!(!mc.functions[0].vnic.has_queue() && mc.functions[0].vadaptor.is_none());
    }
}
