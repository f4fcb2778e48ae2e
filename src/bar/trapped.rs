//! A BAR whose every access is a message or a system call.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use log::error;

use super::Mmio;

/// What carries single accesses to a BAR: a socket, or a descriptor.
pub trait Region: Send + Sync {
    /// Region length in bytes.
    fn len(&self) -> usize;
    /// Reads `into.len()` bytes at `off` in one access.
    ///
    /// # Errors
    /// When no answer came: the device is treated as gone.
    fn read(&self, off: usize, into: &mut [u8]) -> io::Result<()>;
    /// Writes `from` at `off` in one access.
    ///
    /// # Errors
    /// When the write was not acknowledged: the device is treated as gone.
    fn write(&self, off: usize, from: &[u8]) -> io::Result<()>;
}

/// Turns a [`Region`] into registers. Once an access fails the region is never asked again: reads give all ones and
/// writes are swallowed, as after a surprise removal; the cause is logged once.
#[derive(Debug)]
pub struct TrappedBar<R> {
    region: R,
    gone: AtomicBool,
}

impl<R: Region> TrappedBar<R> {
    /// Registers behind `region`.
    pub fn new(region: R) -> Self {
        Self { region, gone: AtomicBool::new(false) }
    }

    fn access(&self, off: usize, width: usize, access: impl FnOnce() -> io::Result<()>) -> Option<()> {
        let inside = off.checked_add(width).is_some_and(|end| end <= self.region.len());
        assert!(inside && off.is_multiple_of(width), "register access of {width} bytes at {off:#x}");
        if self.gone.load(Ordering::Acquire) {
            return None;
        }
        let failed = access().err()?;
        if !self.gone.swap(true, Ordering::AcqRel) {
            error!("the adapter's registers are lost: {failed}");
        }
        None
    }
}

impl<R: Region> Mmio for TrappedBar<R> {
    fn len(&self) -> usize {
        self.region.len()
    }

    fn read32(&self, off: usize) -> u32 {
        let mut bytes = [0xff; 4];
        let mut answer = [0; 4];
        self.access(off, 4, || {
            self.region.read(off, &mut answer)?;
            bytes = answer;
            Ok(())
        });
        u32::from_le_bytes(bytes)
    }

    fn write32(&self, off: usize, value: u32) {
        self.access(off, 4, || self.region.write(off, &value.to_le_bytes()));
    }

    fn write64(&self, off: usize, value: u64) {
        self.access(off, 8, || self.region.write(off, &value.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Records accesses and fails from the `fail_at`th on.
    struct Recorder {
        seen: Mutex<Vec<(usize, Vec<u8>)>>,
        fail_at: usize,
    }

    impl Recorder {
        fn record(&self, off: usize, bytes: &[u8]) -> io::Result<()> {
            let mut seen = self.seen.lock().unwrap();
            seen.push((off, bytes.to_vec()));
            if seen.len() > self.fail_at { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }
    }

    impl Region for &Recorder {
        fn len(&self) -> usize {
            4096
        }
        fn read(&self, off: usize, into: &mut [u8]) -> io::Result<()> {
            into.fill(0x5a);
            self.record(off, &[])
        }
        fn write(&self, off: usize, from: &[u8]) -> io::Result<()> {
            self.record(off, from)
        }
    }

    #[test]
    fn each_access_is_one_message_in_little_endian() {
        let recorder = Recorder { seen: Mutex::default(), fail_at: 9 };
        let bar = TrappedBar::new(&recorder);
        bar.write32(4, 0x0102_0304);
        bar.write64(8, 0x1112_1314_1516_1718);
        assert_eq!(bar.read32(0), 0x5a5a_5a5a);
        let expected =
            vec![(4, vec![4, 3, 2, 1]), (8, vec![0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]), (0, vec![])];
        assert_eq!(*recorder.seen.lock().unwrap(), expected);
    }

    #[test]
    fn after_a_failure_the_device_is_gone() {
        let recorder = Recorder { seen: Mutex::default(), fail_at: 1 };
        let bar = TrappedBar::new(&recorder);
        assert_eq!(bar.read32(0), 0x5a5a_5a5a);
        assert_eq!(bar.read32(0), u32::MAX, "half an answer is not an answer");
        bar.write32(0, 1);
        assert_eq!(bar.read32(0), u32::MAX);
        assert_eq!(recorder.seen.lock().unwrap().len(), 2, "a lost region is not asked again");
    }

    #[test]
    #[should_panic(expected = "register access of 4 bytes at 0x1000")]
    fn an_access_past_the_end_panics() {
        let recorder = Recorder { seen: Mutex::default(), fail_at: 1 };
        TrappedBar::new(&recorder).read32(4096);
    }
}
