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

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are given and taken back, so there are some that stand for nothing.
    #[test]
    fn numbers_between_those_of_the_document_stand_for_nothing() {
        let text = "nicfw: 1\nunbound: allow\nmulticast: allow\nmanagement:\n\
                    - {allow: in, proto: tcp, local_ports: 22, remote: 10.20.0.1}\n\
                    - {allow: in, proto: tcp, local_ports: 23, remote: 10.20.0.1}\n\
                    policies:\n  none: []\n  web:\n  - {allow: in, proto: tcp}\n  - {allow: in, proto: udp}\nbindings:\n\
                    - {container: a, ip: 10.30.1.1, mac: \"02:00:00:00:00:01\", attach: sriov, policy: web}\n\
                    - {container: b, ip: 10.30.1.2, mac: \"02:00:00:00:00:02\", attach: sriov, policy: web}\n";
        let document = Document::parse(text, "t.yaml").unwrap();
        // The second policy once had three rules.
        let policies = [Numbers { first: 0, room: 0 }, Numbers { first: 10, room: 3 }];
        let origins = Origins::of(&document, policies.into_iter(), [20, 5].into_iter());
        let get = |id: u32| {
            let of = origins.get(OriginId(id), &document)?;
            Some((of.rule, of.binding, of.origin.line))
        };
        for (id, place, line) in [(0, RulePlace::Management(0), 5), (1, RulePlace::Management(1), 6)] {
            assert_eq!(get(id), Some((Some(place), None, line)));
        }
        for (id, place, line) in [(10, RulePlace::Policy(1, 0), 10), (11, RulePlace::Policy(1, 1), 11)] {
            assert_eq!(get(id), Some((Some(place), None, line)));
        }
        assert_eq!(get(20), Some((None, Some(0), 13)));
        assert_eq!(get(5), Some((None, Some(1), 14)));
        assert_eq!(get(u32::MAX), Some((None, None, 0)));
        for id in [2, 3, 4, 6, 7, 8, 9, 12, 13, 14, 19, 21, 22, u32::MAX - 1] {
            assert_eq!(get(id), None, "{id}");
        }
        assert_eq!((Numbers { first: 10, room: 3 }.rule(2), management(1)), (OriginId(12), OriginId(1)));
    }
}
