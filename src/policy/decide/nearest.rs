//! For a flow that is denied: the rule that comes nearest to letting it through, and what is in the way.
//!
//! Every allow is tried, in its own direction and by the replies that it admits. What is in the way is counted: fields of
//! the rule that the flow is not in, a link that is not the binding's, and rules that decide before. The fewest win; of
//! equals a rule of the flow's direction, then the first.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::policy::document::{Binding, Document, Origin, Proto, Remote, Rule, RulePlace};
use crate::policy::text::prefixes;
use crate::policy::text::{named, referred};
use crate::terms::{AddrSet, Direction, Flow, IpFlow, PortSet, Verdict};

/// The rule that comes nearest to letting a flow through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nearest {
    /// The rule.
    pub place: RulePlace,
    /// Where it comes from.
    pub origin: Arc<Origin>,
    /// It would let the flow through as a reply.
    pub reply: bool,
    /// All that is in the way, at least one.
    pub obstacles: Vec<Obstacle>,
    /// The rule in words, as `policy web, rule 1 (web.yaml:9)`.
    pub name: String,
}

/// Something that keeps a rule from letting a flow through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// What of the rule or of the flow.
    pub field: Field,
    /// As `remote 10.9.0.1 is not in office (10.20.0.0/15)`.
    pub text: String,
}

/// What can keep a rule from letting a flow through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The protocol is another.
    Protocol,
    /// The remote address is not in the rule's.
    Remote,
    /// The flow shows no ports, and the rule names some.
    Ports,
    /// The remote port is not in the rule's.
    RemotePort,
    /// The local port is not in the rule's.
    LocalPort,
    /// The rule is for other local addresses.
    Local,
    /// The rule says `replies: no`.
    Replies,
    /// The rule names no local ports, so its replies reach ephemeral ports only.
    Ephemeral,
    /// `multicast: deny`.
    Multicast,
    /// The MAC is not the binding's.
    Mac,
    /// The VLAN is not the binding's.
    Vlan,
    /// The physical port is not the binding's.
    PhysicalPort,
    /// Another rule decides before.
    Order(RulePlace),
}

impl Field {
    /// A name for programs, as `remote-port`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Remote => "remote",
            Self::Ports => "ports",
            Self::RemotePort => "remote-port",
            Self::LocalPort => "local-port",
            Self::Local => "local",
            Self::Replies => "replies",
            Self::Ephemeral => "ephemeral",
            Self::Multicast => "multicast",
            Self::Mac => "mac",
            Self::Vlan => "vlan",
            Self::PhysicalPort => "physical-port",
            Self::Order(_) => "order",
        }
    }
}

impl fmt::Display for Nearest {
    /// As `policy web, rule 1 (web.yaml:9): local port 8443 is not 80, 443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reply = if self.reply { "reply to " } else { "" };
        write!(f, "{reply}{}: ", self.name)?;
        for (i, obstacle) in self.obstacles.iter().enumerate() {
            let and = if i == 0 { "" } else { "; " };
            write!(f, "{and}{}", obstacle.text)?;
        }
        Ok(())
    }
}

impl Document {
    /// The rule that comes nearest to letting a flow through that is denied. `None` for a flow that passes, for one without
    /// an IP header, and where no rule is about its local address.
    #[must_use]
    pub fn nearest(&self, flow: &Flow) -> Option<Nearest> {
        let ip = flow.ip.filter(|_| self.decide(flow).verdict == Verdict::Deny)?;
        let bound = self.binding_of(ip.local).map(|(_, binding)| binding);
        let question = Question { document: self, flow, ip, bound };
        // Most rules are far away: what is in the way is counted for all of them, and told in words for one.
        let mut best: Option<(usize, &List<'_>, usize, bool)> = None;
        let lists = question.lists();
        for reply in [false, true] {
            for list in &lists {
                for (at, (_, rule)) in list.rules.iter().enumerate() {
                    if rule.action != Verdict::Allow || (rule.direction != flow.direction) != reply {
                        continue;
                    }
                    let mut count = 0;
                    question.obstacles(list, at, reply, &mut |_, _| count += 1);
                    if best.is_none_or(|(least, ..)| count < least) {
                        best = Some((count, list, at, reply));
                    }
                }
            }
        }
        let (_, list, at, reply) = best?;
        let (place, rule) = list.rules.get(at)?;
        let mut obstacles = bound.map_or_else(Vec::new, |binding| question.link(binding));
        question.obstacles(list, at, reply, &mut |field, text| obstacles.push(obstacle(field, text())));
        let name = format!("{} ({})", named(self, *place), rule.origin);
        Some(Nearest { place: *place, origin: rule.origin.clone(), reply, obstacles, name })
    }
}

struct Question<'a> {
    document: &'a Document,
    flow: &'a Flow,
    ip: IpFlow,
    bound: Option<&'a Binding>,
}

/// Rules that may decide, in their order.
struct List<'a> {
    rules: Vec<(RulePlace, &'a Rule)>,
    /// Places in the list of those that the flow is in, the direction left aside.
    matching: Vec<usize>,
}

/// Takes something that is in the way: the field, and its words for whoever wants them.
type Tell<'a> = dyn FnMut(Field, &dyn Fn() -> String) + 'a;

impl Question<'_> {
    /// The lists of rules that may decide: management, and the policy of the binding.
    fn lists(&self) -> [List<'_>; 2] {
        let management = self.document.management.iter().enumerate();
        let about = |rule: &Rule| rule.local.as_ref().is_some_and(|local| local.contains(self.ip.local));
        let management = management.filter(|(_, m)| self.bound.is_some() || (m.mac.is_some() && about(&m.rule)));
        let policy = self.bound.and_then(|binding| Some((binding.policy, self.document.policies.get(binding.policy)?)));
        let rules = policy.into_iter().flat_map(|(at, policy)| policy.rules.iter().enumerate().map(move |r| (at, r)));
        [
            self.list(management.map(|(i, m)| (RulePlace::Management(i), &m.rule)).collect()),
            self.list(rules.map(|(policy, (i, rule))| (RulePlace::Policy(policy, i), rule)).collect()),
        ]
    }

    fn list<'r>(&self, rules: Vec<(RulePlace, &'r Rule)>) -> List<'r> {
        let matches = |rule: &Rule| {
            let mut matches = true;
            self.fields(rule, &mut |_, _| matches = false);
            matches
        };
        let matching = rules.iter().enumerate().filter(|(_, (_, rule))| matches(rule)).map(|(at, _)| at).collect();
        List { rules, matching }
    }

    /// What of the link is not the binding's.
    fn link(&self, binding: &Binding) -> Vec<Obstacle> {
        let (flow, name) = (self.flow, &binding.container);
        let mut out = Vec::new();
        if binding.owns_mac && flow.local_mac != binding.mac {
            out.push(obstacle(Field::Mac, format!("MAC {} is not {name}'s {}", flow.local_mac, binding.mac)));
        }
        if let Some(vlan) = binding.vlan
            && flow.outer_vlan != binding.vlan
        {
            let is = flow.outer_vlan.map_or_else(|| "no VLAN".to_owned(), |vlan| format!("VLAN {vlan}"));
            out.push(obstacle(Field::Vlan, format!("{is} is not {name}'s VLAN {vlan}")));
        }
        if !binding.physical_ports.is_empty() && !binding.physical_ports.contains(&flow.physical_port) {
            let ports: Vec<String> = binding.physical_ports.iter().map(ToString::to_string).collect();
            let text = format!("physical port {} is not {name}'s {}", flow.physical_port, ports.join(", "));
            out.push(obstacle(Field::PhysicalPort, text));
        }
        out
    }

    /// Tells what keeps the rule at a place of its list from letting the flow through, the link left aside.
    fn obstacles(&self, list: &List<'_>, at: usize, reply: bool, tell: &mut Tell<'_>) {
        let Some((place, rule)) = list.rules.get(at) else { return };
        self.fields(rule, tell);
        self.groups(reply, tell);
        if reply {
            self.replies(rule, tell);
        }
        if let (RulePlace::Management(at), None) = (place, self.bound)
            && let Some(mac) = self.document.management.get(*at).and_then(|m| m.mac)
            && mac != self.flow.local_mac
        {
            tell(Field::Mac, &|| format!("MAC {} is not {mac}", self.flow.local_mac));
        }
        let before = list.matching.iter().take_while(|before| **before < at);
        let mut before = before.filter_map(|before| list.rules.get(*before));
        // Rules of the other direction are in the way of replies alone.
        if let Some((place, rule)) = before.find(|(_, rule)| reply || rule.direction == self.flow.direction) {
            tell(Field::Order(*place), &|| {
                let name = referred(self.document, *place);
                if rule.direction == self.flow.direction {
                    format!("{name} denies it before")
                } else {
                    format!("{name} decides before about what it would reply to")
                }
            });
        }
    }

    /// Tells the fields of a rule that the flow is not in, the direction left aside.
    fn fields(&self, rule: &Rule, tell: &mut Tell<'_>) {
        let ip = &self.ip;
        if let Proto::Is(number) = rule.proto
            && ip.proto != Some(number)
        {
            tell(Field::Protocol, &|| {
                let is = ip.proto.map_or_else(|| "unknown".to_owned(), |number| Proto::Is(number).to_string());
                format!("protocol {is} is not {}", rule.proto)
            });
        }
        if !rule.remote.set.contains(ip.remote) {
            tell(Field::Remote, &|| format!("remote {} is not in {}", ip.remote, remote(&rule.remote)));
        }
        match (&rule.ports, ip.ports) {
            (Some(named), Some(ports)) => {
                if !named.remote.contains(ports.remote) {
                    let is = ports.remote;
                    tell(Field::RemotePort, &|| format!("remote port {is} is not {}", spaced(&named.remote)));
                }
                if !named.local.contains(ports.local) {
                    let is = ports.local;
                    tell(Field::LocalPort, &|| format!("local port {is} is not {}", spaced(&named.local)));
                }
            }
            (Some(_), None) => tell(Field::Ports, &|| "it shows no ports, and the rule names some".to_owned()),
            (None, _) => {}
        }
        if let Some(local) = rule.local.as_ref().filter(|local| !local.contains(ip.local)) {
            tell(Field::Local, &|| format!("local {} is not in {}", ip.local, prefixes(local)));
        }
    }

    fn groups(&self, reply: bool, tell: &mut Tell<'_>) {
        let closed = self.document.multicast == Verdict::Deny && self.bound.is_some();
        let group = closed && AddrSet::groups().contains(self.ip.remote);
        let text = match (self.flow.direction, reply) {
            (Direction::Tx, _) => "is a group, and multicast is denied",
            (Direction::Rx, true) => "is a group, and nothing from a group is a reply while multicast is denied",
            (Direction::Rx, false) => return,
        };
        if group {
            tell(Field::Multicast, &|| format!("remote {} {text}", self.ip.remote));
        }
    }

    fn replies(&self, rule: &Rule, tell: &mut Tell<'_>) {
        if !rule.replies {
            tell(Field::Replies, &|| "the rule says replies: no".to_owned());
        }
        let ported = self.ip.proto.is_some_and(Proto::has_ports);
        let ephemeral = &self.document.ephemeral;
        let in_range = self.ip.ports.is_some_and(|ports| ephemeral.contains(ports.local));
        if rule.direction == Direction::Tx && !rule.names_local_ports && ported && !in_range {
            tell(Field::Ephemeral, &|| {
                let text = match self.ip.ports {
                    Some(ports) => format!("local port {} is not {}", ports.local, spaced(ephemeral)),
                    None => format!("it shows no ports to be in {}", spaced(ephemeral)),
                };
                format!("{text}, where replies go")
            });
        }
    }
}

fn obstacle(field: Field, text: String) -> Obstacle {
    Obstacle { field, text }
}

fn spaced(ports: &PortSet) -> String {
    ports.to_string().replace(',', ", ")
}

/// Remote addresses as written, and what groups among them hold.
fn remote(remote: &Remote) -> String {
    let plain = |word: &str| word.parse::<IpAddr>().is_ok() || word.parse::<IpNet>().is_ok();
    if remote.text.split(", ").all(plain) {
        remote.text.clone()
    } else {
        format!("{} ({})", remote.text, prefixes(&remote.set).replace(',', ", "))
    }
}
