//! Random documents with all features, and flows near every place where they change their mind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use nicfw::policy::{Attach, Binding, Document, Management, OnExpiry, Origin, Policy, PortPair, Proto, Remote, Rule};
use nicfw::terms::{AddrSet, Direction, Flow, Interval, IpFlow, MacAddr, PortSet, Ports, Verdict};
use proptest::prelude::*;
use proptest::sample::select;

pub fn origin(line: u32) -> Arc<Origin> {
    let file = "random.yaml".into();
    Arc::new(Origin { owner: None, reason: None, ticket: None, file, line, when: None, until: None })
}

pub fn set(terms: &[&str]) -> AddrSet {
    terms.iter().fold(AddrSet::empty(), |all, term| match *term {
        "any" => AddrSet::full(),
        term => all.union(&term.parse::<ipnet::IpNet>().unwrap().into()),
    })
}

fn direction() -> impl Strategy<Value = Direction> {
    select(vec![Direction::Rx, Direction::Tx])
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select(vec![Verdict::Allow, Verdict::Deny])
}

const REMOTES: [&str; 12] = [
    "any",
    "any",
    "10.0.0.0/8",
    "10.0.0.0/30",
    "10.0.0.1/32",
    "10.0.0.2/32",
    "192.168.0.0/16",
    "0.0.0.0/1",
    "224.0.0.0/4",
    "2001:db8::1/128",
    "2001:db8::2/128",
    "::/0",
];

const EDGES: [u16; 12] = [0, 1, 22, 53, 80, 81, 443, 32767, 32768, 60999, 61000, 65535];

fn ports() -> impl Strategy<Value = PortSet> {
    let interval = (select(EDGES.to_vec()), select(EDGES.to_vec()))
        .prop_map(|(a, b)| Interval { first: a.min(b), last: a.max(b) });
    let point = select(EDGES.to_vec()).prop_map(|at| Interval { first: at, last: at });
    prop_oneof![
        1 => Just(PortSet::full()),
        3 => prop::collection::vec(prop_oneof![3 => point, 1 => interval], 1..4).prop_map(PortSet::from_intervals),
    ]
}

fn addrs() -> impl Strategy<Value = (String, AddrSet)> {
    let terms = prop::collection::vec(select(REMOTES.to_vec()), 1..3);
    let except = prop::option::weighted(0.3, select(REMOTES.to_vec()));
    (terms, except).prop_map(|(terms, except)| {
        let mut all = set(&terms);
        if let Some(except) = except.filter(|except| *except != "any") {
            all = all.subtract(&set(&[except]));
        }
        (format!("{terms:?}"), all)
    })
}

pub fn rule(locals: Vec<&'static str>, management: bool) -> impl Strategy<Value = Rule> {
    let proto = prop_oneof![
        1 => Just(Proto::Any),
        6 => select(vec![Proto::TCP, Proto::TCP, Proto::UDP, Proto::SCTP, Proto::ICMP, Proto::ICMPV6, Proto::Is(47)]),
    ];
    let pair = (prop::option::of(ports()), prop::option::of(ports()));
    let local = prop::option::weighted(if management { 0.5 } else { 0.2 }, prop::collection::vec(select(locals), 1..3));
    (direction(), verdict(), proto, addrs(), pair, local, any::<(bool, bool)>(), 1..60u32).prop_map(
        move |(direction, action, proto, (text, set_of), (remote, near), local, (replies, sample), line)| {
            let action = if management { Verdict::Allow } else { action };
            let ported = !matches!(proto, Proto::Is(number) if !Proto::has_ports(number));
            let names_local_ports = near.is_some() && ported;
            let named = ported && (remote.is_some() || near.is_some());
            let pair =
                PortPair { remote: remote.unwrap_or_else(PortSet::full), local: near.unwrap_or_else(PortSet::full) };
            Rule {
                direction,
                action,
                sample: sample && action == Verdict::Allow,
                proto,
                remote: Remote { text, set: set_of },
                ports: named.then_some(pair),
                local: local.map(|terms| set(&terms)),
                replies: replies && action == Verdict::Allow,
                names_local_ports,
                origin: origin(line),
            }
        },
    )
}

pub fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn v6(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

/// The binding at `index` has 10.0.0.(1 + index), 10.0.0.(11 + index) and 2001:db8::(1 + index).
fn binding(index: u8, policies: usize) -> impl Strategy<Value = Binding> {
    let ips = select(vec![1, 1, 2, 3, 4, 7]);
    let link = (prop::option::weighted(0.3, 5..7u16), select(vec![vec![], vec![], vec![0], vec![1], vec![0, 1]]));
    (ips, 0..policies, any::<bool>(), link).prop_map(move |(ips, policy, owns_mac, (vlan, physical_ports))| {
        let all = [v4(1 + index), v4(11 + index), v6(1 + u16::from(index))];
        let ips: Vec<_> = (0..3).filter(|bit| ips >> bit & 1 == 1).map(|bit| all[bit]).collect();
        Binding {
            container: format!("c{index}"),
            open_nd: ips.iter().any(IpAddr::is_ipv6),
            ips,
            mac: if owns_mac { mac(index) } else { mac(200) },
            owns_mac,
            vlan,
            physical_ports,
            policy,
            attach: Attach::Sriov,
            unprotected_accepted: false,
            origin: origin(90 + u32::from(index)),
        }
    })
}

pub fn document(most_rules: usize) -> impl Strategy<Value = Document> {
    let rules =
        prop::collection::vec(rule(vec!["10.0.0.1/32", "10.0.0.0/29", "2001:db8::1/128"], false), 0..=most_rules);
    let policies = prop::collection::vec(rules, 1..3);
    let locals = vec!["10.0.0.1/32", "10.0.0.2/32", "10.0.0.40/31", "10.0.0.11/32"];
    let management = prop::collection::vec((rule(locals, true), any::<bool>()), 0..2);
    let ephemeral = prop_oneof![
        3 => Just(PortSet::from_intervals([Interval { first: 32768, last: 60999 }])),
        1 => ports(),
    ];
    let whole = (
        select(vec![(Verdict::Allow, Verdict::Allow), (Verdict::Allow, Verdict::Deny), (Verdict::Deny, Verdict::Deny)]),
        ephemeral,
    );
    (whole, policies, management).prop_flat_map(|(whole, policies, management)| {
        let many = policies.len();
        let bindings = (binding(0, many), prop::option::of(binding(1, many)), prop::option::of(binding(2, many)));
        (Just(whole), Just(policies), Just(management), bindings).prop_map(
            |(((unbound, multicast), ephemeral), policies, management, (first, second, third))| Document {
                name: "random.yaml".into(),
                unbound,
                multicast,
                ephemeral,
                on_expiry: OnExpiry::Report,
                groups: Arc::default(),
                management: management
                    .into_iter()
                    .map(|(rule, named)| Management { rule, mac: named.then_some(mac(100)) })
                    .collect(),
                policies: policies
                    .into_iter()
                    .enumerate()
                    .map(|(i, rules)| Policy { name: format!("p{i}"), rules, line: 1 })
                    .collect(),
                bindings: [Some(first), second, third].into_iter().flatten().map(Arc::new).collect(),
            },
        )
    })
}

fn port() -> impl Strategy<Value = u16> {
    (select(EDGES.to_vec()), -1..=1i32).prop_map(|(at, by)| u16::try_from(i32::from(at) + by).unwrap_or(at))
}

/// Flows near the edges of what [`document`] makes.
pub fn flow() -> impl Strategy<Value = Flow> {
    let v4s = [
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "10.0.0.11",
        "10.0.0.12",
        "10.0.0.40",
        "10.0.0.41",
        "9.255.255.255",
        "11.0.0.0",
        "127.255.255.255",
        "128.0.0.0",
        "192.168.3.4",
        "223.255.255.255",
        "224.0.0.5",
        "240.0.0.0",
        "255.255.255.255",
        "0.0.0.0",
    ]
    .map(|text| text.parse::<IpAddr>().unwrap());
    let v6s = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "::", "ff02::1", "ff02::1:ff00:1", "feff::1"]
        .map(|text| text.parse::<IpAddr>().unwrap());
    let pair = prop_oneof![
        3 => (select(v4s.to_vec()), select(v4s.to_vec())),
        2 => (select(v6s.to_vec()), select(v6s.to_vec())),
    ];
    let proto =
        select(vec![Some(6), Some(6), Some(17), Some(132), Some(1), Some(58), Some(47), Some(0), Some(255), None]);
    let ip = prop::option::weighted(0.95, (pair, proto, prop::option::weighted(0.9, (port(), port()))));
    let link = (0..3u8, select(vec![0, 1, 2, 100, 200, 255]), select(vec![None, None, Some(5), Some(6)]), 0..2u32);
    (direction(), ip, link, select(vec![0x0806, 0x88cc])).prop_map(|(direction, ip, (own, other, vlan, port), bare)| {
        // Half of the flows are right at their link, so that rules decide.
        let ip = ip.map(|((local, remote), proto, ports)| {
            let ported = proto.is_some_and(Proto::has_ports);
            let ports = ports.filter(|_| ported).map(|(local, remote)| Ports { local, remote });
            IpFlow { local, remote, proto, ports }
        });
        let near = match ip.map(|ip| ip.local) {
            Some(IpAddr::V4(at)) => at.octets()[3].wrapping_sub(1) % 10,
            Some(IpAddr::V6(at)) => at.octets()[15].wrapping_sub(1),
            None => 0,
        };
        Flow {
            direction,
            physical_port: port,
            local_mac: if own > 0 {
                mac(near)
            } else if other == 255 {
                MacAddr::BROADCAST
            } else {
                mac(other)
            },
            remote_mac: mac(250),
            outer_vlan: vlan,
            inner_vlan: None,
            ether_type: ip.map_or(bare, |ip| if ip.local.is_ipv4() { 0x0800 } else { 0x86dd }),
            ip,
        }
    })
}
