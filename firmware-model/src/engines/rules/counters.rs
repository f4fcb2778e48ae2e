//! Counter pairs, by their number.

use nicfw::tables::CounterId;
use nicfw::terms::Direction;

use super::refused::Refused;

/// The counters that are allocated. What is counted stands beside them, so that counting asks nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    /// By id, from 0, though none is given that number: how many entries use it, if it is allocated.
    users: Vec<Option<u32>>,
    /// Transmitted frames, by id.
    tx: Vec<u64>,
    /// Received frames, by id.
    rx: Vec<u64>,
}

impl Counters {
    pub fn is_allocated(&self, id: CounterId) -> bool {
        self.users(id).is_some()
    }

    /// What is counted in a direction, by id. What stands at an id that nobody allocated means nothing.
    #[inline]
    pub fn side(&mut self, direction: Direction) -> &mut [u64] {
        match direction {
            Direction::Rx => &mut self.rx,
            Direction::Tx => &mut self.tx,
        }
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
            if self.users.len() <= place {
                self.users.resize(place + 1, None);
                self.tx.resize(place + 1, 0);
                self.rx.resize(place + 1, 0);
            }
            if let Some(users) = self.users.get_mut(place) {
                *users = Some(0);
            }
            self.write(*id, 0, 0);
        }
        Ok(ids)
    }

    /// Frees all or none.
    pub fn free(&mut self, ids: &[CounterId]) -> Result<(), Refused> {
        for id in ids {
            if self.users(*id).ok_or(Refused::Unknown)? > 0 {
                return Err(Refused::Busy);
            }
        }
        for id in ids {
            if let Some(users) = self.users.get_mut(id.0 as usize) {
                *users = None;
            }
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn users(&self, id: CounterId) -> Option<u32> {
        *self.users.get(id.0 as usize)?
    }

    fn users_mut(&mut self, id: CounterId) -> Option<&mut u32> {
        self.users.get_mut(id.0 as usize)?.as_mut()
    }

    /// An entry uses another counter than before.
    pub fn change_user(&mut self, before: Option<CounterId>, after: Option<CounterId>) {
        if let Some(users) = before.and_then(|id| self.users_mut(id)) {
            *users = users.saturating_sub(1);
        }
        if let Some(users) = after.and_then(|id| self.users_mut(id)) {
            *users += 1;
        }
    }

    /// Counts the users of all counters anew.
    pub fn set_users(&mut self, used: impl Iterator<Item = CounterId>) {
        self.users.iter_mut().flatten().for_each(|users| *users = 0);
        for id in used {
            self.change_user(None, Some(id));
        }
    }

    /// A pair, transmitted frames first, each modulo its width in bits.
    pub fn read(&self, id: CounterId, width: u32) -> Option<(u64, u64)> {
        let wrapped = |value: u64| value & (u64::MAX >> (64 - width.clamp(1, 64)));
        self.users(id)?;
        let place = id.0 as usize;
        Some((wrapped(*self.tx.get(place)?), wrapped(*self.rx.get(place)?)))
    }

    /// Sets a pair, transmitted frames first.
    pub fn preset(&mut self, id: CounterId, tx: u64, rx: u64) {
        if self.is_allocated(id) {
            self.write(id, tx, rx);
        }
    }

    fn write(&mut self, id: CounterId, tx: u64, rx: u64) {
        for (side, value) in [(&mut self.tx, tx), (&mut self.rx, rx)] {
            if let Some(place) = side.get_mut(id.0 as usize) {
                *place = value;
            }
        }
    }
}
