//! Where a journal lies, injected.

use std::io;

/// One growing file with one writer.
pub trait Store: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The storage's own.
    fn len(&mut self) -> io::Result<u64>;
    /// Reads exactly as many bytes as `into` has, from `at` on.
    ///
    /// # Errors
    /// The storage's own; `UnexpectedEof` if there are fewer.
    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()>;
    /// Adds bytes at the end. They may be lost in a crash until [`Store::sync`]; after an error any first part of them may
    /// be there.
    ///
    /// # Errors
    /// The storage's own.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all that was added durable.
    ///
    /// # Errors
    /// The storage's own; whether it is durable is unknown then.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts it to `len` bytes.
    ///
    /// # Errors
    /// The storage's own.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}
