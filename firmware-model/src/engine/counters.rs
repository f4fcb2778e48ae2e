//! Counter pairs, by their number.

use nicfw::tables::{CounterId, Direction};

use super::Refused;

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    tx: u64,
    rx: u64,
    /// Entries that use it.
    users: u32,
}

/// The counters that are allocated.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    /// By id, from 0, though none is given that number.
    by_id: Vec<Option<Counter>>,
}

impl Counters {
    fn get(&self, id: CounterId) -> Option<&Counter> {
        self.by_id.get(id.0 as usize)?.as_ref()
    }

    #[inline]
    fn get_mut(&mut self, id: CounterId) -> Option<&mut Counter> {
        self.by_id.get_mut(id.0 as usize)?.as_mut()
    }

    pub fn is_allocated(&self, id: CounterId) -> bool {
        self.get(id).is_some()
    }

    /// Counts a frame; false if nobody allocated the counter.
    #[inline]
    pub fn count(&mut self, id: CounterId, direction: Direction) -> bool {
        let Some(counter) = self.get_mut(id) else { return false };
        let side = match direction {
            Direction::Rx => &mut counter.rx,
            Direction::Tx => &mut counter.tx,
        };
        *side = side.wrapping_add(1);
        true
    }

    /// Allocates up to `count` of the ids from 1 to `most`, lowest first.
    pub fn alloc(&mut self, count: u32, most: u32) -> Result<Vec<CounterId>, Refused> {
        let free = (1..=most).map(CounterId).filter(|id| !self.is_allocated(*id));
        let ids: Vec<CounterId> = free.take(count as usize).collect();
        if ids.is_empty() && count > 0 {
            return Err(Refused::Full);
        }
        for id in &ids {
            let place = id.0 as usize;
            if self.by_id.len() <= place {
                self.by_id.resize(place + 1, None);
            }
            if let Some(counter) = self.by_id.get_mut(place) {
                *counter = Some(Counter::default());
            }
        }
        Ok(ids)
    }

    /// Frees all or none.
    pub fn free(&mut self, ids: &[CounterId]) -> Result<(), Refused> {
        for id in ids {
            if self.get(*id).ok_or(Refused::Unknown)?.users > 0 {
                return Err(Refused::Busy);
            }
        }
        for id in ids {
            if let Some(counter) = self.by_id.get_mut(id.0 as usize) {
                *counter = None;
            }
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.by_id.clear();
    }

    pub fn users(&self, id: CounterId) -> Option<u32> {
        self.get(id).map(|counter| counter.users)
    }

    /// An entry uses another counter than before.
    pub fn change_user(&mut self, before: Option<CounterId>, after: Option<CounterId>) {
        if let Some(counter) = before.and_then(|id| self.get_mut(id)) {
            counter.users = counter.users.saturating_sub(1);
        }
        if let Some(counter) = after.and_then(|id| self.get_mut(id)) {
            counter.users += 1;
        }
    }

    /// Counts the users of all counters anew.
    pub fn set_users(&mut self, used: impl Iterator<Item = CounterId>) {
        for counter in self.by_id.iter_mut().flatten() {
            counter.users = 0;
        }
        for id in used {
            self.change_user(None, Some(id));
        }
    }

    /// A pair, transmitted frames first, each modulo its width in bits.
    pub fn read(&self, id: CounterId, width: u32) -> Option<(u64, u64)> {
        let wrapped = |value: u64| value & (u64::MAX >> (64 - width.clamp(1, 64)));
        self.get(id).map(|counter| (wrapped(counter.tx), wrapped(counter.rx)))
    }

    /// Sets a pair, transmitted frames first.
    pub fn preset(&mut self, id: CounterId, tx: u64, rx: u64) {
        if let Some(counter) = self.get_mut(id) {
            (counter.tx, counter.rx) = (tx, rx);
        }
    }
}
