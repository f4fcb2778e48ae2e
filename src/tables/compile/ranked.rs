//! The best way to use a ranked lookup order: each is compiled in full, and the one with the fewest entries is taken.

use std::sync::Arc;

use super::check::check_policy;
use super::state::{Before, Updated};
use crate::policy::regions::Cause;
use crate::policy::{Document, RulePlace};
use crate::tables::arrange::lookups::{Lookups, Order, Strategy};
use crate::tables::naming::PreviousIds;
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::units::Units;
use crate::tables::{MatchFields, Target};

/// Units and naming of a document under the best way.
pub(super) fn best(
    document: &Document,
    target: &Target,
    previous: Option<&PreviousIds<'_>>,
    lookups: Lookups,
) -> Result<Updated, CompileError> {
    let lookups = Arc::new(lookups);
    let mut best: Option<([u64; 2], Updated)> = None;
    let mut refusals = Vec::new();
    for strategy in Strategy::ALL {
        let order = Order { strategy, lookups: Some(lookups.clone()) };
        match by(document, target, previous, order) {
            Ok(updated) => {
                let needs = updated.naming.needs();
                let rank = [needs.first(), needs.last()].map(|need| need.map_or(0, |need| need.needed));
                if best.as_ref().is_none_or(|(before, _)| rank < *before) {
                    best = Some((rank, updated));
                }
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    match best {
        Some((_, best)) => Ok(best),
        None => Err(clearest(refusals).unwrap_or_else(|| CompileError::NotLookedUp {
            at: document_origin(document),
            fields: MatchFields::empty(),
        })),
    }
}

fn by(
    document: &Document,
    target: &Target,
    previous: Option<&PreviousIds<'_>>,
    order: Order,
) -> Result<Updated, CompileError> {
    if order.strategy == Strategy::Allows {
        document.policies.iter().try_for_each(|policy| check_policy(policy))?;
    }
    let before = Before { units: Units::under(order), ..Before::default() };
    let updated = Updated::of(before, document, target, previous)?;
    let used = updated.naming.combinations(&updated.units);
    match used.into_iter().find(|fields| !updated.units.order.is_looked_up(*fields)) {
        Some(fields) => Err(not_looked_up(document, &updated, fields)),
        None => Ok(updated),
    }
}

/// Names the rule that needs a combination.
fn not_looked_up(document: &Document, updated: &Updated, fields: MatchFields) -> CompileError {
    let rule = updated.naming.rule_naming(&updated.units, fields).and_then(|(policy, cause)| match cause {
        Cause::Rule { place: RulePlace::Policy(_, at), .. } => Some(policy?.rules.get(at)?.origin.clone()),
        Cause::Rule { place, .. } => Some(document.rule(place)?.origin.clone()),
        _ => None,
    });
    CompileError::NotLookedUp { at: rule.unwrap_or_else(|| document_origin(document)), fields }
}

/// The refusal that says most about a way out: what does not fit could be said, and what a rule can be rewritten for comes
/// before what the order alone forbids.
fn clearest(refusals: Vec<CompileError>) -> Option<CompileError> {
    let rank = |refusal: &CompileError| match refusal {
        CompileError::DoesNotFit { .. } => 0,
        CompileError::NotLookedUp { .. } => 2,
        CompileError::Order { .. } => 3,
        CompileError::TooComplex { .. } => 4,
        _ => 1,
    };
    refusals.into_iter().min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{LargestUser, Table};

    #[test]
    fn the_refusal_with_the_nearest_way_out_is_shown() {
        let text = "nicfw: 1\nunbound: allow\nmulticast: allow\npolicies: {p: []}\nbindings: []\n";
        let at = document_origin(&Document::parse(text, "t.yaml").unwrap());
        let (fields, largest) = (MatchFields::IP_PROTO, LargestUser { policy: None, used: 1 });
        let does_not_fit = || CompileError::DoesNotFit {
            at: at.clone(),
            table: Table::Rules,
            missing: 1,
            largest: largest.clone(),
            usage: Vec::new(),
        };
        let all = || {
            vec![
                does_not_fit(),
                CompileError::SampledDeny { at: at.clone() },
                CompileError::NotLookedUp { at: at.clone(), fields },
                CompileError::Order { at: at.clone(), proto: None, fields },
                CompileError::TooComplex { at: at.clone(), rules: 2 },
            ]
        };
        for first in 0..5 {
            let expected = all().swap_remove(first).to_string();
            let mut rest = all().split_off(first);
            assert_eq!(clearest(all().split_off(first)).unwrap().to_string(), expected);
            rest.reverse();
            assert_eq!(clearest(rest).unwrap().to_string(), expected, "whatever their order");
        }
        assert!(clearest(Vec::new()).is_none());
    }
}
