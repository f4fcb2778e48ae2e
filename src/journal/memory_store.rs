//! A store in memory: for demonstrations, and for tests, where it crashes and fails as it is told (feature `raw`).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "raw")]
use super::memory_faults::{Fault, Faults};
use super::{Head, Store};

/// A store in memory. Copies are handles to one and the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// So many first bytes are the same in both.
    same: usize,
    #[cfg(feature = "raw")]
    faults: Faults,
    head: Option<Head>,
}

#[cfg(feature = "raw")]
impl Inner {
    /// What was added since the last sync; `None` if something was cut.
    fn added(&self) -> Option<&[u8]> {
        self.bytes.get(self.same..).filter(|_| self.same == self.durable.len())
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store with this content, all of it durable.
    #[must_use]
    pub fn with(bytes: Vec<u8>) -> Self {
        let inner = Inner { same: bytes.len(), durable: bytes.clone(), bytes, ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// What it holds.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: `work` does all of it, `tear` does the first part of it.
    fn call<T>(
        &self,
        work: impl FnOnce(&mut Inner) -> io::Result<T>,
        tear: impl FnOnce(&mut Inner, usize),
    ) -> io::Result<T> {
        let mut inner = self.lock();
        #[cfg(feature = "raw")]
        if let Some(fault) = inner.faults.next() {
            return match fault {
                Fault::Fails(kind) => Err(kind.into()),
                Fault::FailsLate(kind) => work(&mut inner).and(Err(kind.into())),
                Fault::Tears(kept) => {
                    tear(&mut inner, kept);
                    Err(io::ErrorKind::WriteZero.into())
                }
            };
        }
        #[cfg(not(feature = "raw"))]
        drop(tear);
        work(&mut inner)
    }
}

/// Crashes and faults, for tests.
#[cfg(feature = "raw")]
impl MemoryStore {
    /// What a crash leaves: what is durable, and the first `more` bytes of what was added since.
    #[must_use]
    pub fn after_crash(&self, more: usize) -> Self {
        let inner = self.lock();
        let left = Self::with(match inner.added() {
            Some(added) => [&inner.durable, added.get(..more).unwrap_or(added)].concat(),
            // Cut since the last sync: either the cut has reached the disk, or it has not.
            None if more == 0 => inner.durable.clone(),
            None => inner.bytes.clone(),
        });
        left.lock().head = inner.head;
        left
    }

    /// How many bytes a crash may take.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().added().map_or(1, <[u8]>::len)
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().faults.calls()
    }

    /// Faults that have happened so far.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.lock().faults.fired()
    }

    /// Makes a call go wrong: the next one is `after` 0.
    pub fn fail(&self, after: u64, fault: Fault) {
        self.lock().faults.put(after, fault);
    }

    /// Makes every call fail, from the one `after` the next on.
    pub fn die(&self, after: u64) {
        self.lock().faults.die(after);
    }

    /// Takes back all faults.
    pub fn heal(&self) {
        self.lock().faults.heal();
    }
}

impl Store for MemoryStore {
    fn len(&mut self) -> io::Result<u64> {
        self.call(|inner| Ok(inner.bytes.len() as u64), |_, _| {})
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let read = |inner: &mut Inner| {
            let from = usize::try_from(at).ok().and_then(|at| inner.bytes.get(at..));
            let bytes = from.and_then(|bytes| bytes.get(..into.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
            into.copy_from_slice(bytes);
            Ok(())
        };
        self.call(read, |_, _| {})
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let add = |inner: &mut Inner, bytes: &[u8]| inner.bytes.extend_from_slice(bytes);
        self.call(
            |inner| {
                add(inner, bytes);
                Ok(())
            },
            |inner, kept| add(inner, bytes.get(..kept).unwrap_or(bytes)),
        )
    }

    fn sync(&mut self) -> io::Result<()> {
        let sync = |inner: &mut Inner| {
            inner.durable.truncate(inner.same);
            inner.durable.extend_from_slice(inner.bytes.get(inner.same..).unwrap_or_default());
            inner.same = inner.bytes.len();
            Ok(())
        };
        self.call(sync, |_, _| {})
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.call(
            |inner| {
                inner.bytes.truncate(len);
                inner.same = inner.same.min(len);
                Ok(())
            },
            |_, _| {},
        )
    }

    fn remember(&mut self, head: &Head) -> io::Result<()> {
        self.lock().head = Some(*head);
        Ok(())
    }

    fn remembered(&mut self) -> io::Result<Option<Head>> {
        Ok(self.lock().head)
    }
}
