//! What a comparison of an nftables rule says about a packet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::document::Proto;
use super::super::sets::{AddrSet, Interval, PortSet};
use super::super::words;
use super::Settings;
use super::interface::through;
use super::iptables_rule::{protocol, span};
use super::json::Json;
use super::rules::{Match, Protos, State, both, v4, v6};
use super::text::shown;

/// A field that a rule compares.
#[derive(Debug, Clone)]
pub(super) enum Field {
    /// Source or destination address of one IP version.
    Addr { source: bool, family: AddrSet },
    /// Source or destination port; of any protocol that has one if none is named.
    Port { source: bool, proto: Option<u8> },
    /// Protocol; the addresses are those of the IP versions that the field belongs to.
    Proto { family: AddrSet },
    /// IP version.
    Family,
    /// Connection state.
    State,
    /// Incoming or outgoing interface.
    Interface { incoming: bool },
    /// Cannot be said. The rule is about packets of this protocol alone.
    Unseen { what: String, proto: Option<u8> },
}

/// A comparison: the packets of any of these, if there are no doubts; else some of them.
#[derive(Debug)]
pub(super) struct Said {
    pub when: Vec<Match>,
    pub doubts: Vec<String>,
}

/// The field that an expression names.
pub(super) fn field(json: &Json<'_>) -> Field {
    let unseen = |what: &str, proto| Field::Unseen { what: shown(what), proto };
    let text = |of: &Json<'_>, key: &str| of.get(key).and_then(Json::str).unwrap_or("").to_owned();
    match json.only() {
        Some(("payload", payload)) => {
            let (protocol, name) = (text(payload, "protocol"), text(payload, "field"));
            let proto = match protocol.as_str() {
                "tcp" => Some(6),
                "udp" => Some(17),
                "sctp" => Some(132),
                "udplite" => Some(136),
                "dccp" => Some(33),
                "icmp" => Some(1),
                "icmpv6" => Some(58),
                _ => None,
            };
            match (protocol.as_str(), name.as_str()) {
                ("ip", "saddr" | "daddr") => Field::Addr { source: name == "saddr", family: v4() },
                ("ip6", "saddr" | "daddr") => Field::Addr { source: name == "saddr", family: v6() },
                ("ip", "protocol") => Field::Proto { family: v4() },
                ("tcp" | "udp" | "sctp" | "udplite" | "dccp" | "th", "sport" | "dport") => {
                    Field::Port { source: name == "sport", proto }
                }
                _ => unseen(&format!("{protocol} {name}"), proto),
            }
        }
        Some(("meta", meta)) => match text(meta, "key").as_str() {
            "l4proto" => Field::Proto { family: AddrSet::full() },
            "nfproto" | "protocol" => Field::Family,
            "iif" | "iifname" => Field::Interface { incoming: true },
            "oif" | "oifname" => Field::Interface { incoming: false },
            key => unseen(&format!("meta {key}"), None),
        },
        Some(("ct", ct)) if text(ct, "key") == "state" => Field::State,
        Some((name, of)) => unseen(&format!("{name} {}", text(of, "key")), None),
        None => unseen(json.text, None),
    }
}

/// What "these fields have one of these values" says; `negated`: none of them.
pub(super) fn said(fields: &[Field], values: &[&Json<'_>], negated: bool, settings: &Settings) -> Said {
    if let [field] = fields {
        return one(field, values, negated, settings);
    }
    let mut all = Said { when: Vec::new(), doubts: Vec::new() };
    if negated {
        all.when.push(Match::any());
        all.doubts.push("a negated concatenation cannot be said".to_owned());
        return all;
    }
    for value in values {
        let parts = value.get("concat").and_then(Json::list).unwrap_or_default();
        let mut when = if parts.len() == fields.len() {
            vec![Match::any()]
        } else {
            all.doubts.push("an element of the set cannot be read".to_owned());
            return Said { when: vec![Match::any()], ..all };
        };
        for (field, part) in fields.iter().zip(parts) {
            let part = one(field, &[part], false, settings);
            when = when.iter().flat_map(|when| part.when.iter().filter_map(|also| when.intersect(also))).collect();
            all.doubts.extend(part.doubts);
        }
        all.when.extend(when);
    }
    all
}

fn one(field: &Field, values: &[&Json<'_>], negated: bool, settings: &Settings) -> Said {
    let any = Match::any();
    let (when, doubts) = match field {
        Field::Addr { source, family } => {
            let sets: Option<Vec<_>> = values.iter().map(|value| addresses(value)).collect();
            let Some(sets) = sets else { return unreadable(limited(family, &any)) };
            let set = both(&sets.iter().fold(AddrSet::empty(), |all, set| all.union(set)), family);
            let set = if negated { family.subtract(&set) } else { set };
            (if *source { Match { src: set, ..any } } else { Match { dst: set, ..any } }, None)
        }
        Field::Port { source, proto } => {
            // Every protocol: those of which the adapter sees no ports are dealt with like any that cannot be said.
            let protos = proto.map_or_else(|| Protos::Of((0..=u8::MAX).collect()), Protos::one);
            let ranges: Option<Vec<_>> = values.iter().map(|value| ports(value)).collect();
            let Some(ranges) = ranges else { return unreadable(Match { protos, ..any }) };
            let set = PortSet::from_intervals(ranges);
            let set = if negated { set.complement() } else { set };
            let ports = if *source { (set, PortSet::full()) } else { (PortSet::full(), set) };
            (Match { protos, ports: Some(ports), ..any }, None)
        }
        Field::Proto { family } => {
            let any = limited(family, &any);
            let numbers: Option<BTreeSet<u8>> = values.iter().map(|value| number(value)).collect();
            let Some(numbers) = numbers else { return unreadable(any) };
            let numbers = if negated { (0..=u8::MAX).filter(|n| !numbers.contains(n)).collect() } else { numbers };
            (Match { protos: Protos::Of(numbers), ..any }, None)
        }
        Field::Family => {
            let version = |value: &&Json<'_>| match value.str()? {
                "ipv4" | "ip" => Some(v4()),
                "ipv6" | "ip6" => Some(v6()),
                // Frames of other ether types have no IP that could be bound.
                _ => Some(AddrSet::empty()),
            };
            let versions: Option<Vec<_>> = values.iter().map(version).collect();
            let Some(versions) = versions else { return unreadable(any) };
            let set = versions.iter().fold(AddrSet::empty(), |all, set| all.union(set));
            (limited(&if negated { AddrSet::full().subtract(&set) } else { set }, &any), None)
        }
        Field::State => {
            let states: Option<Vec<_>> = values.iter().map(|value| State::named(value.str()?)).collect();
            let Some(state) = states.and_then(|states| states.into_iter().reduce(|a, b| a | b)) else {
                return unreadable(any);
            };
            (Match { state: if negated { state.complement() } else { state }, ..any }, None)
        }
        Field::Interface { incoming } => {
            let names: Option<Vec<_>> = values.iter().map(|value| value.str()).collect();
            let Some(names) = names else { return unreadable(any) };
            let through = through(settings, *incoming, &names, negated);
            let Some(sides) = through.sides else { return Said { when: Vec::new(), doubts: Vec::new() } };
            (Match { sides, ..any }, through.doubt)
        }
        Field::Unseen { what, proto } => {
            let protos = proto.map_or(Protos::Any, Protos::one);
            (Match { protos, ..any }, Some(format!("{what} cannot be said")))
        }
    };
    Said { when: vec![when], doubts: doubts.into_iter().collect() }
}

fn unreadable(when: Match) -> Said {
    Said { when: vec![when], doubts: vec!["a value cannot be read".to_owned()] }
}

fn limited(family: &AddrSet, to: &Match) -> Match {
    Match { src: family.clone(), dst: family.clone(), ..to.clone() }
}

/// An address, a prefix or a range.
fn addresses(value: &Json<'_>) -> Option<AddrSet> {
    match value.only() {
        Some(("prefix", prefix)) => {
            let addr: IpAddr = prefix.get("addr")?.str()?.parse().ok()?;
            let len = u8::try_from(prefix.get("len")?.number()?).ok()?;
            Some(IpNet::new(addr, len).ok()?.into())
        }
        Some(("range", range)) => {
            let [first, last] = range.list()? else { return None };
            span(first.str()?.parse().ok()?, last.str()?.parse().ok()?)
        }
        Some(_) => None,
        None => words::net(value.str()?).ok().map(AddrSet::from),
    }
}

fn ports(value: &Json<'_>) -> Option<Interval<u16>> {
    let port = |value: &Json<'_>| u16::try_from(value.number()?).ok();
    if let Some(("range", range)) = value.only() {
        let [first, last] = range.list()? else { return None };
        let (first, last) = (port(first)?, port(last)?);
        return (first <= last).then_some(Interval { first, last });
    }
    port(value).map(|port| Interval { first: port, last: port })
}

fn number(value: &Json<'_>) -> Option<u8> {
    match (value.str(), value.number()) {
        (Some(name), _) => match protocol(name)? {
            Proto::Is(number) => Some(number),
            Proto::Any => None,
        },
        (None, Some(number)) => u8::try_from(number).ok(),
        (None, None) => None,
    }
}
