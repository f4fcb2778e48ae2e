//! Rules that decide nothing, and what decides instead.
//!
//! A rule that is the cause of no cell may still matter: as the first of its direction that matches, it keeps later rules
//! from admitting replies. If a decision changes when it is taken out, alone or with those behind it that decide nothing
//! either, then it stays. So of the rules that are left any choice can be taken out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::common::{Shapes, hider, is_used, list, origin_of, places};
use super::finding::{Finding, Hider, Lint};
use crate::policy::document::{Document, Rule, RulePlace};
use crate::policy::regions::classes::Mask;
use crate::policy::regions::{Budget, Cause, Cell, Shape, each_cell};
use crate::policy::text::{named, referred};
use crate::terms::{AddrSet, MacAddr, Verdict};

/// The rules that can be taken out, with what decides the flows that each matches; `None` if the budget is spent.
pub(super) fn useless(
    document: &Document,
    shapes: &Shapes<'_>,
    budget: &Budget,
) -> Option<BTreeMap<RulePlace, BTreeSet<Hider>>> {
    let mut out = without_cause(document, shapes, budget)?;
    keep_arp(document, &mut out);
    for shape in shapes.keys() {
        keep_blockers(document, shape, &mut out, budget)?;
    }
    let mut hidden: BTreeMap<_, BTreeSet<_>> = out.iter().map(|place| (*place, BTreeSet::new())).collect();
    for shape in shapes.keys() {
        find_hiders(document, shape, &mut hidden, budget)?;
    }
    Some(hidden)
}

/// The rules of policies in use that decide no cell.
fn without_cause(document: &Document, shapes: &Shapes<'_>, budget: &Budget) -> Option<BTreeSet<RulePlace>> {
    let looked_at = |place: &RulePlace| match *place {
        RulePlace::Management(_) => true,
        RulePlace::Policy(policy, _) => is_used(document, policy),
    };
    let mut out: BTreeSet<RulePlace> = places(document).map(|(place, _)| place).filter(looked_at).collect();
    for shape in shapes.keys() {
        each_cell(document, shape, budget, &mut |cell| {
            if let Cause::Rule { place, .. } = cell.decide().1 {
                out.remove(&place);
            }
        })?;
    }
    Some(out)
}

/// Denies of policies in use that decide nothing but frames from groups, with the allows whose replies are let through
/// before them; those that are `useless` anyhow are left alone.
pub(super) fn dead_denies(
    document: &Document,
    shapes: &Shapes<'_>,
    useless: &BTreeMap<RulePlace, BTreeSet<Hider>>,
    budget: &Budget,
) -> Option<BTreeMap<RulePlace, BTreeSet<RulePlace>>> {
    let denies = places(document).filter(|(place, rule)| {
        let used = matches!(*place, RulePlace::Policy(policy, _) if is_used(document, policy));
        used && rule.action == Verdict::Deny && !useless.contains_key(place)
    });
    let mut out: BTreeMap<RulePlace, BTreeSet<RulePlace>> = denies.map(|(place, _)| (place, BTreeSet::new())).collect();
    for shape in shapes.keys() {
        if !shape.rules.iter().any(|place| out.contains_key(place)) {
            continue;
        }
        each_cell(document, shape, budget, &mut |cell| {
            let decided = cell.decide();
            for at in cell.matching() {
                let Some(place) = shape.rules.get(at).filter(|place| out.contains_key(*place)) else { continue };
                let of_direction = document.rule(*place).is_some_and(|rule| rule.direction == cell.direction);
                let without = || cell.decide_without(&Mask::of_places(shape.rules.len() + 1, [at].into_iter()));
                match decided {
                    // What it decides it denies to groups alone, and without it nothing would allow it.
                    (_, Cause::Rule { place: decides, .. }) if decides == *place => {
                        let denies_groups_alone = cell.is_of_groups() && without().0 == decided.0;
                        if !denies_groups_alone {
                            out.remove(place);
                        }
                    }
                    (Verdict::Allow, Cause::Rule { place: allow, reply: true }) if of_direction => {
                        if let Some(allows) = out.get_mut(place) {
                            allows.insert(allow);
                        }
                    }
                    // It may keep later rules from admitting replies.
                    _ if !of_direction && without() != decided => {
                        out.remove(place);
                    }
                    _ => {}
                }
            }
        })?;
    }
    out.retain(|_, allows| !allows.is_empty());
    Some(out)
}

/// Takes from `out` one management rule of each MAC whose ARP would not pass without it.
fn keep_arp(document: &Document, out: &mut BTreeSet<RulePlace>) {
    let mut needed: BTreeSet<MacAddr> = document.management.iter().filter_map(|m| m.mac).collect();
    let bound = document.bindings.iter().filter(|binding| binding.ips.iter().any(IpAddr::is_ipv4));
    let stays = |at| !out.contains(&RulePlace::Management(at));
    let managed = document.management.iter().enumerate().filter(|(at, _)| stays(*at)).filter_map(|(_, m)| m.mac);
    for mac in bound.map(|binding| binding.mac).chain(managed) {
        needed.remove(&mac);
    }
    for (at, management) in document.management.iter().enumerate() {
        if management.mac.is_some_and(|mac| needed.remove(&mac)) {
            out.remove(&RulePlace::Management(at));
        }
    }
}

/// Takes from `out` the rules of this shape that keep later ones from admitting replies.
fn keep_blockers(document: &Document, shape: &Shape, out: &mut BTreeSet<RulePlace>, budget: &Budget) -> Option<()> {
    if !shape.rules.iter().any(|place| out.contains(place)) {
        return Some(());
    }
    each_cell(document, shape, budget, &mut |cell| {
        for list in blockers(document, shape, cell, out) {
            let Some(first) = list.first().and_then(|at| shape.rules.get(*at)) else { continue };
            let mut gone = Mask::of_len(shape.rules.len() + 1);
            let changes = list.iter().any(|at| {
                gone.flip(*at);
                cell.decide_without(&gone) != cell.decide()
            });
            if changes {
                out.remove(first);
            }
        }
    })
}

/// Of each list, management and policy: the rules of the other direction that match, as far as they are in `out`.
fn blockers(document: &Document, shape: &Shape, cell: &Cell<'_>, out: &BTreeSet<RulePlace>) -> [Vec<usize>; 2] {
    let place = |at: &usize| shape.rules.get(*at);
    let rule = |at: &usize| place(at).and_then(|place| document.rule(*place));
    let other = |at: &usize| rule(at).is_some_and(|rule| rule.direction != cell.direction);
    let managed = |at: &usize| matches!(place(at), Some(RulePlace::Management(_)));
    let is_out = |at: &usize| place(at).is_some_and(|place| out.contains(place));
    let (management, policy): (Vec<usize>, Vec<usize>) = cell.matching().filter(other).partition(managed);
    [management, policy].map(|list| list.into_iter().take_while(is_out).collect())
}

fn find_hiders(
    document: &Document,
    shape: &Shape,
    hidden: &mut BTreeMap<RulePlace, BTreeSet<Hider>>,
    budget: &Budget,
) -> Option<()> {
    if !shape.rules.iter().any(|place| hidden.contains_key(place)) {
        return Some(());
    }
    each_cell(document, shape, budget, &mut |cell| {
        let Some(hider) = hider(cell.decide().1) else { return };
        for place in cell.matching().filter_map(|at| shape.rules.get(at)) {
            if document.rule(*place).is_some_and(|rule| rule.direction == cell.direction)
                && let Some(hiders) = hidden.get_mut(place)
            {
                hiders.insert(hider);
            }
        }
    })
}

/// The finding about a rule that decides nothing.
pub(super) fn finding(document: &Document, rule: RulePlace, hidden_by: BTreeSet<Hider>) -> Finding {
    let name = named(document, rule);
    if let Some(of) = first_alike(document, rule) {
        let text = format!("{name} says the same as {}; take it out", referred(document, of));
        let origins = [rule, of].into_iter().filter_map(|place| origin_of(document, place)).collect();
        return Finding { lint: Lint::Duplicate { rule, of }, origins, text };
    }
    let places = hidden_by.iter().filter_map(|hider| match hider {
        Hider::Rule { place, .. } => Some(*place),
        Hider::NeighbourDiscovery | Hider::Multicast => None,
    });
    let mut all: Vec<RulePlace> = vec![rule];
    all.extend(places);
    all.dedup();
    let origins = all.into_iter().filter_map(|place| origin_of(document, place)).collect();
    let in_list = |hider: &Hider| {
        matches!((hider, rule), (Hider::Rule { place: RulePlace::Policy(..), .. }, RulePlace::Policy(..)))
    };
    let text = match hidden_by.len() {
        0 => format!("{name} can never match: {}; take it out", why_nothing(document, rule)),
        many => {
            let hiders = list(hidden_by.iter().map(|hider| in_words(document, *hider)).collect());
            let verb = if many == 1 { "decides" } else { "decide" };
            let way_out = if hidden_by.iter().any(in_list) { "take it out, or move it up" } else { "take it out" };
            format!("{name} can never match: {hiders} {verb} all that it matches; {way_out}")
        }
    };
    Finding { lint: Lint::NeverMatches { rule, hidden_by: hidden_by.into_iter().collect() }, origins, text }
}

/// Why no flow of an address that a rule applies to is as it says.
fn why_nothing(document: &Document, place: RulePlace) -> String {
    let users = document.bindings.iter().filter(|binding| match place {
        RulePlace::Management(_) => true,
        RulePlace::Policy(policy, _) => binding.policy == policy,
    });
    let ips: AddrSet = users.flat_map(|binding| binding.ips.iter().copied()).collect();
    let Some(Rule { local: Some(local), .. }) = document.rule(place) else {
        return "it names no remote of the family of an address that it applies to".to_owned();
    };
    if ips.subtract(local) == ips {
        "no address that it could apply to is in its local".to_owned()
    } else {
        "it names no remote of the family of an address in its local".to_owned()
    }
}

fn in_words(document: &Document, hider: Hider) -> String {
    match hider {
        Hider::Rule { place, reply: false } => referred(document, place),
        Hider::Rule { place, reply: true } => format!("what replies to {} opens", referred(document, place)),
        Hider::NeighbourDiscovery => "nd: open-icmpv6".to_owned(),
        Hider::Multicast => "multicast: deny".to_owned(),
    }
}

/// The first rule of the same list, before this one, that says the same.
fn first_alike(document: &Document, place: RulePlace) -> Option<RulePlace> {
    let rule = document.rule(place)?;
    match place {
        RulePlace::Management(at) => {
            let mac = document.management.get(at)?.mac;
            let alike = document.management.iter().take(at).position(|m| m.mac == mac && say_the_same(&m.rule, rule));
            alike.map(RulePlace::Management)
        }
        RulePlace::Policy(policy, at) => {
            let rules = &document.policies.get(policy)?.rules;
            let alike = rules.iter().take(at).position(|other| say_the_same(other, rule));
            alike.map(|at| RulePlace::Policy(policy, at))
        }
    }
}

/// True if two rules have all but their origins and their wording in common.
fn say_the_same(a: &Rule, b: &Rule) -> bool {
    let all = |rule: &Rule| {
        let Rule { direction, action, sample, proto, ports, local, replies, names_local_ports, .. } = rule.clone();
        (direction, action, sample, proto, ports, local, replies, names_local_ports)
    };
    all(a) == all(b) && a.remote.set == b.remote.set
}
