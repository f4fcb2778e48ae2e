//! All intermediate results of a compilation, kept so that the next one can share them.
//!
//! A compilation starts from the results for the document before it, or from nothing, and works off the difference:
//!
//! 1. [`State::policies`] and [`State::bindings`] compare what the documents hold: what is one value in memory is equal
//!    without a look inside, so a copy of a document that was changed in one place is compared in no time.
//! 2. Units are made for what is new, and end where nobody has them any more; so do sets.
//! 3. Where a set came or went, classes are cut anew, and units whose classes changed are counted again.
//! 4. The layout is chosen from the sums over all units; the maps are made anew if it changed.
//! 5. Units that are new, or whose ids changed, make their entries; bindings that have them get new blocks.
//!
//! So the result is that of a full compilation, but for the names of ids, nodes and origins: a full one is the same code,
//! started from nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::base::{self, Fixed, local_keys};
use super::counters::Counters;
use super::diff::{Kept, compare, same_binding};
use super::entries::of_unit;
use super::layout::{AllSets, Layout, NamedSets, SetNumbers, Trie, named_sets};
use super::lookups::{Order, Way};
use super::maps::Maps;
use super::origins::{Numbers, number};
use super::pieces::Piece;
use super::prove::near::Meaning;
use super::refuse::CompileError;
use super::regions::{Cause, Shape};
use super::sets::{self, cut_anew, named_anew};
use super::units::{Alone, NO_POLICY, Unit, UnitKey, Used, unbound};
use super::usage::Table;
use crate::policy::pages::Pages;
use crate::policy::rules::BlockKey;
use crate::policy::{Binding, Document, Policy};
use crate::tables::{MacAddr, MatchFields, RuleKey, Target};

/// What cutting all units into regions may cost: a second or two.
const MOST_STEPS: u64 = 1 << 30;

/// A policy of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfPolicy {
    /// What it is called while it stays.
    pub name: u32,
    pub numbers: Numbers,
}

/// A binding of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfBinding {
    pub number: u32,
    /// The name of its policy.
    pub policy: u32,
}

/// The local sides of a binding, each with its unit.
#[derive(Debug)]
pub(super) struct Bound {
    pub binding: Arc<Binding>,
    pub locals: Vec<(RuleKey, UnitKey)>,
}

/// What all units together need under one layout.
#[derive(Debug, Clone, Default)]
struct Totals {
    rules: u128,
    /// How many local sides use each combination of match fields.
    combinations: BTreeMap<MatchFields, u32>,
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub order: Order,
    pub policies: Vec<OfPolicy>,
    pub bindings: Vec<OfBinding>,
    next_policy: u32,
    next_number: u32,
    pub bound: Pages<u32, Arc<Bound>>,
    /// Local sides of addresses that nobody bound.
    pub unbound: Arc<Vec<(RuleKey, UnitKey)>>,
    /// MACs with the numbers of their bindings.
    pub macs: Pages<(MacAddr, u32), ()>,
    pub units: Pages<UnitKey, Arc<Used>>,
    steps: u64,
    remotes: sets::Used<u32>,
    remote_ports: sets::Used<u16>,
    local_ports: sets::Used<u16>,
    /// The tries of the remote addresses' spaces.
    tries: Arc<Vec<Trie>>,
    layouts: Arc<Vec<Layout>>,
    totals: Vec<Totals>,
    chosen: usize,
    pub needs: Vec<(Table, u64, u64)>,
    pub fixed: Pages<RuleKey, Arc<Fixed>>,
    fixed_fields: BTreeMap<MatchFields, u32>,
    pub maps: Arc<Maps>,
    pub meaning: Arc<Meaning>,
    pub counters: Counters,
}

/// What a compilation has to do anew.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Every place has the policy of the name that it had.
    same_names: bool,
    /// Names of policies whose rules are not what they were.
    pub policies: BTreeSet<u32>,
    /// Places of bindings whose blocks are made anew.
    pub bindings: BTreeSet<usize>,
    /// Numbers of bindings that are there no more.
    pub ended: Vec<u32>,
    /// Blocks whose entries of the base are not what they were.
    pub blocks: BTreeSet<BlockKey>,
    /// Units that were touched, as they were before.
    touched: BTreeMap<UnitKey, Option<Arc<Used>>>,
    /// Units whose entries are made anew.
    units: BTreeSet<UnitKey>,
    /// The numbers of their sets, as far as they were looked up.
    numbers: BTreeMap<UnitKey, Vec<SetNumbers>>,
    pub unbound: bool,
}

impl State {
    /// Nothing, with a way to use the order of lookups.
    pub fn under(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// The state for a document, from that for another one that differs in policies and bindings alone, or from nothing.
    pub fn update(
        mut self,
        before: Option<&Document>,
        document: &Document,
        target: &Target,
        previous: Option<(&crate::policy::Image, [Option<u16>; 3])>,
    ) -> Result<(Self, Work), CompileError> {
        let mut work = Work::default();
        if before.is_none() {
            self.next_number = number(document.management.len());
            for (key, fixed) in base::of_document(document, target) {
                self.set_fixed(&mut work, key, Some(fixed));
            }
        }
        self.match_policies(&mut work, before, document);
        self.match_bindings(&mut work, before, document, target)?;
        if before.is_none() {
            self.link_unbound(&mut work, document, target)?;
        }
        self.end_units(&work);
        let lists = self.all_sets();
        self.change_sets(&work);
        self.lay_out(&mut work, &lists, target);
        if let Some(refusal) = super::does_not_fit(document, &self) {
            return Err(refusal);
        }
        self.name_classes(&mut work, &lists, target, previous)?;
        self.make_entries(&mut work, document);
        Ok((self, work))
    }

    pub fn all_sets(&self) -> AllSets {
        AllSets {
            remotes: self.remotes.sets.clone(),
            remote_ports: self.remote_ports.sets.clone(),
            local_ports: self.local_ports.sets.clone(),
        }
    }

    pub fn layout(&self) -> Option<&Layout> {
        self.layouts.get(self.chosen)
    }

    /// The combinations of match fields in use.
    pub fn combinations(&self) -> BTreeSet<MatchFields> {
        let above = self.totals.get(self.chosen).map(|totals| totals.combinations.keys());
        above.into_iter().flatten().chain(self.fixed_fields.keys()).copied().collect()
    }

    fn match_policies(&mut self, work: &mut Work, before: Option<&Document>, document: &Document) {
        let old = before.map_or(&[][..], |before| &before.policies);
        let name = |policy: &Arc<Policy>| policy.name.clone();
        let kept = compare(old, &document.policies, |a, b| a == b, name);
        let same_places = kept.same_places(old.len());
        work.same_names = same_places;
        if same_places && kept.all_equal() {
            return;
        }
        let was = std::mem::take(&mut self.policies);
        for (policy, kept) in document.policies.iter().zip(kept.0) {
            let rules = number(policy.rules.len());
            let mut is = match kept {
                Kept::Equal(at) | Kept::Changed(at) => was[at],
                Kept::New => {
                    self.next_policy += 1;
                    OfPolicy { name: self.next_policy - 1, numbers: Numbers { first: 0, room: 0 } }
                }
            };
            if !matches!(kept, Kept::Equal(_)) {
                work.policies.insert(is.name);
                if rules > is.numbers.room {
                    is.numbers = Numbers { first: self.next_number, room: rules };
                    self.next_number += rules;
                }
            }
            self.policies.push(is);
        }
        let mut anew: BTreeSet<u32> = work.policies.clone();
        if !same_places {
            let names: HashSet<u32> = self.policies.iter().map(|policy| policy.name).collect();
            anew.extend(was.iter().map(|policy| policy.name).filter(|name| !names.contains(name)));
        }
        for name in anew {
            let from = (name, Arc::new(Shape::least()));
            let all = self.units.starting_at(&from).take_while(|((of, _), _)| *of == name);
            for (key, used) in all.map(|(key, used)| (key.clone(), used.clone())).collect::<Vec<_>>() {
                self.units.remove(&key);
                work.touched.insert(key, Some(used));
            }
        }
    }

    fn match_bindings(
        &mut self,
        work: &mut Work,
        before: Option<&Document>,
        document: &Document,
        target: &Target,
    ) -> Result<(), CompileError> {
        let old = before.map_or(&[][..], |before| &before.bindings);
        // Where policies keep their places, a binding with another place has another policy.
        let same_names = work.same_names;
        let same = |a: &Arc<Binding>, b: &Arc<Binding>| same_binding(a, b) && (!same_names || a.policy == b.policy);
        let kept = compare(old, &document.bindings, same, |binding| binding.container.clone());
        let same_places = kept.same_places(old.len());
        let mut relink = Vec::new();
        if same_places && kept.all_equal() && work.same_names {
            let touched = |of: &OfBinding| work.policies.contains(&of.policy);
            relink.extend(self.bindings.iter().enumerate().filter(|(_, of)| touched(of)).map(|(at, _)| (at, false)));
        } else {
            relink = self.renumber(work, document, &kept.0);
        }
        let mut alone = Alone::of(document);
        let mut shapes = HashMap::new();
        for (at, changed) in &relink {
            if *changed {
                self.unlink(work, self.bindings[*at].number, document);
            }
        }
        for (at, changed) in relink {
            self.link(work, at, changed, document, target, (&mut alone, &mut shapes))?;
        }
        Ok(())
    }

    /// Numbers the bindings; returns the places of those to be put in, and whether they are others than before.
    fn renumber(&mut self, work: &mut Work, document: &Document, kept: &[Kept]) -> Vec<(usize, bool)> {
        let was = std::mem::take(&mut self.bindings);
        let mut stay: HashSet<usize> = HashSet::new();
        let mut relink = Vec::new();
        for (at, (binding, kept)) in document.bindings.iter().zip(kept).enumerate() {
            let policy = self.policies.get(binding.policy).map_or(NO_POLICY, |policy| policy.name);
            let (is, changed) = match *kept {
                Kept::Equal(before) | Kept::Changed(before) => {
                    stay.insert(before);
                    let changed = matches!(kept, Kept::Changed(_)) || policy != was[before].policy;
                    (OfBinding { policy, ..was[before] }, changed)
                }
                Kept::New => {
                    self.next_number += 1;
                    (OfBinding { number: self.next_number - 1, policy }, true)
                }
            };
            self.bindings.push(is);
            if changed || work.policies.contains(&is.policy) {
                relink.push((at, changed));
            }
        }
        let gone = was.iter().enumerate().filter(|(at, _)| !stay.contains(at)).map(|(_, of)| of.number);
        work.ended.extend(gone);
        for number in work.ended.clone() {
            self.unlink(work, number, document);
        }
        relink
    }

    /// Takes a binding out: its local sides and its entries of the base.
    fn unlink(&mut self, work: &mut Work, number: u32, document: &Document) {
        let Some(bound) = self.bound.remove(&number) else { return };
        self.release(work, &bound);
        self.macs.remove(&(bound.binding.mac, number));
        let closed = document.unbound == crate::tables::Verdict::Deny;
        for (key, _) in base::of_binding(&bound.binding, closed) {
            let Some(fixed) = self.fixed.get(&key) else { continue };
            let mut fixed = Fixed::clone(fixed);
            fixed.bindings.remove(&number);
            let ended = fixed.bindings.is_empty() && fixed.management.is_empty() && !fixed.of_document;
            self.set_fixed(work, key, (!ended).then_some(fixed));
        }
    }

    fn release(&mut self, work: &mut Work, bound: &Bound) {
        for (local, key) in &bound.locals {
            // The units of policies that changed are gone already.
            let Some(used) = self.units.get_mut(key) else { continue };
            work.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            let count = Arc::make_mut(used).locals.entry(local.fields()).or_default();
            *count = count.saturating_sub(1);
        }
    }

    /// Puts a binding in. `changed`: it is not the one that was there, so its entries of the base are put in too.
    fn link(
        &mut self,
        work: &mut Work,
        at: usize,
        changed: bool,
        document: &Document,
        target: &Target,
        (alone, shapes): (&mut Alone, &mut HashMap<(u32, Shape), Arc<Shape>>),
    ) -> Result<(), CompileError> {
        let (binding, of) = (&document.bindings[at], self.bindings[at]);
        work.bindings.insert(at);
        let policy = document.policies.get(binding.policy);
        let mut locals = Vec::new();
        for ip in &binding.ips {
            let sides = local_keys(binding, *ip, target);
            let mut shape = Shape::of(alone.with(policy), 0, binding.open_nd, *ip);
            if self.order.way != Way::Allows {
                shape.names = sides.iter().fold(MatchFields::empty(), |all, side| all | side.fields());
            }
            let shape =
                shapes.entry((of.policy, shape)).or_insert_with_key(|(_, shape)| Arc::new(shape.clone())).clone();
            let key = (of.policy, shape);
            for local in sides {
                self.use_unit(work, alone, policy, &key, local)?;
                locals.push((local, key.clone()));
            }
        }
        self.bound.insert(of.number, Arc::new(Bound { binding: binding.clone(), locals }));
        if changed {
            self.macs.insert((binding.mac, of.number), ());
            let closed = document.unbound == crate::tables::Verdict::Deny;
            for (key, fresh) in base::of_binding(binding, closed) {
                let mut fixed = self.fixed.get(&key).map_or(fresh, |fixed| Fixed::clone(fixed));
                fixed.bindings.insert(of.number);
                self.set_fixed(work, key, Some(fixed));
            }
        }
        Ok(())
    }

    fn use_unit(
        &mut self,
        work: &mut Work,
        alone: &mut Alone,
        policy: Option<&Arc<Policy>>,
        key: &UnitKey,
        local: RuleKey,
    ) -> Result<(), CompileError> {
        if let Some(used) = self.units.get_mut(key) {
            work.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            *Arc::make_mut(used).locals.entry(local.fields()).or_default() += 1;
            return Ok(());
        }
        let mut left = MOST_STEPS.saturating_sub(self.steps);
        let unit = Unit::new(alone, policy, &key.1, &self.order, &mut left)?;
        self.steps += unit.steps;
        work.touched.entry(key.clone()).or_default();
        let used = Used {
            unit: Arc::new(unit),
            locals: BTreeMap::from([(local.fields(), 1)]),
            counts: Arc::default(),
            entries: Arc::default(),
        };
        self.units.insert(key.clone(), Arc::new(used));
        work.units.insert(key.clone());
        Ok(())
    }

    fn link_unbound(&mut self, work: &mut Work, document: &Document, target: &Target) -> Result<(), CompileError> {
        let mut alone = Alone::of(document);
        let mut all = Vec::new();
        for (local, shape) in unbound(document, target)? {
            let key = (NO_POLICY, Arc::new(shape));
            self.use_unit(work, &mut alone, None, &key, local)?;
            all.push((local, key));
        }
        work.unbound = true;
        self.unbound = Arc::new(all);
        Ok(())
    }

    fn set_fixed(&mut self, work: &mut Work, key: RuleKey, fixed: Option<Fixed>) {
        work.blocks.insert(BlockKey::of(&key));
        let (is, fields) = (fixed.is_some(), key.fields());
        let was = match fixed {
            Some(fixed) => self.fixed.insert(key, Arc::new(fixed)).is_some(),
            None => self.fixed.remove(&key).is_some(),
        };
        count(&mut self.fixed_fields, fields, i64::from(is) - i64::from(was));
    }

    fn end_units(&mut self, work: &Work) {
        for (key, before) in &work.touched {
            let ended = self.units.get(key).is_some_and(|used| used.locals.values().all(|count| *count == 0));
            if ended {
                self.units.remove(key);
            }
            let gone = before
                .as_ref()
                .filter(|before| self.units.get(key).is_none_or(|used| !Arc::ptr_eq(&used.unit, &before.unit)));
            self.steps -= gone.map_or(0, |used| used.unit.steps);
        }
    }

    fn change_sets(&mut self, work: &Work) {
        let (mut out, mut into) = (Vec::new(), Vec::new());
        for (key, before) in &work.touched {
            let after = self.units.get(key);
            if before.as_ref().map(|used| Arc::as_ptr(&used.unit)) != after.map(|used| Arc::as_ptr(&used.unit)) {
                out.extend(before.iter().map(|used| used.unit.clone()));
                into.extend(after.iter().map(|used| used.unit.clone()));
            }
        }
        let (out, into) = (sets_of(&out), sets_of(&into));
        self.remotes.change(out.iter().filter_map(|sets| sets.0), into.iter().filter_map(|sets| sets.0));
        self.remote_ports.change(out.iter().filter_map(|sets| sets.1), into.iter().filter_map(|sets| sets.1));
        self.local_ports.change(out.iter().filter_map(|sets| sets.2), into.iter().filter_map(|sets| sets.2));
    }

    /// Counts what changed under every layout, and chooses one.
    fn lay_out(&mut self, work: &mut Work, before: &AllSets, target: &Target) {
        let lists = self.all_sets();
        if self.layouts.is_empty() || !lists.is(before) {
            if self.layouts.is_empty() || !Arc::ptr_eq(&lists.remotes, &before.remotes) {
                self.tries = Arc::new(lists.remotes.spaces.iter().map(|space| Trie::of(space, target)).collect());
            }
            let layouts = lists.layouts();
            let limits = |layouts: &[Layout]| layouts.iter().map(Layout::limits).collect::<Vec<_>>();
            if limits(&layouts) == limits(&self.layouts) {
                let cut = [
                    cut_anew(&before.remotes, &lists.remotes),
                    cut_anew(&before.remote_ports, &lists.remote_ports),
                    cut_anew(&before.local_ports, &lists.local_ports),
                ];
                self.touch_users(work, &lists, &cut);
            } else {
                // Under other layouts the sums begin anew.
                work.touched = self.units.iter().map(|(key, _)| (key.clone(), None)).collect();
                work.units.extend(work.touched.keys().cloned());
                self.totals = vec![Totals::default(); layouts.len()];
            }
            self.layouts = Arc::new(layouts);
        }
        self.sum(work, u64::from(target.profile.rules));
        self.choose(target);
    }

    /// Touches the units that have one of these sets.
    fn touch_users(&mut self, work: &mut Work, lists: &AllSets, cut: &[HashSet<usize>; 3]) {
        if cut.iter().all(HashSet::is_empty) {
            return;
        }
        let all = self.units.iter().filter(|(_, used)| lists.has(&used.unit.pieces, cut));
        for (key, used) in all {
            work.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            work.units.insert(key.clone());
        }
    }

    /// Counts the units to be made anew, and brings the sums to what the touched units are.
    fn sum(&mut self, work: &mut Work, room: u64) {
        let (layouts, lists) = (self.layouts.clone(), self.all_sets());
        for key in &work.units {
            if let Some(used) = self.units.get_mut(key) {
                let pieces = &used.unit.pieces;
                let numbers = lists.numbers(pieces);
                let counts = layouts.iter().map(|layout| layout.count(pieces, &numbers, room)).collect();
                Arc::make_mut(used).counts = Arc::new(counts);
                work.numbers.insert(key.clone(), numbers);
            }
        }
        for (key, before) in &work.touched {
            let after = self.units.get(key).cloned();
            for (used, sign) in [(before.as_ref(), -1), (after.as_ref(), 1)] {
                let Some(used) = used else { continue };
                for (totals, needs) in self.totals.iter_mut().zip(used.counts.iter()) {
                    totals.add(used, needs, sign);
                }
            }
        }
    }

    fn choose(&mut self, target: &Target) {
        let fixed = self.fixed.len() as u64;
        let needs = |at: usize| {
            let (layout, totals) = (&self.layouts[at], &self.totals[at]);
            let nodes = self.trie(at).map_or(0, |trie| trie.nodes);
            let rules = u64::try_from(totals.rules).unwrap_or(u64::MAX).saturating_add(fixed);
            let more = self.fixed_fields.keys().filter(|fields| !totals.combinations.contains_key(fields)).count();
            let combinations = (totals.combinations.len() + more) as u64;
            let mut needs = vec![(Table::Rules, rules, u64::from(target.profile.rules))];
            needs.extend(layout.needs(nodes, target));
            needs.push((Table::Combinations, combinations, u64::from(target.profile.combinations)));
            needs
        };
        let rank = |at: usize, needs: &[(Table, u64, u64)]| {
            let missing = needs.iter().map(|(_, needed, there)| needed.saturating_sub(*there));
            let last = needs.last().map_or(0, |(_, needed, _)| *needed);
            let unheard = self.order.unheard(self.totals[at].combinations.keys());
            (unheard, missing.fold(0, u64::saturating_add), needs[0].1, last, self.layouts[at].ids())
        };
        let limits = |map: usize| self.layouts.iter().map(|layout| layout.limits()[map]).collect();
        let offered = [limits(0), limits(1), limits(2)];
        let taken = (0..self.layouts.len()).filter(|at| self.order.way.takes(self.layouts[*at].limits(), &offered));
        let all = taken.map(|at| (at, needs(at)));
        if let Some((chosen, needs)) = all.min_by_key(|(at, needs)| rank(*at, needs)) {
            (self.chosen, self.needs) = (chosen, needs);
        }
    }

    /// The trie of a layout's remote addresses.
    fn trie(&self, layout: usize) -> Option<&Trie> {
        self.tries.get(layout / (self.layouts.len() / self.tries.len().max(1)).max(1))
    }

    /// Gives ids to the classes of the layout.
    fn name_classes(
        &mut self,
        work: &mut Work,
        before: &AllSets,
        target: &Target,
        previous: Option<(&crate::policy::Image, [Option<u16>; 3])>,
    ) -> Result<(), crate::tables::MapError> {
        let Some(layout) = self.layout().cloned() else { return Ok(()) };
        if self.maps.layout.as_ref().is_some_and(|was| was.is(&layout)) {
            return Ok(());
        }
        let maps = Maps::build(&layout, self.trie(self.chosen), &target.sizes, previous)?;
        if let Some(was) = &self.maps.layout {
            let lists = self.all_sets();
            let named = [
                named_anew(
                    (&before.remotes, &was.subnets),
                    (&lists.remotes, &layout.subnets),
                    [&self.maps.ids[0], &maps.ids[0]],
                ),
                named_anew(
                    (&before.remote_ports, &was.remote_ports),
                    (&lists.remote_ports, &layout.remote_ports),
                    [&self.maps.ids[1], &maps.ids[1]],
                ),
                named_anew(
                    (&before.local_ports, &was.local_ports),
                    (&lists.local_ports, &layout.local_ports),
                    [&self.maps.ids[2], &maps.ids[2]],
                ),
            ];
            if named.iter().any(|sets| !sets.is_empty()) {
                let users = self.units.iter().filter(|(_, used)| lists.has(&used.unit.pieces, &named));
                work.units.extend(users.map(|(key, _)| key.clone()));
            }
        }
        self.maps = Arc::new(maps);
        Ok(())
    }

    fn make_entries(&mut self, work: &mut Work, document: &Document) {
        let Some(layout) = self.layout().cloned() else { return };
        let (mut alone, lists) = (Alone::of(document), self.all_sets());
        let names: BTreeSet<u32> = work.units.iter().map(|(name, _)| *name).collect();
        let named = self.policies.iter().filter(|policy| names.contains(&policy.name));
        let numbers: BTreeMap<u32, Numbers> = named.map(|policy| (policy.name, policy.numbers)).collect();
        for key in &work.units {
            let Some(used) = self.units.get_mut(key) else { continue };
            let numbers = numbers.get(&key.0).copied().unwrap_or(Numbers { first: 0, room: 0 });
            let document = alone.with(used.unit.policy.as_ref());
            let sets = work.numbers.remove(key).unwrap_or_else(|| lists.numbers(&used.unit.pieces));
            let pieces = &used.unit.pieces;
            let entries = of_unit(document, numbers, pieces, &layout.tails(pieces, &sets), &self.maps.ids);
            Arc::make_mut(used).entries = Arc::new(entries);
        }
        for (at, of) in self.bindings.iter().enumerate().filter(|(_, of)| names.contains(&of.policy)) {
            let bound = self.bound.get(&of.number);
            if bound.is_some_and(|bound| bound.locals.iter().any(|(_, key)| work.units.contains(key))) {
                work.bindings.insert(at);
            }
        }
        work.unbound |= self.unbound.iter().any(|(_, key)| work.units.contains(key));
    }

    /// What asks for an entry of a combination, and the policy that it belongs to.
    pub fn rule_naming(&self, fields: MatchFields) -> Option<(Option<&Policy>, Cause)> {
        let (layout, lists) = (self.layout()?, self.all_sets());
        self.units.iter().find_map(|(_, used)| {
            let local = used.locals.keys().find(|local| fields.contains(**local))?;
            let named = |piece: &&Piece| {
                let numbers = lists.numbers(std::slice::from_ref(*piece));
                numbers.first().is_some_and(|numbers| layout.cost(piece, numbers).1 | *local == fields)
            };
            let piece = used.unit.pieces.iter().find(named)?;
            Some((used.unit.policy.as_deref(), *piece.causes.first()?))
        })
    }

    /// Entries of a unit for one local side.
    pub fn entries_of(&self, key: &UnitKey) -> u64 {
        let count = self.units.get(key).and_then(|used| used.counts.get(self.chosen));
        count.map_or(0, |count| count.entries)
    }

    /// The local sides of an address, each with its unit.
    pub fn locals_of<'a>(
        locals: &'a [(RuleKey, UnitKey)],
        ip: IpAddr,
    ) -> impl Iterator<Item = &'a (RuleKey, UnitKey)> + 'a {
        locals.iter().filter(move |(local, _)| local.local_ip == Some(ip))
    }
}

impl Totals {
    fn add(&mut self, used: &Used, needs: &super::layout::Count, sign: i64) {
        for (local, users) in &used.locals {
            let entries = u128::from(needs.entries) * u128::from(*users);
            self.rules = if sign > 0 { self.rules + entries } else { self.rules - entries };
            for tail in &needs.fields {
                count(&mut self.combinations, *tail | *local, sign * i64::from(*users));
            }
        }
    }
}

/// The sets of all pieces of some units.
fn sets_of(units: &[Arc<Unit>]) -> Vec<NamedSets<'_>> {
    units.iter().flat_map(|unit| unit.pieces.iter().map(named_sets)).collect()
}

fn count(all: &mut BTreeMap<MatchFields, u32>, fields: MatchFields, by: i64) {
    let count = all.entry(fields).or_default();
    *count = u32::try_from(i64::from(*count) + by).unwrap_or_default();
    if *count == 0 {
        all.remove(&fields);
    }
}
