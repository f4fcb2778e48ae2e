//! What a local address takes from its policy, and what decides about its frames.

use std::net::IpAddr;

use crate::policy::{Binding, Document, PortPair, Proto, Rule, RulePlace};
use crate::terms::{AddrSet, Direction, MacAddr, Verdict};

pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Rx, Direction::Tx];

/// The protocols with ports.
pub(super) const PORTED: [u8; 3] = [6, 17, 132];

/// All that decides about the IP frames of a local address, but for its link (MAC, VLAN, physical ports).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shape {
    pub v6: bool,
    /// The rules that apply to the address: first the management's, then the policy's.
    pub rules: Vec<RulePlace>,
    /// ICMPv6 is open for neighbour discovery.
    pub open_nd: bool,
    /// Nothing goes to groups, and nothing from a group is a reply.
    pub closed_groups: bool,
}

impl Shape {
    /// No shape is less than this one.
    pub fn least() -> Self {
        Self { v6: false, rules: Vec::new(), open_nd: false, closed_groups: false }
    }

    /// The shape of a bound address.
    pub fn bound(document: &Document, binding: &Binding, ip: IpAddr) -> Self {
        Self::of(document, binding.policy, binding.open_nd, ip)
    }

    /// The shape of an address bound with the policy at an index.
    pub fn of(document: &Document, policy: usize, open_nd: bool, ip: IpAddr) -> Self {
        let applies = |rule: &Rule| rule.local.as_ref().is_none_or(|local| local.contains(ip));
        let management = document.management.iter().enumerate().filter(|(_, m)| applies(&m.rule));
        let rules = document.policies.get(policy).into_iter().flat_map(|p| p.rules.iter().enumerate());
        let rules = rules.filter(|(_, rule)| applies(rule)).map(|(i, _)| RulePlace::Policy(policy, i));
        Self {
            v6: ip.is_ipv6(),
            rules: management.map(|(i, _)| RulePlace::Management(i)).chain(rules).collect(),
            open_nd: open_nd && ip.is_ipv6(),
            closed_groups: document.multicast == Verdict::Deny,
        }
    }

    /// The shape of an address that nobody bound, with its MAC: only management rules that name both.
    pub fn unbound(document: &Document, ip: IpAddr, mac: MacAddr) -> Self {
        let names = |rule: &Rule| rule.local.as_ref().is_some_and(|local| local.contains(ip));
        let rules = document.management.iter().enumerate().filter(|(_, m)| m.mac == Some(mac) && names(&m.rule));
        let rules = rules.map(|(i, _)| RulePlace::Management(i)).collect();
        Self { v6: ip.is_ipv6(), rules, open_nd: false, closed_groups: false }
    }

    /// The protocols that decisions may depend on.
    pub fn protocols(&self, document: &Document) -> Vec<u8> {
        let mut out = Vec::new();
        for rule in self.rules.iter().filter_map(|place| document.rule(*place)) {
            match rule.proto {
                Proto::Any => out.extend(PORTED),
                Proto::Is(number) => out.push(number),
            }
        }
        out.extend(self.open_nd.then_some(58));
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// What decided about a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// A rule, perhaps by admitting replies.
    Rule { place: RulePlace, reply: bool },
    /// Open neighbour discovery.
    NeighbourDiscovery,
    /// `multicast: deny`.
    Multicast,
    /// No rule matches.
    NoRule,
}

/// Frames that are decided alike by one cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region {
    pub direction: Direction,
    /// `None`: all protocols that the list given to [`regions`] does not name, and unknown ones.
    pub proto: Option<u8>,
    /// `None`: frames that show no ports, and all frames of unnamed protocols.
    pub ports: Option<PortPair>,
    pub verdict: Verdict,
    pub cause: Cause,
    pub remote: AddrSet,
}

pub(super) type Decided = (Verdict, Cause);
