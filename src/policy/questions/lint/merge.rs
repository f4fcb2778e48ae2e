//! Neighbours in a policy that one rule could replace.
//!
//! Rules that stand side by side, do the same in the same direction and admit the same replies can be one if together they
//! match a box: all fields but one agree, or one covers the other. Nothing stands between them, so no verdict changes; and
//! they must be of one origin, so that nobody's reason is lost.

use std::sync::Arc;

use super::finding::{Finding, Lint};
use crate::policy::document::{Document, Origin, PortPair, Proto, Remote, Rule, RulePlace};
use crate::policy::text::named;
use crate::policy::text::prefixes;
use crate::terms::Direction;

/// Finds neighbours; rules that are `useless` anyhow are left alone.
pub(super) fn neighbours(document: &Document, useless: impl Fn(RulePlace) -> bool, out: &mut Vec<Finding>) {
    for (policy, of) in document.policies.iter().enumerate() {
        let place = |rule| RulePlace::Policy(policy, rule);
        let mut from = 0;
        while let Some(first) = of.rules.get(from) {
            let (mut merged, mut to) = (first.clone(), from);
            while let Some(next) = of.rules.get(to + 1) {
                let both = merge(&merged, next).filter(|_| !useless(place(to)) && !useless(place(to + 1)));
                let Some(both) = both else { break };
                (merged, to) = (both, to + 1);
            }
            if to > from {
                let rules: Vec<RulePlace> = (from..=to).map(place).collect();
                let origins = of.rules.iter().take(to + 1).skip(from).map(|rule| rule.origin.clone()).collect();
                let text = format!(
                    "{} and the {} behind it could be one: {}",
                    named(document, place(from)),
                    if to - from == 1 { "one".to_owned() } else { (to - from).to_string() },
                    in_words(&merged)
                );
                out.push(Finding { lint: Lint::CouldBeOne { rules, merged: Box::new(merged) }, origins, text });
            }
            from = to + 1;
        }
    }
}

/// The fields by which the rule matches, as in a policy file.
fn in_words(rule: &Rule) -> String {
    let mut out = format!("proto {}, remote {}", rule.proto, rule.remote.text);
    if let Some(PortPair { remote, local }) = &rule.ports {
        for (name, ports) in [("remote_ports", remote), ("local_ports", local)] {
            if !ports.is_full() {
                out += &format!(", {name} {ports}");
            }
        }
    }
    match &rule.local {
        Some(local) => out + &format!(", local {}", prefixes(local)),
        None => out,
    }
}

/// One rule that does what two neighbours do.
fn merge(a: &Rule, b: &Rule) -> Option<Rule> {
    let does = |rule: &Rule| (rule.direction, rule.action, rule.sample, rule.replies);
    // Replies to an allow out go to ephemeral ports only, unless the rule names local ports.
    let confined = |rule: &Rule| rule.replies && rule.direction == Direction::Tx && !rule.names_local_ports;
    if does(a) != does(b) || confined(a) != confined(b) || without_line(&a.origin) != without_line(&b.origin) {
        return None;
    }
    if covers(b, a) {
        return Some(b.clone());
    }
    if covers(a, b) {
        return Some(a.clone());
    }
    in_one_field(a, b)
}

fn without_line(origin: &Arc<Origin>) -> Origin {
    Origin { line: 0, ..(**origin).clone() }
}

/// True if `a` matches all that `b` matches.
fn covers(a: &Rule, b: &Rule) -> bool {
    let ports = match (&a.ports, &b.ports) {
        (None, _) => true,
        (Some(a), Some(b)) => b.remote.is_subset(&a.remote) && b.local.is_subset(&a.local),
        (Some(_), None) => false,
    };
    let local = match (&a.local, &b.local) {
        (None, _) => true,
        (Some(a), Some(b)) => b.subtract(a).is_empty(),
        (Some(_), None) => false,
    };
    (a.proto == Proto::Any || a.proto == b.proto) && ports && local && b.remote.set.subtract(&a.remote.set).is_empty()
}

/// One rule for two that differ in one field alone.
fn in_one_field(a: &Rule, b: &Rule) -> Option<Rule> {
    let same = [a.remote.set == b.remote.set, a.ports == b.ports, a.local == b.local];
    if a.proto != b.proto || same.iter().filter(|same| **same).count() != 2 {
        return None;
    }
    let mut merged = a.clone();
    match same {
        [false, ..] => merged.remote = union_of_remotes(&a.remote, &b.remote),
        [_, false, _] => merged.ports = Some(union_of_ports(a.ports.as_ref()?, b.ports.as_ref()?)?),
        _ => merged.local = Some(a.local.as_ref()?.union(b.local.as_ref()?)),
    }
    merged.names_local_ports |= b.names_local_ports;
    Some(merged)
}

fn union_of_remotes(a: &Remote, b: &Remote) -> Remote {
    let set = a.set.union(&b.set);
    // An exception in the middle of a list would read as one of the whole.
    let plain = [a, b].iter().all(|remote| !remote.text.contains("except"));
    Remote { text: if plain { format!("{}, {}", a.text, b.text) } else { prefixes(&set) }, set }
}

/// The ports of both; `None` if they differ on both sides.
fn union_of_ports(a: &PortPair, b: &PortPair) -> Option<PortPair> {
    let is_box = a.remote == b.remote || a.local == b.local;
    is_box.then(|| PortPair { remote: a.remote.union(&b.remote), local: a.local.union(&b.local) })
}
