//! Places of entries in the rule table.

/// Names an entry until the table changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId(u16);

impl EntryId {
    /// By its place among the entries.
    pub(in crate::engines) fn at(place: u16) -> Self {
        Self(place)
    }

    /// Its place among the entries, counted from 1.
    pub(in crate::engines) fn number(self) -> u16 {
        self.0 + 1
    }

    /// Its place among the entries.
    pub(in crate::engines) fn place(self) -> usize {
        usize::from(self.0)
    }
}
