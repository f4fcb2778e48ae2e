//! What the documents hold: policies, bindings with their local sides and entries of the base, and the units that they
//! have.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::HashMapExt;

use super::{Bound, MOST_ENTRIES, MOST_STEPS, MOST_TIMES, OfBinding, OfPolicy, State, Work, count};
use crate::policy::regions::Shape;
use crate::policy::{Binding, Document, Policy, RulePlace};
use crate::tables::arrange::lookups::Way;
use crate::tables::base::{Fixed, local_keys};
use crate::tables::refuse::{CompileError, LargestUser, document_origin};
use crate::tables::rules::BlockKey;
use crate::tables::units::diff::{Compared, Kept, compare, same_binding};
use crate::tables::units::origins::{Numbers, number};
use crate::tables::units::unit::{Alone, NO_POLICY, SharedShape, Unit, UnitKey, UnitShape, Used, unbound};
use crate::tables::usage::Table;
use crate::tables::{MatchFields, RuleKey, Target};
use crate::tables::{base, parallel};

/// Rules that are worth a thread where they are cut.
const WORTH: usize = 500;

/// A binding's local sides, and what they are made of.
struct Locals<'a> {
    /// The binding's place.
    at: usize,
    policy: Option<&'a Arc<Policy>>,
    locals: Vec<(RuleKey, UnitKey)>,
}

/// The refusal of units that take more of a table than is worth being counted; `all`: what each of them takes.
pub(super) fn far_too_much(
    document: &Document,
    (table, needed, there): (Table, u64, u64),
    all: &[(u64, Option<&Arc<Policy>>, &Unit)],
) -> CompileError {
    let mut policies: BTreeMap<&str, u64> = BTreeMap::new();
    for (used, policy, _) in all {
        let sum = policies.entry(policy.map_or("", |policy| policy.name.as_str())).or_default();
        *sum = sum.saturating_add(*used);
    }
    let largest = policies.into_iter().rev().max_by_key(|(_, used)| *used);
    let of_largest = |(_, policy, _): &&(u64, Option<&Arc<Policy>>, &Unit)| {
        policy.map(|policy| policy.name.as_str()) == largest.map(|(name, _)| name)
    };
    let unit = all.iter().filter(of_largest).max_by_key(|(used, ..)| *used);
    let at = unit.and_then(|(_, policy, unit)| match unit.largest_rule()? {
        // Units name the rules of their policy as if it were the first one.
        RulePlace::Policy(_, at) => Some(policy.as_ref()?.rules.get(at)?.origin.clone()),
        place => Some(document.rule(place)?.origin.clone()),
    });
    CompileError::DoesNotFit {
        at: at.unwrap_or_else(|| document_origin(document)),
        table,
        missing: needed.saturating_sub(there),
        largest: LargestUser {
            policy: largest.map(|(name, _)| name.to_owned()),
            used: largest.map_or(0, |(_, used)| used),
        },
        usage: Vec::new(),
    }
}

/// A unit that is to be made.
struct Fresh<'a> {
    key: &'a UnitKey,
    policy: Option<&'a Arc<Policy>>,
    /// Local sides that have it.
    users: u64,
}

impl Fresh<'_> {
    /// Entries that all of its local sides take at least.
    fn takes(&self, unit: &Unit) -> u64 {
        unit.least_entries().saturating_mul(self.users)
    }
}

/// Units by the places of their shapes.
type Made = foldhash::HashMap<*const UnitShape, Unit>;

impl State {
    pub(super) fn match_policies(&mut self, work: &mut Work, before: Option<&Document>, document: &Document) {
        let old = before.map_or(&[][..], |before| &before.policies);
        let name = |policy: &Arc<Policy>| policy.name.clone();
        let kept = compare(old, &document.policies, |a, b| a == b, name);
        let same_places = kept.same_places();
        work.same_names = same_places;
        if same_places && kept.all_equal() {
            return;
        }
        let mut anew = BTreeSet::new();
        if same_places {
            for (at, kept) in kept.middle() {
                self.policies[at] = self.matched(work, kept, Some(self.policies[at]), &document.policies[at]);
            }
        } else {
            let was = std::mem::take(&mut self.policies);
            for (policy, kept) in document.policies.iter().zip(kept.iter()) {
                let before = match kept {
                    Kept::Equal(at) | Kept::Changed(at) => Some(was[at]),
                    Kept::New => None,
                };
                let is = self.matched(work, kept, before, policy);
                self.policies.push(is);
            }
            let names: HashSet<u32> = self.policies.iter().map(|policy| policy.name).collect();
            anew.extend(was.iter().map(|policy| policy.name).filter(|name| !names.contains(name)));
        }
        anew.extend(&work.policies);
        for name in anew {
            let from = (name, SharedShape::new(Shape::least()));
            let all = self.units.starting_at(&from).take_while(|((of, _), _)| *of == name);
            for (key, used) in all.map(|(key, used)| (key.clone(), used.clone())).collect::<Vec<_>>() {
                self.units.remove(&key);
                work.touched.insert(key, Some(used));
            }
        }
    }

    /// A policy and its numbers, from what it was.
    fn matched(&mut self, work: &mut Work, kept: Kept, was: Option<OfPolicy>, policy: &Policy) -> OfPolicy {
        let mut is = was.unwrap_or_else(|| {
            self.next_policy += 1;
            OfPolicy { name: self.next_policy - 1, numbers: Numbers { first: 0, room: 0 } }
        });
        if !matches!(kept, Kept::Equal(_)) {
            work.policies.insert(is.name);
            let rules = number(policy.rules.len());
            if rules > is.numbers.room {
                is.numbers = Numbers { first: self.next_number, room: rules };
                self.next_number += rules;
            }
        }
        is
    }

    pub(super) fn match_bindings(
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
        let same_places = kept.same_places();
        let mut relink = Vec::new();
        if same_places && kept.all_equal() && work.same_names {
            let touched = |of: &OfBinding| work.policies.contains(&of.policy);
            relink.extend(self.bindings.iter().enumerate().filter(|(_, of)| touched(of)).map(|(at, _)| (at, false)));
        } else {
            relink = self.renumber(work, document, &kept);
        }
        for (at, changed) in &relink {
            if *changed {
                self.unlink(work, self.bindings[*at].number, document);
            }
        }
        let mut alone = Alone::of(document);
        let locals = self.locals(&relink, document, target, &mut alone);
        let mut made = self.make_units(&locals, document, target)?;
        for (locals, changed) in locals {
            self.link(work, locals, changed, document, (&mut alone, &mut made))?;
        }
        Ok(())
    }

    /// The local sides of bindings to be put in, each with the name of its unit; equal names of units are one value.
    fn locals<'a>(
        &self,
        relink: &[(usize, bool)],
        document: &'a Document,
        target: &Target,
        alone: &mut Alone,
    ) -> Vec<(Locals<'a>, bool)> {
        let mut shapes: foldhash::HashMap<u32, foldhash::HashSet<SharedShape>> = foldhash::HashMap::new();
        let mut out = Vec::with_capacity(relink.len());
        for (at, changed) in relink {
            let (binding, name) = (&document.bindings[*at], self.bindings[*at].policy);
            let policy = document.policies.get(binding.policy);
            let shapes = shapes.entry(name).or_default();
            let mut locals = Vec::new();
            for ip in &binding.ips {
                let sides = local_keys(binding, *ip, target);
                let mut shape = UnitShape::from(Shape::of(alone.with(policy), 0, binding.open_nd, *ip));
                if self.order.way != Way::Allows {
                    shape.names = sides.iter().fold(MatchFields::empty(), |all, side| all | side.fields());
                }
                let shape = shapes.get(&shape).cloned().unwrap_or_else(|| {
                    let shape = SharedShape::new(shape);
                    shapes.insert(shape.clone());
                    shape
                });
                locals.extend(sides.into_iter().map(|side| (side, (name, shape.clone()))));
            }
            out.push((Locals { at: *at, policy, locals }, *changed));
        }
        out
    }

    /// The units of local sides that are not there yet, as far as they are made with the steps that are left; those that
    /// cannot be made are not among them. Refused where what was made takes far more entries than there are.
    fn make_units(
        &self,
        locals: &[(Locals<'_>, bool)],
        document: &Document,
        target: &Target,
    ) -> Result<Made, CompileError> {
        let mut places: foldhash::HashMap<*const UnitShape, Option<usize>> = foldhash::HashMap::new();
        let mut fresh: Vec<Fresh<'_>> = Vec::new();
        for (of, _) in locals {
            for (_, key) in &of.locals {
                let place = places.entry(key.1.place()).or_insert_with(|| {
                    let is_new = self.units.get(key).is_none();
                    is_new.then(|| {
                        fresh.push(Fresh { key, policy: of.policy, users: 0 });
                        fresh.len() - 1
                    })
                });
                if let Some(place) = *place {
                    fresh[place].users += 1;
                }
            }
        }
        let room = u64::from(target.profile.rules);
        let most = room.saturating_mul(MOST_TIMES).max(MOST_ENTRIES);
        let (left, entries) = (AtomicU64::new(MOST_STEPS.saturating_sub(self.steps)), AtomicU64::new(0));
        let make = |alone: &mut Alone, of: &Fresh<'_>| {
            if entries.load(Ordering::Relaxed) > most {
                return None;
            }
            let mut steps = left.load(Ordering::Relaxed);
            let unit = Unit::new(alone, of.policy, &of.key.1, &self.order, &mut steps).ok()?;
            let taken = |left: u64| Some(left.saturating_sub(unit.steps));
            // Steps that are taken at a time by several threads only make them stop later.
            let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
            entries.fetch_add(of.takes(&unit), Ordering::Relaxed);
            Some(unit)
        };
        let rules: usize = fresh.iter().map(|of| of.key.1.shape.rules.len()).sum();
        let made = parallel::map(&fresh, rules / WORTH, || Alone::of(document), make);
        if entries.into_inner() > most {
            let made = fresh.iter().zip(&made).filter_map(|(of, unit)| Some((of, unit.as_ref()?)));
            let all: Vec<_> = made.map(|(of, unit)| (of.takes(unit), of.policy, unit)).collect();
            let needed = all.iter().fold(0, |sum: u64, (entries, ..)| sum.saturating_add(*entries));
            return Err(far_too_much(document, (Table::Rules, needed, room), &all));
        }
        Ok(fresh.iter().zip(made).filter_map(|(of, unit)| Some((of.key.1.place(), unit?))).collect())
    }

    /// Numbers the bindings; returns the places of those to be put in, and whether they are others than before.
    fn renumber(&mut self, work: &mut Work, document: &Document, kept: &Compared) -> Vec<(usize, bool)> {
        let was = std::mem::take(&mut self.bindings);
        let mut stay: HashSet<usize> = HashSet::new();
        let mut relink = Vec::new();
        for (at, (binding, kept)) in document.bindings.iter().zip(kept.iter()).enumerate() {
            let policy = self.policies.get(binding.policy).map_or(NO_POLICY, |policy| policy.name);
            let (is, changed) = match kept {
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
        let closed = document.unbound == crate::terms::Verdict::Deny;
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
        Locals { at, policy, locals }: Locals<'_>,
        changed: bool,
        document: &Document,
        (alone, made): (&mut Alone, &mut Made),
    ) -> Result<(), CompileError> {
        let (binding, of) = (&document.bindings[at], self.bindings[at]);
        work.bindings.insert(at);
        for (local, key) in &locals {
            self.use_unit(work, alone, policy, key, *local, made.remove(&key.1.place()))?;
        }
        self.bound.insert(of.number, Arc::new(Bound { binding: binding.clone(), locals }));
        if changed {
            self.macs.insert((binding.mac, of.number), ());
            let closed = document.unbound == crate::terms::Verdict::Deny;
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
        made: Option<Unit>,
    ) -> Result<(), CompileError> {
        if let Some(used) = self.units.get_mut(key) {
            work.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            *Arc::make_mut(used).locals.entry(local.fields()).or_default() += 1;
            return Ok(());
        }
        let mut left = MOST_STEPS.saturating_sub(self.steps);
        let unit = match made.filter(|unit| unit.steps <= left) {
            Some(unit) => unit,
            None => Unit::new(alone, policy, &key.1, &self.order, &mut left)?,
        };
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

    pub(super) fn link_unbound(
        &mut self,
        work: &mut Work,
        document: &Document,
        target: &Target,
    ) -> Result<(), CompileError> {
        let mut alone = Alone::of(document);
        let mut all = Vec::new();
        for (local, shape) in unbound(document, target)? {
            let key = (NO_POLICY, SharedShape::new(shape));
            self.use_unit(work, &mut alone, None, &key, local, None)?;
            all.push((local, key));
        }
        work.unbound = true;
        self.unbound = Arc::new(all);
        Ok(())
    }

    pub(super) fn set_fixed(&mut self, work: &mut Work, key: RuleKey, fixed: Option<Fixed>) {
        work.blocks.insert(BlockKey::of(&key));
        let (is, fields) = (fixed.is_some(), key.fields());
        let was = match fixed {
            Some(fixed) => self.fixed.insert(key, Arc::new(fixed)).is_some(),
            None => self.fixed.remove(&key).is_some(),
        };
        count(&mut self.fixed_fields, fields, i64::from(is) - i64::from(was));
    }
}
