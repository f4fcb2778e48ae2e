//! The maps as frames are judged by them: from an address or a port to the numbers of its ids, in loads that do not depend on
//! what is found.
//!
//! Made from the words of `maps.rs` when a frame is to be judged after a map has changed.

use nicfw::tables::Assumption;

use super::config::EngineConfig;
use super::maps::{PortTree, Trie, Word};
use super::row::Field;
use super::values::{Candidates, Values};

const TOP_BITS: u32 = 16;
const BLOCK_BITS: u32 = 8;
/// Of a cell: by how many bits an address's next byte is shifted to choose among cells; the bits above say where those cells
/// begin. Where a byte makes no difference it is shifted by all its bits. The cell of a number stands at that number and leads
/// to itself.
const SHIFT: u32 = 0xff;

/// The subnet trie: 16 bits of the address choose a cell of the top, and eight bits each one of a block, which has no more
/// cells than it takes to tell its addresses apart.
#[derive(Debug, Clone)]
pub(in crate::engines) struct Subnets {
    top: Vec<u32>,
    /// One for each number, and behind them those of the blocks.
    cells: Vec<u32>,
    /// Address bits that a node looks at, where digits of an address are taken from the last to the first: the opposite of
    /// assumption A4.
    reversed: Option<u32>,
}

/// A word of a trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Of an id; 0 if no entry names it.
    Number(u16),
    Node(u32),
}

/// The words of a trie.
struct Nodes {
    /// By node and digit, as pointers count.
    cells: Vec<Cell>,
    /// Address bits that a node looks at.
    digit: u32,
}

impl Nodes {
    /// Fills the places that a cell leads to with what `says` makes of the cells there: as many levels down as they take.
    fn fill<T: Copy>(&self, part: &mut [T], cell: Cell, says: &mut impl FnMut(Cell) -> T) {
        match (part, cell) {
            ([place], cell) => *place = says(cell),
            (part, Cell::Number(_)) => part.fill(says(cell)),
            (part, Cell::Node(node)) => {
                let below = part.chunks_mut(part.len() >> self.digit);
                for (digit, part) in below.enumerate() {
                    let at = ((node as usize) << self.digit) + digit;
                    self.fill(part, self.cells.get(at).copied().unwrap_or(Cell::Number(0)), says);
                }
            }
        }
    }
}

impl Subnets {
    /// Nobody has an id.
    pub fn none() -> Self {
        Self { top: Vec::new(), cells: vec![0], reversed: None }
    }

    /// A trie as it was written.
    pub(super) fn new(trie: &Trie, values: &Values, config: &EngineConfig) -> Self {
        let mut flat = Self::none();
        let sizes = &config.sizes;
        let Some(digit) = Trie::digit(sizes) else { return flat };
        flat.reversed = (!config.holds(Assumption::TrieMsbFirst)).then_some(digit);
        let column = values.column(Field::RemoteSubnet);
        let cell = |word: &u16| match Word::of(sizes, *word) {
            Word::Id(id) => Cell::Number(column.word(id)),
            Word::Pointer(node) => Cell::Node(node),
        };
        let mut nodes = Nodes { cells: Vec::new(), digit };
        for (node, words) in trie.nodes() {
            nodes.cells.resize((node << digit) as usize, Cell::Number(0));
            nodes.cells.extend(words.iter().map(cell));
        }
        flat.cells = (0..).take(column.len()).map(number_cell).collect();
        let known = || vec![None; nodes.cells.len() >> digit];
        let mut blocks = Blocks { nodes: &nodes, known: [known(), known()], cells: flat.cells, open: Vec::new() };
        flat.top = vec![0; 1 << TOP_BITS];
        nodes.fill(&mut flat.top, Cell::Node(0), &mut |cell| blocks.lead_to(cell, 0));
        while let Some((first, block, level)) = blocks.open.pop() {
            for (at, cell) in (first..).zip(block) {
                let word = blocks.lead_to(cell, level + 1);
                if let Some(place) = blocks.cells.get_mut(at) {
                    *place = word;
                }
            }
        }
        flat.cells = blocks.cells;
        flat
    }

    /// The number of an address's id; 0 if it has none, or one that no entry names.
    #[inline]
    pub fn number(&self, addr: u32) -> u32 {
        let addr = self.reversed.map_or(addr, |digit| reverse_digits(addr, digit));
        let cell = self.top.get((addr >> TOP_BITS) as usize).copied().unwrap_or(0);
        self.below(self.below(cell, addr >> BLOCK_BITS), addr) >> 8
    }

    /// One level down, or the same cell again: no branch could foresee which.
    #[inline]
    fn below(&self, cell: u32, byte: u32) -> u32 {
        let at = (cell >> 8) + ((byte & 0xff) >> (cell & SHIFT & 31));
        self.cells.get(at as usize).copied().unwrap_or(0)
    }
}

/// The cell of a number.
fn number_cell(number: u32) -> u32 {
    number << 8 | BLOCK_BITS
}

/// Blocks while they are made of nodes.
struct Blocks<'a> {
    nodes: &'a Nodes,
    /// By level below the top, and by node, the cell that leads to its block, once it has one.
    known: [Vec<Option<u32>>; 2],
    cells: Vec<u32>,
    /// Blocks to be filled: where they begin, with what, and their level.
    open: Vec<(usize, Vec<Cell>, usize)>,
}

impl Blocks<'_> {
    fn lead_to(&mut self, cell: Cell, level: usize) -> u32 {
        let node = match cell {
            Cell::Number(number) => return number_cell(number.into()),
            Cell::Node(node) => node,
        };
        // A node that nobody wrote has no ids, and behind the last bit there is nothing to choose by.
        let known = self.known.get_mut(level).and_then(|known| known.get_mut(node as usize));
        let Some(known) = known else { return number_cell(0) };
        *known.get_or_insert_with(|| {
            let mut block = vec![Cell::Number(0); 1 << BLOCK_BITS];
            self.nodes.fill(&mut block, cell, &mut |cell| cell);
            let mut shift = 0;
            while block.len() > 1 && block.chunks_exact(2).all(|pair| pair.first() == pair.last()) {
                block = block.into_iter().step_by(2).collect();
                shift += 1;
            }
            let first = self.cells.len();
            self.cells.resize(first + block.len(), 0);
            self.open.push((first, block, level));
            // Nodes are so few that places need less than 24 bits: a pointer of 16 bits is a node's number times its width.
            u32::try_from(first).unwrap_or(0) << 8 | shift
        })
    }
}

fn reverse_digits(addr: u32, digit: u32) -> u32 {
    let mask = (1 << digit) - 1;
    (0..32 / digit).fold(0, |reversed, at| reversed << digit | addr >> (at * digit) & mask)
}

/// What entries can tell about one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engines) struct PortClass {
    /// Number of the port itself.
    pub exact: u16,
    /// Number of its range's id.
    pub range: u16,
    /// Combinations that know both.
    pub candidates: Candidates,
}

/// The port of a frame without ports.
pub(in crate::engines) const NO_PORT: u32 = 1 << 16;

/// All ports of one side: by port its class.
#[derive(Debug, Clone)]
pub(in crate::engines) struct Ports {
    class: Vec<u16>,
    classes: Vec<PortClass>,
    exact: Field,
    range: Field,
}

impl Ports {
    /// No port is known.
    pub fn none(exact: Field, range: Field) -> Self {
        Self { class: Vec::new(), classes: vec![PortClass::default()], exact, range }
    }

    /// A tree as it was written, and the ports that entries name beside it.
    pub(super) fn map(&mut self, tree: &PortTree, values: &Values, config: &EngineConfig) {
        self.class.clear();
        self.class.resize(1 << 16, 0);
        let class = |range| PortClass { range, ..PortClass::default() };
        // A class a number: class 0 is that of ports without a number.
        self.classes = (0..).take(values.column(self.range).len()).map(class).collect();
        for (ports, id) in tree.leaves(config) {
            let range = values.column(self.range).word(id);
            let ports = usize::from(*ports.start())..=usize::from(*ports.end());
            self.class.get_mut(ports).unwrap_or_default().fill(range);
        }
        for (port, exact) in values.column(self.exact).numbered_words() {
            // Entries are so few that classes never run out: see `MOST_ENTRIES`.
            let Ok(number) = u16::try_from(self.classes.len()) else { continue };
            if let Some(class) = self.class.get_mut(usize::from(port)) {
                self.classes.push(PortClass { exact, range: *class, candidates: 0 });
                *class = number;
            }
        }
    }

    /// Learns which combinations know which class.
    pub fn learn(&mut self, values: &Values) {
        let (exact, range) = (values.column(self.exact), values.column(self.range));
        for class in &mut self.classes {
            class.candidates = exact.candidates(class.exact) & range.candidates(class.range);
        }
    }

    /// The place among [`Self::classes`] of a port's class, or of [`NO_PORT`]'s.
    #[inline]
    pub fn class(&self, port: u32) -> u16 {
        self.class.get(port as usize).copied().unwrap_or(0)
    }

    /// The class of a port, or of [`NO_PORT`].
    #[inline]
    pub fn get(&self, port: u32) -> PortClass {
        self.classes.get(usize::from(self.class(port))).copied().unwrap_or_default()
    }

    pub fn classes(&self) -> &[PortClass] {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use nicfw::tables::{PortRangeId, PortTreeEntry, RuleKey, Sizes, SubnetId};

    use super::*;

    const LEAF: u16 = 0xffff;

    fn opposite(assumption: Assumption) -> EngineConfig {
        EngineConfig { opposite: vec![assumption], ..EngineConfig::profile0() }
    }

    /// Numbers 1, 2, 3 for ids 56000, 56001, 56002.
    fn three_subnets() -> Values {
        let mut values = Values::new();
        for id in 56_000..56_003 {
            values.number(&RuleKey { remote_subnet: Some(SubnetId(id)), ..RuleKey::default() }).unwrap();
        }
        values
    }

    fn number(trie: &Trie, config: &EngineConfig, addr: [u8; 4]) -> u32 {
        Subnets::new(trie, &three_subnets(), config).number(u32::from_be_bytes(addr))
    }

    #[test]
    fn the_trie_takes_four_bits_a_level() {
        let config = EngineConfig::profile0();
        let sizes = config.sizes;
        let mut trie = Trie::default();
        assert_eq!(number(&trie, &config, [0; 4]), 0);
        let mut root = [56_000; 16];
        root[0] = 16;
        let mut second = [56_001; 16];
        second[10] = 56_002;
        trie.set(&sizes, 1, &second).unwrap();
        assert!(!trie.is_set());
        trie.set(&sizes, 0, &root).unwrap();
        assert_eq!(number(&trie, &config, [10, 1, 2, 3]), 3);
        assert_eq!(number(&trie, &config, [11, 1, 2, 3]), 2);
        assert_eq!(number(&trie, &config, [192, 0, 2, 1]), 1);
        let lsb = opposite(Assumption::TrieMsbFirst);
        assert_eq!(number(&trie, &lsb, [10, 0, 0, 0xa0]), 3);
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
            let config = EngineConfig { sizes, ..EngineConfig::profile0() };
            let flat = Subnets::new(&trie, &three_subnets(), &config);
            assert_eq!([addr, addr ^ 1, addr ^ 1 << 15, 0].map(|addr| flat.number(addr)), [3, 2, 2, 2], "{bits} bits");
        }
    }

    #[test]
    fn a_trie_that_points_in_circles_has_no_id() {
        let config = EngineConfig::profile0();
        let sizes = config.sizes;
        let mut trie = Trie::default();
        trie.set(&sizes, 0, &[0; 16]).unwrap();
        assert_eq!(number(&trie, &config, [10, 0, 0, 1]), 0);
    }

    #[test]
    fn a_node_that_nobody_wrote_has_no_ids() {
        let config = EngineConfig::profile0();
        let sizes = config.sizes;
        let mut trie = Trie::default();
        trie.set(&sizes, 0, &[160; 16]).unwrap();
        assert_eq!(number(&trie, &config, [10, 0, 0, 1]), 0);
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
        let mut classes = |tree: &PortTree, config: &EngineConfig, at: [u32; 7]| {
            ports.map(tree, &values, config);
            at.map(|port| (ports.get(port).range, ports.get(port).exact))
        };
        let config = EngineConfig::profile0();
        let at = [0, 100, 101, 150, 200, 201, 65_535];
        let expected = [(1, 0), (1, 0), (2, 0), (2, 1), (2, 0), (3, 0), (3, 0)];
        assert_eq!(classes(&tree, &config, at), expected);
        assert_eq!(classes(&tree, &opposite(Assumption::PortTreeHeapOrder), at)[1], (3, 0));
        tree.set(&Sizes::profile0(), &[entry(100, 0), entry(LEAF, 1)]).unwrap();
        assert_eq!(classes(&tree, &config, at)[2], (0, 0), "the walk leaves the tree");
    }
}
