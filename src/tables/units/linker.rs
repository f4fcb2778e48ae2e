//! Puts policies and bindings into the units of a document, or takes them out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::HashMapExt;

use super::diff::{Compared, Kept, compare, same_binding};
use super::kept::{BindingState, Bound, Dirty, Linked, PolicyState, UnitChanges, Units};
use super::origins::{Numbers, number};
use super::too_much::{MOST_TIMES, Taking, far_too_much};
use super::unit::{NO_POLICY, OnePolicyDocument, SharedShape, Unit, UnitKey, UnitShape, Used, unbound};
use crate::policy::regions::{Budget, Shape, SharedBudget};
use crate::policy::{Binding, Document, Policy};
use crate::tables::arrange::lookups::Strategy;
use crate::tables::base::{self, BaseEntry, local_keys};
use crate::tables::parallel;
use crate::tables::refuse::CompileError;
use crate::tables::rules::BlockKey;
use crate::tables::usage::{Need, Table};
use crate::tables::{MatchFields, RuleKey, Target};
use crate::terms::Verdict;

/// What cutting all units into regions may cost: a second or two.
const MOST_STEPS: u64 = 1 << 30;

/// Entries that are made for a document that may not fit, so that what is missing is said exactly: as many as this, or
/// [`MOST_TIMES`] as many as the table has. Where there are more, the rest is not made.
const MOST_ENTRIES: u64 = 1 << 15;

/// Rules that are worth a thread where they are cut.
const WORTH: usize = 500;

/// Where the policies of two documents stand. [`Linker::match_bindings`] needs it.
pub(super) struct PolicyPlaces {
    /// Every place has the policy of the name that it had.
    same: bool,
}

/// A binding to be put in.
struct Relink {
    /// Its place.
    at: usize,
    /// It is not the one that was there.
    changed: bool,
}

/// A binding to be put in with its local sides.
struct Locals<'a> {
    of: Relink,
    policy: Option<&'a Arc<Policy>>,
    locals: Vec<(RuleKey, UnitKey)>,
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

/// Units on their way from one document to another.
pub(super) struct Linker<'a> {
    document: &'a Document,
    target: &'a Target,
    units: Units,
    changes: UnitChanges,
    dirty: Dirty,
}

impl<'a> Linker<'a> {
    pub fn new(units: Units, document: &'a Document, target: &'a Target) -> Self {
        Self { document, target, units, changes: UnitChanges::default(), dirty: Dirty::default() }
    }

    /// Begins with the base entries of the document as a whole, and the numbers of its management rules.
    pub fn base_of_document(&mut self) {
        self.units.next.number = number(self.document.management.len());
        for (key, entry) in base::of_document(self.document, self.target) {
            self.set_base(key, Some(entry));
        }
    }

    /// Names the policies, and takes out the units of those whose rules are not what they were.
    pub fn match_policies(&mut self, before: Option<&Document>) -> PolicyPlaces {
        let old = before.map_or(&[][..], |before| &before.policies);
        let document = self.document;
        let kept = compare(old, &document.policies, |a, b| a == b, |policy| policy.name.clone());
        let same = kept.same_places();
        if same && kept.all_equal() {
            return PolicyPlaces { same };
        }
        let mut anew = BTreeSet::new();
        if same {
            for (at, kept) in kept.middle() {
                self.units.policies[at] = self.matched(kept, Some(self.units.policies[at]), &document.policies[at]);
            }
        } else {
            let was = std::mem::take(&mut self.units.policies);
            for (policy, kept) in document.policies.iter().zip(kept.iter()) {
                let before = match kept {
                    Kept::Equal(at) | Kept::Changed(at) => Some(was[at]),
                    Kept::New => None,
                };
                let is = self.matched(kept, before, policy);
                self.units.policies.push(is);
            }
            let names: HashSet<u32> = self.units.policies.iter().map(|policy| policy.name).collect();
            anew.extend(was.iter().map(|policy| policy.name).filter(|name| !names.contains(name)));
        }
        anew.extend(&self.dirty.policies);
        for name in anew {
            let from = (name, SharedShape::new(Shape::least()));
            let all = self.units.used.starting_at(&from).take_while(|((of, _), _)| *of == name);
            for (key, used) in all.map(|(key, used)| (key.clone(), used.clone())).collect::<Vec<_>>() {
                self.units.used.remove(&key);
                self.changes.touched.insert(key, Some(used));
            }
        }
        PolicyPlaces { same }
    }

    /// A policy and its numbers, from what it was.
    fn matched(&mut self, kept: Kept, was: Option<PolicyState>, policy: &Policy) -> PolicyState {
        let next = &mut self.units.next;
        let mut is = was.unwrap_or_else(|| {
            next.policy += 1;
            PolicyState { name: next.policy - 1, numbers: Numbers { first: 0, room: 0 } }
        });
        if !matches!(kept, Kept::Equal(_)) {
            self.dirty.policies.insert(is.name);
            let rules = number(policy.rules.len());
            if rules > is.numbers.room {
                is.numbers = Numbers { first: next.number, room: rules };
                next.number += rules;
            }
        }
        is
    }

    /// Puts in the bindings that are new, or changed, or have the units of a policy that did.
    pub fn match_bindings(&mut self, before: Option<&Document>, policies: PolicyPlaces) -> Result<(), CompileError> {
        let old = before.map_or(&[][..], |before| &before.bindings);
        // Where policies keep their places, a binding with another place has another policy.
        let same = |a: &Arc<Binding>, b: &Arc<Binding>| same_binding(a, b) && (!policies.same || a.policy == b.policy);
        let kept = compare(old, &self.document.bindings, same, |binding| binding.container.clone());
        let relink = if kept.same_places() && kept.all_equal() && policies.same {
            let touched = |of: &BindingState| self.dirty.policies.contains(&of.policy);
            let all = self.units.bindings.iter().enumerate().filter(|(_, of)| touched(of));
            all.map(|(at, _)| Relink { at, changed: false }).collect()
        } else {
            self.renumber(&kept)
        };
        for of in relink.iter().filter(|of| of.changed) {
            self.unlink(self.units.bindings[of.at].number);
        }
        let locals = self.locals(relink);
        let mut made = self.make_units(&locals)?;
        locals.into_iter().try_for_each(|locals| self.link(locals, &mut made))
    }

    /// For each binding to be put in its local sides, each with the name of its unit. Equal names are one value in memory.
    fn locals(&self, relink: Vec<Relink>) -> Vec<Locals<'a>> {
        let document = self.document;
        let mut one_policy = OnePolicyDocument::of(document);
        let mut shapes: foldhash::HashMap<u32, foldhash::HashSet<SharedShape>> = foldhash::HashMap::new();
        let mut out = Vec::with_capacity(relink.len());
        for of in relink {
            let (binding, name) = (&document.bindings[of.at], self.units.bindings[of.at].policy);
            let policy = document.policies.get(binding.policy);
            let shapes = shapes.entry(name).or_default();
            let mut locals = Vec::new();
            for ip in &binding.ips {
                let sides = local_keys(binding, *ip, self.target);
                let mut shape = UnitShape::from(Shape::of(one_policy.with(policy), 0, binding.open_nd, *ip));
                if self.units.order.strategy != Strategy::Allows {
                    shape.names = sides.iter().fold(MatchFields::empty(), |all, side| all | side.fields());
                }
                let shape = shapes.get(&shape).cloned().unwrap_or_else(|| {
                    let shape = SharedShape::new(shape);
                    shapes.insert(shape.clone());
                    shape
                });
                locals.extend(sides.into_iter().map(|side| (side, (name, shape.clone()))));
            }
            out.push(Locals { of, policy, locals });
        }
        out
    }

    /// The units of local sides that are not there yet, as far as they are made with the steps that are left; those that
    /// cannot be made are not among them. Refused where what was made takes far more entries than there are.
    fn make_units(&self, locals: &[Locals<'_>]) -> Result<Made, CompileError> {
        let (units, document) = (&self.units, self.document);
        let mut places: foldhash::HashMap<*const UnitShape, Option<usize>> = foldhash::HashMap::new();
        let mut fresh: Vec<Fresh<'_>> = Vec::new();
        for of in locals {
            for (_, key) in &of.locals {
                let place = places.entry(key.1.place()).or_insert_with(|| {
                    let is_new = units.used.get(key).is_none();
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
        let available = u64::from(self.target.profile.rules);
        let most = available.saturating_mul(MOST_TIMES).max(MOST_ENTRIES);
        let (budget, entries) = (SharedBudget::of(self.steps_left()), AtomicU64::new(0));
        let make = |one_policy: &mut OnePolicyDocument, of: &Fresh<'_>| {
            if entries.load(Ordering::Relaxed) > most {
                return None;
            }
            let own = budget.begin();
            let unit = Unit::new(one_policy, of.policy, &of.key.1, &units.order, &own).ok()?;
            budget.settle(&own);
            entries.fetch_add(of.takes(&unit), Ordering::Relaxed);
            Some(unit)
        };
        let rules: usize = fresh.iter().map(|of| of.key.1.shape.rules.len()).sum();
        let made = parallel::map(&fresh, rules / WORTH, || OnePolicyDocument::of(document), make);
        if entries.into_inner() > most {
            let made = fresh.iter().zip(&made).filter_map(|(of, unit)| Some((of, unit.as_ref()?)));
            let all: Vec<_> = made.map(|(of, unit)| Taking { unit, takes: of.takes(unit) }).collect();
            let needed = all.iter().fold(0, |sum: u64, of| sum.saturating_add(of.takes));
            return Err(far_too_much(document, Need { table: Table::Rules, needed, available }, &all));
        }
        Ok(fresh.iter().zip(made).filter_map(|(of, unit)| Some((of.key.1.place(), unit?))).collect())
    }

    fn steps_left(&self) -> u64 {
        MOST_STEPS.saturating_sub(self.units.steps)
    }

    /// Numbers the bindings; returns those to be put in.
    fn renumber(&mut self, kept: &Compared) -> Vec<Relink> {
        let units = &mut self.units;
        let was = std::mem::take(&mut units.bindings);
        let mut stay: HashSet<usize> = HashSet::new();
        let mut relink = Vec::new();
        for (at, (binding, kept)) in self.document.bindings.iter().zip(kept.iter()).enumerate() {
            let policy = units.policies.get(binding.policy).map_or(NO_POLICY, |policy| policy.name);
            let (is, changed) = match kept {
                Kept::Equal(before) | Kept::Changed(before) => {
                    stay.insert(before);
                    let changed = matches!(kept, Kept::Changed(_)) || policy != was[before].policy;
                    (BindingState { policy, ..was[before] }, changed)
                }
                Kept::New => {
                    units.next.number += 1;
                    (BindingState { number: units.next.number - 1, policy }, true)
                }
            };
            units.bindings.push(is);
            if changed || self.dirty.policies.contains(&is.policy) {
                relink.push(Relink { at, changed });
            }
        }
        let gone = was.iter().enumerate().filter(|(at, _)| !stay.contains(at)).map(|(_, of)| of.number);
        self.dirty.ended.extend(gone);
        for number in self.dirty.ended.clone() {
            self.unlink(number);
        }
        relink
    }

    /// Takes a binding out: its local sides and its base entries.
    fn unlink(&mut self, number: u32) {
        let Some(bound) = self.units.bound.remove(&number) else { return };
        self.release(&bound);
        self.units.macs.remove(&(bound.binding.mac, number));
        for (key, _) in base::of_binding(&bound.binding, self.is_closed()) {
            let Some(mut entry) = self.units.base.get(&key).cloned() else { continue };
            entry.bindings.remove(&number);
            let ended = entry.bindings.is_empty() && entry.management.is_empty() && !entry.of_document;
            self.set_base(key, (!ended).then_some(entry));
        }
    }

    /// True if what nobody bound is denied.
    fn is_closed(&self) -> bool {
        self.document.unbound == Verdict::Deny
    }

    fn release(&mut self, bound: &Bound) {
        for (local, key) in &bound.locals {
            // The units of policies that changed are gone already.
            let Some(used) = self.units.used.get_mut(key) else { continue };
            self.changes.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            let count = Arc::make_mut(used).locals.entry(local.fields()).or_default();
            *count = count.saturating_sub(1);
        }
    }

    /// Puts a binding in; its base entries too, if it is not the one that was there.
    fn link(&mut self, Locals { of, policy, locals }: Locals<'_>, made: &mut Made) -> Result<(), CompileError> {
        let (binding, state) = (&self.document.bindings[of.at], self.units.bindings[of.at]);
        self.dirty.bindings.insert(of.at);
        for (local, key) in &locals {
            self.use_unit(policy, key, *local, made.remove(&key.1.place()))?;
        }
        self.units.bound.insert(state.number, Arc::new(Bound { binding: binding.clone(), locals }));
        if of.changed {
            self.units.macs.insert((binding.mac, state.number), ());
            for (key, fresh) in base::of_binding(binding, self.is_closed()) {
                let mut entry = self.units.base.get(&key).cloned().unwrap_or(fresh);
                entry.bindings.insert(state.number);
                self.set_base(key, Some(entry));
            }
        }
        Ok(())
    }

    /// Gives a unit another local side; makes it, if it is not there, of `made` where that was within the steps.
    fn use_unit(
        &mut self,
        policy: Option<&Arc<Policy>>,
        key: &UnitKey,
        local: RuleKey,
        made: Option<Unit>,
    ) -> Result<(), CompileError> {
        if let Some(used) = self.units.used.get_mut(key) {
            self.changes.touched.entry(key.clone()).or_insert_with(|| Some(used.clone()));
            *Arc::make_mut(used).locals.entry(local.fields()).or_default() += 1;
            return Ok(());
        }
        let left = self.steps_left();
        let unit = match made.filter(|unit| unit.steps <= left) {
            Some(unit) => unit,
            None => {
                let mut one_policy = OnePolicyDocument::of(self.document);
                Unit::new(&mut one_policy, policy, &key.1, &self.units.order, &Budget::of(left))?
            }
        };
        self.units.steps += unit.steps;
        self.changes.touched.entry(key.clone()).or_default();
        let used = Used { unit: Arc::new(unit), locals: BTreeMap::from([(local.fields(), 1)]) };
        self.units.used.insert(key.clone(), Arc::new(used));
        self.changes.fresh.insert(key.clone());
        Ok(())
    }

    /// Puts in the addresses of the host that management rules name.
    pub fn link_unbound(&mut self) -> Result<(), CompileError> {
        let mut all = Vec::new();
        for (local, shape) in unbound(self.document, self.target)? {
            let key = (NO_POLICY, SharedShape::new(shape));
            self.use_unit(None, &key, local, None)?;
            all.push((local, key));
        }
        self.dirty.unbound = true;
        self.units.unbound = Arc::new(all);
        Ok(())
    }

    fn set_base(&mut self, key: RuleKey, entry: Option<BaseEntry>) {
        self.dirty.blocks.insert(BlockKey::of(&key));
        self.units.base.set(key, entry);
    }

    /// Ends the units that no local side has any more.
    pub fn finish(mut self) -> Linked {
        for (key, before) in &self.changes.touched {
            let ended = self.units.used.get(key).is_some_and(|used| used.locals.values().all(|count| *count == 0));
            if ended {
                self.units.used.remove(key);
            }
            let is = self.units.unit(key);
            let gone = before.as_ref().filter(|was| is.is_none_or(|unit| !Arc::ptr_eq(unit, &was.unit)));
            self.units.steps -= gone.map_or(0, |used| used.unit.steps);
        }
        Linked { units: self.units, changes: self.changes, dirty: self.dirty }
    }
}
