//! Messages of the commands that drivers of host queues send, by the offsets of the public header `efx_regs_mcdi.h`.
//!
//! A driver may send more than the model knows, or less than the newest form has: a field that is not there reads as zero
//! (ef10.md 5.7).

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
