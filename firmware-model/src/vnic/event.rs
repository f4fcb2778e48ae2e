//! Events as the 64-bit words that drivers read (ef10.md 3.2 and 4.6). Low bit numbers and widths are those of the
//! document.

use crate::mac::LinkState;

/// Kinds of events: bits 63:60.
const RX: u64 = 0 << 60;
const TX: u64 = 2 << 60;
const DRIVER: u64 = 5 << 60;
const SOFTWARE: u64 = 7 << 60;
const MC: u64 = 12 << 60;

/// SUB_CODE of a driver event: the queue is ready.
const START_UP: u64 = 2 << 56;

/// CODE of an MC event, in place.
const fn mc(code: u64) -> u64 {
    MC | code << 44
}

const CMDDONE: u64 = mc(3);
const LINKCHANGE: u64 = mc(4);
const MAC_STATS_DMA: u64 = mc(8);
const TX_ERR: u64 = mc(0xb);
const TX_FLUSH: u64 = mc(0xc);
const RX_FLUSH: u64 = mc(0x10);
const RX_ERR: u64 = mc(0x11);
const MC_REBOOT: u64 = mc(0x15);

/// FLUSH_TO_DRIVER of the flush events: the copy for event queue 0.
pub(crate) const FLUSH_TO_DRIVER: u64 = 1 << 12;

/// What a receive event says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RxClass {
    /// Destination MAC is a group.
    pub group: bool,
    /// Number of VLAN tags, 0 to 2.
    pub tags: u8,
    /// L3_CLASS.
    pub l3: u8,
    /// L4_CLASS.
    pub l4: u8,
    /// The IPv4 header's checksum is wrong.
    pub bad_ip: bool,
    /// The TCP or UDP checksum is wrong.
    pub bad_l4: bool,
}

/// A receive event: `bytes` in the buffer, `more` buffers to come, and the low bits of the next descriptor's index.
pub(crate) fn received(label: u32, bytes: u16, more: bool, next: u32, class: RxClass) -> u64 {
    let bit = |set: bool, lbn: u32| u64::from(set) << lbn;
    let field = |value: u8, lbn: u32, width: u32| (u64::from(value) & ((1 << width) - 1)) << lbn;
    RX | u64::from(bytes & 0x3fff)
        | bit(more, 14)
        | u64::from(label & 0x1f) << 16
        | bit(class.bad_ip, 25)
        | bit(class.bad_l4, 26)
        | bit(class.group, 35)
        | field(class.tags, 39, 3)
        | field(class.l3, 42, 3)
        | field(class.l4, 45, 3)
        | u64::from(next & 0xf) << 48
}

/// A transmit event: everything up to and including descriptor `index` is done.
pub(crate) fn transmitted(label: u32, index: u32) -> u64 {
    TX | u64::from(index & 0xffff) | u64::from(label & 0x1f) << 16
}

/// The driver event that tells that event queue `evq` is ready.
pub(crate) fn start_up(evq: u32) -> u64 {
    DRIVER | START_UP | u64::from(evq & 0x3fff)
}

/// A driver's own event, with 60 bits of its data.
pub(crate) fn software(data: u64) -> u64 {
    SOFTWARE | data & ((1 << 60) - 1)
}

/// A command is done: its sequence number, the length of its answer and its error code.
pub(crate) fn command_done(seq: u8, length: usize, errno: u32) -> u64 {
    let cut = |value: u64| value.min(0xff);
    CMDDONE | u64::from(seq) | cut(u64::try_from(length).unwrap_or(u64::MAX)) << 8 | cut(errno.into()) << 16
}

/// The link has changed.
pub(crate) fn link_changed(link: LinkState) -> u64 {
    const SPEED_UNKNOWN: u64 = 0;
    const SPEED_10G: u64 = 3;
    let speed = if link.up { SPEED_10G } else { SPEED_UNKNOWN };
    LINKCHANGE
        | u64::from(link.partner_capabilities() & 0xffff)
        | speed << 16
        | u64::from(link.flow_control & 0xf) << 20
        | u64::from(link.flags() & 0xff) << 24
}

/// Statistics with this generation number lie in memory.
pub(crate) fn statistics(generation: u32) -> u64 {
    MAC_STATS_DMA | u64::from(generation)
}

/// The MC has rebooted, and counts this many boots.
pub(crate) fn rebooted(count: u16) -> u64 {
    MC_REBOOT | u64::from(count)
}

/// The transmit queue has been drained.
pub(crate) fn tx_flushed(queue: u32) -> u64 {
    TX_FLUSH | u64::from(queue & 0xfff)
}

/// The receive queue has been drained.
pub(crate) fn rx_flushed(queue: u32) -> u64 {
    RX_FLUSH | u64::from(queue & 0xfff)
}

/// Why a transmit queue stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxError {
    /// A frame that is longer than any that can be sent.
    TooBig = 3,
    /// An option that the queue does not know.
    BadOption = 5,
    /// An option in the middle of a frame.
    OptionInFrame = 8,
    /// Memory that DMA does not reach.
    Dma = 9,
}

/// The transmit queue has stopped.
pub(crate) fn tx_error(queue: u32, error: TxError) -> u64 {
    TX_ERR | u64::from(queue & 0xfff) | (error as u64) << 12
}

/// The receive queue has stopped. Its error types are not published: 0.
pub(crate) fn rx_error(queue: u32) -> u64 {
    RX_ERR | u64::from(queue & 0xfff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes typed from ef10.md 3.2: BYTES 0x4e, CONT, QLABEL 3; IPCKSUM_ERR 25, TCPUDP_CKSUM_ERR 26; MAC_CLASS 35,
    /// ETH_TAG_CLASS 1, L3_CLASS 2, L4_CLASS 1, DSC_PTR_LBITS 7.
    #[test]
    fn receive_events() {
        let class = RxClass { group: true, tags: 1, l3: 2, l4: 1, bad_ip: true, bad_l4: true };
        assert_eq!(
            received(3, 0x4e, true, 0x17, class).to_le_bytes(),
            [0x4e, 0x40, 0x03, 0x06, 0x88, 0x28, 0x07, 0x00]
        );
        assert_eq!(received(0, 60, false, 1, RxClass::default()).to_le_bytes(), [60, 0, 0, 0, 0, 0, 1, 0]);
    }

    /// DESCR_INDX 0x0203, QLABEL 5, CODE 2.
    #[test]
    fn transmit_events() {
        assert_eq!(transmitted(5, 0x0203).to_le_bytes(), [3, 2, 5, 0, 0, 0, 0, 0x20]);
    }

    /// EVQ_ID 0,14 with SUB_CODE 56,4; a software event keeps 60 bits.
    #[test]
    fn driver_and_software_events() {
        assert_eq!(start_up(2).to_le_bytes(), [2, 0, 0, 0, 0, 0, 0, 0x52]);
        assert_eq!(software(u64::MAX).to_le_bytes(), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    }

    /// CODE 44,8 of the MCDI event, EV_CODE 12.
    #[test]
    fn mc_events() {
        assert_eq!(command_done(5, 0x20, 2).to_le_bytes(), [5, 0x20, 2, 0, 0, 0x30, 0, 0xc0]);
        assert_eq!(command_done(5, 1000, 0x1001).to_le_bytes()[..3], [5, 0xff, 0xff]);
        assert_eq!(tx_flushed(1).to_le_bytes(), [1, 0, 0, 0, 0, 0xc0, 0, 0xc0]);
        assert_eq!((rx_flushed(1) | FLUSH_TO_DRIVER).to_le_bytes(), [1, 0x10, 0, 0, 0, 0, 1, 0xc0]);
        assert_eq!(tx_error(1, TxError::Dma).to_le_bytes(), [1, 0x90, 0, 0, 0, 0xb0, 0, 0xc0]);
        assert_eq!(rebooted(7).to_le_bytes(), [7, 0, 0, 0, 0, 0x50, 1, 0xc0]);
        // LP_CAP: 10000FDX 7 and PAUSE 8; SPEED 3; FCNTL 2; LINK_UP, FULL_DUPLEX, PHY_LINK.
        let up = LinkState { up: true, flow_control: 2 };
        assert_eq!(link_changed(up).to_le_bytes(), [0x80, 0x01, 0x23, 0x0b, 0, 0x40, 0, 0xc0]);
        let down = LinkState { up: false, flow_control: 2 };
        assert_eq!(link_changed(down).to_le_bytes(), [0, 0, 0x20, 0x02, 0, 0x40, 0, 0xc0]);
    }
}
