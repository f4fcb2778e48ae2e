//! The maps, flattened: from an address or a port to the numbers of its ids in at most three loads, without a walk.
//!
//! Made from the words of `maps.rs` when a frame is to be judged after a map has changed.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use nicfw::tables::{Assumption, EngineProfile, Sizes};

use super::maps::{PortTree, Trie, Word};
use super::row::Field;
use super::values::{Candidates, Values};

const TOP_BITS: u32 = 16;
const BLOCK_BITS: u32 = 8;
const BLOCK: usize = 1 << BLOCK_BITS;
/// Marks a cell that holds the place of a block.
const POINTER: u32 = 1 << 31;

/// The subnet trie: 16 bits of the address choose a cell of the top, then 8 and 8 more a cell of a block. A cell that holds
/// a number instead of a pointer is the place of a cell that holds that number, so that every lookup takes three loads.
#[derive(Debug, Clone)]
pub(super) struct Subnets {
    top: Vec<u32>,
    /// First the numbers themselves, each at its own place; then blocks.
    cells: Vec<u32>,
    /// Digits of an address from the last to the first: the opposite of assumption A4.
    reversed_digits: Option<u32>,
}

impl Subnets {
    /// Nobody has an id.
    pub fn none() -> Self {
        Self { top: vec![0; 1 << TOP_BITS], cells: vec![0], reversed_digits: None }
    }

    /// A trie as it was written.
    pub fn new(trie: &Trie, values: &Values, profile: &EngineProfile, sizes: &Sizes) -> Self {
        let mut flat = Self::none();
        let Some(digit) = Trie::digit(sizes) else { return flat };
        flat.reversed_digits = (!profile.holds(Assumption::TrieMsbFirst)).then_some(digit);
        flat.cells = (0..).take(values.len(Field::RemoteSubnet)).collect();
        let mut top = std::mem::take(&mut flat.top);
        let mut build = Build { trie, values, sizes, flat, blocks: HashMap::new() };
        build.fill(&mut top, 0, 0);
        Self { top, ..build.flat }
    }

    /// The number of an address's id; 0 if it has none, or one that no entry names.
    #[inline]
    pub fn number(&self, addr: u32) -> u16 {
        let addr = match self.reversed_digits {
            None => addr,
            Some(digit) => reverse_digits(addr, digit),
        };
        let [high, low, second, third] = addr.to_be_bytes();
        let cell = |cell: u32, digit: u8| {
            // All ones for a pointer, else zero: no branch, because which it is cannot be foreseen.
            let is_pointer = (cell >> 31).wrapping_neg();
            let at = (cell & !POINTER) + (u32::from(digit) & is_pointer);
            self.cells.get(at as usize).copied().unwrap_or(0)
        };
        let top = self.top.get(usize::from(u16::from_be_bytes([high, low]))).copied().unwrap_or(0);
        let [a, b, ..] = cell(cell(top, second), third).to_le_bytes();
        u16::from_le_bytes([a, b])
    }
}

fn reverse_digits(addr: u32, digit: u32) -> u32 {
    let mask = (1 << digit) - 1;
    (0..32 / digit).fold(0, |reversed, at| reversed << digit | addr >> (at * digit) & mask)
}

struct Build<'a> {
    trie: &'a Trie,
    values: &'a Values,
    sizes: &'a Sizes,
    flat: Subnets,
    /// By node and depth in bits. Nodes may be shared and may even point in circles, but there are only so many.
    blocks: HashMap<(u32, u32), u32>,
}

impl Build<'_> {
    /// Fills the cells below a node that is reached after `depth` bits of the address.
    fn fill(&mut self, cells: &mut [u32], node: u32, depth: u32) {
        let Some(words) = self.trie.node(node) else {
            cells.fill(0);
            return;
        };
        let (part, digit) = (cells.len() / words.len().max(1), words.len().ilog2());
        for (word, cells) in words.iter().zip(cells.chunks_mut(part.max(1))) {
            match Word::of(self.sizes, *word) {
                Word::Id(id) => cells.fill(self.values.narrow(Field::RemoteSubnet, id.into()).into()),
                Word::Pointer(node) => match cells {
                    [cell] => *cell = self.block(node, depth + digit),
                    cells => self.fill(cells, node, depth + digit),
                },
            }
        }
    }

    /// The block of a node; 0 at the end of the address, where nothing can be below.
    fn block(&mut self, node: u32, depth: u32) -> u32 {
        if depth >= u32::BITS {
            return 0;
        }
        if let Some(known) = self.blocks.get(&(node, depth)) {
            return *known;
        }
        let mut cells = [0; BLOCK];
        self.fill(&mut cells, node, depth);
        let place = u32::try_from(self.flat.cells.len()).map_or(0, |place| place | POINTER);
        self.flat.cells.extend(cells);
        self.blocks.insert((node, depth), place);
        place
    }
}

/// What entries can tell about one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PortClass {
    /// Number of the port itself.
    pub exact: u16,
    /// Number of its range's id.
    pub range: u16,
    /// Combinations that know both.
    pub candidates: Candidates,
}

/// All ports of one side: by port its class.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    class: Vec<u16>,
    classes: Vec<PortClass>,
    exact: Field,
    range: Field,
}

impl Ports {
    /// No port is known.
    pub fn none(exact: Field, range: Field) -> Self {
        Self { class: vec![0; 1 << 16], classes: vec![PortClass::default()], exact, range }
    }

    /// A tree as it was written, and the ports that entries name beside it.
    pub fn map(&mut self, tree: &PortTree, values: &Values, profile: &EngineProfile) {
        self.class.fill(0);
        let class = |range| PortClass { range, ..PortClass::default() };
        // A class a number: class 0 is that of ports without a number.
        self.classes = (0..).take(values.len(self.range)).map(class).collect();
        for (ports, id) in tree.leaves(profile) {
            let range = values.narrow(self.range, id.into());
            let ports = usize::from(*ports.start())..=usize::from(*ports.end());
            self.class.get_mut(ports).unwrap_or_default().fill(range);
        }
        for (port, exact) in values.narrow_values(self.exact) {
            // Entries are so few that classes never run out: see `MOST_ENTRIES`.
            let Ok(number) = u16::try_from(self.classes.len()) else { continue };
            if let Some(class) = usize::try_from(port).ok().and_then(|port| self.class.get_mut(port)) {
                self.classes.push(PortClass { exact, range: *class, candidates: 0 });
                *class = number;
            }
        }
    }

    /// Learns which combinations know which class.
    pub fn learn(&mut self, values: &Values) {
        for class in &mut self.classes {
            class.candidates =
                values.candidates(self.exact, class.exact) & values.candidates(self.range, class.range);
        }
    }

    /// The class of a port.
    #[inline]
    pub fn get(&self, port: u16) -> PortClass {
        let class = self.class.get(usize::from(port)).copied().unwrap_or(0);
        self.classes.get(usize::from(class)).copied().unwrap_or_default()
    }

    /// The class of a frame without ports.
    #[inline]
    pub fn none_there(&self) -> PortClass {
        self.classes.first().copied().unwrap_or_default()
    }
}

/// Ports of one leaf.
pub(super) type Leaf = (RangeInclusive<u16>, u16);

#[cfg(test)]
mod tests {
    use nicfw::tables::{PortRangeId, PortTreeEntry, RuleKey, SubnetId};

    use super::*;

    const LEAF: u16 = 0xffff;

    fn opposite(assumption: Assumption) -> EngineProfile {
        EngineProfile { opposite: vec![assumption], ..EngineProfile::profile0() }
    }

    /// Numbers 1, 2, 3 for ids 56000, 56001, 56002.
    fn three_subnets() -> Values {
        let mut values = Values::new();
        for id in 56_000..56_003 {
            values.number(&RuleKey { remote_subnet: Some(SubnetId(id)), ..RuleKey::default() }).unwrap();
        }
        values
    }

    fn number(trie: &Trie, profile: &EngineProfile, sizes: &Sizes, addr: [u8; 4]) -> u16 {
        Subnets::new(trie, &three_subnets(), profile, sizes).number(u32::from_be_bytes(addr))
    }

    #[test]
    fn the_trie_takes_four_bits_a_level() {
        let (sizes, profile) = (Sizes::profile0(), EngineProfile::profile0());
        let mut trie = Trie::default();
        assert_eq!(number(&trie, &profile, &sizes, [0; 4]), 0);
        let mut root = [56_000; 16];
        root[0] = 16;
        let mut second = [56_001; 16];
        second[10] = 56_002;
        trie.set(&sizes, 1, &second).unwrap();
        assert!(!trie.is_set());
        trie.set(&sizes, 0, &root).unwrap();
        assert_eq!(number(&trie, &profile, &sizes, [10, 1, 2, 3]), 3);
        assert_eq!(number(&trie, &profile, &sizes, [11, 1, 2, 3]), 2);
        assert_eq!(number(&trie, &profile, &sizes, [192, 0, 2, 1]), 1);
        let lsb = opposite(Assumption::TrieMsbFirst);
        assert_eq!(number(&trie, &lsb, &sizes, [10, 0, 0, 0xa0]), 3);
    }

    /// A single address below every width of node.
    #[test]
    fn every_width_reaches_the_last_bit() {
        for bits in [1, 2, 4, 8u32] {
            let sizes = Sizes { entries_per_node: 1 << bits, ..Sizes::profile0() };
            let addr = 0x0a1e_8421;
            let mut trie = Trie::default();
            for level in (0..32 / bits).rev() {
                let mut node = vec![56_001; 1 << bits];
                let digit = addr >> (32 - bits * (level + 1)) & ((1 << bits) - 1);
                let last = level + 1 == 32 / bits;
                node[digit as usize] = if last { 56_002 } else { u16::try_from((level + 1) << bits).unwrap() };
                trie.set(&sizes, level, &node).unwrap();
            }
            let profile = EngineProfile::profile0();
            let flat = Subnets::new(&trie, &three_subnets(), &profile, &sizes);
            assert_eq!([addr, addr ^ 1, addr ^ 1 << 15, 0].map(|addr| flat.number(addr)), [3, 2, 2, 2], "{bits} bits");
        }
    }

    #[test]
    fn a_trie_that_points_in_circles_has_no_id() {
        let (sizes, profile) = (Sizes::profile0(), EngineProfile::profile0());
        let mut trie = Trie::default();
        trie.set(&sizes, 0, &[0; 16]).unwrap();
        assert_eq!(number(&trie, &profile, &sizes, [10, 0, 0, 1]), 0);
    }

    #[test]
    fn a_node_that_nobody_wrote_has_no_ids() {
        let (sizes, profile) = (Sizes::profile0(), EngineProfile::profile0());
        let mut trie = Trie::default();
        trie.set(&sizes, 0, &[160; 16]).unwrap();
        assert_eq!(number(&trie, &profile, &sizes, [10, 0, 0, 1]), 0);
    }

    #[test]
    fn the_port_tree_is_a_heap() {
        let entry = |branch_key, leaf_id| PortTreeEntry { branch_key, leaf_id };
        let mut tree = PortTree::default();
        let entries = [
            entry(100, 0),
            entry(LEAF, 1),
            entry(200, 0),
            entry(LEAF, 1),
            entry(LEAF, 1),
            entry(LEAF, 2),
            entry(LEAF, 3),
        ];
        tree.set(&Sizes::profile0(), &entries).unwrap();
        let mut values = Values::new();
        for id in 1..4 {
            values.number(&RuleKey { local_portrange: Some(PortRangeId(id)), ..RuleKey::default() }).unwrap();
        }
        values.number(&RuleKey { local_port: Some(150), ..RuleKey::default() }).unwrap();
        let mut ports = Ports::none(Field::LocalPort, Field::LocalPortrange);
        let mut classes = |tree: &PortTree, profile: &EngineProfile, at: [u16; 7]| {
            ports.map(tree, &values, profile);
            at.map(|port| (ports.get(port).range, ports.get(port).exact))
        };
        let profile = EngineProfile::profile0();
        let at = [0, 100, 101, 150, 200, 201, 65_535];
        let expected = [(1, 0), (1, 0), (2, 0), (2, 1), (2, 0), (3, 0), (3, 0)];
        assert_eq!(classes(&tree, &profile, at), expected);
        assert_eq!(classes(&tree, &opposite(Assumption::PortTreeHeapOrder), at)[1], (3, 0));
        tree.set(&Sizes::profile0(), &[entry(100, 0), entry(LEAF, 1)]).unwrap();
        assert_eq!(classes(&tree, &profile, at)[2], (0, 0), "the walk leaves the tree");
    }
}
