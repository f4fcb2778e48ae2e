//! Entries of the rule table in words.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Subnets;
use nicfw::tables::{Action, Image, ImageEntry, PortMap, PortRangeId, RuleKey, SubnetId, SubnetMap};
use nicfw::terms::{Interval, IntervalSet, Point};
use serde::Serialize;

/// Prefixes or port ranges that an id's class is shown by, at most.
const SHOWN: usize = 3;

/// An entry as JSON: what it matches, in words and field by field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryWords {
    /// As [`matches`] says it.
    pub text: String,
    /// The fields that it names, with the adapter's own ids.
    pub fields: BTreeMap<&'static str, String>,
}

impl EntryWords {
    pub fn of(key: &RuleKey, image: &Image) -> Self {
        Self { text: matches(key, image), fields: key.named_fields().into_iter().collect() }
    }
}

/// What an entry matches, the ids of maps followed by what they stand for.
pub fn matches(key: &RuleKey, image: &Image) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut say = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name} {value}")));
    say("local", key.local_ip.map(|ip| ip.to_string()));
    say("mac", key.local_mac.map(|mac| mac.to_string()));
    say("port", key.physical_port.map(|port| port.to_string()));
    say("outer vlan", key.outer_vlan.map(|id| id.to_string()));
    say("inner vlan", key.inner_vlan.map(|id| id.to_string()));
    say("type", key.ether_type.map(ether_type));
    say("proto", key.ip_proto.map(|number| nicfw::policy::Proto::Is(number).to_string()));
    say("remote", key.remote_ip.map(|ip| ip.to_string()));
    say("remote mac", key.remote_mac.map(|mac| mac.to_string()));
    say("remote subnet", key.remote_subnet.map(|id| subnet(id, image.subnets.as_deref())));
    say("remote port", key.remote_port.map(|port| port.to_string()));
    say("remote ports", key.remote_portrange.map(|id| ports(id, image.remote_ports.as_deref())));
    say("local port", key.local_port.map(|port| port.to_string()));
    say("local ports", key.local_portrange.map(|id| ports(id, image.local_ports.as_deref())));
    if words.is_empty() { "everything".to_owned() } else { words.join(", ") }
}

/// What an entry does, as `rx allow, tx deny`.
pub fn does(entry: &ImageEntry) -> String {
    let side = |name: &str, action: Action| word(action).map(|word| format!("{name} {word}"));
    let sides: Vec<String> = [side("rx", entry.rx.action), side("tx", entry.tx.action)].into_iter().flatten().collect();
    sides.join(", ")
}

/// An action in words; `None` for none.
pub fn word(action: Action) -> Option<&'static str> {
    match action {
        Action::None => None,
        Action::Allow { sample: false } => Some("allow"),
        Action::Allow { sample: true } => Some("allow+sample"),
        Action::Deny { sample: false } => Some("deny"),
        Action::Deny { sample: true } => Some("deny+sample"),
    }
}

/// An ether type by its name, where it has one.
pub fn ether_type(number: u16) -> String {
    match number {
        0x0800 => "ipv4".to_owned(),
        0x0806 => "arp".to_owned(),
        0x86dd => "ipv6".to_owned(),
        other => format!("{other:#06x}"),
    }
}

fn subnet(id: SubnetId, map: Option<&SubnetMap>) -> String {
    let classes = map.map(|map| class(&map.classes, id)).unwrap_or_default();
    let set = |classes: &IntervalSet<u32>| {
        let nets = |i: &Interval<u32>| Ipv4Subnets::new(Ipv4Addr::from_bits(i.first), Ipv4Addr::from_bits(i.last), 0);
        classes.intervals().iter().flat_map(nets).map(|net| net.to_string()).collect::<Vec<_>>()
    };
    format!("#{} ({})", id.0, shorter(&set(&classes), &set(&classes.complement())))
}

fn ports(id: PortRangeId, map: Option<&PortMap>) -> String {
    let classes = map.map(|map| class(&map.classes, id)).unwrap_or_default();
    let set = |classes: &IntervalSet<u16>| {
        let range =
            |i: &Interval<u16>| if i.first == i.last { i.first.to_string() } else { format!("{}-{}", i.first, i.last) };
        classes.intervals().iter().map(range).collect::<Vec<_>>()
    };
    format!("#{} ({})", id.0, shorter(&set(&classes), &set(&classes.complement())))
}

/// The points of one class; each interval of a map ends where the next begins.
fn class<P: Point, I: PartialEq>(classes: &[(P, I)], id: I) -> IntervalSet<P> {
    let ends = classes.iter().skip(1).map(|(first, _)| first.prev().unwrap_or(P::MIN)).chain([P::MAX]);
    let own = classes.iter().zip(ends).filter(|((_, class), _)| *class == id);
    IntervalSet::from_intervals(own.map(|((first, _), last)| Interval { first: *first, last }))
}

/// A set by what is in it or by what is not, whichever is said in fewer words.
fn shorter(inside: &[String], outside: &[String]) -> String {
    if inside.len() > SHOWN && outside.len() < inside.len() {
        format!("all but {}", shortened(outside))
    } else {
        shortened(inside)
    }
}

fn shortened(items: &[String]) -> String {
    let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(" ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn ids_are_followed_by_what_they_stand_for() {
        let (office, elsewhere) = (SubnetId(56_001), SubnetId(56_000));
        let image = Image {
            subnets: Some(Arc::new(SubnetMap {
                classes: vec![(0, elsewhere), (0x0a14_0000, office), (0x0a16_0000, elsewhere)],
                nodes: Vec::new(),
            })),
            local_ports: Some(Arc::new(PortMap {
                classes: vec![
                    (0, PortRangeId(1)),
                    (80, PortRangeId(2)),
                    (81, PortRangeId(1)),
                    (443, PortRangeId(2)),
                    (444, PortRangeId(1)),
                ],
            })),
            ..Image::default()
        };
        let key = RuleKey {
            local_ip: Some([10, 30, 1, 17].into()),
            ether_type: Some(0x0800),
            ip_proto: Some(6),
            remote_subnet: Some(office),
            local_portrange: Some(PortRangeId(2)),
            ..RuleKey::default()
        };
        assert_eq!(
            matches(&key, &image),
            "local 10.30.1.17, type ipv4, proto tcp, remote subnet #56001 (10.20.0.0/15), local ports #2 (80 443)"
        );
        let elsewhere = RuleKey { remote_subnet: Some(elsewhere), ..RuleKey::default() };
        assert_eq!(matches(&elsewhere, &image), "remote subnet #56000 (all but 10.20.0.0/15)");
        assert_eq!(matches(&RuleKey::default(), &image), "everything");
    }
}
