//! Where a ranked lookup order puts each combination of match fields, and the ways to use it.
//!
//! Entries below the base entries decide nothing, so a lookup counts only above the first base combination in use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::policy::Document;
use crate::tables::base;
use crate::tables::refuse::{CompileError, document_origin};
use crate::tables::{LookupOrder, MatchFields, Target};

/// Up to how many points a set is named by exact values, where nothing speaks against it.
pub(crate) const USUAL_LIMIT: usize = 1;

/// How pieces are made of regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Strategy {
    /// Allows alone, pairwise disjoint: any order of lookups will do.
    #[default]
    Allows,
    /// Entries of earlier lookups over those of later ones, denies too.
    Covered {
        /// Up to how many points a set of remote addresses, remote ports and local ports is named by exact values.
        limits: [usize; 3],
        /// Entries that decide alike for different rules stay apart.
        by_rule: bool,
    },
}

impl Strategy {
    /// All that are tried, the one that is preferred among equals first.
    pub const ALL: [Self; 5] = [
        Self::Allows,
        Self::Covered { limits: [1; 3], by_rule: true },
        Self::Covered { limits: [0; 3], by_rule: true },
        Self::Covered { limits: [1; 3], by_rule: false },
        Self::Covered { limits: [0; 3], by_rule: false },
    ];

    /// True if sets that are named under these limits are named as this way has it; `offered` are the limits that make a
    /// difference, by map.
    pub fn takes(self, limits: [usize; 3], offered: &[BTreeSet<usize>; 3]) -> bool {
        let Self::Covered { limits: wanted, .. } = self else { return true };
        // A limit that makes no difference is not offered: the usual one stands for it.
        let stands = |map: usize| if offered[map].contains(&wanted[map]) { wanted[map] } else { USUAL_LIMIT };
        (0..3).all(|map| limits[map] == stands(map))
    }
}

/// How the state of a compilation uses an order of lookups.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    pub strategy: Strategy,
    /// `None`: nothing is known about the order.
    pub lookups: Option<Arc<Lookups>>,
}

impl Order {
    /// False for a combination that is not looked up, or only where nothing is left to decide.
    pub fn is_looked_up(&self, fields: MatchFields) -> bool {
        let is_base = MatchFields::BASE.contains(fields);
        is_base || self.lookups.as_ref().is_none_or(|lookups| lookups.place(fields).is_some())
    }

    /// How many of some combinations are not looked up above the base.
    pub fn count_not_looked_up<'a>(&self, used: impl Iterator<Item = &'a MatchFields>) -> usize {
        used.filter(|fields| !self.is_looked_up(**fields)).count()
    }
}

/// The places of the lookups that come before the base entries in use: the lower, the earlier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookups(HashMap<MatchFields, u32>);

impl Lookups {
    /// Those of a ranked order; `None` where nothing is known about the order.
    pub fn of(document: &Document, target: &Target) -> Result<Option<Self>, CompileError> {
        let LookupOrder::Ranked(order) = &target.profile.order else { return Ok(None) };
        let closed = document.unbound == crate::terms::Verdict::Deny;
        let bindings = document.bindings.iter().flat_map(|binding| base::of_binding(binding, closed));
        let used: BTreeSet<MatchFields> =
            base::of_document(document, target).into_iter().chain(bindings).map(|(key, _)| key.fields()).collect();
        let is_base = |fields: &MatchFields| MatchFields::BASE.contains(*fields);
        let first = order.iter().position(|fields| is_base(fields) && used.contains(fields)).unwrap_or(order.len());
        let mut places = HashMap::new();
        for (place, fields) in (0..).zip(&order[..first]) {
            places.entry(*fields).or_insert(place);
        }
        let lookups = Self(places);
        let not_looked_up = |fields: &&MatchFields| {
            if is_base(fields) { !order.contains(fields) } else { lookups.place(**fields).is_none() }
        };
        match used.iter().find(not_looked_up) {
            Some(fields) => Err(CompileError::NotLookedUp { at: document_origin(document), fields: *fields }),
            None => Ok(Some(lookups)),
        }
    }

    /// The place of a combination.
    pub fn place(&self, fields: MatchFields) -> Option<u32> {
        self.0.get(&fields).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_several_points_are_named_as_the_strategy_has_them() {
        let strategy = Strategy::Covered { limits: [0; 3], by_rule: true };
        // No set has one point, and one has two to eight.
        let offered = [BTreeSet::from([1]), BTreeSet::from([1, 8]), BTreeSet::from([1, 0])];
        assert!(strategy.takes([1, 1, 0], &offered));
        assert!(!strategy.takes([1, 8, 0], &offered), "the strategy has them as classes");
        assert!(!strategy.takes([1, 1, 1], &offered));
        assert!(!strategy.takes([0, 1, 0], &offered), "that limit makes no difference");
        assert!(Strategy::Allows.takes([1, 8, 1], &offered), "any limits will do");
    }

    /// What stands behind the first base combination in use decides nothing, and what stands twice counts where it is first.
    #[test]
    fn lookups_count_above_the_base_in_use() {
        use MatchFields as F;
        let text = "nicfw: 1\nunbound: allow\nmulticast: allow\npolicies: {web: []}\nbindings:\n\
                    - {container: a, ip: 10.30.1.1, mac: \"02:00:00:00:00:01\", attach: sriov, policy: web}\n";
        let document = Document::parse(text, "t.yaml").unwrap();
        let (arp, above, behind) =
            (F::LOCAL_MAC | F::ETHER_TYPE, F::LOCAL_IP | F::IP_PROTO, F::LOCAL_IP | F::REMOTE_IP);
        let of = |order: &[F]| {
            let mut target = Target::profile0();
            target.profile.order = LookupOrder::Ranked(order.to_vec());
            Lookups::of(&document, &target).map(|lookups| lookups.unwrap())
        };
        // No entry names the physical port alone.
        let lookups = of(&[above, F::PHYSICAL_PORT, arp, above, F::LOCAL_MAC, behind, F::LOCAL_IP]).unwrap();
        let places =
            [above, F::PHYSICAL_PORT, arp, F::LOCAL_MAC, behind, F::LOCAL_IP].map(|fields| lookups.place(fields));
        assert_eq!(places, [Some(0), Some(1), Some(2), None, None, None]);
        let order = Order { strategy: Strategy::Allows, lookups: Some(Arc::new(lookups)) };
        let all = [above, arp, F::LOCAL_MAC, F::LOCAL_IP, behind, F::REMOTE_IP];
        assert_eq!(all.map(|fields| order.is_looked_up(fields)), [true, true, true, true, false, false]);
        assert_eq!(order.count_not_looked_up(all.iter()), 2);
        assert_eq!(Order::default().count_not_looked_up(all.iter()), 0, "nothing is known about the order");
        // Base combinations in use must be looked up at all, and others above them.
        for (order, missing) in [
            (&[arp, F::LOCAL_MAC][..], Some(F::LOCAL_IP)),
            (&[F::LOCAL_IP, F::LOCAL_MAC, arp], Some(arp)),
            (&[F::LOCAL_IP, F::LOCAL_MAC], Some(arp)),
            (&[arp, F::LOCAL_IP, F::LOCAL_MAC], None),
        ] {
            let refused = of(order).err().map(|refusal| match refusal {
                CompileError::NotLookedUp { fields, .. } => fields,
                other => panic!("{other}"),
            });
            assert_eq!(refused, missing, "{order:?}");
        }
    }
}
