//! Whether a journal is what nicfw wrote, and all of it.

use super::frame::walk;
use super::header::Header;
use super::{Cut, Event, Hash, Head, Journal, JournalError, Status};
use crate::clock::Timestamp;

/// A journal that holds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Changes among them.
    pub changes: u64,
    /// Bytes.
    pub bytes: u64,
    /// The last record.
    pub head: Head,
    /// Its date; `None` if there is none.
    pub last_at: Option<Timestamp>,
    /// A record at the end that is torn, or that somebody is writing.
    pub torn: Option<Cut>,
    /// Whether an anchor was given, which the chain holds.
    pub anchored: bool,
    /// The last record that is noted beside the journal, which the chain holds; `None` = nothing is noted.
    pub noted: Option<Head>,
}

impl Journal {
    /// Reads everything again: checksums, the chain of hashes, the order of the records. With an anchor, a head that somebody
    /// kept, also whether the chain that held it is still the one; so with the head that is noted beside the journal. Without
    /// either, nothing tells whether records are missing at its end.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::Rewritten`], [`JournalError::Shortened`], or the store's error.
    pub fn verify(&mut self, anchor: Option<&Head>) -> Result<Verified, JournalError> {
        let failed = |source| JournalError::of("read", source);
        // Read first: a writer that goes on meanwhile notes a record when it is there.
        let noted = self.store.remembered().map_err(failed)?;
        let len = self.store.len().map_err(failed)?;
        let (_, bytes) = Header::read(&mut *self.store, len)?;
        let start = self.hashing.of(&[&bytes]);
        let known = self.head();
        let mut expected = [Some(&known), anchor, noted.as_ref()].map(|head| head.map(|head| (*head, None::<Hash>)));
        note(&mut expected, 0, start);
        let (mut head, mut changes, mut status) = (Head { number: 0, hash: start }, 0, Status::default());
        let hashing = &self.hashing;
        let walked = walk(&mut *self.store, bytes.len() as u64, start, len, hashing, |record, place| {
            let out_of_order = |what| JournalError::damaged(record.number, place.at, format!("out of order: {what}"));
            status.take(record.number, record.at, &record.event).map_err(out_of_order)?;
            note(&mut expected, record.number, record.hash);
            changes += u64::from(matches!(record.event, Event::Begin(_)));
            head = Head { number: record.number, hash: record.hash };
            Ok(())
        })?;
        let [own, kept, beside] = expected;
        for (anchor, found) in [own, kept].into_iter().flatten() {
            if found != Some(anchor.hash) {
                return Err(JournalError::Rewritten { anchor, found });
            }
        }
        if let Some((head, found)) = beside.filter(|(head, found)| *found != Some(head.hash)) {
            return Err(JournalError::Shortened { head, found });
        }
        let cut = Cut { record: head.number + 1, at: walked.end, len: len - walked.end };
        let (torn, anchored) = (walked.torn.then_some(cut), anchor.is_some());
        let last_at = (head.number > 0).then_some(status.last_at);
        Ok(Verified { records: head.number, changes, bytes: walked.end, head, last_at, torn, anchored, noted })
    }
}

fn note(expected: &mut [Option<(Head, Option<Hash>)>], number: u64, hash: Hash) {
    for (_, found) in expected.iter_mut().flatten().filter(|(head, _)| head.number == number) {
        *found = Some(hash);
    }
}
