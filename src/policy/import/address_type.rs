//! Types of addresses (`-m addrtype`, `fib daddr type`), as far as they are known for a bound address and its peers.
//!
//! On its own host a bound address is LOCAL, on a router before it UNICAST. Of the peers' addresses the groups and the
//! broadcast to everybody are known by their numbers; a frame to a LOCAL address of its own host never leaves it.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::pieces::Piece;
use super::rules::{Match, Sides, both, outside, v4, v6};
use super::{Settings, View};
use crate::terms::AddrSet;

/// What a type says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// Packets whose source (or destination) is of one of these types, in capitals; `negated`: of none of them.
pub(super) fn pieces(settings: &Settings, source: bool, types: &[&str], negated: bool, family: &AddrSet) -> Vec<Piece> {
    let truth = |truth: Truth| if negated { truth.not() } else { truth };
    let mut pieces = Vec::new();
    for sides in [Sides { rx: true, tx: false }, Sides { rx: false, tx: true }] {
        // The source of what is sent is bound, and so is the destination of what is received.
        if source == sides.tx {
            add(&mut pieces, source, sides, family.clone(), truth(bound(settings, types)));
            continue;
        }
        let groups = groups();
        let everybody = broadcasts();
        let rest = both(&outside(&groups.union(&everybody)), family);
        let is = |name: &str| if types.contains(&name) { Truth::Yes } else { Truth::No };
        let known =
            types.iter().all(|of| *of == "MULTICAST" || (*of == "LOCAL" && sides.tx && settings.view == View::Host));
        add(&mut pieces, source, sides, both(&groups, family), truth(is("MULTICAST")));
        add(&mut pieces, source, sides, both(&everybody, family), truth(is("BROADCAST")));
        add(&mut pieces, source, sides, rest, truth(if known { Truth::No } else { Truth::Unknown }));
    }
    pieces
}

fn add(pieces: &mut Vec<Piece>, source: bool, sides: Sides, set: AddrSet, truth: Truth) {
    if truth == Truth::No || set.is_empty() {
        return;
    }
    let any = Match { sides, ..Match::any() };
    let when = if source { Match { src: set, ..any } } else { Match { dst: set, ..any } };
    let doubt = (truth == Truth::Unknown).then(|| "types of the peers' addresses are not known".to_owned());
    pieces.push(Piece { when, doubt });
}

fn bound(settings: &Settings, types: &[&str]) -> Truth {
    let own = if settings.view == View::Host { "LOCAL" } else { "UNICAST" };
    let others = ["LOCAL", "UNICAST", "MULTICAST", "BROADCAST", "UNSPEC"];
    if types.contains(&own) {
        Truth::Yes
    } else if types.iter().all(|of| others.contains(of)) {
        Truth::No
    } else {
        Truth::Unknown
    }
}

/// Groups of both IP versions.
fn groups() -> AddrSet {
    both(&AddrSet::groups(), &outside(&broadcasts()))
}

/// What the kernel calls a broadcast whatever its routes are: 255.255.255.255 and 0.0.0.0/8.
fn broadcasts() -> AddrSet {
    let zero = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 8).map_or_else(|_| AddrSet::empty(), |net| IpNet::V4(net).into());
    AddrSet::from(std::net::IpAddr::from(Ipv4Addr::BROADCAST)).union(&zero)
}

/// Types that ip6tables compares: one at a time, as several must all be true; and a LOCAL address is UNICAST too.
pub(super) fn of_version<'a>(types: &[&'a str], is_v6: bool, view: View) -> Option<(Vec<&'a str>, AddrSet)> {
    if !is_v6 {
        return Some((types.to_vec(), v4()));
    }
    match types {
        ["UNICAST"] if view == View::Host => Some((vec!["UNICAST", "LOCAL"], v6())),
        [_] => Some((types.to_vec(), v6())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` where a packet with that address on the side in question is matched, `?` where nobody can say, and `-`. `rx` and
    /// `tx` are of received and sent packets.
    fn holds(settings: &Settings, source: bool, types: &[&str], negated: bool, rx: bool, addr: &str) -> char {
        let addr: std::net::IpAddr = addr.parse().unwrap();
        let mut found = '-';
        for Piece { when, doubt } in pieces(settings, source, types, negated, &AddrSet::full()) {
            let (set, other) = if source { (&when.src, &when.dst) } else { (&when.dst, &when.src) };
            assert_eq!(*other, AddrSet::full());
            if (if rx { when.sides.rx } else { when.sides.tx }) && set.contains(addr) {
                assert_eq!(found, '-', "{addr} is in two pieces");
                found = if doubt.is_some() { '?' } else { '+' };
            }
        }
        found
    }

    /// By the kernel's words for types, of the bound address, and then of the peers' unicast address, group, group of IPv6,
    /// broadcast and address of 0/8.
    #[test]
    fn types_hold_as_far_as_they_are_known() {
        use View::{Host, Router};
        for (view, types, bound, received, sent) in [
            // Of what is received the peer's address is the source; on its host a frame to a LOCAL one is not sent.
            (Host, vec!["LOCAL"], '+', "?----", "-----"),
            (Host, vec!["UNICAST"], '-', "?----", "?----"),
            (Host, vec!["MULTICAST"], '-', "-++--", "-++--"),
            (Host, vec!["BROADCAST"], '-', "?--++", "?--++"),
            (Host, vec!["UNSPEC"], '-', "?----", "?----"),
            (Host, vec!["BLACKHOLE"], '?', "?----", "?----"),
            (Host, vec!["MULTICAST", "LOCAL"], '+', "?++--", "-++--"),
            (Host, vec!["MULTICAST", "BROADCAST"], '-', "?++++", "?++++"),
            (Host, vec!["UNICAST", "BLACKHOLE"], '?', "?----", "?----"),
            (Router, vec!["LOCAL"], '-', "?----", "?----"),
            (Router, vec!["UNICAST"], '+', "?----", "?----"),
            (Router, vec!["UNICAST", "BLACKHOLE"], '+', "?----", "?----"),
            (Router, vec!["MULTICAST"], '-', "-++--", "-++--"),
        ] {
            let settings = Settings { view, ..Settings::new("a", Vec::new(), "02:00:0a:1e:01:11".parse().unwrap()) };
            let own = "10.30.1.17";
            let others = ["10.0.0.9", "224.0.0.251", "ff02::fb", "255.255.255.255", "0.1.2.3"];
            for negated in [false, true] {
                let turned = |c: char| match c {
                    '+' if negated => '-',
                    '-' if negated => '+',
                    c => c,
                };
                let of = |source, rx, addr: &str| holds(&settings, source, &types, negated, rx, addr);
                let case = format!("{view:?} {types:?} {negated}");
                assert_eq!([of(false, true, own), of(true, false, own)], [turned(bound); 2], "{case}");
                let from: String = others.iter().map(|addr| of(true, true, addr)).collect();
                let to: String = others.iter().map(|addr| of(false, false, addr)).collect();
                assert_eq!(from, received.chars().map(turned).collect::<String>(), "{case}: received");
                assert_eq!(to, sent.chars().map(turned).collect::<String>(), "{case}: sent");
            }
        }
    }

    #[test]
    fn types_of_each_version() {
        let of = |types: &[&'static str], is_v6, view| {
            of_version(types, is_v6, view).map(|(types, set)| (types, set == v6()))
        };
        assert_eq!(of(&["LOCAL", "UNICAST"], false, View::Host), Some((vec!["LOCAL", "UNICAST"], false)));
        assert_eq!(of(&["UNICAST"], false, View::Host), Some((vec!["UNICAST"], false)));
        assert_eq!(of(&["UNICAST"], true, View::Host), Some((vec!["UNICAST", "LOCAL"], true)));
        assert_eq!(of(&["UNICAST"], true, View::Router), Some((vec!["UNICAST"], true)));
        assert_eq!(of(&["LOCAL"], true, View::Host), Some((vec!["LOCAL"], true)));
        assert_eq!(of(&["LOCAL", "UNICAST"], true, View::Host), None);
    }
}
