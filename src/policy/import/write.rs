//! Rules as the text of a document.
//!
//! One rule a line, in flow style. What comes from outside stands in double quotes, escaped.

use std::fmt::Write as _;

use super::lower::{Said, addresses};
use super::{ImportError, Settings};
use crate::policy::text::write::pieces;
use crate::terms::Verdict;
use crate::text::escaped;

/// Name of the one policy.
const POLICY: &str = "imported";

/// Longest reason, in bytes; a document refuses more than 250.
const LONGEST_REASON: usize = 240;

/// Bytes that a document may have.
const MOST_BYTES: usize = 1 << 20;

/// Bytes that a rule has at least.
const LEAST_BYTES: usize = 32;

/// Line of the first rule.
pub(super) const FIRST_RULE: usize = 6;

/// The whole document. If it would be too large, reasons are the places alone.
///
/// # Errors
/// It is too large all the same.
pub(super) fn document(settings: &Settings, name: &str, rules: &[Said]) -> Result<String, ImportError> {
    let written = if rules.len() > MOST_BYTES / LEAST_BYTES {
        Err(MOST_BYTES / LEAST_BYTES)
    } else {
        whole(settings, name, rules, true).or_else(|_| whole(settings, name, rules, false))
    };
    written.map_err(|at| {
        let line = rules.get(at).map_or(1, |rule| rule.place.line);
        ImportError::TooMany { line, what: "bytes of rules in the policy", max: MOST_BYTES }
    })
}

/// The text; `Err` is the place of the rule with which it became too large.
fn whole(settings: &Settings, name: &str, rules: &[Said], texts: bool) -> Result<String, usize> {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "nicfw: 1");
    let _ = writeln!(out, "unbound: {}", pieces::verdict(settings.unbound));
    let _ = writeln!(out, "multicast: {}", pieces::verdict(settings.multicast));
    let _ = writeln!(out, "policies:");
    if rules.is_empty() {
        let _ = writeln!(out, "  {POLICY}: []");
    } else {
        let _ = writeln!(out, "  {POLICY}:");
    }
    for (at, rule) in rules.iter().enumerate() {
        let _ = writeln!(out, "    - {{{}}}", fields(rule, settings, name, texts).join(", "));
        if out.len() > MOST_BYTES {
            return Err(at);
        }
    }
    let _ = writeln!(out, "bindings:");
    let _ = writeln!(out, "  - {{{}}}", binding(settings).join(", "));
    if out.len() > MOST_BYTES { Err(rules.len().saturating_sub(1)) } else { Ok(out) }
}

fn fields(rule: &Said, settings: &Settings, name: &str, texts: bool) -> Vec<String> {
    let direction = pieces::direction(rule.direction);
    let mut fields = vec![format!("{}: {direction}", pieces::verdict(rule.action)), format!("proto: {}", rule.proto)];
    fields.extend(rule.remote.as_ref().map(|set| format!("remote: {}", pieces::addresses(set))));
    fields.extend(rule.remote_ports.as_ref().map(|set| format!("remote_ports: {}", pieces::ports(set))));
    fields.extend(rule.local_ports.as_ref().map(|set| format!("local_ports: {}", pieces::ports(set))));
    let local = addresses(&rule.local, &settings.ips);
    if local.len() < settings.ips.len() {
        fields.push(format!("local: {}", pieces::list(local.into_iter().map(|ip| pieces::word(&ip.to_string())))));
    }
    if rule.action == Verdict::Allow && !rule.replies {
        fields.push("replies: no".to_owned());
    }
    fields.push(format!("reason: {}", pieces::quoted(&reason(rule, name, texts))));
    fields
}

/// File, line and handle of the origin, and its text.
fn reason(rule: &Said, name: &str, texts: bool) -> String {
    let place = &rule.place;
    let mut reason = match (place.line, place.handle) {
        (line, handle) if line > 0 && !texts => match handle {
            Some(handle) => escaped(&format!("{name}:{line}: handle {handle}")).into_owned(),
            None => escaped(&format!("{name}:{line}")).into_owned(),
        },
        (0, _) => escaped(&format!("{name}: {}", place.text)).into_owned(),
        (line, _) => escaped(&format!("{name}:{line}: {}", place.text)).into_owned(),
    };
    let end = (0..=LONGEST_REASON).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    reason.truncate(end);
    reason
}

fn binding(settings: &Settings) -> Vec<String> {
    let mut fields = vec![
        format!("container: {}", pieces::quoted(&settings.container)),
        format!("ip: {}", pieces::list(settings.ips.iter().map(|ip| pieces::word(&ip.to_string())))),
        format!("mac: \"{}\"", settings.mac),
        format!("attach: {}", pieces::attach(settings.attach)),
        format!("policy: {POLICY}"),
    ];
    fields.extend(settings.vlan.filter(|vlan| *vlan != 0).map(|vlan| format!("vlan: {vlan}")));
    if settings.open_nd {
        fields.push("nd: open-icmpv6".to_owned());
    }
    fields
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::super::super::document::{Document, Proto, Rule};
    use super::super::rules::Place;
    use super::*;
    use crate::terms::{AddrSet, Direction, Interval, PortSet};

    const IPS: [&str; 3] = ["10.30.1.17", "10.30.1.18", "2001:db8::17"];

    fn settings(name: &str) -> Settings {
        let ips = IPS.map(|ip| ip.parse().unwrap()).to_vec();
        Settings { open_nd: true, vlan: Some(7), ..Settings::new(name, ips, "02:00:0a:1e:01:11".parse().unwrap()) }
    }

    fn addrs() -> impl Strategy<Value = AddrSet> {
        let net = (any::<u32>(), 0u8..=32, any::<u128>(), 0u8..=128, any::<bool>());
        let net = net.prop_map(|(v4, short, v6, long, is_v6)| {
            let net = if is_v6 {
                IpNet::new(std::net::Ipv6Addr::from_bits(v6).into(), long)
            } else {
                IpNet::new(std::net::Ipv4Addr::from_bits(v4).into(), short)
            };
            AddrSet::from(net.unwrap())
        });
        (prop::collection::vec(net, 1..4), any::<bool>()).prop_map(|(sets, inverse)| {
            let set = sets.iter().fold(AddrSet::empty(), |all, set| all.union(set));
            let other = AddrSet::full().subtract(&set);
            if inverse && !other.is_empty() { other } else { set }
        })
    }

    fn ports() -> impl Strategy<Value = PortSet> {
        prop::collection::vec((any::<u16>(), any::<u16>()), 1..4).prop_map(|ranges| {
            PortSet::from_intervals(ranges.iter().map(|(a, b)| Interval { first: *a.min(b), last: *a.max(b) }))
        })
    }

    fn said() -> impl Strategy<Value = Said> {
        let proto = prop_oneof![Just(Proto::Any), prop::sample::select(vec![6, 17, 132]).prop_map(Proto::Is)];
        let verdicts = (any::<bool>(), any::<bool>(), any::<bool>());
        let local = prop::sample::subsequence(IPS.to_vec(), 1..=3);
        let ports = (prop::option::of(ports()), prop::option::of(ports()));
        (verdicts, proto, prop::option::of(addrs()), ports, local, ".{0,300}", any::<u32>()).prop_map(
            |((rx, allow, replies), proto, remote, (remote_ports, local_ports), local, text, line)| Said {
                place: Place { line, text: text.into(), ..Place::default() },
                direction: if rx { Direction::Rx } else { Direction::Tx },
                action: if allow { Verdict::Allow } else { Verdict::Deny },
                proto,
                remote,
                remote_ports,
                local_ports,
                local: local.iter().map(|ip| ip.parse::<std::net::IpAddr>().unwrap()).collect(),
                replies: replies && allow,
            },
        )
    }

    fn means(rule: &Rule, said: &Said, all: &AddrSet) -> bool {
        let ports = rule.ports.as_ref();
        let side = |ports: &Option<PortSet>| ports.clone().unwrap_or_else(PortSet::full);
        rule.direction == said.direction
            && rule.action == said.action
            && rule.proto == said.proto
            && rule.replies == said.replies
            && rule.names_local_ports == said.local_ports.is_some()
            && rule.remote.set == said.remote.clone().unwrap_or_else(AddrSet::full)
            && rule.local.as_ref().unwrap_or(all) == &said.local
            && ports.is_some() == (said.remote_ports.is_some() || said.local_ports.is_some())
            && ports.is_none_or(|p| p.remote == side(&said.remote_ports) && p.local == side(&said.local_ports))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was_meant(
            rules in prop::collection::vec(said(), 0..6),
            file in ".{0,40}",
            container in "[!-~]{1,40}",
        ) {
            let settings = settings(&container);
            let text = document(&settings, &file, &rules).unwrap();
            let document = Document::parse(&text, "t.yaml");
            let document = document.map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
            let all: AddrSet = settings.ips.iter().copied().collect();
            prop_assert_eq!(document.policies[0].rules.len(), rules.len());
            for (rule, said) in document.policies[0].rules.iter().zip(&rules) {
                prop_assert!(means(rule, said, &all), "{rule:?}\n{said:?}\n{text}");
            }
            let binding = &document.bindings[0];
            prop_assert_eq!((&binding.container, &binding.ips, binding.vlan), (&container, &settings.ips, Some(7)));
        }
    }
}
