//! The single words and lists of a document that a program writes.
//!
//! What comes from outside stands in double quotes, escaped, unless it can only be read as the word that it is.

use std::fmt::Write as _;

use crate::policy::document::draft::AddrTerm;
use crate::policy::document::{Attach, MacvlanMode};
use crate::terms::{AddrSet, Direction, PortSet, Verdict};
use crate::text::disturbs;

/// Words that some readers of YAML take for something else.
const TAKEN: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Allow { "allow" } else { "deny" }
}

pub(crate) fn direction(direction: Direction) -> &'static str {
    if direction == Direction::Rx { "in" } else { "out" }
}

pub(crate) fn attach(attach: Attach) -> &'static str {
    match attach {
        Attach::Macvlan(MacvlanMode::Vepa) => "{macvlan: vepa}",
        Attach::Macvlan(MacvlanMode::Private) => "{macvlan: private}",
        Attach::Macvlan(MacvlanMode::Bridge) => "{macvlan: bridge}",
        Attach::Ipvlan => "ipvlan",
        Attach::Bridge => "bridge",
        Attach::Sriov => "sriov",
        Attach::None => "none",
    }
}

/// `any`, prefixes, or all but some prefixes: what is shorter.
pub(crate) fn addresses(set: &AddrSet) -> String {
    if *set == AddrSet::full() {
        return "any".to_owned();
    }
    let nets = |set: &AddrSet| terms(&set.prefixes().into_iter().map(AddrTerm::Net).collect::<Vec<_>>());
    let all = set.families();
    let other = all.subtract(set);
    if other.is_empty() || set.prefixes().len() <= other.prefixes().len() + all.prefixes().len() {
        return nets(set);
    }
    format!("{{of: {}, except: {}}}", nets(&all), nets(&other))
}

/// Words of an address expression.
pub(crate) fn terms(terms: &[AddrTerm]) -> String {
    list(terms.iter().map(|term| word(&term.to_string())))
}

pub(crate) fn ports(set: &PortSet) -> String {
    let range = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    list(set.intervals().iter().map(|interval| range((interval.first, interval.last))))
}

/// One word, or several in brackets.
pub(crate) fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    match words.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", words.join(", ")),
    }
}

/// A word as it is, if that cannot be misread; otherwise in quotes.
pub(crate) fn word(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let plain = starts && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    let taken = TAKEN.iter().any(|word| text.eq_ignore_ascii_case(word));
    if plain && !taken { text.to_owned() } else { quoted(text) }
}

/// Any text in double quotes, escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if disturbs(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
