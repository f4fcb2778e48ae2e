//! Who asked for an entry: numbers for rules, bindings and the document itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::refuse::document_origin;
use crate::policy::{Document, Origin, OriginId, RulePlace};

/// What an [`OriginId`] stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginSource {
    /// The rule, if it is one.
    pub rule: Option<RulePlace>,
    /// Index of the binding, if it is one. Neither rule nor binding: the document as a whole.
    pub binding: Option<usize>,
    /// Who, why and where.
    pub origin: Arc<Origin>,
}

/// All origins of a document: the management's rules, the policies' rules, the bindings, the document.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    sources: Vec<OriginSource>,
    rules: BTreeMap<RulePlace, OriginId>,
    first_binding: u32,
}

impl Origins {
    pub fn of(document: &Document) -> Self {
        let management = (0..document.management.len()).map(RulePlace::Management);
        let policies = document.policies.iter().enumerate();
        let policies = policies.flat_map(|(i, policy)| (0..policy.rules.len()).map(move |at| RulePlace::Policy(i, at)));
        let places: Vec<RulePlace> = management.chain(policies).collect();
        let rule = |place: &RulePlace| {
            let origin = document.rule(*place)?.origin.clone();
            Some(OriginSource { rule: Some(*place), binding: None, origin })
        };
        let bindings = document.bindings.iter().enumerate().map(|(at, binding)| OriginSource {
            rule: None,
            binding: Some(at),
            origin: binding.origin.clone(),
        });
        let whole = OriginSource { rule: None, binding: None, origin: document_origin(document) };
        Self {
            sources: places.iter().filter_map(rule).chain(bindings).chain([whole]).collect(),
            rules: places.iter().zip(0..).map(|(place, id)| (*place, OriginId(id))).collect(),
            first_binding: number(places.len()),
        }
    }

    pub fn get(&self, id: OriginId) -> Option<&OriginSource> {
        self.sources.get(usize::try_from(id.0).ok()?)
    }

    pub fn rule(&self, place: RulePlace) -> Option<OriginId> {
        self.rules.get(&place).copied()
    }

    pub fn binding(&self, index: usize) -> OriginId {
        OriginId(self.first_binding.saturating_add(number(index)))
    }

    pub fn document(&self) -> OriginId {
        OriginId(number(self.sources.len() - 1))
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
