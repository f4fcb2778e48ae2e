//! What a function holds of the adapter.

use std::fmt;

/// What a function holds of the adapter, its rules and counters apart. A driver that leaves in good order leaves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Virtual interfaces.
    pub vis: u32,
    /// Event queues.
    pub event_queues: usize,
    /// Receive queues.
    pub receive_queues: usize,
    /// Transmit queues.
    pub transmit_queues: usize,
    /// Receive filters.
    pub filters: usize,
    /// RSS contexts.
    pub rss_contexts: usize,
    /// Vadaptors, at most one.
    pub vadaptors: usize,
}

impl fmt::Display for Holdings {
    /// As in `vis 0, event queues 0, ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vis, event_queues, receive_queues, transmit_queues, filters, rss_contexts, vadaptors } = self;
        write!(f, "vis {vis}, event queues {event_queues}, receive queues {receive_queues}, transmit queues ")?;
        write!(f, "{transmit_queues}, filters {filters}, RSS contexts {rss_contexts}, vadaptors {vadaptors}")
    }
}
