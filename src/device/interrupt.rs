//! Interrupts as eventfds: a counter in the kernel that one side adds to and the other takes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

/// One interrupt vector, as the driver sees it.
#[derive(Debug)]
pub struct Interrupt(OwnedFd);

impl Interrupt {
    /// An eventfd that nobody signals yet.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// How often the vector was signalled since the last call; does not wait.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn take(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        match rustix::io::read(&self.0, &mut count) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits until the vector is signalled; `false` when `within` passed first. Takes nothing.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn wait(&self, within: Duration) -> io::Result<bool> {
        let within = Timespec::try_from(within).ok();
        match rustix::event::poll(&mut [PollFd::new(&self.0, PollFlags::IN)], within.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_counted_and_taken() {
        let vector = Interrupt::new().unwrap();
        assert!(!vector.wait(Duration::ZERO).unwrap());
        assert_eq!(vector.take().unwrap(), 0);
        for _ in 0..3 {
            rustix::io::write(&vector, &1u64.to_ne_bytes()).unwrap();
        }
        assert!(vector.wait(Duration::ZERO).unwrap());
        assert_eq!(vector.take().unwrap(), 3);
        assert_eq!(vector.take().unwrap(), 0);
    }
}
