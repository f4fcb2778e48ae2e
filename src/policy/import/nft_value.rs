//! What a comparison of an nftables rule says about a packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::interface::through;
use super::iptables_rule::span;
use super::json::Json;
use super::pieces::Piece;
use super::rules::{Match, Protos, State, both, v4, v6};
use super::text::shown;
use super::{Settings, address_type, protocols};
use crate::policy::text::words;
use crate::terms::{AddrSet, Interval, PortSet};

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
    /// Type of the source or destination address.
    Type { source: bool },
    /// Incoming or outgoing interface.
    Interface { incoming: bool },
    /// Cannot be said. The rule is about packets of this protocol alone.
    Unseen { what: String, proto: Option<u8> },
}

/// The field that an expression names.
pub(super) fn field(json: &Json<'_>) -> Field {
    let unseen = |what: &str, proto| Field::Unseen { what: shown(what), proto };
    let text = |of: &Json<'_>, key: &str| of.get(key).and_then(Json::str).unwrap_or("").to_owned();
    // An expression with more than it needs says something else, as of a packet inside the packet.
    let just = |of: &Json<'_>, keys: &[&str]| of.members().iter().all(|(key, _)| keys.contains(&key.as_str()));
    match json.only() {
        Some(("payload", payload)) => {
            let (protocol, name) = (text(payload, "protocol"), text(payload, "field"));
            if !just(payload, &["protocol", "field"]) {
                return unseen("a field by its place or of an inner packet", None);
            }
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
        Some(("meta", meta)) if just(meta, &["key"]) => match text(meta, "key").as_str() {
            "l4proto" => Field::Proto { family: AddrSet::full() },
            "nfproto" | "protocol" => Field::Family,
            "iif" | "iifname" => Field::Interface { incoming: true },
            "oif" | "oifname" => Field::Interface { incoming: false },
            key => unseen(&format!("meta {key}"), None),
        },
        Some(("ct", ct)) if just(ct, &["key"]) && text(ct, "key") == "state" => Field::State,
        Some(("fib", fib)) if just(fib, &["result", "flags"]) && text(fib, "result") == "type" => {
            let flags = fib.get("flags").map(|flags| flags.list().unwrap_or(std::slice::from_ref(flags)));
            match flags.map(|flags| flags.iter().map(Json::str).collect::<Vec<_>>()).as_deref() {
                Some([Some("saddr")]) => Field::Type { source: true },
                Some([Some("daddr")]) => Field::Type { source: false },
                _ => unseen("fib type of an interface", None),
            }
        }
        // Of a field under a mask, its protocol.
        Some(("&" | "|" | "^" | "<<" | ">>", of)) => match of.list().and_then(|parts| parts.first()).map(field) {
            Some(Field::Unseen { what, proto }) => Field::Unseen { what, proto },
            Some(Field::Port { proto, .. }) => unseen("a port under a mask", proto),
            _ => unseen("a value under a mask", None),
        },
        Some((name, of)) => unseen(&format!("{name} {}", text(of, "key")), None),
        None => unseen(json.text, None),
    }
}

/// What "these fields have one of these values" says; `negated`: none of them.
pub(super) fn said(fields: &[Field], values: &[&Json<'_>], negated: bool, settings: &Settings) -> Vec<Piece> {
    if let [field] = fields {
        return one(field, values, negated, settings);
    }
    if negated {
        let mut pieces = carriers(fields);
        for piece in &mut pieces {
            piece.doubt = Some("a negated concatenation cannot be said".to_owned());
        }
        return pieces;
    }
    // Elements that differ in their first value alone are one condition.
    let mut groups: BTreeMap<Vec<&str>, Vec<&[Json<'_>]>> = BTreeMap::new();
    for value in values {
        let parts = value.get("concat").and_then(Json::list).unwrap_or_default();
        if parts.len() != fields.len() {
            return vec![Piece::unsure(Match::any(), "an element of the set cannot be read")];
        }
        groups.entry(parts.iter().skip(1).map(|part| part.text).collect()).or_default().push(parts);
    }
    let mut all = Vec::new();
    for members in groups.values() {
        let mut pieces = vec![Piece::sure(Match::any())];
        for (i, field) in fields.iter().enumerate() {
            let many = if i == 0 { members.len() } else { 1 };
            let values: Vec<_> = members.iter().take(many).filter_map(|parts| parts.get(i)).collect();
            let narrower = one(field, &values, false, settings);
            pieces = pieces.iter().flat_map(|piece| narrower.iter().filter_map(|also| meet(piece, also))).collect();
        }
        all.extend(pieces);
    }
    all
}

/// Packets of both pieces.
fn meet(a: &Piece, b: &Piece) -> Option<Piece> {
    let doubts: Vec<_> = a.doubt.iter().chain(&b.doubt).map(String::as_str).collect();
    Some(Piece { when: a.when.intersect(&b.when)?, doubt: (!doubts.is_empty()).then(|| doubts.join("; ")) })
}

/// The packets that have these fields, whatever their values are.
pub(super) fn carriers(fields: &[Field]) -> Vec<Piece> {
    let mut when = Match::any();
    for field in fields {
        let carrier = match field {
            Field::Addr { family, .. } | Field::Proto { family } => limited(family, &Match::any()),
            Field::Port { proto: Some(proto), .. } | Field::Unseen { proto: Some(proto), .. } => {
                Match { protos: Protos::one(*proto), ..Match::any() }
            }
            _ => Match::any(),
        };
        let Some(both) = when.intersect(&carrier) else { return Vec::new() };
        when = both;
    }
    vec![Piece::sure(when)]
}

fn one(field: &Field, values: &[&Json<'_>], negated: bool, settings: &Settings) -> Vec<Piece> {
    let any = Match::any();
    // The element for all that no other is for.
    if values.iter().any(|value| value.str() == Some("*")) && !matches!(field, Field::Interface { .. }) {
        return if negated { Vec::new() } else { carriers(std::slice::from_ref(field)) };
    }
    match field {
        Field::Addr { source, family } => {
            let sets: Option<Vec<_>> = values.iter().map(|value| addresses(value)).collect();
            let Some(sets) = sets else { return unreadable(limited(family, &any)) };
            let set = both(&AddrSet::union_of(&sets), family);
            let set = if negated { family.subtract(&set) } else { set };
            sure(side(*source, set))
        }
        Field::Port { source, proto } => {
            let protos = proto.map_or(Protos::Any, Protos::one);
            let ranges: Option<Vec<_>> = values.iter().map(|value| ports(value)).collect();
            let Some(ranges) = ranges else { return unreadable(Match { protos, ..any }) };
            let set = PortSet::from_intervals(ranges);
            let set = if negated { set.complement() } else { set };
            sure(port(*source, protos, set))
        }
        Field::Proto { family } => {
            let any = limited(family, &any);
            let numbers: Option<BTreeSet<u8>> = values.iter().map(|value| number(value)).collect();
            let Some(numbers) = numbers else { return unreadable(any) };
            let protos = if negated { protocols::all_but(&numbers) } else { Protos::Of(numbers) };
            sure(Match { protos, ..any })
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
            let set = AddrSet::union_of(&versions);
            sure(limited(&if negated { AddrSet::full().subtract(&set) } else { set }, &any))
        }
        Field::State => {
            let states: Option<Vec<_>> = values.iter().map(|value| State::named(value.str()?)).collect();
            let Some(state) = states.and_then(|states| states.into_iter().reduce(|a, b| a | b)) else {
                return unreadable(any);
            };
            sure(Match { state: if negated { state.complement() } else { state }, ..any })
        }
        Field::Interface { incoming } => {
            let names: Option<Vec<_>> = values.iter().map(|value| value.str()).collect();
            let Some(names) = names else { return unreadable(any) };
            through(settings, *incoming, &names, negated)
        }
        Field::Type { source } => {
            let names: Option<Vec<_>> = values.iter().map(|value| Some(value.str()?.to_ascii_uppercase())).collect();
            let Some(names) = names else { return unreadable(any) };
            let types: Vec<_> = names.iter().map(String::as_str).collect();
            address_type::pieces(settings, *source, &types, negated, &AddrSet::full())
        }
        Field::Unseen { what, .. } => {
            let mut pieces = carriers(std::slice::from_ref(field));
            for piece in &mut pieces {
                piece.doubt = Some(format!("{what} cannot be said"));
            }
            pieces
        }
    }
}

/// What a comparison by size says; `None` if the field has no size.
pub(super) fn compared(field: &Field, op: &str, value: &Json<'_>) -> Option<Match> {
    let number = |most: u128, value: u128| match op {
        "<" => value.checked_sub(1).map(|last| (0, last)),
        "<=" => Some((0, value)),
        ">" => (value < most).then(|| (value + 1, most)),
        _ => Some((value, most)),
    };
    match field {
        Field::Port { source, proto } => {
            let found = number(u16::MAX.into(), u16::try_from(value.number()?).ok()?.into());
            let range = found.map(|(first, last)| {
                Some(Interval { first: u16::try_from(first).ok()?, last: u16::try_from(last).ok()? })
            });
            let set = PortSet::from_intervals(range.flatten());
            Some(port(*source, proto.map_or(Protos::Any, Protos::one), set))
        }
        Field::Addr { source, family } => {
            let set = match value.str()?.parse().ok()? {
                IpAddr::V4(addr) if family.v6.is_empty() => {
                    let (first, last) = number(u32::MAX.into(), addr.to_bits().into())?;
                    let addr = |bits: u128| u32::try_from(bits).ok().map(|bits| IpAddr::V4(bits.into()));
                    span(addr(first)?, addr(last)?)?
                }
                IpAddr::V6(addr) if family.v4.is_empty() => {
                    let (first, last) = number(u128::MAX, addr.to_bits())?;
                    span(IpAddr::V6(first.into()), IpAddr::V6(last.into()))?
                }
                _ => return None,
            };
            Some(side(*source, set))
        }
        _ => None,
    }
}

fn sure(when: Match) -> Vec<Piece> {
    vec![Piece::sure(when)]
}

fn side(source: bool, set: AddrSet) -> Match {
    if source { Match { src: set, ..Match::any() } } else { Match { dst: set, ..Match::any() } }
}

fn port(source: bool, protos: Protos, set: PortSet) -> Match {
    let ports = if source { (set, PortSet::full()) } else { (PortSet::full(), set) };
    Match { protos, ports: Some(ports), ..Match::any() }
}

fn unreadable(when: Match) -> Vec<Piece> {
    vec![Piece::unsure(when, "a value cannot be read")]
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
        (Some(name), _) => protocols::number(name),
        (None, Some(number)) => u8::try_from(number).ok(),
        (None, None) => None,
    }
}
