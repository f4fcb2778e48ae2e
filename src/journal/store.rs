//! Where a journal lies, injected.

use std::io;

use super::Head;

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
    /// Notes beside the records which the last durable one is. It need not be durable itself: an older note is as true.
    ///
    /// # Errors
    /// The storage's own; the older note may be lost.
    fn remember(&mut self, head: &Head) -> io::Result<()>;
    /// What was noted last; `None` if nothing was.
    ///
    /// # Errors
    /// The storage's own.
    fn remembered(&mut self) -> io::Result<Option<Head>>;
}
