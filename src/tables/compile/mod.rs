//! The compiler: from a document to the content of every table of one adapter, or to the reason why it does not fit.
//!
//! The way of the data:
//!
//! ```text
//! Document -> units -> regions -> pieces -> layout -> ids, entries, counters -> Image -> proof
//! ```
//!
//! - A [`regions::Shape`] is what a local address takes from its policy; a [`units::Unit`] is made once for all addresses
//!   that have policy and shape in common.
//! - Its *regions* are disjoint and say for every frame what becomes of it, and why.
//! - Its *pieces* are the allowed regions as an unordered table can say them; what it cannot say is refused here. Under a
//!   ranked order they may be denies too, and lie over each other: [`paint`]; [`ranked`] takes the better of both.
//! - The *layout* chooses for the whole document which addresses and ports are named by value and which by id.
//! - The *proof* compares image and document on at least one frame of every class that either tells apart.
//! - Where there are many units, blocks or local sides they are shared out among threads, as many as there are cores; the
//!   result does not depend on that ([`parallel`]).
//!
//! Everything is a pure function of document, target and previous result. All of it is kept in a [`state::State`]: a
//! compilation starts from the one before it and does what the change touches.
#![expect(clippy::indexing_slicing, reason = "positions in lists that it makes itself, of a document that was checked")]

mod assemble;
mod base;
mod counters;
mod diff;
mod entries;
mod ids;
mod layout;
mod lookups;
mod maps;
mod origins;
mod paint;
mod parallel;
mod pieces;
mod points;
mod progress;
mod prove;
mod ranked;
mod refuse;
mod resume;
mod sets;
mod state;
mod units;
mod usage;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use self::assemble::assemble;
use self::diff::is_same_frame;
use self::lookups::Lookups;
use self::origins::Origins;
use self::prove::Proof;
use self::prove::named::Named;
use self::prove::near::Meaning;
use self::refuse::document_origin;
use self::state::{State, Work};
use self::usage::Shares;
use super::{Image, OriginId, Rules};
use crate::policy::{Binding, Difference, Document, Policy};
use crate::tables::{CounterId, LookupOrder, Target};
use crate::terms::Verdict;

pub use self::counters::CounterSlot;
pub use self::origins::OriginSource;
pub use self::progress::Progress;
pub use self::refuse::{CompileError, Denied, DeniedBy, GroupsTaken, LargestUser};
pub use self::usage::{Table, Usage};

/// A document compiled for one adapter. A copy costs next to nothing.
#[derive(Debug, Clone)]
pub struct Compiled {
    document: Document,
    target: Target,
    image: Image,
    state: State,
    usage: OnceLock<Vec<Usage>>,
    origins: OnceLock<Origins>,
    slots: OnceLock<BTreeMap<CounterId, CounterSlot>>,
}

impl Compiled {
    /// Compiles a document for an adapter. With the result for the document before it, ids and counters of what stays the
    /// same are the same, and the work is in proportion to what changed: best where the document is a changed copy of the
    /// one before, because then what stays is known to be equal without a look inside. Much work is shared out among up to
    /// eight threads, which end before it returns.
    ///
    /// # Errors
    /// [`CompileError`] if a table is too small or cannot say what a rule says; nothing is rounded.
    pub fn new(document: &Document, target: &Target, previous: Option<&Self>) -> Result<Self, CompileError> {
        Self::watched(document, target, previous, &mut |_| ())
    }

    /// As [`Self::new`]; whoever waits is told what it begins to do.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn watched(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Self, CompileError> {
        Self::prove_if(document, target, previous, (true, watch))
    }

    /// As [`Self::new`], without the proof: for measurements alone, never to be applied.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[cfg(feature = "raw")]
    pub fn unproved(document: &Document, target: &Target, previous: Option<&Self>) -> Result<Self, CompileError> {
        Self::prove_if(document, target, previous, (false, &mut |_| ()))
    }

    /// Steps that cutting the rules of all policies into regions took, of some nanoseconds each: a measure of work that
    /// does not depend on the machine.
    #[cfg(feature = "raw")]
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state.steps
    }

    fn prove_if(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        (prove, watch): (bool, &mut dyn FnMut(Progress)),
    ) -> Result<Self, CompileError> {
        // Under a ranked order the best way to use it depends on the whole document.
        let same_frame = |before: &&Self| {
            target.profile.order == LookupOrder::Unordered
                && before.target == *target
                && is_same_frame(&before.document, document)
        };
        if let Some(before) = previous.filter(same_frame) {
            // Whatever is refused is refused with what a whole compilation says.
            if let Ok(after) = before.changed(document, (prove, watch)) {
                return Ok(after);
            }
        }
        Self::whole(document, target, previous, (prove, watch))
    }

    fn whole(
        document: &Document,
        target: &Target,
        previous: Option<&Self>,
        (prove, watch): (bool, &mut dyn FnMut(Progress)),
    ) -> Result<Self, CompileError> {
        check(document, target)?;
        watch(rules_of(document));
        // Ids and tries mean nothing in tables of another size.
        let previous = previous.filter(|before| before.target.sizes == target.sizes);
        let ids = previous.map(|before| (&before.image, before.state.maps.elsewhere));
        let (state, work) = match Lookups::of(document, target)? {
            None => State::default().update(None, document, target, ids)?,
            Some(lookups) => ranked::best(document, target, ids, lookups)?,
        };
        watch(Progress::Tables);
        let (image, mut state) = assemble(state, &work, document, target, Rules::new(), previous, true)?;
        state.meaning = Meaning::of(&image, &state.meaning);
        state.named = Named::of(&image, None);
        let proof = Proof { document, target, image: &image, state: &state };
        if prove {
            watch(Progress::Proof { entries: image.rules.len() });
            proof.all()?;
        }
        Ok(Self::of(document, target, image, state))
    }

    /// The result for a document that differs in policies and bindings alone.
    fn changed(
        &self,
        document: &Document,
        (prove, watch): (bool, &mut dyn FnMut(Progress)),
    ) -> Result<Self, CompileError> {
        let target = &self.target;
        watch(rules_of(document));
        let ids = Some((&self.image, self.state.maps.elsewhere));
        let (state, work) = self.state.clone().update(Some(&self.document), document, target, ids)?;
        check_changed(document, target, &state, &work)?;
        watch(Progress::Tables);
        let (image, mut state) = assemble(state, &work, document, target, self.image.rules.clone(), Some(self), false)?;
        state.meaning = Meaning::of(&image, &state.meaning);
        state.named = Named::of(&image, Some((&self.image, &self.state.named)));
        let proof = Proof { document, target, image: &image, state: &state };
        if prove {
            watch(Progress::Proof { entries: image.rules.len() });
            proof.of(&work, self)?;
        }
        Ok(Self::of(document, target, image, state))
    }

    fn of(document: &Document, target: &Target, image: Image, state: State) -> Self {
        let (usage, origins, slots) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { document: document.clone(), target: target.clone(), image, state, usage, origins, slots }
    }

    /// The content of every table.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The document that was compiled.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The adapter that it was compiled for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What changes from this to `new`: [`Document::diff`] for adapters of either target.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Difference> {
        let ports = self.target.physical_ports.max(new.target.physical_ports);
        self.document.diff(&new.document, ports)
    }

    /// How full each table gets, and who fills it.
    #[must_use]
    pub fn usage(&self) -> &[Usage] {
        self.usage.get_or_init(|| {
            let mut usage = shares(&self.document, &self.state).map(|shares| shares.usage()).unwrap_or_default();
            let numbers: Vec<u32> = self.state.bindings.iter().map(|of| of.number).collect();
            usage.push(self.state.counters.usage(&self.document, &numbers, self.target.profile.counters));
            usage
        })
    }

    /// What an [`OriginId`] of the image stands for.
    #[must_use]
    pub fn origin(&self, id: OriginId) -> Option<OriginSource> {
        let origins = self.origins.get_or_init(|| Origins::of_state(&self.document, &self.state));
        origins.get(id, &self.document)
    }

    /// What each counter counts. The ids are places from 0; the adapter's own are allocated when they are applied.
    #[must_use]
    pub fn counter_slots(&self) -> &BTreeMap<CounterId, CounterSlot> {
        self.slots.get_or_init(|| {
            let container = |number| Some(self.state.bound.get(&number)?.binding.container.clone());
            self.state.counters.slots(&self.image.rules, container)
        })
    }

    /// What may surprise the reader of the document, one sentence each: its own warnings, then those of the tables.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out: Vec<String> = self.document.warnings().iter().map(ToString::to_string).collect();
        if self.state.counters.uncounted > 0 {
            out.push(format!(
                "{} entries go without a counter: {} counters are needed, the adapter has {}",
                self.state.counters.uncounted, self.state.counters.needed, self.target.profile.counters
            ));
        }
        for policy in &self.document.policies {
            if !policy.rules.is_empty() && policy.rules.iter().all(|rule| rule.ports.is_some()) {
                out.push(format!(
                    "{}:{}: all rules of policy {} name ports, so later fragments are denied",
                    self.document.name, policy.line, policy.name
                ));
            }
        }
        out
    }
}

fn rules_of(document: &Document) -> Progress {
    Progress::Rules { policies: document.policies.len(), bindings: document.bindings.len() }
}

/// What an adapter refuses whatever the sizes of its tables.
fn check(document: &Document, target: &Target) -> Result<(), CompileError> {
    if target.profile.no_match == Verdict::Deny && document.unbound == Verdict::Allow {
        return Err(CompileError::UnboundAllow { at: document_origin(document) });
    }
    document.bindings.iter().try_for_each(|binding| check_binding(binding, target))?;
    if target.profile.order != LookupOrder::Unordered {
        return Ok(());
    }
    document.policies.iter().try_for_each(|policy| check_policy(policy))
}

/// As [`check`], of what the work touches.
fn check_changed(document: &Document, target: &Target, state: &State, work: &Work) -> Result<(), CompileError> {
    let bindings = work.bindings.iter().filter_map(|at| document.bindings.get(*at));
    bindings.into_iter().try_for_each(|binding| check_binding(binding, target))?;
    let policies = document.policies.iter().zip(&state.policies);
    policies.filter(|(_, of)| work.policies.contains(&of.name)).try_for_each(|(policy, _)| check_policy(policy))
}

fn check_binding(binding: &Binding, target: &Target) -> Result<(), CompileError> {
    match binding.physical_ports.iter().find(|port| **port >= target.physical_ports) {
        Some(port) => {
            let (at, available) = (binding.origin.clone(), target.physical_ports);
            Err(CompileError::PhysicalPort { at, port: *port, available })
        }
        None => Ok(()),
    }
}

fn check_policy(policy: &Policy) -> Result<(), CompileError> {
    match policy.rules.iter().find(|rule| rule.sample && rule.action == Verdict::Deny) {
        Some(rule) => Err(CompileError::SampledDeny { at: rule.origin.clone() }),
        None => Ok(()),
    }
}

fn shares<'a>(document: &'a Document, state: &'a State) -> Option<Shares<'a>> {
    let of_unit = |key| Some((&*state.units.get(key)?.unit, state.entries_of(key)));
    let units = state.bindings.iter().map(|of| {
        let locals = state.bound.get(&of.number).into_iter().flat_map(|bound| &bound.locals);
        locals.filter_map(|(_, key)| of_unit(key)).collect()
    });
    let unbound = state.unbound.iter().filter_map(|(_, key)| Some(&*state.units.get(key)?.unit)).collect();
    let layout = state.layout()?;
    let lists = state.all_sets();
    let all = state.units.iter().map(|(_, used)| (Arc::as_ptr(&used.unit), lists.numbers(&used.unit.pieces)));
    let (numbers, units) = (all.collect(), units.collect());
    Some(Shares { document, layout, needs: &state.needs, units, unbound, numbers })
}

/// The refusal, where a table is too small; the origin is the rule that uses most of it.
fn does_not_fit(document: &Document, state: &State) -> Option<CompileError> {
    let (table, needed, there) = *state.needs.iter().find(|(_, needed, there)| needed > there)?;
    let shares = shares(document, state)?;
    let largest = shares.of(table).0.into_iter().next().filter(|(_, used)| *used > 0);
    let policy = largest.as_ref().and_then(|(name, _)| document.policies.iter().position(|p| p.name == *name));
    let place = shares.largest_rule(table, policy);
    let at = place.and_then(|place| document.rule(place)).map(|rule| rule.origin.clone());
    let used = largest.as_ref().map_or(0, |(_, used)| *used);
    let largest = LargestUser { policy: largest.map(|(name, _)| name), used };
    let (at, missing) = (at.unwrap_or_else(|| document_origin(document)), needed - there);
    Some(CompileError::DoesNotFit { at, table, missing, largest, usage: shares.usage() })
}
