//! How many entries one address takes if each rule is written out, and how few any table needs: an upper and a lower bound,
//! computed from the rules alone.
//!
//! The rules cut remote addresses, both kinds of ports and protocols into classes; a *cell* is one of each, or a class of
//! remotes, a protocol and no ports. The first rule that matches decides about a cell.
//!
//! - [`Cells::distinct`] holds for every table, whatever its order of lookups. An entry names at most one remote (an address
//!   or the id of a class; classes do not overlap). Remotes that no entry names are decided alike, so of all remotes that are
//!   decided differently one kind at most goes without an entry of its own. If it is the kind to which everything is denied,
//!   the base entry is enough for it; if not, it takes an entry that names no remote. Either way there are at least as many
//!   entries as kinds of remotes to which something is allowed. The same goes for remote ports, local ports and protocols.
//! - [`Cells::apart`] holds for tables without an order, where every entry above the base is an allow. An entry that
//!   matches two flows matches all that mix their fields, too. So two flows of which a mixture is denied are not one entry's;
//!   and a set of flows that are so two by two takes an entry each (a fooling set). An entry is for one rule, so flows of two
//!   rules are not one entry's either; but where frames without ports, or of all other protocols, are allowed too, an entry
//!   for these may take them all, and only these are counted. The set is found greedily: a better search could only raise the bound.
//!
//! Directions: an entry may serve both, so the larger of the two counts for `apart`; remotes and ports are compared in both
//! directions at once for `distinct`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use nicfw::policy::{Document, Policy, Proto, Rule};
use nicfw::terms::{IntervalSet, Point};
use nicfw::{Direction, Verdict};

/// Cells of one rule that are looked at for a fooling set.
const MOST_CELLS: usize = 2_000;

/// The naive expansion: where the rules of all policies of a document cut addresses and ports.
pub struct Naive {
    remotes: BTreeSet<u32>,
    remote_ports: BTreeSet<u16>,
    local_ports: BTreeSet<u16>,
}

impl Naive {
    /// That of a document.
    pub fn of(document: &Document) -> Self {
        let rules = || document.policies.iter().flat_map(|policy| &policy.rules);
        let ports = || rules().filter_map(|rule| rule.ports.as_ref());
        Self {
            remotes: rules().flat_map(|rule| cuts(&rule.remote.set.v4)).collect(),
            remote_ports: ports().flat_map(|ports| cuts(&ports.remote)).collect(),
            local_ports: ports().flat_map(|ports| cuts(&ports.local)).collect(),
        }
    }

    /// One entry for each class of remotes and each class of either ports that a rule of the policy allows.
    pub fn entries(&self, policy: &Policy) -> usize {
        fn within<T: Point>(cuts: &BTreeSet<T>, set: &IntervalSet<T>) -> usize {
            set.intervals().iter().map(|interval| cuts.range(interval.first..=interval.last).count()).sum()
        }
        let of = |rule: &Rule| {
            let ports = rule
                .ports
                .as_ref()
                .map_or(1, |ports| within(&self.remote_ports, &ports.remote) * within(&self.local_ports, &ports.local));
            within(&self.remotes, &rule.remote.set.v4) * ports
        };
        policy.rules.iter().filter(|rule| rule.action == Verdict::Allow).map(of).sum()
    }
}

/// Where a set and the rest begin.
fn cuts<T: Point>(set: &IntervalSet<T>) -> Vec<T> {
    let of = |set: &IntervalSet<T>| set.intervals().iter().map(|interval| interval.first).collect::<Vec<T>>();
    [of(set), of(&set.complement())].concat()
}

/// Which rules match, by their places.
type Rules = Vec<u64>;

/// The cells of an address.
pub struct Cells {
    rules: Vec<Rule>,
    remotes: Vec<Rules>,
    protocols: Vec<(Rules, bool)>,
    /// Those of rules that do not ask for ports.
    portless: Rules,
    remote_ports: Vec<Rules>,
    local_ports: Vec<Rules>,
    /// The rules of each direction.
    directions: [Rules; 2],
}

/// A cell: places in the four lists; `None` for ports = no ports.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cell {
    remote: usize,
    protocol: usize,
    ports: Option<(usize, usize)>,
}

impl Cells {
    /// Those of a bound IPv4 address.
    ///
    /// # Panics
    /// If the document has management rules or rules with replies: the cells are of lists that stand for themselves.
    pub fn of(document: &Document, ip: IpAddr) -> Self {
        let (_, binding) = document.binding_of(ip).expect("the address is bound");
        let applies = |rule: &&Rule| rule.local.as_ref().is_none_or(|local| local.contains(ip));
        let rules: Vec<Rule> = document.policies[binding.policy].rules.iter().filter(applies).cloned().collect();
        assert!(ip.is_ipv4() && document.management.is_empty() && rules.iter().all(|rule| !rule.replies));
        let full = IntervalSet::full();
        let remotes = classes(&rules, |rule| &rule.remote.set.v4);
        let remote_ports = classes(&rules, |rule| rule.ports.as_ref().map_or(&full, |ports| &ports.remote));
        let local_ports = classes(&rules, |rule| rule.ports.as_ref().map_or(&full, |ports| &ports.local));
        let mut numbers: BTreeSet<u8> = BTreeSet::from([6, 17, 132]);
        numbers.extend(
            rules.iter().filter_map(|rule| if let Proto::Is(number) = rule.proto { Some(number) } else { None }),
        );
        // The last one stands for all that no rule names.
        let numbers = numbers.into_iter().map(Some).chain([None]);
        let protocols = numbers.map(|number| {
            let has_ports = number.is_some_and(Proto::has_ports);
            let matches = |rule: &Rule| match rule.proto {
                Proto::Any => has_ports || rule.ports.is_none(),
                Proto::Is(named) => number == Some(named),
            };
            (which(&rules, matches), has_ports)
        });
        Self {
            protocols: protocols.collect(),
            portless: which(&rules, |rule| rule.ports.is_none()),
            directions: [Direction::Rx, Direction::Tx].map(|of| which(&rules, |rule| rule.direction == of)),
            remotes,
            remote_ports,
            local_ports,
            rules,
        }
    }

    /// Kinds of the remotes, ports or protocols to which something is allowed, whatever there are most of.
    pub fn distinct(&self) -> usize {
        let kinds = [self.remotes.len(), self.protocols.len(), self.remote_ports.len(), self.local_ports.len()];
        let mut looks: Vec<Vec<Option<DefaultHasher>>> = kinds.iter().map(|count| vec![None; *count]).collect();
        for cell in self.all() {
            for direction in 0..2 {
                if self.allowed_by(direction, cell).is_none() {
                    continue;
                }
                // What is allowed, seen from each field. Two kinds with one hash would only lower the bound.
                let (remote_port, local_port) = cell.ports.unzip();
                let (remote, protocol) = (Some(cell.remote), Some(cell.protocol));
                let all = [remote, protocol, remote_port, local_port];
                // Protocols are compared by what they have in common: frames without ports.
                let named = [remote, protocol.filter(|_| cell.ports.is_none()), remote_port, local_port];
                for (field, own) in named.into_iter().enumerate() {
                    let Some(own) = own else { continue };
                    let mut others = all;
                    others[field] = None;
                    (direction, others).hash(looks[field][own].get_or_insert_default());
                }
            }
        }
        let kinds = |looks: Vec<Option<DefaultHasher>>| {
            looks.into_iter().flatten().map(|look| look.finish()).collect::<HashSet<u64>>().len()
        };
        looks.into_iter().map(kinds).max().unwrap_or_default()
    }

    /// The size of a fooling set.
    pub fn apart(&self) -> usize {
        (0..2).map(|direction| self.apart_in(direction)).max().unwrap_or_default()
    }

    fn apart_in(&self, direction: usize) -> usize {
        let mut of: HashMap<usize, Vec<Cell>> = HashMap::new();
        for cell in self.all().filter(|cell| !self.may_be_in_a_wider_one(direction, cell)) {
            if let Some(rule) = self.allowed_by(direction, cell) {
                of.entry(rule).or_default().push(cell);
            }
        }
        let greedy = |(rule, cells): (&usize, &Vec<Cell>)| {
            let mut chosen: Vec<Cell> = Vec::new();
            // Evenly from all of them.
            for cell in cells.iter().step_by(cells.len().div_ceil(MOST_CELLS)) {
                if chosen.iter().all(|other| !self.may_be_one(direction, *rule, cell, other)) {
                    chosen.push(*cell);
                }
            }
            chosen.len()
        };
        of.iter().map(greedy).sum()
    }

    /// True if the same remote may send frames that only an entry without ports or without a protocol matches: such an entry
    /// matches the cell too, and may be another rule's.
    fn may_be_in_a_wider_one(&self, direction: usize, cell: &Cell) -> bool {
        let portless = Cell { ports: None, ..*cell };
        let other = Cell { protocol: self.protocols.len() - 1, ..portless };
        [portless, other].into_iter().any(|wider| wider != *cell && self.allowed_by(direction, wider).is_some())
    }

    /// True unless an entry that matches both cells matches one that the rule does not allow.
    fn may_be_one(&self, direction: usize, rule: usize, a: &Cell, b: &Cell) -> bool {
        // An entry for two protocols is for all of them.
        let protocols = if a.protocol == b.protocol { a.protocol..a.protocol + 1 } else { 0..self.protocols.len() };
        let allows = |cell: Cell| !self.is_real(cell) || self.allowed_by(direction, cell) == Some(rule);
        protocols.into_iter().all(|protocol| {
            [a.remote, b.remote].into_iter().all(|remote| {
                let mixed = match (a.ports, b.ports) {
                    (Some(a), Some(b)) => [Some(a), Some(b), Some((a.0, b.1)), Some((b.0, a.1))],
                    _ => [a.ports, b.ports, a.ports, b.ports],
                };
                mixed.into_iter().all(|ports| allows(Cell { remote, protocol, ports }))
            })
        })
    }

    fn all(&self) -> impl Iterator<Item = Cell> + '_ {
        let ports = |protocol: usize| {
            let ends = if self.protocols[protocol].1 { self.remote_ports.len() } else { 0 };
            let pairs =
                (0..ends).flat_map(|remote| (0..self.local_ports.len()).map(move |local| Some((remote, local))));
            pairs.chain([None])
        };
        let protocols = move |remote| {
            (0..self.protocols.len())
                .flat_map(move |protocol| ports(protocol).map(move |ports| Cell { remote, protocol, ports }))
        };
        (0..self.remotes.len()).flat_map(protocols)
    }

    /// False for ports of a protocol that has none.
    fn is_real(&self, cell: Cell) -> bool {
        cell.ports.is_none() || self.protocols[cell.protocol].1
    }

    /// The rule that allows a cell.
    fn allowed_by(&self, direction: usize, cell: Cell) -> Option<usize> {
        let (remote, protocol) = (&self.remotes[cell.remote], &self.protocols[cell.protocol].0);
        let (one, other) = match cell.ports {
            Some((remote, local)) => (&self.remote_ports[remote], &self.local_ports[local]),
            None => (&self.portless, &self.portless),
        };
        let word = |at: usize| self.directions[direction][at] & remote[at] & protocol[at] & one[at] & other[at];
        let first = (0..remote.len()).find(|at| word(*at) != 0)?;
        let rule = first * 64 + word(first).trailing_zeros() as usize;
        (self.rules[rule].action == Verdict::Allow).then_some(rule)
    }
}

fn which<T>(all: &[T], of: impl Fn(&T) -> bool) -> Rules {
    let mut out = vec![0; all.len().div_ceil(64)];
    for (at, _) in all.iter().enumerate().filter(|(_, one)| of(one)) {
        out[at / 64] |= 1 << (at % 64);
    }
    out
}

/// The classes that sets of all rules cut a space into, each by the rules that hold it.
fn classes<'a, T: Point + 'a>(rules: &'a [Rule], of: impl Fn(&'a Rule) -> &'a IntervalSet<T>) -> Vec<Rules> {
    let sets: Vec<&IntervalSet<T>> = rules.iter().map(of).collect();
    let points: BTreeSet<T> = sets.iter().flat_map(|set| cuts(set)).chain([T::MIN]).collect();
    let held = |point: T| which(&sets, |set| set.contains(point));
    points.into_iter().map(held).collect::<BTreeSet<Rules>>().into_iter().collect()
}
