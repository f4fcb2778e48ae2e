//! Names of IP protocols, as `/etc/protocols` has them and the firewalls print them.

use std::collections::BTreeSet;

use super::rules::{Flat, Match, Protos};
use super::state::Placed;
use crate::policy::text::words;
use crate::terms::Verdict;

const NAMES: &[(&str, u8)] = &[
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("cbt", 7),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("dsr", 48),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("icmp6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ospfigp", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("comp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("ipv6-mh", 135),
    ("mh", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
];

/// The number of a name, in small letters, or of digits; `None` if it is not known.
pub(super) fn number(word: &str) -> Option<u8> {
    let named = NAMES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    named.or_else(|| words::number::<u8>(word, "protocol number", 0, u8::MAX).ok())
}

/// All protocols but these.
pub(super) fn all_but(numbers: &BTreeSet<u8>) -> Protos {
    Protos::Of((0..=u8::MAX).filter(|other| !numbers.contains(other)).collect())
}

/// Most protocols that a rule names one by one.
const MOST_NAMED: usize = 128;
/// Rules that may be put before one about all protocols but some.
const MOST_BEFORE: usize = 256;

/// Puts before a rule about all protocols but some what the list says of those: then the rule can be about all.
///
/// Left as they are: rules behind which the list of their direction is interrupted while it has replies, as an order for both
/// directions would change what the replies meet.
pub(super) fn spread(list: &[Placed]) -> Vec<Placed> {
    let replies = list.iter().any(|placed| placed.replies);
    let mut out = Vec::new();
    for (i, placed) in list.iter().enumerate() {
        let rest = list.get(i + 1..).unwrap_or_default();
        match but_some(placed).and_then(|but| before(&but, placed, rest, replies)) {
            Some(before) => {
                out.extend(before);
                let flat =
                    Flat { when: Match { protos: Protos::Any, ..placed.flat.when.clone() }, ..placed.flat.clone() };
                out.push(Placed { flat, ..*placed });
            }
            None => out.push(placed.clone()),
        }
    }
    out
}

/// The packets of the protocols that a rule does not name, if it names most.
fn but_some(placed: &Placed) -> Option<Match> {
    let when = &placed.flat.when;
    let Protos::Of(numbers) = &when.protos else { return None };
    let others: BTreeSet<u8> = (0..=u8::MAX).filter(|number| !numbers.contains(number)).collect();
    let most = numbers.len() > MOST_NAMED && when.ports.is_none() && !others.is_empty();
    most.then(|| Match { protos: Protos::Of(others), ..when.clone() })
}

/// What a list goes on to say of these packets; `None` if that cannot be put here.
fn before(but: &Match, placed: &Placed, rest: &[Placed], replies: bool) -> Option<Vec<Placed>> {
    let own = |other: &Placed| other.direction == placed.direction;
    let end = rest.iter().rposition(own).map_or(0, |last| last + 1);
    let following = rest.get(..end).unwrap_or_default();
    if replies && !following.iter().all(own) {
        return None;
    }
    let mut found = Vec::new();
    for other in following.iter().filter(|other| own(other)) {
        let Some(when) = other.flat.when.intersect(but) else { continue };
        if found.len() == MOST_BEFORE {
            return None;
        }
        let all = when == *but;
        found.push(Placed { flat: Flat { when, ..other.flat.clone() }, ..*other });
        if all {
            return Some(found);
        }
    }
    // What no rule matches is denied; as a rule, that would stop the replies to what the other direction allows behind it.
    if rest.iter().any(|other| !own(other) && other.replies) {
        return None;
    }
    let flat = Flat { when: but.clone(), verdict: Verdict::Deny, ..placed.flat.clone() };
    found.push(Placed { flat, direction: placed.direction, replies: false });
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_list_of_protocols() {
        let names = ["ipcomp", "l2tp", "eigrp", "mobility-header", "ipip", "ipencap", "ipv6-icmp", "47"];
        assert_eq!(names.map(number), [108, 115, 88, 135, 94, 4, 58, 47].map(Some));
        assert_eq!(["", "x", "256", "047"].map(number), [None; 4]);
    }
}
