//! One rule of `iptables-save`: its chain, conditions and target.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::interface::through;
use super::iptables_line::{Given, Owner, options, split};
use super::pieces::{Parts, Piece, neither_port};
use super::rules::{About, Action, ChainRule, Doubt, Match, Place, Protos, State, outside};
use super::text::{place, shown, syntax};
use super::{ImportError, Settings, address_type, protocols};
use crate::policy::text::words;
use crate::terms::{AddrSet, Interval, IntervalSet, PortSet};

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
/// Targets that translate the source, behind every filter of iptables.
const SOURCE: &str = "SNAT MASQUERADE SNPT";
/// Targets that translate the destination, before the filters.
const DESTINATION: &str = "DNAT REDIRECT NETMAP DNPT TPROXY";

/// Translated destinations are denied.
pub(super) const TRANSLATED: &str =
    "destinations are not translated by the adapter, and the rules behind judge the translated ones";
/// Untracked packets are denied.
pub(super) const NOT_TRACKED: &str =
    "rules behind judge untracked packets by their state, which the adapter does not see";

/// Packets of a zone of their own are denied.
pub(super) const ZONED: &str =
    "rules behind judge the connections of one zone by their state, which the adapter does not see";
/// Changed packets are denied.
pub(super) const CHANGED: &str = "packets are not changed by the adapter, and the rules behind judge the changed ones";

/// Conditions while they are read.
struct Conditions<'a> {
    settings: &'a Settings,
    is_v6: bool,
    parts: Parts,
    protocol: Option<u8>,
    comment: Option<String>,
    /// The line is for the other IP version alone.
    elsewhere: bool,
    /// It names an interface.
    through: bool,
}

/// A line that was read.
pub(super) struct Line {
    pub chain: String,
    /// One for each set of doubts; a packet is in one of them alone. Their action is the target's.
    pub rules: Vec<ChainRule>,
    pub target: Target,
}

const WORDS: &str = "-A CHAIN, conditions, -j TARGET";

/// Reads a line.
pub(super) fn rule(line: u32, text: &str, settings: &Settings, is_v6: bool) -> Result<Line, ImportError> {
    let wrong = |what: String| syntax(line, text, what, WORDS);
    let Some(words) = split(text) else {
        return Err(syntax(line, text, "a quote without its end", "\"TEXT\""));
    };
    let not_a_rule = |what: String| wrong(format!("this is not a rule of iptables-save: {what}"));
    let given = options(&words, is_v6).map_err(not_a_rule)?;
    let mut conditions = Conditions {
        settings,
        is_v6,
        parts: Parts::all(),
        protocol: None,
        comment: None,
        elsewhere: false,
        through: false,
    };
    let (mut chain, mut target) = (None, Target::Action(Action::Continue));
    for option in &given {
        match option.of {
            Owner::Core => match option.name.as_str() {
                "append" => chain = Some(option.value.clone()),
                "jump" => target = Target::Named(option.value.clone()),
                "goto" => target = Target::Goto(option.value.clone()),
                _ => conditions.core(option, &given).map_err(not_a_rule)?,
            },
            Owner::Match(module, _) => conditions.option(module, option, &given).map_err(not_a_rule)?,
            Owner::Target => {}
            Owner::Unknown => conditions.doubt(&format!("the option --{} is not known", option.name)),
        }
    }
    conditions.complete(&given).map_err(not_a_rule)?;
    let chain = chain.ok_or_else(|| not_a_rule("there is no -A CHAIN".to_owned()))?;
    if let Target::Named(name) = &target
        && let Some((action, doubt)) = known_target(name, &given)
    {
        if let Some(doubt) = doubt {
            conditions.doubt(&doubt);
        }
        target = action;
    }
    let place = Place { comment: conditions.comment.as_deref().map(|text| shown(text).into()), ..place(line, text) };
    Ok(Line { chain, rules: conditions.rules(&place), target })
}

/// Whether a target translates the source.
pub(super) fn is_source(name: &str) -> bool {
    SOURCE.split_ascii_whitespace().any(|known| known == name)
}

/// What a target of the kernel does, and what nobody can say about it.
pub(super) fn known_target(name: &str, given: &[Given]) -> Option<(Target, Option<String>)> {
    let is_in = |list: &str| list.split_ascii_whitespace().any(|known| known == name);
    let has = |option: &str| given.iter().any(|given| given.of == Owner::Target && given.name == option);
    let drop = |doubt: Option<&str>| (Target::Action(Action::Drop), doubt.map(ToOwned::to_owned));
    let beside = |what: String| (Target::Beside(what), None);
    Some(match name {
        "ACCEPT" => (Target::Action(Action::Accept), None),
        "DROP" | "REJECT" => drop(None),
        "RETURN" => (Target::Action(Action::Return), None),
        "QUEUE" | "NFQUEUE" => drop(Some("a program decides, which the adapter does not ask")),
        "SYNPROXY" | "CLUSTERIP" => drop(Some("the adapter does not answer or spread connections")),
        "NOTRACK" => drop(Some(NOT_TRACKED)),
        "CT" if has("notrack") => drop(Some(NOT_TRACKED)),
        "CT" if ["zone", "zone-orig", "zone-reply"].into_iter().any(has) => drop(Some(ZONED)),
        _ if is_in(LOGGING) => beside("the adapter does not log".to_owned()),
        _ if is_in(CHANGING) => beside(format!("the adapter does not do {name}")),
        _ if is_source(name) => beside("sources are not translated by the adapter".to_owned()),
        _ if is_in(DESTINATION) => drop(Some(TRANSLATED)),
        _ => return None,
    })
}

/// Parts of the packets that a line may have.
const MOST_PARTS: usize = 64;

/// Options that no line of a saved table has.
const COMMANDS: &str = "a command that only adds rules can be read; load the file and save it again with iptables-save";

impl Conditions<'_> {
    fn core(&mut self, option: &Given, given: &[Given]) -> Result<(), String> {
        let value = option.value.as_str();
        match option.name.as_str() {
            "source" | "destination" => self.address(option.name == "source", value, option.negated),
            "in-interface" | "out-interface" => {
                self.interface(option.name == "in-interface", value, option.negated);
                Ok(())
            }
            "protocol" => self.protocol(&value.to_ascii_lowercase(), option.negated),
            "fragments" => {
                self.doubt("the adapter cannot tell fragments");
                Ok(())
            }
            "match" => {
                self.module(value, given);
                Ok(())
            }
            "ipv4" | "ipv6" => {
                self.elsewhere |= (option.name == "ipv6") != self.is_v6;
                Ok(())
            }
            "set-counters" | "verbose" => Ok(()),
            name => Err(format!("--{name}: {COMMANDS}")),
        }
    }

    /// A match that has been named.
    fn module(&mut self, name: &str, given: &[Given]) {
        const SAID: &str = "tcp udp sctp dccp multiport comment state conntrack iprange icmp icmp6 addrtype";
        if !SAID.split_ascii_whitespace().any(|known| known == name) {
            let what = shown(&format!("the match {name} cannot be said"));
            self.parts.doubt(&Doubt { about: about(name, given), ..Doubt::new(&what) });
        }
    }

    /// An option of a match that has been named.
    fn option(&mut self, module: &str, option: &Given, given: &[Given]) -> Result<(), String> {
        let value = option.value.as_str();
        if let ("tcp" | "udp", Some((source, destination))) = (module, two_negated_ports(option, given)) {
            if option.name == "source-port" {
                self.parts.narrow(&neither_port(source, destination), MOST_PARTS);
            }
            return Ok(());
        }
        match (module, option.name.as_str()) {
            ("tcp" | "udp" | "sctp" | "dccp" | "multiport", "source-port" | "source-ports") => {
                self.ports(true, false, value, option.negated)
            }
            ("tcp" | "udp" | "sctp" | "dccp" | "multiport", "destination-port" | "destination-ports") => {
                self.ports(false, true, value, option.negated)
            }
            ("multiport", "ports") => self.ports(true, true, value, option.negated),
            ("comment", _) => {
                self.comment = Some(value.to_owned());
                Ok(())
            }
            ("state", "state") | ("conntrack", "ctstate") => {
                self.state(value, option.negated);
                Ok(())
            }
            ("iprange", _) => self.range(option.name == "src-range", value, option.negated),
            ("addrtype", "src-type" | "dst-type") => {
                self.address_type(option.name == "src-type", value, option.negated);
                Ok(())
            }
            ("icmp" | "icmp6", _) if matches!(value, "any" | "255") && !option.negated && module == "icmp" => Ok(()),
            _ => {
                self.doubt(&match module {
                    "icmp" | "icmp6" => "the adapter sees no ICMP types".to_owned(),
                    "tcp" => "the adapter sees no TCP flags and options".to_owned(),
                    "sctp" => "the adapter sees no SCTP chunks".to_owned(),
                    "conntrack" | "addrtype" | "dccp" => format!("the condition --{} cannot be said", option.name),
                    _ => {
                        self.module(module, given);
                        return Ok(());
                    }
                });
                Ok(())
            }
        }
    }

    /// What must be true of the line as a whole.
    fn complete(&mut self, given: &[Given]) -> Result<(), String> {
        for option in given {
            let named = match &option.of {
                Owner::Core if option.name == "match" => Some(option.value.as_str()),
                Owner::Match(module, _) => Some(*module),
                _ => None,
            };
            let needs: &[u8] = match named {
                Some("tcp") => &[6],
                Some("udp") => &[17],
                Some("sctp") => &[132],
                Some("dccp") => &[33],
                Some("icmp") => &[1],
                Some("icmp6") => &[58],
                Some("multiport") => &[6, 17, 33, 132, 136],
                _ => continue,
            };
            if !self.protocol.is_some_and(|number| needs.contains(&number)) {
                return Err(format!("the match {} without its protocol", named.unwrap_or_default()));
            }
            if let Owner::Match("multiport", instance) = option.of
                && given.iter().filter(|other| other.of == Owner::Match("multiport", instance)).count() > 1
            {
                return Err("more than one condition of one match multiport".to_owned());
            }
        }
        Ok(())
    }

    fn doubt(&mut self, doubt: &str) {
        self.parts.doubt(&Doubt::new(&shown(doubt)));
    }

    fn narrow(&mut self, to: Match) {
        self.parts.narrow(&[Piece::sure(to)], MOST_PARTS);
    }

    fn address(&mut self, source: bool, word: &str, negated: bool) -> Result<(), String> {
        let words: Vec<_> = word.split(',').collect();
        if negated && words.len() > 1 {
            return Err("a ! before several addresses".to_owned());
        }
        let mut sets = Vec::new();
        for word in words {
            match net(word) {
                Some(net) if matches!(net, IpNet::V6(_)) == self.is_v6 => sets.push(AddrSet::from(net)),
                Some(_) => return Err(format!("{word} is of the other IP version than the file")),
                None if word.split_once('/').is_some_and(|(addr, mask)| is_addr(addr) && is_addr(mask)) => {
                    self.doubt("an address mask that is not a prefix");
                    return Ok(());
                }
                None => return Err(format!("{word} is not an address or a prefix")),
            }
        }
        self.addresses(source, AddrSet::union_of(&sets), negated);
        Ok(())
    }

    fn addresses(&mut self, source: bool, set: AddrSet, negated: bool) {
        let set = if negated { outside(&set) } else { set };
        let any = Match::any();
        self.narrow(if source { Match { src: set, ..any } } else { Match { dst: set, ..any } });
    }

    fn range(&mut self, source: bool, word: &str, negated: bool) -> Result<(), String> {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let addr = |word: &str| word.parse::<IpAddr>().ok().filter(|addr| addr.is_ipv6() == self.is_v6);
        let (Some(first), Some(last)) = (addr(first), addr(last)) else {
            return Err(format!("{word} is not a range of addresses"));
        };
        // A range whose ends are exchanged matches nothing.
        let set = span(first, last).unwrap_or_default();
        self.addresses(source, set, negated);
        Ok(())
    }

    fn interface(&mut self, incoming: bool, name: &str, negated: bool) {
        if name == "+" && !negated {
            return;
        }
        self.through = true;
        self.parts.narrow(&through(self.settings, incoming, &[name], negated), MOST_PARTS);
    }

    fn protocol(&mut self, word: &str, negated: bool) -> Result<(), String> {
        // 0 means any to iptables.
        let number = if word == "all" { 0 } else { protocols::number(word).ok_or_else(|| unknown_protocol(word))? };
        if number == 0 {
            return if negated { Err("no protocol at all".to_owned()) } else { Ok(()) };
        }
        self.protocol = (!negated).then_some(number);
        let protos = if negated { protocols::all_but(&BTreeSet::from([number])) } else { Protos::one(number) };
        self.narrow(Match { protos, ..Match::any() });
        Ok(())
    }

    fn ports(&mut self, source: bool, destination: bool, word: &str, negated: bool) -> Result<(), String> {
        let set = port_list(word).ok_or_else(|| format!("{word} is not a list of port numbers"))?;
        let set = if negated { set.complement() } else { set };
        let any = PortSet::full;
        let sides = match (source, destination) {
            (true, true) if negated => vec![(set.clone(), set)],
            (true, true) => vec![(set.clone(), any()), (any(), set)],
            (true, false) => vec![(set, any())],
            _ => vec![(any(), set)],
        };
        let piece = |ports| Piece::sure(Match { ports: Some(ports), ..Match::any() });
        self.parts.narrow(&sides.into_iter().map(piece).collect::<Vec<_>>(), MOST_PARTS);
        Ok(())
    }

    fn state(&mut self, word: &str, negated: bool) {
        let states: Option<Vec<State>> = word.split(',').map(State::named).collect();
        let Some(states) = states else {
            return self.doubt(&format!("the connection state {word} cannot be said"));
        };
        let state = states.into_iter().reduce(|a, b| a | b).unwrap_or(State::ALL);
        self.narrow(Match { state: if negated { state.complement() } else { state }, ..Match::any() });
    }

    fn address_type(&mut self, source: bool, word: &str, negated: bool) {
        let upper = word.to_ascii_uppercase();
        let types: Vec<_> = upper.split(',').collect();
        match address_type::of_version(&types, self.is_v6, self.settings.view) {
            Some((types, family)) => {
                self.parts.narrow(&address_type::pieces(self.settings, source, &types, negated, &family), MOST_PARTS);
            }
            None => self.doubt("several types of an IPv6 address cannot be said"),
        }
    }

    /// The rules that the line is, one for each set of doubts.
    fn rules(&self, place: &Place) -> Vec<ChainRule> {
        let rules = self.parts.rules(place, &Action::Continue);
        if !rules.is_empty() && !self.elsewhere {
            return rules;
        }
        let why = match () {
            () if self.elsewhere => "the line is for the other IP version alone",
            () if self.through => "traffic of other interfaces does not reach the adapter",
            () => "no packet matches",
        };
        let (place, beside) = (place.clone(), Some(why.to_owned()));
        vec![ChainRule { place, when: Vec::new(), doubt: None, action: Action::Continue, beside }]
    }
}

/// Whether a match is about how many or how fast.
fn about(name: &str, given: &[Given]) -> About {
    let has = |option: &str| {
        let of = |given: &&Given| matches!(given.of, Owner::Match(module, _) if module == name) && given.name == option;
        given.iter().find(of).map(|given| given.negated)
    };
    let above = |above: &str, upto: &str| match (has(above), has(upto)) {
        (Some(negated), None) => {
            if negated {
                About::Below
            } else {
                About::Above
            }
        }
        (None, Some(negated)) => {
            if negated {
                About::Above
            } else {
                About::Below
            }
        }
        _ => About::Other,
    };
    match name {
        "limit" => About::Below,
        "hashlimit" => above("hashlimit-above", "hashlimit-upto"),
        "connlimit" => above("connlimit-above", "connlimit-upto"),
        "quota" if has("quota") == Some(false) => About::Below,
        "recent" if has("hitcount").is_some() && (has("update") == Some(false) || has("rcheck") == Some(false)) => {
            About::Above
        }
        _ => About::Other,
    }
}

fn unknown_protocol(word: &str) -> String {
    format!("the protocol {word} is not known; write its number")
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

/// The ports of one match if it negates a single one of each side and the option is one of the two.
fn two_negated_ports(option: &Given, given: &[Given]) -> Option<(u16, u16)> {
    if !["source-port", "destination-port"].contains(&option.name.as_str()) {
        return None;
    }
    let port = |name: &str| {
        let found = given.iter().find(|other| other.of == option.of && other.name == name && other.negated)?;
        port_list(&found.value)?.as_point()
    };
    Some((port("source-port")?, port("destination-port")?))
}

/// `80`, `8000:8099`, `8000:` or `:8099`, or several separated by commas.
fn port_list(word: &str) -> Option<PortSet> {
    let port = |word: &str| words::number::<u16>(word, "port", 0, u16::MAX).ok();
    let range = |word: &str| {
        let (first, last) = word.split_once(':').unwrap_or((word, word));
        let first = if first.is_empty() && word.len() > 1 { 0 } else { port(first)? };
        let last = if last.is_empty() && word.len() > 1 { u16::MAX } else { port(last)? };
        (first <= last).then_some(Interval { first, last })
    };
    let ranges: Option<Vec<_>> = word.split(',').map(range).collect();
    Some(PortSet::from_intervals(ranges?))
}
