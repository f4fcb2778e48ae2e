//! The values that entries name, field by field, each by a number from 1: what entries cannot tell apart has number 0.
//!
//! A number also knows the combinations that name it. The combinations that can decide about a frame are those that are
//! known to each of its numbers, mostly one above the base; the others need no lookup.

use std::net::IpAddr;

use nicfw::tables::{MacAddr, RuleKey};

use super::row::{Field, Row};

/// A set of combinations, by their place in the lookup order: the first is the lowest bit.
pub(super) type Candidates = u64;

/// What can be numbered: it is compared and hashed.
pub(super) trait Value: Copy + Eq + Default {
    fn hash(self) -> u64;
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Value for u64 {
    #[inline]
    fn hash(self) -> u64 {
        self.wrapping_mul(GOLDEN)
    }
}

impl Value for u128 {
    #[inline]
    fn hash(self) -> u64 {
        let folded = self ^ self >> 64 ^ self >> 29;
        u64::try_from(folded & u128::from(u64::MAX)).unwrap_or_default().wrapping_mul(GOLDEN)
    }
}

/// Values and their numbers: open addressing, never more than half full, number 0 for a free slot.
#[derive(Debug, Clone)]
struct Numbered<V> {
    slots: Vec<(V, u16)>,
    used: usize,
}

impl<V: Value> Numbered<V> {
    fn new() -> Self {
        Self { slots: vec![Default::default(); 8], used: 0 }
    }

    fn place(&self, value: V) -> usize {
        // The upper bits of the product are the mixed ones.
        usize::try_from(value.hash() >> 32).unwrap_or_default() & (self.slots.len() - 1)
    }

    #[inline]
    fn get(&self, value: V) -> u16 {
        let mut at = self.place(value);
        loop {
            let (named, number) = self.slots[at];
            if number == 0 || named == value {
                return number;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn insert(&mut self, value: V, number: u16) {
        if (self.used + 1) * 2 > self.slots.len() {
            let twice = vec![Default::default(); self.slots.len() * 2];
            for (value, number) in std::mem::replace(&mut self.slots, twice) {
                if number != 0 {
                    self.settle(value, number);
                }
            }
        }
        self.settle(value, number);
        self.used += 1;
    }

    fn settle(&mut self, value: V, number: u16) {
        let mut at = self.place(value);
        while self.slots[at].1 != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = (value, number);
    }
}

/// The values of one field.
#[derive(Debug, Clone)]
struct Column {
    /// IPv6 addresses.
    wide: Numbered<u128>,
    /// Everything else.
    narrow: Numbered<u64>,
    /// By number: the combinations that name it, and those that do not look at the field. The first one is number 0's.
    candidates: Vec<Candidates>,
    /// Rises with each value, and when numbers are given anew.
    version: u64,
}

impl Column {
    fn new(version: u64) -> Self {
        Self { wide: Numbered::new(), narrow: Numbered::new(), candidates: vec![0], version }
    }
}

/// A value of any field.
#[derive(Debug, Clone, Copy)]
enum Named {
    Narrow(u64),
    Wide(u128),
}

impl From<IpAddr> for Named {
    #[inline]
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(four) => Self::Narrow(four.to_bits().into()),
            IpAddr::V6(six) => Self::Wide(six.to_bits()),
        }
    }
}

impl From<MacAddr> for Named {
    #[inline]
    fn from(MacAddr([a, b, c, d, e, f]): MacAddr) -> Self {
        Self::Narrow(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// The value of a field that a key names.
fn named(key: &RuleKey, field: Field) -> Option<Named> {
    let word = |value: Option<u16>| value.map(|value| Named::Narrow(value.into()));
    match field {
        Field::LocalIp => key.local_ip.map(Named::from),
        Field::RemoteIp => key.remote_ip.map(Named::from),
        Field::LocalMac => key.local_mac.map(Named::from),
        Field::RemoteMac => key.remote_mac.map(Named::from),
        Field::PhysicalPort => key.physical_port.map(|port| Named::Narrow(port.into())),
        Field::IpProto => word(key.ip_proto.map(u16::from)),
        Field::EtherType => word(key.ether_type),
        Field::OuterVlan => word(key.outer_vlan),
        Field::InnerVlan => word(key.inner_vlan),
        Field::LocalPort => word(key.local_port),
        Field::RemotePort => word(key.remote_port),
        Field::RemoteSubnet => word(key.remote_subnet.map(|id| id.0)),
        Field::LocalPortrange => word(key.local_portrange.map(|id| id.0)),
        Field::RemotePortrange => word(key.remote_portrange.map(|id| id.0)),
    }
}

/// All values that entries name, or named since the last clean-up.
#[derive(Debug, Clone)]
pub(super) struct Values {
    columns: [Column; Field::COUNT],
}

impl Values {
    pub fn new() -> Self {
        Self { columns: std::array::from_fn(|_| Column::new(0)) }
    }

    /// No values: their numbers are given anew.
    pub fn emptied(&self) -> Self {
        Self { columns: self.columns.each_ref().map(|column| Column::new(column.version + 1)) }
    }

    /// Tells one state of a field's numbers from all others.
    pub fn version(&self, field: Field) -> u64 {
        self.columns[field as usize].version
    }

    /// The number of a value; 0 if no entry names it.
    #[inline]
    pub fn narrow(&self, field: Field, value: u64) -> u16 {
        self.columns[field as usize].narrow.get(value)
    }

    /// The number of an address; 0 if no entry names it.
    #[inline]
    pub fn ip(&self, field: Field, addr: IpAddr) -> u16 {
        self.get(field, addr.into())
    }

    /// The number of a MAC; 0 if no entry names it.
    #[inline]
    pub fn mac(&self, field: Field, mac: MacAddr) -> u16 {
        self.get(field, mac.into())
    }

    #[inline]
    fn get(&self, field: Field, value: Named) -> u16 {
        let column = &self.columns[field as usize];
        match value {
            Named::Narrow(value) => column.narrow.get(value),
            Named::Wide(value) => column.wide.get(value),
        }
    }

    /// The combinations that a number leaves.
    #[inline]
    pub fn candidates(&self, field: Field, number: u16) -> Candidates {
        self.columns[field as usize].candidates.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// The row of a key, if each of its values has a number.
    pub fn row(&self, key: &RuleKey) -> Option<Row> {
        let mut row = Row::default();
        for field in Field::ALL {
            let Some(value) = named(key, field) else { continue };
            let number = self.get(field, value);
            if number == 0 {
                return None;
            }
            row.put(field, number);
        }
        Some(row)
    }

    /// The row of a key, whose values get numbers; `None` when a field has no numbers left.
    pub fn number(&mut self, key: &RuleKey) -> Option<Row> {
        let mut row = Row::default();
        for field in Field::ALL {
            let Some(value) = named(key, field) else { continue };
            let known = self.get(field, value);
            let number = if known == 0 { self.add(field, value)? } else { known };
            row.put(field, number);
        }
        Some(row)
    }

    fn add(&mut self, field: Field, value: Named) -> Option<u16> {
        let column = &mut self.columns[field as usize];
        let number = u16::try_from(column.candidates.len()).ok()?;
        column.candidates.push(0);
        column.version += 1;
        match value {
            Named::Narrow(value) => column.narrow.insert(value, number),
            Named::Wide(value) => column.wide.insert(value, number),
        }
        Some(number)
    }

    /// Learns anew which combinations name which numbers: first [`Self::forget`], then this for each row.
    pub fn learn(&mut self, row: &Row, combination: Candidates) {
        for field in Field::ALL {
            let number = row.get(field);
            if number != 0
                && let Some(known) = self.columns[field as usize].candidates.get_mut(usize::from(number))
            {
                *known |= combination;
            }
        }
    }

    /// Every number is back at the combinations that do not look at its field, as `blind` tells them.
    pub fn forget(&mut self, blind: impl Fn(Field) -> Candidates) {
        for field in Field::ALL {
            self.columns[field as usize].candidates.fill(blind(field));
        }
    }

    /// Every value of a field that is no IPv6 address, with its number.
    pub fn narrow_values(&self, field: Field) -> impl Iterator<Item = (u64, u16)> {
        self.columns[field as usize].narrow.slots.iter().copied().filter(|(_, number)| *number != 0)
    }

    /// How many numbers a field has, 0 included.
    pub fn len(&self, field: Field) -> usize {
        self.columns[field as usize].candidates.len()
    }
}
