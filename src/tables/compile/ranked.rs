//! The best way to use a ranked lookup order: each is compiled in full, and the one with the fewest entries is taken.

use std::sync::Arc;

use super::check::check_policy;
use super::state::{State, Work};
use crate::policy::regions::Cause;
use crate::policy::{Document, RulePlace};
use crate::tables::arrange::lookups::{Lookups, Order, Way};
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::{Image, MatchFields, Target};

/// The state for a document under the best way.
pub(super) fn best(
    document: &Document,
    target: &Target,
    previous: Option<(&Image, [Option<u16>; 3])>,
    lookups: Lookups,
) -> Result<(State, Work), CompileError> {
    let lookups = Arc::new(lookups);
    let mut best: Option<((u64, u64), (State, Work))> = None;
    let mut refusals = Vec::new();
    for way in Way::ALL {
        let order = Order { way, lookups: Some(lookups.clone()) };
        match by(document, target, previous, order) {
            Ok((state, work)) => {
                let need = |at: Option<&(_, u64, u64)>| at.map_or(0, |(_, needed, _)| *needed);
                let rank = (need(state.needs.first()), need(state.needs.last()));
                if best.as_ref().is_none_or(|(before, _)| rank < *before) {
                    best = Some((rank, (state, work)));
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
    previous: Option<(&Image, [Option<u16>; 3])>,
    order: Order,
) -> Result<(State, Work), CompileError> {
    if order.way == Way::Allows {
        document.policies.iter().try_for_each(|policy| check_policy(policy))?;
    }
    let (state, work) = State::under(order).update(None, document, target, previous)?;
    match state.combinations().into_iter().find(|fields| !state.order.hears(*fields)) {
        Some(fields) => Err(not_looked_up(document, &state, fields)),
        None => Ok((state, work)),
    }
}

/// Names the rule that needs a combination.
fn not_looked_up(document: &Document, state: &State, fields: MatchFields) -> CompileError {
    let rule = state.rule_naming(fields).and_then(|(policy, cause)| match cause {
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
