//! A flat rule in the words of a document: what is local and what is remote, and ports only where the adapter sees them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::document::Proto;
use super::Settings;
use super::protocols;
use super::report::{Effect, Report};
use super::rules::{Place, Protos, both};
use super::state::Placed;
use crate::terms::{AddrSet, Direction, PortSet, Verdict};

/// Protocols that one rule may name; more are no list that anybody would write.
const MOST_PROTOCOLS: usize = 128;

/// A rule of the document.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub place: Place,
    pub direction: Direction,
    pub action: Verdict,
    pub proto: Proto,
    /// `None` = any.
    pub remote: Option<AddrSet>,
    pub remote_ports: Option<PortSet>,
    pub local_ports: Option<PortSet>,
    /// Some of the bound addresses, or all.
    pub local: AddrSet,
    pub replies: bool,
}

/// Protocols of which a deny by ports is written one by one where the adapter sees no ports of them.
const FEW_PROTOCOLS: usize = 16;

/// Packets of protocols whose ports the adapter does not see, that a deny by ports may concern.
struct Shut {
    direction: Direction,
    /// Local and remote addresses.
    local: AddrSet,
    remote: AddrSet,
    protos: BTreeSet<u8>,
    place: Place,
}

/// The rules that say what a list says.
pub(super) fn say(list: &[Placed], bound: &AddrSet, report: &mut Report) -> Vec<Said> {
    let mut shut: Vec<Shut> = Vec::new();
    let mut all = Vec::new();
    for placed in &protocols::spread(list) {
        let rules = one(placed, bound, report, &mut shut);
        for rule in rules {
            all.extend(closed(&rule, &shut, bound, report));
            all.push(rule);
        }
    }
    all
}

/// What must stand before an allow, so that it does not let through what a deny by ports may have denied.
fn closed(rule: &Said, shut: &[Shut], bound: &AddrSet, report: &mut Report) -> Vec<Said> {
    let mut rules = Vec::new();
    if rule.action != Verdict::Allow || rule.remote_ports.is_some() || rule.local_ports.is_some() {
        return rules;
    }
    for shut in shut.iter().filter(|shut| shut.direction == rule.direction) {
        let all = bound.families();
        let remote = both(rule.remote.as_ref().unwrap_or(&all), &shut.remote);
        let local = both(&rule.local, &shut.local);
        let remote = both(&remote, &local.families());
        let concerned = match rule.proto {
            Proto::Any => true,
            Proto::Is(number) => shut.protos.contains(&number),
        };
        if !concerned || remote.is_empty() || local.is_empty() {
            continue;
        }
        report.line(&shut.place, Effect::DeniesMore, UNSEEN_PORTS);
        let local = both(&local, &remote.families());
        let remote = (remote != all).then_some(remote);
        let here = Said { remote, local, ..rule.clone() };
        if rule.proto == Proto::Any {
            rules.extend([Proto::TCP, Proto::UDP, Proto::SCTP].map(|proto| Said { proto, ..here.clone() }));
        }
        rules.push(Said { place: shut.place.clone(), action: Verdict::Deny, replies: false, ..here });
    }
    rules
}

/// The rules that say what a flat rule says.
fn one(placed: &Placed, bound: &AddrSet, report: &mut Report, shut: &mut Vec<Shut>) -> Vec<Said> {
    let when = &placed.flat.when;
    let rx = placed.direction == Direction::Rx;
    let (local, remote) = if rx { (&when.dst, &when.src) } else { (&when.src, &when.dst) };
    let local = both(local, bound);
    let remote = both(remote, &local.families());
    if local.is_empty() || remote.is_empty() {
        return Vec::new();
    }
    let ports =
        when.ports.as_ref().map(|(src, dst)| if rx { (src.clone(), dst.clone()) } else { (dst.clone(), src.clone()) });
    let rule = Said {
        place: placed.flat.place.clone(),
        direction: placed.direction,
        action: placed.flat.verdict,
        proto: Proto::Any,
        remote: (remote != bound.families()).then_some(remote),
        remote_ports: None,
        local_ports: None,
        local,
        replies: placed.replies && placed.flat.verdict == Verdict::Allow,
    };
    match ports {
        Some(ports) => with_ports(&rule, &when.protos, &ports, report, shut),
        None => without_ports(&rule, &when.protos, report),
    }
}

fn without_ports(rule: &Said, protos: &Protos, report: &mut Report) -> Vec<Said> {
    match protos {
        Protos::Any if rule.replies && rule.direction == Direction::Tx => replied(rule, report),
        Protos::Any => vec![rule.clone()],
        Protos::Of(numbers) if numbers.len() <= MOST_PROTOCOLS => {
            numbers.iter().map(|number| Said { proto: Proto::Is(*number), ..rule.clone() }).collect()
        }
        Protos::Of(numbers) => cannot_say(rule, &format!("{} protocols in one rule", numbers.len()), report),
    }
}

/// An allow of everything that is sent, with the replies that can be said. Replies of TCP, UDP and SCTP reach certain ports
/// alone, and the tables cannot say "any protocol, but of these only with such ports".
fn replied(rule: &Said, report: &mut Report) -> Vec<Said> {
    let local = &rule.local;
    let icmp = [(!local.v4.is_empty(), Proto::ICMP), (!local.v6.is_empty(), Proto::ICMPV6)];
    let icmp = icmp.into_iter().filter_map(|(bound, proto)| bound.then_some(proto));
    let reason = "replies of protocols other than tcp, udp, sctp and icmp cannot be said beside theirs";
    report.line(&rule.place, Effect::RepliesDenied, reason);
    let mut rules: Vec<_> = [Proto::TCP, Proto::UDP, Proto::SCTP]
        .into_iter()
        .chain(icmp)
        .map(|proto| Said { proto, ..rule.clone() })
        .collect();
    rules.push(Said { replies: false, ..rule.clone() });
    rules
}

const UNSEEN_PORTS: &str = "the adapter sees the ports of tcp, udp and sctp alone";

fn with_ports(
    rule: &Said,
    protos: &Protos,
    ports: &(PortSet, PortSet),
    report: &mut Report,
    shut: &mut Vec<Shut>,
) -> Vec<Said> {
    // One side is always named, so that the rule does not match packets without ports.
    let (remote_ports, local_ports) = (&ports.0, &ports.1);
    let name_local = !local_ports.is_full() || remote_ports.is_full();
    let rule_with = |proto| Said {
        proto,
        remote_ports: (!remote_ports.is_full()).then(|| remote_ports.clone()),
        local_ports: name_local.then(|| local_ports.clone()),
        ..rule.clone()
    };
    let every: BTreeSet<u8> = (0..=u8::MAX).collect();
    let numbers = match protos {
        Protos::Any => &every,
        Protos::Of(numbers) => numbers,
    };
    let (seen, unseen): (BTreeSet<u8>, BTreeSet<u8>) = numbers.iter().partition(|number| Proto::has_ports(**number));
    let mut rules: Vec<_> = if seen.len() == 3 {
        vec![rule_with(Proto::Any)]
    } else {
        seen.into_iter().map(|number| rule_with(Proto::Is(number))).collect()
    };
    match rule.action {
        _ if unseen.is_empty() => {}
        Verdict::Allow => report.line(&rule.place, Effect::LeftOut, UNSEEN_PORTS),
        Verdict::Deny if unseen.len() <= FEW_PROTOCOLS => {
            report.line(&rule.place, Effect::DeniesMore, UNSEEN_PORTS);
            rules.extend(without_ports(rule, &Protos::Of(unseen), report));
        }
        Verdict::Deny => {
            let (direction, place, local) = (rule.direction, rule.place.clone(), rule.local.clone());
            let remote = rule.remote.clone().unwrap_or_else(|| rule.local.families());
            shut.push(Shut { direction, local, remote, protos: unseen, place });
        }
    }
    rules
}

/// An allow is left out, a deny loses its protocols.
fn cannot_say(rule: &Said, reason: &str, report: &mut Report) -> Vec<Said> {
    match rule.action {
        Verdict::Allow => {
            report.line(&rule.place, Effect::LeftOut, reason);
            Vec::new()
        }
        Verdict::Deny => {
            report.line(&rule.place, Effect::DeniesMore, reason);
            vec![rule.clone()]
        }
    }
}

/// Lists the rules that no adapter holds because groups are denied, and says which ports replies reach.
pub(super) fn limits(rules: &[Said], settings: &Settings, ephemeral: &PortSet, report: &mut Report) {
    let allows = || rules.iter().filter(|rule| rule.action == Verdict::Allow);
    let sends = |rule: &Said| rule.direction == Direction::Tx || rule.replies;
    let all_v6 = |rule: &Said| {
        !rule.local.v6.is_empty()
            && rule.remote.as_ref().is_none_or(|remote| remote.v6.is_full())
            // Open neighbour discovery is about all of it.
            && rule.proto != Proto::ICMPV6
    };
    for rule in allows().filter(|rule| settings.multicast == Verdict::Deny && sends(rule) && all_v6(rule)) {
        let whose = if rule.direction == Direction::Tx { "this rule's" } else { "those that its replies go to" };
        let reason = format!(
            "an entry names all IPv6 addresses or a single one, and multicast: deny takes the groups away from {whose}: \
             import it with --multicast allow, which needs --unbound allow"
        );
        report.line(&rule.place, Effect::NotHeld, &reason);
    }
    let confined = |rule: &Said| match rule.proto {
        _ if rule.direction == Direction::Rx || !rule.replies || rule.local_ports.is_some() => false,
        Proto::Any => true,
        Proto::Is(number) => Proto::has_ports(number),
    };
    if allows().any(confined) {
        report.note(format!(
            "replies to what is sent reach the local ports {ephemeral} alone, where no rule names others"
        ));
    }
}

/// The addresses of a small set, one by one.
pub(super) fn addresses(set: &AddrSet, of: &[IpAddr]) -> Vec<IpAddr> {
    of.iter().copied().filter(|ip| set.contains(*ip)).collect()
}
