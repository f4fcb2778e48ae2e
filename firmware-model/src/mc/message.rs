//! Messages of the commands that drivers of host queues send, by the offsets of mcdi.json.
//!
//! A driver may send more than the model knows, or less than the newest form has: a field that is not there reads as zero
//! (ef10.md 5.7).

use nicfw::mcdi::wire::Cmd;

/// Codes of the commands.
pub(super) mod code {
    use super::Cmd;

    pub const GET_ASSERTS: Cmd = Cmd(0x06);
    pub const LOG_CTRL: Cmd = Cmd(0x07);
    pub const GET_PHY_CFG: Cmd = Cmd(0x24);
    pub const GET_LOOPBACK_MODES: Cmd = Cmd(0x28);
    pub const GET_LINK: Cmd = Cmd(0x29);
    pub const SET_LINK: Cmd = Cmd(0x2a);
    pub const SET_ID_LED: Cmd = Cmd(0x2b);
    pub const SET_MAC: Cmd = Cmd(0x2c);
    pub const MAC_STATS: Cmd = Cmd(0x2e);
    pub const NVRAM_TYPES: Cmd = Cmd(0x36);
    pub const REBOOT: Cmd = Cmd(0x3d);
    pub const SENSOR_INFO: Cmd = Cmd(0x41);
    pub const GET_PHY_STATE: Cmd = Cmd(0x43);
    pub const WORKAROUND: Cmd = Cmd(0x4a);
    pub const NVRAM_PARTITIONS: Cmd = Cmd(0x51);
    pub const GET_WORKAROUNDS: Cmd = Cmd(0x59);
    pub const VADAPTOR_SET_MAC: Cmd = Cmd(0x5d);
    pub const VADAPTOR_GET_MAC: Cmd = Cmd(0x5e);
    pub const VADAPTOR_QUERY: Cmd = Cmd(0x61);
    pub const INIT_EVQ: Cmd = Cmd(0x80);
    pub const INIT_RXQ: Cmd = Cmd(0x81);
    pub const INIT_TXQ: Cmd = Cmd(0x82);
    pub const FINI_EVQ: Cmd = Cmd(0x83);
    pub const FINI_RXQ: Cmd = Cmd(0x84);
    pub const FINI_TXQ: Cmd = Cmd(0x85);
    pub const DRIVER_EVENT: Cmd = Cmd(0x86);
    pub const FILTER_OP: Cmd = Cmd(0x8a);
    pub const ALLOC_VIS: Cmd = Cmd(0x8b);
    pub const FREE_VIS: Cmd = Cmd(0x8c);
    pub const GET_VI_ALLOC_INFO: Cmd = Cmd(0x8d);
    pub const VADAPTOR_ALLOC: Cmd = Cmd(0x98);
    pub const VADAPTOR_FREE: Cmd = Cmd(0x99);
    pub const RSS_CONTEXT_ALLOC: Cmd = Cmd(0x9e);
    pub const RSS_CONTEXT_FREE: Cmd = Cmd(0x9f);
    pub const RSS_CONTEXT_SET_KEY: Cmd = Cmd(0xa0);
    pub const RSS_CONTEXT_GET_KEY: Cmd = Cmd(0xa1);
    pub const RSS_CONTEXT_SET_TABLE: Cmd = Cmd(0xa2);
    pub const RSS_CONTEXT_GET_TABLE: Cmd = Cmd(0xa3);
    pub const VPORT_GET_MAC_ADDRESSES: Cmd = Cmd(0xaa);
    pub const GET_CLOCK: Cmd = Cmd(0xac);
    pub const LICENSING_V3: Cmd = Cmd(0xd0);
    pub const RSS_CONTEXT_SET_FLAGS: Cmd = Cmd(0xe1);
    pub const RSS_CONTEXT_GET_FLAGS: Cmd = Cmd(0xe2);
    pub const TRIGGER_INTERRUPT: Cmd = Cmd(0xe3);
    pub const SET_EVQ_TMR: Cmd = Cmd(0x120);
    pub const GET_EVQ_TMR_PROPERTIES: Cmd = Cmd(0x122);
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct In<'a>(pub &'a [u8]);

impl In<'_> {
    /// `N` bytes at an offset.
    pub fn bytes<const N: usize>(self, off: usize) -> [u8; N] {
        let mut out = [0; N];
        let there = self.0.get(off..).unwrap_or_default();
        out.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        out
    }

    /// A dword.
    pub fn u32(self, off: usize) -> u32 {
        u32::from_le_bytes(self.bytes(off))
    }

    /// Two dwords, the low one first.
    pub fn u64(self, off: usize) -> u64 {
        u64::from_le_bytes(self.bytes(off))
    }

    /// A word in network order.
    pub fn be16(self, off: usize) -> u16 {
        u16::from_be_bytes(self.bytes(off))
    }

    /// The quadwords from an offset to the end.
    pub fn quads(self, off: usize) -> impl Iterator<Item = u64> {
        let (quads, _) = self.0.get(off..).unwrap_or_default().as_chunks::<8>();
        quads.iter().map(|quad| u64::from_le_bytes(*quad))
    }
}

/// A reply of some length, zero where nothing is put.
#[derive(Debug)]
pub(super) struct Out(Vec<u8>);

impl Out {
    pub fn new(len: usize) -> Self {
        Self(vec![0; len])
    }

    /// Puts bytes at an offset.
    pub fn bytes(mut self, off: usize, bytes: &[u8]) -> Self {
        if let Some(place) = self.0.get_mut(off..off + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self
    }

    /// Puts a dword.
    pub fn u32(self, off: usize, value: u32) -> Self {
        self.bytes(off, &value.to_le_bytes())
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }
}
