//! What was said and means nothing: protocols that no frame of an address shows, exceptions that take nothing away, and
//! groups that nobody names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::common::{at_line, is_used, list, origin_of, places};
use super::finding::{Finding, Lint};
use crate::policy::document::draft::AddrTerm;
use crate::policy::document::{Document, Proto, Rule, RulePlace};
use crate::policy::text::words;
use crate::policy::text::{named, referred};
use crate::terms::{AddrSet, Interval, IntervalSet, Point};

/// Headers of IPv6 behind which the adapter looks for the protocol: hop-by-hop options, routing, fragment, authentication,
/// destination options.
const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

/// Finds the rules whose protocol no frame of their addresses shows.
pub(super) fn protocols(document: &Document, out: &mut Vec<Finding>) {
    let mut bound: BTreeMap<usize, AddrSet> = BTreeMap::new();
    for binding in &document.bindings {
        let all = bound.entry(binding.policy).or_default();
        *all = all.union(&binding.ips.iter().copied().collect());
    }
    let everybody = bound.values().fold(AddrSet::empty(), |all, of| all.union(of));
    for (place, rule) in places(document) {
        let locals = match place {
            RulePlace::Policy(policy, _) if is_used(document, policy) => {
                bound.get(&policy).cloned().unwrap_or_default()
            }
            RulePlace::Policy(..) => continue,
            RulePlace::Management(_) => rule.local.clone().unwrap_or_else(|| everybody.clone()),
        };
        let locals = rule.local.as_ref().map_or_else(
            || locals.clone(),
            |local| AddrSet { v4: locals.v4.intersect(&local.v4), v6: locals.v6.intersect(&local.v6) },
        );
        let remotes = rule.remote.set.families();
        let v4 = !locals.v4.is_empty() && !remotes.v4.is_empty();
        let v6 = !locals.v6.is_empty() && !remotes.v6.is_empty();
        let Some(text) = never_shown(document, place, rule.proto, (v4, v6)) else { continue };
        out.push(Finding { lint: Lint::ProtocolNeverShown { rule: place }, origins: vec![rule.origin.clone()], text });
    }
}

/// What is said of a protocol that frames of these families do not show.
fn never_shown(document: &Document, place: RulePlace, proto: Proto, families: (bool, bool)) -> Option<String> {
    let name = named(document, place);
    match (proto, families) {
        (Proto::ICMP, (false, true)) => {
            Some(format!("{name} is about icmp, and all that it applies to is IPv6; say proto: icmpv6"))
        }
        (Proto::ICMPV6, (true, false)) => {
            Some(format!("{name} is about icmpv6, and all that it applies to is IPv4; say proto: icmp"))
        }
        (Proto::Is(number), (v4, true)) if EXTENSIONS.contains(&number) => {
            let what = if v4 { "never matches IPv6" } else { "can never match" };
            let way_out =
                if v4 { "name IPv4 remotes alone" } else { "take it out, or name the protocol behind the header" };
            Some(format!(
                "{name} {what}: {number} is an extension header, and the adapter sees the protocol behind it; {way_out}"
            ))
        }
        _ => None,
    }
}

/// Finds exceptions that take nothing away from the addresses beside them.
pub(super) fn exceptions(document: &Document, out: &mut Vec<Finding>) {
    for (place, rule) in places(document) {
        let Some((of, except)) = rule.remote.text.split_once(" except ") else { continue };
        let Some(all) = terms(document, of) else { continue };
        let all = AddrSet::union_of(&all.into_iter().map(|(_, set)| set).collect::<Vec<_>>());
        for (word, set) in terms(document, except).unwrap_or_default() {
            if all.subtract(&set) == all {
                let text =
                    format!("except {word} takes nothing away from {of} in {}; take it out", named(document, place));
                let lint = Lint::IdleException { rule: place, word };
                out.push(Finding { lint, origins: vec![rule.origin.clone()], text });
            }
        }
    }
}

/// The words of an expression, each with what it means.
fn terms(document: &Document, text: &str) -> Option<Vec<(String, AddrSet)>> {
    let meaning = |word: &str| match words::addr_term(word).ok()? {
        AddrTerm::Any => Some(AddrSet::full()),
        AddrTerm::Net(net) => Some(AddrSet::from(net)),
        AddrTerm::Group(name) => document.groups.get(&name).cloned(),
    };
    text.split(", ").map(|word| Some((word.to_owned(), meaning(word)?))).collect()
}

/// Finds groups that no rule names. A document does not hold with which words its groups and local addresses were said: one
/// that may be part of another, or an exception to it, counts as named.
pub(super) fn unused_groups(document: &Document) -> Vec<Finding> {
    let mut said: BTreeSet<&str> = BTreeSet::new();
    for (_, rule) in places(document) {
        said.extend(rule.remote.text.split(" except ").flat_map(|text| text.split(", ")));
    }
    let locals: Vec<&AddrSet> = places(document).filter_map(|(_, rule): (_, &Rule)| rule.local.as_ref()).collect();
    let unused = document.groups.iter().filter(|(name, set)| {
        let others = document.groups.iter().filter(|(other, _)| other != name).map(|(_, set)| set);
        !said.contains(name.as_str()) && !others.chain(locals.iter().copied()).any(|other| may_be_said_in(set, other))
    });
    let finding = |(name, _): (&String, &AddrSet)| Finding {
        lint: Lint::UnusedGroup { group: name.clone() },
        origins: vec![at_line(document, 0)],
        text: format!("no rule names group {name}; take it out, or name it"),
    };
    unused.map(finding).collect()
}

/// True if one set may be a part of another, or what was taken out of it.
fn may_be_said_in(set: &AddrSet, other: &AddrSet) -> bool {
    set.subtract(other).is_empty() || borders(&set.v4, &other.v4) || borders(&set.v6, &other.v6)
}

fn borders<T: Point>(set: &IntervalSet<T>, other: &IntervalSet<T>) -> bool {
    let beside = |interval: &Interval<T>| [interval.first.prev(), interval.last.next()];
    set.intervals().iter().flat_map(beside).flatten().any(|at| other.contains(at))
}

/// Finds denies that deny nothing but what comes from groups, because replies to earlier allows are let through first.
pub(super) fn dead_denies(
    document: &Document,
    found: BTreeMap<RulePlace, BTreeSet<RulePlace>>,
    out: &mut Vec<Finding>,
) {
    for (place, allows) in found {
        let of = list(allows.iter().map(|allow| referred(document, *allow)).collect());
        let text = format!(
            "{} denies nothing that would pass: replies to {of} are let through before it; move it up, or say replies: no \
             there",
            named(document, place)
        );
        let origins = [place].into_iter().chain(allows.iter().copied());
        let origins: Vec<Arc<_>> = origins.filter_map(|place| origin_of(document, place)).collect();
        out.push(Finding {
            lint: Lint::DeadDeny { rule: place, replies_to: allows.into_iter().collect() },
            origins,
            text,
        });
    }
}
