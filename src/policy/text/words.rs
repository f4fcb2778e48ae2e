//! The single words of the two text forms (documents and flows): numbers, ports, protocols, addresses, dates.
//!
//! Strict on purpose: one spelling a value, so that what a person reads is what is enforced.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::policy::document::draft::AddrTerm;
use crate::policy::document::problems::{Diagnostic, did_you_mean};
use crate::policy::document::{OnExpiry, Proto};
use crate::terms::{Direction, Interval, MacAddr, Verdict};
pub(in crate::policy) use crate::text::quoted;

const PROTOCOLS: [(&str, Proto); 6] = [
    ("any", Proto::Any),
    ("tcp", Proto::TCP),
    ("udp", Proto::UDP),
    ("sctp", Proto::SCTP),
    ("icmp", Proto::ICMP),
    ("icmpv6", Proto::ICMPV6),
];

/// Numbers of protocols that are known by other names than those of [`PROTOCOLS`] (IANA, Protocol Numbers).
const NUMBERS: [(&str, u8); 16] = [
    ("igmp", 2),
    ("ipip", 4),
    ("ipencap", 4),
    ("egp", 8),
    ("igp", 9),
    ("dccp", 33),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("udplite", 136),
];

/// A decimal number of `min..=max`: digits only, no sign, no leading zero.
pub(in crate::policy) fn number<T>(word: &str, what: &str, min: T, max: T) -> Result<T, Diagnostic>
where
    T: FromStr + PartialOrd + Display,
{
    let strict = word.bytes().all(|b| b.is_ascii_digit()) && (word.len() == 1 || !word.starts_with('0'));
    match word.parse::<T>().ok().filter(|n| strict && *n >= min && *n <= max) {
        Some(number) => Ok(number),
        None => Err(Diagnostic::new(
            format!("{} is not a {what}", quoted(word)),
            format!("a decimal number from {min} to {max}"),
            "write digits only, without sign or leading zero",
        )),
    }
}

/// A port or a range of ports, as `443` or `8000-8099`.
pub(in crate::policy) fn ports(word: &str) -> Result<Interval<u16>, Diagnostic> {
    let end = |word: &str| number::<u16>(word, "port", 0, u16::MAX);
    let (first, last) = match word.split_once('-') {
        Some((first, last)) if !first.is_empty() && !last.is_empty() => (end(first)?, end(last)?),
        Some(_) => {
            return Err(Diagnostic::new(
                format!("{} is not a range of ports", quoted(word)),
                "both ends",
                "write it as in 8000-8099",
            ));
        }
        None => (end(word)?, end(word)?),
    };
    Ok(Interval { first, last })
}

/// `any`, `tcp`, `udp`, `sctp`, `icmp`, `icmpv6` or an IP protocol number.
pub(in crate::policy) fn proto(word: &str) -> Result<Proto, Diagnostic> {
    if let Some((_, proto)) = PROTOCOLS.iter().find(|(name, _)| *name == word) {
        return Ok(*proto);
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return number::<u8>(word, "protocol number", 0, u8::MAX).map(Proto::Is);
    }
    let lower = word.to_ascii_lowercase();
    let names = PROTOCOLS.iter().map(|(name, _)| *name);
    let way_out = match NUMBERS.iter().find(|(name, _)| *name == lower) {
        Some((name, number)) => format!("{name} is protocol {number}: write {number}"),
        None => did_you_mean(&lower, names, "give the number of the protocol"),
    };
    Err(Diagnostic::new(
        format!("unknown protocol {}", quoted(word)),
        "any, tcp, udp, sctp, icmp, icmpv6 or a number from 0 to 255",
        way_out,
    ))
}

/// An address, without a prefix length.
pub(in crate::policy) fn addr(word: &str) -> Result<IpAddr, Diagnostic> {
    word.parse().map_err(|_| {
        let way_out = if word.contains('/') { "leave the prefix length out" } else { "check it for typing errors" };
        Diagnostic::new(
            format!("{} is not an IP address", quoted(word)),
            "one IPv4 or IPv6 address, as in 10.30.1.17 or 2001:db8::17",
            way_out,
        )
    })
}

/// An address or a prefix; bits behind the prefix length are kept.
pub(in crate::policy) fn net(word: &str) -> Result<IpNet, Diagnostic> {
    // Not with the parser of prefixes: it reads leading zeros, which some programs take for octal numbers.
    let parse = || {
        let Some((addr, len)) = word.split_once('/') else { return word.parse::<IpAddr>().ok().map(IpNet::from) };
        let len = number::<u8>(len, "prefix length", 0, 128).ok()?;
        IpNet::new(addr.parse().ok()?, len).ok()
    };
    parse().ok_or_else(|| {
        let way_out = if word.contains('-') { "write a range as prefixes" } else { "check it for typing errors" };
        Diagnostic::new(
            format!("{} is neither an address nor a prefix", quoted(word)),
            "as in 10.0.0.53, 10.20.0.0/16 or 2001:db8::/32",
            way_out,
        )
    })
}

/// A word of an address expression.
pub(in crate::policy) fn addr_term(word: &str) -> Result<AddrTerm, Diagnostic> {
    match word {
        "any" => Ok(AddrTerm::Any),
        _ if looks_like_addr(word) => net(word).map(AddrTerm::Net),
        _ => Ok(AddrTerm::Group(word.to_owned())),
    }
}

/// True for words that can only be meant as an address.
pub(in crate::policy) fn looks_like_addr(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || word.contains([':', '/'])
}

/// True for names that groups and policies may have.
pub(in crate::policy) fn is_name(word: &str) -> bool {
    word.len() <= 64
        && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A MAC address.
pub(in crate::policy) fn mac(word: &str) -> Result<MacAddr, Diagnostic> {
    word.parse().map_err(|_| {
        Diagnostic::new(
            format!("{} is not a MAC address", quoted(word)),
            "six two-digit hexadecimal numbers, as in \"02:00:0a:1e:01:11\"",
            "separate them by colons",
        )
    })
}

/// `allow` or `deny`.
pub(in crate::policy) fn verdict(word: &str) -> Result<Verdict, Diagnostic> {
    match word {
        "allow" => Ok(Verdict::Allow),
        "deny" => Ok(Verdict::Deny),
        _ => Err(Diagnostic::new(
            format!("{} is not a verdict", quoted(word)),
            "allow or deny",
            did_you_mean(word, ["allow", "deny"], "choose one of them"),
        )),
    }
}

/// `in` or `out`.
pub(in crate::policy) fn direction(word: &str) -> Result<Direction, Diagnostic> {
    match word {
        "in" => Ok(Direction::Rx),
        "out" => Ok(Direction::Tx),
        _ => Err(Diagnostic::new(
            format!("{} is not a direction", quoted(word)),
            "in or out",
            "say in for what the container receives, out for what it sends",
        )),
    }
}

/// `report` or `withdraw`.
pub(in crate::policy) fn on_expiry(word: &str) -> Result<OnExpiry, Diagnostic> {
    match word {
        "report" => Ok(OnExpiry::Report),
        "withdraw" => Ok(OnExpiry::Withdraw),
        _ => Err(Diagnostic::new(
            format!("expired cannot be {}", quoted(word)),
            "report or withdraw",
            did_you_mean(word, ["report", "withdraw"], "say what is to be done about rules whose until has passed"),
        )),
    }
}

/// `yes`, `no`, `true` or `false`.
pub(in crate::policy) fn switch(word: &str) -> Result<bool, Diagnostic> {
    match word {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(Diagnostic::new(format!("{} is neither yes nor no", quoted(word)), "yes or no", "choose one of them")),
    }
}

/// Checks a day (`2026-11-23`) or a second in UTC (`2026-11-23T08:30:00Z`).
pub(in crate::policy) fn date(word: &str) -> Result<(), Diagnostic> {
    let (day, time) = word.split_once('T').map_or((word, None), |(day, time)| (day, Some(time)));
    if is_day(day) && time.is_none_or(is_time) {
        return Ok(());
    }
    Err(Diagnostic::new(
        format!("{} is not a date", quoted(word)),
        "as in 2026-11-23 or 2026-11-23T08:30:00Z",
        "give a day of the calendar, the time in UTC",
    ))
}

/// Whether one date lies before another; a day without a time is compared as a day.
pub(in crate::policy) fn is_earlier(one: &str, other: &str) -> bool {
    if one.len() == other.len() { one < other } else { one.get(..10) < other.get(..10) }
}

fn is_day(word: &str) -> bool {
    let Some([year, month, day]) = fields(word, '-', [4, 2, 2]) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

fn is_time(word: &str) -> bool {
    let time = word.strip_suffix('Z').and_then(|word| fields(word, ':', [2, 2, 2]));
    time.is_some_and(|[hour, minute, second]| hour < 24 && minute < 60 && second < 60)
}

/// Three numbers of these many digits.
fn fields(word: &str, separator: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = word.split(separator);
    let mut out = [0; 3];
    for (number, digits) in out.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(number::<u16>("0", "port", 0, 65535), Ok(0));
        assert_eq!(number::<u16>("65535", "port", 0, 65535), Ok(65535));
        for bad in ["", "65536", "+80", "-1", "0x50", "080", "8_0", " 80", "80.0", "１"] {
            assert!(number::<u16>(bad, "port", 0, 65535).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_protocol_that_has_a_number_is_told_by_it() {
        let way_out = |word: &str| proto(word).unwrap_err().way_out;
        assert_eq!(way_out("igmp"), "igmp is protocol 2: write 2");
        assert_eq!(way_out("GRE"), "gre is protocol 47: write 47");
        assert_eq!(way_out("TCP"), "did you mean tcp?");
        assert_eq!(way_out("Icmpv6"), "did you mean icmpv6?");
        assert_eq!(way_out("quic"), "give the number of the protocol");
        assert_eq!(proto("2"), Ok(Proto::Is(2)));
    }

    #[test]
    fn dates_are_days_of_the_calendar() {
        for good in ["2026-11-23", "2024-02-29", "2000-02-29", "2026-11-23T23:59:59Z"] {
            assert!(date(good).is_ok(), "{good}");
        }
        assert!(
            is_earlier("2026-11-22", "2026-11-23T00:00:00Z")
                && is_earlier("2026-11-23T08:30:00Z", "2026-11-23T08:30:01Z")
        );
        assert!(!is_earlier("2026-11-23T08:30:00Z", "2026-11-23") && !is_earlier("2026-11-23", "2026-11-23"));
        for bad in [
            "",
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-1-1",
            "23.11.2026",
            "2026-11-23T24:00:00Z",
            "2026-11-23T08:30:00",
            "2026-11-23T08:30:00+01:00",
            "2026-11-23-1",
        ] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_have_one_spelling() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3", "2001:db8::/32", "::/0"] {
            assert!(net(good).is_ok(), "{good}");
        }
        for bad in ["10.0.0.0/08", "10.0.0.0/33", "10.0.0/8", "010.0.0.0/8", "10.0.0.1-10.0.0.9", "10.0.0.0/", "::/+1"]
        {
            assert!(net(bad).is_err(), "{bad}");
        }
    }
}
