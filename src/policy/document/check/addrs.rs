//! Address expressions: groups, prefixes, `except`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::super::draft::{AddrTerm, Addrs, Source};
use super::super::problems::{At, Diagnostic, Problems, Spanned, did_you_mean};
use super::names::{name_is_sound, said_twice};
use crate::terms::{AddrSet, IntervalSet};

/// Intervals that the expressions of one document may consist of, every use of a group counted again. Bounds time and
/// memory, and is far beyond what any adapter holds.
const MOST_INTERVALS: usize = 1 << 20;

/// The same for [`Source::Canonical`], which may have to write prefixes where a person wrote names.
const MOST_INTERVALS_WRITTEN: usize = 1 << 22;

/// Named sets of addresses; `None` = it is wrong, and that was reported.
#[derive(Debug, Default)]
pub(super) struct Groups {
    sets: BTreeMap<String, Option<AddrSet>>,
    source: Source,
    used: usize,
}

impl Groups {
    /// Resolves groups that may name each other in any order, but not in a circle.
    pub fn resolve_all(drafts: Vec<(Spanned<String>, Addrs)>, source: Source, problems: &mut Problems) -> Self {
        let mut waiting: BTreeMap<String, (At, Addrs)> = BTreeMap::new();
        for (name, addrs) in drafts {
            problems.about(format!("group {}", name.value));
            name_is_sound(&name, "group", problems);
            match waiting.get(&name.value) {
                Some((first, _)) => problems.report(name.at, &said_twice("group", &name.value, *first)),
                None => {
                    waiting.insert(name.value, (name.at, addrs));
                }
            }
        }
        let mut groups = Self { source, ..Self::default() };
        for name in leaves_first(&waiting) {
            if let Some((_, addrs)) = waiting.remove(&name) {
                problems.about(format!("group {name}"));
                let set = groups.resolve(&addrs, problems);
                groups.sets.insert(name, set);
            }
        }
        if let Some(start) = waiting.keys().next() {
            let circle = circle(start, &waiting);
            let first = circle.first().copied().unwrap_or(start);
            problems.about(format!("group {first}"));
            let at = waiting.get(first).map_or(At::default(), |(at, _)| *at);
            problems.report(at, &in_a_circle(&circle));
        }
        groups.sets.extend(waiting.into_keys().map(|name| (name, None)));
        groups
    }

    /// The groups that are sound.
    pub fn into_sets(self) -> BTreeMap<String, AddrSet> {
        self.sets.into_iter().filter_map(|(name, set)| Some((name, set?))).collect()
    }

    /// The addresses that an expression means; `None` after reporting what is wrong with it.
    pub fn resolve(&mut self, addrs: &Addrs, problems: &mut Problems) -> Option<AddrSet> {
        if addrs.refused {
            return None;
        }
        let of = self.union(&addrs.of, problems);
        let except = self.union(&addrs.except, problems);
        let (of, except) = (of?, except?);
        let set = of.subtract(&except);
        if set.is_empty() && self.source == Source::User {
            let what = if of.is_empty() { "no address at all" } else { "except takes every address away" };
            let way_out = "leave out the rule or group that it stands in, or name an address";
            problems.report(addrs.at, &Diagnostic::new(what, "at least one address", way_out));
            return None;
        }
        Some(set)
    }

    fn union(&mut self, terms: &[Spanned<AddrTerm>], problems: &mut Problems) -> Option<AddrSet> {
        let most = match self.source {
            Source::User => MOST_INTERVALS,
            Source::Canonical => MOST_INTERVALS_WRITTEN,
        };
        if self.used > most {
            return None;
        }
        let (mut v4, mut v6, mut sound) = (Vec::new(), Vec::new(), true);
        for term in terms {
            let Some(set) = self.term(term, problems) else {
                sound = false;
                continue;
            };
            self.used = self.used.saturating_add(set.v4.intervals().len() + set.v6.intervals().len());
            if self.used > most {
                let wrong = Diagnostic::new(
                    format!("the addresses of this document come to more than {most} pieces"),
                    "a smaller document",
                    "write larger prefixes, or name large groups less often",
                );
                problems.report(term.at, &wrong);
                return None;
            }
            v4.extend_from_slice(set.v4.intervals());
            v6.extend_from_slice(set.v6.intervals());
        }
        sound.then(|| AddrSet { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals(v6) })
    }

    fn term(&self, term: &Spanned<AddrTerm>, problems: &mut Problems) -> Option<AddrSet> {
        match &term.value {
            AddrTerm::Any => Some(AddrSet::full()),
            // The fewest prefixes of a set may name IPv4-mapped addresses, although nobody did.
            AddrTerm::Net(net) if self.source == Source::Canonical => Some(AddrSet::from(*net)),
            AddrTerm::Net(net) => problems.ok_or_report(term.at, sound_net(*net)).map(AddrSet::from),
            AddrTerm::Group(name) => match self.sets.get(name) {
                Some(set) => set.clone(),
                None => {
                    problems.report_with(term.at, || self.unknown(name));
                    None
                }
            },
        }
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        Diagnostic::new(
            format!("unknown group {}", crate::text::quoted(name)),
            "any, an address, a prefix or the name of a group",
            did_you_mean(name, self.sets.keys().map(String::as_str).chain(["any"]), "define it under groups"),
        )
    }
}

/// Names of groups in an order in which each stands behind those it names; those in or behind a circle are left out.
fn leaves_first(groups: &BTreeMap<String, (At, Addrs)>) -> Vec<String> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ready = Vec::new();
    for (name, (_, addrs)) in groups {
        let known: Vec<_> = named(addrs).filter(|used| groups.contains_key(*used)).collect();
        if known.is_empty() {
            ready.push(name.as_str());
        }
        missing.insert(name, known.len());
        for used in known {
            users.entry(used).or_default().push(name);
        }
    }
    let mut order = Vec::with_capacity(groups.len());
    while let Some(name) = ready.pop() {
        order.push(name.to_owned());
        for user in users.get(name).into_iter().flatten() {
            if let Some(count) = missing.get_mut(user) {
                *count -= 1;
                if *count == 0 {
                    ready.push(user);
                }
            }
        }
    }
    order
}

/// Groups that name each other, each the next, the first again at the end; every group in `left` names another one in it.
fn circle<'a>(start: &'a str, left: &'a BTreeMap<String, (At, Addrs)>) -> Vec<&'a str> {
    let (mut path, mut places) = (vec![start], BTreeMap::from([(start, 0)]));
    while let Some((_, addrs)) = path.last().and_then(|name| left.get(*name)) {
        let Some(next) = named(addrs).find(|name| left.contains_key(*name)) else { break };
        path.push(next);
        if let Some(seen) = places.insert(next, path.len() - 1) {
            return path.split_off(seen);
        }
    }
    path
}

fn in_a_circle(groups: &[&str]) -> Diagnostic {
    let text = match groups {
        [first, a, b, c, .., last] if groups.len() > 6 => format!("{first} -> {a} -> {b} -> {c} -> ... -> {last}"),
        _ => groups.join(" -> "),
    };
    let what = format!("groups name each other in a circle: {text}");
    Diagnostic::new(what, "groups that end in addresses", "break the circle")
}

fn named(addrs: &Addrs) -> impl Iterator<Item = &str> {
    addrs.of.iter().chain(&addrs.except).filter_map(|term| match &term.value {
        AddrTerm::Group(name) => Some(name.as_str()),
        AddrTerm::Any | AddrTerm::Net(_) => None,
    })
}

/// Refuses prefixes that do not mean what they say.
fn sound_net(net: IpNet) -> Result<IpNet, Diagnostic> {
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && v6.prefix_len() >= 96
    {
        let plain = Ipv4Net::new(v4, v6.prefix_len() - 96).map(|net| AddrTerm::Net(IpNet::V4(net.trunc())).to_string());
        return Err(Diagnostic::new(
            format!("{} is an IPv4-mapped IPv6 address", AddrTerm::Net(net)),
            plain.unwrap_or_default(),
            "write IPv4 addresses as such: the adapter tells the families apart by the frame",
        ));
    }
    if net.addr() != net.network() {
        return Err(Diagnostic::new(
            format!("{net} has bits set behind its prefix length"),
            net.trunc().to_string(),
            format!("write that, or {} for the one address", net.addr()),
        ));
    }
    Ok(net)
}

/// What is wrong with an address that no container can have: a group, broadcast, unspecified, loopback or IPv4-mapped one.
/// `None` if a container can have it.
#[must_use]
pub fn host_fault(ip: IpAddr) -> Option<String> {
    sound_host(ip).err().map(|wrong| wrong.what)
}

/// Refuses addresses that no container can have.
pub(super) fn sound_host(ip: IpAddr) -> Result<IpAddr, Diagnostic> {
    let ip = sound_net(ip.into())?.addr();
    let kind = if ip.is_unspecified() {
        "the unspecified address"
    } else if ip.is_loopback() {
        "a loopback address"
    } else if AddrSet::groups().contains(ip) {
        "a group or broadcast address"
    } else if matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 0) {
        "an address of this network"
    } else {
        return Ok(ip);
    };
    Err(Diagnostic::new(
        format!("{ip} is {kind}"),
        "an address that one container has on the network",
        "bind the container's enterprise IP",
    ))
}
