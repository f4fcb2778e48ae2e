//! What an adapter refuses whatever the sizes of its tables.

use super::state::Updated;
use crate::policy::{Binding, Document, Policy};
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::{LookupOrder, Target};
use crate::terms::Verdict;

/// What an adapter refuses whatever the sizes of its tables.
pub(super) fn check(document: &Document, target: &Target) -> Result<(), CompileError> {
    if target.profile.no_match == Verdict::Deny && document.unbound == Verdict::Allow {
        return Err(CompileError::UnboundAllow { at: document_origin(document) });
    }
    document.bindings.iter().try_for_each(|binding| check_binding(binding, target))?;
    if target.profile.order != LookupOrder::Unordered {
        return Ok(());
    }
    document.policies.iter().try_for_each(|policy| check_policy(policy))
}

/// As [`check`], of what changed.
pub(super) fn check_changed(document: &Document, target: &Target, updated: &Updated) -> Result<(), CompileError> {
    let bindings = updated.dirty.bindings.iter().filter_map(|at| document.bindings.get(*at));
    bindings.into_iter().try_for_each(|binding| check_binding(binding, target))?;
    let policies = document.policies.iter().zip(&updated.units.policies);
    policies
        .filter(|(_, of)| updated.dirty.policies.contains(&of.name))
        .try_for_each(|(policy, _)| check_policy(policy))
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

pub(super) fn check_policy(policy: &Policy) -> Result<(), CompileError> {
    match policy.rules.iter().find(|rule| rule.sample && rule.action == Verdict::Deny) {
        Some(rule) => Err(CompileError::SampledDeny { at: rule.origin.clone() }),
        None => Ok(()),
    }
}
