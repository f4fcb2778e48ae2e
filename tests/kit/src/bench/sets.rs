//! Generated policies, and the same as sets of nftables.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use nicfw::policy::{Attach, Binding, Document, OnExpiry, Origin, Policy, PortPair, Proto, Remote, Rule};
use nicfw::terms::{AddrSet, Interval, IntervalSet, PortSet};
use nicfw::{Direction, MacAddr, Target, Verdict};

use crate::dice::Dice;

/// Rules of each container.
const RULES: usize = 50;
/// First address of the containers: 10.0.1.0.
const CONTAINERS: u32 = 0x0a00_0100;

/// A card's tables, but with room for any number of entries, combinations and counters, and for more classes: it is no
/// adapter that exists, only the compiler runs on it.
pub fn wide() -> Target {
    let mut target = Target::profile0();
    target.profile.rules = u32::MAX;
    target.profile.counters = 1 << 24;
    target.profile.combinations = 1 << 10;
    target.sizes.port_tree_entries = 1 << 14;
    target.sizes.portrange_id_max = 1 << 12;
    target
}

/// What the rules of all containers name: remote prefixes and services, each pairwise disjoint.
pub struct Pool {
    remotes: Vec<Interval<u32>>,
    services: Vec<Interval<u16>>,
}

impl Pool {
    /// As many prefixes as fit the subnet map of a card, and 400 services.
    pub fn new(seed: u64) -> Self {
        let mut random = Dice::new(seed);
        let mut net = || 0x0b00_0000 + u32::try_from(random.below(1 << 16)).unwrap_or_default() * 256;
        let mut nets: Vec<u32> = (0..2400).map(|_| net()).collect();
        nets.sort_unstable();
        nets.dedup();
        let remotes = nets.into_iter().map(|first| {
            let bits = 32 - [24, 24, 25, 26, 28, 32][random.below(6)];
            Interval { first, last: first + ((1 << bits) - 1) }
        });
        let remotes = remotes.collect();
        let mut cuts: Vec<u16> = Vec::new();
        while cuts.len() < 399 {
            let cut = random.between(1, u16::MAX);
            if let Err(at) = cuts.binary_search(&cut) {
                cuts.insert(at, cut);
            }
        }
        let ends: Vec<u16> = cuts.iter().map(|cut| cut - 1).chain([u16::MAX]).collect();
        let starts = std::iter::once(0).chain(cuts);
        let services = starts.zip(ends).map(|(first, last)| {
            let (one, other) = (random.between(first, last), random.between(first, last));
            match random.below(10) {
                0..6 => Interval { first: one, last: one },
                6 | 7 => Interval { first, last },
                _ => Interval { first: one.min(other), last: one.max(other) },
            }
        });
        let services = services.collect();
        Self { remotes, services }
    }
}

/// One allowed flow of a container.
#[derive(Clone, Copy)]
pub struct Allow {
    pub remote: Interval<u32>,
    pub proto: u8,
    pub ports: Interval<u16>,
}

impl Allow {
    pub fn rule(&self) -> Rule {
        let remote = AddrSet { v4: IntervalSet::from_intervals([self.remote]), ..AddrSet::empty() };
        Rule {
            direction: Direction::Rx,
            action: Verdict::Allow,
            sample: false,
            proto: Proto::Is(self.proto),
            remote: Remote { text: remote.prefixes()[0].to_string(), set: remote },
            ports: Some(PortPair { remote: PortSet::full(), local: PortSet::from_intervals([self.ports]) }),
            local: None,
            replies: false,
            names_local_ports: true,
            origin: origin(),
        }
    }
}

fn origin() -> Arc<Origin> {
    let file = "bench".into();
    Arc::new(Origin { owner: None, reason: None, ticket: None, file, line: 0, when: None, until: None })
}

/// Policies and who uses them.
pub struct Set {
    pub policies: Vec<Vec<Allow>>,
    /// The policy of each container.
    pub uses: Vec<usize>,
}

impl Set {
    /// A policy of its own for each container.
    pub fn own(rules: usize, seed: u64) -> Self {
        let count = rules / RULES;
        Self::of(count, RULES, (0..count).collect(), seed)
    }

    /// `policies` policies, each used by the containers that `uses` says.
    pub fn of(policies: usize, rules: usize, uses: Vec<usize>, seed: u64) -> Self {
        let (pool, mut random) = (Pool::new(seed), Dice::new(!seed));
        let policies = (0..policies).map(|_| policy(&pool, rules, &mut random)).collect();
        Self { policies, uses }
    }

    pub fn rules(&self) -> usize {
        self.uses.iter().map(|policy| self.policies[*policy].len()).sum()
    }

    /// The containers `from..to` and their policies as a document.
    pub fn document(&self, containers: std::ops::Range<usize>) -> Document {
        let mut places = std::collections::BTreeMap::new();
        let mut policies = Vec::new();
        let mut bindings = Vec::new();
        for at in containers {
            let policy = *places.entry(self.uses[at]).or_insert_with(|| {
                let rules = self.policies[self.uses[at]].iter().map(Allow::rule).collect();
                policies.push(Policy { name: format!("p{}", self.uses[at]), rules, line: 1 }.into());
                policies.len() - 1
            });
            bindings.push(binding(at, policy).into());
        }
        Document {
            name: "bench".into(),
            unbound: Verdict::Allow,
            multicast: Verdict::Deny,
            ephemeral: PortSet::from_intervals([Interval { first: 32768, last: 60999 }]),
            on_expiry: OnExpiry::Report,
            groups: Arc::default(),
            management: Vec::new(),
            policies: policies.into(),
            bindings: bindings.into(),
        }
    }

    /// The same as a set of nftables: remote . local . protocol . local ports, everything else dropped.
    pub fn nft(&self) -> String {
        let mut text = String::from(
            "add table inet b\nflush table inet b\n\
             add set inet b s { type ipv4_addr . ipv4_addr . inet_proto . inet_service ; flags interval; }\n\
             add chain inet b c { type filter hook forward priority 0; policy drop; }\n\
             add rule inet b c ip saddr . ip daddr . meta l4proto . th dport @s accept\n",
        );
        let all = self
            .uses
            .iter()
            .enumerate()
            .flat_map(|(at, policy)| self.policies[*policy].iter().map(move |allow| element(allow, address(at))));
        let all: Vec<String> = all.collect();
        for part in all.chunks(5000) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "add element inet b s {{ {} }}", part.join(", "));
        }
        text
    }
}

fn element(allow: &Allow, local: Ipv4Addr) -> String {
    let remote = allow.rule().remote.text;
    let remote = remote.strip_suffix("/32").unwrap_or(&remote);
    let Interval { first, last } = allow.ports;
    let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
    format!("{remote} . {local} . {} . {ports}", allow.proto)
}

fn policy(pool: &Pool, rules: usize, random: &mut Dice) -> Vec<Allow> {
    let few = (rules / 3).max(4);
    let remotes: Vec<_> = (0..few).map(|_| pool.remotes[random.below(pool.remotes.len())]).collect();
    let mut used = std::collections::BTreeSet::new();
    let mut out = Vec::new();
    while out.len() < rules {
        let (remote, proto) = (remotes[random.below(few)], if random.below(4) < 3 { 6 } else { 17 });
        let service = random.below(pool.services.len());
        if used.insert((remote, proto, service)) {
            out.push(Allow { remote, proto, ports: pool.services[service] });
        }
    }
    out
}

fn address(at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(CONTAINERS + u32::try_from(at).unwrap_or_default())
}

pub fn binding(at: usize, policy: usize) -> Binding {
    let [_, a, b, c] = address(at).octets();
    Binding {
        container: format!("c{at}"),
        ips: vec![IpAddr::V4(address(at))],
        mac: MacAddr([2, 0, 10, a, b, c]),
        owns_mac: true,
        vlan: None,
        physical_ports: Vec::new(),
        policy,
        attach: Attach::Sriov,
        open_nd: false,
        unprotected_accepted: false,
        origin: origin(),
    }
}
