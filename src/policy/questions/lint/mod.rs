//! What of a document is useless, or opens more than its author may think: findings with one sentence of advice each.
//!
//! The way of the data: bindings and management rules -> [`Shape`]s, each once -> their cells (`useless`) and their regions
//! (`replies`, `path_mtu`); what needs no address is read from the rules alone (`merge`, and the rest here).
//!
//! ```
//! use nicfw::policy::Document;
//!
//! let text = r#"
//! nicfw: 1
//! unbound: allow
//! multicast: deny
//! policies:
//!   web:
//!     - {allow: in, proto: tcp, remote: 10.0.0.0/8, replies: no, reason: shop front}
//!     - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, replies: no, reason: office}
//! bindings:
//!   - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: {macvlan: vepa}, policy: web}
//! "#;
//! let findings = Document::parse(text, "web.yaml")?.lint(&"2026-11-23".parse()?);
//! assert_eq!(
//!     findings[0].to_string(),
//!     "web.yaml:8: policy web, rule 2 can never match: rule 1 (web.yaml:7) decides all that it matches; \
//!      take it out, or move it up"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod merge;
mod path_mtu;
mod replies;
mod useless;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::policy::document::{Binding, Document, Management, Origin, Rule, RulePlace};
use crate::policy::regions::classes::classes;
use crate::policy::regions::{Cause, Shape};
use crate::policy::text::{named, referred};
use crate::terms::{AddrSet, Direction, IntervalSet, MacAddr, Point};

/// What looking at all cells may cost: some seconds. A document that compiles needs less.
const MOST_STEPS: u64 = 1 << 30;
/// Rules that a sentence names one by one.
const NAMED_RULES: usize = 8;

/// One thing of a document that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub lint: Lint,
    /// Where: first what it is about, then what it refers to.
    pub origins: Vec<Arc<Origin>>,
    /// What was found and what to do, in one sentence without the place.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origins.first() {
            Some(origin) => write!(f, "{origin}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
    /// A rule that decides nothing: without it every flow has the same decision, for the same reason. All rules of such
    /// findings and of [`Lint::Duplicate`] can be taken out together.
    NeverMatches {
        /// The rule.
        rule: RulePlace,
        /// What decides the flows that it matches; empty if it matches none.
        hidden_by: Vec<Hider>,
    },
    /// A rule that decides nothing because an earlier one of the list says the same.
    Duplicate {
        /// The later rule.
        rule: RulePlace,
        /// The first that says the same.
        of: RulePlace,
    },
    /// Neighbours of one origin that one rule could replace: no verdict changes.
    CouldBeOne {
        /// The rules, in their order, at least two.
        rules: Vec<RulePlace>,
        /// The rule that could stand in their place.
        merged: Box<Rule>,
    },
    /// Replies that leave more than [`Lint::MUCH`] pairs of address and port open.
    RepliesOpenMuch {
        /// The rule whose replies they are.
        rule: RulePlace,
        /// Which way the replies go.
        direction: Direction,
        /// The container that most is open for.
        container: String,
        /// How many pairs: who may send unasked, and which port is reached. An IPv6 network of 64 bits counts as one
        /// address.
        pairs: u128,
    },
    /// A rule without a reason.
    NoReason {
        /// The rule.
        rule: RulePlace,
    },
    /// A rule or binding whose last day has passed.
    Expired {
        /// The rule; `None` for a binding.
        rule: Option<RulePlace>,
    },
    /// TCP passes and no ICMP (for IPv6: ICMPv6) comes in, so nobody learns that a packet was too large for the path.
    NoPathMtu {
        /// Index of the policy.
        policy: usize,
        /// For IPv6.
        v6: bool,
    },
    /// A policy that no binding uses. Its rules are not looked at.
    UnusedPolicy {
        /// Index of the policy.
        policy: usize,
    },
    /// A deny that decides nothing but frames from groups, which nothing else would allow: replies to earlier allows are let
    /// through before it.
    DeadDeny {
        /// The deny.
        rule: RulePlace,
        /// The allows.
        replies_to: Vec<RulePlace>,
    },
    /// A protocol that no frame of the rule's addresses shows.
    ProtocolNeverShown {
        /// The rule.
        rule: RulePlace,
    },
    /// An exception that takes nothing away.
    IdleException {
        /// The rule.
        rule: RulePlace,
        /// The exception, as it was said.
        word: String,
    },
    /// A group that no rule names.
    UnusedGroup {
        /// Its name.
        group: String,
    },
    /// The document is too large to look for rules that decide nothing, for open replies and for path MTUs.
    TooLarge,
}

impl Lint {
    /// Replies open much if they leave more pairs of address and port open than this: a network of 16 bits, all ports.
    pub const MUCH: u128 = 1 << 32;

    /// A name for programs, as `never-matches`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NeverMatches { .. } => "never-matches",
            Self::Duplicate { .. } => "duplicate",
            Self::CouldBeOne { .. } => "could-be-one",
            Self::RepliesOpenMuch { .. } => "replies-open-much",
            Self::NoReason { .. } => "no-reason",
            Self::Expired { .. } => "expired",
            Self::NoPathMtu { .. } => "no-path-mtu",
            Self::UnusedPolicy { .. } => "unused-policy",
            Self::DeadDeny { .. } => "dead-deny",
            Self::ProtocolNeverShown { .. } => "unseen-protocol",
            Self::IdleException { .. } => "idle-exception",
            Self::UnusedGroup { .. } => "unused-group",
            Self::TooLarge => "too-large",
        }
    }
}

/// What decides flows before a rule can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hider {
    /// Another rule; `reply` if by admitting replies.
    Rule {
        /// The rule.
        place: RulePlace,
        /// By admitting replies.
        reply: bool,
    },
    /// `nd: open-icmpv6`.
    NeighbourDiscovery,
    /// `multicast: deny`.
    Multicast,
}

/// A day of the calendar, or a second of it in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Date(String);

/// A word that is no [`Date`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no date; expected one as 2026-11-23 or 2026-11-23T08:30:00Z")]
pub struct DateError(String);

impl FromStr for Date {
    type Err = DateError;

    fn from_str(word: &str) -> Result<Self, DateError> {
        crate::policy::text::words::date(word).map(|()| Self(word.to_owned())).map_err(|_| DateError(word.to_owned()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Document {
    /// What somebody should look at, in the order of the document. Whatever ends before `today` has expired.
    #[must_use]
    pub fn lint(&self, today: &Date) -> Vec<Finding> {
        let shapes = shapes(self);
        let mut out = Vec::new();
        let mut steps = MOST_STEPS;
        match useless::useless(self, &shapes, &mut steps) {
            Some(useless) => {
                if let Some(dead) = useless::dead_denies(self, &shapes, &useless, &mut steps) {
                    words::dead_denies(self, dead, &mut out);
                }
                merge::neighbours(self, |place| useless.contains_key(&place), &mut out);
                replies::open(self, &shapes, &mut out);
                path_mtu::missing(self, &mut out);
                out.extend(useless.into_iter().map(|(place, hidden_by)| useless::finding(self, place, hidden_by)));
            }
            None => out.push(too_large(self)),
        }
        out.extend(unused(self));
        words::protocols(self, &mut out);
        words::exceptions(self, &mut out);
        out.extend(words::unused_groups(self));
        out.extend(places(self).filter_map(|(place, rule)| no_reason(self, place, rule)));
        out.extend(expired(self, today));
        out.sort_by_key(|finding| finding.origins.first().map(|origin| origin.line));
        out
    }
}

/// The shapes of all local addresses that rules apply to, and the bindings that have them.
type Shapes<'a> = BTreeMap<Shape, Vec<&'a Binding>>;

fn shapes(document: &Document) -> Shapes<'_> {
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
fn places(document: &Document) -> impl Iterator<Item = (RulePlace, &Rule)> {
    let management = document.management.iter().enumerate().map(|(i, m)| (RulePlace::Management(i), &m.rule));
    let of_policy = |(at, policy): (usize, &Arc<crate::policy::Policy>)| (0..policy.rules.len()).map(move |i| (at, i));
    let policies = document.policies.iter().enumerate().flat_map(of_policy);
    management.chain(policies.filter_map(|(policy, rule)| {
        let place = RulePlace::Policy(policy, rule);
        Some((place, document.rule(place)?))
    }))
}

fn is_used(document: &Document, policy: usize) -> bool {
    document.bindings.iter().any(|binding| binding.policy == policy)
}

/// `a`, `a and b`, `a, b and c`; what is beyond [`NAMED_RULES`] is counted.
fn list(mut all: Vec<String>) -> String {
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

fn origin_of(document: &Document, place: RulePlace) -> Option<Arc<Origin>> {
    document.rule(place).map(|rule| rule.origin.clone())
}

/// The origin of something that has a line of the document, and nobody who asked for it.
fn at_line(document: &Document, line: u32) -> Arc<Origin> {
    let file = document.name.clone();
    Arc::new(Origin { owner: None, reason: None, ticket: None, file, line, when: None, until: None })
}

fn too_large(document: &Document) -> Finding {
    let text = "the document is too large to look for rules that never match, for open replies and for path MTUs; \
                split its policies"
        .to_owned();
    Finding { lint: Lint::TooLarge, origins: vec![at_line(document, 0)], text }
}

fn unused(document: &Document) -> impl Iterator<Item = Finding> {
    let policies = document.policies.iter().enumerate().filter(|(policy, _)| !is_used(document, *policy));
    policies.map(|(policy, of)| Finding {
        lint: Lint::UnusedPolicy { policy },
        origins: vec![at_line(document, of.line)],
        text: format!("no binding uses policy {}; take it out, or bind it", of.name),
    })
}

fn no_reason(document: &Document, place: RulePlace, rule: &Rule) -> Option<Finding> {
    let text = format!("{} gives no reason; say why it is there", named(document, place));
    let origins = vec![rule.origin.clone()];
    rule.origin.reason.is_none().then_some(Finding { lint: Lint::NoReason { rule: place }, origins, text })
}

fn expired(document: &Document, today: &Date) -> impl Iterator<Item = Finding> {
    let rules = places(document).map(|(place, rule)| (Some(place), named(document, place), &rule.origin));
    let bindings = document.bindings.iter().map(|b| (None, format!("the binding of {}", b.container), &b.origin));
    rules.chain(bindings).filter_map(move |(rule, name, origin)| {
        let until = origin.until.as_deref().filter(|until| crate::policy::text::words::is_earlier(until, &today.0))?;
        let text = format!("{name} was good until {until}; take it out, or say until when it is needed");
        Some(Finding { lint: Lint::Expired { rule }, origins: vec![origin.clone()], text })
    })
}

/// What decides by this cause, as far as it can hide a rule.
fn hider(cause: Cause) -> Option<Hider> {
    match cause {
        Cause::Rule { place, reply } => Some(Hider::Rule { place, reply }),
        Cause::NeighbourDiscovery => Some(Hider::NeighbourDiscovery),
        Cause::Multicast => Some(Hider::Multicast),
        Cause::NoRule => None,
    }
}
