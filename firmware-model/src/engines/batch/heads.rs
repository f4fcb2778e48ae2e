//! Local sides that entries name: address, MAC, ether type and tags of an IPv4 frame, by one probe.
#![expect(clippy::indexing_slicing, reason = "places are masked by the table's own size")]

use std::net::IpAddr;

use nicfw::tables::{MatchFields, RuleKey};
use nicfw::terms::{MacAddr, Packet};

use super::mark::Mark;
use crate::engines::rules::row::{Field, Row};
use crate::engines::rules::table::RuleTable;
use crate::engines::rules::values::{Candidates, Column, NO_VLAN, Values};
use crate::packet::ETHER_IPV4;

/// A local side: what no combination looks at is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shown {
    /// And the ether type.
    mac: u64,
    ip: u32,
    /// Outer and inner; [`NO_VLAN`] where there is no tag.
    vlans: u32,
}

/// A slot of the hash table: key 0 = free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    shown: Shown,
    /// The head's number, and the combinations with entries for it.
    mark: Mark,
}

/// A local side as entries name it: the numbers of [`Heads::FIELDS`].
#[derive(Debug, Clone, Copy)]
struct Head {
    numbers: [u16; Heads::FIELDS.len()],
    shown: Shown,
    candidates: Candidates,
    /// The heads with the same address, and those with the same MAC, that are next: by number, 0 for none.
    next: [u16; 2],
}

/// All of them.
#[derive(Debug)]
pub(super) struct Heads {
    /// By number from 1.
    heads: Vec<Head>,
    /// By number of an address, and of a MAC: the head that was last added.
    last: [Vec<u16>; 2],
    /// Open addressing, a power of two, at most a quarter full.
    slots: Vec<Slot>,
    /// Bits of MAC and ether type that combinations look at.
    mac_mask: u64,
    /// Of tags.
    vlan_mask: u32,
    /// The number of the head that shows an address and a MAC that no entry names; 0 for none.
    unnamed: u16,
    /// What it shows beside them.
    untagged: (u64, u32),
    /// That head's candidates look at nothing but the local side and the physical port.
    is_simple: bool,
}

/// What a frame is whose local side entries do not name as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// No entry names its address or its MAC, and nothing else makes a difference: see [`Heads::unnamed_head`].
    Simple,
    /// No entry names its address or its MAC, but other fields make a difference.
    Head(Mark),
    /// Entries name its address or its MAC, or it shows something else beside them than the unnamed head.
    NamedInPart,
}

impl Heads {
    /// Fields of a local side.
    pub const FIELDS: [Field; 5] =
        [Field::LocalIp, Field::LocalMac, Field::EtherType, Field::OuterVlan, Field::InnerVlan];

    /// No local side is known.
    pub fn none() -> Self {
        Self {
            heads: Vec::new(),
            last: [Vec::new(), Vec::new()],
            slots: vec![Slot::default(); 2],
            mac_mask: 0,
            vlan_mask: 0,
            unnamed: 0,
            untagged: (0, 0),
            is_simple: false,
        }
    }

    /// Those of entries that name an IPv4 address, and a MAC if any entry does: what they leave open is taken as in an
    /// untagged frame. `fields` are looked at by some combination.
    pub fn new(rules: &RuleTable, fields: MatchFields) -> Self {
        let ones = |field: MatchFields, ones: u64| if fields.contains(field) { ones } else { 0 };
        let mut heads = Self::none();
        heads.mac_mask = ones(MatchFields::LOCAL_MAC, with_type(MacAddr([0xff; 6]), 0))
            | ones(MatchFields::ETHER_TYPE, with_type(MacAddr([0; 6]), u16::MAX));
        let tags = [(MatchFields::OUTER_VLAN, 0xffff_0000), (MatchFields::INNER_VLAN, 0xffff)];
        heads.vlan_mask = tags.into_iter().filter(|(field, _)| fields.contains(*field)).fold(0, |all, tag| all | tag.1);
        let columns = Self::FIELDS.map(|field| rules.values().column(field));
        let [ips, macs, ..] = columns;
        heads.last = [vec![0; ips.len()], vec![0; macs.len()]];
        for entry in rules.looked_up_entries() {
            heads.add(entry.key, fields, columns);
        }
        let (mac, vlans) =
            (with_type(MacAddr([0; 6]), ETHER_IPV4) & heads.mac_mask, both([NO_VLAN; 2]) & heads.vlan_mask);
        heads.untagged = (mac, vlans);
        let shown = Shown { mac, ip: 0, vlans };
        let [_, _, ether_types, outer, inner] = columns;
        let numbers = [0, 0, ether_types.word(ETHER_IPV4), outer.word(NO_VLAN), inner.word(NO_VLAN)];
        heads.unnamed = u16::try_from(heads.heads.len() + 1).unwrap_or(0);
        heads.heads.push(Head { numbers, shown, candidates: 0, next: [0; 2] });
        heads
    }

    fn add(&mut self, key: &RuleKey, fields: MatchFields, columns: [&Column; 5]) {
        let Some(IpAddr::V4(ip)) = key.local_ip else { return };
        let mac = key.local_mac.unwrap_or_default();
        if key.local_mac.is_none() && fields.contains(MatchFields::LOCAL_MAC) {
            return;
        }
        let ether_type = key.ether_type.unwrap_or(ETHER_IPV4);
        let tags = [key.outer_vlan, key.inner_vlan].map(|tag| tag.unwrap_or(NO_VLAN));
        let ip = ip.to_bits();
        let shown = Shown { mac: with_type(mac, ether_type) & self.mac_mask, ip, vlans: both(tags) & self.vlan_mask };
        let [ips, macs, ether_types, outer, inner] = columns;
        let [outer_vlan, inner_vlan] = tags;
        let numbers =
            [ips.v4(ip), macs.mac(mac), ether_types.word(ether_type), outer.word(outer_vlan), inner.word(inner_vlan)];
        let known = self.chain(0, numbers[0]).any(|at| self.heads[at].shown == shown);
        let Ok(number) = u16::try_from(self.heads.len() + 1) else { return };
        if !known {
            let places = [usize::from(numbers[0]), usize::from(numbers[1])];
            let mut next = [0; 2];
            for ((last, next), place) in self.last.iter_mut().zip(&mut next).zip(places) {
                *next = std::mem::replace(&mut last[place], number);
            }
            self.heads.push(Head { numbers, shown, candidates: 0, next });
        }
    }

    /// How many there are; their numbers begin with 1.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Places of the heads with the same address (side 0) or MAC (side 1).
    fn chain(&self, side: usize, number: u16) -> impl Iterator<Item = usize> {
        let first = self.last[side].get(usize::from(number)).copied().unwrap_or(0);
        let place = |number: u16| usize::from(number).checked_sub(1);
        std::iter::successors(place(first), move |at| place(self.heads[*at].next[side]))
    }

    /// The heads that show what an entry names of a local side, with their numbers, until `until` is false; false then.
    pub fn each_that_shows(&mut self, row: &Row, mut until: impl FnMut(u16, &mut Candidates) -> bool) -> bool {
        let named = Self::FIELDS.map(|field| row.get(field));
        let [ip, mac, ..] = named;
        let mut visit = |heads: &mut Vec<Head>, at: usize| {
            let head = &mut heads[at];
            let shows = named.iter().zip(&head.numbers).all(|(named, shown)| *named == 0 || named == shown);
            !shows || u16::try_from(at + 1).is_ok_and(|number| until(number, &mut head.candidates))
        };
        if ip == 0 && mac == 0 {
            return (0..self.heads.len()).all(|at| visit(&mut self.heads, at));
        }
        let (side, number) = if ip == 0 { (1, mac) } else { (0, ip) };
        let mut next = self.last[side].get(usize::from(number)).copied().unwrap_or(0);
        while let Some(at) = usize::from(next).checked_sub(1) {
            if !visit(&mut self.heads, at) {
                return false;
            }
            next = self.heads[at].next[side];
        }
        true
    }

    /// Makes the heads known to [`Self::get`]. `beyond` are the combinations that look at more than a local side.
    pub fn settle(&mut self, beyond: Candidates) {
        self.is_simple = self.unnamed_head().candidates & beyond == 0;
        let size = (self.heads.len() * 4).next_power_of_two().max(2);
        self.slots.clear();
        self.slots.resize(size, Slot::default());
        for (number, head) in (1..).zip(&self.heads) {
            if number == u64::from(self.unnamed) {
                continue;
            }
            let mut at = self.home(head.shown.ip);
            while self.slots[at].mark.key != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = Slot { shown: head.shown, mark: Mark { key: number, candidates: head.candidates } };
        }
    }

    #[inline]
    fn home(&self, ip: u32) -> usize {
        (u64::from(ip).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (self.slots.len() - 1)
    }

    /// The number of a frame's local side and its candidates, if entries name such a side.
    #[inline]
    pub fn get(&self, packet: &Packet, mac: MacAddr, ip: u32) -> Option<Mark> {
        let (mac, vlans) = self.beside(packet, mac);
        let mut at = self.home(ip);
        loop {
            let slot = &self.slots[at];
            if (slot.shown.mac ^ mac) | u64::from((slot.shown.ip ^ ip) | (slot.shown.vlans ^ vlans)) == 0 {
                return Some(slot.mark).filter(|mark| mark.key != 0);
            }
            if slot.mark.key == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// MAC, ether type and tags of a frame, as far as combinations look at them.
    #[inline]
    fn beside(&self, packet: &Packet, mac: MacAddr) -> (u64, u32) {
        let mac = with_type(mac, packet.ether_type) & self.mac_mask;
        let vlans = if self.vlan_mask == 0 {
            0
        } else {
            both([packet.outer_vlan, packet.inner_vlan].map(|tag| tag.unwrap_or(NO_VLAN))) & self.vlan_mask
        };
        (mac, vlans)
    }

    /// The head of frames whose address and MAC no entry names.
    pub fn unnamed_head(&self) -> Mark {
        let head = usize::from(self.unnamed).checked_sub(1).map(|at| &self.heads[at]);
        head.map_or(Mark::default(), |head| Mark { key: self.unnamed.into(), candidates: head.candidates })
    }

    /// What a frame is of which [`Self::get`] knows nothing.
    #[inline(never)]
    pub fn unnamed(&self, values: &Values, packet: &Packet, mac: MacAddr, ip: u32) -> Unnamed {
        let shown = self.unnamed != 0 && self.beside(packet, MacAddr([0; 6])) == self.untagged;
        let named = values.column(Field::LocalIp).v4(ip) | values.column(Field::LocalMac).mac(mac) != 0;
        match shown && !named {
            true if self.is_simple => Unnamed::Simple,
            true => Unnamed::Head(self.unnamed_head()),
            false => Unnamed::NamedInPart,
        }
    }
}

#[inline]
fn with_type(MacAddr([a, b, c, d, e, f]): MacAddr, ether_type: u16) -> u64 {
    let (low, high) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
    u64::from(low) | u64::from(high) << 32 | u64::from(ether_type) << 48
}

fn both([outer, inner]: [u16; 2]) -> u32 {
    u32::from(outer) << 16 | u32::from(inner)
}
