//! The cheapest rewriting of a document that was refused: what to write instead, and what that changes.
//!
//! The way of the data:
//!
//! ```text
//! refusal -> rules that cause it -> edits, the most promising first -> compiled, a bounded number -> differences -> the cheapest
//! ```
//!
//! An [`edits::Attempt`] changes one rule, or takes its place by several. Each is compiled in full; of those that fit the
//! cheapest is the one that newly allows the least, then the one that newly denies the least, counted in flows. The search
//! goes on from the one that came nearest without fitting, so that a rewriting may take several edits.
//!
//! Nothing is applied: whoever wrote the rules decides whether what it newly denies or allows is acceptable.

mod edit;
mod edits;
mod gain;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use self::edit::Edit;
use self::edits::{Attempt, attempts};
use super::compile::Compiled;
use super::refuse::CompileError;
use super::usage::Usage;
use crate::policy::Difference;
use crate::policy::regions::Shape;
use crate::policy::{Document, SharedList};
use crate::tables::Target;
use crate::terms::Verdict;

/// Documents that are compiled in search of one that fits.
const MOST_ATTEMPTS: usize = 16;
/// How many more are tried after one was found.
const AFTER_THE_FIRST: usize = 3;
/// How many edits are tried before the search goes on from what came nearest.
const AT_A_TIME: usize = 6;
/// Differences that are told one by one.
const TOLD: usize = 2;

/// A document that fits, and how it differs from one that does not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewriting {
    /// What to write instead, in this order.
    pub edits: Vec<Edit>,
    /// The document after that.
    pub document: Document,
    /// How full each table gets.
    pub usage: Vec<Usage>,
    /// What it newly allows or denies. Of containers that are judged alike only one is named.
    pub differences: Vec<Difference>,
    /// Containers that are judged otherwise.
    pub containers: usize,
    /// The table that was too small.
    asked: Option<super::Table>,
}

impl CompileError {
    /// The cheapest rewriting of the refused document that was found, with at most 16 compilations; `None` if none fits the
    /// adapter, or if no rule is to blame.
    ///
    /// ```
    /// use nicfw::tables::Compiled;
    /// use nicfw::policy::Document;
    /// use nicfw::Target;
    ///
    /// let text = r#"
    /// nicfw: 1
    /// unbound: allow
    /// multicast: deny
    /// policies:
    ///   web:
    ///     - {deny: in, proto: tcp, local_ports: 22, remote: 10.1.0.0/16, reason: no logins}
    ///     - {allow: in, proto: tcp, remote: 10.0.0.0/8, reason: office}
    /// bindings:
    ///   - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
    /// "#;
    /// let document = Document::parse(text, "web.yaml")?;
    /// let refusal = Compiled::new(&document, &Target::profile0(), None).unwrap_err();
    /// let rewriting = refusal.rewriting(&document, &Target::profile0()).expect("one fits");
    /// assert_eq!(rewriting.edits[0].text, "say remote_ports: 0-65535 (tcp)");
    /// assert!(Compiled::new(&rewriting.document, &Target::profile0(), None).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn rewriting(&self, document: &Document, target: &Target) -> Option<Rewriting> {
        let asked = if let Self::DoesNotFit { table, .. } = self { Some(*table) } else { None };
        let search = Search { before: document, target, asked };
        let mut from = Step { document: document.clone(), edits: Vec::new(), refusal: self.clone() };
        let (mut left, mut best) = (MOST_ATTEMPTS, None);
        loop {
            let (fits, nearest) = search.from(&from, &mut left);
            best = cheaper(best, fits);
            match nearest {
                Some(step) if left > 0 => from = step,
                _ => return best,
            }
        }
    }
}

/// A document on the way, and why it is refused.
struct Step {
    document: Document,
    edits: Vec<Edit>,
    refusal: CompileError,
}

struct Search<'a> {
    before: &'a Document,
    target: &'a Target,
    asked: Option<super::Table>,
}

impl Search<'_> {
    /// The cheapest of the rewritings that are one edit away, and of the documents that do not fit the one that comes nearest.
    fn from(&self, step: &Step, left: &mut usize) -> (Option<Rewriting>, Option<Step>) {
        let mut best: Option<Rewriting> = None;
        let mut nearest: Option<(u64, Step)> = None;
        let mut more = AT_A_TIME;
        for Attempt { document, edit, .. } in attempts(&step.document, &step.refusal) {
            if *left == 0 || more == 0 {
                break;
            }
            (*left, more) = (*left - 1, more - 1);
            let edits: Vec<Edit> = step.edits.iter().cloned().chain([edit]).collect();
            match Compiled::new(&document, self.target, None) {
                Ok(compiled) => {
                    more = if best.is_none() { more.min(AFTER_THE_FIRST) } else { more };
                    best = cheaper(best, Some(self.rewriting(&compiled, edits)));
                }
                Err(refusal) => {
                    let Some(distance) = distance(&step.refusal, &refusal) else { continue };
                    if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                        nearest = Some((distance, Step { document, edits, refusal }));
                    }
                }
            }
        }
        (best, nearest.map(|(_, step)| step))
    }

    fn rewriting(&self, compiled: &Compiled, edits: Vec<Edit>) -> Rewriting {
        let (before, after) = (self.before, compiled.document());
        let changed: BTreeSet<usize> = (before.policies.iter().zip(&after.policies).enumerate())
            .filter(|(_, (before, after))| before != after)
            .map(|(at, _)| at)
            .collect();
        let mut shapes = BTreeSet::new();
        let users = || before.bindings.iter().filter(|binding| changed.contains(&binding.policy));
        let is_new = |binding: &Arc<crate::policy::Binding>| {
            let known = shapes.len();
            shapes.extend(binding.ips.iter().map(|ip| Shape::bound(before, binding, *ip)));
            shapes.len() > known
        };
        let users_of: Vec<Arc<crate::policy::Binding>> = users().cloned().collect();
        let examples: SharedList<crate::policy::Binding> = users_of.into_iter().filter(is_new).collect();
        let of = |document: &Document| Document { bindings: examples.clone(), ..document.clone() };
        let differences = of(before).diff(&of(after), self.target.physical_ports);
        Rewriting {
            edits,
            document: after.clone(),
            usage: compiled.usage().to_vec(),
            containers: if differences.is_empty() { 0 } else { users().count() },
            differences,
            asked: self.asked,
        }
    }
}

fn cheaper(one: Option<Rewriting>, other: Option<Rewriting>) -> Option<Rewriting> {
    one.into_iter().chain(other).min_by_key(Rewriting::price)
}

/// How far a document is from fitting; `None` if it is no nearer than the one before.
fn distance(before: &CompileError, after: &CompileError) -> Option<u64> {
    let missing = |error: &CompileError| match error {
        CompileError::DoesNotFit { usage, missing, .. } => {
            let all = usage.iter().filter(|usage| usage.table != super::Table::Counters).map(Usage::missing);
            Some(all.fold(0, u64::saturating_add).max(*missing))
        }
        _ => None,
    };
    match (missing(before), missing(after)) {
        (Some(before), Some(after)) => (after < before).then_some(after),
        // What can be said, but does not fit, comes after what cannot be said.
        (None, Some(after)) => Some(after),
        (Some(_), None) => None,
        (None, None) => (before != after).then_some(u64::MAX),
    }
}

impl Rewriting {
    /// What is newly allowed.
    pub fn allowed(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.verdict == Verdict::Allow)
    }

    /// What is newly denied.
    pub fn denied(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.verdict == Verdict::Deny)
    }

    /// Flows newly allowed, flows newly denied, entries. Where flows are too many to be counted, as with all IPv6 addresses, the
    /// kinds of them decide before the entries.
    fn price(&self) -> (u128, u128, usize, u64) {
        let flows =
            |all: &mut dyn Iterator<Item = &Difference>| all.map(Difference::flows).fold(0, u128::saturating_add);
        let entries = self.usage.iter().find(|usage| usage.table == super::Table::Rules);
        let denied = flows(&mut self.denied());
        let kinds = if denied == u128::MAX { self.denied().count() } else { 0 };
        (flows(&mut self.allowed()), denied, kinds, entries.map_or(0, |usage| usage.needed))
    }
}

impl fmt::Display for Rewriting {
    /// As in `cheapest rewriting found: web.yaml:8: say remote: office instead of any; rules: 812 of 8192. Newly denied: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cheapest rewriting found: ")?;
        for (at, edit) in self.edits.iter().enumerate() {
            let and = if at == 0 { "" } else { "; " };
            write!(f, "{and}{}: {}", edit.origin, edit.text)?;
        }
        for usage in &self.usage {
            if usage.table == super::Table::Rules || Some(usage.table) == self.asked {
                write!(f, "; {} {} of {}", usage.table, usage.needed, usage.available)?;
            }
        }
        f.write_str(". ")?;
        told(f, "denied", &mut self.denied())?;
        f.write_str(". ")?;
        told(f, "allowed", &mut self.allowed())?;
        match self.containers {
            0 | 1 => Ok(()),
            many => write!(f, ". This concerns {many} containers"),
        }
    }
}

fn told(f: &mut fmt::Formatter<'_>, verdict: &str, all: &mut dyn Iterator<Item = &Difference>) -> fmt::Result {
    let words: Vec<String> = all.map(ToString::to_string).collect();
    if words.is_empty() {
        return write!(f, "Nothing is newly {verdict}");
    }
    let mut first = words.get(..TOLD).unwrap_or(&words).join("; ");
    if let Some(letter) = first.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    f.write_str(&first)?;
    if words.len() > TOLD {
        write!(f, "; and {} more", words.len() - TOLD)?;
    }
    Ok(())
}
