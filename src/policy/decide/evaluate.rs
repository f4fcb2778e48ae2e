//! The reference evaluator: decides a flow from the document alone.
//!
//! It follows the order that [`Document`]'s module gives, step by step, and knows nothing of tables: what the compiler
//! makes is compared with it. Short on purpose, slow without regret.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::policy::document::{Binding, Document, Origin, Policy, Proto, Rule, RulePlace};
use crate::terms::{Direction, Flow, IpFlow, MacAddr, Verdict};

/// Ether type of ARP.
const ARP: u16 = 0x0806;

/// What becomes of a flow, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Decision {
    /// Whether it passes.
    pub verdict: Verdict,
    /// What decided.
    pub why: Why,
}

/// What decided about a flow. Numbers of bindings are indices into [`Document::bindings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The local IP is bound to a container that alone owns another MAC.
    ForeignMac {
        /// The binding that holds the IP.
        binding: usize,
    },
    /// The local IP is bound on another VLAN.
    ForeignVlan {
        /// The binding that holds the IP.
        binding: usize,
    },
    /// The local IP is bound at other physical ports.
    ForeignPort {
        /// The binding that holds the IP.
        binding: usize,
    },
    /// ICMPv6 of a binding that says `nd: open-icmpv6`, or for its solicited-node group.
    NeighbourDiscovery {
        /// The binding that said so.
        binding: usize,
    },
    /// Sent to a group, and the document says `multicast: deny`.
    Multicast {
        /// The binding of the sender.
        binding: usize,
    },
    /// A rule of the policy or of the management list.
    Rule {
        /// The binding of the local IP; `None` for a management rule about an address that nobody bound.
        binding: Option<usize>,
        /// The rule.
        place: RulePlace,
        /// The flow is let through as a reply to what the rule allows.
        reply: bool,
    },
    /// No rule of the binding's policy matches.
    NoRule {
        /// The binding of the local IP.
        binding: usize,
    },
    /// ARP that IPv4 needs.
    Arp,
    /// The MAC belongs to a container alone, and the frame has none of its IPs.
    OwnedMac {
        /// The binding that owns the MAC.
        binding: usize,
    },
    /// Nobody bound the address: as `unbound` says.
    Unbound,
}

impl Document {
    /// Decides one judgement of a frame. A frame between two bindings is judged twice, and passes if both allow it.
    #[must_use]
    pub fn decide(&self, flow: &Flow) -> Decision {
        let bound = flow.ip.and_then(|ip| self.binding_of(ip.local));
        if let (Some(ip), Some((index, binding))) = (flow.ip, bound) {
            return self.decide_bound(flow, &ip, index, binding);
        }
        if let Some(binding) = flow.ip.and_then(|ip| self.solicited(flow.direction, &ip)) {
            return allow(Why::NeighbourDiscovery { binding });
        }
        if let Some((place, verdict, reply)) = flow.ip.and_then(|ip| self.managed_unbound(flow, &ip)) {
            return Decision { verdict, why: Why::Rule { binding: None, place, reply } };
        }
        if flow.ether_type == ARP && self.needs_arp(flow) {
            return allow(Why::Arp);
        }
        if let Some(binding) = self.bindings.iter().position(|b| b.owns_mac && b.mac == flow.local_mac) {
            return deny(Why::OwnedMac { binding });
        }
        Decision { verdict: self.unbound, why: Why::Unbound }
    }

    fn decide_bound(&self, flow: &Flow, ip: &IpFlow, index: usize, binding: &Binding) -> Decision {
        let management = self.management.iter().enumerate().map(|(i, m)| (RulePlace::Management(i), &m.rule));
        let policy = self.policies.get(binding.policy).into_iter().flat_map(|p| p.rules.iter().enumerate());
        let policy = policy.map(|(i, rule)| (RulePlace::Policy(binding.policy, i), rule));
        self.decide_link(flow, ip, index, binding)
            .unwrap_or_else(|| self.decide_by_rules(flow.direction, ip, index, management, policy))
    }

    /// What decides about a flow of a bound address where its link does not, with no other rules than these.
    pub(crate) fn decide_by_rules<'a>(
        &self,
        direction: Direction,
        ip: &IpFlow,
        index: usize,
        management: impl Iterator<Item = (RulePlace, &'a Rule)>,
        policy: impl Iterator<Item = (RulePlace, &'a Rule)>,
    ) -> Decision {
        let closed_group = self.is_closed_group(ip);
        let decided = self
            .first_match(management, direction, ip, !closed_group)
            .or_else(|| self.first_match(policy, direction, ip, !closed_group));
        match decided {
            Some((place, verdict, reply)) => {
                Decision { verdict, why: Why::Rule { binding: Some(index), place, reply } }
            }
            None => deny(Why::NoRule { binding: index }),
        }
    }

    /// What decides about a flow of a bound address before any rule. Ports do not count, and of the remote address only
    /// whether it is a group: the proof of an image relies on it.
    pub(crate) fn decide_link(&self, flow: &Flow, ip: &IpFlow, index: usize, binding: &Binding) -> Option<Decision> {
        if binding.owns_mac && flow.local_mac != binding.mac {
            return Some(deny(Why::ForeignMac { binding: index }));
        }
        if binding.vlan.is_some() && flow.outer_vlan != binding.vlan {
            return Some(deny(Why::ForeignVlan { binding: index }));
        }
        if !binding.physical_ports.is_empty() && !binding.physical_ports.contains(&flow.physical_port) {
            return Some(deny(Why::ForeignPort { binding: index }));
        }
        if binding.open_nd && ip.local.is_ipv6() && is(ip, Proto::ICMPV6) {
            return Some(allow(Why::NeighbourDiscovery { binding: index }));
        }
        let sent = flow.direction == Direction::Tx;
        (sent && self.is_closed_group(ip)).then_some(deny(Why::Multicast { binding: index }))
    }

    /// A frame from a group mirrors one to the group: where that is denied, no rule admits its reply.
    fn is_closed_group(&self, ip: &IpFlow) -> bool {
        self.multicast == Verdict::Deny && is_group(ip.remote)
    }

    /// The first rule of a list that decides a flow, its verdict, and whether it does so by admitting a reply.
    ///
    /// Rule `i` of the other direction admits a reply exactly when it is the first of its direction that matches: then it
    /// decides the mirrored flow. `replies` = false if something before the list decides the mirrored flow.
    fn first_match<'a>(
        &self,
        rules: impl Iterator<Item = (RulePlace, &'a Rule)>,
        direction: Direction,
        ip: &IpFlow,
        replies: bool,
    ) -> Option<(RulePlace, Verdict, bool)> {
        let mut mirror_is_open = replies;
        for (place, rule) in rules.filter(|(_, rule)| rule.matches(ip)) {
            if rule.direction == direction {
                return Some((place, rule.action, false));
            }
            if mirror_is_open && self.admits_reply(rule, ip) {
                return Some((place, Verdict::Allow, true));
            }
            mirror_is_open = false;
        }
        None
    }

    /// Whether a rule that decides the mirrored flow lets this one through as its reply.
    fn admits_reply(&self, rule: &Rule, ip: &IpFlow) -> bool {
        let confined =
            rule.direction == Direction::Tx && !rule.names_local_ports && ip.proto.is_some_and(Proto::has_ports);
        rule.replies && (!confined || ip.ports.is_some_and(|ports| self.ephemeral.contains(ports.local)))
    }

    /// The binding with open neighbour discovery for whose solicited-node group a frame is received.
    fn solicited(&self, direction: Direction, ip: &IpFlow) -> Option<usize> {
        let IpAddr::V6(group) = ip.local else { return None };
        let in_group = |bound: &IpAddr| matches!(bound, IpAddr::V6(bound) if solicited_node(*bound) == group);
        let icmp_in = direction == Direction::Rx && is(ip, Proto::ICMPV6);
        self.bindings.iter().position(|b| icmp_in && b.open_nd && b.ips.iter().any(in_group))
    }

    fn managed_unbound(&self, flow: &Flow, ip: &IpFlow) -> Option<(RulePlace, Verdict, bool)> {
        let rules = self.management.iter().enumerate();
        let rules = rules.filter(|(_, m)| m.rule.local.is_some() && m.mac == Some(flow.local_mac));
        self.first_match(rules.map(|(i, m)| (RulePlace::Management(i), &m.rule)), flow.direction, ip, true)
    }

    fn needs_arp(&self, flow: &Flow) -> bool {
        let of_binding = |b: &Arc<Binding>| b.mac == flow.local_mac && b.ips.iter().any(IpAddr::is_ipv4);
        self.bindings.iter().any(of_binding)
            || self.management.iter().any(|m| m.mac == Some(flow.local_mac))
            || (flow.direction == Direction::Rx && flow.local_mac == MacAddr::BROADCAST)
    }

    /// Who asked for a decision, where a rule or a binding made it.
    #[must_use]
    pub fn origin(&self, why: &Why) -> Option<&Arc<Origin>> {
        match *why {
            Why::Rule { place, .. } => self.rule(place).map(|rule| &rule.origin),
            Why::ForeignMac { binding }
            | Why::ForeignVlan { binding }
            | Why::ForeignPort { binding }
            | Why::NeighbourDiscovery { binding }
            | Why::Multicast { binding }
            | Why::NoRule { binding }
            | Why::OwnedMac { binding } => self.bindings.get(binding).map(|b| &b.origin),
            Why::Arp | Why::Unbound => None,
        }
    }

    /// A decision in words, as `allow: policy web, rule 1 (web.yaml:9)`.
    #[must_use]
    pub fn describe(&self, decision: &Decision) -> String {
        let verdict = if decision.verdict == Verdict::Allow { "allow" } else { "deny" };
        let origin = self.origin(&decision.why).map(|origin| format!(" ({origin})")).unwrap_or_default();
        format!("{verdict}: {}{origin}", self.reason(&decision.why))
    }

    fn reason(&self, why: &Why) -> String {
        let binding = |index: usize| self.bindings.get(index);
        let name = |index: usize| binding(index).map_or("?", |b| b.container.as_str());
        let policy = |index: usize| self.policies.get(index).map_or("?", |p: &Arc<Policy>| p.name.as_str());
        match *why {
            Why::ForeignMac { binding } => format!("the IP of {} with a MAC that is not its own", name(binding)),
            Why::ForeignVlan { binding } => format!("the IP of {} on a VLAN that is not its own", name(binding)),
            Why::ForeignPort { binding } => format!("the IP of {} at a port that is not its own", name(binding)),
            Why::NeighbourDiscovery { binding } => {
                format!("icmpv6 is open for neighbour discovery of {}", name(binding))
            }
            Why::Multicast { binding } => format!("{} sends to a group, and multicast is denied", name(binding)),
            Why::Rule { place, reply, .. } => {
                let reply = if reply { "reply to " } else { "" };
                match place {
                    RulePlace::Management(rule) => format!("{reply}management, rule {}", rule + 1),
                    RulePlace::Policy(of, rule) => format!("{reply}policy {}, rule {}", policy(of), rule + 1),
                }
            }
            Why::NoRule { binding: index } => {
                let policy = binding(index).map_or("?", |b| policy(b.policy));
                format!("no rule of policy {policy} matches for {}", name(index))
            }
            Why::Arp => "ARP that IPv4 needs".to_owned(),
            Why::OwnedMac { binding } => format!("the MAC of {} without an IP of its own", name(binding)),
            Why::Unbound => "nobody bound the address (unbound)".to_owned(),
        }
    }
}

impl Rule {
    /// Whether the rule matches a flow, the direction left aside: so it matches a flow's mirror too.
    fn matches(&self, ip: &IpFlow) -> bool {
        let proto = match self.proto {
            Proto::Any => true,
            Proto::Is(number) => ip.proto == Some(number),
        };
        let ports = match (&self.ports, ip.ports) {
            (None, _) => true,
            (Some(rule), Some(flow)) => {
                ip.proto.is_some_and(Proto::has_ports)
                    && rule.remote.contains(flow.remote)
                    && rule.local.contains(flow.local)
            }
            (Some(_), None) => false,
        };
        proto
            && ports
            && self.remote.set.contains(ip.remote)
            && self.local.as_ref().is_none_or(|local| local.contains(ip.local))
    }
}

/// Multicast, and the IPv4 broadcast.
fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

fn allow(why: Why) -> Decision {
    Decision { verdict: Verdict::Allow, why }
}

fn deny(why: Why) -> Decision {
    Decision { verdict: Verdict::Deny, why }
}

fn is(ip: &IpFlow, proto: Proto) -> bool {
    ip.proto.map(Proto::Is) == Some(proto)
}

/// The solicited-node group of an address (RFC 4291, 2.7.1): ff02::1:ff and its low 24 bits.
fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | addr.to_bits() & 0xff_ffff)
}
