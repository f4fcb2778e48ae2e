//! Rows of entries and what they do, one behind the other, found by a hash.
#![expect(clippy::indexing_slicing, reason = "slots are masked by the table's own size")]

use nicfw::tables::{CounterId, Entry};
use nicfw::terms::{Direction, Verdict};

use super::entry::EntryId;
use super::row::Row;

/// What a lookup wants of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engines) struct Hit {
    rx: Option<Verdict>,
    tx: Option<Verdict>,
    /// Its counter; id 0, which no counter has, if it has none.
    pub counter: CounterId,
}

impl Hit {
    pub fn of(entry: &Entry) -> Self {
        let (rx, tx) = (entry.rx.verdict(), entry.tx.verdict());
        Self { rx, tx, counter: entry.counter.unwrap_or(CounterId(0)) }
    }

    #[inline]
    pub fn verdict(&self, direction: Direction) -> Option<Verdict> {
        match direction {
            Direction::Rx => self.rx,
            Direction::Tx => self.tx,
        }
    }
}

/// A slot of the hash table: a part of the row's hash, and the row's place from 1; place 0 = free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    tag: u16,
    place: u16,
}

/// The rows. There are fewer than 65,535 of them.
#[derive(Debug, Clone)]
pub(in crate::engines) struct Index {
    rows: Vec<Row>,
    hits: Vec<Hit>,
    /// Open addressing, a power of two, at most a quarter full.
    slots: Vec<Slot>,
}

impl Index {
    pub fn new() -> Self {
        Self { rows: Vec::new(), hits: Vec::new(), slots: vec![Slot::default(); 16] }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What the rows' entries do.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// The tag of a row, and the slot where its search begins.
    #[inline]
    fn home(&self, row: &Row) -> (u16, usize) {
        let [_, _, _, a, b, c, d, e] = row.hash().to_le_bytes();
        (u16::from_le_bytes([a, b]), self.wrapped(u32::from_le_bytes([b, c, d, e]) as usize >> 8))
    }

    #[inline]
    fn wrapped(&self, slot: usize) -> usize {
        slot & (self.slots.len() - 1)
    }

    /// The entry with just these numbers.
    #[inline]
    pub fn find(&self, row: &Row) -> Option<EntryId> {
        let (tag, mut at) = self.home(row);
        loop {
            let slot = self.slots[at];
            if (slot.tag == tag) | (slot.place == 0) {
                let place = slot.place.checked_sub(1)?;
                if self.rows.get(usize::from(place)).is_some_and(|known| known.is(row)) {
                    return Some(EntryId::at(place));
                }
            }
            at = self.wrapped(at + 1);
        }
    }

    #[inline]
    pub fn hit(&self, id: EntryId) -> Option<&Hit> {
        self.hits.get(id.place())
    }

    pub fn set(&mut self, id: EntryId, hit: Hit) {
        if let Some(place) = self.hits.get_mut(id.place()) {
            *place = hit;
        }
    }

    /// Adds a row that is not there yet, behind all others.
    pub fn push(&mut self, row: Row, hit: Hit) {
        self.rows.push(row);
        self.hits.push(hit);
        if self.rows.len() * 4 > self.slots.len() {
            self.place_all();
        } else {
            self.place(self.rows.len() - 1);
        }
    }

    /// Takes a row out; the last one takes its place.
    pub fn swap_remove(&mut self, id: EntryId) {
        let Some(mut hole) = self.slot_of(id.place()) else { return };
        let mut at = self.wrapped(hole + 1);
        // What stands behind the hole moves up, unless its search begins behind it.
        while let Some(place) = self.slots[at].place.checked_sub(1) {
            let home = self.rows.get(usize::from(place)).map_or(at, |row| self.home(row).1);
            let distance = |from: usize| self.wrapped(at.wrapping_sub(from));
            if distance(home) >= distance(hole) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.wrapped(at + 1);
        }
        self.slots[hole] = Slot::default();
        if let Some(last) = self.slot_of(self.rows.len() - 1) {
            self.slots[last].place = id.number();
        }
        self.rows.swap_remove(id.place());
        self.hits.swap_remove(id.place());
    }

    /// Gives every entry another row, in their order.
    pub fn replace_rows(&mut self, rows: impl Iterator<Item = Row>) {
        for (place, row) in self.rows.iter_mut().zip(rows) {
            *place = row;
        }
        self.place_all();
    }

    fn place_all(&mut self) {
        self.slots = vec![Slot::default(); (self.rows.len() * 8).next_power_of_two().max(16)];
        for place in 0..self.rows.len() {
            self.place(place);
        }
    }

    fn place(&mut self, place: usize) {
        let (Some(row), Ok(number)) = (self.rows.get(place), u16::try_from(place + 1)) else { return };
        let (tag, mut at) = self.home(row);
        while self.slots[at].place != 0 {
            at = self.wrapped(at + 1);
        }
        self.slots[at] = Slot { tag, place: number };
    }

    fn slot_of(&self, place: usize) -> Option<usize> {
        let (_, mut at) = self.home(self.rows.get(place)?);
        while self.slots[at].place != 0 {
            if usize::from(self.slots[at].place) == place + 1 {
                return Some(at);
            }
            at = self.wrapped(at + 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::engines::rules::row::Field;

    fn row(numbers: (u16, u16)) -> Row {
        let mut row = Row::default();
        row.put(Field::LocalIp, numbers.0);
        row.put(Field::PhysicalPort, numbers.1);
        row
    }

    proptest! {
        /// Rows come and go; the index finds those that a map of the standard library has, and no others.
        #[test]
        fn finds_what_is_there(changes in prop::collection::vec(((0..9u16, 0..9u16), any::<bool>()), 1..300)) {
            let mut index = Index::new();
            let mut known: HashMap<Row, u32> = HashMap::new();
            for (number, (numbers, there)) in (1..).zip(changes) {
                let row = row(numbers);
                let hit = Hit { rx: None, tx: Some(Verdict::Deny), counter: CounterId(number) };
                match (index.find(&row), there) {
                    (None, true) => index.push(row, hit),
                    (Some(id), true) => index.set(id, hit),
                    (Some(id), false) => index.swap_remove(id),
                    (None, false) => {}
                }
                if there { known.insert(row, number); } else { known.remove(&row); }
                for row in (0..9).flat_map(|a| (0..9).map(move |b| super::tests::row((a, b)))) {
                    let found = index.find(&row).and_then(|id| index.hit(id)).map(|hit| hit.counter.0);
                    prop_assert_eq!(found, known.get(&row).copied());
                }
                prop_assert_eq!(index.rows().len(), known.len());
            }
        }
    }
}
