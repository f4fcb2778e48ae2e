//! Pieces for a ranked lookup order: wide ones below, exceptions in earlier lookups above them, denies too.
//!
//! A lookup names some of protocol, remote address, remote port and local port. What it decides it paints over the lookups
//! behind it, down to the base deny. Three kinds of frames are painted one after the other, because a lookup that names a
//! field misses the frames without it:
//!
//! 1. all protocols that no rule names: by lookups without a protocol,
//! 2. each protocol's frames without ports: by lookups with the protocol, over 1,
//! 3. its frames with ports ([`grid`]): by lookups with a port, over 1 and 2.
//!
//! For 1 and 2 each colour of the whole is tried with exceptions by remote address; of all combinations the one with the
//! fewest entries is taken. Ports are never named without a protocol: which protocols the adapter takes ports from is not
//! published.

mod grid;

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use self::grid::{Grid, Step};
use super::lookups::Lookups;
use super::pieces::{MOST_V6, Piece};
use super::refuse::CompileError;
use crate::policy::regions::classes::{classes, few_points};
use crate::policy::regions::{Cause, DIRECTIONS, Region, Shape, Wanted, regions_within};
use crate::policy::{Document, PortPair, Proto};
use crate::tables::MatchFields;
use crate::terms::{AddrSet, Direction, IntervalSet, Verdict};

/// Cells that the frames with ports of one protocol may have.
const MOST_CELLS: usize = 1 << 21;
/// The colour of the base deny.
const BASE: u16 = 0;
/// Colours of the whole that are tried at a time.
const MOST_COLOURS: usize = 4;

/// What decides about a frame so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Top {
    /// Place of its lookup.
    place: u32,
    colour: u16,
    /// Its piece, by index; [`NO_PIECE`] for the base deny.
    piece: usize,
}

const NO_PIECE: usize = usize::MAX;
const GROUND: Top = Top { place: u32::MAX, colour: BASE, piece: NO_PIECE };

/// What decides alike for the same one asking, as far as entries tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Colour {
    verdict: Verdict,
    sample: bool,
    /// `None`: whatever asks.
    cause: Option<Cause>,
}

/// What pieces are made for.
pub(super) struct Canvas<'a> {
    pub document: &'a Document,
    pub shape: &'a Shape,
    /// The fields that the local side names.
    pub names: MatchFields,
    pub lookups: &'a Lookups,
    /// Up to how many points a set is named by exact values.
    pub limits: [usize; 3],
    pub by_rule: bool,
}

/// Remote addresses that all regions of a direction treat alike.
type Atoms = Vec<AddrSet>;

/// A way to decide frames without ports.
struct Plain {
    cost: u64,
    /// What decides about each atom then.
    tops: Vec<Top>,
    /// Protocol, remote addresses, colour, and the place of the lookup.
    pieces: Vec<(Option<u8>, AddrSet, u16, u32)>,
}

/// How a protocol's frames without ports are decided, and those with ports.
type Chosen = (Plain, Option<Step>);

impl Canvas<'_> {
    /// The pieces of the shape.
    pub fn pieces(&self, steps: &mut u64) -> Result<Vec<Piece>, CompileError> {
        let protocols = self.shape.protocols(self.document);
        let regions = regions_within(self.document, self.shape, &protocols, Wanted::All, steps);
        let regions = regions.ok_or_else(|| CompileError::too_complex(self.document, self.shape))?;
        let mut out = Vec::new();
        for direction in DIRECTIONS {
            let here: Vec<&Region> = regions.iter().filter(|region| region.direction == direction).collect();
            out.extend(Painter::new(self, direction, &here, &protocols).paint(steps)?);
        }
        Ok(out)
    }

    fn place(&self, fields: MatchFields) -> Option<u32> {
        self.lookups.place(self.names | fields)
    }

    /// How a set of remote addresses is named, and how many entries that takes; `None` where it cannot be.
    fn remote(&self, set: &AddrSet) -> Option<(MatchFields, u64)> {
        let exact = |points: usize| (MatchFields::REMOTE_IP, points as u64);
        if self.shape.v6 {
            let whole = set.v6.is_full().then_some((MatchFields::empty(), 1));
            return whole.or_else(|| few_points(&set.v6, MOST_V6).map(|points| exact(points.len())));
        }
        if set.v4.is_full() {
            return Some((MatchFields::empty(), 1));
        }
        let by_value = few_points(&set.v4, self.limits[0]).map(|points| exact(points.len()));
        Some(by_value.unwrap_or((MatchFields::REMOTE_SUBNET_ID, 1)))
    }

    fn colour(&self, region: &Region) -> Colour {
        let rule = match region.cause {
            Cause::Rule { place, .. } => self.document.rule(place),
            _ => None,
        };
        let sample = rule.is_some_and(|rule| rule.sample);
        let named = self.by_rule && (region.verdict == Verdict::Allow || sample);
        Colour { verdict: region.verdict, sample, cause: named.then_some(region.cause) }
    }
}

/// One direction of a shape.
struct Painter<'a> {
    canvas: &'a Canvas<'a>,
    direction: Direction,
    regions: &'a [&'a Region],
    protocols: &'a [u8],
    /// The colour of each region.
    colours: Vec<u16>,
    palette: Vec<Colour>,
    atoms: Atoms,
}

impl<'a> Painter<'a> {
    fn new(canvas: &'a Canvas<'a>, direction: Direction, regions: &'a [&'a Region], protocols: &'a [u8]) -> Self {
        let ground = Colour { verdict: Verdict::Deny, sample: false, cause: None };
        let mut palette = vec![ground];
        let mut numbers = HashMap::from([(ground, BASE)]);
        let mut number = |region: &&Region| {
            let colour = canvas.colour(region);
            *numbers.entry(colour).or_insert_with(|| {
                palette.push(colour);
                u16::try_from(palette.len() - 1).unwrap_or(u16::MAX)
            })
        };
        let colours = regions.iter().map(&mut number).collect();
        let atoms = if canvas.shape.v6 {
            let wrap = |v6: &IntervalSet<u128>| AddrSet { v6: v6.clone(), ..AddrSet::empty() };
            let sets: Vec<_> = regions.iter().map(|region| &region.remote.v6).collect();
            classes(&distinct(sets)).iter().map(|class| wrap(&class.set)).collect()
        } else {
            let wrap = |v4: &IntervalSet<u32>| AddrSet { v4: v4.clone(), ..AddrSet::empty() };
            let sets: Vec<_> = regions.iter().map(|region| &region.remote.v4).collect();
            classes(&distinct(sets)).iter().map(|class| wrap(&class.set)).collect()
        };
        Self { canvas, direction, regions, protocols, colours, palette, atoms }
    }

    fn paint(&self, steps: &mut u64) -> Result<Vec<Piece>, CompileError> {
        let others = self.plain(None);
        let ground = vec![GROUND; self.atoms.len()];
        let grids = self.protocols.iter().map(|proto| {
            let wanted = self.plain(Some(*proto));
            let cells = if Proto::has_ports(*proto) { Some(self.grid(*proto, steps)?) } else { None };
            Ok((*proto, wanted, cells))
        });
        let grids: Vec<_> = grids.collect::<Result<_, CompileError>>()?;
        let mut best: Option<(u64, Plain, Vec<Chosen>)> = None;
        let mut blocked = None;
        for base in self.plains(None, &others, &ground) {
            let mut total = base.cost;
            let mut chosen = Vec::new();
            for (proto, wanted, grid) in &grids {
                match self.of_protocol(*proto, wanted, grid.as_ref(), &base.tops) {
                    Some((cost, plain, step)) => {
                        total += cost;
                        chosen.push((plain, step));
                    }
                    None => {
                        blocked.get_or_insert(*proto);
                        break;
                    }
                }
            }
            if chosen.len() == grids.len() && best.as_ref().is_none_or(|(before, ..)| total < *before) {
                best = Some((total, base, chosen));
            }
        }
        let Some((_, base, chosen)) = best else { return Err(self.refusal(blocked)) };
        let mut out = Drawn { painter: self, pieces: Vec::new() };
        let tops = out.plain(&base, &ground);
        out.credit(&others, &tops);
        for ((proto, wanted, grid), (plain, step)) in grids.iter().zip(chosen) {
            let tops = out.plain(&plain, &tops);
            out.credit(wanted, &tops);
            if let (Some(grid), Some(step)) = (grid, step) {
                grid.draw(&step, &tops, *proto, &mut out);
            }
        }
        Ok(out.finish())
    }

    /// For each atom the region that decides its frames without ports, by index.
    fn plain(&self, proto: Option<u8>) -> Vec<usize> {
        let here: Vec<usize> = (0..self.regions.len())
            .filter(|at| self.regions[*at].proto == proto && self.regions[*at].ports.is_none())
            .collect();
        let decides = |atom: &AddrSet| here.iter().copied().find(|at| meets(&self.regions[*at].remote, atom));
        self.atoms.iter().map(|atom| decides(atom).unwrap_or_default()).collect()
    }

    /// All ways to decide the frames without ports of a protocol over what decides about them so far.
    fn plains(&self, proto: Option<u8>, wanted: &[usize], under: &[Top]) -> Vec<Plain> {
        let name = if proto.is_some() { MatchFields::IP_PROTO } else { MatchFields::empty() };
        let colours: Vec<u16> = wanted.iter().map(|region| self.colours[*region]).collect();
        let mut out = Vec::new();
        let whole = self.canvas.place(name);
        let options = common(colours.iter().copied()).into_iter().filter_map(|colour| Some((colour, whole?)));
        for option in std::iter::once(None).chain(options.map(Some)) {
            let mut plain = Plain { cost: 0, tops: under.to_vec(), pieces: Vec::new() };
            if let Some((colour, place)) = option {
                plain.cost += 1;
                plain.pieces.push((proto, union(&self.atoms), colour, place));
                plain.cover(place, colour, |_| true);
            }
            let mut rest: BTreeMap<u16, AddrSet> = BTreeMap::new();
            for (at, colour) in colours.iter().enumerate().filter(|(at, colour)| plain.tops[*at].colour != **colour) {
                let set = rest.entry(*colour).or_insert_with(AddrSet::empty);
                *set = set.union(&self.atoms[at]);
            }
            let mut fits = true;
            for (colour, set) in rest {
                let named = self.canvas.remote(&set).filter(|(fields, _)| !fields.is_empty());
                let named = named.and_then(|(fields, cost)| Some((self.canvas.place(name | fields)?, cost)));
                let Some((place, cost)) = named else {
                    fits = false;
                    break;
                };
                plain.cost += cost;
                plain.cover(place, colour, |at| colours[at] == colour && meets(&set, &self.atoms[at]));
                plain.pieces.push((proto, set, colour, place));
            }
            if fits && plain.tops.iter().zip(&colours).all(|(top, colour)| top.colour == *colour) {
                out.push(plain);
            }
        }
        out.sort_by_key(|plain| plain.cost);
        out
    }

    /// The cheapest way to decide all frames of a protocol.
    fn of_protocol(
        &self,
        proto: u8,
        wanted: &[usize],
        grid: Option<&Grid<'_>>,
        under: &[Top],
    ) -> Option<(u64, Plain, Option<Step>)> {
        let mut best: Option<(u64, Plain, Option<Step>)> = None;
        for plain in self.plains(Some(proto), wanted, under) {
            let room = best.as_ref().map_or(u64::MAX, |(cost, ..)| cost.saturating_sub(plain.cost));
            if room == 0 {
                break;
            }
            let Some(grid) = grid else { return Some((plain.cost, plain, None)) };
            if let Some(step) = grid.cheapest(&plain.tops, room) {
                best = Some((plain.cost + step.cost, plain, Some(step)));
            }
        }
        best
    }

    fn grid(&self, proto: u8, steps: &mut u64) -> Result<Grid<'_>, CompileError> {
        let here: Vec<usize> = (0..self.regions.len())
            .filter(|at| self.regions[*at].proto == Some(proto) && self.regions[*at].ports.is_some())
            .collect();
        let grid = Grid::new(self, &here);
        let cells = grid.as_ref().map_or(u64::MAX, |grid| grid.cells() as u64);
        match (grid, steps.checked_sub(cells)) {
            (Some(grid), Some(left)) => {
                *steps = left;
                Ok(grid)
            }
            _ => Err(CompileError::too_complex(self.canvas.document, self.canvas.shape)),
        }
    }

    /// Names an allow, and the lookups that would tell it from what it meets.
    fn refusal(&self, proto: Option<u8>) -> CompileError {
        let of = |region: &&&Region| region.proto == proto && region.verdict == Verdict::Allow;
        let by_rule = |region: &&&Region| matches!(region.cause, Cause::Rule { .. });
        let allows = || self.regions.iter().filter(of);
        let allow = allows().find(by_rule).or_else(|| allows().next()).or_else(|| self.regions.first());
        let remote = allow.and_then(|region| self.canvas.remote(&region.remote)).map(|(fields, _)| fields);
        let mut fields = self.canvas.names | remote.unwrap_or(MatchFields::REMOTE_IP);
        if proto.is_some() {
            fields |= MatchFields::IP_PROTO;
        }
        let ported = |region: &&&Region| region.proto == proto && region.ports.is_some();
        if let Some(ports) = allows().find(ported).and_then(|region| region.ports.as_ref()) {
            let [remote, local] = grid::names(self.canvas, ports);
            fields |= remote | local;
        }
        let causes: Vec<Cause> = allow.iter().map(|region| region.cause).collect();
        CompileError::order(self.canvas.document, &causes, proto, fields)
    }
}

impl Plain {
    /// Paints the atoms of a choice, where this lookup comes before what decides so far.
    fn cover(&mut self, place: u32, colour: u16, chosen: impl Fn(usize) -> bool) {
        for (at, top) in self.tops.iter_mut().enumerate() {
            if chosen(at) && place < top.place {
                *top = Top { place, colour, piece: NO_PIECE };
            }
        }
    }
}

/// The pieces of a direction, as they are made.
struct Drawn<'a> {
    painter: &'a Painter<'a>,
    pieces: Vec<Piece>,
}

impl Drawn<'_> {
    /// Adds a piece; what asks for it comes with the frames that it decides.
    fn add(&mut self, proto: Option<u8>, remote: AddrSet, ports: Option<PortPair>, colour: u16) -> usize {
        let verdict = self.painter.palette[usize::from(colour)].verdict;
        let direction = self.painter.direction;
        self.pieces.push(Piece { direction, proto, remote, ports, verdict, causes: SmallVec::new() });
        self.pieces.len() - 1
    }

    /// Adds the pieces of a choice; what decides about each atom then.
    fn plain(&mut self, plain: &Plain, under: &[Top]) -> Vec<Top> {
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
    fn credit(&mut self, wanted: &[usize], tops: &[Top]) {
        for (region, top) in wanted.iter().zip(tops) {
            self.owe(*region, top.piece);
        }
    }

    fn owe(&mut self, region: usize, piece: usize) {
        if let Some(piece) = self.pieces.get_mut(piece) {
            piece.causes.push(self.painter.regions[region].cause);
        }
    }

    /// The pieces that decide something.
    fn finish(mut self) -> Vec<Piece> {
        for piece in &mut self.pieces {
            piece.causes.sort_unstable();
            piece.causes.dedup();
        }
        self.pieces.retain(|piece| !piece.causes.is_empty());
        self.pieces
    }
}

fn union(sets: &[AddrSet]) -> AddrSet {
    sets.iter().fold(AddrSet::empty(), |all, set| all.union(set))
}

fn meets(a: &AddrSet, b: &AddrSet) -> bool {
    !a.v4.is_disjoint(&b.v4) || !a.v6.is_disjoint(&b.v6)
}

fn distinct<T: Ord>(mut sets: Vec<&T>) -> Vec<&T> {
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// The most frequent colours, the first most.
fn common(colours: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for colour in colours {
        *counts.entry(colour).or_default() += 1;
    }
    let mut out: Vec<(usize, u16)> = counts.into_iter().map(|(colour, count)| (count, colour)).collect();
    out.sort_unstable_by_key(|(count, colour)| (std::cmp::Reverse(*count), *colour));
    out.into_iter().take(MOST_COLOURS).map(|(_, colour)| colour).collect()
}
