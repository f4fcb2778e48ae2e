//! Parts of regions put together.

use super::shape::{Cause, Decided};
use crate::policy::document::RulePlace;
use crate::terms::{IntervalSet, Point, PortSet, Verdict};

/// Whether frames show ports, and the remote and local ones, which are empty if not. A comparison may look at them before it
/// has looked at the flag, so an `Option` will not do: memory checkers complain of what is not there.
pub(super) type PortsSeen = (bool, PortSet, PortSet);

pub(super) fn shown(ports: Option<(PortSet, PortSet)>) -> PortsSeen {
    let (is, (remote, local)) = (ports.is_some(), ports.unwrap_or_default());
    (is, remote, local)
}

/// All of a region head its remote addresses.
type RegionHead = (PortsSeen, Decided);

/// Parts of regions: all head their remote addresses, and some of these. Parts that have all else in common are one region.
pub(super) type RegionParts<T> = Vec<(RegionHead, IntervalSet<T>)>;

/// Puts parts of one region together, and shows the regions in order.
pub(super) fn join<T: Point>(
    mut found: RegionParts<T>,
    mut see: impl FnMut((Option<(PortSet, PortSet)>, Decided), IntervalSet<T>),
) {
    let mut order: Vec<(u128, usize)> = found.iter().enumerate().map(|(at, (head, _))| (rank(head), at)).collect();
    order.sort_unstable_by(|(a, at), (b, other)| a.cmp(b).then_with(|| compare(&found[*at].0, &found[*other].0)));
    let mut rest = &order[..];
    while let [(rank, first), ..] = *rest {
        let is_part = |(other, at): &&(u128, usize)| *other == rank && found[*at].0 == found[first].0;
        let (parts, after) = rest.split_at(rest.iter().take_while(is_part).count());
        rest = after;
        let remote = match parts {
            [_] => std::mem::take(&mut found[first].1),
            _ => IntervalSet::from_intervals(parts.iter().flat_map(|(_, at)| found[*at].1.intervals()).copied()),
        };
        let (ports, decided) = &mut found[first].0;
        let (is, remotes, locals) = std::mem::take(ports);
        see((is.then_some((remotes, locals)), *decided), remote);
    }
}

fn compare(a: &RegionHead, b: &RegionHead) -> std::cmp::Ordering {
    let cause = |(_, (verdict, cause)): &RegionHead| (*verdict == Verdict::Deny, number(*cause));
    a.0.cmp(&b.0).then_with(|| cause(a).cmp(&cause(b)))
}

/// A number that rises as [`compare`] does, as far as it goes: equal numbers say nothing. No set is empty.
fn rank((ports, (verdict, cause)): &RegionHead) -> u128 {
    let (true, remote, local) = ports else { return cause_rank(*verdict, *cause) };
    let some = 1 << 127;
    let ([remote, more @ ..], [local, others @ ..]) = (remote.intervals(), local.intervals()) else { return some };
    let ends = u128::from(remote.first) << 111 | u128::from(remote.last) << 95 | u128::from(!more.is_empty()) << 94;
    if !more.is_empty() {
        return some | ends;
    }
    let locals = u128::from(local.first) << 78 | u128::from(local.last) << 62 | u128::from(!others.is_empty()) << 61;
    if others.is_empty() { some | ends | locals | cause_rank(*verdict, *cause) } else { some | ends | locals }
}

/// As [`rank`], of what is decided: 61 bits.
fn cause_rank(verdict: Verdict, cause: Cause) -> u128 {
    let (kind, list, _, rule, reply) = number(cause);
    let rule = (rule as u128).min((1 << 54) - 1);
    u128::from(verdict == Verdict::Deny) << 60
        | u128::from(kind) << 57
        | u128::from(list) << 56
        | rule << 1
        | u128::from(reply)
}

/// A cause as numbers in its order: kind, list, policy, rule, reply. Rules of one shape are of one policy.
fn number(cause: Cause) -> (u8, bool, usize, usize, bool) {
    match cause {
        Cause::Rule { place: RulePlace::Management(rule), reply } => (0, false, 0, rule, reply),
        Cause::Rule { place: RulePlace::Policy(policy, rule), reply } => (0, true, policy, rule, reply),
        Cause::NeighbourDiscovery => (1, false, 0, 0, false),
        Cause::Multicast => (2, false, 0, 0, false),
        Cause::NoRule => (3, false, 0, 0, false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::Interval;

    /// All of a region head its remote addresses, as it is shown.
    type Seen = (Option<(PortSet, PortSet)>, Decided);

    fn ports() -> impl Strategy<Value = PortSet> {
        let interval =
            (0u16..4, 0u16..4).prop_map(|(first, more)| Interval { first: first * 20000, last: first * 20000 + more });
        prop::collection::vec(interval, 1..3).prop_map(PortSet::from_intervals)
    }

    fn cause() -> impl Strategy<Value = Cause> {
        let rule = |management: bool, rule, reply| {
            let place = if management { RulePlace::Management(rule) } else { RulePlace::Policy(0, rule) };
            Cause::Rule { place, reply }
        };
        let rules = (any::<bool>(), 0usize..3, any::<bool>()).prop_map(move |(list, at, reply)| rule(list, at, reply));
        prop_oneof![rules, Just(Cause::Multicast), Just(Cause::NoRule), Just(Cause::NeighbourDiscovery)]
    }

    prop_compose! {
        fn part()(
            ports in prop::option::of((ports(), ports())),
            allow in any::<bool>(),
            cause in cause(),
            first in 0u32..6,
            more in 0u32..6,
        ) -> (RegionHead, IntervalSet<u32>) {
            let verdict = if allow { Verdict::Allow } else { Verdict::Deny };
            ((shown(ports), (verdict, cause)), IntervalSet::from_intervals([Interval { first, last: first + more }]))
        }
    }

    proptest! {
        #[test]
        fn parts_of_one_region_are_put_together_in_order(found in prop::collection::vec(part(), 0..24)) {
            let mut expected: std::collections::BTreeMap<Seen, IntervalSet<u32>> = std::collections::BTreeMap::new();
            for (((is, remotes, locals), decided), remote) in &found {
                let ports = is.then(|| (remotes.clone(), locals.clone()));
                let all = expected.entry((ports, *decided)).or_default();
                *all = all.union(remote);
            }
            let mut joined = Vec::new();
            join(found, |head, remote| joined.push((head, remote)));
            prop_assert_eq!(joined, expected.into_iter().collect::<Vec<_>>());
        }

        /// Where ports are of one interval each, or none are seen, ranks tell all heads apart.
        #[test]
        fn ranks_rise_as_heads_do((a, _) in part(), (mut b, _) in part(), alike in any::<(bool, bool)>()) {
            if alike.0 && a.0.0 == b.0.0 {
                b.0.1 = a.0.1.clone();
            }
            if alike.1 && a.0.0 == b.0.0 {
                b.0.2 = a.0.2.clone();
            }
            let (by_rank, whole) = (rank(&a).cmp(&rank(&b)), compare(&a, &b));
            prop_assert!(by_rank == whole || by_rank == std::cmp::Ordering::Equal, "{by_rank:?} for {whole:?}");
            let is_plain = |((_, remote, local), _): &RegionHead| remote.intervals().len() <= 1 && local.intervals().len() <= 1;
            prop_assert!(by_rank == whole || !is_plain(&a) || !is_plain(&b), "{by_rank:?} for {whole:?}");
        }
    }
}
