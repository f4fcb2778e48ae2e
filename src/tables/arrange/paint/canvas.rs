//! What pieces are painted on.

use crate::policy::regions::{Budget, Cause, Region, Shape};
use crate::policy::{Document, PortPair};
use crate::tables::MatchFields;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::tables::arrange::lookups::Lookups;
use crate::tables::arrange::pieces::Piece;
use crate::terms::{AddrSet, Direction, Verdict};

/// Cells that the frames with ports of one protocol may have.
pub(super) const MOST_CELLS: usize = 1 << 21;

/// The colour of the base deny.
pub(super) const BASE: u16 = 0;

/// Colours of the whole that are tried at a time.
pub(super) const MOST_COLOURS: usize = 4;

/// What decides about a frame so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Top {
    /// Place of its lookup.
    pub(super) place: u32,
    pub(super) colour: u16,
    /// Its piece, by index; [`NO_PIECE`] for the base deny.
    pub(super) piece: usize,
}

pub(super) const NO_PIECE: usize = usize::MAX;

pub(super) const GROUND: Top = Top { place: u32::MAX, colour: BASE, piece: NO_PIECE };

/// What decides alike for the same one asking, as far as entries tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Colour {
    pub(super) verdict: Verdict,
    pub(super) sample: bool,
    /// `None`: whatever asks.
    pub(super) cause: Option<Cause>,
}

/// What pieces are made for.
pub(crate) struct Canvas<'a> {
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
pub(super) struct Plain {
    pub(super) cost: u64,
    /// What decides about each atom then.
    pub(super) tops: Vec<Top>,
    /// Protocol, remote addresses, colour, and the place of the lookup.
    pub(super) pieces: Vec<(Option<u8>, AddrSet, u16, u32)>,
}

/// One direction of a shape.
pub(super) struct Painter<'a> {
    pub(super) canvas: &'a Canvas<'a>,
    pub(super) direction: Direction,
    pub(super) regions: &'a [&'a Region],
    pub(super) protocols: &'a [u8],
    /// The colour of each region.
    pub(super) colours: Vec<u16>,
    pub(super) palette: Vec<Colour>,
    pub(super) atoms: Atoms,
}

impl Plain {
    /// Paints the atoms of a choice, where this lookup comes before what decides so far.
    pub(super) fn cover(&mut self, place: u32, colour: u16, chosen: impl Fn(usize) -> bool) {
        for (at, top) in self.tops.iter_mut().enumerate() {
            if chosen(at) && place < top.place {
                *top = Top { place, colour, piece: NO_PIECE };
            }
        }
    }
}

/// The pieces of a direction, as they are made.
pub(super) struct Drawn<'a> {
    pub(super) painter: &'a Painter<'a>,
    pub(super) pieces: Vec<Piece>,
}

impl Drawn<'_> {
    /// Adds a piece; what asks for it comes with the frames that it decides.
    pub(super) fn add(&mut self, proto: Option<u8>, remote: AddrSet, ports: Option<PortPair>, colour: u16) -> usize {
        let verdict = self.painter.palette[usize::from(colour)].verdict;
        let direction = self.painter.direction;
        self.pieces.push(Piece { direction, proto, remote, ports, verdict, causes: SmallVec::new() });
        self.pieces.len() - 1
    }

    /// Adds the pieces of a choice; what decides about each atom then.
    pub(super) fn plain(&mut self, plain: &Plain, under: &[Top]) -> Vec<Top> {
        let mut tops = under.to_vec();
        for (proto, remote, colour, place) in &plain.pieces {
            let piece = self.add(*proto, remote.clone(), None, *colour);
            for (top, atom) in tops.iter_mut().zip(&self.painter.atoms) {
                if *place < top.place && meets(remote, atom) {
                    *top = Top { place: *place, colour: *colour, piece };
                }
            }
        }
        tops
    }

    /// Writes down what asks for the pieces that decide frames without ports.
    pub(super) fn credit(&mut self, wanted: &[usize], tops: &[Top]) {
        for (region, top) in wanted.iter().zip(tops) {
            self.owe(*region, top.piece);
        }
    }

    pub(super) fn owe(&mut self, region: usize, piece: usize) {
        if let Some(piece) = self.pieces.get_mut(piece) {
            piece.causes.push(self.painter.regions[region].cause);
        }
    }

    /// The pieces that decide something.
    pub(super) fn finish(mut self) -> Vec<Piece> {
        for piece in &mut self.pieces {
            piece.causes.sort_unstable();
            piece.causes.dedup();
        }
        self.pieces.retain(|piece| !piece.causes.is_empty());
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

/// The most frequent colours, the first most.
pub(super) fn common(colours: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for colour in colours {
        *counts.entry(colour).or_default() += 1;
    }
    let mut out: Vec<(usize, u16)> = counts.into_iter().map(|(colour, count)| (count, colour)).collect();
    out.sort_unstable_by_key(|(count, colour)| (std::cmp::Reverse(*count), *colour));
    out.into_iter().take(MOST_COLOURS).map(|(_, colour)| colour).collect()
}
