//! All state of an adapter, shared by whoever has a handle to a part of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engines::batch::BatchEngine;
use crate::mc::Mc;
use crate::memory::Buffers;
use crate::tally::Watched;

/// All state of an adapter.
pub(crate) struct State {
    pub mc: Mc,
    /// Judges many frames by the engine of `mc`.
    pub batch: BatchEngine,
    /// Where frames go that leave by a wire.
    pub wires: BTreeMap<u32, Wire>,
    /// Memory of the functions that drivers in this process have, by their numbers.
    pub buffers: BTreeMap<usize, Arc<Buffers>>,
    /// Flows whose judgements are counted.
    pub watched: Watched,
}

/// What takes the frames that leave by a wire. It is called while the adapter stands still, so it must not wait.
pub type Wire = Box<dyn FnMut(&[u8]) + Send>;

pub(crate) type Shared = Mutex<State>;

/// A panic elsewhere does not make the adapter unreadable.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
