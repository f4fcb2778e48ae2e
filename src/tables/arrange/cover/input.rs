//! What pieces are made of, and what they are while they are made.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::policy::regions::{Budget, Cause, Region, Shape};
use crate::policy::{Document, PortPair};
use crate::tables::MatchFields;
use crate::tables::arrange::lookups::Lookups;
use crate::tables::arrange::pieces::Piece;
use crate::terms::{AddrSet, Direction, Verdict};

/// Cells that the frames with ports of one protocol may have.
pub(super) const MOST_CELLS: usize = 1 << 21;

/// The outcome of the base deny.
pub(super) const BASE: u16 = 0;

/// Outcomes of the whole that are tried at a time.
pub(super) const MOST_OUTCOMES: usize = 4;

/// What decides about a frame so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Decider {
    /// Place of its lookup.
    pub(super) place: u32,
    pub(super) outcome: u16,
    /// Its piece, by index; [`NO_PIECE`] for the base deny.
    pub(super) piece: usize,
}

pub(super) const NO_PIECE: usize = usize::MAX;

pub(super) const BASE_DENY: Decider = Decider { place: u32::MAX, outcome: BASE, piece: NO_PIECE };

/// What decides alike for the same one asking, as far as entries tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) sample: bool,
    /// `None`: whatever asks.
    pub(super) cause: Option<Cause>,
}

/// What pieces are made for.
pub(crate) struct Input<'a> {
    pub document: &'a Document,
    pub shape: &'a Shape,
    /// The fields that the local side names.
    pub names: MatchFields,
    pub lookups: &'a Lookups,
    /// Up to how many points a set is named by exact values.
    pub limits: [usize; 3],
    pub by_rule: bool,
    pub budget: &'a Budget,
}

/// Remote addresses that all regions of a direction treat alike.
pub(super) type Atoms = Vec<AddrSet>;

/// A way to decide frames without ports.
pub(super) struct Portless {
    pub(super) cost: u64,
    /// What decides about each atom then.
    pub(super) deciders: Vec<Decider>,
    /// Protocol, remote addresses, outcome, and the place of the lookup.
    pub(super) pieces: Vec<(Option<u8>, AddrSet, u16, u32)>,
}

/// One direction of a shape.
pub(super) struct OneDirection<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) direction: Direction,
    pub(super) regions: &'a [&'a Region],
    pub(super) protocols: &'a [u8],
    /// The outcome of each region.
    pub(super) outcomes: Vec<u16>,
    pub(super) all_outcomes: Vec<Outcome>,
    pub(super) atoms: Atoms,
}

impl Portless {
    /// Covers the atoms of a choice, where this lookup comes before what decides so far.
    pub(super) fn cover(&mut self, place: u32, outcome: u16, chosen: impl Fn(usize) -> bool) {
        for (at, decider) in self.deciders.iter_mut().enumerate() {
            if chosen(at) && place < decider.place {
                *decider = Decider { place, outcome, piece: NO_PIECE };
            }
        }
    }
}

/// The pieces of a direction, as they are made.
pub(super) struct Output<'a> {
    pub(super) one: &'a OneDirection<'a>,
    pub(super) pieces: Vec<Piece>,
}

impl Output<'_> {
    /// Adds a piece without causes; [`Self::credit`] fills them in once it is known which frames it decides.
    pub(super) fn add(&mut self, proto: Option<u8>, remote: AddrSet, ports: Option<PortPair>, outcome: u16) -> usize {
        let verdict = self.one.all_outcomes[usize::from(outcome)].verdict;
        let direction = self.one.direction;
        self.pieces.push(Piece { direction, proto, remote, ports, verdict, causes: SmallVec::new() });
        self.pieces.len() - 1
    }

    /// Adds the pieces of a choice; what decides about each atom then.
    pub(super) fn portless(&mut self, portless: &Portless, under: &[Decider]) -> Vec<Decider> {
        let mut deciders = under.to_vec();
        for (proto, remote, outcome, place) in &portless.pieces {
            let piece = self.add(*proto, remote.clone(), None, *outcome);
            for (decider, atom) in deciders.iter_mut().zip(&self.one.atoms) {
                if *place < decider.place && meets(remote, atom) {
                    *decider = Decider { place: *place, outcome: *outcome, piece };
                }
            }
        }
        deciders
    }

    /// Writes down what asks for the pieces that decide frames without ports.
    pub(super) fn credit(&mut self, wanted: &[usize], deciders: &[Decider]) {
        for (region, decider) in wanted.iter().zip(deciders) {
            self.owe(*region, decider.piece);
        }
    }

    pub(super) fn owe(&mut self, region: usize, piece: usize) {
        if let Some(piece) = self.pieces.get_mut(piece) {
            piece.causes.push(self.one.regions[region].cause);
        }
    }

    /// The pieces, each with what asks for it.
    pub(super) fn finish(mut self) -> Vec<Piece> {
        for piece in &mut self.pieces {
            piece.causes.sort_unstable();
            piece.causes.dedup();
        }
        self.pieces
    }
}

pub(super) fn union(sets: &[AddrSet]) -> AddrSet {
    sets.iter().fold(AddrSet::empty(), |all, set| all.union(set))
}

pub(super) fn meets(a: &AddrSet, b: &AddrSet) -> bool {
    !a.v4.is_disjoint(&b.v4) || !a.v6.is_disjoint(&b.v6)
}

pub(super) fn distinct<T: Ord>(mut sets: Vec<&T>) -> Vec<&T> {
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// The most frequent outcomes, the first most.
pub(super) fn common(outcomes: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome).or_default() += 1;
    }
    let mut out: Vec<(usize, u16)> = counts.into_iter().map(|(outcome, count)| (count, outcome)).collect();
    out.sort_unstable_by_key(|(count, outcome)| (std::cmp::Reverse(*count), *outcome));
    out.into_iter().take(MOST_OUTCOMES).map(|(_, outcome)| outcome).collect()
}
