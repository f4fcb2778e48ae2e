//! One direction of a shape, painted.

use std::collections::{BTreeMap, HashMap};

use super::canvas::{BASE, Canvas, Colour, Drawn, GROUND, Painter, Plain, Top, common, distinct, meets, union};
use super::grid::{self, Grid, Step};
use crate::policy::Proto;
use crate::policy::regions::classes::{classes, few_points};
use crate::policy::regions::{Cause, DIRECTIONS, Region, Wanted, regions_within};
use crate::tables::MatchFields;
use crate::tables::arrange::pieces::{MOST_V6, Piece};
use crate::tables::refuse::CompileError;
use crate::terms::{AddrSet, Direction, IntervalSet, Verdict};

/// How a protocol's frames without ports are decided, and those with ports.
type Chosen = (Plain, Option<Step>);

impl Canvas<'_> {
    /// The pieces of the shape.
    pub fn pieces(&self) -> Result<Vec<Piece>, CompileError> {
        let protocols = self.shape.protocols(self.document);
        let regions = regions_within(self.document, self.shape, &protocols, Wanted::All, self.budget);
        let regions = regions.ok_or_else(|| CompileError::too_complex(self.document, self.shape))?;
        let mut out = Vec::new();
        for direction in DIRECTIONS {
            let here: Vec<&Region> = regions.iter().filter(|region| region.direction == direction).collect();
            out.extend(Painter::new(self, direction, &here, &protocols).paint()?);
        }
        Ok(out)
    }

    pub(super) fn place(&self, fields: MatchFields) -> Option<u32> {
        self.lookups.place(self.names | fields)
    }

    /// How a set of remote addresses is named, and how many entries that takes; `None` where it cannot be.
    pub(super) fn remote(&self, set: &AddrSet) -> Option<(MatchFields, u64)> {
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

    fn paint(&self) -> Result<Vec<Piece>, CompileError> {
        let others = self.plain(None);
        let ground = vec![GROUND; self.atoms.len()];
        let grids = self.protocols.iter().map(|proto| {
            let wanted = self.plain(Some(*proto));
            let cells = if Proto::has_ports(*proto) { Some(self.grid(*proto)?) } else { None };
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

    fn grid(&self, proto: u8) -> Result<Grid<'_>, CompileError> {
        let here: Vec<usize> = (0..self.regions.len())
            .filter(|at| self.regions[*at].proto == Some(proto) && self.regions[*at].ports.is_some())
            .collect();
        let grid = Grid::new(self, &here);
        let grid = grid.filter(|grid| self.canvas.budget.spend(grid.cells()).is_some());
        grid.ok_or_else(|| CompileError::too_complex(self.canvas.document, self.canvas.shape))
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
