//! The refusal of units that take far more of a table than there is.

use std::collections::BTreeMap;

use crate::policy::{Document, RulePlace};
use crate::tables::refuse::{CompileError, LargestUser, document_origin};
use crate::tables::units::unit::Unit;
use crate::tables::usage::Need;

/// How many times what a table has is still counted exactly.
pub(crate) const MOST_TIMES: u64 = 4;

/// What a unit takes of a table.
pub(crate) struct Taking<'a> {
    pub unit: &'a Unit,
    pub takes: u64,
}

impl Taking<'_> {
    fn policy(&self) -> Option<&str> {
        self.unit.policy.as_ref().map(|policy| policy.name.as_str())
    }
}

/// The refusal of units that take more of a table than is worth being counted; `all`: what each of them takes.
pub(crate) fn far_too_much(document: &Document, need: Need, all: &[Taking<'_>]) -> CompileError {
    let mut policies: BTreeMap<&str, u64> = BTreeMap::new();
    for of in all {
        let sum = policies.entry(of.policy().unwrap_or_default()).or_default();
        *sum = sum.saturating_add(of.takes);
    }
    let largest = policies.into_iter().rev().max_by_key(|(_, used)| *used);
    let name = largest.map(|(name, _)| name);
    let of_largest = all.iter().filter(|of| of.policy() == name).max_by_key(|of| of.takes);
    let at = of_largest.and_then(|of| match of.unit.largest_rule()? {
        // Units name the rules of their policy as if it were the first one.
        RulePlace::Policy(_, at) => Some(of.unit.policy.as_ref()?.rules.get(at)?.origin.clone()),
        place => Some(document.rule(place)?.origin.clone()),
    });
    let used = largest.map_or(0, |(_, used)| used);
    CompileError::DoesNotFit {
        at: at.unwrap_or_else(|| document_origin(document)),
        table: need.table,
        missing: need.missing(),
        largest: LargestUser { policy: name.map(ToOwned::to_owned), used },
        usage: Vec::new(),
    }
}
