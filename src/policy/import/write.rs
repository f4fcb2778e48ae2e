//! Rules as the text of a document.
//!
//! One rule a line, in flow style. What comes from outside stands in double quotes, escaped.

use std::fmt::Write as _;

use super::super::document::{Attach, MacvlanMode};
use super::super::draft::AddrTerm;
use super::super::sets::{AddrSet, PortSet};
use super::super::words::harmless;
use super::Settings;
use super::lower::{Said, addresses};
use super::rules::families;
use crate::tables::{Direction, Verdict};

/// Name of the one policy.
const POLICY: &str = "imported";

/// Longest reason, in bytes; a document refuses more than 250.
const LONGEST_REASON: usize = 240;

/// The whole document.
pub(super) fn document(settings: &Settings, name: &str, rules: &[Said]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "nicfw: 1");
    let _ = writeln!(out, "unbound: {}", verdict(settings.unbound));
    let _ = writeln!(out, "multicast: {}", verdict(settings.multicast));
    let _ = writeln!(out, "policies:");
    if rules.is_empty() {
        let _ = writeln!(out, "  {POLICY}: []");
    } else {
        let _ = writeln!(out, "  {POLICY}:");
    }
    for rule in rules {
        let _ = writeln!(out, "    - {{{}}}", fields(rule, settings, name).join(", "));
    }
    let _ = writeln!(out, "bindings:");
    let _ = writeln!(out, "  - {{{}}}", binding(settings).join(", "));
    out
}

fn fields(rule: &Said, settings: &Settings, name: &str) -> Vec<String> {
    let direction = if rule.direction == Direction::Rx { "in" } else { "out" };
    let mut fields = vec![format!("{}: {direction}", verdict(rule.action)), format!("proto: {}", rule.proto)];
    fields.extend(rule.remote.as_ref().map(|set| format!("remote: {}", remote(set))));
    fields.extend(rule.remote_ports.as_ref().map(|set| format!("remote_ports: {}", ports(set))));
    fields.extend(rule.local_ports.as_ref().map(|set| format!("local_ports: {}", ports(set))));
    let local = addresses(&rule.local, &settings.ips);
    if local.len() < settings.ips.len() {
        fields.push(format!("local: {}", list(local.into_iter().map(|ip| AddrTerm::from(ip).to_string()))));
    }
    if rule.action == Verdict::Allow && !rule.replies {
        fields.push("replies: no".to_owned());
    }
    fields.push(format!("reason: {}", quoted(&reason(rule, name))));
    fields
}

/// File, line and text of the origin.
fn reason(rule: &Said, name: &str) -> String {
    let place = &rule.place;
    let mut reason = match place.line {
        0 => harmless(&format!("{name}: {}", place.text)),
        line => harmless(&format!("{name}:{line}: {}", place.text)),
    };
    let end = (0..=LONGEST_REASON).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    reason.truncate(end);
    reason
}

fn binding(settings: &Settings) -> Vec<String> {
    let attach = match settings.attach {
        Attach::Macvlan(MacvlanMode::Vepa) => "{macvlan: vepa}",
        Attach::Macvlan(MacvlanMode::Private) => "{macvlan: private}",
        Attach::Macvlan(MacvlanMode::Bridge) => "{macvlan: bridge}",
        Attach::Ipvlan => "ipvlan",
        Attach::Bridge => "bridge",
        Attach::Sriov => "sriov",
        Attach::None => "none",
    };
    let mut fields = vec![
        format!("container: {}", quoted(&settings.container)),
        format!("ip: {}", list(settings.ips.iter().map(|ip| AddrTerm::from(*ip).to_string()))),
        format!("mac: \"{}\"", settings.mac),
        format!("attach: {attach}"),
        format!("policy: {POLICY}"),
    ];
    fields.extend(settings.vlan.filter(|vlan| *vlan != 0).map(|vlan| format!("vlan: {vlan}")));
    if settings.open_nd {
        fields.push("nd: open-icmpv6".to_owned());
    }
    fields
}

/// Prefixes, or all but some prefixes: what is shorter.
fn remote(set: &AddrSet) -> String {
    let names = |set: &AddrSet| list(set.prefixes().into_iter().map(|net| AddrTerm::Net(net).to_string()));
    let all = families(set);
    let other = all.subtract(set);
    if other.is_empty() || set.prefixes().len() <= other.prefixes().len() + all.prefixes().len() {
        return names(set);
    }
    format!("{{of: {}, except: {}}}", names(&all), names(&other))
}

fn ports(set: &PortSet) -> String {
    list(
        set.intervals()
            .iter()
            .map(|i| if i.first == i.last { i.first.to_string() } else { format!("{}-{}", i.first, i.last) }),
    )
}

/// One word, or several in brackets. Quoted: the colons of IPv6 addresses mean something else in YAML.
fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.map(|word| if word.contains(':') { format!("\"{word}\"") } else { word }).collect();
    match words.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", words.join(", ")),
    }
}

fn quoted(text: &str) -> String {
    let escaped = harmless(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

fn verdict(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Allow { "allow" } else { "deny" }
}
