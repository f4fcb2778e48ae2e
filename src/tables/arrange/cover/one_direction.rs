//! One direction of a shape.

use std::collections::{BTreeMap, HashMap};

use super::grid::{self, Cover, Grid};
use super::input::{
    BASE, BASE_DENY, Decider, Input, OneDirection, Outcome, Output, Portless, common, distinct, meets, union,
};
use crate::policy::Proto;
use crate::policy::regions::classes::{classes, points_up_to};
use crate::policy::regions::{Cause, DIRECTIONS, Region, Wanted, regions_within};
use crate::tables::MatchFields;
use crate::tables::arrange::pieces::{MOST_V6, Piece};
use crate::tables::refuse::CompileError;
use crate::terms::{AddrSet, Direction, IntervalSet, Verdict};

/// How a protocol's frames without ports are decided, and those with ports.
type Chosen = (Portless, Option<Cover>);

impl Input<'_> {
    /// The pieces of the shape.
    pub fn pieces(&self) -> Result<Vec<Piece>, CompileError> {
        let protocols = self.shape.protocols(self.document);
        let regions = regions_within(self.document, self.shape, &protocols, Wanted::All, self.budget);
        let regions = regions.ok_or_else(|| CompileError::too_complex(self.document, self.shape))?;
        let mut out = Vec::new();
        for direction in DIRECTIONS {
            let here: Vec<&Region> = regions.iter().filter(|region| region.direction == direction).collect();
            out.extend(OneDirection::new(self, direction, &here, &protocols).pieces()?);
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
            return whole.or_else(|| points_up_to(&set.v6, MOST_V6).map(|points| exact(points.len())));
        }
        if set.v4.is_full() {
            return Some((MatchFields::empty(), 1));
        }
        let by_value = points_up_to(&set.v4, self.limits[0]).map(|points| exact(points.len()));
        Some(by_value.unwrap_or((MatchFields::REMOTE_SUBNET_ID, 1)))
    }

    fn outcome(&self, region: &Region) -> Outcome {
        let rule = match region.cause {
            Cause::Rule { place, .. } => self.document.rule(place),
            _ => None,
        };
        let sample = rule.is_some_and(|rule| rule.sample);
        let named = self.by_rule && (region.verdict == Verdict::Allow || sample);
        Outcome { verdict: region.verdict, sample, cause: named.then_some(region.cause) }
    }
}

impl<'a> OneDirection<'a> {
    fn new(input: &'a Input<'a>, direction: Direction, regions: &'a [&'a Region], protocols: &'a [u8]) -> Self {
        let base_deny = Outcome { verdict: Verdict::Deny, sample: false, cause: None };
        let mut all_outcomes = vec![base_deny];
        let mut numbers = HashMap::from([(base_deny, BASE)]);
        let mut number = |region: &&Region| {
            let outcome = input.outcome(region);
            *numbers.entry(outcome).or_insert_with(|| {
                all_outcomes.push(outcome);
                u16::try_from(all_outcomes.len() - 1).unwrap_or(u16::MAX)
            })
        };
        let outcomes = regions.iter().map(&mut number).collect();
        let atoms = if input.shape.v6 {
            let wrap = |v6: &IntervalSet<u128>| AddrSet { v6: v6.clone(), ..AddrSet::empty() };
            let sets: Vec<_> = regions.iter().map(|region| &region.remote.v6).collect();
            classes(&distinct(sets)).iter().map(|class| wrap(&class.set)).collect()
        } else {
            let wrap = |v4: &IntervalSet<u32>| AddrSet { v4: v4.clone(), ..AddrSet::empty() };
            let sets: Vec<_> = regions.iter().map(|region| &region.remote.v4).collect();
            classes(&distinct(sets)).iter().map(|class| wrap(&class.set)).collect()
        };
        Self { input, direction, regions, protocols, outcomes, all_outcomes, atoms }
    }

    fn pieces(&self) -> Result<Vec<Piece>, CompileError> {
        let others = self.portless(None);
        let base_deny = vec![BASE_DENY; self.atoms.len()];
        let grids = self.protocols.iter().map(|proto| {
            let wanted = self.portless(Some(*proto));
            let cells = if Proto::has_ports(*proto) { Some(self.grid(*proto)?) } else { None };
            Ok((*proto, wanted, cells))
        });
        let grids: Vec<_> = grids.collect::<Result<_, CompileError>>()?;
        let mut best: Option<(u64, Portless, Vec<Chosen>)> = None;
        let mut blocked = None;
        for base in self.portless_ways(None, &others, &base_deny) {
            let mut total = base.cost;
            let mut chosen = Vec::new();
            for (proto, wanted, grid) in &grids {
                match self.of_protocol(*proto, wanted, grid.as_ref(), &base.deciders) {
                    Some((cost, portless, cover)) => {
                        total += cost;
                        chosen.push((portless, cover));
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
        let mut out = Output { one: self, pieces: Vec::new() };
        let deciders = out.portless(&base, &base_deny);
        out.credit(&others, &deciders);
        for ((proto, wanted, grid), (portless, cover)) in grids.iter().zip(chosen) {
            let deciders = out.portless(&portless, &deciders);
            out.credit(wanted, &deciders);
            if let (Some(grid), Some(cover)) = (grid, cover) {
                grid.make(&cover, &deciders, *proto, &mut out);
            }
        }
        Ok(out.finish())
    }

    /// For each atom the region that decides its frames without ports, by index.
    fn portless(&self, proto: Option<u8>) -> Vec<usize> {
        let here: Vec<usize> = (0..self.regions.len())
            .filter(|at| self.regions[*at].proto == proto && self.regions[*at].ports.is_none())
            .collect();
        let decides = |atom: &AddrSet| here.iter().copied().find(|at| meets(&self.regions[*at].remote, atom));
        self.atoms.iter().map(|atom| decides(atom).unwrap_or_default()).collect()
    }

    /// All ways to decide the frames without ports of a protocol over what decides about them so far.
    fn portless_ways(&self, proto: Option<u8>, wanted: &[usize], under: &[Decider]) -> Vec<Portless> {
        let name = if proto.is_some() { MatchFields::IP_PROTO } else { MatchFields::empty() };
        let outcomes: Vec<u16> = wanted.iter().map(|region| self.outcomes[*region]).collect();
        let mut out = Vec::new();
        let whole = self.input.place(name);
        let options = common(outcomes.iter().copied()).into_iter().filter_map(|outcome| Some((outcome, whole?)));
        for option in std::iter::once(None).chain(options.map(Some)) {
            let mut portless = Portless { cost: 0, deciders: under.to_vec(), pieces: Vec::new() };
            if let Some((outcome, place)) = option {
                portless.cost += 1;
                portless.pieces.push((proto, union(&self.atoms), outcome, place));
                portless.cover(place, outcome, |_| true);
            }
            let mut rest: BTreeMap<u16, AddrSet> = BTreeMap::new();
            for (at, outcome) in
                outcomes.iter().enumerate().filter(|(at, outcome)| portless.deciders[*at].outcome != **outcome)
            {
                let set = rest.entry(*outcome).or_insert_with(AddrSet::empty);
                *set = set.union(&self.atoms[at]);
            }
            let mut fits = true;
            for (outcome, set) in rest {
                let named = self.input.remote(&set).filter(|(fields, _)| !fields.is_empty());
                let named = named.and_then(|(fields, cost)| Some((self.input.place(name | fields)?, cost)));
                let Some((place, cost)) = named else {
                    fits = false;
                    break;
                };
                portless.cost += cost;
                portless.cover(place, outcome, |at| outcomes[at] == outcome && meets(&set, &self.atoms[at]));
                portless.pieces.push((proto, set, outcome, place));
            }
            if fits && portless.deciders.iter().zip(&outcomes).all(|(decider, outcome)| decider.outcome == *outcome) {
                out.push(portless);
            }
        }
        out.sort_by_key(|portless| portless.cost);
        out
    }

    /// The cheapest way to decide all frames of a protocol.
    fn of_protocol(
        &self,
        proto: u8,
        wanted: &[usize],
        grid: Option<&Grid<'_>>,
        under: &[Decider],
    ) -> Option<(u64, Portless, Option<Cover>)> {
        let mut best: Option<(u64, Portless, Option<Cover>)> = None;
        for portless in self.portless_ways(Some(proto), wanted, under) {
            let room = best.as_ref().map_or(u64::MAX, |(cost, ..)| cost.saturating_sub(portless.cost));
            if room == 0 {
                break;
            }
            let Some(grid) = grid else { return Some((portless.cost, portless, None)) };
            if let Some(cover) = grid.cheapest(&portless.deciders, room) {
                best = Some((portless.cost + cover.cost, portless, Some(cover)));
            }
        }
        best
    }

    fn grid(&self, proto: u8) -> Result<Grid<'_>, CompileError> {
        let here: Vec<usize> = (0..self.regions.len())
            .filter(|at| self.regions[*at].proto == Some(proto) && self.regions[*at].ports.is_some())
            .collect();
        let grid = Grid::new(self, &here);
        let grid = grid.filter(|grid| self.input.budget.spend(grid.cells()).is_some());
        grid.ok_or_else(|| CompileError::too_complex(self.input.document, self.input.shape))
    }

    /// Names what a rule says, an allow if there is one, and the lookups that would tell it from what it meets.
    fn refusal(&self, proto: Option<u8>) -> CompileError {
        let here = || self.regions.iter().filter(|region| region.proto == proto);
        let by_rule = |region: &Region| matches!(region.cause, Cause::Rule { .. });
        let named = here().min_by_key(|region| (region.verdict == Verdict::Deny, !by_rule(region)));
        let remote = named.and_then(|region| self.input.remote(&region.remote)).map(|(fields, _)| fields);
        let mut fields = self.input.names | remote.unwrap_or(MatchFields::REMOTE_IP);
        if proto.is_some() {
            fields |= MatchFields::IP_PROTO;
        }
        let alike = here().filter(|region| named.is_some_and(|named| named.cause == region.cause));
        if let Some(ports) = alike.filter_map(|region| region.ports.as_ref()).next() {
            let [remote, local] = grid::names(self.input, ports);
            fields |= remote | local;
        }
        let causes: Vec<Cause> = named.iter().map(|region| region.cause).collect();
        CompileError::order(self.input.document, &causes, proto, fields)
    }
}
