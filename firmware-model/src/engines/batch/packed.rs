//! The tables in the form in which most frames are judged: IPv4, with a local side (address, MAC, ether type and tags) that
//! entries name as a whole.
//!
//! ```text
//! local side -> its number and the combinations that have entries for it   (heads.rs: one probe)
//! every other field that a combination looks at -> bits of the key, and the combinations that know them
//! the key, masked by each candidate in lookup order -> entry, verdict and counter   (one probe)
//! ```
//!
//! Each arrow is one step for a whole batch, so that the loads of different frames do not wait for each other. Frames that have
//! no such local side are left to the caller, as are all frames where the values do not fit a key or where the tables would
//! become much larger than the rule table.
#![expect(clippy::indexing_slicing, reason = "places are masked or bounded by the batch")]

use std::net::IpAddr;

use nicfw::tables::{CounterId, MatchFields};
use nicfw::terms::{Direction, Verdict};

use super::frames::{BATCH, Batch};
use super::heads::{Heads, Unnamed};
use super::mark::Mark;
use crate::engines::rules::flat::{NO_PORT, PortClass, Ports, Subnets};
use crate::engines::rules::pass::{Found, Pass, count};
use crate::engines::rules::row::{Field, Row};
use crate::engines::rules::table::RuleTable;
use crate::engines::rules::values::{Candidates, Column, NO_PROTO, Values};
use crate::engines::rules::{Decision, EntryId};
use crate::packet::Headers;

/// Where what was found is written.
struct Outcome<'a> {
    decisions: &'a mut [Decision],
    /// By counter.
    counts: &'a mut [u64],
    /// Where nothing was found.
    no_match: Verdict,
}

impl Outcome<'_> {
    /// Writes what decides about a frame, and counts it.
    #[inline]
    fn put(&mut self, at: usize, found: Found) {
        let decided = count(self.counts, self.no_match, found);
        if let Some(decision) = self.decisions.get_mut(at) {
            *decision = decided;
        }
    }
}

/// Fields behind the local side, in the order of their bits in a key.
const TAIL: [Field; 9] = [
    Field::IpProto,
    Field::RemoteIp,
    Field::RemoteSubnet,
    Field::LocalPort,
    Field::LocalPortrange,
    Field::RemotePort,
    Field::RemotePortrange,
    Field::RemoteMac,
    Field::PhysicalPort,
];

/// Where the fields stand in a key: the number of the local side in the lowest bits, the combination in the uppermost six.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    head: u32,
    shifts: [u32; Field::COUNT],
    widths: [u32; Field::COUNT],
}

const COMBINATION_BITS: u32 = 6;

fn bits(numbers: usize) -> u32 {
    usize::BITS - numbers.saturating_sub(1).leading_zeros()
}

impl Layout {
    /// Room for so many heads and for the values of the fields that are looked at; `None` if 64 bits are too few.
    fn new(heads: usize, fields: MatchFields, values: &Values) -> Option<Self> {
        let mut layout = Self { head: bits(heads), ..Self::default() };
        let mut next = layout.head;
        for field in TAIL.into_iter().filter(|field| fields.contains(field.bit())) {
            let width = bits(values.column(field).len());
            layout.shifts[field as usize] = next;
            layout.widths[field as usize] = width;
            next += width;
        }
        (next + COMBINATION_BITS <= u64::BITS).then_some(layout)
    }

    /// The bits of a number; a field that is not looked at has none.
    fn bits(&self, field: Field, number: u16) -> u64 {
        if self.widths[field as usize] == 0 { 0 } else { u64::from(number) << self.shifts[field as usize] }
    }

    fn tail(&self, row: &Row) -> u64 {
        TAIL.into_iter().fold(0, |key, field| key | self.bits(field, row.get(field)))
    }

    fn mark(&self, field: Field, column: &Column, number: u16) -> Mark {
        Mark { key: self.bits(field, number), candidates: column.candidates(number) }
    }

    /// What a key is masked with for a combination, and what marks it as that combination's.
    fn select(&self, place: u64, fields: MatchFields) -> Select {
        let ones = |field: Field| self.bits(field, u16::MAX >> (16 - self.widths[field as usize].min(16)));
        let named = TAIL.into_iter().filter(|field| fields.contains(field.bit()));
        let head = (1 << self.head) - 1;
        Select {
            mask: named.fold(head, |mask, field| mask | if self.widths[field as usize] == 0 { 0 } else { ones(field) }),
            tag: place << (u64::BITS - COMBINATION_BITS),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Select {
    mask: u64,
    tag: u64,
}

/// An entry by its key; place 0 = free.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u64,
    counter: CounterId,
    /// From 1.
    place: u16,
    rx: Option<Verdict>,
    tx: Option<Verdict>,
}

impl Slot {
    const FREE: Self = Self { key: 0, counter: CounterId(0), place: 0, rx: None, tx: None };
}

/// See the module.
#[derive(Debug)]
pub(super) struct Packed {
    heads: Heads,
    layout: Layout,
    fields: MatchFields,
    /// By protocol, or [`NO_PROTO`].
    protos: Vec<Mark>,
    /// By number.
    remote_ips: Vec<Mark>,
    /// By number.
    subnets: Vec<Mark>,
    /// By number.
    remote_macs: Vec<Mark>,
    /// By class.
    local_ports: Vec<Mark>,
    /// By class.
    remote_ports: Vec<Mark>,
    /// By combination.
    selects: [Select; 64],
    /// Open addressing, a power of two, at most half full.
    slots: Vec<Slot>,
}

impl Packed {
    pub fn new() -> Self {
        Self {
            heads: Heads::none(),
            layout: Layout::default(),
            fields: MatchFields::empty(),
            protos: Vec::new(),
            remote_ips: Vec::new(),
            subnets: Vec::new(),
            remote_macs: Vec::new(),
            local_ports: Vec::new(),
            remote_ports: Vec::new(),
            selects: [Select::default(); 64],
            slots: Vec::new(),
        }
    }

    /// Made anew from the tables.
    pub fn refresh(&mut self, pass: &Pass<'_>) {
        let (rules, values) = (pass.rules, pass.rules.values());
        self.fields = rules.fields();
        self.heads = Heads::new(rules, self.fields);
        match Layout::new(self.heads.len() + 1, self.fields, values) {
            Some(layout) if self.heads.len() > 0 => self.layout = layout,
            _ => return self.heads = Heads::none(),
        }
        if !self.fill(rules) {
            return self.heads = Heads::none();
        }
        let layout = &self.layout;
        let proto = values.column(Field::IpProto);
        refill(&mut self.protos, (0..=NO_PROTO).map(|value| layout.mark(Field::IpProto, proto, proto.word(value))));
        for (marks, field) in [
            (&mut self.remote_ips, Field::RemoteIp),
            (&mut self.subnets, Field::RemoteSubnet),
            (&mut self.remote_macs, Field::RemoteMac),
        ] {
            let column = values.column(field);
            refill(marks, (0..).take(column.len()).map(|number| layout.mark(field, column, number)));
        }
        for (marks, ports, exact, range) in [
            (&mut self.local_ports, pass.lookup.local_ports(), Field::LocalPort, Field::LocalPortrange),
            (&mut self.remote_ports, pass.lookup.remote_ports(), Field::RemotePort, Field::RemotePortrange),
        ] {
            let looked_at = self.fields.intersects(exact.bit() | range.bit());
            let mark = |class: &PortClass| match looked_at {
                true => Mark {
                    key: layout.bits(exact, class.exact) | layout.bits(range, class.range),
                    candidates: class.candidates,
                },
                false => Mark::ANY,
            };
            refill(marks, ports.classes().iter().map(mark));
        }
    }

    /// Fills the slots; false if they would become too many.
    fn fill(&mut self, rules: &RuleTable) -> bool {
        let mut keys = Vec::with_capacity(rules.len());
        let most = 4 * rules.len() + 64;
        self.selects = [Select::default(); 64];
        for (place, fields) in rules.looked_up_fields() {
            if let Some(select) = self.selects.get_mut(usize::from(place)) {
                *select = self.layout.select(place.into(), fields);
            }
        }
        for entry in rules.looked_up_entries() {
            let select = self.selects[usize::from(entry.combination) & 63];
            let tail = self.layout.tail(entry.row) | select.tag;
            let fits = self.heads.each_that_shows(entry.row, |head, candidates| {
                *candidates |= 1 << entry.combination;
                keys.push((u64::from(head) | tail, *entry.hit, entry.id));
                keys.len() < most
            });
            if !fits {
                return false;
            }
        }
        let size = match keys.len() {
            few if few <= 2048 => few * 8,
            many => many * 2,
        };
        let size = size.next_power_of_two().max(2);
        refill(&mut self.slots, std::iter::repeat_n(Slot::FREE, size));
        for (key, hit, id) in keys {
            let Ok(place) = u16::try_from(id.place() + 1) else { return false };
            let mut at = self.home(key);
            while self.slots[at].place != 0 {
                at = (at + 1) & (size - 1);
            }
            let (rx, tx) = (hit.verdict(Direction::Rx), hit.verdict(Direction::Tx));
            self.slots[at] = Slot { key, counter: hit.counter, place, rx, tx };
        }
        let local = Heads::FIELDS.into_iter().fold(MatchFields::PHYSICAL_PORT, |all, field| all | field.bit());
        let beyond = rules.looked_up_fields().filter(|(_, fields)| !local.contains(*fields));
        self.heads.settle(beyond.fold(0, |all, (place, _)| all | 1 << place));
        true
    }

    #[inline]
    fn home(&self, key: u64) -> usize {
        let mixed = (key ^ key >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize & (self.slots.len() - 1)
    }

    /// Finds the entries that decide about a batch, and collects the frames that are left in [`Batch::others`].
    #[inline(never)]
    pub fn decide<const LOCAL_IS_DESTINATION: bool>(
        &self,
        pass: &mut Pass<'_>,
        frames: &[Headers],
        batch: &mut Batch,
        decisions: &mut [Decision],
    ) {
        let (values, lookup) = (pass.rules.values(), pass.lookup);
        look::<LOCAL_IS_DESTINATION>(&self.heads, values, frames, batch);
        let looks_at = |fields: MatchFields| self.fields.intersects(fields);
        by_proto_and_port(batch, &self.protos, lookup.local_ports(), &self.local_ports);
        if looks_at(MatchFields::REMOTE_SUBNET_ID) {
            by_subnet(batch, lookup.subnets(), &self.subnets);
        }
        if looks_at(MatchFields::REMOTE_IP) {
            by_address(batch, values.column(Field::RemoteIp), &self.remote_ips);
        }
        if looks_at(MatchFields::REMOTE_PORT | MatchFields::REMOTE_PORTRANGE_ID) {
            by_remote_port(batch, lookup.remote_ports(), &self.remote_ports);
        }
        if looks_at(MatchFields::REMOTE_MAC) {
            let column = values.column(Field::RemoteMac);
            by_mac::<LOCAL_IS_DESTINATION>(batch, frames, column, &self.remote_macs);
        }
        let mut unnamed = self.heads.unnamed_head();
        if looks_at(MatchFields::PHYSICAL_PORT) {
            let column = values.column(Field::PhysicalPort);
            let here = self.layout.mark(Field::PhysicalPort, column, column.port(pass.physical_port));
            batch.meet(|_, _| here);
            unnamed.meet(here);
        }
        let direction = pass.direction;
        let mut outcome = Outcome { decisions, counts: &mut *pass.counts, no_match: pass.no_match };
        self.settle(batch, direction, &mut outcome);
        if !batch.simple.is_empty() {
            self.settle_simple(batch, unnamed, direction, &mut outcome);
        }
    }

    /// Looks the keys up.
    #[inline(never)]
    fn settle(&self, batch: &Batch, direction: Direction, outcome: &mut Outcome<'_>) {
        for at in 0..batch.len.min(BATCH) {
            let mark = Mark { key: batch.keys[at], candidates: batch.candidates[at] };
            outcome.put(batch.places[at], self.first(mark, direction));
        }
    }

    /// Looks up what all simple frames meet.
    #[inline(never)]
    fn settle_simple(&self, batch: &Batch, mark: Mark, direction: Direction, outcome: &mut Outcome<'_>) {
        let found = self.first(mark, direction);
        batch.simple.iter().for_each(|place| outcome.put(place, found));
    }

    /// The first entry with a verdict, in lookup order.
    #[inline]
    fn first(&self, mark: Mark, direction: Direction) -> Found {
        let mut candidates = mark.candidates;
        while candidates != 0 {
            if let Some(slot) = self.find(self.key(mark.key, candidates)) {
                let verdict = if direction == Direction::Rx { slot.rx } else { slot.tx };
                if let Some(verdict) = verdict {
                    return Some((EntryId::at(slot.place.wrapping_sub(1)), verdict, slot.counter));
                }
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// What is looked up for the first of the candidates.
    #[inline]
    fn key(&self, bits: u64, candidates: Candidates) -> u64 {
        let select = self.selects[candidates.trailing_zeros() as usize & 63];
        bits & select.mask | select.tag
    }

    #[inline]
    fn find(&self, key: u64) -> Option<&Slot> {
        let mut at = self.home(key);
        loop {
            let slot = &self.slots[at];
            if slot.key == key {
                return Some(slot);
            }
            if slot.place == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// Collects the frames with a local side that entries name, the simple ones and the others.
#[inline(never)]
fn look<const LOCAL_IS_DESTINATION: bool>(heads: &Heads, values: &Values, frames: &[Headers], batch: &mut Batch) {
    batch.clear();
    let mut len = 0;
    for (place, Headers { packet, .. }) in frames.iter().enumerate() {
        let Some(ip) = &packet.ip else {
            batch.others.push(place);
            continue;
        };
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (&ip.src, &ip.dst) else {
            batch.others.push(place);
            continue;
        };
        let ((mac, local), remote) =
            if LOCAL_IS_DESTINATION { ((packet.dst_mac, dst), src) } else { ((packet.src_mac, src), dst) };
        let mark = match heads.get(packet, mac, local.to_bits()) {
            Some(mark) => mark,
            None => match heads.unnamed(values, packet, mac, local.to_bits()) {
                Unnamed::Simple => {
                    batch.simple.push(place);
                    continue;
                }
                Unnamed::Head(mark) => mark,
                Unnamed::NamedInPart => {
                    batch.others.push(place);
                    continue;
                }
            },
        };
        let (src_port, dst_port) = ip.ports.map_or((NO_PORT, NO_PORT), |(src, dst)| (src.into(), dst.into()));
        let (local_port, remote_port) = if LOCAL_IS_DESTINATION { (dst_port, src_port) } else { (src_port, dst_port) };
        let at = len & (BATCH - 1);
        batch.keys[at] = mark.key;
        batch.candidates[at] = mark.candidates;
        batch.remotes[at] = remote.to_bits();
        batch.local_ports[at] = local_port;
        batch.remote_ports[at] = remote_port;
        batch.protos[at] = ip.proto.map_or(NO_PROTO, u16::from);
        batch.places[at] = place;
        len += 1;
    }
    batch.len = len;
}

// Each step is a function of its own, so that what it works with stays in registers.

#[inline(never)]
fn by_proto_and_port(batch: &mut Batch, protos: &[Mark], ports: &Ports, marks: &[Mark]) {
    batch.meet(|batch, at| {
        let mut mark = marks[usize::from(ports.class(batch.local_ports[at]))];
        mark.meet(protos[usize::from(batch.protos[at])]);
        mark
    });
}

#[inline(never)]
fn by_subnet(batch: &mut Batch, subnets: &Subnets, marks: &[Mark]) {
    batch.meet(|batch, at| marks[subnets.number(batch.remotes[at]) as usize]);
}

#[inline(never)]
fn by_address(batch: &mut Batch, column: &Column, marks: &[Mark]) {
    batch.meet(|batch, at| marks[usize::from(column.v4(batch.remotes[at]))]);
}

#[inline(never)]
fn by_remote_port(batch: &mut Batch, ports: &Ports, marks: &[Mark]) {
    batch.meet(|batch, at| marks[usize::from(ports.class(batch.remote_ports[at]))]);
}

#[inline(never)]
fn by_mac<const LOCAL_IS_DESTINATION: bool>(batch: &mut Batch, frames: &[Headers], column: &Column, marks: &[Mark]) {
    batch.meet(|batch, at| {
        let packet = &frames[batch.places[at]].packet;
        let mac = if LOCAL_IS_DESTINATION { packet.src_mac } else { packet.dst_mac };
        marks[usize::from(column.mac(mac))]
    });
}

fn refill<T>(vec: &mut Vec<T>, with: impl Iterator<Item = T>) {
    vec.clear();
    vec.extend(with);
}
