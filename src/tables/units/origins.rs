//! Who asked for an entry: numbers for rules, bindings and the document itself.
//!
//! A policy has a block of numbers for its rules, and a binding has one; they keep them from image to image. Management
//! rules have the first numbers.

use std::sync::Arc;

use crate::policy::{Document, Origin, RulePlace};
use crate::tables::OriginId;
use crate::tables::refuse::document_origin;

/// What an [`OriginId`] stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginSource {
    /// The rule, if it is one.
    pub rule: Option<RulePlace>,
    /// Index of the binding, if it is one. Neither rule nor binding: the document as a whole.
    pub binding: Option<usize>,
    /// Who, why and where.
    pub origin: Arc<Origin>,
}

/// The document as a whole.
pub(crate) const DOCUMENT: OriginId = OriginId(u32::MAX);

/// The numbers of a policy's rules: `first` and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub first: u32,
    pub room: u32,
}

impl Numbers {
    pub fn rule(self, at: usize) -> OriginId {
        OriginId(self.first.saturating_add(number(at)))
    }
}

pub(crate) fn management(at: usize) -> OriginId {
    OriginId(number(at))
}

pub(crate) fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// All numbers of an image.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    document: OriginSource,
    /// By first number: how many, and what the first stands for.
    blocks: Vec<(u32, u32, Block)>,
}

#[derive(Debug, Clone, Copy)]
enum Block {
    Management,
    Policy(usize),
    Binding(usize),
}

impl Origins {
    /// `policies` and `bindings` are the numbers of the document's, in its order.
    pub fn of(
        document: &Document,
        policies: impl Iterator<Item = Numbers>,
        bindings: impl Iterator<Item = u32>,
    ) -> Self {
        let of_policy = |(at, numbers): (usize, Numbers)| (numbers.first, numbers.room, Block::Policy(at));
        let of_binding = |(at, number): (usize, u32)| (number, 1, Block::Binding(at));
        let management = (0, number(document.management.len()), Block::Management);
        let policies = policies.enumerate().map(of_policy);
        let mut blocks: Vec<_> = policies.chain(bindings.enumerate().map(of_binding)).chain([management]).collect();
        blocks.retain(|(_, room, _)| *room > 0);
        blocks.sort_unstable_by_key(|(first, ..)| *first);
        let document = OriginSource { rule: None, binding: None, origin: document_origin(document) };
        Self { document, blocks }
    }

    pub fn get(&self, id: OriginId, document: &Document) -> Option<OriginSource> {
        if id == DOCUMENT {
            return Some(self.document.clone());
        }
        let after = self.blocks.partition_point(|(first, ..)| *first <= id.0);
        let (first, room, block) = *self.blocks.get(after.checked_sub(1)?)?;
        let at = usize::try_from(id.0 - first).ok().filter(|_| id.0 - first < room)?;
        let place = match block {
            Block::Management => RulePlace::Management(at),
            Block::Policy(policy) => RulePlace::Policy(policy, at),
            Block::Binding(binding) => {
                let origin = document.bindings.get(binding)?.origin.clone();
                return Some(OriginSource { rule: None, binding: Some(binding), origin });
            }
        };
        Some(OriginSource { rule: Some(place), binding: None, origin: document.rule(place)?.origin.clone() })
    }
}
