//! The compiler: from a document to the content of every table of one adapter, or to the reason why it does not fit.
//!
//! The way of the data:
//!
//! ```text
//! Document -> shapes -> regions -> pieces -> layout -> ids, entries, counters -> Image -> proof
//! ```
//!
//! - A [`regions::Shape`] is what a local address takes from the document; addresses of one shape share all that follows.
//! - Its *regions* are disjoint and say for every frame what becomes of it, and why.
//! - Its *pieces* are the allowed regions as an unordered table can say them; what it cannot say is refused here.
//! - The *layout* chooses for the whole document which addresses and ports are named by value and which by id.
//! - The *proof* compares image and document on at least one frame of every class that either tells apart.
//!
//! Everything is a pure function of document, target and previous result.

mod base;
pub(in crate::policy) mod classes;
mod counters;
mod entries;
mod ids;
mod layout;
mod maps;
mod origins;
mod pieces;
mod prove;
mod refuse;
pub(in crate::policy) mod regions;
mod shapes;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use self::base::Fixed;
use self::counters::Counters;
use self::entries::entries;
use self::layout::Request;
use self::maps::Maps;
use self::origins::Origins;
use self::pieces::Piece;
use self::refuse::document_origin;
use self::shapes::Shapes;
use self::usage::Shares;
use super::{Document, Image, OriginId};
use crate::tables::{CounterId, LookupOrder, MatchFields, RuleKey, Target, Verdict};

pub(super) use self::base::solicited_node;
pub use self::counters::CounterSlot;
pub use self::origins::OriginSource;
pub use self::refuse::{CompileError, Denied, DeniedBy, GroupsTaken, LargestUser};
pub use self::usage::{Table, Usage};

/// What cutting all shapes into regions may cost: a second or two.
const MOST_STEPS: u64 = 1 << 30;

/// A document compiled for one adapter.
#[derive(Debug, Clone)]
pub struct Compiled {
    document: Document,
    target: Target,
    image: Image,
    origins: Origins,
    usage: Vec<Usage>,
    counters: Counters,
    /// Ids of the points that no entry names, of the three maps.
    elsewhere: [Option<u16>; 3],
}

impl Compiled {
    /// Compiles a document for an adapter. With the result for the document before it, ids and counters of what stays the
    /// same are the same.
    ///
    /// # Errors
    /// [`CompileError`] if a table is too small or cannot say what a rule says; nothing is rounded.
    pub fn new(document: &Document, target: &Target, previous: Option<&Self>) -> Result<Self, CompileError> {
        check(document, target)?;
        // Ids and tries mean nothing in tables of another size.
        let previous = previous.filter(|before| before.target.sizes == target.sizes);
        let shapes = Shapes::of(document, target)?;
        let mut steps = MOST_STEPS;
        let pieces = shapes.shapes.iter().map(|shape| pieces::pieces(document, shape, &mut steps));
        let pieces: Vec<Vec<Piece>> = pieces.collect::<Result<_, _>>()?;
        let fixed = base::fixed(document, target);
        let fixed_keys: Vec<RuleKey> = fixed.keys().copied().collect();
        let request = Request { pieces: &pieces, locals: &shapes.locals, fixed: &fixed_keys, target };
        let layout = request.layout();
        let own = per_binding(&fixed);
        let shares = Shares { document, layout: &layout, locals: &shapes.locals, pieces: &pieces, base: &own };
        let mut usage = shares.usage();
        if let Some((table, missing)) = layout.missing().next() {
            return Err(does_not_fit(&shares, usage, table, missing));
        }
        let maps = Maps::build(&layout, &target.sizes, previous.map(|before| (&before.image, before.elsewhere)))?;
        let origins = Origins::of(document);
        let mut image = entries(document, &origins, &layout, &shapes.locals, &fixed, &maps);
        check_order(document, target, &image)?;
        let before = previous.map(|before| (&before.image, &before.counters));
        let containers = shapes.containers(document);
        let counters = counters::assign(&mut image, &containers, target.profile.counters, before);
        usage.push(counters.usage(document, target.profile.counters));
        prove::prove(document, target, &image, &shapes)?;
        let (document, target) = (document.clone(), target.clone());
        Ok(Self { document, target, image, origins, usage, counters, elsewhere: maps.elsewhere })
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

    /// How full each table gets, and who fills it.
    #[must_use]
    pub fn usage(&self) -> &[Usage] {
        &self.usage
    }

    /// What an [`OriginId`] of the image stands for.
    #[must_use]
    pub fn origin(&self, id: OriginId) -> Option<&OriginSource> {
        self.origins.get(id)
    }

    /// What each counter counts. The ids are places from 0; the adapter's own are allocated when they are applied.
    #[must_use]
    pub fn counter_slots(&self) -> &BTreeMap<CounterId, CounterSlot> {
        &self.counters.slots
    }

    /// What may surprise the reader of the document, one sentence each: its own warnings, then those of the tables.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out: Vec<String> = self.document.warnings().iter().map(ToString::to_string).collect();
        if self.counters.uncounted > 0 {
            out.push(format!(
                "{} entries go without a counter: {} counters are needed, the adapter has {}",
                self.counters.uncounted, self.counters.needed, self.target.profile.counters
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

/// What an adapter refuses whatever the sizes of its tables.
fn check(document: &Document, target: &Target) -> Result<(), CompileError> {
    if target.profile.no_match == Verdict::Deny && document.unbound == Verdict::Allow {
        return Err(CompileError::UnboundAllow { at: document_origin(document) });
    }
    for binding in &document.bindings {
        if let Some(port) = binding.physical_ports.iter().find(|port| **port >= target.physical_ports) {
            let (at, available) = (binding.origin.clone(), target.physical_ports);
            return Err(CompileError::PhysicalPort { at, port: *port, available });
        }
    }
    let sampled_deny = |rule: &&super::Rule| rule.sample && rule.action == Verdict::Deny;
    match document.policies.iter().flat_map(|policy| &policy.rules).find(sampled_deny) {
        Some(rule) => Err(CompileError::SampledDeny { at: rule.origin.clone() }),
        None => Ok(()),
    }
}

/// Entries above the base are allows alone, so any ranking will do that looks them all up, and the base last.
fn check_order(document: &Document, target: &Target, image: &Image) -> Result<(), CompileError> {
    let LookupOrder::Ranked(order) = &target.profile.order else { return Ok(()) };
    let used: BTreeSet<_> = image.rules.keys().map(RuleKey::fields).collect();
    let base = MatchFields::BASE;
    let first_base = order.iter().position(|fields| base.contains(*fields) && used.contains(fields));
    let sound = |fields: &&MatchFields| {
        let at = order.iter().position(|other| other == *fields);
        at.is_some_and(|at| base.contains(**fields) || first_base.is_none_or(|first| at < first))
    };
    match used.iter().find(|fields| !sound(fields)) {
        Some(fields) => Err(CompileError::NotLookedUp { at: document_origin(document), fields: *fields }),
        None => Ok(()),
    }
}

/// How many entries each binding has that no shape makes.
fn per_binding(fixed: &BTreeMap<RuleKey, Fixed>) -> BTreeMap<usize, u64> {
    let mut out = BTreeMap::new();
    for binding in fixed.values().flat_map(|fixed| &fixed.bindings) {
        *out.entry(*binding).or_default() += 1;
    }
    out
}

fn does_not_fit(shares: &Shares<'_>, usage: Vec<Usage>, table: Table, missing: u64) -> CompileError {
    let document = shares.document;
    let largest = shares.of(table).0.into_iter().next().filter(|(_, used)| *used > 0);
    let policy = largest.as_ref().and_then(|(name, _)| document.policies.iter().position(|p| p.name == *name));
    let place = shares.largest_rule(table, policy);
    let at = place.and_then(|place| document.rule(place)).map(|rule| rule.origin.clone());
    let used = largest.as_ref().map_or(0, |(_, used)| *used);
    let largest = LargestUser { policy: largest.map(|(name, _)| name), used };
    CompileError::DoesNotFit { at: at.unwrap_or_else(|| document_origin(document)), table, missing, largest, usage }
}
