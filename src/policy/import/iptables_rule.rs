//! One rule of `iptables-save`: its chain, conditions and target.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::document::Proto;
use super::super::sets::{AddrSet, Interval, IntervalSet, PortSet};
use super::super::words;
use super::interface::through;
use super::rules::{Action, ChainRule, Match, Protos, State, outside};
use super::text::{place, syntax};
use super::{ImportError, Settings};

/// Where a rule goes, before names of chains are looked up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Action(Action),
    Goto(String),
    /// A chain, or a target that is not known.
    Named(String),
    /// No verdict depends on it.
    Beside(String),
}

/// Targets that log.
const LOGGING: &str = "LOG NFLOG ULOG AUDIT TRACE";
/// Targets that change packets, marks or counters, and not where packets go.
const CHANGING: &str = "MARK CONNMARK CONNSECMARK SECMARK TCPMSS TCPOPTSTRIP DSCP TOS TTL HL ECN CHECKSUM CLASSIFY \
                        IDLETIMER RATEEST SET TEE LED HMARK CT";
/// Targets that translate the source, behind every filter.
const SOURCE: &str = "SNAT MASQUERADE SNPT";
/// Targets that translate the destination, before the filters.
const DESTINATION: &str = "DNAT REDIRECT NETMAP DNPT TPROXY";

/// Translated destinations are denied.
pub(super) const TRANSLATED: &str =
    "destinations are not translated by the adapter, and the rules behind judge the translated ones";
/// Untracked packets are denied.
pub(super) const NOT_TRACKED: &str =
    "rules behind judge untracked packets by their state, which the adapter does not see";

/// Conditions while they are read.
struct Conditions<'a> {
    settings: &'a Settings,
    is_v6: bool,
    when: Match,
    /// `--ports`: either side.
    either: Option<PortSet>,
    doubts: Vec<String>,
    /// The options that follow belong to a match that is in doubt already.
    in_doubt: bool,
    never: bool,
}

/// A rule, its chain and its target; `None` if the line is no rule.
pub(super) fn rule(
    line: u32,
    text: &str,
    settings: &Settings,
    is_v6: bool,
) -> Result<Option<(String, ChainRule, Target)>, ImportError> {
    let Some(words) = split(text) else {
        return Err(syntax(line, text, "a quote without its end", "\"TEXT\""));
    };
    let Some((first, rest)) = words.split_first() else { return Ok(None) };
    let Some((chain, rest)) = rest.split_first().filter(|_| first == "-A") else { return Ok(None) };
    let mut conditions = Conditions {
        settings,
        is_v6,
        when: Match::any(),
        either: None,
        doubts: Vec::new(),
        in_doubt: false,
        never: false,
    };
    let Some(target) = conditions.read(rest) else { return Ok(None) };
    let (mut doubts, mut target) = (conditions.doubts.clone(), target);
    if let Target::Named(name) = &target
        && let Some((action, doubt)) = known(name, rest)
    {
        doubts.extend(doubt);
        target = action;
    }
    let loopback = conditions.never.then(|| "traffic of other interfaces does not reach the adapter".to_owned());
    let rule = ChainRule {
        place: place(line, text),
        when: conditions.alternatives(),
        doubt: (!doubts.is_empty()).then(|| doubts.join("; ")),
        action: Action::Continue,
        beside: loopback,
    };
    Ok(Some((chain.clone(), rule, target)))
}

/// What a target of the kernel does, and what nobody can say about it.
fn known(name: &str, words: &[String]) -> Option<(Target, Option<String>)> {
    let is_in = |list: &str| list.split_ascii_whitespace().any(|known| known == name);
    let drop = |doubt: Option<&str>| (Target::Action(Action::Drop), doubt.map(ToOwned::to_owned));
    let beside = |what: String| (Target::Beside(what), None);
    Some(match name {
        "ACCEPT" => (Target::Action(Action::Accept), None),
        "DROP" | "REJECT" => drop(None),
        "RETURN" => (Target::Action(Action::Return), None),
        "QUEUE" | "NFQUEUE" => drop(Some("a program decides, which the adapter does not ask")),
        "NOTRACK" => drop(Some(NOT_TRACKED)),
        "CT" if words.iter().any(|word| word == "--notrack") => drop(Some(NOT_TRACKED)),
        _ if is_in(LOGGING) => beside("the adapter does not log".to_owned()),
        _ if is_in(CHANGING) => beside(format!("the adapter does not do {name}")),
        _ if is_in(SOURCE) => beside("sources are not translated by the adapter".to_owned()),
        _ if is_in(DESTINATION) => drop(Some(TRANSLATED)),
        _ => return None,
    })
}

impl Conditions<'_> {
    /// Reads conditions up to the target; `None` if a word makes no sense.
    fn read(&mut self, words: &[String]) -> Option<Target> {
        let mut words = words.iter().map(String::as_str).peekable();
        let mut negated = false;
        while let Some(word) = words.next() {
            match word {
                "!" if !negated => {
                    negated = true;
                    continue;
                }
                "-j" if !negated => return Some(Target::Named(words.next()?.to_owned())),
                "-g" if !negated => return Some(Target::Goto(words.next()?.to_owned())),
                "-m" if !negated => self.module(words.next()?),
                "-s" | "-d" => self.address(word == "-s", words.next()?, negated)?,
                "-i" | "-o" => self.interface(word == "-i", words.next()?, negated),
                "-p" => self.protocol(words.next()?, negated)?,
                "--sport" | "--dport" | "--sports" | "--dports" | "--ports" => {
                    self.ports(word, words.next()?, negated)?;
                }
                "--state" | "--ctstate" => self.state(words.next()?, negated),
                "--src-range" | "--dst-range" => self.range(word == "--src-range", words.next()?, negated)?,
                "--comment" if !negated => drop(words.next()?),
                "--icmp-type" | "--icmpv6-type" if words.peek() == Some(&"any") && !negated => drop(words.next()),
                "--icmp-type" | "--icmpv6-type" => self.doubt("the adapter sees no ICMP types"),
                "--tcp-flags" | "--syn" | "--tcp-option" => self.doubt("the adapter sees no TCP flags and options"),
                "-f" => self.doubt("the adapter cannot tell fragments"),
                "-c" if !negated => {
                    words.next()?;
                    words.next()?;
                }
                _ if word.starts_with('-') && self.in_doubt => {}
                _ if word.starts_with('-') => self.doubt(&format!("the condition {word} cannot be said")),
                // The rest of a condition that cannot be said.
                _ if !self.doubts.is_empty() => {}
                _ => return None,
            }
            negated = false;
        }
        // A rule without a target counts packets, and no more.
        Some(Target::Action(Action::Continue))
    }

    fn module(&mut self, name: &str) {
        const SAID: &str = "tcp udp sctp udplite dccp multiport comment state conntrack iprange icmp icmp6";
        self.in_doubt = !SAID.split_ascii_whitespace().any(|known| known == name);
        if self.in_doubt {
            self.doubt(&format!("the match {name} cannot be said"));
        }
    }

    fn doubt(&mut self, doubt: &str) {
        if self.doubts.iter().all(|said| said != doubt) {
            self.doubts.push(super::text::shown(doubt));
        }
    }

    fn narrow(&mut self, to: &Match) {
        match self.when.intersect(to) {
            Some(when) => self.when = when,
            None => self.never = true,
        }
    }

    fn address(&mut self, source: bool, word: &str, negated: bool) -> Option<()> {
        let set = match net(word) {
            Some(net) if matches!(net, IpNet::V6(_)) == self.is_v6 => AddrSet::from(net),
            Some(_) => return None,
            None if word.split_once('/').is_some_and(|(addr, mask)| is_addr(addr) && is_addr(mask)) => {
                self.doubt("an address mask that is no prefix");
                return Some(());
            }
            None => return None,
        };
        self.addresses(source, set, negated);
        Some(())
    }

    fn addresses(&mut self, source: bool, set: AddrSet, negated: bool) {
        let set = if negated { outside(&set) } else { set };
        let any = Match::any();
        self.narrow(&if source { Match { src: set, ..any } } else { Match { dst: set, ..any } });
    }

    fn range(&mut self, source: bool, word: &str, negated: bool) -> Option<()> {
        let (first, last) = word.split_once('-')?;
        let set = span(first.parse().ok()?, last.parse().ok()?)?;
        self.addresses(source, set, negated);
        Some(())
    }

    fn interface(&mut self, incoming: bool, name: &str, negated: bool) {
        let through = through(self.settings, incoming, &[name], negated);
        match through.sides {
            Some(sides) => self.narrow(&Match { sides, ..Match::any() }),
            None => self.never = true,
        }
        if let Some(doubt) = through.doubt {
            self.doubt(&doubt);
        }
    }

    fn protocol(&mut self, word: &str, negated: bool) -> Option<()> {
        let protos = match (protocol(word)?, negated) {
            (Proto::Any, false) => return Some(()),
            (Proto::Any, true) => return None,
            (Proto::Is(number), false) => Protos::one(number),
            (Proto::Is(number), true) => all_but(number),
        };
        self.narrow(&Match { protos, ..Match::any() });
        Some(())
    }

    fn ports(&mut self, option: &str, word: &str, negated: bool) -> Option<()> {
        let set = port_list(word)?;
        let set = if negated { set.complement() } else { set };
        let ports = match option {
            "--sport" | "--sports" => (set, PortSet::full()),
            "--dport" | "--dports" => (PortSet::full(), set),
            _ if negated => (set.clone(), set),
            _ => {
                self.either = Some(set);
                (PortSet::full(), PortSet::full())
            }
        };
        self.narrow(&Match { ports: Some(ports), ..Match::any() });
        Some(())
    }

    fn state(&mut self, word: &str, negated: bool) {
        let states: Option<Vec<State>> = word.split(',').map(State::named).collect();
        let Some(states) = states else {
            return self.doubt(&format!("the connection state {word} cannot be said"));
        };
        let state = states.into_iter().reduce(|a, b| a | b).unwrap_or(State::ALL);
        self.narrow(&Match { state: if negated { state.complement() } else { state }, ..Match::any() });
    }

    /// The rule matches what any of these matches.
    fn alternatives(&self) -> Vec<Match> {
        if self.never {
            return Vec::new();
        }
        let Some(either) = &self.either else { return vec![self.when.clone()] };
        let sides = [(either.clone(), PortSet::full()), (PortSet::full(), either.clone())];
        let side = |ports| self.when.intersect(&Match { ports: Some(ports), ..Match::any() });
        sides.into_iter().filter_map(side).collect()
    }
}

/// `tcp`, `ipv6-icmp` or a number.
pub(super) fn protocol(word: &str) -> Option<Proto> {
    Some(match word {
        "all" => Proto::Any,
        "ipv6-icmp" | "icmp6" => Proto::ICMPV6,
        "igmp" => Proto::Is(2),
        "ipencap" | "ipip" => Proto::Is(4),
        "dccp" => Proto::Is(33),
        "ipv6" => Proto::Is(41),
        "gre" => Proto::Is(47),
        "esp" => Proto::Is(50),
        "ah" => Proto::Is(51),
        "ospf" | "ospfigp" => Proto::Is(89),
        "pim" => Proto::Is(103),
        "vrrp" => Proto::Is(112),
        "udplite" => Proto::Is(136),
        // 0 means any to iptables.
        "0" => Proto::Any,
        _ => words::proto(word).ok()?,
    })
}

/// All protocols but one.
pub(super) fn all_but(number: u8) -> Protos {
    Protos::Of((0..=u8::MAX).filter(|other| *other != number).collect::<BTreeSet<u8>>())
}

/// Addresses from one to another.
pub(super) fn span(first: IpAddr, last: IpAddr) -> Option<AddrSet> {
    let set = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let span = Interval { first: first.to_bits(), last: last.to_bits() };
            AddrSet { v4: IntervalSet::from_intervals([span]), ..AddrSet::empty() }
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let span = Interval { first: first.to_bits(), last: last.to_bits() };
            AddrSet { v6: IntervalSet::from_intervals([span]), ..AddrSet::empty() }
        }
        _ => return None,
    };
    Some(set).filter(|set| !set.is_empty())
}

fn net(word: &str) -> Option<IpNet> {
    words::net(word).ok().or_else(|| {
        let (addr, mask) = word.split_once('/')?;
        IpNet::with_netmask(addr.parse().ok()?, mask.parse().ok()?).ok()
    })
}

fn is_addr(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok()
}

/// `80`, `8000:8099`, or several separated by commas.
fn port_list(word: &str) -> Option<PortSet> {
    let port = |word: &str| words::number::<u16>(word, "port", 0, u16::MAX).ok();
    let range = |word: &str| {
        let (first, last) = word.split_once(':').unwrap_or((word, word));
        let (first, last) = (port(first)?, port(last)?);
        (first <= last).then_some(Interval { first, last })
    };
    let ranges: Option<Vec<_>> = word.split(',').map(range).collect();
    Some(PortSet::from_intervals(ranges?))
}

/// Words of a line; `"..."` with escapes is one word, which keeps the first quote: it cannot be taken for an option.
/// `None` if a quote does not end.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            continue;
        }
        let mut word = String::from(c);
        if c == '"' {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
    Some(words)
}
