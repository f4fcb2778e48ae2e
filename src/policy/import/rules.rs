//! Rules as the other firewalls have them: over source and destination, in chains.

use std::collections::BTreeSet;
use std::ops::{BitAnd, BitOr};
use std::sync::Arc;

use crate::terms::{AddrSet, Direction, IntervalSet, PortSet, Verdict};

/// A rule of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1; 0 = no line says it.
    pub line: u32,
    /// Cut and escaped.
    pub text: Arc<str>,
    /// What the firewall calls the rule by.
    pub handle: Option<u64>,
    /// What its author says of it, cut and escaped.
    pub comment: Option<Arc<str>>,
}

/// Connection states, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State(u8);

impl State {
    pub const NEW: Self = Self(1);
    pub const ESTABLISHED: Self = Self(2);
    pub const RELATED: Self = Self(4);
    pub const INVALID: Self = Self(8);
    pub const UNTRACKED: Self = Self(16);
    pub const ALL: Self = Self(31);

    /// The state of a name; `None` if it is not known.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "new" => Some(Self::NEW),
            "established" => Some(Self::ESTABLISHED),
            "related" => Some(Self::RELATED),
            "invalid" => Some(Self::INVALID),
            "untracked" => Some(Self::UNTRACKED),
            _ => None,
        }
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn complement(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for State {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for State {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Directions of a condition, seen from the bound addresses; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sides {
    pub rx: bool,
    pub tx: bool,
}

impl Sides {
    pub const BOTH: Self = Self { rx: true, tx: true };

    /// One direction.
    pub fn of(direction: Direction) -> Self {
        Self { rx: direction == Direction::Rx, tx: direction == Direction::Tx }
    }

    fn both(self, other: Self) -> Option<Self> {
        let both = Self { rx: self.rx && other.rx, tx: self.tx && other.tx };
        (both.rx || both.tx).then_some(both)
    }
}

/// Protocols of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Protos {
    /// Any, known or not.
    Any,
    /// These numbers.
    Of(BTreeSet<u8>),
}

impl Protos {
    pub fn one(number: u8) -> Self {
        Self::Of(BTreeSet::from([number]))
    }

    fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, only) | (only, Self::Any) => Some(only.clone()),
            (Self::Of(a), Self::Of(b)) => Some(Self::Of(a & b)).filter(|both| *both != Self::Of(BTreeSet::new())),
        }
    }
}

/// Packets that have every field in these sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub src: AddrSet,
    pub dst: AddrSet,
    pub protos: Protos,
    /// Source and destination ports; `None` also matches packets without ports.
    pub ports: Option<(PortSet, PortSet)>,
    pub state: State,
    pub sides: Sides,
}

impl Match {
    /// Every packet.
    pub fn any() -> Self {
        Self {
            src: AddrSet::full(),
            dst: AddrSet::full(),
            protos: Protos::Any,
            ports: None,
            state: State::ALL,
            sides: Sides::BOTH,
        }
    }

    /// Packets of both; `None` if there can be none.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let state = self.state & other.state;
        let sides = self.sides.both(other.sides)?;
        let protos = self.protos.intersect(&other.protos)?;
        let ports = match (&self.ports, &other.ports) {
            (None, ports) | (ports, None) => ports.clone(),
            (Some(a), Some(b)) => Some((a.0.intersect(&b.0), a.1.intersect(&b.1))),
        };
        let (src, dst) = (both(&self.src, &other.src), both(&self.dst, &other.dst));
        let one_family = (!src.v4.is_empty() && !dst.v4.is_empty()) || (!src.v6.is_empty() && !dst.v6.is_empty());
        let no_port = ports.as_ref().is_some_and(|(src, dst)| src.is_empty() || dst.is_empty());
        (one_family && !no_port && !state.is_empty()).then_some(Self { src, dst, protos, ports, state, sides })
    }

    /// The same packets in any connection state.
    pub fn stateless(&self) -> Self {
        Self { state: State::ALL, ..self.clone() }
    }

    /// The packets that answer these, judged on any side.
    pub fn mirrored(&self) -> Self {
        let ports = self.ports.as_ref().map(|(src, dst)| (dst.clone(), src.clone()));
        Self { src: self.dst.clone(), dst: self.src.clone(), ports, sides: Sides::BOTH, ..self.clone() }
    }
}

/// Addresses of both.
pub(super) fn both(a: &AddrSet, b: &AddrSet) -> AddrSet {
    AddrSet { v4: a.v4.intersect(&b.v4), v6: a.v6.intersect(&b.v6) }
}

/// Addresses that are not in the set, of both families.
pub(super) fn outside(set: &AddrSet) -> AddrSet {
    AddrSet::full().subtract(set)
}

/// Every IPv4 address.
pub(super) fn v4() -> AddrSet {
    AddrSet { v4: IntervalSet::full(), ..AddrSet::empty() }
}

/// Every IPv6 address.
pub(super) fn v6() -> AddrSet {
    AddrSet { v6: IntervalSet::full(), ..AddrSet::empty() }
}

/// What a rule does with the packets that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Accept,
    Drop,
    /// To a chain, by its index, and back.
    Jump(usize),
    /// To a chain, and back to where this one was called from.
    Goto(usize),
    Return,
    /// On to the next rule.
    Continue,
}

/// What a condition that nobody can say is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// It holds for what exceeds a rate or number, and for nothing else.
    Above,
    /// It holds for what does not.
    Below,
    Other,
}

/// Why nobody can say which of its packets a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub what: Arc<str>,
    pub about: About,
}

impl Doubt {
    pub fn new(what: &str) -> Self {
        Self { what: what.into(), about: About::Other }
    }

    /// All of these at once; `None` if there are none.
    pub fn all(doubts: &[Self]) -> Option<Self> {
        let about = doubts.first()?.about;
        let about = if doubts.iter().all(|doubt| doubt.about == about) { about } else { About::Other };
        let what: Vec<_> = doubts.iter().map(|doubt| &*doubt.what).collect();
        Some(Self { what: what.join("; ").into(), about })
    }
}

/// A rule of a chain.
#[derive(Debug, Clone)]
pub(super) struct ChainRule {
    pub place: Place,
    /// The rule matches what any of these matches.
    pub when: Vec<Match>,
    /// Conditions beside `when` that cannot be said. The rule matches some packets of `when`, and nobody can say which.
    pub doubt: Option<Doubt>,
    pub action: Action,
    /// What it does beside, which no verdict depends on and which is not carried.
    pub beside: Option<String>,
}

impl ChainRule {
    /// The rule for packets that have no connection state yet: nobody can say what its condition on states makes of them.
    pub fn without_state(&self, alternative: &Match) -> Self {
        let own = Doubt::new("connections are not tracked yet where this chain stands");
        let doubts: Vec<_> = self.doubt.iter().cloned().chain([own]).collect();
        Self { when: vec![alternative.stateless()], doubt: Doubt::all(&doubts), ..self.clone() }
    }
}

/// A rule about every packet between these addresses.
pub(super) fn every(family: AddrSet) -> ChainRule {
    let when = vec![Match { src: family.clone(), dst: family, ..Match::any() }];
    ChainRule { place: Place::default(), when, doubt: None, action: Action::Continue, beside: None }
}

/// A named chain.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    pub name: String,
    pub rules: Vec<ChainRule>,
}

/// A rule of a flat list: the first that matches decides.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    pub place: Place,
    pub when: Match,
    pub verdict: Verdict,
}
