//! Documents with all features, and flows near every place where they change their mind, from the bytes of an input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use nicfw::policy::{
    Attach, Binding, Document, Management, OnExpiry, Origin, Policy, PortPair, Proto, Remote, Rule, SharedList,
};
use nicfw::terms::{AddrSet, Direction, Flow, Interval, IpFlow, MacAddr, PortSet, Ports, Verdict};

const REMOTES: [&str; 13] = [
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.0.0.0/30",
    "10.0.0.1/32",
    "10.0.0.2/32",
    "192.168.0.0/16",
    "0.0.0.0/1",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "2001:db8::1/128",
    "2001:db8::2/128",
    "fe80::/10",
];
const LOCALS: [&str; 5] = ["10.0.0.1/32", "10.0.0.0/29", "10.0.0.40/31", "10.0.0.11/32", "2001:db8::1/128"];
const EDGES: [u16; 12] = [0, 1, 22, 53, 80, 81, 443, 32767, 32768, 60999, 61000, 65535];
const PROTOS: [Proto; 8] =
    [Proto::Any, Proto::TCP, Proto::TCP, Proto::UDP, Proto::SCTP, Proto::ICMP, Proto::ICMPV6, Proto::Is(47)];

fn origin(line: u32) -> Arc<Origin> {
    let file = "input.yaml".into();
    Arc::new(Origin { owner: None, reason: None, ticket: None, file, line, when: None, until: None })
}

fn direction(u: &mut Unstructured<'_>) -> Result<Direction> {
    Ok(if u.arbitrary()? { Direction::Tx } else { Direction::Rx })
}

fn verdict(u: &mut Unstructured<'_>) -> Result<Verdict> {
    Ok(if u.arbitrary()? { Verdict::Deny } else { Verdict::Allow })
}

fn nets(u: &mut Unstructured<'_>, from: &[&str]) -> Result<AddrSet> {
    let mut all = AddrSet::empty();
    for _ in 0..u.int_in_range(1..=3u8)? {
        let net: ipnet::IpNet = u.choose(from)?.parse().expect("a prefix of the list");
        all = all.union(&net.into());
    }
    Ok(all)
}

fn port(u: &mut Unstructured<'_>) -> Result<u16> {
    let by = u.int_in_range(-1..=1i16)?;
    Ok(u.choose(&EDGES)?.saturating_add_signed(by))
}

fn ports(u: &mut Unstructured<'_>) -> Result<PortSet> {
    let mut intervals = Vec::new();
    for _ in 0..u.int_in_range(0..=3u8)? {
        let (a, b) = (port(u)?, port(u)?);
        intervals.push(Interval { first: a.min(b), last: if u.arbitrary()? { a.min(b) } else { a.max(b) } });
    }
    Ok(if intervals.is_empty() { PortSet::full() } else { PortSet::from_intervals(intervals) })
}

fn rule(u: &mut Unstructured<'_>, line: u32, management: bool) -> Result<Rule> {
    let action = if management { Verdict::Allow } else { verdict(u)? };
    let proto = *u.choose(&PROTOS)?;
    let set = nets(u, &REMOTES)?;
    let set = if u.ratio(1, 4)? { set.subtract(&nets(u, &REMOTES)?) } else { set };
    let ported = !matches!(proto, Proto::Is(number) if !Proto::has_ports(number));
    let (remote, local): (bool, bool) = u.arbitrary()?;
    let pair = PortPair {
        remote: if remote { ports(u)? } else { PortSet::full() },
        local: if local { ports(u)? } else { PortSet::full() },
    };
    Ok(Rule {
        direction: direction(u)?,
        action,
        sample: u.arbitrary::<bool>()? && action == Verdict::Allow,
        proto,
        remote: Remote { text: "some".to_owned(), set },
        ports: (ported && (remote || local)).then_some(pair),
        local: if u.ratio(1, if management { 2 } else { 5 })? { Some(nets(u, &LOCALS)?) } else { None },
        replies: u.arbitrary::<bool>()? && action == Verdict::Allow,
        names_local_ports: local && ported,
        origin: origin(line),
    })
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// Binding `index` has 10.0.0.(1 + index), 10.0.0.(11 + index) and 2001:db8::(1 + index), or some of them.
fn binding(u: &mut Unstructured<'_>, index: u8, policies: usize) -> Result<Binding> {
    let which = u.int_in_range(1..=7u8)?;
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1 + u16::from(index)));
    let all = [(1, v4(1 + index)), (2, v4(11 + index)), (4, v6)];
    let ips: Vec<_> = all.into_iter().filter(|(bit, _)| which & bit != 0).map(|(_, ip)| ip).collect();
    let owns_mac = u.arbitrary()?;
    Ok(Binding {
        container: format!("c{index}"),
        open_nd: ips.iter().any(IpAddr::is_ipv6),
        ips,
        mac: if owns_mac { mac(index) } else { mac(200) },
        owns_mac,
        vlan: *u.choose(&[None, None, Some(5), Some(6)])?,
        physical_ports: u.choose(&[vec![], vec![], vec![0], vec![1], vec![0, 1]])?.clone(),
        policy: u.int_in_range(0..=policies - 1)?,
        attach: Attach::Sriov,
        unprotected_accepted: false,
        origin: origin(90 + u32::from(index)),
    })
}

/// A document as the parser would make it: two policies of up to four rules, up to three bindings.
pub fn document(u: &mut Unstructured<'_>) -> Result<Document> {
    let mut policies = SharedList::default();
    for name in ["p0", "p1"] {
        let count = u.int_in_range(0..=4u32)?;
        let rules = (0..count).map(|line| rule(u, line + 1, false)).collect::<Result<_>>()?;
        policies.push(Arc::new(Policy { name: name.to_owned(), rules, line: 1 }));
    }
    let management = if u.ratio(1, 4)? {
        vec![Management { rule: rule(u, 80, true)?, mac: u.arbitrary::<bool>()?.then_some(mac(100)) }]
    } else {
        Vec::new()
    };
    let count = u.int_in_range(1..=3u8)?;
    let bindings = (0..count).map(|index| binding(u, index, policies.len()).map(Arc::new)).collect::<Result<_>>()?;
    // Unbound denied and multicast allowed is no document.
    let unbound = verdict(u)?;
    let multicast = if unbound == Verdict::Deny { Verdict::Deny } else { verdict(u)? };
    let usual = PortSet::from_intervals([Interval { first: 32768, last: 60999 }]);
    let ephemeral = if u.ratio(1, 4)? { ports(u)? } else { usual };
    let on_expiry = OnExpiry::Report;
    let (name, groups) = ("input.yaml".into(), Arc::default());
    Ok(Document { name, unbound, multicast, ephemeral, on_expiry, groups, management, policies, bindings })
}

/// A flow near the edges of what [`document`] makes.
pub fn flow(u: &mut Unstructured<'_>) -> Result<Flow> {
    const V4: [[u8; 4]; 16] = [
        [10, 0, 0, 0],
        [10, 0, 0, 1],
        [10, 0, 0, 2],
        [10, 0, 0, 3],
        [10, 0, 0, 4],
        [10, 0, 0, 11],
        [10, 0, 0, 40],
        [9, 255, 255, 255],
        [11, 0, 0, 0],
        [127, 255, 255, 255],
        [128, 0, 0, 0],
        [192, 168, 3, 4],
        [224, 0, 0, 5],
        [240, 0, 0, 0],
        [255, 255, 255, 255],
        [0, 0, 0, 0],
    ];
    const V6: [&str; 6] = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "::", "ff02::1", "fe80::1"];
    let v4 = !u.ratio(1, 3)?;
    let mut addr = || -> Result<IpAddr> {
        Ok(if v4 { IpAddr::from(*u.choose(&V4)?) } else { u.choose(&V6)?.parse().expect("an address of the list") })
    };
    let (local, remote) = (addr()?, addr()?);
    let proto = *u.choose(&[Some(6), Some(6), Some(17), Some(132), Some(1), Some(58), Some(47), Some(255), None])?;
    let pair = Ports { local: port(u)?, remote: port(u)? };
    let ports = (proto.is_some_and(Proto::has_ports) && !u.ratio(1, 8)?).then_some(pair);
    let near = match local {
        IpAddr::V4(at) => at.octets()[3].wrapping_sub(1) % 10,
        IpAddr::V6(at) => at.octets()[15].wrapping_sub(1),
    };
    let ip = (!u.ratio(1, 16)?).then_some(IpFlow { local, remote, proto, ports });
    let bare = *u.choose(&[0x0806, 0x88cc])?;
    Ok(Flow {
        direction: direction(u)?,
        physical_port: u.int_in_range(0..=1)?,
        local_mac: *u.choose(&[mac(near), mac(near), mac(200), mac(100), MacAddr::BROADCAST])?,
        remote_mac: mac(250),
        outer_vlan: *u.choose(&[None, None, Some(5), Some(6)])?,
        inner_vlan: None,
        ether_type: ip.map_or(bare, |_| if v4 { 0x0800 } else { 0x86dd }),
        ip,
    })
}
