//! FNV-1a, 64 bits: the same numbers on every machine and with every compiler, which the standard hasher does not promise.

use std::hash::Hasher;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.write(&value.to_le_bytes());
        self
    }

    /// The hash, its bits mixed once more: FNV leaves the upper ones of short inputs alike.
    pub fn finish(self) -> u64 {
        Hasher::finish(&self)
    }
}

impl Default for Fnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    }
}
