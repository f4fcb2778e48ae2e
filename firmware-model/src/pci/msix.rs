//! MSI-X: the table that a driver may write, and the pending bits of vectors that could not be sent.
//!
//! Whoever stands between the function and its driver (QEMU, the kernel's VFIO) keeps the real table and hands out
//! eventfds; the table here is what a driver that is attached directly would see. An interrupt that nobody listens to
//! stays pending and is sent as soon as somebody does.

/// Length of a table entry in bytes.
const ENTRY: u64 = 16;

/// The vectors of one function.
#[derive(Debug, Clone)]
pub struct Msix {
    table: Vec<u8>,
    pending: Vec<bool>,
    /// Offset of the pending bits in their BAR.
    pba: u64,
}

impl Msix {
    /// `vectors` vectors, all masked, in a BAR of `len` bytes: the table at 0, the pending bits in the upper half.
    #[must_use]
    pub fn new(vectors: u16, len: u64) -> Self {
        let vectors = usize::from(vectors);
        let mut msix = Self { table: vec![0; 16 * vectors], pending: vec![false; vectors], pba: len / 2 };
        msix.reset();
        msix
    }

    /// Masks every vector and forgets what is pending.
    pub fn reset(&mut self) {
        for entry in self.table.chunks_mut(16) {
            entry.fill(0);
            // Vector control, bit 0: masked.
            if let Some(control) = entry.get_mut(12) {
                *control = 1;
            }
        }
        self.pending.fill(false);
    }

    /// Reads bytes of the BAR; zeros where nothing is.
    pub fn read(&self, offset: u64, into: &mut [u8]) {
        for (i, byte) in (0..).zip(into) {
            let at = offset.saturating_add(i);
            *byte = match at.checked_sub(self.pba) {
                None => usize::try_from(at).ok().and_then(|at| self.table.get(at)).copied().unwrap_or(0),
                Some(at) => self.pending_byte(at),
            };
        }
    }

    /// Writes bytes of the table. The pending bits cannot be written.
    pub fn write(&mut self, offset: u64, from: &[u8]) {
        for (i, value) in (0..).zip(from) {
            let at = offset.saturating_add(i);
            let byte = usize::try_from(at).ok().and_then(|at| self.table.get_mut(at));
            // Vector control has one bit.
            let mask = if at % ENTRY < 12 { 0xff } else { u8::from(at % ENTRY == 12) };
            if let Some(byte) = byte.filter(|_| at < self.pba) {
                *byte = value & mask;
            }
        }
    }

    /// Raises `vector` through `send`, which tells whether somebody listens. Otherwise it stays pending.
    pub fn raise(&mut self, vector: u32, send: impl FnOnce(u32) -> bool) {
        let index = usize::try_from(vector).unwrap_or(usize::MAX);
        if let Some(pending) = self.pending.get_mut(index) {
            *pending = !send(vector);
        }
    }

    /// Sends what is pending, where somebody listens.
    pub fn send_pending(&mut self, mut send: impl FnMut(u32) -> bool) {
        for (vector, pending) in (0..).zip(&mut self.pending) {
            *pending = *pending && !send(vector);
        }
    }

    fn pending_byte(&self, at: u64) -> u8 {
        let first = usize::try_from(at).unwrap_or(usize::MAX).saturating_mul(8);
        let bit = |i: usize| self.pending.get(first.saturating_add(i)).copied().unwrap_or(false);
        (0..8).fold(0, |byte, i| byte | u8::from(bit(i)) << i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_that_nobody_hears_stays_pending() {
        let mut msix = Msix::new(12, 0x4000);
        msix.raise(9, |_| false);
        msix.raise(2, |_| true);
        msix.raise(12, |_| panic!("there is no vector 12"));
        let mut pba = [0xa5; 4];
        msix.read(0x2000, &mut pba);
        assert_eq!(pba, [0, 2, 0, 0]);
        let mut sent = Vec::new();
        msix.send_pending(|vector| {
            sent.push(vector);
            true
        });
        assert_eq!(sent, [9]);
        msix.read(0x2000, &mut pba);
        assert_eq!(pba, [0; 4]);
    }

    #[test]
    fn the_table_keeps_what_a_driver_writes() {
        let mut msix = Msix::new(2, 0x1000);
        let mut entry = [0xa5; 16];
        msix.read(16, &mut entry);
        assert_eq!(entry, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], "masked after power-on");
        msix.write(16, &[0xff; 20]);
        msix.read(16, &mut entry);
        assert_eq!(entry[..12], [0xff; 12]);
        assert_eq!(entry[12..], [1, 0, 0, 0]);
        msix.write(0x800, &[0xff; 8]);
        let mut pba = [0xa5; 8];
        msix.read(0x800, &mut pba);
        assert_eq!(pba, [0; 8]);
        msix.read(u64::MAX - 3, &mut pba[..3]);
        msix.reset();
        msix.read(28, &mut pba[..4]);
        assert_eq!(pba[..4], [1, 0, 0, 0]);
    }
}
