//! What several kinds of findings need.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::Hider;
use crate::policy::document::{Binding, Document, Management, Origin, Rule, RulePlace};
use crate::policy::regions::classes::classes;
use crate::policy::regions::{Cause, Shape};
use crate::terms::{AddrSet, IntervalSet, MacAddr, Point};

/// Rules that a sentence names one by one.
const NAMED_RULES: usize = 8;

/// The shapes of all local addresses that rules apply to, and the bindings that have them.
pub(super) type Shapes<'a> = BTreeMap<Shape, Vec<&'a Binding>>;

pub(super) fn shapes(document: &Document) -> Shapes<'_> {
    let mut out = Shapes::new();
    for binding in &document.bindings {
        for ip in &binding.ips {
            out.entry(Shape::bound(document, binding, *ip)).or_default().push(binding);
        }
    }
    let bound: AddrSet = document.bindings.iter().flat_map(|binding| binding.ips.iter().copied()).collect();
    let mut by_mac: BTreeMap<MacAddr, Vec<&AddrSet>> = BTreeMap::new();
    for Management { rule, mac } in &document.management {
        if let (Some(local), Some(mac)) = (&rule.local, mac) {
            by_mac.entry(*mac).or_default().push(local);
        }
    }
    for (mac, locals) in by_mac {
        let v4 = examples(locals.iter().map(|set| &set.v4), &bound.v4).into_iter().map(std::net::Ipv4Addr::from_bits);
        let v6 = examples(locals.iter().map(|set| &set.v6), &bound.v6).into_iter().map(std::net::Ipv6Addr::from_bits);
        for ip in v4.map(std::net::IpAddr::V4).chain(v6.map(std::net::IpAddr::V6)) {
            out.entry(Shape::unbound(document, ip, mac)).or_default();
        }
    }
    out
}

/// One point of each class that the sets cut, among those that are in one of them and not in `except`.
fn examples<'a, T: Point>(sets: impl Iterator<Item = &'a IntervalSet<T>>, except: &'a IntervalSet<T>) -> Vec<T> {
    let all: Vec<_> = [except].into_iter().chain(sets).collect();
    let classes = classes(&all);
    let named = classes.iter().filter(|class| !class.within.contains(0) && !class.within.is_empty());
    named.filter_map(|class| Some(class.set.intervals().first()?.first)).collect()
}

/// All rules with their places, management first.
pub(super) fn places(document: &Document) -> impl Iterator<Item = (RulePlace, &Rule)> {
    let management = document.management.iter().enumerate().map(|(i, m)| (RulePlace::Management(i), &m.rule));
    let of_policy = |(at, policy): (usize, &Arc<crate::policy::Policy>)| (0..policy.rules.len()).map(move |i| (at, i));
    let policies = document.policies.iter().enumerate().flat_map(of_policy);
    management.chain(policies.filter_map(|(policy, rule)| {
        let place = RulePlace::Policy(policy, rule);
        Some((place, document.rule(place)?))
    }))
}

pub(super) fn is_used(document: &Document, policy: usize) -> bool {
    document.bindings.iter().any(|binding| binding.policy == policy)
}

/// `a`, `a and b`, `a, b and c`; what is beyond [`NAMED_RULES`] is counted.
pub(super) fn list(mut all: Vec<String>) -> String {
    if all.len() > NAMED_RULES {
        let rest = all.split_off(NAMED_RULES - 1).len();
        all.push(format!("{rest} more"));
    }
    match &all[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(super) fn origin_of(document: &Document, place: RulePlace) -> Option<Arc<Origin>> {
    document.rule(place).map(|rule| rule.origin.clone())
}

/// The origin of something that has a line of the document, and nobody who asked for it.
pub(super) fn at_line(document: &Document, line: u32) -> Arc<Origin> {
    let file = document.name.clone();
    Arc::new(Origin { owner: None, reason: None, ticket: None, file, line, when: None, until: None })
}

/// What decides by this cause, as far as it can hide a rule.
pub(super) fn hider(cause: Cause) -> Option<Hider> {
    match cause {
        Cause::Rule { place, reply } => Some(Hider::Rule { place, reply }),
        Cause::NeighbourDiscovery => Some(Hider::NeighbourDiscovery),
        Cause::Multicast => Some(Hider::Multicast),
        Cause::NoRule => None,
    }
}
