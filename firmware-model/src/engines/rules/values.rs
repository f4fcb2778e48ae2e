//! The values that entries name, field by field, each by a number from 1: what entries cannot tell apart has number 0.
//!
//! A number also knows the combinations that name it. The combinations that can decide about a frame are those that are
//! known to each of its numbers, mostly one above the base; the others need no lookup.
#![expect(clippy::indexing_slicing, reason = "the arrays have a place for every field, and numbers are given out here")]

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use nicfw::tables::RuleKey;
use nicfw::terms::MacAddr;

use super::hash::Fnv;
use super::row::{Field, Row};

/// No protocol: a value that no entry can name.
pub(in crate::engines) const NO_PROTO: u16 = 1 << 8;
/// No tag: a value that no entry can name.
pub(in crate::engines) const NO_VLAN: u16 = u16::MAX;

/// A set of combinations, by their place in the lookup order: the first is the lowest bit.
pub(in crate::engines) type Candidates = u64;

/// Values of at most 48 bits and their numbers: open addressing, at most an eighth full, so that the first slot mostly tells.
#[derive(Debug, Clone)]
struct Narrow {
    /// A value, and in the lowest 16 bits its number; all zero for a free slot.
    slots: Vec<u64>,
    used: usize,
}

impl Narrow {
    fn new() -> Self {
        Self { slots: vec![0; 8], used: 0 }
    }

    #[inline]
    fn wrapped(&self, at: u32) -> usize {
        at as usize & (self.slots.len() - 1)
    }

    /// The upper bits of the product are the mixed ones.
    #[inline]
    fn home(value: u64) -> u32 {
        let [_, _, _, _, a, b, c, d] = value.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        u32::from_le_bytes([a, b, c, d]) >> 8
    }

    #[inline]
    fn get(&self, value: u64) -> u16 {
        let mut at = Self::home(value);
        loop {
            let slot = self.slots[self.wrapped(at)];
            let [low, high, ..] = slot.to_le_bytes();
            if (slot >> 16 == value) | (slot == 0) {
                return u16::from_le_bytes([low, high]);
            }
            at += 1;
        }
    }

    fn insert(&mut self, value: u64, number: u16) {
        self.used += 1;
        if self.used * 8 > self.slots.len() {
            let twice = vec![0; self.slots.len() * 2];
            let slots = std::mem::replace(&mut self.slots, twice);
            slots.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.settle(slot));
        }
        self.settle(value << 16 | u64::from(number));
    }

    fn settle(&mut self, slot: u64) {
        let mut at = Self::home(slot >> 16);
        while self.slots[self.wrapped(at)] != 0 {
            at += 1;
        }
        let at = self.wrapped(at);
        self.slots[at] = slot;
    }
}

/// The values of one field.
#[derive(Debug, Clone)]
pub(in crate::engines) struct Column {
    /// Values of at most 16 bits: each one's number, once there is any.
    words: Vec<u16>,
    /// Those that have one, by their number from 1.
    numbered: Vec<u16>,
    /// IPv4 addresses, MACs and physical ports.
    narrow: Narrow,
    /// IPv6 addresses.
    wide: HashMap<u128, u16, BuildHasherDefault<Fnv>>,
    /// By number: the combinations that name it, and those that do not look at the field. The first one is number 0's.
    candidates: Vec<Candidates>,
    /// Rises with each value, and when numbers are given anew.
    version: u64,
}

impl Column {
    fn new(version: u64) -> Self {
        let (narrow, wide) = (Narrow::new(), HashMap::default());
        Self { words: Vec::new(), numbered: Vec::new(), narrow, wide, candidates: vec![0], version }
    }

    /// The number of a value of at most 16 bits; 0 if no entry names it.
    #[inline]
    pub fn word(&self, value: u16) -> u16 {
        self.words.get(usize::from(value)).copied().unwrap_or(0)
    }

    /// The number of a physical port; 0 if no entry names it.
    pub fn port(&self, physical_port: u32) -> u16 {
        self.narrow.get(physical_port.into())
    }

    /// The number of a MAC; 0 if no entry names it.
    #[inline]
    pub fn mac(&self, MacAddr([a, b, c, d, e, f]): MacAddr) -> u16 {
        self.narrow.get(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The number of an IPv4 address; 0 if no entry names it.
    #[inline]
    pub fn v4(&self, addr: u32) -> u16 {
        self.narrow.get(addr.into())
    }

    /// The number of an address; 0 if no entry names it.
    #[inline]
    pub fn ip(&self, addr: &IpAddr) -> u16 {
        match addr {
            IpAddr::V4(four) => self.v4(four.to_bits()),
            IpAddr::V6(six) => self.wide.get(&six.to_bits()).copied().unwrap_or(0),
        }
    }

    /// The combinations that a number leaves.
    #[inline]
    pub fn candidates(&self, number: u16) -> Candidates {
        self.candidates.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Every value of at most 16 bits that entries name, with its number.
    pub fn numbered_words(&self) -> impl Iterator<Item = (u16, u16)> {
        self.numbered.iter().copied().zip(1..)
    }

    /// How many numbers there are, 0 included.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Tells one state of the numbers from all others.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn get(&self, value: Named) -> u16 {
        match value {
            Named::Word(value) => self.word(value),
            Named::PhysicalPort(port) => self.port(port),
            Named::Mac(mac) => self.mac(mac),
            Named::Ip(addr) => self.ip(&addr),
        }
    }

    /// A number for a value that has none; `None` when no number is left.
    fn add(&mut self, value: Named) -> Option<u16> {
        let number = u16::try_from(self.candidates.len()).ok()?;
        match value {
            Named::Word(value) => {
                self.words.resize(1 << 16, 0);
                *self.words.get_mut(usize::from(value))? = number;
                self.numbered.push(value);
            }
            Named::PhysicalPort(port) => self.narrow.insert(port.into(), number),
            Named::Mac(MacAddr([a, b, c, d, e, f])) => {
                self.narrow.insert(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), number);
            }
            Named::Ip(IpAddr::V4(four)) => self.narrow.insert(four.to_bits().into(), number),
            Named::Ip(IpAddr::V6(six)) => {
                self.wide.insert(six.to_bits(), number);
            }
        }
        self.candidates.push(0);
        self.version += 1;
        Some(number)
    }
}

/// A value of any field.
#[derive(Debug, Clone, Copy)]
enum Named {
    Word(u16),
    PhysicalPort(u32),
    Mac(MacAddr),
    Ip(IpAddr),
}

/// The value of a field that a key names.
fn named(key: &RuleKey, field: Field) -> Option<Named> {
    match field {
        Field::LocalIp => key.local_ip.map(Named::Ip),
        Field::RemoteIp => key.remote_ip.map(Named::Ip),
        Field::LocalMac => key.local_mac.map(Named::Mac),
        Field::RemoteMac => key.remote_mac.map(Named::Mac),
        Field::PhysicalPort => key.physical_port.map(Named::PhysicalPort),
        Field::IpProto => key.ip_proto.map(|proto| Named::Word(proto.into())),
        Field::EtherType => key.ether_type.map(Named::Word),
        Field::OuterVlan => key.outer_vlan.map(Named::Word),
        Field::InnerVlan => key.inner_vlan.map(Named::Word),
        Field::LocalPort => key.local_port.map(Named::Word),
        Field::RemotePort => key.remote_port.map(Named::Word),
        Field::RemoteSubnet => key.remote_subnet.map(|id| Named::Word(id.0)),
        Field::LocalPortrange => key.local_portrange.map(|id| Named::Word(id.0)),
        Field::RemotePortrange => key.remote_portrange.map(|id| Named::Word(id.0)),
    }
}

/// All values that entries name, or named since the last clean-up.
#[derive(Debug, Clone)]
pub(in crate::engines) struct Values {
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

    /// The values of one field.
    #[inline]
    pub fn column(&self, field: Field) -> &Column {
        &self.columns[field as usize]
    }

    /// The row of a key, if each of its values has a number.
    pub fn row(&self, key: &RuleKey) -> Option<Row> {
        let mut row = Row::default();
        for field in Field::ALL {
            let Some(value) = named(key, field) else { continue };
            let number = self.column(field).get(value);
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
            let column = &mut self.columns[field as usize];
            let known = column.get(value);
            let number = if known == 0 { column.add(value)? } else { known };
            row.put(field, number);
        }
        Some(row)
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
}
