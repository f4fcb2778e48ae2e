//! Requests and answers of the commands about the board, typed from the public header `efx_regs_mcdi.h`.

use super::tests::{done, failed, mc, v2};
use nicfw::terms::MacAddr;

use super::{Answer, FunctionConfig, factory_mac};
use crate::{Model, ModelConfig, Place};

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn what_dpdk_asks_before_it_takes_an_adapter() {
    let mut mc = mc();
    // PF_COUNT: one byte. VEC_BASE, VECS_PER_PF, VECS_PER_VF. PAD_HOST_DMA 0: nothing is padded.
    assert_eq!(mc.take(0, &v2(0xb6, &[])), done(0xb6, &[1]));
    assert_eq!(mc.take(1, &v2(0xbf, &[])), done(0xbf, &words(&[0, 32, 32])));
    assert_eq!(mc.take(0, &v2(0xc2, &[])), done(0xc2, &[0; 4]));
    // MODES, DEFAULT_MODE, CURRENT_MODE: 1x1_1x1 is mode 2, for two ports.
    assert_eq!(mc.take(0, &v2(0xff, &[])), done(0xff, &words(&[4, 2, 2])));
    mc.ports.truncate(1);
    assert_eq!(mc.take(0, &v2(0xff, &[])), done(0xff, &words(&[1, 0, 0])));
    // BOARD_NAME at 4, MAC_ADDR_BASE_PORT0 at 44, MAC_COUNT_PORT0 at 56, MAC_STRIDE_PORT0 at 64; nobody is at port 1.
    let mut board = vec![0; 96];
    board[4..12].copy_from_slice(b"EMULATED");
    board[44..50].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    (board[56], board[64]) = (1, 1);
    assert_eq!(mc.take(1, &v2(0x18, &[])), done(0x18, &board));
}

#[test]
fn boot_flash_and_module_are_told() {
    let mut mc = mc();
    // BOOT_OFFSET NULL, FLAGS_PRIMARY.
    assert_eq!(mc.take(1, &v2(0x05, &[])), done(0x05, &words(&[0xdead_beef, 2])));
    // TYPE, FLAGS (VERSION_VALID), SUBTYPE, VERSION_W to VERSION_Z.
    let firmware = [&words(&[0x100, 2, 0])[..], &[6, 0, 2, 0, 7, 0, 0xe8, 3]].concat();
    assert_eq!(mc.take(0, &v2(0x52, &words(&[0x100]))), done(0x52, &firmware));
    assert_eq!(mc.take(0, &v2(0x52, &words(&[0x1e00]))), done(0x52, &words(&[0x1e00, 0, 0, 0, 0])), "no bundle");
    assert_eq!(mc.take(0, &v2(0x52, &words(&[0x1234]))), failed(0x52, 2));
    assert_eq!(mc.take(0, &v2(0x37, &words(&[0x100]))), failed(0x37, 2), "none that a driver could reach");
    assert_eq!(mc.take(1, &v2(0x52, &words(&[0x100]))), failed(0x52, 1), "needs ADMIN");
    // DATALEN and a page of 128 bytes; SFF-8472: identifier 3 (SFP), CC_BASE over 0 to 62, CC_EXT over 64 to 94.
    let Answer::Bytes(page) = mc.take(0, &v2(0x4b, &words(&[0]))) else { panic!("no answer") };
    let (len, page) = page[8..].split_at(4);
    assert_eq!((len, page.len(), page[0]), (&[128, 0, 0, 0][..], 128, 3));
    assert_eq!(&page[20..28], b"EMULATED");
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 256;
    assert_eq!([u32::from(page[63]), u32::from(page[95])], [sum(&page[..63]), sum(&page[64..95])]);
    assert_eq!(mc.take(0, &v2(0x4b, &words(&[2]))), failed(0x4b, 0x16));
    assert_eq!(mc.take(1, &v2(0x4b, &words(&[0]))), failed(0x4b, 1), "needs ADMIN");
}

/// As the kernel's driver tests the chip: prepare, test memory and registers, reboot.
#[test]
fn offline_tests_pass_and_end_with_a_reboot() {
    let mut mc = mc();
    assert_eq!(mc.take(1, &v2(0xed, &[])), failed(0xed, 1), "needs ADMIN_TSA_UNBOUND");
    assert_eq!(mc.take(0, &v2(0x25, &words(&[6]))), failed(0x25, 1), "not prepared");
    assert_eq!(mc.take(0, &v2(0xed, &[])), done(0xed, &[]));
    assert_eq!(mc.take(0, &v2(0x26, &[])), failed(0x26, 2), "none was started");
    // RESULT PASSED is 2; memory tests tell 36 bytes, the registers' 8.
    for (kind, len) in [(6, 36), (7, 36), (8, 8)] {
        assert_eq!(mc.take(0, &v2(0x25, &words(&[kind]))), done(0x25, &[]));
        let mut passed = vec![0; len];
        passed[0] = 2;
        assert_eq!(mc.take(0, &v2(0x26, &[])), done(0x26, &passed), "test {kind}");
    }
    assert_eq!(mc.take(0, &v2(0x25, &words(&[1]))), failed(0x25, 0x5f), "no test of a cable");
    mc.take(0, &v2(0x3d, &words(&[0])));
    assert_eq!(mc.take(0, &v2(0x25, &words(&[6]))), failed(0x25, 1), "the reboot ends it");
}

#[test]
fn nothing_passes_while_tests_run() {
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x06];
    frame.resize(60, 0);
    let delivered = || model.carry(Place::Wire(0), &frame).unwrap().delivered.len();
    assert_eq!(delivered(), 1);
    model.with_mc(|mc| mc.take(0, &v2(0xed, &[])));
    assert_eq!(delivered(), 0);
    model.reboot();
    assert_eq!(delivered(), 1);
}

/// TX_MAC_SECURITY_FILTERING is bit 12 of FLAGS1; PRIVILEGE_MASK: FUNCTION (PF 0, VF 3), NEW_MASK with DO_CHANGE (bit 31);
/// GRP_MAC_SPOOFING_TX is 0x800, and GRP_MAC_SPOOFING, 0x20, is that and CHANGE_MAC.
#[test]
fn a_function_sends_with_its_own_mac_alone_where_the_adapter_filters() {
    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const FOREIGN: [u8; 6] = [2, 0, 0, 0, 0, 7];
    let functions =
        || vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1])), FunctionConfig::container(0, 3, MacAddr(OWN))];
    let open = Model::new(ModelConfig::new(functions()));
    let filters = Model::new(ModelConfig { tx_mac_filtering: true, ..ModelConfig::new(functions()) });
    let sends = |model: &Model, function: usize, mac: [u8; 6]| {
        let mut frame = [[2, 0, 0, 0, 0, 9], mac].concat();
        frame.extend([0x08, 0x06]);
        frame.resize(60, 0);
        model.carry(Place::Host(function), &frame).unwrap().delivered == [Place::Wire(0)]
    };
    let flag = |model: &Model| {
        let Answer::Bytes(answer) = model.with_mc(|mc| mc.take(1, &v2(0xbe, &[]))) else { panic!("no answer") };
        answer[8 + 1] & 0x10 != 0
    };
    assert_eq!([flag(&open), sends(&open, 1, OWN), sends(&open, 1, FOREIGN)], [false, true, true]);
    assert_eq!([flag(&filters), sends(&filters, 1, OWN), sends(&filters, 1, FOREIGN)], [true, true, false]);
    assert!(sends(&filters, 0, FOREIGN), "the privileged function has all privileges");
    for (mask, passes) in [(0x800, true), (0x1c0, false), (0x20, true)] {
        let asked = words(&[3 << 16, mask | 1 << 31]);
        filters.with_mc(|mc| mc.take(0, &v2(0x5a, &asked)));
        assert_eq!(sends(&filters, 1, FOREIGN), passes, "{mask:#x}");
    }
}

#[test]
fn the_factory_mac_is_one_that_drivers_take() {
    let MacAddr(mac) = factory_mac(0x0102);
    assert_eq!(mac, [0x00, 0x0f, 0x53, 0, 1, 2]);
    assert_eq!(mac[0] & 3, 0, "neither a group nor locally administered");
}
