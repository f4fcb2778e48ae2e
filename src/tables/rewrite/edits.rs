//! Edits of single rules that may make a refused document fit, the most promising first.
//!
//! An allow is narrowed and a deny is widened, which newly denies and never allows; or the other way round, which has to be
//! said. Sets become those *at hand*, which other rules name already and for which there are ids; or they are rounded: to
//! whole prefixes, to one range, to their largest part.

use std::sync::Arc;

use super::edit::Edit;
use super::gain::need;
use crate::policy::text::write::groups::Groups;
use crate::policy::text::write::pieces;
use crate::policy::{Document, Origin, Policy, PortPair, Proto, Remote, Rule};
use crate::tables::{CompileError, DeniedBy, Table};
use crate::terms::{AddrSet, Interval, IntervalSet, Point, PortSet, Verdict};

/// Rules of a policy that edits are made of: those that need most.
const MOST_RULES: usize = 24;
/// Rules whose sets are looked at for one at hand.
const AT_HAND: usize = 256;
/// Lengths that prefixes are rounded to.
const LENGTHS: [u32; 5] = [28, 24, 20, 16, 12];
/// Protocols that stand for all: what is left out has no ports and is seldom used.
const USUAL: [Proto; 5] = [Proto::TCP, Proto::UDP, Proto::SCTP, Proto::ICMP, Proto::ICMPV6];

/// A changed document.
pub(super) struct Attempt {
    pub document: Document,
    pub edit: Edit,
    /// It may newly allow something.
    opens: bool,
    /// What it saves of the table that is too small, roughly.
    gain: u64,
    /// Flows that are judged otherwise, roughly: addresses by ports.
    change: u128,
}

/// What takes the place of a rule.
struct Instead {
    text: String,
    rules: Vec<Rule>,
    opens: bool,
    change: u128,
}

/// What may be tried after a refusal, in this order.
pub(super) fn attempts(document: &Document, refusal: &CompileError) -> Vec<Attempt> {
    match refusal {
        CompileError::DoesNotFit { table, missing, largest, .. } => {
            let policy =
                largest.policy.as_ref().and_then(|name| document.policies.iter().position(|p| p.name == *name));
            policy.map_or_else(Vec::new, |policy| to_save(document, policy, *table, *missing))
        }
        CompileError::Fragments { allow, proto, deny, .. } => {
            let is_it = |rule: &Rule| rule.proto == *proto;
            let of_allow = |rule: &Rule| vec![is_it(rule).then(|| named_ports(rule)).flatten()];
            let mut out = of_origin(document, allow, Verdict::Allow, of_allow);
            out.extend(of_deny(document, deny, |rule| vec![all_ports(rule), left_out(rule)]));
            out
        }
        CompileError::AnyProtocol { allow, deny, reply, .. } => {
            let of_allow = |rule: &Rule| {
                let silent = reply.then(|| no_replies(rule)).flatten();
                vec![silent, by_protocol(rule)]
            };
            let mut out = of_origin(document, allow, Verdict::Allow, of_allow);
            out.extend(of_deny(document, deny, |rule| vec![all_protocols(rule), left_out(rule)]));
            out
        }
        CompileError::Ipv6Remote { at, reply, .. } => {
            let mut out = of_origin(document, at, Verdict::Allow, |rule| {
                vec![reply.then(|| no_replies(rule)).flatten(), no_v6(rule)]
            });
            out.extend(of_origin(document, at, Verdict::Deny, |rule| vec![all_v6(rule), left_out(rule)]));
            out
        }
        CompileError::SampledDeny { at } => of_origin(document, at, Verdict::Deny, |rule| vec![no_sample(rule)]),
        CompileError::Order { at, .. } | CompileError::NotLookedUp { at, .. } => {
            let of_allow = |rule: &Rule| vec![no_replies(rule), named_ports(rule), by_protocol(rule)];
            let mut out = of_origin(document, at, Verdict::Allow, of_allow);
            let of_deny = |rule: &Rule| vec![all_ports(rule), all_protocols(rule), left_out(rule)];
            out.extend(of_origin(document, at, Verdict::Deny, of_deny));
            out
        }
        // No rule is to blame, or none in particular.
        CompileError::PhysicalPort { .. }
        | CompileError::UnboundAllow { .. }
        | CompileError::TooComplex { .. }
        | CompileError::NotTaken { .. }
        | CompileError::Map(_)
        | CompileError::MapDisagrees { .. }
        | CompileError::Disagrees { .. } => Vec::new(),
    }
}

fn of_deny(document: &Document, deny: &DeniedBy, edits: impl Fn(&Rule) -> Vec<Option<Instead>>) -> Vec<Attempt> {
    match deny {
        DeniedBy::Rule(origin) => of_origin(document, origin, Verdict::Deny, edits),
        DeniedBy::NoRule | DeniedBy::Multicast => Vec::new(),
    }
}

/// Edits of the rules of an origin.
fn of_origin(
    document: &Document,
    origin: &Arc<Origin>,
    action: Verdict,
    edits: impl Fn(&Rule) -> Vec<Option<Instead>>,
) -> Vec<Attempt> {
    let mut out = Vec::new();
    for (policy, of) in document.policies.iter().enumerate() {
        let rules = of.rules.iter().enumerate();
        for (at, rule) in rules.filter(|(_, rule)| rule.origin == *origin && rule.action == action).take(MOST_RULES) {
            let instead = edits(rule).into_iter().flatten();
            out.extend(instead.map(|instead| instead.in_document(document, policy, at, rule, 0)));
        }
    }
    out
}

/// Edits of the rules of a policy that needs too much of a table.
fn to_save(document: &Document, policy: usize, table: Table, missing: u64) -> Vec<Attempt> {
    let Some(rules) = document.policies.get(policy).map(|policy| &policy.rules) else { return Vec::new() };
    let whole = need(rules, table);
    let without = |at: usize, instead: &[Rule]| {
        let (before, after) = (rules.get(..at).unwrap_or_default(), rules.get(at + 1..).unwrap_or_default());
        need(&[before, instead, after].concat(), table)
    };
    let mut by_gain: Vec<(u64, usize)> = if rules.len() <= AT_HAND {
        (0..rules.len()).map(|at| (whole.saturating_sub(without(at, &[])), at)).collect()
    } else {
        rules.iter().enumerate().map(|(at, rule)| (need(std::slice::from_ref(rule), table), at)).collect()
    };
    by_gain.sort_by_key(|(gain, at)| (std::cmp::Reverse(*gain), *at));
    let (mut out, groups) = (Vec::new(), Groups::new(&document.groups));
    for (_, at) in by_gain.into_iter().take(MOST_RULES) {
        let Some(rule) = rules.get(at) else { continue };
        for instead in shapes(rule, rules, &groups) {
            let gain = whole.saturating_sub(without(at, &instead.rules));
            if gain > 0 {
                out.push(instead.in_document(document, policy, at, rule, gain));
            }
        }
    }
    // First what may be enough, the smallest change first; then what saves most.
    out.sort_by_key(|attempt| {
        let enough = attempt.gain >= missing;
        let order = if enough { attempt.change } else { u128::from(u64::MAX - attempt.gain) };
        (attempt.opens, !enough, order)
    });
    out
}

impl Instead {
    /// The document with it.
    fn in_document(self, document: &Document, policy: usize, at: usize, rule: &Rule, gain: u64) -> Attempt {
        let mut document = document.clone();
        if let Some(of) = document.policies.get_mut(policy) {
            let mut rules = of.rules.clone();
            rules.splice(at..=at, self.rules);
            *of = Arc::new(Policy { name: of.name.clone(), rules, line: of.line });
        }
        let edit = Edit { origin: rule.origin.clone(), text: self.text };
        Attempt { document, edit, opens: self.opens, gain, change: self.change }
    }

    /// One rule for another.
    fn one(text: String, rule: Rule, opens: bool, change: u128) -> Option<Self> {
        Some(Self { text, rules: vec![rule], opens, change })
    }
}

/// Frames without ports, which the adapter cannot tell from those with ports, are left out.
fn named_ports(rule: &Rule) -> Option<Instead> {
    if rule.ports.is_some() || !matches!(rule.proto, Proto::Is(number) if Proto::has_ports(number)) {
        return None;
    }
    let ports = PortPair { remote: PortSet::full(), local: PortSet::full() };
    let text = format!("say remote_ports: 0-65535 ({})", rule.proto);
    Instead::one(text, Rule { ports: Some(ports), ..rule.clone() }, false, 1)
}

fn all_ports(rule: &Rule) -> Option<Instead> {
    rule.ports.as_ref()?;
    Instead::one("name no ports".to_owned(), Rule { ports: None, ..rule.clone() }, false, 2)
}

fn all_protocols(rule: &Rule) -> Option<Instead> {
    if rule.proto == Proto::Any && rule.ports.is_none() {
        return None;
    }
    let text = format!("say proto: any{}", if rule.ports.is_some() { ", and name no ports" } else { "" });
    Instead::one(text, Rule { proto: Proto::Any, ports: None, ..rule.clone() }, false, 3)
}

fn left_out(rule: &Rule) -> Option<Instead> {
    let text = format!("leave the {} out", if rule.action == Verdict::Deny { "deny" } else { "allow" });
    Some(Instead { text, rules: Vec::new(), opens: rule.action == Verdict::Deny, change: u128::MAX })
}

fn no_replies(rule: &Rule) -> Option<Instead> {
    rule.replies.then_some(())?;
    Instead::one("say replies: no".to_owned(), Rule { replies: false, ..rule.clone() }, false, size(rule))
}

fn no_sample(rule: &Rule) -> Option<Instead> {
    rule.sample.then_some(())?;
    Instead::one("leave sample out".to_owned(), Rule { sample: false, ..rule.clone() }, false, 0)
}

/// One rule for each of the usual protocols.
fn by_protocol(rule: &Rule) -> Option<Instead> {
    if rule.proto != Proto::Any || rule.ports.is_some() {
        return None;
    }
    let rules = USUAL.map(|proto| Rule { proto, ..rule.clone() });
    let text =
        format!("write a rule each for proto {} instead of any", USUAL.map(|proto| proto.to_string()).join(", "));
    Some(Instead { text, rules: rules.to_vec(), opens: false, change: 4 })
}

fn no_v6(rule: &Rule) -> Option<Instead> {
    let set = AddrSet { v4: rule.remote.set.v4.clone(), ..AddrSet::empty() };
    if set.is_empty() { left_out(rule) } else { with_remote(rule, set, None) }
}

fn all_v6(rule: &Rule) -> Option<Instead> {
    let set = AddrSet { v6: IntervalSet::full(), v4: rule.remote.set.v4.clone() };
    with_remote(rule, set, None)
}

/// Other sets for the rule's own.
fn shapes(rule: &Rule, all: &[Rule], groups: &Groups<'_>) -> Vec<Instead> {
    let mut out: Vec<Option<Instead>> = vec![no_replies(rule)];
    if rule.action == Verdict::Deny {
        out.push(left_out(rule));
    }
    let same = all.iter().filter(|other| other.origin != rule.origin).take(AT_HAND);
    out.extend(remotes(rule, same.clone(), groups));
    if let Some(own) = &rule.ports {
        let others: Vec<&PortPair> = same.filter_map(|other| other.ports.as_ref()).collect();
        let local: Vec<&PortSet> = others.iter().map(|pair| &pair.local).collect();
        let remote: Vec<&PortSet> = others.iter().map(|pair| &pair.remote).collect();
        for set in ports(&own.local, &local) {
            let pair = PortPair { local: set.clone(), ..own.clone() };
            out.push(with_ports(rule, pair, "local_ports", &own.local, &set));
        }
        for set in ports(&own.remote, &remote) {
            let pair = PortPair { remote: set.clone(), ..own.clone() };
            out.push(with_ports(rule, pair, "remote_ports", &own.remote, &set));
        }
    }
    out.into_iter().flatten().collect()
}

/// Other remotes, in the words of a policy file: at hand, rounded outwards and inwards, the largest prefix alone.
fn remotes<'a>(rule: &Rule, others: impl Iterator<Item = &'a Rule>, groups: &Groups<'_>) -> Vec<Option<Instead>> {
    let own = &rule.remote.set;
    if own.v4.is_empty() || own.v4.is_full() {
        return Vec::new();
    }
    let with = |v4: IntervalSet<u32>| AddrSet { v4, v6: own.v6.clone() };
    let mut out = Vec::new();
    let alike: Vec<&Remote> = others.map(|other| &other.remote).filter(|other| other.set.v6 == own.v6).collect();
    out.extend(met(&own.v4, alike.iter().map(|other| &other.set.v4)).map(|v4| with_remote(rule, with(v4), None)));
    let (below, above) = at_hand(&own.v4, alike.iter().map(|other| &other.set.v4));
    for set in [below, above].into_iter().flatten() {
        let text = alike.iter().find(|other| other.set.v4 == *set).map(|other| groups.remote(other));
        out.push(with_remote(rule, with(set.clone()), text));
    }
    for length in LENGTHS {
        out.push(with_remote(rule, with(rounded(&own.v4, length)), None));
        out.push(with_remote(rule, with(rounded(&own.v4.complement(), length).complement()), None));
    }
    let largest = own.prefixes().into_iter().filter(|net| net.addr().is_ipv4()).min_by_key(ipnet::IpNet::prefix_len);
    out.extend(largest.map(|net| with_remote(rule, with(AddrSet::from(net).v4), None)));
    out
}

fn with_remote(rule: &Rule, set: AddrSet, text: Option<String>) -> Option<Instead> {
    if set == rule.remote.set || set.is_empty() {
        return None;
    }
    let added = !set.subtract(&rule.remote.set).is_empty();
    let taken = !rule.remote.set.subtract(&set).is_empty();
    let opens = if rule.action == Verdict::Allow { added } else { taken };
    let change = points(&set.subtract(&rule.remote.set).v4) + points(&rule.remote.set.subtract(&set).v4);
    let text = text.unwrap_or_else(|| pieces::addresses(&set));
    let said = format!("say remote: {text} instead of {}", rule.remote.text);
    let remote = Remote { text, set };
    Instead::one(said, Rule { remote, ..rule.clone() }, opens, change.saturating_mul(port_pairs(rule)))
}

/// Other ports: at hand, one range, the largest range alone.
fn ports(own: &PortSet, others: &[&PortSet]) -> Vec<PortSet> {
    if own.is_full() {
        return Vec::new();
    }
    let (below, above) = at_hand(own, others.iter().copied().filter(|set| !set.is_full()));
    let (first, last) = (own.intervals().first(), own.intervals().last());
    let one = first.zip(last).map(|(a, b)| PortSet::from_intervals([Interval { first: a.first, last: b.last }]));
    let largest = own.intervals().iter().max_by_key(|interval| interval.last - interval.first);
    let largest = largest.map(|interval| PortSet::from_intervals([*interval]));
    let met = met(own, others.iter().copied());
    met.chain([below.cloned(), above.cloned(), one, largest].into_iter().flatten()).collect()
}

fn with_ports(rule: &Rule, ports: PortPair, name: &str, before: &PortSet, after: &PortSet) -> Option<Instead> {
    if before == after {
        return None;
    }
    let is_allow = rule.action == Verdict::Allow;
    let opens = if is_allow { !after.is_subset(before) } else { !before.is_subset(after) };
    let change = points(&after.subtract(before)) + points(&before.subtract(after));
    let text = format!("say {name}: {} instead of {before}", pieces::ports(after));
    Instead::one(
        text,
        Rule { ports: Some(ports), ..rule.clone() },
        opens,
        change.saturating_mul(points(&rule.remote.set.v4)),
    )
}

/// Of other sets the largest within one, and the smallest around it.
fn at_hand<'a, T: Point + Into<u128> + 'a>(
    own: &IntervalSet<T>,
    others: impl Iterator<Item = &'a IntervalSet<T>>,
) -> (Option<&'a IntervalSet<T>>, Option<&'a IntervalSet<T>>) {
    let others: Vec<&IntervalSet<T>> = others.filter(|other| *other != own && !other.is_empty()).collect();
    let below = others.iter().copied().filter(|other| other.is_subset(own)).max_by_key(|other| points(other));
    let above = others.iter().copied().filter(|other| own.is_subset(other)).min_by_key(|other| points(other));
    (below, above)
}

/// What a set has in common with the one that it shares most with, of those that neither hold it nor lie within it; and both
/// together.
fn met<'a, T: Point + Into<u128> + 'a>(
    own: &IntervalSet<T>,
    others: impl Iterator<Item = &'a IntervalSet<T>>,
) -> impl Iterator<Item = IntervalSet<T>> {
    let lies_over = |other: &&IntervalSet<T>| !own.is_disjoint(other) && !own.is_subset(other) && !other.is_subset(own);
    let most = others.filter(lies_over).max_by_key(|other| points(&own.intersect(other)));
    most.into_iter().flat_map(|other| [own.intersect(other), own.union(other)])
}

/// The whole prefixes of a length that a set meets.
fn rounded(set: &IntervalSet<u32>, length: u32) -> IntervalSet<u32> {
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    let out = |interval: &Interval<u32>| Interval { first: interval.first & !host, last: interval.last | host };
    IntervalSet::from_intervals(set.intervals().iter().map(out))
}

fn points<T: Point + Into<u128>>(set: &IntervalSet<T>) -> u128 {
    set.intervals().iter().map(|interval| interval.last.into() - interval.first.into() + 1).sum()
}

fn port_pairs(rule: &Rule) -> u128 {
    rule.ports.as_ref().map_or(1 << 32, |ports| points(&ports.remote) * points(&ports.local))
}

fn size(rule: &Rule) -> u128 {
    points(&rule.remote.set.v4).saturating_mul(port_pairs(rule))
}
