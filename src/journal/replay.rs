//! Contents of earlier times: the records after the nearest of a few states that are kept while reading.

use super::Status;

/// Most states that are kept; when there are more, every second goes.
const MOST: usize = 64;

/// States after some of the records, evenly spaced.
#[derive(Debug)]
pub(super) struct Checkpoints {
    kept: Vec<(u64, Status)>,
    /// Records from one to the next.
    every: u64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { kept: vec![(0, Status::default())], every: 64 }
    }
}

impl Checkpoints {
    /// The state after a record.
    pub fn take(&mut self, number: u64, status: &Status) {
        if !number.is_multiple_of(self.every) {
            return;
        }
        self.kept.push((number, status.clone()));
        if self.kept.len() > MOST {
            self.every = self.every.saturating_mul(2);
            let every = self.every;
            self.kept.retain(|(number, _)| number.is_multiple_of(every));
        }
    }

    /// The last state that is kept up to a record, and the record after which it holds.
    pub fn before(&self, number: u64) -> (u64, Status) {
        let after = self.kept.partition_point(|(at, _)| *at <= number);
        self.kept.get(after.saturating_sub(1)).cloned().unwrap_or_default()
    }
}
