//! The MACs of the physical ports: link and statistics.
//!
//! Names and places of the counters are those of the public header `efx_regs_mcdi.h` (`MC_CMD_MAC_*`), the first
//! generation of them: 97 words. What a model without a real wire cannot count stays zero.

use nicfw::terms::Packet;

use crate::mc::words::{get_link_out_bits as link, mac as at, phy_bits as phy};

/// Words of the statistics block (MC_CMD_MAC_NSTATS).
pub(crate) const STATISTICS: usize = at::NSTATS;
/// Length of a frame check sequence, which the frames here do not have and the counters include.
const FCS: u64 = 4;

/// Frames in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Unicast, multicast, broadcast: frames and bytes.
    casts: [(u64, u64); 3],
    /// By length with the frame check sequence: 64, to 127, to 255, to 511, to 1023, to 1518, longer.
    lengths: [u64; 7],
}

impl Traffic {
    /// Counts a frame.
    pub fn count(&mut self, packet: &Packet, len: usize) {
        let bytes = u64::try_from(len).unwrap_or(0) + FCS;
        let cast = match packet.dst_mac {
            mac if mac.0 == [0xff; 6] => 2,
            mac if mac.is_group() => 1,
            _ => 0,
        };
        if let Some((frames, sum)) = self.casts.get_mut(cast) {
            *frames += 1;
            *sum += bytes;
        }
        let bin = [64, 127, 255, 511, 1023, 1518].iter().take_while(|longest| bytes > **longest).count();
        if let Some(frames) = self.lengths.get_mut(bin) {
            *frames += 1;
        }
    }

    fn total(&self) -> (u64, u64) {
        self.casts.iter().fold((0, 0), |(frames, bytes), (more, sum)| (frames + more, bytes + sum))
    }
}

/// Both directions of a port, or of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrafficCounters {
    pub tx: Traffic,
    pub rx: Traffic,
}

/// A physical port.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PhysicalPort {
    pub counters: TrafficCounters,
    pub link: LinkState,
}

/// The link of a port: 10 Gbit/s, full duplex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkState {
    pub up: bool,
    /// FCNTL, as the last SET_MAC asked for.
    pub flow_control: u32,
}

impl Default for LinkState {
    /// The peer is there as soon as the port is.
    fn default() -> Self {
        Self { up: true, flow_control: 0 }
    }
}

/// What the port can do.
pub(crate) const CAPABILITIES: u32 = 1 << phy::CAP_10000FDX | 1 << phy::CAP_PAUSE;

impl LinkState {
    /// FLAGS of GET_LINK: LINK_UP, FULL_DUPLEX, PHY_LINK.
    pub fn flags(self) -> u32 {
        let up = if self.up { 1 << link::LINK_UP | 1 << link::PHY_LINK } else { 0 };
        up | 1 << link::FULL_DUPLEX
    }

    pub fn partner_capabilities(self) -> u32 {
        if self.up { CAPABILITIES } else { 0 }
    }
}

/// The statistics block: words with their generation at both ends.
pub(crate) fn block(
    port: &TrafficCounters,
    own: &TrafficCounters,
    no_descriptor: u64,
    generation: u64,
) -> [u64; STATISTICS] {
    let mut words = [0; STATISTICS];
    let mut put = |at: usize, values: &[u64]| {
        if let Some(place) = words.get_mut(at..at + values.len()) {
            place.copy_from_slice(values);
        }
    };
    let frames = |traffic: &Traffic| traffic.casts.map(|(frames, _)| frames);
    let (tx, rx) = (port.tx.total(), port.rx.total());
    put(at::TX_PKTS, &[tx.0]);
    put(at::TX_UNICAST_PKTS, &frames(&port.tx));
    put(at::TX_BYTES, &[tx.1]);
    put(at::TX_64_PKTS, &port.tx.lengths);
    put(at::RX_PKTS, &[rx.0]);
    put(at::RX_GOOD_PKTS, &[rx.0]);
    put(at::RX_UNICAST_PKTS, &frames(&port.rx));
    put(at::RX_BYTES, &[rx.1]);
    put(at::RX_64_PKTS, &port.rx.lengths);
    put(at::RX_NODESC_DROPS, &[no_descriptor]);
    let pairs = |traffic: &Traffic| traffic.casts.map(|(frames, bytes)| [frames, bytes]).concat();
    put(at::VADAPTER_RX_UNICAST_PACKETS, &pairs(&own.rx));
    put(at::VADAPTER_RX_OVERFLOW, &[no_descriptor]);
    put(at::VADAPTER_TX_UNICAST_PACKETS, &pairs(&own.tx));
    put(at::GENERATION_START, &[generation]);
    put(at::GENERATION_END, &[generation]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::parse;

    #[test]
    fn every_frame_is_counted_once_in_each_group() {
        let mut port = TrafficCounters::default();
        for (first, len) in [(0x02, 60), (0x02, 1514), (0x01, 61), (0xff, 2000)] {
            let mut frame = vec![first; len];
            frame[12..14].fill(0);
            port.rx.count(&parse(&frame).unwrap().packet, len);
        }
        let words = block(&port, &TrafficCounters { tx: port.rx, rx: Traffic::default() }, 3, 9);
        let expected = [
            (0x1c, 4),
            (0x1e, 4),
            (0x20, 2),
            (0x21, 1),
            (0x22, 1),
            (0x23, 60 + 1514 + 61 + 2000 + 16),
            (0x25, 1),
            (0x26, 1),
            (0x2a, 1),
            (0x2b, 1),
            (0x36, 3),
            (0x54, 3),
            (0x57, 2),
            (0x58, 60 + 1514 + 8),
            (0, 9),
            (96, 9),
        ];
        for (at, value) in expected {
            assert_eq!(words[at], value, "word {at:#x}");
        }
        let placed: u64 = expected.iter().map(|(_, value)| value).sum();
        let rest = (1 + 61 + 4) + (1 + 2000 + 4);
        assert_eq!(words.iter().sum::<u64>(), placed + rest, "and nothing else but multicast and broadcast sent");
    }
}
