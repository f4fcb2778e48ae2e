//! What the documents hold: policies, bindings with their local sides and entries of the base, and the units that they
//! have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::{Bound, MOST_STEPS, OfBinding, OfPolicy, State, Work, count};
use crate::policy::compile::base::{self, Fixed, local_keys};
use crate::policy::compile::diff::{Kept, compare, same_binding};
use crate::policy::compile::lookups::Way;
use crate::policy::compile::origins::{Numbers, number};
use crate::policy::compile::refuse::CompileError;
use crate::policy::compile::regions::Shape;
use crate::policy::compile::units::{Alone, NO_POLICY, Unit, UnitKey, Used, unbound};
use crate::policy::rules::BlockKey;
use crate::policy::{Binding, Document, Policy};
use crate::tables::{MatchFields, RuleKey, Target};

impl State {
    pub(super) fn match_policies(&mut self, work: &mut Work, before: Option<&Document>, document: &Document) {
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

    pub(super) fn link_unbound(
        &mut self,
        work: &mut Work,
        document: &Document,
        target: &Target,
    ) -> Result<(), CompileError> {
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
